#include "act/compare.h"

#include <math.h>
#include <string.h>

/* Floats in their order as integers: neighbours are 1 apart, -0 and 0 are the same. */
static int64_t ordinal(double v)
{
    float f = (float)v;
    int32_t i;
    memcpy(&i, &f, sizeof i);
    return i < 0 ? -(int64_t)(i & 0x7fffffff) : i;
}

static void differing_pair(struct act_compare *c, const struct act_tolerance *t, double a, double b,
                           uint64_t number)
{
    double mag = fmax(fabs(a), fabs(b)), abs = fabs(a - b), rel = abs / mag, excess;
    double ulp = fabs((double)(ordinal(a) - ordinal(b)));
    if (!isfinite(a) || !isfinite(b)) {
        abs = rel = excess = INFINITY;
        if (isnan(a) || isnan(b))
            ulp = INFINITY;
    } else {
        excess = abs - (t->atol + t->rtol * mag);
    }
    c->differ += excess > 0;
    c->max_abs = fmax(c->max_abs, abs);
    c->max_rel = fmax(c->max_rel, rel);
    c->max_ulp = fmax(c->max_ulp, ulp);
    c->sum_sq += abs * abs;
    if (!c->any || excess > c->excess) {
        c->any = true;
        c->worst = number;
        c->excess = excess;
        c->a = a;
        c->b = b;
    }
}

void act_compare_add(struct act_compare *c, const struct act_tolerance *t, const void *a,
                     bool a_integer, const void *b, bool b_integer, size_t n)
{
    const float *fa = a, *fb = b;
    const int32_t *ia = a, *ib = b;
    uint64_t first = c->n;
    c->n += n;
    if (a_integer == b_integer && memcmp(a, b, n * 4) == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        double x = a_integer ? ia[i] : (double)fa[i];
        double y = b_integer ? ib[i] : (double)fb[i];
        if (x != y && !(isnan(x) && isnan(y)))
            differing_pair(c, t, x, y, first + i);
    }
}

bool act_compare_join(struct act_compare *c, const struct act_compare *part)
{
    bool worst = part->any && (!c->any || part->excess > c->excess);
    c->n += part->n;
    c->differ += part->differ;
    c->max_abs = fmax(c->max_abs, part->max_abs);
    c->max_rel = fmax(c->max_rel, part->max_rel);
    c->max_ulp = fmax(c->max_ulp, part->max_ulp);
    c->sum_sq += part->sum_sq;
    if (worst) {
        c->any = true;
        c->worst = part->worst;
        c->excess = part->excess;
        c->a = part->a;
        c->b = part->b;
    }
    return worst;
}

double act_compare_rms(const struct act_compare *c)
{
    return c->n ? sqrt(c->sum_sq / (double)c->n) : 0;
}
