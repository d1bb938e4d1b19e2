#include "interp/head_scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { D_PREV, D_DUP, D_IND };

const struct head_score_info head_score_info[N_HEAD_SCORES] = {
#define HEAD_SCORE(id, name, definition) {name, definition},
#include "interp/head_scores.def"
#undef HEAD_SCORE
};

int head_scores_choose(const char *list, bool chosen[N_HEAD_SCORES], struct err *e)
{
#define HEAD_SCORE(id, name, definition) " " name
    static const char names[] =
#include "interp/head_scores.def"
        ;
#undef HEAD_SCORE
    const char *s = list;
    memset(chosen, 0, N_HEAD_SCORES * sizeof *chosen);
    do {
        size_t n = strcspn(s, ",");
        bool all = n == 3 && strncmp(s, "all", n) == 0, found = all;
        for (int i = 0; i < N_HEAD_SCORES; i++) {
            const char *name = head_score_info[i].name;
            bool same = strlen(name) == n && strncmp(name, s, n) == 0;
            chosen[i] |= all || same;
            found |= same;
        }
        if (!found)
            return err_set(e, ERR_USAGE, "score '%.*s': unknown; there are all%s", (int)n, s,
                           names);
        s += n;
    } while (*s++ == ',');
    return 0;
}

static bool repeats(const int32_t *tokens, size_t n, size_t period)
{
    for (size_t i = period; i < n; i++)
        if (tokens[i] != tokens[i - period])
            return false;
    return true;
}

/* S of [BOS] + S tokens twice. The parity of n says whether there is a BOS. Four copies of a span
   are also two of its double, but attention then spreads over three earlier copies and no diagonal
   measures it: those do not count. */
static size_t copy_length(const int32_t *tokens, size_t n)
{
    size_t bos = n & 1, s = n / 2;
    if (s < 2 || !repeats(tokens + bos, 2 * s, s))
        return 0;
    for (size_t d = 1; d <= s / 2; d++)
        if (s % d == 0 && repeats(tokens + bos, s, d))
            return 0;
    return s;
}

struct place {
    int32_t token, pos;
};

static int by_token_then_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->token != y->token)
        return x->token < y->token ? -1 : 1;
    return (x->pos > y->pos) - (x->pos < y->pos);
}

int head_tokens_init(struct head_tokens *t, const int32_t *tokens, size_t n, struct err *e)
{
    *t = (struct head_tokens){.n = n, .known = tokens != NULL};
    if (n > HEAD_TOKENS_MAX)
        return err_set(e, ERR_DATA, "%zu tokens: more than %u", n, HEAD_TOKENS_MAX);
    t->prev = mem_alloc(n, sizeof *t->prev, e);
    struct place *place = mem_alloc(n, sizeof *place, e);
    if (!t->prev || !place) {
        free(place);
        head_tokens_release(t);
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        t->prev[i] = -1;
        if (tokens)
            place[i] = (struct place){tokens[i], (int32_t)i};
    }
    if (tokens)
        qsort(place, n, sizeof *place, by_token_then_place);
    size_t earlier = 0;
    for (size_t k = 1; tokens && k < n; k++) {
        earlier = place[k].token == place[k - 1].token ? earlier + 1 : 0;
        if (!earlier)
            continue;
        bool adjacent = place[k].pos == place[k - 1].pos + 1;
        t->prev[place[k].pos] = place[k - 1].pos;
        t->n_match++;
        t->n_match_next += earlier > adjacent;
    }
    t->copy = tokens ? copy_length(tokens, n) : 0;
    free(place);
    return 0;
}

void head_tokens_release(struct head_tokens *t)
{
    free(t->prev);
    *t = (struct head_tokens){0};
}

/* Natural logarithm of a normal positive number, without branches so that loops over it become
   SIMD: x = 2^k m with m in [sqrt(1/2), sqrt(2)), ln m = 2 atanh(s) with s = (m-1)/(m+1), |s| <
   0.172, whose series is cut where the next term is below 1e-9. Finite for x = 0, so that x ln x
   is 0 there. */
