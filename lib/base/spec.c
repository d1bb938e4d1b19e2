#include "base/spec.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* A decimal number of at most 10 digits. false if there is none at *p. */
static bool take_int(const char **p, const char *end, int64_t *v)
{
    const char *q = *p;
    bool negative = q < end && *q == '-';
    q += negative;
    const char *digits = q;
    *v = 0;
    while (q < end && *q >= '0' && *q <= '9' && q - digits < 10)
        *v = *v * 10 + (*q++ - '0');
    if (q == digits)
        return false;
    if (negative)
        *v = -*v;
    *p = q;
    return true;
}

static int parse_range(struct spec_range *r, const char *text, const char *end, struct err *e)
{
    const char *p = text;
    *r = (struct spec_range){0};
    r->open_from = !take_int(&p, end, &r->from);
    r->single = !r->open_from && p == end;
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

int spec_parse(struct spec *s, const char *text, size_t n, struct err *e)
{
    const char *end = text + n;
    size_t cap = 0;
    *s = (struct spec){0};
    for (;;) {
        const char *plus = memchr(text, '+', (size_t)(end - text));
        const char *stop = plus ? plus : end;
        if (mem_grow(&s->range, &cap, s->n + 1, sizeof *s->range, e) ||
            parse_range(&s->range[s->n], text, stop, e)) {
            spec_release(s);
            return -1;
        }
        s->n++;
        if (!plus)
            return 0;
        text = plus + 1;
    }
}

void spec_release(struct spec *s)
{
    free(s->range);
    *s = (struct spec){0};
}

bool spec_negative(const struct spec *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->range[i].from < 0 || s->range[i].to < 0)
            return true;
    return false;
}

bool spec_has(const struct spec *s, uint64_t i)
{
    for (size_t k = 0; k < s->n; k++) {
        const struct spec_range *r = &s->range[k];
        if (r->single ? i == (uint64_t)r->from
                      : i >= (uint64_t)r->from && (r->open_to || i < (uint64_t)r->to))
            return true;
    }
    return false;
}

bool spec_within(const struct spec *s, uint64_t n)
{
    for (size_t k = 0; k < s->n; k++) {
        const struct spec_range *r = &s->range[k];
        if ((uint64_t)r->from >= n || !(r->single || r->open_to || r->to > r->from))
            return false;
    }
    return true;
}

struct axis {
    const char *what;
    int32_t start;
    const int32_t *at;
    uint32_t size;
    int64_t low, high; /* the least and the greatest coordinate */
};

static int64_t coordinate(const struct axis *a, int64_t i)
{
    return a->at ? a->at[i] : a->start + i;
}

static int beyond(const struct axis *a, int64_t v, struct err *e)
{
    return err_set(e, ERR_USAGE, "%s=%lld is out of range: there are %u (%lld to %lld)", a->what,
                   (long long)v, a->size, (long long)a->low, (long long)a->high);
}

/* What an end of a range, or an index, means as a coordinate. */
static int absolute(const struct axis *a, int64_t v, int64_t *c, struct err *e)
{
    *c = v;
    if (v < -(int64_t)a->size)
        return beyond(a, v, e);
    if (v < 0)
        *c = coordinate(a, a->size + v);
    return 0;
}

static int mark_range(const struct axis *a, const struct spec_range *r, unsigned char *in,
                      struct err *e)
{
    int64_t from = a->low, to = a->high + 1, n = 0;
    if (!r->open_from && absolute(a, r->from, &from, e))
        return -1;
    if (r->single)
        to = from + 1;
    else if (!r->open_to && absolute(a, r->to, &to, e))
        return -1;
    if (from < a->low || from > a->high)
        return beyond(a, r->from, e);
    if (to > a->high + 1)
        return beyond(a, to - 1, e);
    for (uint32_t i = 0; i < a->size; i++) {
        int64_t c = coordinate(a, i);
        if (c >= from && c < to) {
            in[i] = 1;
            n++;
        }
    }
    if (n == 0 && r->single)
        return err_set(e, ERR_USAGE, "%s=%lld is not among the %u there are", a->what,
                       (long long)r->from, a->size);
    if (n == 0)
        return err_set(e, ERR_USAGE, "%s=%lld:%lld is empty: there are %u (%lld to %lld)", a->what,
                       (long long)from, (long long)to, a->size, (long long)a->low,
                       (long long)a->high);
    return 0;
}

int spec_mark(const struct spec *s, const char *what, int32_t start, const int32_t *at,
              uint32_t size, unsigned char *in, struct err *e)
{
    struct axis a = {what, start, at, size, INT64_MAX, INT64_MIN};
    if (size == 0)
        return err_set(e, ERR_USAGE, "%s: there are none", what);
    for (int64_t i = 0; i < (at ? size : 1); i++) {
        a.low = coordinate(&a, i) < a.low ? coordinate(&a, i) : a.low;
        a.high = coordinate(&a, i) > a.high ? coordinate(&a, i) : a.high;
    }
    if (!at)
        a.high = coordinate(&a, (int64_t)size - 1);
    memset(in, 0, size);
    for (size_t i = 0; i < s->n; i++)
        if (mark_range(&a, &s->range[i], in, e))
            return -1;
    return 0;
}
