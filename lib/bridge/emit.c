#include "bridge/emit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Values gathered from a strided view at a time before they go to the writer. */
#define CHUNK (1 << 18)

struct kept { /* a record of a pass over several items, until they are written in order */
    struct act_record rec;
    float *values;
    size_t n;
};

struct emit {
    const struct gpt_model *m;
    const struct gpt_selection *sel;
    struct act_writer *w;
    enum act_dtype dtype;
    const struct act_item *items;
    int n_items;
    struct kept *kept; /* [n_items][sel->n] when n_items > 1, in the selection's order */
    size_t cap_kept;
    float *chunk;
};

int emit_header(struct act_header *h, const struct gpt_model *m, struct err *e)
{
    struct buf b = {0};
    int rc = gpt_config_to_json(&m->cfg, &b, e);
    if (rc == 0)
        rc = act_header_set(h, "model", m->id, e);
    if (rc == 0)
        rc = act_header_set(h, "model.name", m->name, e);
    if (rc == 0)
        rc = act_header_set(h, "model.config", b.p, e);
    buf_release(&b);
    return rc;
}

/* The record's name and dimensions for n positions of a hook point, all coordinates. */
static void record_of(const struct gpt_config *c, struct gpt_point at, int n, struct act_record *r)
{
    const struct gpt_hook_info *info = &gpt_hooks[at.hook];
    *r = (struct act_record){.dtype = ACT_F32, .n_dims = info->n_axes};
    gpt_point_name(at, r->name, sizeof r->name);
    for (int a = 0; a < info->n_axes; a++) {
        snprintf(r->dims[a].label, sizeof r->dims[a].label, "%s", gpt_axis_name(info->axis[a]));
        r->dims[a].size = (uint32_t)gpt_axis_size(c, info->axis[a], n);
    }
}

int emit_item_tokens(struct act_item *it, const struct vocab *v, const int32_t *tokens, size_t n,
                     struct err *e)
{
    struct buf text = {0};
    it->n_tokens = (uint32_t)n;
    it->tokens = mem_alloc(n, sizeof *it->tokens, e);
    it->piece = v ? mem_calloc(n + 1, sizeof *it->piece, e) : NULL;
    if (!it->tokens || (v && !it->piece))
        goto fail;
    memcpy(it->tokens, tokens, n * sizeof *tokens);
    for (size_t i = 0; v && i < n; i++) {
        size_t len;
        const char *s = vocab_piece(v, tokens[i], &len);
        if (buf_add(&text, s ? s : "", s ? len : 0, e))
            goto fail;
        it->piece[i + 1] = (uint32_t)text.len;
    }
    it->text = text.p;
    return 0;
fail:
    buf_release(&text);
    act_item_release(it);
    return -1;
}

struct emit *emit_new(const struct gpt_model *m, const struct gpt_selection *sel,
                      struct act_writer *w, enum act_dtype dtype, struct err *e)
{
    struct emit *em = mem_calloc(1, sizeof *em, e);
    if (!em)
        return NULL;
    *em = (struct emit){.m = m, .sel = sel, .w = w, .dtype = dtype};
    em->chunk = mem_alloc(CHUNK, sizeof *em->chunk, e);
    if (em->chunk)
        return em;
    free(em);
    return NULL;
}

static void kept_clear(struct emit *em)
{
    for (size_t i = 0; i < em->cap_kept; i++) {
        act_record_release(&em->kept[i].rec);
        free(em->kept[i].values);
    }
    free(em->kept);
    em->kept = NULL;
    em->cap_kept = 0;
}

void emit_free(struct emit *em)
{
    if (!em)
        return;
    kept_clear(em);
    free(em->chunk);
    free(em);
}

/* Only the last position's logits are asked for. */
static bool last_only(const struct gpt_selector *s)
{
    const struct gpt_slice *p = &s->slice[0];
    return p->n_range == 1 && p->range[0].single && p->range[0].from == -1;
}

void emit_plan(const struct emit *em, struct gpt_plan *p)
{
    for (size_t i = 0; i < em->sel->n; i++) {
        const struct gpt_selector *s = &em->sel->sel[i];
        if (s->point.hook != HOOK_LOGITS) {
            gpt_plan_want(p, s->point, GPT_READ);
            continue;
        }
        enum gpt_logits want = last_only(s) ? GPT_LOGITS_LAST : GPT_LOGITS_ALL;
        p->logits = want > p->logits ? want : p->logits;
    }
}

double emit_floats(const struct emit *em, int n)
{
    double total = 0;
    for (size_t i = 0; i < em->sel->n; i++) {
        const struct gpt_selector *s = &em->sel->sel[i];
        const struct gpt_hook_info *info = &gpt_hooks[s->point.hook];
        double size = 1;
        for (int a = 0; a < info->n_axes; a++) {
            struct err ignored; /* a slice that does not fit is told when the prompt is run */
            int *idx = NULL;
            size_t k;
            int full = gpt_axis_size(&em->m->cfg, info->axis[a], n);
            size *= gpt_slice_resolve(&s->slice[a], full, &idx, &k, &ignored) ? 0 : (double)k;
            free(idx);
        }
        total += size;
    }
    return total;
}

int emit_begin(struct emit *em, const struct act_item *items, int n, struct err *e)
{
    em->items = items;
    em->n_items = n;
    if (n == 1)
        return act_write_item(em->w, items, e);
    em->kept = mem_calloc((size_t)n * em->sel->n, sizeof *em->kept, e);
    em->cap_kept = em->kept ? (size_t)n * em->sel->n : 0;
    return em->kept ? 0 : -1;
}

