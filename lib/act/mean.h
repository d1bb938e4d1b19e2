/* mean.h - means of records over items, over dimensions, or both, in double precision. Every value
   counts the same: over items and positions together, a longer item has more weight. */
#ifndef ACT_MEAN_H
#define ACT_MEAN_H

#include "act/slice.h"
#include "act/writer.h"

struct act_mean_slot {     /* of one record name */
    struct act_record rec; /* the result: without the dimensions averaged over */
    double *sum;
    size_t cap;     /* of sum, which grows as values arrive: dimensions that lie cost nothing */
    uint64_t items; /* summed so far */
    uint64_t terms; /* values that went into each sum */
};
struct act_mean {
    bool items;                              /* over items too */
    char label[ACT_MAX_DIMS][ACT_LABEL_MAX]; /* dimensions to average over */
    bool used[ACT_MAX_DIMS];                 /* some record had it */
    int n_labels;
    struct act_mean_slot *slot; /* in order of first appearance; at most one unless `items` */
    size_t n, cap;
    /* The record being summed: */
    struct act_mean_slot *now;
    int n_dims;
    uint32_t size[ACT_MAX_DIMS], at[ACT_MAX_DIMS];
    size_t stride[ACT_MAX_DIMS]; /* in sum; 0 along dimensions averaged over */
    bool integer;
};

/* What to average over: "items" and labels, joined by commas. */
int act_mean_init(struct act_mean *m, const char *text, struct err *e);
/* The label of a dimension that no record had, or NULL. */
const char *act_mean_unused(const struct act_mean *m);
void act_mean_release(struct act_mean *m);

/* Begins record r of an item; its values then go to act_mean_put, which is an act_put. ERR_DATA
   when an earlier item's record of that name had another shape. Where only coordinates differ, the
   result counts from 0. */
int act_mean_begin(struct act_mean *m, const struct act_record *r, struct err *e);
int act_mean_put(void *mean, const void *values, size_t n, struct err *e);

/* Writes the slot as a record of the type. */
int act_mean_write(struct act_mean_slot *slot, enum act_dtype t, struct act_writer *w,
                   struct err *e);
/* Writes the item "mean of N items" and all slots. ERR_DATA when one was not in every item. */
int act_mean_write_item(struct act_mean *m, uint64_t n_items, enum act_dtype t,
                        struct act_writer *w, struct err *e);

#endif
