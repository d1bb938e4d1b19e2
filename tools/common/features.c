#include "features.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "stream_in.h"

#define POSITION_MAX (1 << 24)

void features_init(struct features *f, size_t k, size_t context, struct neuron_list *neurons)
{
    *f = (struct features){.k = k, .context = context, .neurons = neurons};
    contexts_init(&f->contexts);
}

static void release_hook(struct feature_hook *h)
{
    free(h->axis.index);
    free(h->pick);
    topk_release(&h->top);
}

void features_release(struct features *f)
{
    for (size_t i = 0; i < f->n; i++)
        release_hook(&f->hook[i]);
    contexts_release(&f->contexts);
    free(f->hook);
    free(f->tag_at);
    rows_release(&f->rows);
    free(f->picked);
}

int32_t feature_index(const struct feature_hook *h, size_t i)
{
    return act_dim_at(&h->axis, h->pick[i]);
}

void feature_label(const struct feature_hook *h, size_t i, char *label, size_t size)
{
    if (h->layer >= 0 && strcmp(h->axis.label, "neuron") == 0)
        snprintf(label, size, "L%dN%" PRId32, h->layer, feature_index(h, i));
    else
        snprintf(label, size, "%s[%" PRId32 "]", h->name, feature_index(h, i));
}

static bool same_axis(const struct act_dim *a, const struct act_dim *b)
{
    if (strcmp(a->label, b->label) != 0 || a->size != b->size)
        return false;
    for (uint32_t i = 0; i < a->size; i++)
        if (act_dim_at(a, i) != act_dim_at(b, i))
            return false;
    return true;
}

static int add_hook(struct features *f, const struct act_record *r, struct err *e)
{
    struct feature_hook h = {0};
    const struct act_dim *d = &r->dims[1];
    snprintf(h.name, sizeof h.name, "%s", r->name);
    hook_in_block(r->name, &h.layer);
    h.pick = mem_alloc(d->size, sizeof *h.pick, e);
    if (!h.pick || act_dim_dup(&h.axis, d, e))
        goto fail;
    size_t n = 0;
    for (uint32_t i = 0; i < d->size; i++)
        if (neuron_list_has(f->neurons, h.layer, act_dim_at(d, i)))
            h.pick[n++] = i;
    if ((n && topk_init(&h.top, n, f->k, e)) ||
        mem_grow(&f->hook, &f->cap, f->n + 1, sizeof *f->hook, e))
        goto fail;
    f->hook[f->n++] = h;
    return 0;
fail:
    release_hook(&h);
    return -1;
}

static struct feature_hook *find_hook(struct features *f, const struct act_record *r, struct err *e)
{
    const struct act_dim *d = &r->dims[1];
    if (r->n_dims != 2 || strcmp(r->dims[0].label, "pos") != 0 || r->dtype == ACT_I32) {
        err_set(e, ERR_DATA, "is not floats by [pos, feature]");
        return NULL;
    }
    if (d->size > FEATURES_MAX) {
        err_set(e, ERR_DATA, "%" PRIu32 " features: more than %u", d->size, FEATURES_MAX);
        return NULL;
    }
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->hook[i].name, r->name) == 0) {
            if (same_axis(&f->hook[i].axis, d))
                return &f->hook[i];
            err_set(e, ERR_DATA, "does not hold the same features as in earlier items");
            return NULL;
        }
    return add_hook(f, r, e) ? NULL : &f->hook[f->n - 1];
}

/* Adds tokens [from, to) as text; ids in angle brackets where the text is not known. */
static int add_tokens(struct buf *b, const struct act_item *it, size_t from, size_t to,
                      struct err *e)
{
    for (size_t i = from; i < to; i++) {
        size_t n;
        const char *piece = act_item_piece(it, i, &n);
        if (piece ? buf_add(b, piece, n, e) : buf_printf(b, e, "<%" PRId32 ">", it->tokens[i]))
            return -1;
    }
    return 0;
}

