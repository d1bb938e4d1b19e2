#include "gpt/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "gpt/params.h"

enum { ALIGN = 16 }; /* floats: a cache line */

/* Is parameter p (of g's config) to be there? By `like`, or by whether biases are wanted. */
static bool has(const struct gpt_param *p, const struct gpt_model *like, bool bias)
{
    if (like)
        return gpt_param_get(like, p).w != NULL;
    return !p->extra && (bias || !p->bias);
}

/* Sets the parameters' places, matrices first; counts the floats in g->n. With w NULL it only
   counts. */
static int place(struct gpt_weights *g, const struct gpt_model *like, bool bias, struct err *e)
{
    struct gpt_param p;
    g->n = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < gpt_param_end(&g->model.cfg); i++) {
            if (!gpt_param_at(&g->model.cfg, i, &p) || !has(&p, like, bias) ||
                (p.kind == GPT_PARAM_VECTOR) != (pass == 1))
                continue;
            size_t size = (size_t)p.rows * (size_t)p.cols;
            size = (size + ALIGN - 1) / ALIGN * ALIGN;
            struct gpt_matrix v = {.in = p.rows, .out = p.cols};
            if (g->w) {
                v.w = g->w + g->n;
                gpt_param_set(&g->model, &p, v);
            }
            if (__builtin_add_overflow(g->n, size, &g->n))
                return err_set(e, ERR_SYS, "out of memory: the model is too large");
        }
        if (pass == 0)
            g->matrices = g->n;
    }
    return 0;
}

static int make(struct gpt_weights *g, const struct gpt_config *c, const struct gpt_model *like,
                bool bias, struct err *e)
{
    *g = (struct gpt_weights){.model.cfg = *c};
    if (gpt_config_check(c, e))
        return -1;
    g->model.layer = mem_calloc((size_t)c->n_layer, sizeof *g->model.layer, e);
    if (g->model.layer && place(g, like, bias, e) == 0)
        g->w = mem_calloc(g->n, sizeof *g->w, e);
    if (!g->w) {
        gpt_weights_release(g);
        return -1;
    }
    place(g, like, bias, e); /* it fitted a moment ago */
    if (c->tied)
        g->model.unembed = (struct gpt_matrix){g->model.wte, c->d_model, c->d_vocab, true};
    g->model.bytes = gpt_weights_count(g) * sizeof(float);
    return 0;
}

int gpt_weights_init(struct gpt_weights *g, const struct gpt_config *c, bool bias, struct err *e)
{
    return make(g, c, NULL, bias, e);
}

int gpt_weights_like(struct gpt_weights *g, const struct gpt_model *m, struct err *e)
{
    return make(g, &m->cfg, m, false, e);
}

/* Where parameter p of g lies; the fields of a model point to what must not be written through
   them. */
static float *writable(struct gpt_weights *g, const struct gpt_param *p)
{
    return g->w + (gpt_param_get(&g->model, p).w - g->w);
}

int gpt_weights_copy(struct gpt_weights *g, const struct gpt_model *m, int n_ctx, struct err *e)
{
    struct gpt_config c = m->cfg;
    struct gpt_param p;
    c.n_ctx = n_ctx;
    if (make(g, &c, m, false, e))
        return -1;
    for (int i = 0; i < gpt_param_end(&c); i++) {
        if (!gpt_param_at(&c, i, &p))
            continue;
        struct gpt_matrix v = gpt_param_get(m, &p);
        size_t rows = (size_t)p.rows, cols = (size_t)p.cols;
        if (!v.w)
            continue;
        float *to = writable(g, &p);
        bool turned = (p.kind == GPT_PARAM_LINEAR || p.kind == GPT_PARAM_UNEMBED) && v.transposed;
        for (size_t r = 0; r < rows && turned; r++)
            for (size_t k = 0; k < cols; k++)
                to[r * cols + k] = v.w[k * rows + r];
        if (!turned)
            memcpy(to, v.w, rows * cols * sizeof *to);
    }
    return 0;
}

void gpt_weights_release(struct gpt_weights *g)
{
    free(g->model.layer);
    free(g->w);
    *g = (struct gpt_weights){0};
}

uint64_t gpt_weights_count(const struct gpt_weights *g)
{
    struct gpt_param p;
    uint64_t n = 0;
    for (int i = 0; i < gpt_param_end(&g->model.cfg); i++)
        if (gpt_param_at(&g->model.cfg, i, &p) && gpt_param_get(&g->model, &p).w)
            n += (uint64_t)p.rows * (uint64_t)p.cols;
    return n;
}

bool gpt_weights_has_bias(const struct gpt_weights *g)
{
    return g->model.layer[0].qkv_b != NULL;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

void gpt_weights_random(struct gpt_weights *g, uint64_t seed)
{
    struct gpt_param p;
    for (int i = 0; i < gpt_param_end(&g->model.cfg); i++) {
        if (!gpt_param_at(&g->model.cfg, i, &p) || !gpt_param_get(&g->model, &p).w)
            continue;
        float *w = writable(g, &p);
        size_t n = (size_t)p.rows * (size_t)p.cols;
        double deviation = 0.02;
        if (ends_with(p.name, "c_proj.weight"))
            deviation /= sqrt(2.0 * g->model.cfg.n_layer);
        for (size_t k = 0; k < n; k++)
            w[k] = p.kind != GPT_PARAM_VECTOR ? (float)(deviation * rng_normal(&seed))
                   : p.bias                   ? 0.0f
                                              : 1.0f;
    }
}
