/* config.h - what kind of GPT a checkpoint is. */
#ifndef GPT_CONFIG_H
#define GPT_CONFIG_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/json.h"

enum gpt_act {
    GPT_GELU_TANH, /* gelu_new: Hugging Face's GPT-2, llm.c */
    GPT_GELU_ERF,  /* nn.GELU(): nanoGPT */
    GPT_RELU,
};

struct gpt_config {
    int n_layer, n_head, d_model, d_head, d_mlp, n_ctx, d_vocab;
    enum gpt_act act;
    float eps;       /* LayerNorm's */
    bool layer_norm; /* false: no LayerNorm anywhere (models built by hand) */
    bool attn_only;  /* no MLPs */
    bool tied;       /* the unembedding is the embedding's transpose */
    int bos;         /* id of the beginning-of-text token, -1 when the model has none */
};

/* Checks that every size is positive and within limits, d_model = n_head * d_head. */
int gpt_config_check(const struct gpt_config *c, struct err *e);

/* From a Hugging Face config.json; also reads our own keys (normalization_type "LN" or "none",
   attn_only). A model_type other than gpt2 is ERR_DATA that names it. */
int gpt_config_from_json(struct gpt_config *c, const struct json *j, struct err *e);

/* The same as JSON text: what a stream's header and our safetensors carry. */
int gpt_config_to_json(const struct gpt_config *c, struct buf *b, struct err *e);

#endif
