#include "gpt/vocab.h"

#include <stdlib.h>
#include <time.h>

#include "base/io.h"
#include "test.h"

/* tests/fixtures/bpe/make.py trained it; its ids come from that script's own implementation. */
#define FIXTURES "tests/fixtures/bpe"

static struct err e;

static int slurp(struct buf *b, const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return io_slurp(path, 1 << 24, b, &e);
}

static struct vocab *open_bpe(const char *folder)
{
    struct buf tokens = {0}, merges = {0};
    struct vocab *v = NULL;
    if (slurp(&tokens, folder, "vocab.json") == 0 && slurp(&merges, folder, "merges.txt") == 0)
        v = vocab_bpe(tokens.p, tokens.len, merges.p, merges.len, &e);
    if (!v)
        printf("# %s: %s\n", folder, e.msg);
    buf_release(&tokens);
    buf_release(&merges);
    return v;
}

/* The text of ids is the concatenation of their pieces. */
static int decodes_to(const struct vocab *v, const int32_t *ids, size_t n, const char *text,
                      size_t len)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t k;
        const char *s = vocab_piece(v, ids[i], &k);
        if (!s || k > len - at || memcmp(s, text + at, k) != 0)
            return 0;
        at += k;
    }
    return at == len;
}

/* One line of cases.jsonl: 1 when encoding gives its ids and decoding its text. */
static int case_holds(const struct vocab *v, const char *line, size_t n)
{
    struct json *j = json_parse(line, n, &e);
    const struct json *want = json_get(j, "tokens");
    size_t len, n_ids = 0, cap = 0;
    const char *text = json_str(json_get(j, "text"), &len);
    int32_t *ids = NULL;
    int ok = text && json_is_array(want) && vocab_encode(v, text, len, &ids, &n_ids, &cap, &e) == 0;
    ok = ok && n_ids == json_len(want) && decodes_to(v, ids, n_ids, text, len);
    for (size_t i = 0; ok && i < n_ids; i++)
        ok = ids[i] == json_int(json_at(want, i), -1);
    /* A cut changes nothing. */
    size_t cut = ok ? vocab_cut(v, text, len) : 0;
    if (cut > 0) {
        n_ids = 0;
        ok = vocab_encode(v, text, cut, &ids, &n_ids, &cap, &e) == 0 &&
             vocab_encode(v, text + cut, len - cut, &ids, &n_ids, &cap, &e) == 0 &&
             n_ids == json_len(want);
        for (size_t i = 0; ok && i < n_ids; i++)
            ok = ids[i] == json_int(json_at(want, i), -1);
    }
    free(ids);
    json_free(j);
    return ok;
}

static size_t run_cases(const struct vocab *v, const char *folder)
{
    struct buf b = {0};
    size_t n = 0;
    if (!v || slurp(&b, folder, "cases.jsonl") != 0) {
        CHECK(!"the fixture can be read");
        buf_release(&b);
        return 0;
    }
    for (size_t at = 0; at < b.len; n++) {
        const char *end = memchr(b.p + at, '\n', b.len - at);
        size_t len = end ? (size_t)(end - b.p) - at : b.len - at;
        if (!case_holds(v, b.p + at, len)) {
            printf("# %s line %zu: %.*s\n", folder, n + 1, (int)(len < 200 ? len : 200), b.p + at);
            CHECK(!"ids are the expected ones, and decode to the text");
        }
        at += len + 1;
    }
    buf_release(&b);
    return n;
}

static void bpe_of_fixture(void)
{
    struct vocab *v = open_bpe(FIXTURES);
    CHECK(run_cases(v, FIXTURES) == 110);
    CHECK(v && vocab_size(v) == 357);
    CHECK(v && vocab_find(v, "<|endoftext|>", 13) == 356);
    CHECK(v && vocab_find(v, " the", 4) >= 256 && vocab_find(v, " xyzzy", 6) == -1);
    vocab_free(v);
}

/* GPT-2's own vocabulary against tiktoken's ids. */
static void bpe_of_reference(void)
{
    const char *reference = getenv("ACTUTILS_REFERENCE");
    char folder[2048];
    if (!reference) {
        printf("# skipped: ACTUTILS_REFERENCE is not set\n");
        return;
    }
    snprintf(folder, sizeof folder, "%s/gpt2-bpe", reference);
    struct vocab *v = open_bpe(folder);
    CHECK(run_cases(v, folder) == 200);
    CHECK(v && vocab_size(v) == 50257);
    vocab_free(v);
}

