/* Vocabularies inside JSON: Hugging Face's tokenizer.json, and our safetensors' metadata. */
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "gpt/vocab_private.h"

/* --- tokenizer.json --- */

/* A setting of tokenizer.json that would change what text becomes, so that it must be absent, null
   or `want`. Shown by its name and, when it is a string or an object with a type, by that. */
static int refuse(const struct json *j, const char *where, const char *key, const char *want,
                  struct err *e)
{
    const struct json *v = json_get(j, key);
    size_t n;
    const char *is = json_str(v, &n);
    if (!is)
        is = json_str(json_get(v, "type"), &n);
    if (!v || json_is_null(v) || (is && strcmp(is, want) == 0))
        return 0;
    struct buf b = {0};
    if (utf8_escape(&b, is ? is : "?", is ? n : 1, e) == 0)
        err_set(e, ERR_DATA, "tokenizer: %s%s \"%s\" is of a kind that is not read (only %s%s%s)",
                where, key, b.p ? b.p : "", *want ? "\"" : "", *want ? want : "none",
                *want ? "\"" : "");
    buf_release(&b);
    return -1;
}

static int refuse_true(const struct json *j, const char *where, const char *key, struct err *e)
{
    if (!json_bool(json_get(j, key), false))
        return 0;
    return err_set(e, ERR_DATA, "tokenizer: %s%s: true is not supported", where, key);
}

static int check_kind(const struct json *j, struct err *e)
{
    const struct json *model = json_get(j, "model"), *pre = json_get(j, "pre_tokenizer");
    if (!json_is_object(model))
        return err_set(e, ERR_DATA, "tokenizer: no \"model\" object, so no tokenizer.json");
    /* The first tokenizer.json of GPT-2 has no "type" in its model. */
    if (refuse(model, "model.", "type", "BPE", e) || refuse(j, "", "normalizer", "", e) ||
        refuse(j, "", "pre_tokenizer", "ByteLevel", e) ||
        refuse(model, "model.", "continuing_subword_prefix", "", e) ||
        refuse(model, "model.", "end_of_word_suffix", "", e) ||
        refuse_true(model, "model.", "byte_fallback", e) ||
        refuse_true(model, "model.", "ignore_merges", e) ||
        refuse_true(pre, "pre_tokenizer.", "add_prefix_space", e))
        return -1;
    if (!json_is_object(pre) || !json_bool(json_get(pre, "use_regex"), true))
        return err_set(e, ERR_DATA,
                       "tokenizer: no ByteLevel pre_tokenizer that splits by GPT-2's "
                       "pattern");
    return 0;
}

struct putting {
    struct vocab *v;
    size_t limit;
    struct buf tmp;
    struct err *e;
};

static int put_member(void *user, const char *key, const struct json *value)
{
    struct putting *p = user;
    return vocab_put_spelled(p->v, json_int(value, -1), key, strlen(key), p->limit, &p->tmp, p->e);
}

/* added_tokens: plain text, not spelled; those that the vocabulary has already are the same. */
static int put_added(struct vocab *v, const struct json *added, size_t limit, struct err *e)
{
    for (size_t i = 0; i < json_len(added); i++) {
        const struct json *t = json_at(added, i);
        size_t n;
        const char *s = json_str(json_get(t, "content"), &n);
        int64_t id = json_int(json_get(t, "id"), -1);
        if (!s || id < 0)
            return err_set(e, ERR_DATA, "tokenizer: added_tokens[%zu] lacks id or content", i);
        bool there = (uint64_t)id < v->n && v->piece[id].at != VOCAB_HOLE;
        if (!there && vocab_put(v, id, s, n, limit, e))
            return -1;
    }
    return 0;
}

/* Both spellings of merges, "a b" and ["a", "b"], as the lines of merges.txt. */
static int merge_lines(const struct json *merges, struct buf *out, struct err *e)
{
    if (!json_is_array(merges))
        return err_set(e, ERR_DATA, "tokenizer: model.merges is no array");
    for (size_t i = 0; i < json_len(merges); i++) {
        const struct json *m = json_at(merges, i);
        size_t n[2];
        const char *a = json_str(m, &n[0]), *b = NULL;
        if (!a) {
            a = json_str(json_at(m, 0), &n[0]);
            b = json_str(json_at(m, 1), &n[1]);
        }
        if (!a || (json_is_array(m) && (!b || json_len(m) != 2)))
            return err_set(e, ERR_DATA, "tokenizer: model.merges[%zu] is no pair of tokens", i);
        if (memchr(a, '\n', n[0]) || (b && memchr(b, '\n', n[1])))
            return err_set(e, ERR_DATA, "tokenizer: model.merges[%zu] has a line break", i);
        if (buf_add(out, a, n[0], e) ||
            (b && (buf_puts(out, " ", e) || buf_add(out, b, n[1], e))) || buf_puts(out, "\n", e))
            return -1;
    }
    return 0;
}

