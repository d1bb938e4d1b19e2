/* topk.h - for each of n features (neurons, residual dimensions …), the k greatest of a sequence of
   rows of n activations, and their statistics, in one pass and in memory that does not depend on
   the number of rows: n * (8k + 20) bytes.

   The caller gives each row a tag (what the row is: a token in its context) and learns which tags
   are kept and which fall out, so that it holds contexts only while they are wanted. */
#ifndef INTERP_TOPK_H
#define INTERP_TOPK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TOPK_NONE UINT32_MAX

struct topk {
    size_t n, k;
    uint64_t rows;    /* scanned so far */
    float *threshold; /* [n] what a value must exceed: the k-th greatest; -inf while rows < k */
    double *sum;      /* [n] */
    uint64_t *active; /* [n] rows where the value is > 0 */
    float *value;     /* [n,k] descending; of equal values the earlier row comes first */
    uint32_t *tag;    /* [n,k] */
    uint32_t *hit;    /* [n] features that the row last scanned enters */
};

/* n and k at least 1. ERR_SYS when out of memory. */
int topk_init(struct topk *t, size_t n, size_t k, struct err *e);
void topk_release(struct topk *t);

/* Entries that each feature has now: min(rows, k). */
size_t topk_filled(const struct topk *t);

/* Adds a row of n values to the statistics; *n_hits features have their indices in t->hit, in
   ascending order: call topk_insert once for each of them before the next row. false, with the
   sums spoilt, when a value is NaN or infinite. */
bool topk_scan(struct topk *t, const float *row, size_t *n_hits);

/* Enters a value of the row last scanned. Returns the tag that fell out, or TOPK_NONE. */
uint32_t topk_insert(struct topk *t, size_t feature, float value, uint32_t tag);

#endif
