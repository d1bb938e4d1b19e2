/* source_in.h - a stream that gives one run's activations for each prompt pair, in order. */
#ifndef COMMON_SOURCE_IN_H
#define COMMON_SOURCE_IN_H

#include "bridge/source.h"
#include "common/stream_in.h"
#include "gpt/prompt.h"

struct source_in {
    struct stream_in in;
    int event; /* what comes next */
    uint64_t items;
};

/* Opens the stream ("-": stdin) and checks that it comes from this model. */
int source_in_open(struct source_in *s, const char *path, const struct gpt_model *m, struct err *e);
void source_in_close(struct source_in *s);

/* Loads the next item into the points that have room in c. ERR_DATA when there is none, or when its
   tokens are not `tokens` (an item without tokens, such as an average, fits every prompt). */
int source_in_next(struct source_in *s, const struct gpt_ids *tokens, struct gpt_cache *c,
                   struct err *e);
/* ERR_DATA when items are left over. */
int source_in_end(const struct source_in *s, struct err *e);

#endif
