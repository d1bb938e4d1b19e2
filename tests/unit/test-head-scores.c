/* Head scores against closed forms and against TransformerLens's detection matrices, built whole
   and multiplied in double, on random patterns. */
#include "test.h"

#include <stdlib.h>

#include "interp/head_scores.h"
#include "interp/head_table.h"

#define MAX_N 1200

static float pattern[MAX_N * MAX_N];
static double score[N_HEAD_SCORES];

static bool run(const int32_t *tokens, size_t n)
{
    struct err e;
    struct head_tokens t;
    struct head_sums s = {0};
    bool finite = true;
    if (head_tokens_init(&t, tokens, n, &e))
        return false;
    for (size_t i = 0; i < n; i++)
        finite = head_sums_row(&s, &t, i, pattern + i * n) && finite;
    head_scores(&s, &t, score);
    head_tokens_release(&t);
    return finite;
}

static double uniform(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) / 9007199254740992.0;
}

/* Row i attends wholly to target(i). */
static void one_hot(size_t n, size_t (*target)(size_t i))
{
    memset(pattern, 0, sizeof pattern);
    for (size_t i = 0; i < n; i++)
        pattern[i * n + target(i)] = 1;
}

static void random_rows(size_t n)
{
    memset(pattern, 0, sizeof pattern);
    for (size_t i = 0; i < n; i++) {
        double sum = 0, x[MAX_N];
        for (size_t j = 0; j <= i; j++)
            sum += x[j] = pow(uniform(), 6) + 1e-12;
        for (size_t j = 0; j <= i; j++)
            pattern[i * n + j] = (float)(x[j] / sum);
    }
}

#define S 9

/* BOS + S distinct tokens twice. */
static void repeated(int32_t *tokens)
{
    tokens[0] = 50256;
    for (int i = 0; i < S; i++)
        tokens[1 + i] = tokens[1 + S + i] = 100 + 7 * i;
}

static size_t previous_or_self(size_t i)
{
    return i ? i - 1 : 0;
}

static size_t induct(size_t i)
{
    return i > S ? i - S + 1 : 0;
}

static size_t duplicate(size_t i)
{
    return i > S ? i - S : 0;
}

static size_t first(size_t i)
{
    (void)i;
    return 0;
}

static void perfect_induction(void)
{
    int32_t tokens[2 * S + 1];
    size_t n = 2 * S + 1;
    repeated(tokens);
    one_hot(n, induct);
    CHECK(run(tokens, n));
    CHECK_NEAR(score[SCORE_INDUCTION], 1, 0);
    CHECK_NEAR(score[SCORE_INDUCTION_MATCH], 1, 0);
    CHECK_NEAR(score[SCORE_DUPLICATE], 0, 0);
    CHECK_NEAR(score[SCORE_DUPLICATE_MATCH], 0, 0);
    CHECK_NEAR(score[SCORE_PREVIOUS], 1.0 / (2 * S), 1e-15); /* row 1 looks at 0 */
    CHECK_NEAR(score[SCORE_FIRST], (S + 1.0) / (2 * S + 1), 1e-15);
    CHECK_NEAR(score[SCORE_ENTROPY], 0, 0);
    CHECK_NEAR(score[SCORE_TL_INDUCTION_MUL], (double)S / (2 * S + 1), 1e-15);
    CHECK_NEAR(score[SCORE_TL_INDUCTION_MUL_EXCL], 1, 0); /* what is left is induction only */
    /* |A-D| = 1 in each of the S+1 rows that look at 0 */
    CHECK_NEAR(score[SCORE_TL_INDUCTION_ABS], 1 - (S + 1.0) / (2 * S + 1), 1e-15);
}

static void perfect_duplicate(void)
{
    int32_t tokens[2 * S + 1];
    repeated(tokens);
    one_hot(2 * S + 1, duplicate);
    CHECK(run(tokens, 2 * S + 1));
    CHECK_NEAR(score[SCORE_DUPLICATE], 1, 0);
    CHECK_NEAR(score[SCORE_DUPLICATE_MATCH], 1, 0);
    CHECK_NEAR(score[SCORE_INDUCTION], 0, 0);
    CHECK_NEAR(score[SCORE_TL_DUPLICATE_MUL], (double)S / (2 * S + 1), 1e-15);
}

static void perfect_previous(void)
{
    int32_t tokens[2 * S + 1];
    double n = 2 * S + 1;
    repeated(tokens);
    one_hot(2 * S + 1, previous_or_self);
    CHECK(run(tokens, 2 * S + 1));
    CHECK_NEAR(score[SCORE_PREVIOUS], 1, 0);
    CHECK_NEAR(score[SCORE_CURRENT], 1 / n, 1e-15);
    CHECK_NEAR(score[SCORE_TL_PREVIOUS_MUL], (n - 1) / n, 1e-15);
    CHECK_NEAR(score[SCORE_TL_PREVIOUS_ABS], 1 - 1 / n, 1e-15);
    CHECK_NEAR(score[SCORE_TL_PREVIOUS_MUL_EXCL], 1, 0);
    CHECK_NEAR(score[SCORE_INDUCTION], 0, 0);
}

