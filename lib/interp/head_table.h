/* head_table.h - mean and standard error over items of scores, per (layer, head). */
#ifndef INTERP_HEAD_TABLE_H
#define INTERP_HEAD_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "interp/head_scores.h"

struct head_stat { /* Welford's running mean and sum of squared deviations */
    double n, mean, m2;
};
double head_stat_mean(const struct head_stat *s); /* NaN when n is 0 */
double head_stat_se(const struct head_stat *s);   /* standard error of the mean; NaN below n 2 */

struct head_cell {
    int layer;
    int32_t head;
    struct head_stat stat[N_HEAD_SCORES];
};

/* Heads of any layers may come in any order, and may differ from item to item. Zeroed: empty. */
struct head_table {
    struct head_cell *cell; /* ascending by layer, then head */
    size_t n, cap;
    size_t next; /* where the head that is expected next stands */
};

/* Adds one item's scores of a head; NaN adds nothing to that score. ERR_SYS when out of memory. */
int head_table_add(struct head_table *t, int layer, int32_t head, const double score[N_HEAD_SCORES],
                   struct err *e);
void head_table_release(struct head_table *t);

#endif