static int make_context(struct features *f, const struct act_item *it, uint64_t item, uint32_t pos,
                        uint32_t *tag, struct err *e)
{
    struct buf b = {0};
    size_t n = it->n_tokens, from = pos > f->context ? pos - f->context : 0;
    size_t past = pos + (size_t)1, to = n - past > f->context ? past + f->context : n;
    size_t end[3] = {0};
    int rc = 0;
    if (n) {
        rc = (from > 0 && buf_puts(&b, "…", e)) || add_tokens(&b, it, from, pos, e);
        end[0] = b.len;
        rc = rc || add_tokens(&b, it, pos, past, e);
        end[1] = b.len;
        rc = rc || add_tokens(&b, it, past, to, e) || (to < n && buf_puts(&b, "…", e));
        end[2] = b.len;
    }
    const size_t len[3] = {end[0], end[1] - end[0], end[2] - end[1]};
    rc = rc || contexts_add(&f->contexts, item, pos, b.p ? b.p : "", len, tag, e) ? -1 : 0;
    buf_release(&b);
    return rc;
}

/* The context of a position, with one reference for the caller. */
static int hold_context(struct features *f, struct act_reader *in, uint32_t pos, uint32_t *tag,
                        struct err *e)
{
    uint64_t item = act_reader_item_index(in);
    size_t old = f->cap_tags;
    if (mem_grow(&f->tag_at, &f->cap_tags, (size_t)pos + 1, sizeof *f->tag_at, e))
        return -1;
    for (size_t i = old; i < f->cap_tags; i++)
        f->tag_at[i] = TOPK_NONE;
    *tag = f->tag_at[pos];
    if (*tag != TOPK_NONE) {
        const struct context *c = &f->contexts.slot[*tag];
        if (c->refs && c->item == item && c->pos == pos) {
            contexts_ref(&f->contexts, *tag);
            return 0;
        }
    }
    if (make_context(f, act_reader_item(in), item, pos, tag, e))
        return -1;
    f->tag_at[pos] = *tag;
    return 0;
}

static int not_finite(const struct feature_hook *h, const float *row, int32_t pos, struct err *e)
{
    char label[ACT_NAME_MAX + 16];
    size_t i = 0;
    while (i + 1 < h->top.n && isfinite(row[i]))
        i++;
    feature_label(h, i, label, sizeof label);
    return err_set(e, ERR_DATA, "position %" PRId32 ", %s: the value is NaN or infinite", pos,
                   label);
}

static int take_row(struct features *f, struct feature_hook *h, struct act_reader *in,
                    const float *row, int32_t pos, struct err *e)
{
    size_t hits;
    uint32_t tag, tokens = act_reader_item(in)->n_tokens;
    if (pos < 0 || pos >= POSITION_MAX || (tokens && (uint32_t)pos >= tokens))
        return err_set(e, ERR_DATA, "position %" PRId32 " of an item of %" PRIu32 " tokens", pos,
                       tokens);
    if (h->top.n < h->axis.size) {
        for (size_t i = 0; i < h->top.n; i++)
            f->picked[i] = row[h->pick[i]];
        row = f->picked;
    }
    if (!topk_scan(&h->top, row, &hits))
        return not_finite(h, row, pos, e);
    if (!hits)
        return 0;
    if (hold_context(f, in, (uint32_t)pos, &tag, e))
        return -1;
    for (size_t i = 0; i < hits; i++) {
        uint32_t feature = h->top.hit[i];
        contexts_ref(&f->contexts, tag);
        uint32_t out = topk_insert(&h->top, feature, row[feature], tag);
        if (out != TOPK_NONE)
            contexts_unref(&f->contexts, out);
    }
    contexts_unref(&f->contexts, tag);
    return 0;
}

int features_read(struct features *f, struct act_reader *in, struct err *e)
{
    const struct act_record *r = act_reader_record(in);
    struct feature_hook *h = find_hook(f, r, e);
    if (!h || h->top.n == 0)
        return h ? 0 : -1;
    if (mem_grow(&f->picked, &f->cap_picked, h->top.n, sizeof *f->picked, e))
        return -1;
    const float *row;
    rows_begin(&f->rows, in, h->axis.size);
    for (uint32_t i = 0; i < r->dims[0].size; i++)
        if (rows_next(&f->rows, in, &row, e) ||
            take_row(f, h, in, row, act_dim_at(&r->dims[0], i), e))
            return -1;
    return 0;
}