static inline float ln_simd(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    int32_t k = (bits - 0x3f3504f3) >> 23; /* bits of sqrt(1/2) */
    bits -= k * (1 << 23);
    float m;
    memcpy(&m, &bits, sizeof m);
    float s = (m - 1) / (m + 1), z = s * s;
    float series = 1 + z * (1.0f / 3 + z * (1.0f / 5 + z * (1.0f / 7 + z * (1.0f / 9))));
    return 2 * s * series + (float)k * 0.69314718f;
}

/* Cells [from, to) of a row, none of them in column 0 or on the diagonal. */
static void add_run(struct head_sums *s, const float *row, size_t from, size_t to)
{
    /* float lanes in short runs, double between them: fast, and the error does not grow with n */
    for (size_t at = from; at < to; at += 512) {
        size_t end = to - at < 512 ? to : at + 512;
        float sum = 0, magnitude = 0, plogp = 0;
#pragma omp simd reduction(+ : sum, magnitude, plogp)
        for (size_t j = at; j < end; j++) {
            float a = row[j], p = a > 0 ? a : 0;
            sum += a;
            magnitude += fabsf(a);
            plogp += p * ln_simd(fabsf(a)); /* of p, the compiler would make two paths */
        }
        s->rest += (double)sum;
        s->magnitude += (double)magnitude;
        s->plogp += (double)plogp;
    }
}

static void add_single(struct head_sums *s, double *sum, float a)
{
    *sum += (double)a;
    s->magnitude += (double)fabsf(a);
    if (a > 0)
        s->plogp += (double)a * log((double)a);
}

/* A cell where D is 1. */
static void add_cell(struct head_sums *s, int d, const float *row, size_t i, size_t j)
{
    double a = (double)row[j];
    s->d[d] += a;
    s->d_abs[d] += fabs(a - 1) - fabs(a);
    if (j != 0 && j != i)
        s->d_excl[d] += a;
}

bool head_sums_row(struct head_sums *s, const struct head_tokens *t, size_t query, const float *row)
{
    size_t i = query;
    add_single(s, &s->first, row[0]);
    if (i == 0)
        s->a00 = (double)row[0];
    else
        add_single(s, &s->current, row[i]);
    add_run(s, row, 1, i);
    add_run(s, row, i + 1, t->n);
    if (i > 0)
        add_cell(s, D_PREV, row, i, i - 1);
    for (int32_t j = t->prev[i]; j >= 0; j = t->prev[j]) {
        add_cell(s, D_DUP, row, i, (size_t)j);
        add_cell(s, D_IND, row, i, (size_t)j + 1);
    }
    if (t->copy && i >= t->n - t->copy) {
        s->exact[0] += (double)row[i - t->copy];
        s->exact[1] += (double)row[i - t->copy + 1];
    }
    return isfinite(s->magnitude);
}

static double ratio(double a, double b)
{
    return b != 0 ? a / b : NAN;
}

void head_scores(const struct head_sums *s, const struct head_tokens *t,
                 double score[N_HEAD_SCORES])
{
    for (int i = 0; i < N_HEAD_SCORES; i++)
        score[i] = NAN;
    if (t->n < 2)
        return;
    double n = (double)t->n, copy = (double)t->copy;
    score[SCORE_PREVIOUS] = s->d[D_PREV] / (n - 1);
    score[SCORE_CURRENT] = (s->a00 + s->current) / n;
    score[SCORE_FIRST] = s->first / n;
    score[SCORE_DUPLICATE] = ratio(s->exact[0], copy);
    score[SCORE_INDUCTION] = ratio(s->exact[1], copy);
    score[SCORE_DUPLICATE_MATCH] = ratio(s->d[D_DUP], (double)t->n_match);
    score[SCORE_INDUCTION_MATCH] = ratio(s->d_excl[D_IND], (double)t->n_match_next);
    score[SCORE_ENTROPY] = (0 - s->plogp) / n; /* never "-0" */
    for (int d = D_PREV; d <= (t->known ? D_IND : D_PREV); d++) {
        double *tl = score + SCORE_TL_PREVIOUS_MUL + 3 * d;
        tl[0] = ratio(s->d[d], s->first + s->current + s->rest);
        tl[1] = 1 - (s->magnitude + s->d_abs[d]) / n;
        tl[2] = ratio(s->d_excl[d], s->rest);
    }
}
