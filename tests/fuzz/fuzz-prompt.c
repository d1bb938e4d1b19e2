/* A line of JSON is what users and other programs write, and the rest of the bytes stand for texts,
   vocabularies and merges: any bytes give ids that the model has, or a message. */
#include <stdlib.h>
#include <string.h>

#include "gpt/prompt.h"

int fuzz_one(const unsigned char *data, size_t n);

static void check_ids(const struct gpt_ids *ids, size_t d_vocab)
{
    for (size_t i = 0; i < ids->n; i++)
        if (ids->p[i] < 0 || (size_t)ids->p[i] >= d_vocab)
            abort();
}

static void fuzz_line(const struct prompt_opts *o, const char *text, size_t n)
{
    struct gpt_prompt p = {0};
    struct err e = {0};
    if (prompt_from_json(o, text, n, &p, &e) == 0) {
        if (p.tokens.n == 0 || !p.label.p)
            abort();
        check_ids(&p.tokens, o->d_vocab);
        check_ids(&p.corrupted, o->d_vocab);
        check_ids(&p.answer, o->d_vocab);
        check_ids(&p.wrong, o->d_vocab);
    } else if (e.kind == ERR_NONE || !e.msg[0]) {
        abort();
    }
    gpt_prompt_release(&p);
}

/* Encoded text decodes to itself, and a cut changes nothing. */
static void fuzz_text(const struct prompt_opts *o, const char *text, size_t n)
{
    struct gpt_ids whole = {0}, head = {0}, tail = {0};
    struct err e = {0};
    if (prompt_from_text(o, text, n, &whole, &e) == 0) {
        size_t at = 0, cut = vocab_cut(o->vocab, text, n);
        for (size_t i = 0; i < whole.n; i++) {
            size_t len;
            const char *s = vocab_piece(o->vocab, whole.p[i], &len);
            if (!s || len > n - at || memcmp(s, text + at, len) != 0)
                abort();
            at += len;
        }
        if (at != n || prompt_from_text(o, text, cut, &head, &e) ||
            prompt_from_text(o, text + cut, n - cut, &tail, &e) || head.n + tail.n != whole.n)
            abort();
        for (size_t i = 0; i < whole.n; i++)
            if (whole.p[i] != (i < head.n ? head.p[i] : tail.p[i - head.n]))
                abort();
    }
    free(whole.p);
    free(head.p);
    free(tail.p);
}

/* The bytes as vocab.json, as merges.txt, and as any of the JSON forms. */
static void fuzz_vocab(const char *text, size_t n)
{
    static const char abc[] = "{\"a\":0,\"b\":1,\"ab\":2,\"aab\":3,\"\\u0120\":4}";
    struct err e = {0};
    vocab_free(vocab_bpe(text, n, "", 0, &e));
    struct vocab *v = vocab_bpe(abc, sizeof abc - 1, text, n, &e);
    if (v) {
        struct prompt_opts o = {.vocab = v, .d_vocab = 5, .bos = -1};
        fuzz_text(&o, "aab aaaabab", 11);
    }
    vocab_free(v);
    struct json *j = json_parse(text, n, &e);
    if (j) {
        vocab_free(vocab_tokenizer_json(j, &e));
        v = vocab_from_json(j, &e);
        struct buf b = {0};
        if (v && vocab_to_json(v, &b, &e))
            abort();
        buf_release(&b);
        vocab_free(v);
    }
    json_free(j);
}

int fuzz_one(const unsigned char *data, size_t n)
{
    static const char *const itos[] = {"a", "b", " ", "\n", "{", "\"", "\xC3\xA9", "\xFF"};
    static const size_t len[] = {1, 1, 1, 1, 1, 1, 2, 1};
    const char *text = (const char *)data;
    struct err e = {0};
    struct vocab *v = vocab_chars(itos, len, 8, &e);
    struct prompt_opts o = {.vocab = v, .d_vocab = 8, .bos = n % 3 ? -1 : 7};
    if (!v)
        abort();
    fuzz_line(&o, text, n);
    o.bos = -1;
    fuzz_text(&o, text, n);
    o.vocab = NULL;
    fuzz_line(&o, text, n);
    vocab_free(v);
    fuzz_vocab(text, n);
    return 0;
}
