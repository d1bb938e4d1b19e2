/* Vocabularies of characters, as nanoGPT's shakespeare_char has. */
#include "base/mem.h"
#include "base/utf8.h"
#include "gpt/vocab_private.h"

int chars_check(const struct vocab *v, struct err *e)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct vocab_piece *p = &v->piece[i];
        int32_t first = vocab_find(v, v->bytes.p + p->at, p->len);
        if ((size_t)first != i)
            return err_set(e, ERR_DATA, "vocabulary: tokens %d and %zu are the same text",
                           (int)first, i);
    }
    return 0;
}

struct vocab *vocab_chars(const char *const *itos, const size_t *len, size_t n, struct err *e)
{
    struct vocab *v = vocab_new(VOCAB_CHARS, e);
    if (!v)
        return NULL;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = vocab_put(v, (int64_t)i, itos[i], len[i], n, e);
    if (rc || vocab_index(v, e) || chars_check(v, e)) {
        vocab_free(v);
        return NULL;
    }
    return v;
}

/* "character 'é' (U+00E9)", or "byte 0xff" where the text is not UTF-8. */
static int describe(struct buf *b, const char *s, size_t len, struct err *e)
{
    uint32_t cp;
    if (utf8_decode(s, len, &cp) == 0)
        return buf_printf(b, e, "byte 0x%02x", (unsigned char)s[0]);
    if (buf_puts(b, "character '", e) || utf8_escape(b, s, len, e))
        return -1;
    return buf_printf(b, e, "' (U+%04X)", (unsigned)cp);
}

/* Fills *e; `at` is the byte and `position` the character that is not known. */
static int unknown(const struct vocab *v, const char *text, size_t at, size_t len, size_t position,
                   struct err *e)
{
    struct buf b = {0};
    int rc = describe(&b, text + at, len, e);
    if (rc == 0)
        rc = buf_printf(&b, e, " at position %zu (byte %zu) is not in the model's vocabulary",
                        position, at);
    if (rc == 0 && v->n <= 100) {
        rc = buf_printf(&b, e, "; it has these %zu: ", v->n);
        for (size_t i = 0; i < v->n && rc == 0; i++)
            rc = utf8_escape(&b, v->bytes.p + v->piece[i].at, v->piece[i].len, e);
    }
    if (rc == 0)
        err_set(e, ERR_DATA, "%s", b.p);
    buf_release(&b);
    return -1;
}

int chars_encode(const struct vocab *v, const char *text, size_t n, int32_t **ids, size_t *n_ids,
                 size_t *cap, struct err *e)
{
    size_t position = 0;
    for (size_t i = 0; i < n; position++) {
        uint32_t cp;
        size_t len = utf8_decode(text + i, n - i, &cp);
        if (len == 0)
            len = 1;
        int32_t id = vocab_find(v, text + i, len);
        if (id < 0)
            return unknown(v, text, i, len, position, e);
        if (mem_grow(ids, cap, *n_ids + 1, sizeof **ids, e))
            return -1;
        (*ids)[(*n_ids)++] = id;
        i += len;
    }
    return 0;
}
