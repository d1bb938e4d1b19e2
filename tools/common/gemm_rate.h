/* gemm_rate.h - what this machine can do: the ceiling that costs and speeds are held against. */
#ifndef COMMON_GEMM_RATE_H
#define COMMON_GEMM_RATE_H

#include "base/err.h"

/* FLOP/s of square sgemm products on all threads, the best of a few; some milliseconds. */
int gemm_rate(double *rate, struct err *e);

#endif
