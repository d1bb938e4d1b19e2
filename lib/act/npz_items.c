#include "act/npz_items.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define NO_ITEM UINT64_MAX

/* What an array of the archive is. */
struct part {
    size_t array;
    uint64_t number; /* of the item, NO_ITEM when the name has none */
    bool tokens, batch;
    struct act_record rec; /* without the batch dimension */
};

struct npz_items {
    struct npz *z;
    struct part *part;
    size_t n, cap;
    uint64_t batch; /* items of a batch, NO_ITEM when there is none */
    /* The walk: */
    bool begun;
    uint64_t number; /* the item's in the archive's names */
    size_t next;     /* part to look at next */
    const struct part *now;
    uint64_t left; /* values of it not yet read */
    struct act_item item;
    char nothing[1]; /* "": its label, edits, meta */
};

static int bad(const struct npz_items *s, const struct part *p, const char *why, struct err *e)
{
    return err_set(e, ERR_DATA, "%s: %s: %s", npz_path(s->z), npz_array(s->z, p->array)->name, why);
}

/* "12/rest" -> 12 and the rest; else NO_ITEM and the whole. */
static uint64_t split_number(const char **name)
{
    uint64_t v = 0;
    const char *p = *name;
    for (; *p >= '0' && *p <= '9' && v < 1u << 30; p++)
        v = v * 10 + (uint64_t)(*p - '0');
    if (p == *name || *p != '/')
        return NO_ITEM;
    *name = p + 1;
    return v;
}

/* The name under which the array counts, or NULL when it does not. */
static const char *wanted(const struct act_source_opts *o, const char *name)
{
    const char *label[ACT_MAX_DIMS];
    size_t n = o->prefix ? strlen(o->prefix) : 0;
    if (strncmp(name, n ? o->prefix : "", n) == 0)
        return name + n;
    return strcmp(name, "tokens") == 0 || (o->labels && o->labels(name, label) >= 0) ? name : NULL;
}

/* The record's dimensions from the array's, and whether the first of those is a batch. */
static int set_dims(struct npz_items *s, struct part *p, const struct act_source_opts *o,
                    struct err *e)
{
    const struct npy_header *h = &npz_array(s->z, p->array)->npy;
    const char *label[ACT_MAX_DIMS];
    int known = p->tokens ? 1 : o->labels ? o->labels(p->rec.name, label) : -1;
    if (p->tokens)
        label[0] = "pos";
    p->batch = p->number == NO_ITEM && known >= 0 && h->n_dims == known + 1;
    int n = h->n_dims - p->batch;
    if (n > ACT_MAX_DIMS || (p->tokens && n != 1))
        return bad(s, p, "too many dimensions for a record", e);
    p->rec.n_dims = n;
    for (int d = 0; d < n; d++) {
        struct act_dim *dim = &p->rec.dims[d];
        uint64_t size = h->dims[d + p->batch];
        if (size >= INT32_MAX)
            return bad(s, p, "a dimension is too large for a record", e);
        dim->size = (uint32_t)size;
        if (known == n)
            snprintf(dim->label, sizeof dim->label, "%s", label[d]);
        else
            snprintf(dim->label, sizeof dim->label, "dim%d", d);
    }
    return 0;
}

static int add_part(struct npz_items *s, size_t i, const struct act_source_opts *o, struct err *e)
{
    const struct npz_array *a = npz_array(s->z, i);
    const char *name = wanted(o, a->name);
    if (!name)
        return 0;
    if (npz_check(s->z, i, e) || mem_grow(&s->part, &s->cap, s->n + 1, sizeof *s->part, e))
        return -1;
    struct part *p = &s->part[s->n++];
    *p = (struct part){.array = i, .number = split_number(&name)};
    p->tokens = strcmp(name, "tokens") == 0;
    if (p->tokens && npy_is_float(a->npy.type))
        return bad(s, p, "token ids must be integers", e);
    if (!*name || strlen(name) >= ACT_NAME_MAX)
        return bad(s, p, "not a name for a record", e);
    memcpy(p->rec.name, name, strlen(name) + 1);
    p->rec.dtype = a->npy.type == NPY_F2 ? ACT_F16 : npy_is_float(a->npy.type) ? ACT_F32 : ACT_I32;
    return set_dims(s, p, o, e);
}

