#include "gpt/select.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* A decimal number of at most 9 digits, so that it fits an int. false if there is none at *p. */
static bool take_int(const char **p, const char *end, int *v)
{
    const char *q = *p;
    bool negative = q < end && *q == '-';
    q += negative;
    const char *digits = q;
    *v = 0;
    while (q < end && *q >= '0' && *q <= '9' && q - digits < 9)
        *v = *v * 10 + (*q++ - '0');
    if (q == digits)
        return false;
    if (negative)
        *v = -*v;
    *p = q;
    return true;
}

static int parse_range(struct gpt_range *r, const char *text, const char *end, struct err *e)
{
    const char *p = text;
    *r = (struct gpt_range){0};
    bool first = take_int(&p, end, &r->from);
    r->single = first && p == end;
    if (r->single)
        return 0;
    if (p < end && *p == ':') {
        p++;
        r->open_to = !take_int(&p, end, &r->to);
        if (p == end)
            return 0;
    }
    return err_set(e, ERR_USAGE, "'%.*s' is neither an index nor a range A:B",
                   (int)(end - text < 60 ? end - text : 60), text);
}

int gpt_slice_parse(struct gpt_slice *s, const char *text, size_t n, struct err *e)
{
    const char *end = text + n;
    size_t cap = 0;
    s->range = NULL;
    s->n_range = 0;
    for (;;) {
        const char *plus = memchr(text, '+', (size_t)(end - text));
        const char *stop = plus ? plus : end;
        if (mem_grow(&s->range, &cap, s->n_range + 1, sizeof *s->range, e) ||
            parse_range(&s->range[s->n_range], text, stop, e)) {
            gpt_slice_release(s);
            return -1;
        }
        s->n_range++;
        if (!plus)
            return 0;
        text = plus + 1;
    }
}

int gpt_slice_copy(struct gpt_slice *to, const struct gpt_slice *from, struct err *e)
{
    *to = (struct gpt_slice){.axis = from->axis};
    if (!from->n_range)
        return 0;
    to->range = mem_alloc(from->n_range, sizeof *to->range, e);
    if (!to->range)
        return -1;
    memcpy(to->range, from->range, from->n_range * sizeof *to->range);
    to->n_range = from->n_range;
    return 0;
}

bool gpt_slice_equal(const struct gpt_slice *a, const struct gpt_slice *b)
{
    if (a->axis != b->axis || a->n_range != b->n_range)
        return false;
    for (size_t i = 0; i < a->n_range; i++) {
        const struct gpt_range *x = &a->range[i], *y = &b->range[i];
        if (x->from != y->from || x->to != y->to || x->open_to != y->open_to ||
            x->single != y->single)
            return false;
    }
    return true;
}

void gpt_slice_release(struct gpt_slice *s)
{
    free(s->range);
    s->range = NULL;
    s->n_range = 0;
}

/* Marks what one range means. */
static int mark(const struct gpt_slice *s, const struct gpt_range *r, int end, int size,
                unsigned char *in, struct err *e)
{
    const char *axis = gpt_axis_name(s->axis);
    int a = r->from < 0 ? end + r->from : r->from;
    int b = r->single ? a + 1 : r->open_to ? size : r->to < 0 ? end + r->to : r->to;
    if (a < 0 || a >= size)
        return err_set(e, ERR_USAGE, "%s=%d is out of range: there are %d (0 to %d)", axis, r->from,
                       size, size - 1);
    if (b > size)
        return err_set(e, ERR_USAGE, "%s=%d:%d is out of range: there are %d", axis, r->from, r->to,
                       size);
    if (a >= b)
        return err_set(e, ERR_USAGE, "%s=%d:%d is empty where there are %d", axis, r->from, r->to,
                       size);
    memset(in + a, 1, (size_t)(b - a));
    return 0;
}

int gpt_slice_resolve_from(const struct gpt_slice *s, int end, int size, int **idx, size_t *n,
                           struct err *e)
{
    *n = 0;
    *idx = NULL;
    unsigned char *in = mem_calloc((size_t)size, 1, e);
    int *list = mem_alloc((size_t)size, sizeof *list, e);
    if (!in || !list)
        goto fail;
    if (!s->n_range)
        memset(in, 1, (size_t)size);
    for (size_t i = 0; i < s->n_range; i++)
        if (mark(s, &s->range[i], end, size, in, e))
            goto fail;
    for (int i = 0; i < size; i++)
        if (in[i])
            list[(*n)++] = i;
    free(in);
    *idx = list;
    return 0;
fail:
    free(in);
    free(list);
    return -1;
}

int gpt_slice_resolve(const struct gpt_slice *s, int size, int **idx, size_t *n, struct err *e)
{
    return gpt_slice_resolve_from(s, size, size, idx, n, e);
}
