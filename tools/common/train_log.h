/* train_log.h - log.tsv: a row at every evaluation, there as soon as it is known, so that a plot
   can follow the run. */
#ifndef COMMON_TRAIN_LOG_H
#define COMMON_TRAIN_LOG_H

#include <stdint.h>

#include "base/err.h"

#define TRAIN_LOG_COLUMNS "step train_loss val_loss lr grad_norm tokens_per_s fraction_of_sgemm"

struct train_log {
    int fd;
    char *path;
    int64_t last; /* step of the last row; -1: none */
};

struct train_row {
    int64_t step;
    double train, val, lr, norm, tokens_per_s, fraction;
};

/* Begins path anew (from -1), or keeps its rows up to step `from`. */
int train_log_open(struct train_log *l, const char *path, int64_t from, struct err *e);
int train_log_add(struct train_log *l, const struct train_row *r, struct err *e);
void train_log_close(struct train_log *l);

#endif