/* Do the parts agree on what the items are? Finds the batch. */
static int agree(struct npz_items *s, struct err *e)
{
    size_t first = s->n, numbered = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct part *p = &s->part[i];
        uint64_t rows = npz_array(s->z, p->array)->npy.dims[0];
        numbered += p->number != NO_ITEM;
        if (!p->batch)
            continue;
        if (first == s->n) {
            first = i;
            s->batch = rows;
        } else if (rows != s->batch) {
            return err_set(e, ERR_DATA, "%s: %s is a batch of %llu, but %s one of %llu",
                           npz_path(s->z), npz_array(s->z, s->part[first].array)->name,
                           (unsigned long long)s->batch, npz_array(s->z, p->array)->name,
                           (unsigned long long)rows);
        }
    }
    for (size_t i = 0; i < s->n; i++) {
        const struct part *p = &s->part[i];
        if (numbered && p->number == NO_ITEM)
            return bad(s, p, "has no item number, as other members have (a prefix chooses)", e);
        if (s->batch != NO_ITEM && s->batch != 1 && !p->batch)
            return err_set(e, ERR_DATA,
                           "%s: %s: is not known as a hook point of a batch, as %s is: a prefix "
                           "chooses members",
                           npz_path(s->z), npz_array(s->z, p->array)->name,
                           npz_array(s->z, s->part[first].array)->name);
    }
    return 0;
}

struct npz_items *npz_items_open(const char *path, const struct act_source_opts *o, struct err *e)
{
    struct npz_items *s = mem_calloc(1, sizeof *s, e);
    if (!s)
        return NULL;
    s->batch = NO_ITEM;
    s->z = npz_open(path, e);
    if (!s->z)
        goto fail;
    for (size_t i = 0; i < npz_count(s->z); i++)
        if (add_part(s, i, o, e))
            goto fail;
    if (agree(s, e))
        goto fail;
    return s;
fail:
    npz_items_close(s);
    return NULL;
}

void npz_items_close(struct npz_items *s)
{
    if (!s)
        return;
    npz_close(s->z);
    free(s->part);
    free(s->item.tokens);
    free(s);
}

/* Does the part belong to the item of this number? */
static bool belongs(const struct part *p, uint64_t number)
{
    return p->number == NO_ITEM || p->number == number;
}

/* Finds the number of the next item; false after the last. */
static bool next_number(struct npz_items *s)
{
    uint64_t least = NO_ITEM;
    uint64_t from = s->begun ? s->number + 1 : 0;
    if (s->n == 0)
        return false;
    if (s->part[0].number == NO_ITEM) {
        s->number = from;
        return from < (s->batch == NO_ITEM ? 1 : s->batch);
    }
    for (size_t i = 0; i < s->n; i++)
        if (s->part[i].number >= from && s->part[i].number < least)
            least = s->part[i].number;
    s->number = least;
    return least != NO_ITEM;
}

static uint64_t first_value(const struct npz_items *s, const struct part *p)
{
    return p->batch ? s->number * act_record_count(&p->rec) : 0;
}

static int begin_item(struct npz_items *s, struct err *e)
{
    s->begun = true;
    s->next = 0;
    free(s->item.tokens);
    s->item = (struct act_item){.label = s->nothing, .edits = s->nothing, .meta = s->nothing};
    for (size_t i = 0; i < s->n; i++) {
        const struct part *p = &s->part[i];
        if (!p->tokens || !belongs(p, s->number))
            continue;
        s->item.n_tokens = p->rec.dims[0].size;
        s->item.tokens = mem_alloc(s->item.n_tokens, sizeof *s->item.tokens, e);
        if (!s->item.tokens ||
            npz_values(s->z, p->array, first_value(s, p), s->item.n_tokens, s->item.tokens, e))
            return -1;
        break;
    }
    return ACT_ITEM;
}

int npz_items_next(struct npz_items *s, struct err *e)
{
    s->now = NULL;
    for (; s->begun && s->next < s->n; s->next++) {
        const struct part *p = &s->part[s->next];
        if (p->tokens || !belongs(p, s->number))
            continue;
        s->next++;
        s->now = p;
        s->left = act_record_count(&p->rec);
        return ACT_RECORD;
    }
    return next_number(s) ? begin_item(s, e) : ACT_END;
}

const struct act_item *npz_items_item(const struct npz_items *s)
{
    return &s->item;
}

const struct act_record *npz_items_record(const struct npz_items *s)
{
    return &s->now->rec;
}

int npz_items_values(struct npz_items *s, void *values, size_t n, struct err *e)
{
    if (!s->now || n > s->left)
        return err_set(e, ERR_USAGE, "%s: more values asked for than the record has",
                       npz_path(s->z));
    uint64_t at = first_value(s, s->now) + act_record_count(&s->now->rec) - s->left;
    s->left -= n;
    return values ? npz_values(s->z, s->now->array, at, n, values, e) : 0;
}
