#include "num/half.h"

#include <string.h>

/* The loops have no branches, so that compilers turn them into vector code. */

static inline uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Adding 2^-1 (as a number whose last place is f16's smallest subnormal, 2^-24) makes the adder
   round subnormal results; normal ones are rounded by integer arithmetic on the bits. */
static inline uint16_t narrow_f16(float f)
{
    uint32_t u = bits_of(f), sign = u >> 16 & 0x8000u, a = u & 0x7fffffffu;
    uint32_t nan = 0x7e00u | (a >> 13 & 0x3ffu);
    uint32_t small = bits_of(float_of(a < 0x38800000u ? a : 0) + 0.5f) - bits_of(0.5f);
    uint32_t normal = (a - 0x38000000u + 0xfffu + (a >> 13 & 1u)) >> 13;
    uint32_t h = a < 0x38800000u ? small : normal;
    h = a >= 0x477ff000u ? 0x7c00u : h; /* 65520: half way to what would be 65536 */
    h = a > 0x7f800000u ? nan : h;
    return (uint16_t)(sign | h);
}

/* Subnormals are integers times 2^-24, which float32 holds exactly. (Masks, as gcc makes branches
   of the conditional operator here.) */
static inline float widen_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, a = h & 0x7fffu;
    uint32_t is_small = 0u - (uint32_t)(a < 0x400u), is_special = 0u - (uint32_t)(a >= 0x7c00u);
    uint32_t small = bits_of((float)(int32_t)(a & 0x3ffu) * 0x1p-24f);
    uint32_t normal = (a << 13) + 0x38000000u;
    return float_of(sign | (small & is_small) | (normal & ~is_small) | (0x7f800000u & is_special));
}

static inline uint16_t narrow_bf16(float f)
{
    uint32_t u = bits_of(f);
    uint32_t rounded = (u + 0x7fffu + (u >> 16 & 1u)) >> 16;
    uint32_t nan = u >> 16 | 0x40u;
    return (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

void half_from_float(uint16_t *restrict to, const float *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = narrow_f16(from[i]);
}

void half_to_float(float *restrict to, const uint16_t *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = widen_f16(from[i]);
}

void bfloat_from_float(uint16_t *restrict to, const float *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = narrow_bf16(from[i]);
}

void bfloat_to_float(float *restrict to, const uint16_t *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = float_of((uint32_t)from[i] << 16);
}
