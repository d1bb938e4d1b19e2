#include "gpt/params.h"

#include <stdio.h>
#include <string.h>

enum scope { FIRST, LAYER, LAST };
enum { LN = 1, MLP = 2, HEAD = 4, BIAS = 8, EXTRA = 16 };
enum size { ONE, D_MODEL, D_QKV, D_MLP, D_VOCAB, N_CTX };

static const struct row {
    enum gpt_param_kind kind;
    enum scope scope;
    const char *name;
    size_t offset;
    enum size rows, cols;
    unsigned flags;
} ROWS[] = {
#define OWNER_FIRST struct gpt_model
#define OWNER_LAYER struct gpt_layer
#define OWNER_LAST struct gpt_model
#define PARAM(kind, scope, name, field, rows, cols, flags) \
    {GPT_PARAM_##kind, scope, name, offsetof(OWNER_##scope, field), rows, cols, flags},
#include "gpt/params.def"
#undef PARAM
};

enum {
    N_ROWS = sizeof ROWS / sizeof *ROWS,
#define PARAM(kind, scope, name, field, rows, cols, flags) +(scope == FIRST)
    N_FIRST = 0
#include "gpt/params.def"
    ,
#undef PARAM
#define PARAM(kind, scope, name, field, rows, cols, flags) +(scope == LAYER)
    N_LAYER = 0
#include "gpt/params.def"
    ,
#undef PARAM
};

static int size_of(enum size s, const struct gpt_config *c)
{
    switch (s) {
    case D_MODEL:
        return c->d_model;
    case D_QKV:
        return 3 * c->d_model;
    case D_MLP:
        return c->d_mlp;
    case D_VOCAB:
        return c->d_vocab;
    case N_CTX:
        return c->n_ctx;
    case ONE:
        break;
    }
    return 1;
}

int gpt_param_end(const struct gpt_config *c)
{
    return N_ROWS - N_LAYER + N_LAYER * c->n_layer;
}

bool gpt_param_at(const struct gpt_config *c, int i, struct gpt_param *p)
{
    int in_layers = i - N_FIRST, layer = -1, at = i;
    if (in_layers >= 0 && in_layers < N_LAYER * c->n_layer) {
        layer = in_layers / N_LAYER;
        at = N_FIRST + in_layers % N_LAYER;
    } else if (in_layers >= 0) {
        at = i - N_LAYER * (c->n_layer - 1);
    }
    const struct row *r = &ROWS[at];
    *p = (struct gpt_param){.kind = r->kind,
                            .rows = size_of(r->rows, c),
                            .cols = size_of(r->cols, c),
                            .layer = layer,
                            .bias = r->flags & BIAS,
                            .extra = r->flags & EXTRA,
                            .offset = r->offset};
    if (layer >= 0)
        snprintf(p->name, sizeof p->name, "h.%d.%s", layer, r->name);
    else
        snprintf(p->name, sizeof p->name, "%s", r->name);
    return (c->layer_norm || !(r->flags & LN)) && (!c->attn_only || !(r->flags & MLP)) &&
           (!c->tied || !(r->flags & HEAD));
}

bool gpt_param_known(const char *name, bool in_layer)
{
    for (int i = 0; i < N_ROWS; i++)
        if ((ROWS[i].scope == LAYER) == in_layer && strcmp(ROWS[i].name, name) == 0)
            return true;
    return false;
}

static const char *slot(const struct gpt_model *m, const struct gpt_param *p)
{
    const char *base = p->layer >= 0 ? (const char *)&m->layer[p->layer] : (const char *)m;
    return base + p->offset;
}

static bool is_map(const struct gpt_param *p)
{
    return p->kind == GPT_PARAM_LINEAR || p->kind == GPT_PARAM_UNEMBED;
}

struct gpt_matrix gpt_param_get(const struct gpt_model *m, const struct gpt_param *p)
{
    struct gpt_matrix v = {.in = p->rows, .out = p->cols};
    if (is_map(p))
        memcpy(&v, slot(m, p), sizeof v);
    else
        memcpy(&v.w, slot(m, p), sizeof v.w);
    return v;
}

void gpt_param_set(struct gpt_model *m, const struct gpt_param *p, struct gpt_matrix v)
{
    char *base = p->layer >= 0 ? (char *)&m->layer[p->layer] : (char *)m;
    if (is_map(p))
        memcpy(base + p->offset, &v, sizeof v);
    else
        memcpy(base + p->offset, &v.w, sizeof v.w);
}
