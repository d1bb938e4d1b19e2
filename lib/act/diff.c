#include "act/diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "act/slice.h"
#include "base/mem.h"

#define CHUNK ((size_t)1 << 20)
#define NOWHERE UINT32_MAX

struct held { /* a record that the other side has not come to yet */
    struct act_record rec;
    float *values;
    size_t cap;
};

struct side {
    struct act_source *s;
    int which; /* 0: A, 1: B */
    int event;
    bool in; /* in the middle of an item: more of its records may come */
    uint32_t n_names;
    struct held *held;
    size_t n, cap;
    float *chunk;
};

/* Where one operand of a comparison comes from: memory, or the side's current record. */
struct operand {
    const struct act_record *rec;
    const float *values; /* NULL: the side's source */
    struct side *side;
};

static struct act_diff_row *row_of(struct act_diff *d, const char *name, struct err *e)
{
    for (size_t k = 0; k < d->n; k++) { /* most often it is the one after the last */
        size_t i = (d->last + 1 + k) % d->n;
        if (strcmp(d->row[i].name, name) == 0) {
            d->last = i;
            return &d->row[i];
        }
    }
    if (mem_grow(&d->row, &d->cap, d->n + 1, sizeof *d->row, e))
        return NULL;
    struct act_diff_row *r = &d->row[d->n];
    *r = (struct act_diff_row){.order = {NOWHERE, NOWHERE}};
    snprintf(r->name, sizeof r->name, "%s", name);
    d->last = d->n++;
    return r;
}

/* The row of a name that the side has just met. */
static struct act_diff_row *meet(struct act_diff *d, struct side *s, const char *name,
                                 struct err *e)
{
    struct act_diff_row *r = row_of(d, name, e);
    if (r && r->order[s->which] == NOWHERE)
        r->order[s->which] = s->n_names++;
    return r;
}

/* To the side's next record that counts, or to what ends the item. */
static int advance(struct act_diff *d, struct side *s, struct err *e)
{
    do {
        s->event = act_source_next(s->s, e);
    } while (s->event == ACT_RECORD && d->want && !d->want(d->user, act_source_record(s->s)->name));
    s->in = s->event == ACT_RECORD;
    if (s->event < 0)
        return -1;
    return s->in && !meet(d, s, act_source_record(s->s)->name, e) ? -1 : 0;
}

static bool same_shape(const struct act_record *a, const struct act_record *b)
{
    bool same = a->n_dims == b->n_dims;
    for (int i = 0; same && i < a->n_dims; i++)
        same = a->dims[i].size == b->dims[i].size;
    return same;
}

/* "item=3,pos=4,head=2" of value number n. */
static void tell_where(char *text, size_t size, uint64_t item, const struct act_record *r,
                       uint64_t n)
{
    uint64_t at[ACT_MAX_DIMS];
    for (int i = r->n_dims - 1; i >= 0; i--) {
        at[i] = n % r->dims[i].size;
        n /= r->dims[i].size;
    }
    size_t len = (size_t)snprintf(text, size, "item=%llu", (unsigned long long)item);
    for (int i = 0; i < r->n_dims && len < size; i++)
        len += (size_t)snprintf(text + len, size - len, ",%s=%d", r->dims[i].label,
                                act_dim_at(&r->dims[i], (uint32_t)at[i]));
}

static const float *fetch(const struct operand *o, size_t done, size_t n, struct err *e)
{
    if (o->values)
        return o->values + done;
    return act_source_values(o->side->s, o->side->chunk, n, e) ? NULL : o->side->chunk;
}

static int compare(struct act_diff *d, uint64_t item, const struct operand *a,
                   const struct operand *b, struct err *e)
{
    struct act_diff_row *r = row_of(d, a->rec->name, e);
    struct act_compare c = {0};
    if (!r)
        return -1;
    if (!same_shape(a->rec, b->rec)) {
        char x[80], y[80];
        act_record_shape(a->rec, x, sizeof x);
        act_record_shape(b->rec, y, sizeof y);
        if (!r->misshapen++)
            snprintf(r->where, sizeof r->where, "item=%llu: %s, %s", (unsigned long long)item, x,
                     y);
        return 0;
    }
    size_t n = act_record_count(a->rec), k;
    for (size_t done = 0; done < n; done += k) {
        k = n - done < CHUNK ? n - done : CHUNK;
        const float *x = fetch(a, done, k, e), *y = x ? fetch(b, done, k, e) : NULL;
        if (!y)
            return -1;
        act_compare_add(&c, &d->tolerance, x, a->rec->dtype == ACT_I32, y, b->rec->dtype == ACT_I32,
                        k);
    }
    r->items++;
    if (act_compare_join(&r->c, &c) && !r->misshapen)
        tell_where(r->where, sizeof r->where, item, a->rec, c.worst);
    return 0;
}

static int hold(struct side *s, struct err *e)
{
    if (mem_grow(&s->held, &s->cap, s->n + 1, sizeof *s->held, e))
        return -1;
    struct held *h = &s->held[s->n];
    const struct act_record *rec = act_source_record(s->s);
    size_t n = act_record_count(rec), k;
    *h = (struct held){.values = NULL};
    if (act_record_dup(&h->rec, rec, e))
        return -1;
    s->n++;
    /* Grows as the values arrive: dimensions that lie cost nothing. */
    for (size_t done = 0; done < n; done += k) {
        k = n - done < CHUNK ? n - done : CHUNK;
        if (mem_grow(&h->values, &h->cap, done + k, sizeof *h->values, e) ||
            act_source_values(s->s, h->values + done, k, e))
            return -1;
    }
    return 0;
}

