/* train_text.h - the text that a model learns: token ids, the last tenth of them kept apart for
   validation, as nanoGPT's prepare.py does. */
#ifndef GPT_TRAIN_TEXT_H
#define GPT_TRAIN_TEXT_H

#include "gpt/vocab.h"

struct train_text {
    const struct vocab *vocab;
    int32_t *ids;
    size_t n, n_train; /* training: [0, n_train), validation: the rest */
    uint32_t crc;      /* of ids: tells texts apart */
};

/* The characters of s[0..n), sorted. ERR_DATA when it is empty or not UTF-8. */
struct vocab *train_vocab(const char *s, size_t n, struct err *e);

/* The first nine tenths of the characters and the last are encoded each on its own. The vocabulary
   must outlive *t. */
int train_text_init(struct train_text *t, const struct vocab *v, const char *s, size_t n,
                    struct err *e);
void train_text_release(struct train_text *t);

/* ERR_DATA unless both parts hold more than a block of tokens. */
int train_text_check(const struct train_text *t, int block, struct err *e);

#endif
