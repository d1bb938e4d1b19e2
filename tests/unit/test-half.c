/* 16-bit floats against their definition: sign, exponent, fraction, by ldexp. */
#include "num/half.h"

#include <stdint.h>
#include <stdlib.h>

#include "test.h"

struct type {
    const char *name;
    int exp_bits, frac_bits;
    void (*narrow)(uint16_t *restrict, const float *restrict, size_t);
    void (*widen)(float *restrict, const uint16_t *restrict, size_t);
};
static const struct type types[] = {
    {"f16", 5, 10, half_from_float, half_to_float},
    {"bf16", 8, 7, bfloat_from_float, bfloat_to_float},
};

static double defined(const struct type *t, unsigned h)
{
    int bias = (1 << (t->exp_bits - 1)) - 1,
        e = (int)(h >> t->frac_bits) & ((1 << t->exp_bits) - 1);
    double frac = h & ((1u << t->frac_bits) - 1), sign = h >> 15 ? -1 : 1;
    if (e == 2 * bias + 1)
        return frac == 0 ? sign * (double)INFINITY : (double)NAN;
    return sign * (e ? ldexp(frac + (1 << t->frac_bits), e - bias - t->frac_bits)
                     : ldexp(frac, 1 - bias - t->frac_bits));
}

static float widen(const struct type *t, unsigned h)
{
    uint16_t u = (uint16_t)h;
    float f;
    t->widen(&f, &u, 1);
    return f;
}

static unsigned narrow(const struct type *t, float f)
{
    uint16_t h;
    t->narrow(&h, &f, 1);
    return h;
}

static uint32_t bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

static float of_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static void widening_is_the_definition(void)
{
    for (int k = 0; k < 2; k++) {
        for (unsigned h = 0; h < 65536; h++) {
            float got = widen(&types[k], h);
            double want = defined(&types[k], h);
            if (isnan(want) ? !isnan(got) : got != want || !signbit(got) != !(h >> 15)) {
                printf("# %s %04x: %.9g, want %.9g\n", types[k].name, h, (double)got, want);
                CHECK(!"equal");
            }
        }
    }
}

static void narrowing_gives_back_what_was_widened(void)
{
    for (int k = 0; k < 2; k++) {
        unsigned quiet = 1u << (types[k].frac_bits - 1);
        for (unsigned h = 0; h < 65536; h++)
            CHECK(narrow(&types[k], widen(&types[k], h)) ==
                  (isnan(defined(&types[k], h)) ? h | quiet : h));
    }
}

/* Between two neighbours: what is nearer, and in the middle the even one. */
static void narrowing_rounds_to_nearest_even(void)
{
    for (int k = 0; k < 2; k++) {
        const struct type *t = &types[k];
        unsigned inf = ((1u << t->exp_bits) - 1) << t->frac_bits;
        for (unsigned h = 0; h < inf; h++) {
            /* Beyond the largest number, the next one would be 2^(bias + 1). */
            double next =
                h + 1 < inf ? defined(t, h + 1) : 2 * defined(t, inf - (1u << t->frac_bits));
            double middle = (defined(t, h) + next) / 2;
            unsigned even = h & 1 ? h + 1 : h;
            if (middle != (double)(float)middle) /* below float32's own last place */
                continue;
            float m = (float)middle, below = nextafterf(m, 0), above = nextafterf(m, INFINITY);
            CHECK(narrow(t, m) == even);
            CHECK(narrow(t, below) == h);
            CHECK(narrow(t, above) == h + 1);
            CHECK(narrow(t, -m) == (even | 0x8000u) && narrow(t, -above) == ((h + 1) | 0x8000u));
        }
    }
}

static void extremes(void)
{
    for (int k = 0; k < 2; k++) {
        const struct type *t = &types[k];
        unsigned inf = ((1u << t->exp_bits) - 1) << t->frac_bits;
        CHECK(narrow(t, INFINITY) == inf && narrow(t, -INFINITY) == (inf | 0x8000u));
        CHECK(narrow(t, of_bits(0x7f7fffff)) == inf); /* the largest float32 */
        CHECK(narrow(t, of_bits(1)) == 0 && narrow(t, of_bits(0x80000001)) == 0x8000u);
    }
    CHECK(narrow(&types[0], 65519.996f) == 0x7bff && narrow(&types[0], 65520.0f) == 0x7c00);
}

static void nans_stay_nans_of_their_sign(void)
{
    for (int k = 0; k < 2; k++) {
        const struct type *t = &types[k];
        for (uint32_t payload = 1; payload < 0x800000; payload += 4099) {
            CHECK(isnan(defined(t, narrow(t, of_bits(0x7f800000 | payload)))));
            unsigned h = narrow(t, of_bits(0xff800000 | payload));
            CHECK(isnan(defined(t, h)) && h >> 15);
            /* Upper bits of the payload are kept. */
            CHECK((bits(widen(t, h)) & 0x3fffff) >> (23 - t->frac_bits) ==
                  (payload & 0x3fffff) >> (23 - t->frac_bits));
        }
    }
}

/* The arrays go through vector code, single values do not. */
static void arrays_are_converted_as_single_values_are(void)
{
    const size_t n = 100003;
    float *f = malloc(4 * n), *g = malloc(4 * n);
    uint16_t *h = malloc(2 * n);
    uint32_t x = 7;
    for (int k = 0; k < 2 && f && g && h; k++) {
        for (size_t i = 0; i < n; i++)
            f[i] = of_bits(x = x * 1664525u + 1013904223u);
        types[k].narrow(h, f, n);
        types[k].widen(g, h, n);
        for (size_t i = 0; i < n; i++) {
            CHECK(h[i] == narrow(&types[k], f[i]));
            CHECK(bits(g[i]) == bits(widen(&types[k], h[i])));
        }
    }
    free(f);
    free(g);
    free(h);
}

int main(void)
{
    RUN(widening_is_the_definition);
    RUN(narrowing_gives_back_what_was_widened);
    RUN(narrowing_rounds_to_nearest_even);
    RUN(extremes);
    RUN(nans_stay_nans_of_their_sign);
    RUN(arrays_are_converted_as_single_values_are);
    return test_done();
}
