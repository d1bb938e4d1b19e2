/* GPT-2's byte-level BPE: text is split by a pattern, and the bytes of each part are merged pair by
   pair, the pair of lowest rank first, the leftmost first among equals. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "gpt/vocab_private.h"

/* Unicode's White_Space, which is tiktoken's \s. PCRE2's own \s also has U+180E. */
#define SPACE                                                                       \
    "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}" \
    "\\x{205f}\\x{3000}"

/* GPT-2's pattern; possessive, which changes no match and rules out backtracking. */
static const char pattern[] = "'(?:[stmd]|re|ve|ll)| ?\\p{L}++| ?\\p{N}++| ?[^" SPACE
                              "\\p{L}\\p{N}]++|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]++";

enum { NO_PAIR = -1 };

struct pair {
    int32_t left, right; /* token ids; left NO_PAIR: free slot */
    uint32_t rank;
    int32_t merged;
};

struct bpe {
    pcre2_code *code;
    int32_t byte[256]; /* id of each single byte, -1 when there is none */
    struct pair *pair; /* [mask + 1], open addressing by (left, right) */
    size_t mask, n_pairs;
};

void bpe_free(struct bpe *b)
{
    if (!b)
        return;
    pcre2_code_free(b->code);
    free(b->pair);
    free(b);
}

/* The slot of (left, right), or the free one where it would go. */
static struct pair *find_pair(const struct bpe *b, int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    for (size_t i = (size_t)(h >> 32) & b->mask;; i = (i + 1) & b->mask) {
        struct pair *p = &b->pair[i];
        if (p->left == NO_PAIR || (p->left == left && p->right == right))
            return p;
    }
}

/* One line "a b" of merges.txt. */
static int add_merge(struct vocab *v, const char *line, size_t n, size_t number, struct buf tmp[2],
                     struct err *e)
{
    struct bpe *b = v->bpe;
    const char *blank = memchr(line, ' ', n);
    size_t n_left = blank ? (size_t)(blank - line) : 0;
    if (n_left == 0 || n_left + 1 == n || memchr(blank + 1, ' ', n - n_left - 1))
        return err_set(e, ERR_DATA, "merges: line %zu is not two tokens with a blank between them",
                       number);
    if (vocab_unspell(&tmp[0], line, n_left, e) ||
        vocab_unspell(&tmp[1], blank + 1, n - n_left - 1, e))
        return -1;
    int32_t left = vocab_find(v, tmp[0].p, tmp[0].len);
    int32_t right = vocab_find(v, tmp[1].p, tmp[1].len);
    if (buf_add(&tmp[0], tmp[1].p, tmp[1].len, e))
        return -1;
    int32_t merged = vocab_find(v, tmp[0].p, tmp[0].len);
    if (left < 0 || right < 0 || merged < 0)
        return err_set(e, ERR_DATA, "merges: line %zu: %s is not in the vocabulary", number,
                       left < 0    ? "its left token"
                       : right < 0 ? "its right token"
                                   : "what it makes");
    struct pair *p = find_pair(b, left, right);
    if (p->left == NO_PAIR)
        *p = (struct pair){left, right, (uint32_t)b->n_pairs++, merged};
    return 0;
}

static int add_merges(struct vocab *v, const char *text, size_t n, struct err *e)
{
    struct buf tmp[2] = {{0}, {0}};
    size_t lines = 1, slots = 16, number = 0;
    for (const char *p = text; n && (p = memchr(p, '\n', n - (size_t)(p - text))); p++)
        lines++;
    while (slots < 2 * lines)
        slots *= 2;
    struct bpe *b = v->bpe;
    b->pair = mem_alloc(slots, sizeof *b->pair, e);
    if (!b->pair)
        return -1;
    memset(b->pair, 0xFF, slots * sizeof *b->pair);
    b->mask = slots - 1;
    int rc = 0;
    for (size_t at = 0; at < n && rc == 0;) {
        const char *line = text + at, *end = memchr(line, '\n', n - at);
        size_t len = end ? (size_t)(end - line) : n - at;
        at += len + 1;
        number++;
        if (len && line[len - 1] == '\r')
            len--;
        if (len && !(number == 1 && len > 8 && memcmp(line, "#version", 8) == 0))
            rc = add_merge(v, line, len, number, tmp, e);
    }
    buf_release(&tmp[0]);
    buf_release(&tmp[1]);
    return rc;
}

