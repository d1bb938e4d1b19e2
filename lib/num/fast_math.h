/* fast_math.h - exp and erf that compilers vectorise. Private to lib/num. */
#ifndef NUM_FAST_MATH_H
#define NUM_FAST_MATH_H

#include <math.h>

/* e^x for vector loops: relative error below 2e-7; below -87.3 (and for -inf) exactly 0, above 88.3
   capped; NaN stays. Cody-Waite reduction and the degree-5 polynomial of Cephes' expf (Moshier). */
static inline float fast_exp(float x)
{
    float c = x > 88.3f ? 88.3f : x;
    c = c < -87.3f ? -87.3f : c;
    float n = rintf(c * 1.44269504088896341f);
    float r = c - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    union {
        unsigned i;
        float f;
    } two = {((unsigned)(int)n + 127u) << 23}; /* unsigned: a NaN's n may be anything */
    return x < -87.3f ? 0.0f : p * two.f;
}

/* erf for vector loops: absolute error below 3e-7; the rational approximation of Eigen and
   TensorFlow for |x| <= 4, beyond which erf is 1 in float. */
static inline float fast_erf(float x)
{
    float c = x > 4.0f ? 4.0f : x;
    c = c < -4.0f ? -4.0f : c;
    float s = c * c;
    float p = -2.72614225801306e-10f;
    p = p * s + 2.77068142495902e-08f;
    p = p * s - 2.10102402082508e-06f;
    p = p * s - 5.69250639462346e-05f;
    p = p * s - 7.34990630326855e-04f;
    p = p * s - 2.95459980854025e-03f;
    p = p * s - 1.60960333262415e-02f;
    float q = -1.45660718464996e-05f;
    q = q * s - 2.13374055278905e-04f;
    q = q * s - 1.68282697438203e-03f;
    q = q * s - 7.37332916720468e-03f;
    q = q * s - 1.42647390514189e-02f;
    return c * p / q;
}

#endif