struct vocab *vocab_tokenizer_json(const struct json *j, struct err *e)
{
    if (check_kind(j, e))
        return NULL;
    const struct json *model = json_get(j, "model"), *added = json_get(j, "added_tokens");
    const struct json *tokens = json_get(model, "vocab");
    struct buf merges = {0};
    struct putting p = {.v = vocab_new(VOCAB_BPE, e), .e = e};
    p.limit = json_len(tokens) + json_len(added);
    if (!p.v)
        return NULL;
    if (json_each(tokens, put_member, &p) || put_added(p.v, added, p.limit, e) ||
        vocab_index(p.v, e) || merge_lines(json_get(model, "merges"), &merges, e) ||
        bpe_init(p.v, merges.p ? merges.p : "", merges.len, e)) {
        vocab_free(p.v);
        p.v = NULL;
    }
    buf_release(&p.tmp);
    buf_release(&merges);
    return p.v;
}

/* --- our own --- */

static int put_itos(struct vocab *v, const struct json *itos, struct err *e)
{
    struct buf tmp = {0};
    size_t n_tokens = json_len(itos);
    int rc = 0;
    for (size_t i = 0; i < n_tokens && rc == 0; i++) {
        const struct json *t = json_at(itos, i);
        size_t n;
        const char *s = json_str(t, &n);
        if (s && v->type == VOCAB_BPE) {
            rc = vocab_put_spelled(v, (int64_t)i, s, n, n_tokens, &tmp, e);
            continue;
        }
        tmp.len = 0;
        if (s)
            rc = buf_add(&tmp, s, n, e);
        else if (!json_is_array(t) || v->type == VOCAB_BPE)
            rc = err_set(e, ERR_DATA, "vocabulary: itos[%zu] is no token", i);
        for (size_t k = 0; k < json_len(t) && rc == 0; k++) {
            int64_t c = json_int(json_at(t, k), -1);
            char byte = (char)c;
            rc = c < 0 || c > 255
                     ? err_set(e, ERR_DATA, "vocabulary: itos[%zu][%zu] is no byte", i, k)
                     : buf_add(&tmp, &byte, 1, e);
        }
        if (rc == 0)
            rc = vocab_put(v, (int64_t)i, tmp.p ? tmp.p : "", tmp.len, n_tokens, e);
    }
    buf_release(&tmp);
    return rc;
}

struct vocab *vocab_from_json(const struct json *j, struct err *e)
{
    const char *type = json_str(json_get(j, "type"), NULL);
    size_t n = 0;
    const char *merges = json_str(json_get(j, "merges"), &n);
    bool chars = type && strcmp(type, "chars") == 0;
    if (!chars && !(type && strcmp(type, "bpe") == 0 && merges)) {
        err_set(e, ERR_DATA,
                "vocabulary: neither {\"type\":\"chars\",\"itos\":...} nor "
                "{\"type\":\"bpe\",\"itos\":...,\"merges\":...}");
        return NULL;
    }
    struct vocab *v = vocab_new(chars ? VOCAB_CHARS : VOCAB_BPE, e);
    if (!v)
        return NULL;
    if (put_itos(v, json_get(j, "itos"), e) || vocab_index(v, e) ||
        (chars ? chars_check(v, e) : bpe_init(v, merges, n, e))) {
        vocab_free(v);
        return NULL;
    }
    return v;
}

static int token_to_json(const struct vocab *v, const char *s, size_t n, struct buf *b,
                         struct err *e)
{
    if (v->type == VOCAB_BPE) {
        struct buf spelled = {0};
        int rc = vocab_spell(&spelled, s, n, e);
        if (rc == 0)
            rc = json_quote(b, spelled.p ? spelled.p : "", spelled.len, e);
        buf_release(&spelled);
        return rc;
    }
    if (utf8_valid(s, n) == n)
        return json_quote(b, s, n, e);
    for (size_t i = 0; i < n; i++)
        if (buf_printf(b, e, "%c%d", i ? ',' : '[', (unsigned char)s[i]))
            return -1;
    return buf_puts(b, "]", e);
}

int vocab_to_json(const struct vocab *v, struct buf *b, struct err *e)
{
    const char *type = v->type == VOCAB_BPE ? "bpe" : "chars";
    if (buf_printf(b, e, "{\"type\":\"%s\",\"itos\":[", type))
        return -1;
    for (size_t i = 0; i < v->n; i++) {
        size_t n;
        const char *s = vocab_piece(v, (int32_t)i, &n);
        if ((i && buf_puts(b, ",", e)) || token_to_json(v, s, n, b, e))
            return -1;
    }
    if (buf_puts(b, "]", e))
        return -1;
    if (v->type == VOCAB_BPE) {
        struct buf merges = {0};
        int rc = bpe_merges(v, &merges, e) || buf_puts(b, ",\"merges\":", e) ||
                 json_quote(b, merges.p ? merges.p : "", merges.len, e);
        buf_release(&merges);
        if (rc)
            return -1;
    }
    return buf_puts(b, "}", e);
}