static void drop(struct side *s, size_t i)
{
    act_record_release(&s->held[i].rec);
    free(s->held[i].values);
    memmove(&s->held[i], &s->held[i + 1], (--s->n - i) * sizeof *s->held);
}

/* Compares the side's current record with what the other side holds, or holds it until the other
   comes to it; without any hope of that the record is only here. */
static int settle(struct act_diff *d, uint64_t item, struct side *s, struct side *other,
                  struct err *e)
{
    const struct act_record *rec = act_source_record(s->s);
    for (size_t i = 0; i < other->n; i++) {
        if (strcmp(other->held[i].rec.name, rec->name) != 0)
            continue;
        struct operand mine = {rec, NULL, s};
        struct operand theirs = {&other->held[i].rec, other->held[i].values, other};
        int rc = s->which == 0 ? compare(d, item, &mine, &theirs, e)
                               : compare(d, item, &theirs, &mine, e);
        drop(other, i);
        return rc;
    }
    if (other->in)
        return hold(s, e);
    struct act_diff_row *r = row_of(d, rec->name, e);
    if (r)
        r->only[s->which]++;
    return r ? 0 : -1;
}

static int compare_tokens(struct act_diff *d, struct side *a, struct side *b, struct err *e)
{
    const struct act_item *x = act_source_item(a->s), *y = act_source_item(b->s);
    if (!x->n_tokens || !y->n_tokens || (d->want && !d->want(d->user, "tokens")))
        return 0;
    struct act_record rx = {.name = "tokens", .dtype = ACT_I32, .n_dims = 1};
    snprintf(rx.dims[0].label, sizeof rx.dims[0].label, "pos");
    struct act_record ry = rx;
    rx.dims[0].size = x->n_tokens;
    ry.dims[0].size = y->n_tokens;
    struct operand ox = {&rx, (const float *)(const void *)x->tokens, a};
    struct operand oy = {&ry, (const float *)(const void *)y->tokens, b};
    if (!meet(d, a, rx.name, e) || !meet(d, b, ry.name, e))
        return -1;
    return compare(d, act_source_item_index(a->s), &ox, &oy, e);
}

/* One item: both sides stand at its beginning, or one is at its END. */
static int walk_item(struct act_diff *d, struct side *a, struct side *b, uint64_t item,
                     struct err *e)
{
    a->in = a->event == ACT_ITEM;
    b->in = b->event == ACT_ITEM;
    d->items[0] += a->in;
    d->items[1] += b->in;
    if (a->in && b->in && compare_tokens(d, a, b, e))
        return -1;
    for (;;) {
        if ((a->in && advance(d, a, e)) || (b->in && advance(d, b, e)))
            return -1;
        if (!a->in && !b->in)
            break;
        if (a->in && b->in &&
            strcmp(act_source_record(a->s)->name, act_source_record(b->s)->name) == 0) {
            struct operand x = {act_source_record(a->s), NULL, a};
            struct operand y = {act_source_record(b->s), NULL, b};
            if (compare(d, item, &x, &y, e))
                return -1;
            continue;
        }
        if ((a->in && settle(d, item, a, b, e)) || (b->in && settle(d, item, b, a, e)))
            return -1;
    }
    struct side *sides[2] = {a, b};
    for (int k = 0; k < 2; k++)
        while (sides[k]->n > 0) {
            struct act_diff_row *r = row_of(d, sides[k]->held[0].rec.name, e);
            if (!r)
                return -1;
            r->only[k]++;
            drop(sides[k], 0);
        }
    return 0;
}

static int by_order(const void *x, const void *y)
{
    const struct act_diff_row *a = x, *b = y;
    int k = a->order[0] == b->order[0]; /* both only in B */
    return (a->order[k] > b->order[k]) - (a->order[k] < b->order[k]);
}

static void side_release(struct side *s)
{
    while (s->n > 0)
        drop(s, s->n - 1);
    free(s->held);
    free(s->chunk);
}

int act_diff_run(struct act_diff *d, struct act_source *a, struct act_source *b, struct err *e)
{
    struct side x = {.s = a, .which = 0}, y = {.s = b, .which = 1};
    int rc = -1;
    x.chunk = mem_alloc(CHUNK, sizeof *x.chunk, e);
    y.chunk = mem_alloc(CHUNK, sizeof *y.chunk, e);
    if (!x.chunk || !y.chunk || advance(d, &x, e) || advance(d, &y, e))
        goto out;
    for (uint64_t item = 0; x.event != ACT_END || y.event != ACT_END; item++)
        if (walk_item(d, &x, &y, item, e))
            goto out;
    if (d->n)
        qsort(d->row, d->n, sizeof *d->row, by_order);
    rc = 0;
out:
    side_release(&x);
    side_release(&y);
    return rc;
}

void act_diff_release(struct act_diff *d)
{
    free(d->row);
    d->row = NULL;
    d->n = d->cap = 0;
}
