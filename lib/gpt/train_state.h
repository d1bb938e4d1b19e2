/* train_state.h - a trainer on disk: everything that the rest of the run depends on, in one file
   with a checksum, so that its rename is the moment at which a checkpoint is made.

   "ACTTRAIN", version, and, little-endian: biases (0 or 1), step, best loss, floats of an array,
   tokens of the text, their CRC-32, length of the config and of the vocabulary (both JSON, which
   follow); zeros up to a multiple of 64; weights, first and second moments (weights.h's layout,
   float32); CRC-32 of everything before. */
#ifndef GPT_TRAIN_STATE_H
#define GPT_TRAIN_STATE_H

#include "base/io.h"
#include "gpt/train.h"

struct train_state {
    struct io_map map;
    struct gpt_config cfg;
    struct vocab *vocab;
    bool bias;
    int64_t step;
    double best;
    uint64_t n, n_text; /* floats of an array; tokens */
    uint32_t text_crc;
    const float *w, *m, *v; /* in the map */
};

/* Whole or not at all, and on the disk when it returns. */
int trainer_save(const struct trainer *t, const char *path, struct err *e);

/* Opens and checks a saved state; ERR_DATA when it is damaged. */
int train_state_open(struct train_state *s, const char *path, struct err *e);
void train_state_close(struct train_state *s);

/* Puts what the state holds into a trainer of the same model. ERR_DATA when the trainer has another
   text. */
int trainer_restore(struct trainer *t, const struct train_state *s, struct err *e);

#endif
