/* plan.c - what a forward pass is given: plans, caches of keys and values, buffers. */
#include <stdlib.h>

#include "base/mem.h"
#include "gpt/work.h"

int gpt_kv_init(struct gpt_kv *kv, const struct gpt_config *c, int cap, struct err *e)
{
    size_t n = (size_t)c->n_layer * (size_t)cap * (size_t)c->d_model;
    *kv = (struct gpt_kv){.cap = cap};
    kv->k = mem_alloc(n, sizeof *kv->k, e);
    kv->v = mem_alloc(n, sizeof *kv->v, e);
    if (kv->k && kv->v)
        return 0;
    gpt_kv_release(kv);
    return -1;
}

void gpt_kv_release(struct gpt_kv *kv)
{
    free(kv->k);
    free(kv->v);
    *kv = (struct gpt_kv){0};
}

int gpt_plan_init(struct gpt_plan *p, const struct gpt_config *c, struct err *e)
{
    *p = (struct gpt_plan){0};
    p->want = mem_calloc((size_t)c->n_layer, N_HOOKS, e);
    return p->want ? 0 : -1;
}

void gpt_plan_want(struct gpt_plan *p, struct gpt_point at, int how)
{
    p->want[(size_t)at.layer * N_HOOKS + at.hook] |= (unsigned char)how;
}

void gpt_plan_release(struct gpt_plan *p)
{
    free(p->want);
    *p = (struct gpt_plan){0};
}

struct gpt_work *gpt_work_new(struct err *e)
{
    return mem_calloc(1, sizeof(struct gpt_work), e);
}

void gpt_work_free(struct gpt_work *w)
{
    if (!w)
        return;
    free(w->resid.p);
    free(w->x.p);
    free(w->qkv.p);
    free(w->z.p);
    free(w->out.p);
    free(w->mlp.p);
    free(w->mean.p);
    free(w->scale.p);
    free(w->attn.p);
    free(w->heads.p);
    free(w->logits.p);
    free(w);
}

int gpt_work_first_row(const struct gpt_work *w)
{
    return w->first_row;
}

int gpt_floats_need(struct gpt_floats *f, size_t n, struct err *e)
{
    if (n <= f->cap)
        return 0;
    free(f->p);
    f->p = mem_alloc(n, sizeof *f->p, e);
    f->cap = f->p ? n : 0;
    return f->p ? 0 : -1;
}
