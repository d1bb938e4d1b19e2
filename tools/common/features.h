/* features.h - the k tokens in context that excite each feature of a stream's [pos, X] records
   most, for all hook points at once. Memory: features x (8k + 20) bytes, and one context (some 100
   bytes) for each token that is among the k of any feature; never more for a longer stream. */
#ifndef COMMON_FEATURES_H
#define COMMON_FEATURES_H

#include "act/reader.h"
#include "interp/contexts.h"
#include "interp/topk.h"
#include "neuron_list.h"
#include "rows.h"

#define FEATURES_MAX (1u << 22) /* widest record taken */

struct feature_hook {
    char name[ACT_NAME_MAX];
    int layer;           /* -1: outside the blocks */
    struct act_dim axis; /* of the records; the same in every item */
    uint32_t *pick;      /* [top.n] which of the axis are followed, ascending */
    struct topk top;
};

struct features {
    size_t k, context;           /* examples a feature; tokens shown on each side */
    struct neuron_list *neurons; /* which are followed; the caller's */
    struct feature_hook *hook;   /* in the order of their first records */
    size_t n, cap;
    struct contexts contexts;
    uint32_t *tag_at; /* context of each position of the current item, if it still stands */
    size_t cap_tags;
    struct rows rows;
    float *picked; /* one row's followed values */
    size_t cap_picked;
};

void features_init(struct features *f, size_t k, size_t context, struct neuron_list *neurons);
void features_release(struct features *f);

/* Reads the current record. ERR_DATA: not [pos, X] floats; another axis than in earlier items; a
   position outside the item; NaN or infinity. */
int features_read(struct features *f, struct act_reader *in, struct err *e);

/* The coordinate of followed feature i, and its label: L3N70, or NAME[70] when the axis is not
   "neuron". */
int32_t feature_index(const struct feature_hook *h, size_t i);
void feature_label(const struct feature_hook *h, size_t i, char *label, size_t size);

#endif
