/* weights.h - a model whose weights are one array that may be written: what training changes. The
   gradient and the optimizer's moments are arrays of the same layout. */
#ifndef GPT_WEIGHTS_H
#define GPT_WEIGHTS_H

#include "gpt/model.h"

/* The matrices come first, the vectors (biases, LayerNorm) from `matrices` on: weight decay is for
   the former only. Each parameter begins on a multiple of 64 bytes; the floats between are 0.
   LINEAR parameters are in [in, out] layout, a tied unembedding is wte. `model` points into w; it
   has no vocabulary, name or store, and gpt_close is not for it. */
struct gpt_weights {
    struct gpt_model model;
    float *w;
    size_t n, matrices; /* floats in w */
};

/* A model of this config with every weight 0; without `bias`, no parameter of params.def that is
   one. ERR_DATA when the config makes no sense. */
int gpt_weights_init(struct gpt_weights *g, const struct gpt_config *c, bool bias, struct err *e);
/* One of m's config and with the parameters that m has, every weight 0. */
int gpt_weights_like(struct gpt_weights *g, const struct gpt_model *m, struct err *e);
/* The same with m's values. n_ctx, at most m's, is its context: the position embeddings behind it
   are left out (nanoGPT's crop_block_size). */
int gpt_weights_copy(struct gpt_weights *g, const struct gpt_model *m, int n_ctx, struct err *e);
void gpt_weights_release(struct gpt_weights *g); /* frees and empties */

/* How many numbers there are to train, without what aligns them. */
uint64_t gpt_weights_count(const struct gpt_weights *g);
bool gpt_weights_has_bias(const struct gpt_weights *g);

/* nanoGPT's initialisation: matrices normal with deviation 0.02, those that write to the residual
   stream (c_proj) 0.02 / sqrt(2 n_layer), biases 0, LayerNorm's weights 1. */
void gpt_weights_random(struct gpt_weights *g, uint64_t seed);

#endif
