/* lens.h - the logit lens: what the model would say if it stopped here.

   Every residual stream vector h is read as the last one is: softmax(LN_final(h) W_U + b_U), with
   LayerNorm's mean and scale taken from h itself (nostalgebraist 2020). TransformerLens 1.x's
   accumulated_resid(apply_ln=True) divides by the last layer's scale instead: not the same. */
#ifndef INTERP_LENS_H
#define INTERP_LENS_H

#include "gpt/model.h"
#include "interp/metric.h"

#define LENS_NONE (-1)

/* One vector, and what to say of it. */
struct lens_row {
    const float *h; /* [d_model] */
    int32_t target; /* a token id, or LENS_NONE */
    int final;      /* which row of the same call is this position's last residual (that row names
                       itself), or LENS_NONE */
};

struct lens_stat {
    int32_t top; /* the likeliest token */
    double top_prob;
    double entropy;             /* -sum p log p, nats */
    double kl_final;            /* KL(final || row) = sum p_final (log p_final - log p_row), nats;
                                   NaN without final */
    double prob, logprob, rank; /* of the target; rank 0 is best; NaN without target */
};

struct lens; /* a model and buffers that calls reuse */
struct lens *lens_new(const struct gpt_model *m, struct err *e);
void lens_free(struct lens *l); /* NULL is fine */

/* Reads n rows in one matrix product; stat[n]. Memory: n * d_vocab floats, and d_vocab * 16 bytes
   for each row that is a final one. Target ids must be below d_vocab. */
int lens_read(struct lens *l, const struct lens_row *row, size_t n, struct lens_stat *stat,
              struct err *e);

/* Of row i of the last lens_read: d_vocab logits, and the log of the sum of their exponentials. */
const float *lens_logits(const struct lens *l, size_t i, double *lse);

/* The ids of the k largest of logits[0..n), largest first, of equal ones the smaller id first.
   k <= n. */
void lens_top(const float *logits, size_t n, size_t k, int32_t *id);

#endif
