#include "act/npy.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "num/half.h"

static const struct {
    const char *code; /* dtype without the byte order */
    enum npy_type type;
    size_t width;
} types[] = {
    {"b1", NPY_B1, 1}, {"i1", NPY_I1, 1}, {"u1", NPY_U1, 1}, {"i2", NPY_I2, 2},
    {"u2", NPY_U2, 2}, {"i4", NPY_I4, 4}, {"u4", NPY_U4, 4}, {"i8", NPY_I8, 8},
    {"u8", NPY_U8, 8}, {"f2", NPY_F2, 2}, {"f4", NPY_F4, 4}, {"f8", NPY_F8, 8},
};

/* The header is a Python dict literal. Of Python's grammar only what numpy.lib.format writes is
   taken: a dict of the three keys, strings without escapes, True/False, a tuple of integers. */
struct lex {
    const char *p, *end;
};

static void blanks(struct lex *x)
{
    while (x->p < x->end && (*x->p == ' ' || *x->p == '\n' || *x->p == '\t'))
        x->p++;
}

static bool take(struct lex *x, const char *word)
{
    size_t n = strlen(word);
    blanks(x);
    if ((size_t)(x->end - x->p) < n || memcmp(x->p, word, n) != 0)
        return false;
    x->p += n;
    return true;
}

/* 'text' or "text" -> its place. */
static bool take_string(struct lex *x, const char **s, size_t *n)
{
    blanks(x);
    if (x->p == x->end || (*x->p != '\'' && *x->p != '"'))
        return false;
    const char *stop = memchr(x->p + 1, *x->p, (size_t)(x->end - x->p - 1));
    if (!stop || memchr(x->p, '\\', (size_t)(stop - x->p)))
        return false;
    *s = x->p + 1;
    *n = (size_t)(stop - *s);
    x->p = stop + 1;
    return true;
}

/* The dtype of a structured array: a list, passed over up to its closing bracket. */
static bool skip_list(struct lex *x)
{
    const char *s;
    size_t n;
    int depth = 0;
    for (;;) {
        blanks(x);
        if (x->p == x->end)
            return false;
        if (*x->p == '\'' || *x->p == '"') {
            if (!take_string(x, &s, &n))
                return false;
            continue;
        }
        depth += *x->p == '[';
        depth -= *x->p == ']';
        x->p++;
        if (depth == 0)
            return true;
    }
}

static bool take_descr(struct lex *x, struct npy_header *h)
{
    const char *s = "(structure)";
    size_t n = strlen(s);
    blanks(x);
    if (x->p < x->end && *x->p == '[') {
        if (!skip_list(x))
            return false;
    } else if (!take_string(x, &s, &n)) {
        return false;
    }
    size_t keep = n < sizeof h->descr - 1 ? n : sizeof h->descr - 1;
    memcpy(h->descr, s, keep);
    for (size_t i = 0; i < keep; i++)
        if (h->descr[i] < ' ' || h->descr[i] > '~')
            h->descr[i] = '?';
    /* "=" never comes from NumPy's writer, which resolves it; "|" means that order has no meaning.
     */
    if (n > 1 && (*s == '<' || *s == '|'))
        for (size_t i = 0; i < sizeof types / sizeof *types; i++)
            if (strlen(types[i].code) == n - 1 && memcmp(types[i].code, s + 1, n - 1) == 0) {
                h->type = types[i].type;
                h->width = types[i].width;
            }
    return true;
}

static bool take_number(struct lex *x, uint64_t *v)
{
    blanks(x);
    const char *from = x->p;
    *v = 0;
    for (; x->p < x->end && *x->p >= '0' && *x->p <= '9'; x->p++)
        if (__builtin_mul_overflow(*v, 10, v) ||
            __builtin_add_overflow(*v, (uint64_t)(*x->p - '0'), v))
            return false;
    return x->p > from;
}

static bool take_shape(struct lex *x, struct npy_header *h)
{
    if (!take(x, "("))
        return false;
    while (!take(x, ")")) {
        if (h->n_dims == NPY_MAX_DIMS || !take_number(x, &h->dims[h->n_dims++]))
            return false;
        bool comma = take(x, ",");
        if (take(x, ")"))
            return comma || h->n_dims > 1; /* "(3)" is a number, not a tuple */
        if (!comma)
            return false;
    }
    return true;
}

static bool take_dict(struct lex *x, struct npy_header *h)
{
    static const char *const names[] = {"descr", "fortran_order", "shape"};
    unsigned seen = 0;
    if (!take(x, "{"))
        return false;
    while (!take(x, "}")) {
        const char *key;
        size_t n, k = 0;
        if (!take_string(x, &key, &n) || !take(x, ":"))
            return false;
        while (k < 3 && (strlen(names[k]) != n || memcmp(names[k], key, n) != 0))
            k++;
        if (k == 3 || (seen & 1u << k))
            return false;
        seen |= 1u << k;
        if (k == 0 ? !take_descr(x, h) : k == 2 ? !take_shape(x, h) : false)
            return false;
        if (k == 1) {
            h->fortran = take(x, "True");
            if (!h->fortran && !take(x, "False"))
                return false;
        }
        if (!take(x, ",")) {
            if (!take(x, "}"))
                return false;
            break;
        }
    }
    blanks(x);
    return seen == 7 && x->p == x->end;
}

