#include "act/planes.h"

#include <string.h>

static void split4(unsigned char *restrict to, const uint32_t *restrict v, size_t n, bool rotate)
{
    unsigned char *restrict a = to, *restrict b = to + n, *restrict c = to + 2 * n,
                            *restrict d = to + 3 * n;
    unsigned left = rotate, right = rotate ? 31 : 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t x = v[i] << left | v[i] >> right;
        a[i] = (unsigned char)(x >> 24);
        b[i] = (unsigned char)(x >> 16);
        c[i] = (unsigned char)(x >> 8);
        d[i] = (unsigned char)x;
    }
}

static void split2(unsigned char *restrict to, const uint16_t *restrict v, size_t n, bool rotate)
{
    unsigned char *restrict a = to, *restrict b = to + n;
    unsigned left = rotate, right = rotate ? 15 : 0;
    for (size_t i = 0; i < n; i++) {
        unsigned x = (unsigned)v[i] << left | v[i] >> right;
        a[i] = (unsigned char)(x >> 8);
        b[i] = (unsigned char)x;
    }
}

void planes_split(unsigned char *restrict to, const void *restrict values, size_t n, size_t width,
                  bool rotate)
{
    if (width == 4)
        split4(to, values, n, rotate);
    else
        split2(to, values, n, rotate);
}

static void merge4(uint32_t *restrict v, const unsigned char *const plane[4], size_t n, bool rotate)
{
    const unsigned char *restrict a = plane[0], *restrict b = plane[1], *restrict c = plane[2],
                                  *restrict d = plane[3];
    unsigned right = rotate, left = rotate ? 31 : 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t x =
            (uint32_t)a[i] << 24 | (uint32_t)b[i] << 16 | (uint32_t)c[i] << 8 | (uint32_t)d[i];
        v[i] = x >> right | x << left;
    }
}

static void merge2(uint16_t *restrict v, const unsigned char *const plane[4], size_t n, bool rotate)
{
    const unsigned char *restrict a = plane[0], *restrict b = plane[1];
    unsigned right = rotate, left = rotate ? 15 : 0;
    for (size_t i = 0; i < n; i++) {
        unsigned x = (unsigned)a[i] << 8 | b[i];
        v[i] = (uint16_t)(x >> right | x << left);
    }
}

void planes_merge(void *restrict values, const unsigned char *const plane[4], size_t n,
                  size_t width, bool rotate)
{
    if (width == 4)
        merge4(values, plane, n, rotate);
    else
        merge2(values, plane, n, rotate);
}

static inline uint32_t value_at(const void *values, size_t i, size_t width)
{
    if (width == 4)
        return ((const uint32_t *)values)[i];
    return ((const uint16_t *)values)[i];
}

/* Pairs of neighbours stand for the whole, far enough apart to be cheap and at a distance that is
   no divisor of usual row lengths. */
static size_t pair_step(size_t n)
{
    return n > 4096 ? 61 : n > 512 ? 7 : 1;
}

/* Whether more than an eighth of the pairs are `fill` twice. */
static bool fills_much(uint32_t fill, const void *values, size_t n, size_t width)
{
    size_t pairs = 0, hits = 0;
    for (size_t i = 0; i + 1 < n; i += pair_step(n), pairs++)
        hits += value_at(values, i, width) == fill && value_at(values, i + 1, width) == fill;
    return hits > pairs / 8;
}

/* Zero, or else the value that most equal pairs have (majority vote of Boyer and Moore). */
static bool guess_fill(uint32_t *fill, const void *values, size_t n, size_t width)
{
    size_t votes = 0;
    *fill = 0;
    if (fills_much(*fill, values, n, width))
        return true;
    for (size_t i = 0; i + 1 < n; i += pair_step(n)) {
        uint32_t v = value_at(values, i, width);
        if (v != value_at(values, i + 1, width))
            continue;
        if (votes == 0)
            *fill = v;
        if (v == *fill)
            votes++;
        else
            votes--;
    }
    return votes > 0 && fills_much(*fill, values, n, width);
}

static size_t put_varint(unsigned char *p, size_t v)
{
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        p[n++] = (unsigned char)(v | 0x80);
    p[n++] = (unsigned char)v;
    return n;
}

/* Shorter runs stay among the literals: their two lengths would cost more than they save. */
#define RUN_MIN 4

static inline size_t run_end(const void *values, size_t i, size_t n, size_t width, uint32_t fill)
{
    while (i < n && value_at(values, i, width) == fill)
        i++;
    return i;
}

static inline bool find(struct runs *r, void *restrict literals, unsigned char *restrict list,
                        const void *restrict values, size_t n, size_t width)
{
    size_t begin = 0; /* of the literals not yet moved */
    r->literals = r->bytes = 0;
    for (size_t i = 0; i < n;) {
        size_t end;
        while (i < n && value_at(values, i, width) != r->fill)
            i++;
        end = run_end(values, i, n, width, r->fill);
        if (end - i < RUN_MIN && end < n) {
            i = end;
            continue;
        }
        if (r->bytes + 8 > RUNS_LIST_MAX(n))
            return false;
        memcpy((char *)literals + r->literals * width, (const char *)values + begin * width,
               (i - begin) * width);
        r->literals += i - begin;
        r->bytes += put_varint(list + r->bytes, i - begin);
        if (end > i)
            r->bytes += put_varint(list + r->bytes, end - i);
        begin = i = end;
    }
    return true;
}

bool runs_find(struct runs *r, void *restrict literals, unsigned char *restrict list,
               const void *restrict values, size_t n, size_t width)
{
    if (!guess_fill(&r->fill, values, n, width))
        return false;
    return width == 4 ? find(r, literals, list, values, n, 4)
                      : find(r, literals, list, values, n, 2);
}

/* The next length; false when the list ends within it, when it is longer than any block, or when it
   is not in its shortest form. */
static bool get_varint(size_t *v, const unsigned char *list, size_t *at, size_t bytes)
{
    *v = 0;
    for (unsigned shift = 0; shift < 28 && *at < bytes; shift += 7) {
        unsigned char c = list[(*at)++];
        *v |= (size_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return c != 0 || shift == 0;
    }
    return false;
}

static void fill_values(void *values, size_t i, size_t n, size_t width, uint32_t fill)
{
    if (width == 4) {
        uint32_t *p = (uint32_t *)values + i;
        for (size_t j = 0; j < n; j++)
            p[j] = fill;
    } else {
        uint16_t *p = (uint16_t *)values + i;
        for (size_t j = 0; j < n; j++)
            p[j] = (uint16_t)fill;
    }
}

bool runs_expand(void *restrict values, const struct runs *r, const void *restrict literals,
                 const unsigned char *list, size_t n, size_t width)
{
    size_t done = 0, used = 0, at = 0, count;
    for (bool literal = true; at < r->bytes; literal = !literal) {
        bool first = at == 0;
        if (!get_varint(&count, list, &at, r->bytes) || count > n - done || (!count && !first))
            return false;
        if (literal) {
            if (count > r->literals - used)
                return false;
            if (count)
                memcpy((char *)values + done * width, (const char *)literals + used * width,
                       count * width);
            used += count;
        } else {
            fill_values(values, done, count, width, r->fill);
        }
        done += count;
    }
    return done == n && used == r->literals;
}
