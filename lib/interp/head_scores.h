/* head_scores.h - what an attention head looks at, as numbers: previous token, duplicate token,
   induction, entropy … of one head's pattern on one item. Pure functions over rows of the pattern
   and token ids; a pattern is fed row by row, so it is never held whole.

   use: head_tokens_init (once an item); for each head: a zeroed head_sums, head_sums_row for every
   query, head_scores; head_tokens_release. */
#ifndef INTERP_HEAD_SCORES_H
#define INTERP_HEAD_SCORES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define HEAD_TOKENS_MAX (1u << 20) /* longest item taken */

enum head_score {
#define HEAD_SCORE(id, name, definition) SCORE_##id,
#include "interp/head_scores.def"
#undef HEAD_SCORE
    N_HEAD_SCORES
};

struct head_score_info {
    const char *name, *definition;
};
extern const struct head_score_info head_score_info[N_HEAD_SCORES];

/* Names separated by commas, or "all" -> chosen. ERR_USAGE names an unknown one and lists all. */
int head_scores_choose(const char *list, bool chosen[N_HEAD_SCORES], struct err *e);

/* What the scores need to know of an item's tokens. */
struct head_tokens {
    size_t n;
    bool known;                   /* false: no token ids, every score that needs them is NaN */
    int32_t *prev;                /* nearest earlier position of the same token, or -1; owned */
    size_t n_match, n_match_next; /* rows of duplicate_match and of induction_match */
    size_t copy;                  /* S when the item is [BOS] + S tokens twice (S >= 2, and these
                                     S are not themselves a repetition), else 0 */
};
/* tokens NULL: the ids are not known. ERR_DATA when n is over HEAD_TOKENS_MAX. */
int head_tokens_init(struct head_tokens *t, const int32_t *tokens, size_t n, struct err *e);
void head_tokens_release(struct head_tokens *t);

/* Sums over the rows of one head's pattern. Start with zeros. */
struct head_sums {
    double first, current, rest; /* A in column 0; on the diagonal past [0,0]; in all other cells */
    double magnitude, plogp;     /* |A| and A ln A in all cells */
    double a00;
    double d[3], d_abs[3]; /* where D_prev, D_dup, D_ind are 1: A, and |A-1| - |A| */
    double d_excl[3];      /* d without column 0 and the diagonal */
    double exact[2];       /* exact-row duplicate, induction */
};
/* Row `query` (t->n values). false, and the sums spoilt, when a value is NaN or infinite. */
bool head_sums_row(struct head_sums *s, const struct head_tokens *t, size_t query,
                   const float *row);

/* The item's scores by enum head_score; NaN where the definition has no cell on this item. An item
   of one token tells nothing about a head: all NaN. */
void head_scores(const struct head_sums *s, const struct head_tokens *t,
                 double score[N_HEAD_SCORES]);

#endif