int npy_parse(struct npy_header *h, const unsigned char *p, size_t n, uint64_t size, struct err *e)
{
    *h = (struct npy_header){.type = NPY_OTHER, .count = 1};
    if (n < 10 || memcmp(p, "\x93NUMPY", 6) != 0)
        return err_set(e, ERR_DATA, "not an .npy array");
    if (p[6] < 1 || p[6] > 3)
        return err_set(e, ERR_DATA, ".npy version %d.%d is not known", p[6], p[7]);
    uint64_t head = p[6] == 1 ? 10 : 12;
    if (n < head)
        return err_set(e, ERR_DATA, "not an .npy array");
    h->start = head + (p[6] == 1 ? get_le16(p + 8) : get_le32(p + 8));
    if (h->start > NPY_HEADER_MAX)
        return err_set(e, ERR_DATA, ".npy header of %llu bytes: too long",
                       (unsigned long long)h->start);
    if (h->start > n)
        return err_set(e, ERR_DATA, ".npy header cut short");
    struct lex x = {(const char *)p + head, (const char *)p + h->start};
    if (!take_dict(&x, h))
        return err_set(e, ERR_DATA, ".npy header is not as NumPy writes it, near byte %zu",
                       (size_t)(x.p - (const char *)p));
    bool overflow = false;
    for (int i = 0; i < h->n_dims; i++)
        overflow |= __builtin_mul_overflow(h->count, h->dims[i], &h->count);
    uint64_t bytes;
    overflow |= __builtin_mul_overflow(h->count, (uint64_t)h->width, &bytes);
    if (overflow || (h->type != NPY_OTHER && bytes != size - h->start))
        return err_set(e, ERR_DATA, "%llu bytes of values where its shape means %s%llu",
                       (unsigned long long)(size - h->start), overflow ? "more than " : "",
                       overflow ? (unsigned long long)UINT64_MAX : (unsigned long long)bytes);
    return 0;
}

int npy_format(struct buf *b, const char *descr, const uint64_t *dims, int n_dims, struct err *e)
{
    struct buf dict = {0};
    int rc = buf_printf(&dict, e, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int i = 0; i < n_dims && rc == 0; i++)
        rc = buf_printf(&dict, e, "%s%llu%s", i ? ", " : "", (unsigned long long)dims[i],
                        n_dims == 1 ? "," : "");
    if (rc == 0)
        rc = buf_puts(&dict, "), }", e);
    if (rc == 0) {
        size_t pad = 63 - (10 + dict.len) % 64;
        size_t n = dict.len + pad + 1;
        unsigned char head[10] = "\x93NUMPY\x01";
        put_le16(head + 8, (uint16_t)n);
        rc = buf_add(b, head, sizeof head, e) || buf_add(b, dict.p, dict.len, e) ||
                     buf_printf(b, e, "%*s\n", (int)pad, "")
                 ? -1
                 : 0;
    }
    buf_release(&dict);
    return rc;
}

bool npy_is_float(enum npy_type t)
{
    return t == NPY_F2 || t == NPY_F4 || t == NPY_F8;
}

static int64_t integer_at(enum npy_type t, const unsigned char *p, size_t i)
{
    uint64_t v;
    switch (t) {
    case NPY_I1:
        return (int8_t)p[i];
    case NPY_I2:
        return (int16_t)get_le16(p + 2 * i);
    case NPY_U2:
        return get_le16(p + 2 * i);
    case NPY_I4:
        return (int32_t)get_le32(p + 4 * i);
    case NPY_U4:
        return get_le32(p + 4 * i);
    case NPY_I8:
        return (int64_t)get_le64(p + 8 * i);
    case NPY_U8:
        v = get_le64(p + 8 * i);
        return v > INT64_MAX ? INT64_MAX : (int64_t)v;
    default:
        return p[i];
    }
}

static int integers(enum npy_type t, const unsigned char *p, size_t n, int32_t *to, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        int64_t v = integer_at(t, p, i);
        if (v < INT32_MIN || v > INT32_MAX)
            return err_set(e, ERR_DATA, "value %lld does not fit 32 bits", (long long)v);
        to[i] = (int32_t)v;
    }
    return 0;
}

int npy_convert(enum npy_type t, const unsigned char *p, size_t n, void *to, struct err *e)
{
    float *f = to;
    if (!npy_is_float(t))
        return integers(t, p, n, to, e);
    for (size_t i = 0; i < n && t == NPY_F8; i++) {
        uint64_t bits = get_le64(p + 8 * i);
        double d;
        memcpy(&d, &bits, sizeof d);
        f[i] = (float)d;
    }
    for (size_t i = 0; i < n && t == NPY_F4; i++) {
        uint32_t bits = get_le32(p + 4 * i);
        memcpy(&f[i], &bits, sizeof bits);
    }
    uint16_t half[256]; /* aligned, which p need not be */
    for (size_t i = 0; i < n && t == NPY_F2; i += sizeof half / sizeof *half) {
        size_t k = n - i < sizeof half / sizeof *half ? n - i : sizeof half / sizeof *half;
        for (size_t j = 0; j < k; j++)
            half[j] = get_le16(p + 2 * (i + j));
        half_to_float(f + i, half, k);
    }
    return 0;
}
