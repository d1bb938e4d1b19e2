/* The payloads of HEADER, ITEM and RECORD frames (frame.h). */
#include <stdlib.h>
#include <string.h>

#include "act/frame.h"
#include "base/bytes.h"
#include "base/mem.h"

/* Reading: a window that shrinks from the front. */
struct window {
    const unsigned char *p;
    size_t n;
};

static const unsigned char *take(struct window *w, size_t n)
{
    const unsigned char *p = w->p;
    if (n > w->n)
        return NULL;
    w->p += n;
    w->n -= n;
    return p;
}

static int too_short(struct err *e)
{
    return err_set(e, ERR_DATA, "its fields do not fit its length");
}

static int add_le32(struct buf *b, uint32_t v, struct err *e)
{
    unsigned char le[4];
    put_le32(le, v);
    return buf_add(b, le, 4, e);
}

static int check_size(const struct buf *b, const char *what, struct err *e)
{
    if (b->len > FRAME_META_MAX)
        return err_set(e, ERR_USAGE, "%s: %zu bytes are beyond the limit of %u", what, b->len,
                       FRAME_META_MAX);
    return 0;
}

/* ---- HEADER: lines "key TAB value", both escaped as buf_escape does ---- */

static int put_pair(struct buf *b, const char *key, const char *value, struct err *e)
{
    return buf_escape(b, key, strlen(key), e) || buf_puts(b, "\t", e) ||
                   buf_escape(b, value, strlen(value), e) || buf_puts(b, "\n", e)
               ? -1
               : 0;
}

static int check_key(const char *key, enum err_kind kind, struct err *e)
{
    if (!*key || strlen(key) >= ACT_NAME_MAX)
        return err_set(e, kind, "header: a key must have 1 to %d bytes", ACT_NAME_MAX - 1);
    return 0;
}

