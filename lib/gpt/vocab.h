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
/* GPT-2's two files, as text: vocab.json (an object {token: id}, ids 0..n-1 without gaps) and
   merges.txt. Takes the text and not a struct json because a JSON document of 50,000 members takes
   longer to build than everything else that opening a model does. */
struct vocab *vocab_bpe(const char *vocab_json, size_t n_vocab, const char *merges, size_t n_merges,
                        struct err *e);
/* A Hugging Face tokenizer.json of GPT-2's kind: a BPE model and a ByteLevel pre-tokenizer; another
   kind is ERR_DATA that names it. Slower to open than the two files. */
struct vocab *vocab_tokenizer_json(const struct json *j, struct err *e);
/* From the JSON that vocab_to_json wrote. */
struct vocab *vocab_from_json(const struct json *j, struct err *e);
/* {"type":"chars","itos":[...]}: a token is a string, or an array of byte values when its bytes are
   not UTF-8. {"type":"bpe","itos":[...],"merges":"a b\n..."}: tokens and merges in GPT-2's byte
   alphabet (as in vocab.json and merges.txt), in which every byte is a printable character. */
int vocab_to_json(const struct vocab *v, struct buf *b, struct err *e);
void vocab_free(struct vocab *v);

size_t vocab_size(const struct vocab *v);
/* Token id's bytes; NULL (and *n 0) when id is out of range. */
const char *vocab_piece(const struct vocab *v, int32_t id, size_t *n);
/* The id whose bytes are exactly s[0..n), or -1. */
int32_t vocab_find(const struct vocab *v, const char *s, size_t n);

/* Encodes text. Appends to *ids (grown as needed). A character that the model does not know is
   ERR_DATA that shows it with its position (character number, byte offset, both from 0). BPE: equal
   to tiktoken's encode_ordinary, so "<|endoftext|>" in the text is plain text; bytes that are not
   UTF-8 are ERR_DATA that names the offset. */
int vocab_encode(const struct vocab *v, const char *text, size_t n, int32_t **ids, size_t *n_ids,
                 size_t *cap, struct err *e);

/* Where a long text can be cut, as late as possible: a k <= n such that encoding s[0..k) and what
   begins at s + k, one after the other, gives the ids of the whole. 0: no such place. */
size_t vocab_cut(const struct vocab *v, const char *s, size_t n);

#endif
