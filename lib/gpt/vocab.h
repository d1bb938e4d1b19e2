/* vocab.h - text <-> token ids: characters (nanoGPT's meta.pkl, our metadata) or GPT-2's byte-level
   BPE. */
#ifndef GPT_VOCAB_H
#define GPT_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

struct vocab;

/* itos[i] is token i's text (UTF-8, one character or any bytes), n tokens. Copies. */
struct vocab *vocab_chars(const char *const *itos, const size_t *len, size_t n, struct err *e);
/* vocab.json's object {token: id} and merges.txt's text; ids must be 0..n-1 without gaps. */
struct vocab *vocab_bpe(const struct json *vocab, const char *merges, size_t n_merges,
                        struct err *e);
/* A Hugging Face tokenizer.json of GPT-2's kind. */
struct vocab *vocab_tokenizer_json(const struct json *j, struct err *e);
/* From the JSON text that vocab_to_json wrote. */
struct vocab *vocab_from_json(const struct json *j, struct err *e);
int vocab_to_json(const struct vocab *v, struct buf *b, struct err *e);
void vocab_free(struct vocab *v);

size_t vocab_size(const struct vocab *v);
/* Token id's bytes; NULL (and *n 0) when id is out of range. */
const char *vocab_piece(const struct vocab *v, int32_t id, size_t *n);
/* The id whose bytes are exactly s[0..n), or -1. */
int32_t vocab_find(const struct vocab *v, const char *s, size_t n);

/* Encodes text. Appends to *ids (grown as needed). A character that the model does not know is
   ERR_DATA that shows it with its position (character number, byte offset). */
int vocab_encode(const struct vocab *v, const char *text, size_t n, int32_t **ids, size_t *n_ids,
                 size_t *cap, struct err *e);

#endif
