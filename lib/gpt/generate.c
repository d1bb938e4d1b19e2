#include "gpt/generate.h"

#include <math.h>

#include "base/rng.h"

static int argmax(const float *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

/* The k-th largest value: logits below it are out, as in nanoGPT's top_k (ties stay in). */
static float kth_largest(const float *x, int n, int k)
{
    float bound = INFINITY;
    for (int left = k; left > 0;) {
        float next = -INFINITY;
        int equal = 0;
        for (int i = 0; i < n; i++) {
            if (x[i] >= bound)
                continue;
            if (x[i] > next) {
                next = x[i];
                equal = 0;
            }
            equal += x[i] == next;
        }
        bound = next;
        if (!equal)
            break;
        left -= equal;
    }
    return bound;
}

int32_t gpt_sample(struct gpt_sampler *s, float *logits, int n)
{
    int best = argmax(logits, n);
    if (s->temperature == 0)
        return best;
    float bound = s->top_k > 0 && s->top_k < n ? kth_largest(logits, n, s->top_k) : -INFINITY;
    float top = logits[best];
    double total = 0;
    for (int i = 0; i < n; i++) {
        double p = exp(((double)logits[i] - (double)top) / s->temperature);
        logits[i] = logits[i] >= bound ? (float)p : 0.0f;
        total += (double)logits[i];
    }
    double u = rng_uniform(&s->rng) * total;
    for (int i = 0; i < n; i++) {
        u -= (double)logits[i];
        if (u < 0)
            return i;
    }
    return best; /* rounding left u at the very end */
}

/* Forwards every call to the caller's plan and takes the next token from the logits. */
struct tap {
    const struct gpt_plan *plan;
    struct gpt_sampler *sampler;
    int32_t next;
};

static int tap_hook(void *user, struct gpt_point p, int seq, const struct gpt_view *v,
                    struct err *e)
{
    struct tap *t = user;
    if (t->plan->fn && t->plan->fn(t->plan->user, p, seq, v, e))
        return -1;
    if (p.hook == HOOK_LOGITS)
        t->next = gpt_sample(t->sampler, v->data, v->size[1]);
    return 0;
}

int gpt_generate(const struct gpt_model *m, struct gpt_work *w, struct gpt_kv *kv,
                 const int32_t *prompt, int n, int n_new, struct gpt_sampler *s,
                 const struct gpt_plan *plan, gpt_token_fn *emit, void *user, struct err *e)
{
    if (n_new > m->cfg.n_ctx - n + 1)
        return err_set(e, ERR_USAGE,
                       "%d tokens of prompt and %d new ones do not fit the model's context of %d",
                       n, n_new, m->cfg.n_ctx);
    struct tap tap = {.plan = plan, .sampler = s};
    struct gpt_plan own = *plan;
    own.logits = GPT_LOGITS_LAST;
    own.fn = tap_hook;
    own.user = &tap;
    struct gpt_seq seq = {.tokens = prompt, .n = n, .kv = kv};
    int32_t token;
    for (int i = 0; i < n_new; i++) {
        if (gpt_forward(m, w, &seq, 1, &own, e))
            return -1;
        token = tap.next;
        if (emit(user, token, e))
            return -1;
        seq.tokens = &token;
        seq.n = 1;
    }
    return 0;
}