static int pcre_error(int code, struct err *e)
{
    PCRE2_UCHAR msg[120] = "";
    pcre2_get_error_message(code, msg, sizeof msg);
    return err_set(e, ERR_SYS, "pre-tokenizer: PCRE2: %s", (const char *)msg);
}

int bpe_init(struct vocab *v, const char *merges, size_t n, struct err *e)
{
    int code;
    PCRE2_SIZE at;
    v->bpe = mem_calloc(1, sizeof *v->bpe, e);
    if (!v->bpe || add_merges(v, merges, n, e))
        return -1;
    for (int c = 0; c < 256; c++) {
        char s = (char)c;
        v->bpe->byte[c] = vocab_find(v, &s, 1);
    }
    v->bpe->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                 PCRE2_UTF | PCRE2_ANCHORED, &code, &at, NULL);
    if (!v->bpe->code)
        return pcre_error(code, e);
    /* Without the compiler (a system may forbid it) pcre2_match interprets the pattern. */
    pcre2_jit_compile(v->bpe->code, PCRE2_JIT_COMPLETE);
    return 0;
}

struct vocab *vocab_bpe(const char *vocab_json, size_t n_vocab, const char *merges, size_t n_merges,
                        struct err *e)
{
    struct vocab *v = vocab_new(VOCAB_BPE, e);
    if (!v)
        return NULL;
    if (vocab_scan(v, vocab_json, n_vocab, e) || vocab_index(v, e) ||
        bpe_init(v, merges, n_merges, e)) {
        vocab_free(v);
        return NULL;
    }
    return v;
}

static int by_rank(const void *a, const void *b)
{
    uint32_t x = ((const struct pair *)a)->rank, y = ((const struct pair *)b)->rank;
    return (x > y) - (x < y);
}

int bpe_merges(const struct vocab *v, struct buf *out, struct err *e)
{
    const struct bpe *b = v->bpe;
    struct pair *list = mem_alloc(b->n_pairs, sizeof *list, e);
    if (!list)
        return -1;
    size_t n = 0;
    for (size_t i = 0; i <= b->mask; i++)
        if (b->pair[i].left != NO_PAIR)
            list[n++] = b->pair[i];
    qsort(list, n, sizeof *list, by_rank);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        const struct vocab_piece *l = &v->piece[list[i].left], *r = &v->piece[list[i].right];
        rc = vocab_spell(out, v->bytes.p + l->at, l->len, e) || buf_puts(out, " ", e) ||
                     vocab_spell(out, v->bytes.p + r->at, r->len, e) || buf_puts(out, "\n", e)
                 ? -1
                 : 0;
    }
    free(list);
    return rc;
}

/* One part of the text while it is merged: a list of tokens and a heap of the pairs that can be
   merged. A part of n bytes takes O(n log n), so a megabyte of one letter is no trap. */
struct node {
    int32_t id;
    uint32_t prev, next; /* NO_NODE: none */
    uint32_t rank;       /* of the pair with `next`, NO_RANK: none */
};
#define NO_NODE UINT32_MAX
#define NO_RANK UINT32_MAX

struct merge {
    const struct bpe *b;
    struct node *node;
    size_t cap;
    uint64_t *heap; /* rank << 32 | node: the lowest rank, then the leftmost, comes first */
    size_t n_heap, cap_heap;
};

static int heap_push(struct merge *m, uint64_t x, struct err *e)
{
    if (mem_grow(&m->heap, &m->cap_heap, m->n_heap + 1, sizeof *m->heap, e))
        return -1;
    size_t i = m->n_heap++;
    for (; i && m->heap[(i - 1) / 2] > x; i = (i - 1) / 2)
        m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = x;
    return 0;
}

static uint64_t heap_pop(struct merge *m)
{
    uint64_t top = m->heap[0], x = m->heap[--m->n_heap];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < m->n_heap) {
        child += child + 1 < m->n_heap && m->heap[child + 1] < m->heap[child];
        if (m->heap[child] >= x)
            break;
        m->heap[i] = m->heap[child];
        i = child;
    }
    m->heap[i] = x;
    return top;
}

