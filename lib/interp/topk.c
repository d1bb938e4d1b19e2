#include "interp/topk.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define STRIP 64 /* features tested at once for "does any enter?" */

int topk_init(struct topk *t, size_t n, size_t k, struct err *e)
{
    *t = (struct topk){.n = n, .k = k};
    if (k > SIZE_MAX / n)
        return err_set(e, ERR_SYS, "%zu features: too many", n);
    t->threshold = mem_alloc(n, sizeof *t->threshold, e);
    t->sum = mem_calloc(n, sizeof *t->sum, e);
    t->active = mem_calloc(n, sizeof *t->active, e);
    t->value = mem_alloc(n * k, sizeof *t->value, e);
    t->tag = mem_alloc(n * k, sizeof *t->tag, e);
    t->hit = mem_alloc(n, sizeof *t->hit, e);
    if (!t->threshold || !t->sum || !t->active || !t->value || !t->tag || !t->hit) {
        topk_release(t);
        return -1;
    }
    for (size_t i = 0; i < n; i++)
        t->threshold[i] = -INFINITY;
    return 0;
}

void topk_release(struct topk *t)
{
    free(t->threshold);
    free(t->sum);
    free(t->active);
    free(t->value);
    free(t->tag);
    free(t->hit);
    *t = (struct topk){0};
}

size_t topk_filled(const struct topk *t)
{
    return t->rows < t->k ? (size_t)t->rows : t->k;
}

/* Statistics of features [from, to); *enter: does any value exceed its threshold? */
static bool scan_strip(struct topk *t, const float *row, size_t from, size_t to, bool *enter)
{
    const float *threshold = t->threshold;
    double *sum = t->sum;
    uint64_t *active = t->active;
    int above = 0, bad = 0;
#pragma omp simd reduction(| : above, bad)
    for (size_t i = from; i < to; i++) {
        float v = row[i];
        above |= v > threshold[i];
        bad |= !(fabsf(v) <= FLT_MAX);
        sum[i] += (double)v;
        active[i] += v > 0;
    }
    *enter = above;
    return !bad;
}

bool topk_scan(struct topk *t, const float *row, size_t *n_hits)
{
    size_t hits = 0;
    bool finite = true;
    for (size_t from = 0; from < t->n; from += STRIP) {
        size_t to = t->n - from < STRIP ? t->n : from + STRIP;
        bool enter;
        finite = scan_strip(t, row, from, to, &enter) && finite;
        if (!enter)
            continue;
        for (size_t i = from; i < to; i++) {
            t->hit[hits] = (uint32_t)i;
            hits += row[i] > t->threshold[i];
        }
    }
    t->rows++;
    *n_hits = hits;
    return finite;
}

uint32_t topk_insert(struct topk *t, size_t feature, float value, uint32_t tag)
{
    float *v = t->value + feature * t->k;
    uint32_t *g = t->tag + feature * t->k;
    size_t filled = topk_filled(t); /* with this row's entry */
    bool full = t->rows > t->k;
    uint32_t out = full ? g[t->k - 1] : TOPK_NONE;
    size_t at = filled - 1;
    for (; at > 0 && v[at - 1] < value; at--) {
        v[at] = v[at - 1];
        g[at] = g[at - 1];
    }
    v[at] = value;
    g[at] = tag;
    if (t->rows >= t->k)
        t->threshold[feature] = v[t->k - 1];
    return out;
}
