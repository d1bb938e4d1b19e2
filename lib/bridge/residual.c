#include "bridge/residual.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void residual_release(struct residual *s)
{
    free(s->tokens);
    free(s->row);
    free(s->values);
    free(s->want);
    *s = (struct residual){0};
}

static int compare(const void *a, const void *b)
{
    const struct residual_row *x = a, *y = b;
    if (x->pos != y->pos)
        return x->pos < y->pos ? -1 : 1;
    if (x->at.layer != y->at.layer)
        return x->at.layer < y->at.layer ? -1 : 1;
    return (x->at.hook > y->at.hook) - (x->at.hook < y->at.hook);
}

static int bad(const struct act_reader *r, const char *why, struct err *e)
{
    return err_set(e, ERR_DATA, "%s: item %" PRIu64 ": %s: %s", act_reader_name(r),
                   act_reader_item_index(r), act_reader_record(r)->name, why);
}

static int check_shape(const struct act_reader *r, const struct gpt_config *c, struct err *e)
{
    const struct act_record *rec = act_reader_record(r);
    const struct act_dim *d = &rec->dims[1];
    if (rec->n_dims != 2 || rec->dtype == ACT_I32 || strcmp(rec->dims[0].label, "pos") != 0 ||
        strcmp(d->label, "d_model") != 0)
        return bad(r, "not values by pos and d_model", e);
    if (d->size != (uint32_t)c->d_model || d->start != 0 || d->index)
        return bad(r, "not whole residual vectors", e);
    return 0;
}

int residual_begin(struct residual *s, const struct act_reader *r, const struct gpt_config *c,
                   const struct gpt_slice *pos, struct err *e)
{
    const struct act_item *it = act_reader_item(r);
    s->item = act_reader_item_index(r);
    s->n = 0;
    s->n_tokens = it->n_tokens;
    free(s->want);
    s->want = NULL;
    if (mem_grow(&s->tokens, &s->cap_tokens, it->n_tokens, sizeof *s->tokens, e))
        return -1;
    for (size_t i = 0; i < s->n_tokens; i++) {
        s->tokens[i] = it->tokens[i];
        if (s->tokens[i] < 0 || s->tokens[i] >= c->d_vocab)
            return err_set(e, ERR_DATA,
                           "%s: item %" PRIu64 ": position %zu: token id %" PRId32
                           " is outside 0..%d",
                           act_reader_name(r), s->item, i, s->tokens[i], c->d_vocab - 1);
    }
    if (pos->n_range == 0)
        return 0;
    int *idx;
    size_t n;
    if (gpt_slice_resolve(pos, (int)it->n_tokens, &idx, &n, e))
        return err_prefix(e, "%s: item %" PRIu64, act_reader_name(r), s->item);
    s->want = mem_calloc(it->n_tokens, 1, e);
    for (size_t i = 0; s->want && i < n; i++)
        s->want[idx[i]] = 1;
    free(idx);
    return s->want ? 0 : -1;
}

static int read_vectors(struct residual *s, struct act_reader *r, struct gpt_point at, size_t d,
                        struct err *e)
{
    const struct act_dim *p = &act_reader_record(r)->dims[0];
    for (uint32_t i = 0; i < p->size; i++) {
        int32_t pos = act_dim_at(p, i);
        if (pos < 0 || (size_t)pos >= s->n_tokens)
            return bad(r, "a position is not one of the item's tokens", e);
        if (s->want && !s->want[pos]) {
            if (act_reader_skip(r, d, e))
                return -1;
            continue;
        }
        if (mem_grow(&s->row, &s->cap_rows, s->n + 1, sizeof *s->row, e) ||
            mem_grow(&s->values, &s->cap_values, (s->n + 1) * d, sizeof *s->values, e) ||
            act_reader_values(r, s->values + s->n * d, d, e))
            return -1;
        s->row[s->n] = (struct residual_row){at, pos, s->n};
        s->n++;
    }
    return 0;
}

int residual_record(struct residual *s, struct act_reader *r, const struct gpt_config *c,
                    struct err *e)
{
    struct gpt_point at;
    if (!gpt_point_parse(c, act_reader_record(r)->name, &at) ||
        (at.hook != HOOK_RESID_PRE && at.hook != HOOK_RESID_MID && at.hook != HOOK_RESID_POST))
        return 0;
    return check_shape(r, c, e) || read_vectors(s, r, at, (size_t)c->d_model, e) ? -1 : 0;
}

int residual_end(struct residual *s, struct err *e)
{
    if (s->n)
        qsort(s->row, s->n, sizeof *s->row, compare);
    for (size_t i = 1; i < s->n; i++)
        if (compare(&s->row[i - 1], &s->row[i]) == 0) {
            char name[64];
            gpt_point_name(s->row[i].at, name, sizeof name);
            return err_set(e, ERR_DATA, "item %" PRIu64 ": %s: position %d comes twice", s->item,
                           name, s->row[i].pos);
        }
    return 0;
}
