/* rng.h - seeded random numbers, the same on every machine (splitmix64: Steele, Lea and Flood,
   OOPSLA 2014). The state is any 64-bit seed. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <math.h>
#include <stdint.h>

static inline uint64_t rng_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Uniform in [0, 1), 53 bits. */
static inline double rng_uniform(uint64_t *state)
{
    return (double)(rng_next(state) >> 11) * 0x1p-53;
}

/* Uniform in 0 .. n-1; n from 1 to 2^53. */
static inline uint64_t rng_below(uint64_t *state, uint64_t n)
{
    return (uint64_t)(rng_uniform(state) * (double)n);
}

/* Normal with mean 0 and variance 1 (Marsaglia's polar method, 1964). */
static inline double rng_normal(uint64_t *state)
{
    double x, s;
    do {
        double y = 2 * rng_uniform(state) - 1;
        x = 2 * rng_uniform(state) - 1;
        s = x * x + y * y;
    } while (s >= 1 || s == 0);
    return x * sqrt(-2 * log(s) / s);
}

#endif
