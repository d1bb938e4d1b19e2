#include "interp/head_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

double head_stat_mean(const struct head_stat *s)
{
    return s->n > 0 ? s->mean : NAN;
}

double head_stat_se(const struct head_stat *s)
{
    return s->n > 1 ? sqrt(s->m2 / (s->n - 1) / s->n) : NAN;
}

static int order(const struct head_cell *c, int layer, int32_t head)
{
    return c->layer != layer ? (c->layer > layer) - (c->layer < layer)
                             : (c->head > head) - (c->head < head);
}

/* The cell of a head, made when it is new. Streams repeat the same heads in the same order, so the
   cell after the last one is nearly always right. */
static struct head_cell *find_cell(struct head_table *t, int layer, int32_t head, struct err *e)
{
    if (t->next >= t->n)
        t->next = 0;
    if (t->n && order(&t->cell[t->next], layer, head) == 0)
        return &t->cell[t->next++];
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (order(&t->cell[mid], layer, head) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == t->n || order(&t->cell[low], layer, head) != 0) {
        if (mem_grow(&t->cell, &t->cap, t->n + 1, sizeof *t->cell, e))
            return NULL;
        memmove(t->cell + low + 1, t->cell + low, (t->n - low) * sizeof *t->cell);
        t->cell[low] = (struct head_cell){.layer = layer, .head = head};
        t->n++;
    }
    t->next = low + 1;
    return &t->cell[low];
}

int head_table_add(struct head_table *t, int layer, int32_t head, const double score[N_HEAD_SCORES],
                   struct err *e)
{
    struct head_cell *c = find_cell(t, layer, head, e);
    if (!c)
        return -1;
    for (int i = 0; i < N_HEAD_SCORES; i++) {
        struct head_stat *s = &c->stat[i];
        if (isnan(score[i]))
            continue;
        double d = score[i] - s->mean;
        s->n++;
        s->mean += d / s->n;
        s->m2 += d * (score[i] - s->mean);
    }
    return 0;
}

void head_table_release(struct head_table *t)
{
    free(t->cell);
    *t = (struct head_table){0};
}
