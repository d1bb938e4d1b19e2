/* work.h - the engine's buffers. Private to forward*.c. */
#ifndef GPT_WORK_H
#define GPT_WORK_H

#include "gpt/forward.h"

struct gpt_floats {
    float *p;
    size_t cap;
};

/* Rows are all tokens of all sequences; sizes in floats behind each. */
struct gpt_work {
    struct gpt_floats resid;       /* [rows, d_model] */
    struct gpt_floats x;           /* [rows, d_model]: LayerNorm's output */
    struct gpt_floats qkv;         /* [rows, 3 d_model]: q | k | v */
    struct gpt_floats z;           /* [rows, d_model] */
    struct gpt_floats out;         /* [rows, d_model]: attention's or the MLP's output */
    struct gpt_floats mlp;         /* [rows, d_mlp] */
    struct gpt_floats mean, scale; /* [rows] */
    struct gpt_floats attn;   /* scores of one sequence [n_head, n, keys], or a tile a thread */
    struct gpt_floats heads;  /* hook_result or a head input of one sequence: [n, n_head, d] */
    struct gpt_floats logits; /* a tile of rows [tile, d_vocab] */
    int first_row;            /* gpt_work_first_row */
};

/* *f holds at least n floats afterwards (not kept, not zeroed). */
int gpt_floats_need(struct gpt_floats *f, size_t n, struct err *e);

/* One pass under way: what its stages share. */
struct gpt_pass {
    const struct gpt_model *m;
    const struct gpt_config *c;
    struct gpt_work *w;
    const struct gpt_seq *seq;
    int n_seq;
    const struct gpt_plan *plan;
    size_t rows;
};

static inline int gpt_wants(const struct gpt_pass *p, enum gpt_hook h, int layer)
{
    return p->plan->want[(size_t)layer * N_HOOKS + h];
}

/* Calls the plan's function for every sequence with its part of data[rows, ld], of which element
   (row, j, k) lies at row*ld + j*stride1 + k; the axes' sizes come from the hook's own. */
int gpt_fire(struct gpt_pass *p, enum gpt_hook h, int layer, float *data, size_t ld,
             ptrdiff_t stride1, struct err *e);
/* The same for one sequence whose part is given. */
int gpt_fire_view(struct gpt_pass *p, enum gpt_hook h, int layer, int seq, const struct gpt_view *v,
                  struct err *e);

/* y[rows, out] = x[rows, in] W + b. */
void gpt_linear(const struct gpt_matrix *w, const float *b, const float *x, size_t rows, float *y);

/* x[rows, d_model] -> LayerNorm -> y, with its two hooks fired; without LayerNorm in the model
   y = x. */
int gpt_norm(struct gpt_pass *p, enum gpt_hook scale, enum gpt_hook normalized, int layer,
             const float *w, const float *b, float *x, float *y, struct err *e);

/* Attention of layer l: from w->resid to w->out (attn_out, bias included), its hooks fired. */
int gpt_attention(struct gpt_pass *p, int l, struct err *e);

/* Fires hook_attn_in and hook_{q,k,v}_input of layer l; what an edit changed is projected into
   w->qkv again (forward_split.c). */
int gpt_head_inputs(struct gpt_pass *p, int l, struct err *e);

#endif
