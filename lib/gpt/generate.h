/* generate.h - text after a prompt, token by token, with a cache of keys and values. */
#ifndef GPT_GENERATE_H
#define GPT_GENERATE_H

#include "gpt/forward.h"

struct gpt_sampler {
    double temperature; /* 0: always the likeliest token (of equals, the lowest id) */
    int top_k;          /* sample among the k likeliest; 0: among all */
    uint64_t rng;       /* seed, then state */
};

/* Samples from softmax(logits / temperature) cut to the top k, as nanoGPT's generate() does. The
   logits are overwritten. */
int32_t gpt_sample(struct gpt_sampler *s, float *logits, int n);

/* Called with every new token; nonzero ends the generation with that error (*e filled). */
typedef int gpt_token_fn(void *user, int32_t token, struct err *e);

/* Generates n_new tokens after prompt[0..n). `plan` says what else to do at hook points; its
   logits are set to the last position, and its function sees every pass: the prompt, then one token
   at a time (gpt_kv.n of `kv` is the position of the pass's first token). `kv` has room for n +
   n_new - 1 positions. The text must fit the model's context: ERR_USAGE. */
int gpt_generate(const struct gpt_model *m, struct gpt_work *w, struct gpt_kv *kv,
                 const int32_t *prompt, int n, int n_new, struct gpt_sampler *s,
                 const struct gpt_plan *plan, gpt_token_fn *emit, void *user, struct err *e);

#endif