/* The record of a selector for an item: dimensions with the coordinates that were chosen; idx[a]
   are the indices themselves (malloc'ed). */
static int selected_shape(const struct emit *em, const struct gpt_selector *s, int n,
                          struct act_record *r, int *idx[3], struct err *e)
{
    record_of(&em->m->cfg, s->point, n, r);
    r->dtype = em->dtype;
    for (int a = 0; a < r->n_dims; a++) {
        size_t k;
        struct act_dim *d = &r->dims[a];
        if (gpt_slice_resolve(&s->slice[a], (int)d->size, &idx[a], &k, e)) {
            err_prefix(e, "%s", r->name);
            return -1;
        }
        d->size = (uint32_t)k;
        d->start = k ? idx[a][0] : 0;
        for (size_t i = 1; i < k && !d->index; i++) {
            if (idx[a][i] == idx[a][0] + (int)i)
                continue;
            d->index = mem_alloc(k, sizeof *d->index, e);
            if (!d->index)
                return -1;
            memcpy(d->index, idx[a], k * sizeof *d->index);
            d->start = 0;
        }
    }
    return 0;
}

static int put(struct emit *em, struct kept *to, const float *values, size_t n, struct err *e)
{
    if (!to)
        return act_write_values(em->w, values, n, e);
    memcpy(to->values + to->n, values, n * sizeof *values);
    to->n += n;
    return 0;
}

/* Sends the chosen elements of the view, in order. The view's rows are positions first_row … of the
   axis that idx[0] counts. */
static int send(struct emit *em, struct kept *to, const struct act_record *r, int *const idx[3],
                const struct gpt_view *v, int first_row, struct err *e)
{
    int size[3] = {1, 1, 1};
    for (int a = 0; a < r->n_dims; a++)
        size[a] = (int)r->dims[a].size;
    size_t n = 0;
    for (int i = 0; i < size[0]; i++) {
        int row = idx[0][i] - first_row;
        if (row < 0 || row >= v->size[0])
            continue;
        for (int j = 0; j < size[1]; j++) {
            const float *p = v->data + row * v->stride[0];
            p += (r->n_dims > 1 ? idx[1][j] : 0) * v->stride[1];
            for (int k = 0; k < size[2]; k++) {
                em->chunk[n++] = p[(r->n_dims > 2 ? idx[2][k] : 0) * v->stride[2]];
                if (n == CHUNK) {
                    if (put(em, to, em->chunk, n, e))
                        return -1;
                    n = 0;
                }
            }
        }
    }
    return put(em, to, em->chunk, n, e);
}

/* The view's rows are the chosen ones, nothing is sliced away of them, and they are row-major in
   memory: they can go out as they lie. (A tile of logits may have as many rows as are chosen and
   yet hold others.) */
static bool whole(const struct act_record *r, int *const idx[3], const struct gpt_view *v,
                  int first_row)
{
    ptrdiff_t step = 1;
    if (idx[0][0] != first_row || idx[0][r->dims[0].size - 1] != first_row + v->size[0] - 1)
        return false;
    for (int a = r->n_dims - 1; a >= 0; a--) {
        if ((int)r->dims[a].size != v->size[a] || v->stride[a] != step)
            return false;
        step *= v->size[a];
    }
    return true;
}

static const struct gpt_selector *find(const struct emit *em, struct gpt_point at, size_t *i)
{
    for (*i = 0; *i < em->sel->n; ++*i) {
        const struct gpt_selector *s = &em->sel->sel[*i];
        if (s->point.hook == at.hook && s->point.layer == at.layer)
            return s;
    }
    return NULL;
}

int emit_hook(struct emit *em, struct gpt_point at, int seq, const struct gpt_view *v,
              int first_row, struct err *e)
{
    size_t i;
    const struct gpt_selector *s = find(em, at, &i);
    if (!s)
        return 0;
    struct act_record r;
    int *idx[3] = {NULL, NULL, NULL};
    int n = (int)em->items[seq].n_tokens, rc = selected_shape(em, s, n, &r, idx, e);
    struct kept *to = em->n_items > 1 ? &em->kept[(size_t)seq * em->sel->n + i] : NULL;
    bool begins = first_row == 0 || (at.hook == HOOK_LOGITS && last_only(s));
    if (rc == 0 && to && !to->values) {
        to->values = mem_alloc(act_record_count(&r), sizeof *to->values, e);
        rc = to->values ? 0 : -1;
        if (rc == 0) { /* it takes over the coordinates */
            to->rec = r;
            for (int a = 0; a < r.n_dims; a++)
                r.dims[a].index = NULL;
        }
    } else if (rc == 0 && !to && begins) {
        rc = act_write_begin(em->w, &r, e);
    }
    if (rc == 0)
        rc = whole(&r, idx, v, first_row) ? put(em, to, v->data, act_record_count(&r), e)
                                          : send(em, to, &r, idx, v, first_row, e);
    act_record_release(&r);
    for (int a = 0; a < 3; a++)
        free(idx[a]);
    return rc;
}

int emit_end(struct emit *em, struct err *e)
{
    int rc = 0;
    for (int i = 0; em->n_items > 1 && i < em->n_items && rc == 0; i++) {
        rc = act_write_item(em->w, &em->items[i], e);
        for (size_t j = 0; j < em->sel->n && rc == 0; j++) {
            const struct kept *k = &em->kept[(size_t)i * em->sel->n + j];
            rc = act_write_record(em->w, &k->rec, k->values, e);
        }
    }
    kept_clear(em);
    return rc;
}
