/* transform.h - from the items and records of sources to those of one stream: chosen, sliced,
   averaged, stored as another type. */
#ifndef ACT_TRANSFORM_H
#define ACT_TRANSFORM_H

#include "act/mean.h"
#include "act/slice.h"

struct act_transform { /* all zero, but for dtype and w: copies everything */
    struct spec items; /* no ranges: all; counted over all sources */
    struct act_slices slices;
    struct act_mean mean;                       /* neither items nor labels: none */
    int dtype;                                  /* enum act_dtype, or -1: as it is (means: F32) */
    bool (*want)(void *user, const char *name); /* NULL: every record */
    void *user;
    struct act_writer *w; /* the caller's */
    /* Results: */
    uint64_t n_items, n_kept; /* read; written or averaged */
    bool in_kept;             /* the current item is one of those */
    float *chunk;
};

/* Takes what the source has just come to: ACT_ITEM or ACT_RECORD. */
int act_transform_take(struct act_transform *t, struct act_source *in, int event, struct err *e);
/* Writes what is only known now (a mean over items); the caller then finishes the writer. */
int act_transform_end(struct act_transform *t, struct err *e);
void act_transform_release(struct act_transform *t);

#endif
