/* train_run.h - the run of gpt-train: steps, evaluations, snapshots and checkpoints until the end,
   a signal, or a loss that is no number. */
#ifndef COMMON_TRAIN_RUN_H
#define COMMON_TRAIN_RUN_H

#include "common/train_in.h"

/* The exit status: 0, or 128 + the signal after SIGINT or SIGTERM (a checkpoint is made before);
   -1. Snapshots are printed to standard output, a line each. */
int train_run(struct train_in *in, struct err *e);

/* ERR_USAGE when --snapshots cannot be understood (NULL can). */
int train_snapshots_check(const char *list, struct err *e);

/* -n: a table of one row with what the run would cost; see gpt-train's description. */
int train_cost(const struct train_in *in, struct err *e);

#endif