int frame_put_header(struct buf *b, const struct act_header *h, const char *line, struct err *e)
{
    if (h->n_pairs > FRAME_PAIRS_MAX || h->n_history >= FRAME_HISTORY_MAX)
        return err_set(e, ERR_USAGE, "header: %zu keys and %zu history lines are beyond the limits",
                       h->n_pairs, h->n_history);
    for (size_t i = 0; i < h->n_pairs; i++) {
        const char *key = h->pairs[i].key;
        if (check_key(key, ERR_USAGE, e))
            return -1;
        if (strcmp(key, "history") == 0)
            return err_set(e, ERR_USAGE, "header: the key \"history\" is for history lines");
        if (put_pair(b, key, h->pairs[i].value, e))
            return -1;
    }
    for (size_t i = 0; i < h->n_history; i++) {
        if (put_pair(b, "history", h->history[i], e))
            return -1;
    }
    if (*line && put_pair(b, "history", line, e))
        return -1;
    return check_size(b, "header", e);
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Undoes buf_escape in place; false when a sequence is not one of its. */
static bool unescape(char *s)
{
    char *to = s;
    for (; *s; s++) {
        if (*s != '\\') {
            *to++ = *s;
            continue;
        }
        const char *from = "\\tnr", *as = "\\\t\n\r", *at = *++s ? strchr(from, *s) : NULL;
        if (at) {
            *to++ = as[at - from];
        } else if (*s == 'x' && hex_digit(s[1]) >= 0 && hex_digit(s[2]) >= 0 &&
                   hex_digit(s[1]) + hex_digit(s[2]) > 0) {
            *to++ = (char)(hex_digit(s[1]) << 4 | hex_digit(s[2]));
            s += 2;
        } else {
            return false;
        }
    }
    *to = '\0';
    return true;
}

static int get_pair(struct act_header *h, char *line, struct err *e)
{
    char *value = strchr(line, '\t');
    if (!value)
        return err_set(e, ERR_DATA, "a line without a tab");
    *value++ = '\0';
    if (!unescape(line) || !unescape(value))
        return err_set(e, ERR_DATA, "a line with an escape sequence that is none");
    if (check_key(line, ERR_DATA, e))
        return -1;
    if (strcmp(line, "history") == 0) {
        if (h->n_history == FRAME_HISTORY_MAX)
            return err_set(e, ERR_DATA, "more than %d history lines", FRAME_HISTORY_MAX);
        return act_header_add_history(h, value, e);
    }
    if (act_header_get(h, line))
        return err_set(e, ERR_DATA, "the key \"%s\" comes twice", line);
    if (h->n_pairs == FRAME_PAIRS_MAX)
        return err_set(e, ERR_DATA, "more than %d keys", FRAME_PAIRS_MAX);
    return act_header_set(h, line, value, e);
}

int frame_get_header(struct act_header *h, const unsigned char *p, size_t n, struct err *e)
{
    if (n && (p[n - 1] != '\n' || memchr(p, '\0', n)))
        return err_set(e, ERR_DATA, "it is not made of lines of text");
    int rc = 0;
    char *line = NULL;
    size_t cap = 0;
    while (n > 0 && rc == 0) {
        size_t len = (size_t)((const unsigned char *)memchr(p, '\n', n) - p);
        rc = mem_grow(&line, &cap, len + 1, 1, e);
        if (rc == 0) {
            memcpy(line, p, len);
            line[len] = '\0';
            rc = get_pair(h, line, e);
        }
        p += len + 1;
        n -= len + 1;
    }
    free(line);
    return rc;
}

/* ---- ITEM ---- */

#define NO_TEXT UINT32_MAX

static size_t length(const char *s)
{
    return s ? strlen(s) : 0;
}

int frame_put_item(struct buf *b, const struct act_item *it, struct err *e)
{
    const char *strings[] = {it->label, it->edits, it->meta};
    size_t text = it->piece ? it->piece[it->n_tokens] : 0, total = text;
    for (int i = 0; i < 3; i++)
        total += length(strings[i]);
    if (it->n_tokens > FRAME_META_MAX / 8 || total > FRAME_META_MAX)
        return err_set(e, ERR_USAGE, "item \"%.64s\": too large for a stream",
                       it->label ? it->label : "");
    if (add_le32(b, it->n_tokens, e))
        return -1;
    for (int i = 0; i < 3; i++) {
        if (add_le32(b, (uint32_t)length(strings[i]), e))
            return -1;
    }
    if (add_le32(b, it->piece ? (uint32_t)text : NO_TEXT, e))
        return -1;
    for (size_t i = 0; i < it->n_tokens; i++) {
        if (add_le32(b, (uint32_t)it->tokens[i], e))
            return -1;
    }
    for (size_t i = 0; it->piece && i < it->n_tokens; i++) {
        if (add_le32(b, it->piece[i + 1] - it->piece[i], e))
            return -1;
    }
    for (int i = 0; i < 3; i++) {
        if (buf_add(b, strings[i], length(strings[i]), e))
            return -1;
    }
    return buf_add(b, it->text, text, e) || check_size(b, "item", e) ? -1 : 0;
}

static int get_string(char **s, struct window *w, size_t n, struct err *e)
{
    const unsigned char *p = take(w, n);
    if (!p)
        return too_short(e);
    if (memchr(p, '\0', n))
        return err_set(e, ERR_DATA, "a zero byte in a text");
    *s = mem_strndup((const char *)p, n, e);
    return *s ? 0 : -1;
}

static int get_pieces(struct act_item *it, struct window *w, size_t text, struct err *e)
{
    const unsigned char *p = take(w, 4 * (size_t)it->n_tokens);
    if (!p)
        return too_short(e);
    it->piece = mem_alloc((size_t)it->n_tokens + 1, sizeof *it->piece, e);
    if (!it->piece)
        return -1;
    uint64_t at = 0;
    it->piece[0] = 0;
    for (size_t i = 0; i < it->n_tokens; i++) {
        at += get_le32(p + 4 * i);
        if (at > text)
            return err_set(e, ERR_DATA, "its tokens' texts do not fit its length");
        it->piece[i + 1] = (uint32_t)at;
    }
    return at == text ? 0 : err_set(e, ERR_DATA, "its tokens' texts do not fit its length");
}

int frame_get_item(struct act_item *it, const unsigned char *p, size_t n, struct err *e)
{
    struct window w = {p, n};
    const unsigned char *fixed = take(&w, 20);
    if (!fixed)
        return too_short(e);
    uint32_t n_tokens = get_le32(fixed), text = get_le32(fixed + 16);
    char **strings[] = {&it->label, &it->edits, &it->meta};
    const unsigned char *tokens = take(&w, 4 * (size_t)n_tokens);
    if (!tokens)
        return too_short(e);
    it->tokens = mem_alloc(n_tokens, sizeof *it->tokens, e);
    if (!it->tokens)
        return -1;
    it->n_tokens = n_tokens;
    for (size_t i = 0; i < n_tokens; i++)
        it->tokens[i] = (int32_t)get_le32(tokens + 4 * i);
    if (text != NO_TEXT && get_pieces(it, &w, text, e))
        return -1;
    for (int i = 0; i < 3; i++) {
        if (get_string(strings[i], &w, get_le32(fixed + 4 + 4 * i), e))
            return -1;
    }
    if (text == NO_TEXT)
        text = 0;
    if (w.n != text)
        return too_short(e);
    it->text = mem_strndup((const char *)w.p, text, e);
    return it->text ? 0 : -1;
}
