/* backward_split.c - the gradients at hook_attn_in and hook_{q,k,v}_input: what each head's own
   copy of the residual stream would get. Only made when wanted; the stream's own gradient has their
   sum. */
#include <string.h>

#include "gpt/back.h"
#include "num/back.h"
#include "num/gemm.h"

/* part 0, 1, 2: q, k, v. to[n, n_head, d] = the gradient at that part's inputs. */
static void part_back(struct gpt_back *k, int l, int part, int n, size_t row, float *dx,
                      float *dh_in, float *to)
{
    const struct gpt_pass *p = &k->pass;
    const struct gpt_matrix *w = &p->m->layer[l].qkv;
    int heads = p->c->n_head, dh = p->c->d_head, d = p->c->d_model;
    for (int h = 0; h < heads; h++) {
        int column = part * d + h * dh;
        num_gemm(false, !w->transposed, n, d, dh, 1, k->dqkv + row * 3 * (size_t)d + column, 3 * d,
                 w->transposed ? w->w + (size_t)column * (size_t)d : w->w + column,
                 w->transposed ? d : 3 * d, 0, dx, d);
        const float *in = dx;
        if (p->c->layer_norm) {
            num_ln_back(p->b.resid_pre + row * (size_t)d, dx, (size_t)n, (size_t)d,
                        p->b.mean1 + row, p->b.scale1 + row, p->m->layer[l].ln1_w, dh_in);
            in = dh_in;
        }
        for (int i = 0; i < n; i++)
            memcpy(to + ((size_t)i * (size_t)heads + (size_t)h) * (size_t)d,
                   in + (size_t)i * (size_t)d, (size_t)d * sizeof *to);
    }
}

static int seq_back(struct gpt_back *k, int l, int seq, size_t row, struct err *e)
{
    static const enum gpt_hook input[3] = {HOOK_Q_INPUT, HOOK_K_INPUT, HOOK_V_INPUT};
    int n = k->pass.seq[seq].n, heads = k->pass.c->n_head;
    size_t d = (size_t)k->pass.c->d_model, one = (size_t)n * d, all = one * (size_t)heads;
    if (gpt_floats_need(&k->pass.w->heads, 2 * all + 2 * one, e))
        return -1;
    float *own = k->pass.w->heads.p, *sum = own + all, *dx = sum + all, *dh_in = dx + one;
    struct gpt_view v = {.data = own,
                         .size = {n, heads, (int)d},
                         .stride = {(ptrdiff_t)((size_t)heads * d), (ptrdiff_t)d, 1}};
    memset(sum, 0, all * sizeof *sum);
    for (int part = 2; part >= 0; part--) {
        part_back(k, l, part, n, row, dx, dh_in, own);
        if (gpt_back_wants(k, input[part], l) && gpt_back_fire_view(k, input[part], l, seq, &v, e))
            return -1;
        for (size_t i = 0; i < all; i++)
            sum[i] += own[i];
    }
    v.data = sum;
    return gpt_back_wants(k, HOOK_ATTN_IN, l) && gpt_back_fire_view(k, HOOK_ATTN_IN, l, seq, &v, e)
               ? -1
               : 0;
}

int gpt_back_head_inputs(struct gpt_back *k, int l, struct err *e)
{
    size_t row = 0;
    if (!gpt_back_wants(k, HOOK_ATTN_IN, l) && !gpt_back_wants(k, HOOK_Q_INPUT, l) &&
        !gpt_back_wants(k, HOOK_K_INPUT, l) && !gpt_back_wants(k, HOOK_V_INPUT, l))
        return 0;
    for (int i = 0; i < k->pass.n_seq; i++) {
        if (seq_back(k, l, i, row, e))
            return -1;
        row += (size_t)k->pass.seq[i].n;
    }
    return 0;
}
