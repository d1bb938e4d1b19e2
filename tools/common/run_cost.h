/* run_cost.h - gpt-run -n: what a run would cost, without doing it. */
#ifndef COMMON_RUN_COST_H
#define COMMON_RUN_COST_H

#include "bridge/emit.h"
#include "gpt/prompt.h"

/* A table of one row: prompts, tokens, GEMM FLOPs of the passes, bytes of values that a stream
   would carry before compression (emit NULL: 0), this machine's sgemm rate, measured for a moment,
   and the seconds that follow: FLOPs at 80 % of that rate, bytes at 500 MB/s. */
int run_cost(const struct gpt_model *m, struct prompt_source *src, const struct gpt_plan *plan,
             const struct emit *emit, const char *path, struct err *e);

#endif