static void perfect_first(void)
{
    int32_t tokens[2 * S + 1];
    repeated(tokens);
    one_hot(2 * S + 1, first);
    CHECK(run(tokens, 2 * S + 1));
    CHECK_NEAR(score[SCORE_FIRST], 1, 0);
    CHECK(isnan(score[SCORE_TL_PREVIOUS_MUL_EXCL])); /* nothing is left: undefined */
}

static void uniform_rows(void)
{
    size_t n = 40;
    double harmonic = 0, entropy = 0;
    memset(pattern, 0, sizeof pattern);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++)
            pattern[i * n + j] = 1 / (float)(i + 1);
        harmonic += 1.0 / (double)(i + 1);
        entropy += log((double)(i + 1));
    }
    CHECK(run(NULL, n));
    /* 1e-7: the rounding of 1/(i+1) to float, and of sums of at most 512 floats */
    CHECK_NEAR(score[SCORE_CURRENT], harmonic / 40, 1e-7);
    CHECK_NEAR(score[SCORE_FIRST], harmonic / 40, 1e-7);
    CHECK_NEAR(score[SCORE_PREVIOUS], (harmonic - 1) / 39, 1e-7);
    CHECK_NEAR(score[SCORE_ENTROPY], entropy / 40, 1e-6);
    CHECK(isnan(score[SCORE_DUPLICATE]) && isnan(score[SCORE_INDUCTION_MATCH]));
    CHECK(isnan(score[SCORE_TL_DUPLICATE_MUL]) && !isnan(score[SCORE_TL_PREVIOUS_MUL]));
}

/* A*D, |A-D| and, with excl, the same after column 0 and the diagonal of A are set to 0. */
static void detect(const int32_t *tokens, size_t n, int kind, double out[3])
{
    double ad = 0, a_all = 0, diff = 0, ad_excl = 0, a_excl = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double a = (double)pattern[i * n + j];
            bool one = kind == 0   ? j + 1 == i
                       : kind == 1 ? j < i && tokens[i] == tokens[j]
                                   : j > 0 && j - 1 < i && tokens[i] == tokens[j - 1];
            bool excluded = j == 0 || j == i;
            ad += one ? a : 0;
            a_all += a;
            diff += fabs(a - one);
            ad_excl += one && !excluded ? a : 0;
            a_excl += excluded ? 0 : a;
        }
    out[0] = ad / a_all;
    out[1] = 1 - diff / (double)n;
    out[2] = ad_excl / a_excl;
}

static void random_patterns(void)
{
    static const size_t lengths[] = {2, 3, 17, 64, 1030};
    int32_t tokens[MAX_N];
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        size_t n = lengths[l];
        double entropy = 0, match = 0, match_next = 0, rows = 0, rows_next = 0, want[3];
        for (size_t i = 0; i < n; i++)
            tokens[i] = (int32_t)(uniform() * 12);
        random_rows(n);
        CHECK(run(tokens, n));
        for (size_t i = 0; i < n; i++) {
            bool has = false, has_next = false;
            for (size_t j = 0; j <= i; j++) {
                double a = (double)pattern[i * n + j];
                entropy -= a > 0 ? a * log(a) : 0;
                if (j < i && tokens[j] == tokens[i]) {
                    match += a;
                    has = true;
                    if (j + 1 < i) {
                        match_next += (double)pattern[i * n + j + 1];
                        has_next = true;
                    }
                }
            }
            rows += has;
            rows_next += has_next;
        }
        /* 1e-6: sums of at most 512 floats at a time; entropy besides by a 1e-7 logarithm */
        CHECK_NEAR(score[SCORE_ENTROPY], entropy / (double)n, 1e-6);
        CHECK(rows > 0 ? fabs(score[SCORE_DUPLICATE_MATCH] - match / rows) < 1e-12
                       : isnan(score[SCORE_DUPLICATE_MATCH]));
        CHECK(rows_next > 0 ? fabs(score[SCORE_INDUCTION_MATCH] - match_next / rows_next) < 1e-12
                            : isnan(score[SCORE_INDUCTION_MATCH]));
        for (int kind = 0; kind < 3; kind++) {
            detect(tokens, n, kind, want);
            for (int m = 0; m < 3; m++)
                if (!isnan(want[m]))
                    CHECK_NEAR(score[SCORE_TL_PREVIOUS_MUL + 3 * kind + m], want[m], 1e-6);
        }
    }
}

static size_t copy_of(const char *tokens)
{
    struct err e;
    struct head_tokens t;
    int32_t ids[64];
    size_t n = strlen(tokens);
    for (size_t i = 0; i < n; i++)
        ids[i] = tokens[i];
    if (head_tokens_init(&t, ids, n, &e))
        return 99;
    size_t s = t.copy;
    head_tokens_release(&t);
    return s;
}

