/* AdamW, norm and clipping against PyTorch's (tests/fixtures/train/make.py). */
#include <stdlib.h>

#include "num/adamw.h"
#include "test.h"
#include "torch-adamw.h"

enum { N = 12, MATRIX = 8, STEPS = 6 };

/* Twelve numbers, of which the first eight decay. */
static void torch_steps(void)
{
    float w[N], g[N], m[N] = {0}, v[N] = {0};
    memcpy(w, ADAMW_START, sizeof w);
    for (int step = 0; step < STEPS; step++) {
        memcpy(g, ADAMW_GRAD + step * N, sizeof g);
        double norm = num_norm(g, N);
        CHECK_NEAR(norm, ADAMW_NORM[step], 1e-6 * norm); /* PyTorch sums in float */
        struct num_adamw o = {.lr = 1e-2 / (step + 1),
                              .beta1 = 0.9,
                              .beta2 = 0.95,
                              .eps = 1e-8,
                              .weight_decay = 0.1,
                              .grad_scale = num_clip(norm, 1),
                              .step = step + 1};
        num_adamw(&o, w, g, m, v, MATRIX);
        o.weight_decay = 0;
        num_adamw(&o, w + MATRIX, g + MATRIX, m + MATRIX, v + MATRIX, N - MATRIX);
        for (int i = 0; i < N; i++) {
            CHECK_NEAR(w[i], ADAMW_AFTER[step * N + i],
                       3e-7); /* two last places of numbers near 2 */
            CHECK(g[i] == 0);
        }
    }
}

/* A gradient that was scaled is as good as one that is scaled on the way; no decay without a rate.
 */
static void scale_and_decay(void)
{
    float a[3] = {1, -2, 3}, b[3] = {1, -2, 3}, g[3] = {0.5f, 0.25f, -4}, h[3];
    float m[2][3] = {{0}}, v[2][3] = {{0}};
    struct num_adamw o = {
        .lr = 0.1, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .grad_scale = 0.5, .step = 1};
    for (int i = 0; i < 3; i++)
        h[i] = g[i] / 2;
    num_adamw(&o, a, g, m[0], v[0], 3);
    o.grad_scale = 1;
    num_adamw(&o, b, h, m[1], v[1], 3);
    CHECK(memcmp(a, b, sizeof a) == 0 && memcmp(v[0], v[1], sizeof v[0]) == 0);
    /* The first step of Adam is lr in the gradient's direction, whatever its size. */
    CHECK_NEAR(a[0], 0.9, 1e-6);
    CHECK_NEAR(a[2], 3.1, 1e-6);
    o.lr = 0;
    o.weight_decay = 10;
    h[0] = 1;
    num_adamw(&o, b, h, m[1], v[1], 3);
    CHECK(memcmp(a, b, sizeof a) == 0);
}

/* Lengths around every chunk and lane, and the closed form of a sum of squares. */
static void norm(void)
{
    enum { MAX = 70000 };
    float *x = malloc(MAX * sizeof *x);
    for (int i = 0; i < MAX; i++)
        x[i] = (float)(i % 1000);
    for (int n = 0; n < 700; n++) {
        double k = n - 1;
        CHECK_NEAR(num_norm(x, (size_t)n), n ? sqrt(k * (k + 1) * (2 * k + 1) / 6) : 0, 1e-9 * n);
    }
    CHECK_NEAR(num_norm(x, MAX), sqrt(70 * 999.0 * 1000 * 1999 / 6), 1e-6);
    CHECK_NEAR(num_norm(x, MAX - 3),
               sqrt(70 * 999.0 * 1000 * 1999 / 6 - 999 * 999 - 998 * 998 - 997 * 997), 1e-6);
    x[69999] = INFINITY;
    CHECK(isinf(num_norm(x, MAX)));
    x[5] = NAN;
    CHECK(isnan(num_norm(x, MAX)));
    free(x);
}

static void clip(void)
{
    CHECK(num_clip(0.5, 1) == 1);
    CHECK_NEAR(num_clip(4, 1), 1 / 4.000001, 1e-15);
    CHECK(num_clip(4, 0) == 1);
    CHECK(num_clip(0, 1) == 1);
}

int main(void)
{
    RUN(torch_steps);
    RUN(scale_and_decay);
    RUN(norm);
    RUN(clip);
    return test_done();
}
