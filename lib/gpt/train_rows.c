/* train_rows.c - what a step sees: learning rate, random rows, spans repeated. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "gpt/train.h"

double train_lr(const struct train_opts *o, int64_t step)
{
    if (step < o->warmup_iters)
        return o->learning_rate * (double)(step + 1) / (double)(o->warmup_iters + 1);
    if (step >= o->lr_decay_iters)
        return o->min_lr;
    double done = (double)(step - o->warmup_iters) / (double)(o->lr_decay_iters - o->warmup_iters);
    return o->min_lr + 0.5 * (1 + cos(acos(-1) * done)) * (o->learning_rate - o->min_lr);
}

uint64_t train_seed(uint64_t seed, enum train_purpose p, int64_t step, int64_t part)
{
    uint64_t s = seed;
    s = rng_next(&s) + (uint64_t)p;
    s = rng_next(&s) + (uint64_t)step;
    s = rng_next(&s) + (uint64_t)part;
    return rng_next(&s);
}

/* One stage, SHARE or SHARE:UNTIL, at s; *end is what follows it. */
static int parse_stage(struct train_repeat *r, const char *s, char **end)
{
    double share = strtod(s, end);
    long long until = INT64_MAX, before = r->n ? r->stage[r->n - 1].until : 0;
    if (*end == s || !(share >= 0 && share <= 1) || r->n == TRAIN_STAGES)
        return -1;
    if (**end == ':') {
        const char *digits = *end + 1;
        until = strtoll(digits, end, 10);
        if (*end == digits || until <= before || until == INT64_MAX)
            return -1;
    }
    r->stage[r->n].share = share;
    r->stage[r->n].until = until;
    r->n++;
    return 0;
}

int train_repeat_parse(struct train_repeat *r, const char *text, struct err *e)
{
    const char *s = text;
    char *end;
    *r = (struct train_repeat){0};
    for (;; s = end + 1) {
        if (parse_stage(r, s, &end))
            break;
        bool last = r->stage[r->n - 1].until == INT64_MAX;
        if (*end == '\0')
            return 0;
        if (*end != ',' || last)
            break;
    }
    return err_set(e, ERR_USAGE,
                   "'%s': wanted SHARE:UNTIL,...,SHARE: at most %d shares from 0 to 1, each but "
                   "the last with the step at which it ends, in order",
                   text, TRAIN_STAGES);
}

double train_repeat_share(const struct train_repeat *r, int64_t step)
{
    for (int i = 0; i < r->n; i++)
        if (step < r->stage[i].until)
            return r->stage[i].share;
    return 0;
}

int train_rows_init(struct train_rows *r, int n, int block, struct err *e)
{
    *r = (struct train_rows){.n = n};
    r->x = mem_calloc((size_t)n, sizeof *r->x, e);
    r->y = mem_calloc((size_t)n, sizeof *r->y, e);
    r->own = mem_alloc((size_t)n * ((size_t)block + 1), sizeof *r->own, e);
    for (int i = 0; r->x && i < n; i++)
        r->x[i].n = block;
    return r->x && r->y && r->own ? 0 : -1;
}

void train_rows_release(struct train_rows *r)
{
    free(r->x);
    free(r->y);
    free(r->own);
    *r = (struct train_rows){0};
}

/* A window of `len` tokens and the one behind them: nanoGPT's randint(len(data) - block_size). */
static const int32_t *window(const struct train_text *text, bool val, int len, uint64_t *rng)
{
    size_t from = val ? text->n_train : 0, n = val ? text->n - text->n_train : text->n_train;
    return text->ids + from + rng_below(rng, n - (size_t)len);
}

static void repeat_span(const struct train_text *text, int32_t *row, int n, uint64_t *rng)
{
    int longest = (n - 1) / 2;
    int span = TRAIN_SPAN_MIN + (int)rng_below(rng, (uint64_t)(longest - TRAIN_SPAN_MIN + 1));
    if (rng_next(rng) >> 63) {
        memcpy(row, window(text, false, span, rng), (size_t)span * sizeof *row);
    } else {
        for (int i = 0; i < span; i++)
            row[i] = (int32_t)rng_below(rng, vocab_size(text->vocab));
    }
    for (int i = span; i < n; i++)
        row[i] = row[i - span];
}

void train_rows_draw(struct train_rows *r, const struct train_text *text, bool val, double share,
                     uint64_t seed)
{
    for (int i = 0; i < r->n; i++) {
        int block = r->x[i].n;
        if (share > 0 && rng_uniform(&seed) < share) {
            int32_t *row = r->own + (size_t)i * ((size_t)block + 1);
            repeat_span(text, row, block + 1, &seed);
            r->x[i].tokens = row;
        } else {
            r->x[i].tokens = window(text, val, block, &seed);
        }
        r->y[i] = r->x[i].tokens + 1;
    }
}
