/* From named tensors to the fields of struct gpt_model, by the list of parameters. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gpt/model_parts.h"
#include "gpt/params.h"

/* "transformer." and what torch.compile puts before it. The head's name has no "transformer.". */
struct prefix {
    char all[64], head[64];
};

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

bool model_is_weight(const char *name)
{
    return !ends_with(name, ".attn.bias") && !ends_with(name, ".attn.masked_bias");
}

static int find_prefix(const struct gpt_model *m, const struct tensor_set *set, struct prefix *p,
                       struct err *e)
{
    static const char *const wrap[] = {"", "_orig_mod."}, *const inner[] = {"", "transformer."};
    for (int i = 0; i < 4; i++) {
        char name[80];
        snprintf(p->head, sizeof p->head, "%s", wrap[i / 2]);
        snprintf(p->all, sizeof p->all, "%s%s", wrap[i / 2], inner[i % 2]);
        snprintf(name, sizeof name, "%swte.weight", p->all);
        if (tensor_set_find(set, name))
            return 0;
    }
    return err_set(e, ERR_DATA,
                   "%s: tensor wte.weight is missing (with or without \"transformer.\"): these are "
                   "not GPT-2's weights",
                   m->name);
}

static const struct tensor *find(const struct tensor_set *set, const struct prefix *p,
                                 const struct gpt_param *q)
{
    char name[128];
    bool head = strncmp(q->name, "lm_head.", 8) == 0;
    snprintf(name, sizeof name, "%s%s", head ? p->head : p->all, q->name);
    return tensor_set_find(set, name);
}

/* A tensor of a layer that the list does not know, or of a layer that the config does not: then the
   model computes something else than we would. */
static int check_known(const struct gpt_model *m, const struct tensor_set *set,
                       const struct prefix *p, struct err *e)
{
    size_t n = strlen(p->all);
    for (size_t i = 0; i < set->n; i++) {
        const struct tensor *t = &set->t[i];
        if (strncmp(t->name, p->all, n) != 0 || strncmp(t->name + n, "h.", 2) != 0 ||
            !model_is_weight(t->name))
            continue;
        char *rest;
        long layer = strtol(t->name + n + 2, &rest, 10);
        if (*rest != '.' || !gpt_param_known(rest + 1, true))
            return err_set(e, ERR_DATA, "%s: tensor %.200s: GPT-2 has none of that name", t->file,
                           t->name);
        if (layer < 0 || layer >= m->cfg.n_layer)
            return err_set(e, ERR_DATA, "%s: tensor %.200s: the config says %d layers", t->file,
                           t->name, m->cfg.n_layer);
    }
    return 0;
}

static int wire_one(struct gpt_model *m, const struct gpt_source *src, const struct tensor *t,
                    const struct gpt_param *q, struct err *e)
{
    struct gpt_matrix v = {.in = q->rows, .out = q->cols};
    v.transposed = q->kind == GPT_PARAM_UNEMBED || (q->kind == GPT_PARAM_LINEAR && src->linear);
    uint64_t rows = (uint64_t)q->rows, cols = (uint64_t)q->cols;
    const uint64_t want[2] = {v.transposed ? cols : rows, v.transposed ? rows : cols};
    if (q->kind == GPT_PARAM_VECTOR)
        v.w = tensor_floats(t, 1, &cols, m->store, e);
    else
        v.w = tensor_floats(t, 2, want, m->store, e);
    gpt_param_set(m, q, v);
    return v.w ? 0 : -1;
}

/* torch ties two tensors by giving them one storage. */
static bool same_place(const struct tensor *a, const struct tensor *b)
{
    return a && b && a->bytes == b->bytes && a->dtype == b->dtype && a->n_dims == b->n_dims &&
           memcmp(a->size, b->size, sizeof a->size) == 0 &&
           memcmp(a->stride, b->stride, sizeof a->stride) == 0;
}

/* After everything else: an unembedding of its own only where its values are not the embedding's.
   (A copy in another place costs a comparison of all of it.) */
static int decide_tied(struct gpt_model *m, const struct gpt_source *src, bool head, struct err *e)
{
    size_t n = (size_t)m->cfg.d_vocab * (size_t)m->cfg.d_model;
    if (!head && src->tie == TIE_NO)
        return err_set(e, ERR_DATA,
                       "%s: tensor lm_head.weight is missing, and the config says that the "
                       "unembedding is not tied to the embedding",
                       m->name);
    bool same =
        !head || m->unembed.w == m->wte || memcmp(m->unembed.w, m->wte, n * sizeof *m->wte) == 0;
    if (!same && src->tie == TIE_YES)
        return err_set(
            e, ERR_DATA,
            "%s: tensor lm_head.weight differs from wte.weight, but the config says that "
            "they are tied",
            m->name);
    m->cfg.tied = same;
    if (same)
        m->unembed = (struct gpt_matrix){m->wte, m->cfg.d_model, m->cfg.d_vocab, true};
    return 0;
}

int model_wire(struct gpt_model *m, const struct gpt_source *src, struct err *e)
{
    struct prefix p;
    struct gpt_param q;
    const struct tensor *wte = NULL;
    bool head = false;
    m->cfg.tied = false; /* so that the list has a head to look for */
    m->layer = mem_calloc((size_t)m->cfg.n_layer, sizeof *m->layer, e);
    if (!m->layer || find_prefix(m, &src->tensors, &p, e) || check_known(m, &src->tensors, &p, e))
        return -1;
    for (int i = 0; i < gpt_param_end(&m->cfg); i++) {
        if (!gpt_param_at(&m->cfg, i, &q))
            continue;
        const struct tensor *t = find(&src->tensors, &p, &q);
        bool optional = (q.bias && (q.extra || !src->biases)) || q.kind == GPT_PARAM_UNEMBED;
        if (!t && !optional)
            return err_set(e, ERR_DATA, "%s: tensor %s%s is missing", m->name, p.all, q.name);
        wte = i == 0 ? t : wte;
        head = head || (t && q.kind == GPT_PARAM_UNEMBED);
        if (q.kind == GPT_PARAM_UNEMBED && same_place(t, wte))
            m->unembed.w = m->wte;
        else if (t && wire_one(m, src, t, &q, e))
            return -1;
    }
    return decide_tied(m, src, head, e);
}
