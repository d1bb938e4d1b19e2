/* bench-forward MODEL - the forward pass against the machine's own sgemm rate on the same matrix
   shapes, measured in turn in one run. TSV: shape, seconds of each (best of several), GFLOP/s of
   the products alone, and the ratio (1: as fast as its matrix products alone). FLOPs are those of
   the GEMMs: causal attention counts only what is not masked. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "gpt/forward.h"
#include "num/gemm.h"

#define TILE 256 /* rows of logits in one product, as the engine does it */

static int ignore(void *user, struct gpt_point p, int seq, const struct gpt_view *v, struct err *e)
{
    (void)user, (void)p, (void)seq, (void)v, (void)e;
    return 0;
}

static void product(const struct gpt_matrix *w, size_t rows, const float *x, float *y)
{
    num_gemm(false, w->transposed, (int)rows, w->out, w->in, 1, x, w->in, w->w,
             w->transposed ? w->in : w->out, 0, y, w->out);
}

/* The weights' products of one pass, nothing else. */
static void products(const struct gpt_model *m, size_t rows, size_t logits, const float *x,
                     float *y)
{
    for (int l = 0; l < m->cfg.n_layer; l++) {
        product(&m->layer[l].qkv, rows, x, y);
        product(&m->layer[l].out, rows, x, y);
        product(&m->layer[l].fc, rows, x, y);
        product(&m->layer[l].proj, rows, x, y);
    }
    for (size_t r = 0; r < logits; r += TILE)
        product(&m->unembed, logits - r < TILE ? logits - r : TILE, x, y);
}

static int measure(const struct gpt_model *m, int n, int len, enum gpt_logits logits, int times,
                   struct err *e)
{
    struct gpt_plan plan;
    struct gpt_seq *seq = calloc((size_t)n, sizeof *seq);
    int32_t *tokens = malloc((size_t)len * sizeof *tokens);
    size_t rows = (size_t)n * (size_t)len;
    size_t logit_rows = logits == GPT_LOGITS_ALL ? rows : (size_t)n;
    size_t widest = logit_rows < TILE ? logit_rows : TILE;
    size_t out = (size_t)m->cfg.d_vocab * widest;
    out = out > rows * (size_t)m->cfg.d_mlp ? out : rows * (size_t)m->cfg.d_mlp;
    float *x = mem_calloc(rows * (size_t)m->cfg.d_mlp, sizeof *x, e),
          *y = mem_calloc(out, sizeof *y, e);
    struct gpt_work *w = gpt_work_new(e);
    double best = INFINITY, alone = INFINITY, flops = 0;
    int rc = seq && tokens && x && y && w ? gpt_plan_init(&plan, &m->cfg, e) : -1;
    if (rc)
        return -1;
    plan.fn = ignore;
    plan.logits = logits;
    for (int i = 0; i < len; i++)
        tokens[i] = i * 7919 % m->cfg.d_vocab;
    for (int i = 0; i < n; i++)
        seq[i] = (struct gpt_seq){.tokens = tokens, .n = len};
    for (size_t i = 0; i < rows * (size_t)m->cfg.d_mlp; i++)
        x[i] = (float)(i % 17) - 8;
    for (int i = 0; i <= times && rc == 0; i++) { /* the first of each warms up */
        double t = clock_seconds();
        rc = gpt_forward(m, w, seq, n, &plan, e);
        t = clock_seconds() - t;
        best = i && t < best ? t : best;
        t = clock_seconds();
        products(m, rows, logit_rows, x, y);
        t = clock_seconds() - t;
        alone = i && t < alone ? t : alone;
    }
    flops = gpt_forward_flops(&m->cfg, seq, n, &plan);
    double weights = 0;
    for (int i = 0; i < n; i++) { /* without attention: what `products` does */
        double d = m->cfg.d_model;
        weights += 2 * len * m->cfg.n_layer * (4 * d * d + 2 * d * m->cfg.d_mlp);
    }
    weights += 2.0 * (double)logit_rows * m->cfg.d_model * m->cfg.d_vocab;
    printf("%dx%d\t%s\t%.4f\t%.4f\t%.0f\t%.0f\t%.3f\n", n, len,
           logits == GPT_LOGITS_ALL ? "all" : "last", best, alone, weights / alone / 1e9,
           flops / best / 1e9, flops / best / (weights / alone));
    gpt_plan_release(&plan);
    gpt_work_free(w);
    free(seq);
    free(tokens);
    free(x);
    free(y);
    return rc;
}

int main(int argc, char **argv)
{
    struct err e;
    if (argc != 2) {
        fprintf(stderr, "usage: bench-forward MODEL\n");
        return 2;
    }
    struct gpt_model *m = gpt_open(argv[1], &e);
    int rc = m ? 0 : -1;
    printf("shape\tlogits\tforward_s\tproducts_s\tsgemm_gflops\tforward_gflops\tratio\n");
    if (rc || measure(m, 1, 1024, GPT_LOGITS_ALL, 4, &e) ||
        measure(m, 8, 128, GPT_LOGITS_ALL, 4, &e) || measure(m, 1, 128, GPT_LOGITS_ALL, 8, &e) ||
        measure(m, 1, 15, GPT_LOGITS_LAST, 20, &e))
        rc = -1;
    if (rc)
        fprintf(stderr, "bench-forward: %s\n", e.msg);
    gpt_close(m);
    return rc ? e.kind : 0;
}