static struct vocab *open_tokenizer_json(const char *text, size_t n)
{
    struct json *j = json_parse(text, n, &e);
    struct vocab *v = vocab_tokenizer_json(j, &e);
    json_free(j);
    return v;
}

static void tokenizer_json(void)
{
    struct buf b = {0};
    CHECK(slurp(&b, FIXTURES, "tokenizer.json") == 0);
    struct vocab *v = open_tokenizer_json(b.p, b.len);
    CHECK(run_cases(v, FIXTURES) == 110);
    CHECK(v && vocab_size(v) == 358);
    CHECK(v && vocab_find(v, "<a pad>", 7) == 357);
    vocab_free(v);
    buf_release(&b);
}

/* The two ways to write merges, and what is refused, each by its name. */
static void tokenizer_json_kinds(void)
{
#define MODEL "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":"
#define PRE "\"pre_tokenizer\":{\"type\":\"ByteLevel\"}"
    static const struct {
        const char *text, *message; /* NULL: it opens */
    } cases[] = {
        {"{\"model\":{" MODEL "[\"a b\"]}," PRE "}", NULL},
        {"{\"model\":{" MODEL "[[\"a\",\"b\"]]}," PRE "}", NULL},
        {"{\"model\":{" MODEL "[[\"a\"]]}," PRE "}", "merges[0]"},
        {"{\"model\":{" MODEL "[\"a c\"]}," PRE "}", "its right token is not in the vocabulary"},
        {"{\"model\":{" MODEL "[\"b a\"]}," PRE "}", "what it makes is not in the vocabulary"},
        {"{\"model\":{" MODEL "[\"ab\"]}," PRE "}", "line 1 is not two tokens"},
        {"{\"model\":{\"type\":\"WordPiece\"," MODEL "[]}," PRE "}", "model.type \"WordPiece\""},
        {"{\"model\":{" MODEL "[]},\"pre_tokenizer\":{\"type\":\"Whitespace\"}}", "\"Whitespace\""},
        {"{\"model\":{" MODEL "[]}}", "pre_tokenizer"},
        {"{\"model\":{" MODEL "[]}," PRE ",\"normalizer\":{\"type\":\"NFC\"}}",
         "normalizer \"NFC\""},
        {"{\"model\":{\"byte_fallback\":true," MODEL "[]}," PRE "}", "byte_fallback"},
        {"{\"model\":{\"vocab\":{\"a\":0,\"b\":2},\"merges\":[]}," PRE "}", "out of range"},
        {"{\"model\":{\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}," PRE "}", "given twice"},
        {"{\"version\":1}", "no \"model\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vocab *v = open_tokenizer_json(cases[i].text, strlen(cases[i].text));
        if (cases[i].message ? v || !strstr(e.msg, cases[i].message) : !v) {
            printf("# %s: %s\n", cases[i].text, v ? "opened" : e.msg);
            CHECK(!"as expected");
        }
        vocab_free(v);
    }
}

static void vocab_json_text(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {" {\"a\" : 1, \"\\u0062\":0}\n", NULL},
        {"{\"\\ud83d\\ude00\":0}", NULL},
        {"", "object of tokens expected at byte 0"},
        {"{}", "no tokens"},
        {"{\"a\":0", "',' or '}' expected at byte 6"},
        {"{\"a\":0}x", "end of the file expected at byte 7"},
        {"{\"a\":-1}", "token id expected"},
        {"{\"a\":\"0\"}", "token id expected"},
        {"{\"a\":1.0}", "',' or '}' expected"},
        {"{\"a\":99999999999}", "out of range"},
        {"{\"a\":1999999999}", "out of range"},
        {"{\"a\":1}", "of the ids 0 to 1, 0 is missing"},
        {"{\"a\":0,\"b\":0}", "token id 0 is given twice"},
        {"{\"a\xff\":0}", "UTF-8 expected at byte 3"},
        {"{\"\\ud83d\":0}", "Unicode escape expected"},
        {"{\"\\x\":0}", "escape expected"},
        {"{\"a\n\":0}", "end of the string expected"},
        {"{\"a", "end of the string expected"},
        {"{\"a\\", "escape expected"},
        {"{\"\\u00", "Unicode escape expected"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vocab *v = vocab_bpe(cases[i].text, strlen(cases[i].text), "", 0, &e);
        if (cases[i].message ? v || !strstr(e.msg, cases[i].message) : !v) {
            printf("# %s: %s\n", cases[i].text, v ? "opened" : e.msg);
            CHECK(!"as expected");
        }
        CHECK(v || e.kind == ERR_DATA);
        vocab_free(v);
    }
}

/* Encoding errors of BPE: text that is no UTF-8, a byte that has no token. */
static void bpe_errors(void)
{
    struct vocab *v = open_bpe(FIXTURES);
    int32_t *ids = NULL;
    size_t n = 0, cap = 0;
    CHECK(v && vocab_encode(v, "ab\xE9z", 4, &ids, &n, &cap, &e) == -1 && e.kind == ERR_DATA);
    CHECK_STR(e.msg, "byte 0xe9 at byte 2 is not UTF-8");
    vocab_free(v);
    v = vocab_bpe("{\"a\":0}", 7, "", 0, &e);
    CHECK(v && vocab_encode(v, "aa z", 4, &ids, &n, &cap, &e) == -1 && e.kind == ERR_DATA);
    CHECK_STR(e.msg, "byte 2: byte 0x20 is not in the model's vocabulary");
    vocab_free(v);
    free(ids);
}

/* A megabyte of one letter: quadratic merging would take hours, this takes well under a second
   (10 s leave room for sanitizers and a busy machine). Every merge of " a" x 2^k exists. */
static void long_word(void)
{
    static const char tokens[] = "{\"a\":0,\"aa\":1,\"aaaa\":2,\"aaaaaaaa\":3}";
    static const char merges[] = "#version: 0.2\na a\naa aa\naaaa aaaa\n";
    struct vocab *v = vocab_bpe(tokens, sizeof tokens - 1, merges, sizeof merges - 1, &e);
    enum { N = (1 << 20) + 7 };
    char *text = malloc(N);
    int32_t *ids = NULL;
    size_t n = 0, cap = 0;
    memset(text, 'a', N);
    clock_t start = clock();
    CHECK(v && vocab_encode(v, text, N, &ids, &n, &cap, &e) == 0);
    CHECK((double)(clock() - start) / CLOCKS_PER_SEC < 10);
    CHECK(n == (1 << 17) + 3);
    CHECK(ids && ids[0] == 3 && ids[n - 4] == 3 && ids[n - 3] == 2 && ids[n - 2] == 1 &&
          ids[n - 1] == 0);
    free(ids);
    free(text);
    vocab_free(v);
}

/* The pair that a merged-away token once was with its right neighbour must be forgotten: here the
   second and third a, after the first and second became one token. */
static void neighbours(void)
{
    static const char tokens[] = "{\"a\":0,\"c\":1,\"d\":2,\"aa\":3,\"cd\":4,\"acd\":5}";
    static const char merges[] = "a a\nc d\na cd\n";
    struct vocab *v = vocab_bpe(tokens, sizeof tokens - 1, merges, sizeof merges - 1, &e);
    int32_t *ids = NULL;
    size_t n = 0, cap = 0;
    CHECK(v && vocab_encode(v, "aaacd", 5, &ids, &n, &cap, &e) == 0);
    CHECK(n == 2 && ids[0] == 3 && ids[1] == 5);
    free(ids);
    vocab_free(v);
}

static struct vocab *some_chars(void)
{
    static const char *const itos[] = {"\n", "a", "b", "\xC3\xA9", "\xFF", "", "<s>"};
    static const size_t len[] = {1, 1, 1, 2, 1, 0, 3};
    return vocab_chars(itos, len, 7, &e);
}

static void chars(void)
{
    struct vocab *v = some_chars();
    int32_t *ids = NULL;
    size_t n = 0, cap = 0;
    static const int32_t want[] = {1, 3, 0, 4, 2};
    CHECK(v && vocab_encode(v,
                            "a\xC3\xA9\n\xFF"
                            "b",
                            6, &ids, &n, &cap, &e) == 0);
    CHECK(n == 5 && memcmp(ids, want, sizeof want) == 0);
    CHECK(decodes_to(v, ids, n,
                     "a\xC3\xA9\n\xFF"
                     "b",
                     6));
    CHECK(vocab_find(v, "<s>", 3) == 6 && vocab_find(v, "<", 1) == -1);
    CHECK(!vocab_piece(v, 7, &n) && n == 0 && !vocab_piece(v, -1, &n));
    /* Between characters, never inside one. */
    CHECK(vocab_cut(v, "a\xC3\xA9", 3) == 3 && vocab_cut(v, "a\xC3\xA9", 2) == 1);
    CHECK(vocab_cut(v, "a\xF0\x9F\x99", 4) == 1 && vocab_cut(v, "", 0) == 0);
    vocab_free(v);
    free(ids);
    static const char *const twice[] = {"a", "b", "a"};
    static const size_t ones[] = {1, 1, 1};
    CHECK(!vocab_chars(twice, ones, 3, &e));
    CHECK_STR(e.msg, "vocabulary: tokens 0 and 2 are the same text");
}

static void unknown_character(void)
{
    struct vocab *v = some_chars();
    int32_t *ids = NULL;
    size_t n = 0, cap = 0;
    CHECK(v && vocab_encode(v, "a\xC3\xA9\xC3\xA8", 5, &ids, &n, &cap, &e) == -1);
    CHECK(e.kind == ERR_DATA);
    CHECK_STR(e.msg, "character '\xC3\xA8' (U+00E8) at position 2 (byte 3) is not in the model's "
                     "vocabulary; it has these 7: \\nab\xC3\xA9\\xff<s>");
    CHECK(v && vocab_encode(v, "a\x1b", 2, &ids, &n, &cap, &e) == -1);
    CHECK(strstr(e.msg, "character '\\x1b' (U+001B) at position 1 (byte 1)") == e.msg);
    CHECK(v && vocab_encode(v, "\xFE", 1, &ids, &n, &cap, &e) == -1);
    CHECK(strstr(e.msg, "byte 0xfe at position 0 (byte 0)") == e.msg);
    vocab_free(v);
    free(ids);
}

/* v -> JSON -> the same vocabulary, down to bytes that are not UTF-8; JSON again: the same text. */
static struct vocab *through_json(const struct vocab *v)
{
    struct buf b = {0}, again = {0};
    CHECK(v && vocab_to_json(v, &b, &e) == 0);
    struct json *j = json_parse(b.p, b.len, &e);
    struct vocab *back = vocab_from_json(j, &e);
    json_free(j);
    CHECK(back && vocab_size(back) == vocab_size(v));
    for (size_t i = 0; back && i < vocab_size(v); i++) {
        size_t n, n_back;
        const char *s = vocab_piece(v, (int32_t)i, &n),
                   *s_back = vocab_piece(back, (int32_t)i, &n_back);
        CHECK(s_back && n == n_back && memcmp(s, s_back, n) == 0);
    }
    CHECK(back && vocab_to_json(back, &again, &e) == 0);
    CHECK_STR(again.p, b.p);
    buf_release(&b);
    buf_release(&again);
    return back;
}

static void json_round_trip(void)
{
    struct vocab *v = some_chars(), *back = through_json(v);
    vocab_free(v);
    vocab_free(back);
    v = open_bpe(FIXTURES);
    back = through_json(v);
    CHECK(run_cases(back, FIXTURES) == 110);
    vocab_free(v);
    vocab_free(back);
}

static void json_errors(void)
{
    static const char *const cases[][2] = {
        {"{\"type\":\"words\",\"itos\":[]}", "neither"},
        {"{\"type\":\"bpe\",\"itos\":[\"a\"]}", "neither"},
        {"{\"type\":\"chars\",\"itos\":[]}", "no tokens"},
        {"{\"type\":\"chars\"}", "no tokens"},
        {"{\"type\":\"chars\",\"itos\":[\"a\",\"a\"]}", "same text"},
        {"{\"type\":\"chars\",\"itos\":[7]}", "itos[0] is no token"},
        {"{\"type\":\"chars\",\"itos\":[\"a\",[256]]}", "itos[1][0] is no byte"},
        {"{\"type\":\"bpe\",\"itos\":[[1]],\"merges\":\"\"}", "itos[0] is no token"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *j = json_parse(cases[i][0], strlen(cases[i][0]), &e);
        CHECK(j && !vocab_from_json(j, &e) && e.kind == ERR_DATA);
        if (!strstr(e.msg, cases[i][1]))
            CHECK_STR(e.msg, cases[i][1]);
        json_free(j);
    }
}

int main(void)
{
    RUN(bpe_of_fixture);
    RUN(bpe_of_reference);
    RUN(tokenizer_json);
    RUN(tokenizer_json_kinds);
    RUN(vocab_json_text);
    RUN(bpe_errors);
    RUN(long_word);
    RUN(neighbours);
    RUN(chars);
    RUN(unknown_character);
    RUN(json_round_trip);
    RUN(json_errors);
    return test_done();
}
