/* source.h - items and records one after the other, from a stream or from an npz archive.

   How an archive becomes items:
   - "N/NAME" is record NAME of item N (what act-cache writes for several items);
   - an array of a hook point that has one dimension more than the hook point has is a batch, as
     TransformerLens saves it: row b belongs to item b;
   - anything else belongs to the one item there is.
   "tokens" (of integers) holds the items' token ids. Items come in ascending order, records in the
   archive's order. */
#ifndef ACT_SOURCE_H
#define ACT_SOURCE_H

#include "act/npz.h"
#include "act/reader.h"

struct act_source_opts { /* for archives only; all zero is fine */
    /* Arrays whose names begin so, without it; others only if labels() knows them. NULL: all. */
    const char *prefix;
    /* The labels of the dimensions that a record of this name has: fills label, returns their
       number, or -1 when the name is not known. NULL: none is known. */
    int (*labels)(const char *name, const char *label[ACT_MAX_DIMS]);
};

struct act_source;

/* A stream or an archive, told by content; "-" is stdin, which must be a stream. */
struct act_source *act_source_open(const char *path, const struct act_source_opts *o,
                                   struct err *e);
void act_source_close(struct act_source *s); /* NULL is fine */

const char *act_source_name(const struct act_source *s);
const struct act_header *act_source_header(const struct act_source *s); /* archive: empty */

/* Adds what `in` has to the header of a stream made of `first`, the sources before it, and `in`:
   keys that are not there yet, and its history. ERR_DATA naming both when their models differ. */
int act_source_merge(struct act_header *h, const struct act_source *first,
                     const struct act_source *in, struct err *e);

/* As act_reader_next and its friends, but every record is in an item: records that a stream has
   before its first item come in an item of their own, without tokens. */
int act_source_next(struct act_source *s, struct err *e);
const struct act_item *act_source_item(const struct act_source *s);
const struct act_record *act_source_record(const struct act_source *s);
uint64_t act_source_item_index(const struct act_source *s);
int act_source_values(struct act_source *s, void *values, size_t n, struct err *e);
int act_source_skip(struct act_source *s, size_t n, struct err *e);

#endif
