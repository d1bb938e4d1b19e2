/* compare.h - how far two arrays of values are apart. */
#ifndef ACT_COMPARE_H
#define ACT_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct act_tolerance { /* a and b agree when |a - b| <= atol + rtol * max(|a|, |b|) */
    double atol, rtol;
};

/* Equal values are 0 apart, and so are two NaNs, two infinities of one sign, and -0 and 0. A NaN or
   an infinity against anything else is infinitely far, whatever the tolerance. All zero is a valid
   empty one. */
struct act_compare {
    uint64_t n;      /* pairs */
    uint64_t differ; /* that do not agree */
    double max_abs;  /* of |a - b| */
    double max_rel;  /* of |a - b| / max(|a|, |b|) */
    double sum_sq;   /* of (a - b)^2 */
    double max_ulp;  /* of the number of float32 values from a to b */
    /* The pair that is furthest beyond the tolerance (of equals the first); none while all pairs
       are equal. */
    bool any;
    uint64_t worst; /* its number */
    double excess, a, b;
};

/* Adds n pairs; integer: int32_t, else float. */
void act_compare_add(struct act_compare *c, const struct act_tolerance *t, const void *a,
                     bool a_integer, const void *b, bool b_integer, size_t n);
/* Adds what was found in `part`; true when it held the worst of all so far. */
bool act_compare_join(struct act_compare *c, const struct act_compare *part);
/* Root of the mean of (a - b)^2. */
double act_compare_rms(const struct act_compare *c);

#endif
