/* edit_source.h - the values behind `OP SELECTOR from FILE`: one item of a stream. */
#ifndef BRIDGE_EDIT_SOURCE_H
#define BRIDGE_EDIT_SOURCE_H

#include "act/act.h"
#include "gpt/edit.h"
#include "gpt/model.h"

struct edit_entry { /* of one edit; empty when it has no file */
    struct act_record rec;
    float *values; /* the whole record */
    float *picked; /* what the slice means of it */
};

struct edit_source {
    const struct gpt_model *m;
    struct edit_entry *entry;
    size_t n;
    bool any; /* are there edits with files? Then every prompt is resolved on its own. */
};

/* Reads the records that the edits name from their files, into memory. Each file must hold one item
   of this very model, with the hook point: ERR_DATA otherwise. Edits without a file are fine.
   Release in any case. */
int edit_source_open(struct edit_source *s, const struct gpt_edits *edits,
                     const struct gpt_model *m, struct err *e);
void edit_source_release(struct edit_source *s); /* what was resolved with it goes with it */

/* For a prompt of n positions: gives every edit its values. Along each axis the record must hold
   the coordinates that the edit's slice means, or have size 1, which then goes everywhere (one
   steering vector at all positions). `edits` are those of edit_source_open. */
int edit_source_resolve(struct edit_source *s, struct gpt_edits *edits, int n, struct err *e);

#endif
