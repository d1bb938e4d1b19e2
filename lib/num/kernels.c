#include "num/kernels.h"

#include <math.h>
#include <string.h>

#define MIN_PARALLEL 16384 /* elements below which waking the other threads costs more */

/* e^x for vector loops: relative error below 2e-7; below -87.3 (and for -inf) exactly 0, above 88.3
   capped. Cody-Waite reduction and the degree-5 polynomial of Cephes' expf (Moshier). */
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
        int i;
        float f;
    } two = {((int)n + 127) << 23};
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

void num_gelu_tanh(float *x, size_t n)
{
#pragma omp parallel for simd if (n > MIN_PARALLEL)
    for (size_t i = 0; i < n; i++) {
        float v = x[i];
        float u = 0.7978845608028654f * (v + 0.044715f * v * v * v);
        /* 0.5 (1 + tanh u) = 1 / (1 + e^-2u) */
        x[i] = v / (1.0f + fast_exp(-2.0f * u));
    }
}

void num_gelu_erf(float *x, size_t n)
{
#pragma omp parallel for simd if (n > MIN_PARALLEL)
    for (size_t i = 0; i < n; i++)
        x[i] = 0.5f * x[i] * (1.0f + fast_erf(x[i] * 0.70710678118654752f));
}

void num_relu(float *x, size_t n)
{
#pragma omp parallel for simd if (n > MIN_PARALLEL)
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] > 0.0f ? x[i] : 0.0f;
}

void num_ln_stats(const float *x, size_t rows, size_t d, float eps, float *mean, float *scale)
{
#pragma omp parallel for if (rows * d > MIN_PARALLEL)
    for (size_t r = 0; r < rows; r++) {
        const float *v = x + r * d;
        float sum = 0, sq = 0;
#pragma omp simd reduction(+ : sum)
        for (size_t i = 0; i < d; i++)
            sum += v[i];
        float m = sum / (float)d;
#pragma omp simd reduction(+ : sq)
        for (size_t i = 0; i < d; i++)
            sq += (v[i] - m) * (v[i] - m);
        mean[r] = m;
        scale[r] = sqrtf(sq / (float)d + eps);
    }
}

void num_ln_apply(const float *x, size_t rows, size_t d, const float *mean, const float *scale,
                  const float *w, const float *b, float *y)
{
#pragma omp parallel for if (rows * d > MIN_PARALLEL)
    for (size_t r = 0; r < rows; r++) {
        const float *v = x + r * d;
        float *o = y + r * d;
        float m = mean[r], inv = 1.0f / scale[r];
        if (b) {
#pragma omp simd
            for (size_t i = 0; i < d; i++)
                o[i] = (v[i] - m) * inv * w[i] + b[i];
        } else {
#pragma omp simd
            for (size_t i = 0; i < d; i++)
                o[i] = (v[i] - m) * inv * w[i];
        }
    }
}

void num_fill_rows(float *y, size_t rows, size_t n, const float *b)
{
#pragma omp parallel for if (rows * n > MIN_PARALLEL)
    for (size_t r = 0; r < rows; r++) {
        if (b)
            memcpy(y + r * n, b, n * sizeof *y);
        else
            memset(y + r * n, 0, n * sizeof *y);
    }
}

void num_add(float *y, const float *x, size_t n)
{
#pragma omp parallel for simd if (n > MIN_PARALLEL)
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

/* Sixteen maxima side by side: clang does not vectorise a max reduction, since NaNs forbid it to
   change the order. NaNs are passed over. */
static float row_max(const float *x, size_t n)
{
    float lane[16], m = -INFINITY;
    size_t i = 0;
    for (int j = 0; j < 16; j++)
        lane[j] = -INFINITY;
    for (; i + 16 <= n; i += 16) {
#pragma omp simd
        for (int j = 0; j < 16; j++)
            lane[j] = x[i + (size_t)j] > lane[j] ? x[i + (size_t)j] : lane[j];
    }
    for (; i < n; i++)
        m = x[i] > m ? x[i] : m;
    for (int j = 0; j < 16; j++)
        m = lane[j] > m ? lane[j] : m;
    return m;
}

void num_softmax_row(float *x, size_t n, size_t width)
{
    float m = row_max(x, n), sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) {
        x[i] = fast_exp(x[i] - m);
        sum += x[i];
    }
    float inv = 1.0f / sum;
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        x[i] *= inv;
    memset(x + n, 0, (width - n) * sizeof *x);
}

double num_logsumexp(const float *x, size_t n)
{
    float m = row_max(x, n);
    double total = 0;
    for (size_t i = 0; i < n; i += 4096) { /* float partial sums, double between them */
        size_t end = n - i < 4096 ? n : i + 4096;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (size_t j = i; j < end; j++)
            sum += fast_exp(x[j] - m);
        total += (double)sum;
    }
    return (double)m + log(total);
}

void num_exp_sub(const float *x, size_t n, double lse, float *p)
{
    float s = (float)lse;
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        p[i] = fast_exp(x[i] - s);
}
