#include "gpt/vocab.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "gpt/vocab_private.h"

/* More than any GPT has; keeps sizes and ids far from overflow. */
enum { VOCAB_MAX = 1 << 24 };

struct vocab *vocab_new(enum vocab_type type, struct err *e)
{
    struct vocab *v = mem_calloc(1, sizeof *v, e);
    if (v)
        v->type = type;
    return v;
}

void vocab_free(struct vocab *v)
{
    if (!v)
        return;
    bpe_free(v->bpe);
    buf_release(&v->bytes);
    free(v->piece);
    free(v->slot);
    free(v);
}

int vocab_put(struct vocab *v, int64_t id, const char *s, size_t n, size_t limit, struct err *e)
{
    if (limit > VOCAB_MAX)
        limit = VOCAB_MAX;
    if (id < 0 || (uint64_t)id >= limit)
        return err_set(e, ERR_DATA, "vocabulary: token id %lld is out of range", (long long)id);
    size_t i = (size_t)id;
    if (i >= v->n) {
        if (mem_grow(&v->piece, &v->cap, i + 1, sizeof *v->piece, e))
            return -1;
        for (; v->n <= i; v->n++)
            v->piece[v->n] = (struct vocab_piece){.at = VOCAB_HOLE};
    }
    if (v->piece[i].at != VOCAB_HOLE)
        return err_set(e, ERR_DATA, "vocabulary: token id %zu is given twice", i);
    if (n >= VOCAB_HOLE - v->bytes.len)
        return err_set(e, ERR_DATA, "vocabulary: its tokens have more than 4 GiB");
    v->piece[i] = (struct vocab_piece){(uint32_t)v->bytes.len, (uint32_t)n};
    return buf_add(&v->bytes, s, n, e);
}

int vocab_put_spelled(struct vocab *v, int64_t id, const char *s, size_t n, size_t limit,
                      struct buf *tmp, struct err *e)
{
    if (vocab_unspell(tmp, s, n, e))
        return -1;
    return vocab_put(v, id, tmp->p, tmp->len, limit, e);
}

/* FNV-1a; the last step spreads it to the low bits that the table uses. */
static uint32_t hash_bytes(const char *s, size_t n)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h ^ h >> 15;
}

/* The slot that holds s, or the free one where it would go. */
static struct vocab_slot *find_slot(const struct vocab *v, uint32_t hash, const char *s, size_t n)
{
    for (size_t i = hash & v->mask;; i = (i + 1) & v->mask) {
        struct vocab_slot *slot = &v->slot[i];
        if (slot->id < 0)
            return slot;
        const struct vocab_piece *p = &v->piece[slot->id];
        if (slot->hash == hash && p->len == n && memcmp(v->bytes.p + p->at, s, n) == 0)
            return slot;
    }
}

int vocab_index(struct vocab *v, struct err *e)
{
    if (v->n == 0)
        return err_set(e, ERR_DATA, "vocabulary: it has no tokens");
    size_t slots = 16;
    while (slots < 2 * v->n)
        slots *= 2;
    v->slot = mem_alloc(slots, sizeof *v->slot, e);
    if (!v->slot)
        return -1;
    memset(v->slot, 0xFF, slots * sizeof *v->slot);
    v->mask = slots - 1;
    for (size_t id = 0; id < v->n; id++) {
        const struct vocab_piece *p = &v->piece[id];
        if (p->at == VOCAB_HOLE)
            return err_set(e, ERR_DATA, "vocabulary: of the ids 0 to %zu, %zu is missing", v->n - 1,
                           id);
        const char *s = v->bytes.p + p->at;
        uint32_t hash = hash_bytes(s, p->len);
        struct vocab_slot *slot = find_slot(v, hash, s, p->len);
        if (slot->id < 0)
            *slot = (struct vocab_slot){hash, (int32_t)id};
    }
    return 0;
}

size_t vocab_size(const struct vocab *v)
{
    return v->n;
}

const char *vocab_piece(const struct vocab *v, int32_t id, size_t *n)
{
    *n = 0;
    if (id < 0 || (size_t)id >= v->n)
        return NULL;
    *n = v->piece[id].len;
    return v->bytes.p + v->piece[id].at;
}

int32_t vocab_find(const struct vocab *v, const char *s, size_t n)
{
    return find_slot(v, hash_bytes(s, n), s, n)->id;
}

int vocab_encode(const struct vocab *v, const char *text, size_t n, int32_t **ids, size_t *n_ids,
                 size_t *cap, struct err *e)
{
    return v->type == VOCAB_CHARS ? chars_encode(v, text, n, ids, n_ids, cap, e)
                                  : bpe_encode(v, text, n, ids, n_ids, cap, e);
}

/* Between two characters. */
static size_t cut_chars(const char *s, size_t n)
{
    uint32_t cp;
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)s[n - back];
        if (c >= 0xC0 && utf8_decode(s + n - back, back, &cp) == 0)
            return n - back;
        if (c < 0x80 || c >= 0xC0)
            break;
    }
    return n;
}

/* Between ASCII that is not a blank and a blank that follows it. There the pre-tokenizer always
   ends a match (only runs of blanks look ahead, and outside of them a blank is only ever the first
   character of a match), and begins the next one without looking back. */
static size_t cut_bpe(const char *s, size_t n)
{
    for (size_t k = n; k-- > 1;) {
        bool blank = s[k] == ' ' || s[k] == '\t' || s[k] == '\n' || s[k] == '\r';
        if (blank && s[k - 1] > ' ' && s[k - 1] < 0x7f)
            return k;
    }
    return 0;
}

size_t vocab_cut(const struct vocab *v, const char *s, size_t n)
{
    return v->type == VOCAB_CHARS ? cut_chars(s, n) : cut_bpe(s, n);
}
