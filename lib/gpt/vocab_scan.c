/* GPT-2's byte alphabet, and a reader for vocab.json that fills the vocabulary as it goes: building
   and freeing a JSON tree of its 50,257 members takes 36 ms, this 2. */
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "gpt/vocab_private.h"

/* Bytes that the alphabet leaves as they are; the 68 others become U+0100 ... in their order. */
static bool plain(uint32_t c)
{
    return (c >= 33 && c <= 126) || (c >= 161 && c <= 172) || (c >= 174 && c <= 255);
}

static uint32_t spell_byte(unsigned char c)
{
    if (plain(c))
        return c;
    return 256u + (c <= 32 ? c : c <= 160 ? c - 127u + 33u : 67u);
}

/* -1: not a character of the alphabet. */
static int unspell_char(uint32_t cp)
{
    if (cp < 256)
        return plain(cp) ? (int)cp : -1;
    cp -= 256;
    return cp <= 32 ? (int)cp : cp <= 66 ? (int)cp - 33 + 127 : cp == 67 ? 173 : -1;
}

int vocab_spell(struct buf *out, const char *s, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        char c[4];
        size_t len = utf8_encode(spell_byte((unsigned char)s[i]), c);
        if (buf_add(out, c, len, e))
            return -1;
    }
    return 0;
}

int vocab_unspell(struct buf *out, const char *s, size_t n, struct err *e)
{
    out->len = 0;
    if (mem_grow(&out->p, &out->cap, n + 1, 1, e))
        return -1;
    for (size_t i = 0; i < n;) {
        uint32_t cp = 0;
        size_t len = utf8_decode(s + i, n - i, &cp);
        int c = len ? unspell_char(cp) : -1;
        if (c < 0) {
            out->len = 0;
            return buf_add(out, s, n, e);
        }
        out->p[out->len++] = (char)c;
        i += len;
    }
    out->p[out->len] = '\0';
    return 0;
}

struct scan {
    const char *s;
    size_t n, at;
};

static int broken(const struct scan *k, const char *want, struct err *e)
{
    return err_set(e, ERR_DATA, "JSON: %s expected at byte %zu", want, k->at);
}

/* The next byte that is not a blank, not taken; 0 at the end. */
static char peek(struct scan *k)
{
    while (k->at < k->n && memchr(" \t\n\r", k->s[k->at], 4))
        k->at++;
    return k->at < k->n ? k->s[k->at] : '\0';
}

static int take(struct scan *k, char c, const char *name, struct err *e)
{
    if (peek(k) != c)
        return broken(k, name, e);
    k->at++;
    return 0;
}

/* Four hexadecimal digits; -1 when they are not. */
static int32_t take_hex(struct scan *k)
{
    int32_t x = 0;
    for (int i = 0; i < 4; i++, k->at++) {
        char c = k->at < k->n ? k->s[k->at] : '\0';
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return -1;
        x = x << 4 | d;
    }
    return x;
}

/* What follows a backslash, as UTF-8. */
static int take_escape(struct scan *k, struct buf *out, struct err *e)
{
    static const char letters[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    char c = k->at < k->n ? k->s[k->at++] : '\0';
    const char *p = c ? strchr(letters, c) : NULL;
    if (p)
        return buf_add(out, &means[p - letters], 1, e);
    if (c != 'u')
        return broken(k, "escape", e);
    int32_t cp = take_hex(k);
    if (cp >= 0xD800 && cp < 0xDC00 && k->n - k->at >= 6 && k->s[k->at] == '\\' &&
        k->s[k->at + 1] == 'u') {
        k->at += 2;
        int32_t low = take_hex(k);
        cp = low >= 0xDC00 && low < 0xE000 ? 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00) : -1;
    }
    char s[4];
    size_t len = cp < 0 ? 0 : utf8_encode((uint32_t)cp, s);
    return len ? buf_add(out, s, len, e) : broken(k, "Unicode escape", e);
}

/* A string's content, into out. */
static int take_string(struct scan *k, struct buf *out, struct err *e)
{
    out->len = 0;
    if (take(k, '"', "string", e))
        return -1;
    for (;;) {
        size_t from = k->at;
        while (k->at < k->n && k->s[k->at] != '"' && k->s[k->at] != '\\' &&
               (unsigned char)k->s[k->at] >= 0x20)
            k->at++;
        size_t bad = utf8_valid(k->s + from, k->at - from);
        if (from + bad < k->at) {
            k->at = from + bad;
            return broken(k, "UTF-8", e);
        }
        if (buf_add(out, k->s + from, k->at - from, e))
            return -1;
        char c = k->at < k->n ? k->s[k->at++] : '\0';
        if (c == '"')
            return 0;
        if (c != '\\')
            return broken(k, "end of the string", e);
        if (take_escape(k, out, e))
            return -1;
    }
}

/* A token id: digits. */
static int take_id(struct scan *k, int64_t *id, struct err *e)
{
    char c = peek(k);
    size_t from = k->at;
    *id = 0;
    for (; c >= '0' && c <= '9' && k->at - from < 10; c = k->at < k->n ? k->s[k->at] : '\0') {
        *id = *id * 10 + (c - '0');
        k->at++;
    }
    return k->at == from ? broken(k, "token id", e) : 0;
}

int vocab_scan(struct vocab *v, const char *text, size_t n, struct err *e)
{
    struct scan k = {text, n, 0};
    struct buf name = {0}, tmp = {0};
    int rc = -1;
    int64_t id;
    /* The shortest member is `"":0,`, so a file of n bytes cannot have more than n / 5 + 1. */
    size_t limit = n / 5 + 1;
    if (take(&k, '{', "object of tokens", e))
        goto out;
    bool more = peek(&k) != '}';
    while (more) {
        if (take_string(&k, &name, e) || take(&k, ':', "':'", e) || take_id(&k, &id, e) ||
            vocab_put_spelled(v, id, name.p, name.len, limit, &tmp, e))
            goto out;
        more = peek(&k) == ',';
        k.at += more;
    }
    if (take(&k, '}', "',' or '}'", e))
        goto out;
    rc = peek(&k) || k.at < k.n ? broken(&k, "end of the file", e) : 0;
out:
    buf_release(&name);
    buf_release(&tmp);
    return rc;
}