static void copies(void)
{
    CHECK(copy_of("abcabc") == 3);
    CHECK(copy_of("^abcabc") == 3);
    CHECK(copy_of("^abacabac") == 4); /* a repeated token inside is no repetition of the span */
    CHECK(copy_of("abcabd") == 0);
    CHECK(copy_of("^abcabd") == 0);
    CHECK(copy_of("abab") == 2);
    CHECK(copy_of("abababab") == 0); /* four copies */
    CHECK(copy_of("aaaa") == 0);
    CHECK(copy_of("aa") == 0); /* the token after the earlier copy would be the query itself */
    CHECK(copy_of("a") == 0);
    CHECK(copy_of("") == 0);
}

static void adjacent_equal_tokens(void)
{
    /* "aab": the second a has an earlier copy, but what follows that copy is the query itself */
    const int32_t tokens[] = {5, 5, 6};
    random_rows(3);
    CHECK(run(tokens, 3));
    CHECK_NEAR(score[SCORE_DUPLICATE_MATCH], (double)pattern[3], 1e-15);
    CHECK(isnan(score[SCORE_INDUCTION_MATCH]));
    CHECK_NEAR(score[SCORE_TL_INDUCTION_MUL], (double)pattern[4] / 3, 1e-6); /* D_ind[1,1] = 1 */
}

static void single_token(void)
{
    const int32_t tokens[] = {5};
    pattern[0] = 1;
    CHECK(run(tokens, 1));
    for (int i = 0; i < N_HEAD_SCORES; i++)
        CHECK(isnan(score[i]));
}

static void not_finite(void)
{
    static const size_t where[] = {0, 20, 21, 399};
    for (size_t k = 0; k < 4; k++) {
        random_rows(20);
        pattern[where[k]] = k % 2 ? INFINITY : NAN;
        CHECK(!run(NULL, 20));
    }
    random_rows(20);
    CHECK(run(NULL, 20));
}

static void names(void)
{
    bool chosen[N_HEAD_SCORES];
    struct err e;
    CHECK(head_scores_choose("entropy,previous", chosen, &e) == 0);
    for (int i = 0; i < N_HEAD_SCORES; i++)
        CHECK(chosen[i] == (i == SCORE_ENTROPY || i == SCORE_PREVIOUS));
    CHECK(head_scores_choose("all", chosen, &e) == 0);
    for (int i = 0; i < N_HEAD_SCORES; i++)
        CHECK(chosen[i]);
    static const char *const bad[] = {"", "entrop", "entropyy", "entropy,", ",entropy", "al"};
    for (int i = 0; i < 6; i++)
        CHECK(head_scores_choose(bad[i], chosen, &e) == -1 && e.kind == ERR_USAGE);
    CHECK(strstr(e.msg, "tl_induction_mul_excl") != NULL);
}

static void table(void)
{
    struct head_table t = {0};
    struct err e;
    static const int order[][2] = {{1, 0}, {1, 1}, {0, 1}, {0, 0}};
    /* x = 1, 2, 4, 5: mean 3, sum of squares 10, se = sqrt(10 / 3 / 4) */
    static const double x[] = {1, 2, 4, 5};
    for (int item = 0; item < 4; item++)
        for (int h = 0; h < 4; h++) {
            for (int i = 0; i < N_HEAD_SCORES; i++)
                score[i] = NAN;
            score[SCORE_ENTROPY] = x[item] + 10 * order[h][0] + 100 * order[h][1];
            score[SCORE_FIRST] = item == 2 ? 7 : NAN;
            CHECK(head_table_add(&t, order[h][0], order[h][1], score, &e) == 0);
        }
    CHECK(t.n == 4);
    for (int k = 0; k < 4; k++) {
        const struct head_cell *c = &t.cell[k];
        CHECK(c->layer == k / 2 && c->head == k % 2);
        CHECK_NEAR(head_stat_mean(&c->stat[SCORE_ENTROPY]), 3 + 10 * (k / 2) + 100 * (k % 2),
                   1e-12);
        CHECK_NEAR(head_stat_se(&c->stat[SCORE_ENTROPY]), sqrt(10.0 / 12), 1e-12);
        CHECK_NEAR(head_stat_mean(&c->stat[SCORE_FIRST]), 7, 0);
        CHECK(isnan(head_stat_se(&c->stat[SCORE_FIRST])));
        CHECK(isnan(head_stat_mean(&c->stat[SCORE_PREVIOUS])));
    }
    head_table_release(&t);
}

int main(void)
{
    RUN(perfect_induction);
    RUN(perfect_duplicate);
    RUN(perfect_previous);
    RUN(perfect_first);
    RUN(uniform_rows);
    RUN(random_patterns);
    RUN(copies);
    RUN(adjacent_equal_tokens);
    RUN(single_token);
    RUN(not_finite);
    RUN(names);
    RUN(table);
    return test_done();
}
