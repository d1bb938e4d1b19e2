/* params.h - a model's parameters as a list (params.def), so that opening, saving and
   fingerprinting are each one loop:

       struct gpt_param p;
       for (int i = 0; i < gpt_param_end(c); i++)
           if (gpt_param_at(c, i, &p)) … */
#ifndef GPT_PARAMS_H
#define GPT_PARAMS_H

#include "gpt/model.h"

enum gpt_param_kind { GPT_PARAM_VECTOR, GPT_PARAM_TABLE, GPT_PARAM_LINEAR, GPT_PARAM_UNEMBED };

struct gpt_param {
    char name[48]; /* "h.3.attn.c_attn.weight" */
    enum gpt_param_kind kind;
    int rows, cols; /* a vector has 1 row */
    int layer;      /* -1: not in a layer */
    bool bias;      /* absent from models without biases; counts as zeros then */
    bool extra;     /* a bias that even models with biases may lack */
    size_t offset;  /* of its field; for gpt_param_get and gpt_param_set */
};

/* The number of places in the list for a model of this config. */
int gpt_param_end(const struct gpt_config *c);
/* Place i in canonical order: embeddings, layers, final LayerNorm, unembedding. False when a model
   of this config has no such parameter; *p is filled all the same. */
bool gpt_param_at(const struct gpt_config *c, int i, struct gpt_param *p);
/* A layer's parameter (without "h.<layer>.") or another, of any model. */
bool gpt_param_known(const char *name, bool in_layer);

/* The parameter in m: w NULL when absent; a vector is 1 x cols. m->layer must be allocated. */
struct gpt_matrix gpt_param_get(const struct gpt_model *m, const struct gpt_param *p);
void gpt_param_set(struct gpt_model *m, const struct gpt_param *p, struct gpt_matrix v);

#endif
