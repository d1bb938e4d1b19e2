/* half.h - 16-bit floats: IEEE binary16 ("f16") and the upper half of binary32 ("bf16"). */
#ifndef NUM_HALF_H
#define NUM_HALF_H

#include <stddef.h>
#include <stdint.h>

/* n values each. Narrowing rounds to nearest, ties to even; what is too large becomes infinity
   (f16: from 65520 on), what is too small a subnormal or zero of its sign. Infinities stay; a NaN
   stays a NaN of its sign with the upper bits of its payload, and becomes quiet. Widening is exact.
   The arrays must not overlap. */
void half_from_float(uint16_t *restrict to, const float *restrict from, size_t n);
void half_to_float(float *restrict to, const uint16_t *restrict from, size_t n);
void bfloat_from_float(uint16_t *restrict to, const float *restrict from, size_t n);
void bfloat_to_float(float *restrict to, const uint16_t *restrict from, size_t n);

#endif