/* Looks up the pair that begins at node i. */
static int set_pair(struct merge *m, uint32_t i, struct err *e)
{
    struct node *l = &m->node[i];
    l->rank = NO_RANK;
    if (l->next == NO_NODE)
        return 0;
    const struct pair *p = find_pair(m->b, l->id, m->node[l->next].id);
    if (p->left == NO_PAIR)
        return 0;
    l->rank = p->rank;
    return heap_push(m, (uint64_t)p->rank << 32 | i, e);
}

/* The list of s[0..n)'s bytes; at 0 is its head. */
static int merge_begin(struct merge *m, const char *s, size_t n, struct err *e)
{
    if (n >= NO_NODE)
        return err_set(e, ERR_DATA, "a part of %zu bytes without a blank is too long", n);
    if (mem_grow(&m->node, &m->cap, n, sizeof *m->node, e))
        return -1;
    for (size_t i = 0; i < n; i++) {
        int32_t id = m->b->byte[(unsigned char)s[i]];
        if (id < 0)
            return err_set(e, ERR_DATA, "byte 0x%02x is not in the model's vocabulary",
                           (unsigned char)s[i]);
        m->node[i] = (struct node){id, i ? (uint32_t)(i - 1) : NO_NODE,
                                   i + 1 < n ? (uint32_t)(i + 1) : NO_NODE, NO_RANK};
    }
    m->n_heap = 0;
    for (size_t i = 0; i < n; i++)
        if (set_pair(m, (uint32_t)i, e))
            return -1;
    return 0;
}

static int merge_part(struct merge *m, const char *s, size_t n, struct err *e)
{
    if (merge_begin(m, s, n, e))
        return -1;
    while (m->n_heap) {
        uint64_t top = heap_pop(m);
        uint32_t i = (uint32_t)top;
        struct node *l = &m->node[i];
        /* Entries of pairs that are gone stay in the heap; a merged-away node has no rank. */
        if (l->rank != top >> 32)
            continue;
        struct node *r = &m->node[l->next];
        l->id = find_pair(m->b, l->id, r->id)->merged;
        l->next = r->next;
        r->rank = NO_RANK;
        if (l->next != NO_NODE)
            m->node[l->next].prev = i;
        if (set_pair(m, i, e) || (l->prev != NO_NODE && set_pair(m, l->prev, e)))
            return -1;
    }
    return 0;
}

static int encode_part(struct merge *m, const char *s, size_t n, int32_t **ids, size_t *n_ids,
                       size_t *cap, struct err *e)
{
    if (merge_part(m, s, n, e))
        return -1;
    for (uint32_t i = 0; i != NO_NODE; i = m->node[i].next) {
        if (mem_grow(ids, cap, *n_ids + 1, sizeof **ids, e))
            return -1;
        (*ids)[(*n_ids)++] = m->node[i].id;
    }
    return 0;
}

int bpe_encode(const struct vocab *v, const char *text, size_t n, int32_t **ids, size_t *n_ids,
               size_t *cap, struct err *e)
{
    size_t bad = utf8_valid(text, n);
    if (bad < n)
        return err_set(e, ERR_DATA, "byte 0x%02x at byte %zu is not UTF-8",
                       (unsigned char)text[bad], bad);
    struct merge m = {.b = v->bpe};
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    int rc = match ? 0 : err_set(e, ERR_SYS, "out of memory");
    for (size_t at = 0; at < n && rc == 0;) {
        int code =
            pcre2_match(v->bpe->code, (PCRE2_SPTR)text, n, at, PCRE2_NO_UTF_CHECK, match, NULL);
        if (code < 0) {
            rc = pcre_error(code, e);
            break;
        }
        size_t end = pcre2_get_ovector_pointer(match)[1];
        rc = encode_part(&m, text + at, end - at, ids, n_ids, cap, e);
        if (rc)
            err_prefix(e, "byte %zu", at);
        at = end;
    }
    pcre2_match_data_free(match);
    free(m.node);
    free(m.heap);
    return rc;
}
