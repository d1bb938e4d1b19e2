#include "common/gemm_rate.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "num/gemm.h"

int gemm_rate(double *rate, struct err *e)
{
    enum { N = 768, TIMES = 4 };
    float *a = mem_calloc(3 * N * N, sizeof *a, e);
    if (!a)
        return -1;
    *rate = 0;
    for (int i = 0; i < TIMES; i++) {
        double t = clock_seconds();
        num_gemm(false, false, N, N, N, 1, a, N, a + N * N, N, 0, a + 2 * N * N, N);
        t = 2.0 * N * N * N / (clock_seconds() - t);
        *rate = t > *rate ? t : *rate;
    }
    free(a);
    return 0;
}
