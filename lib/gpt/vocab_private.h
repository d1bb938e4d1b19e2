/* vocab_private.h - what the vocab*.c files share; no other file includes it. */
#ifndef GPT_VOCAB_PRIVATE_H
#define GPT_VOCAB_PRIVATE_H

#include "gpt/vocab.h"

enum vocab_type { VOCAB_CHARS, VOCAB_BPE };

struct bpe;

struct vocab {
    enum vocab_type type;
    size_t n;         /* tokens */
    struct buf bytes; /* of all tokens, one after the other */
    struct vocab_piece {
        uint32_t at, len; /* at VOCAB_HOLE: no token has this id (while building) */
    } * piece;            /* [n] by id */
    size_t cap;
    struct vocab_slot {
        uint32_t hash;
        int32_t id; /* -1: free */
    } * slot;       /* [mask + 1], open addressing by the token's bytes */
    size_t mask;
    struct bpe *bpe; /* NULL for characters */
};

#define VOCAB_HOLE UINT32_MAX

/* Building: vocab_new, vocab_put every token in any order, vocab_index. */
struct vocab *vocab_new(enum vocab_type type, struct err *e);
/* ids must be below `limit`, which bounds memory by what the file really holds. */
int vocab_put(struct vocab *v, int64_t id, const char *s, size_t n, size_t limit, struct err *e);
/* The same for a token spelled in the byte alphabet; `tmp` is scratch. */
int vocab_put_spelled(struct vocab *v, int64_t id, const char *s, size_t n, size_t limit,
                      struct buf *tmp, struct err *e);
/* Checks that no id is missing and builds the table. Of equal tokens it finds the lowest id. */
int vocab_index(struct vocab *v, struct err *e);

/* GPT-2's byte alphabet (bytes_to_unicode of its encoder.py): each byte as a printable character.
   vocab_spell appends the spelling; vocab_unspell replaces `out` by the bytes that a spelling
   means: a text with a character that is not in the alphabet means itself (as tokens that were
   added to a vocabulary by hand do). */
int vocab_spell(struct buf *out, const char *s, size_t n, struct err *e);
int vocab_unspell(struct buf *out, const char *s, size_t n, struct err *e);

/* Puts the tokens of vocab.json's text. */
int vocab_scan(struct vocab *v, const char *text, size_t n, struct err *e);

/* No two tokens may be the same text, or encoding would not be decoding's inverse. */
int chars_check(const struct vocab *v, struct err *e);
int chars_encode(const struct vocab *v, const char *text, size_t n, int32_t **ids, size_t *n_ids,
                 size_t *cap, struct err *e);

/* Adds merges.txt's text to an indexed vocabulary. */
int bpe_init(struct vocab *v, const char *merges, size_t n, struct err *e);
void bpe_free(struct bpe *b);
int bpe_encode(const struct vocab *v, const char *text, size_t n, int32_t **ids, size_t *n_ids,
               size_t *cap, struct err *e);
/* Appends the merges in order of rank, a line each, as in merges.txt without its first line. */
int bpe_merges(const struct vocab *v, struct buf *out, struct err *e);

#endif
