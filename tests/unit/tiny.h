/* tiny.h - a model of random weights built in memory: 2 layers, 2 heads, LayerNorm, MLPs, all
   biases. Weights are large enough that every part matters to the logits. */
#ifndef TESTS_UNIT_TINY_H
#define TESTS_UNIT_TINY_H

#include <stdlib.h>

#include "base/mem.h"
#include "gpt/model.h"

enum {
    TINY_LAYERS = 2,
    TINY_HEADS = 2,
    TINY_D = 8,
    TINY_MLP = 16,
    TINY_CTX = 16,
    TINY_VOCAB = 11,
};

struct tiny {
    struct gpt_model m;
    float *weights;
};

static inline const float *tiny_take(struct tiny *t, size_t *used, size_t n, float centre)
{
    static unsigned long long state = 88172645463325252ULL; /* xorshift64 (Marsaglia 2003) */
    float *p = t->weights + *used;
    for (size_t i = 0; i < n; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        p[i] = centre + (float)(state >> 40) / (float)(1 << 24) - 0.5f;
    }
    *used += n;
    return p;
}

static inline struct gpt_matrix tiny_matrix(struct tiny *t, size_t *used, int in, int out,
                                            bool transposed)
{
    const float *w = tiny_take(t, used, (size_t)in * (size_t)out, 0);
    return (struct gpt_matrix){.w = w, .in = in, .out = out, .transposed = transposed};
}

static inline int tiny_init(struct tiny *t, struct err *e)
{
    const int d = TINY_D, v = TINY_VOCAB;
    size_t used = 0;
    *t = (struct tiny){.m.cfg = {.n_layer = TINY_LAYERS,
                                 .n_head = TINY_HEADS,
                                 .d_model = d,
                                 .d_head = d / TINY_HEADS,
                                 .d_mlp = TINY_MLP,
                                 .n_ctx = TINY_CTX,
                                 .d_vocab = v,
                                 .act = GPT_GELU_TANH,
                                 .eps = 1e-5f,
                                 .layer_norm = true,
                                 .bos = -1}};
    t->weights = mem_alloc(4096, sizeof *t->weights, e);
    t->m.layer = mem_calloc(TINY_LAYERS, sizeof *t->m.layer, e);
    if (!t->weights || !t->m.layer)
        return -1;
    t->m.wte = tiny_take(t, &used, (size_t)(v * d), 0);
    t->m.wpe = tiny_take(t, &used, (size_t)(TINY_CTX * d), 0);
    for (int l = 0; l < TINY_LAYERS; l++) {
        struct gpt_layer *x = &t->m.layer[l];
        x->ln1_w = tiny_take(t, &used, TINY_D, 1);
        x->ln1_b = tiny_take(t, &used, TINY_D, 0);
        x->qkv = tiny_matrix(t, &used, d, 3 * d, false);
        x->qkv_b = tiny_take(t, &used, 3 * TINY_D, 0);
        x->out = tiny_matrix(t, &used, d, d, true);
        x->out_b = tiny_take(t, &used, TINY_D, 0);
        x->ln2_w = tiny_take(t, &used, TINY_D, 1);
        x->ln2_b = tiny_take(t, &used, TINY_D, 0);
        x->fc = tiny_matrix(t, &used, d, TINY_MLP, true);
        x->fc_b = tiny_take(t, &used, TINY_MLP, 0);
        x->proj = tiny_matrix(t, &used, TINY_MLP, d, false);
        x->proj_b = tiny_take(t, &used, TINY_D, 0);
    }
    t->m.ln_f_w = tiny_take(t, &used, TINY_D, 1);
    t->m.ln_f_b = tiny_take(t, &used, TINY_D, 0);
    t->m.unembed = tiny_matrix(t, &used, d, v, true);
    t->m.unembed_b = tiny_take(t, &used, TINY_VOCAB, 0);
    return 0;
}

static inline void tiny_release(struct tiny *t)
{
    free(t->weights);
    free(t->m.layer);
}

#endif
