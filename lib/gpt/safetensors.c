#include "gpt/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"

/* The reference implementation's own limit. */
#define MAX_HEADER 100000000u

struct span {
    uint64_t begin, end;
    const char *name;
};

struct reading {
    const char *path;
    const unsigned char *data; /* what offsets count from */
    uint64_t n_data;
    struct tensor_set *set;
    struct span *span;
    size_t n_spans, cap_spans;
    struct err *e;
};

bool safetensors_is(const unsigned char *p, size_t n)
{
    return n > 8 && get_le64(p) <= MAX_HEADER && p[8] == '{';
}

static int bad(const struct reading *r, const char *name, const char *why)
{
    return err_set(r->e, ERR_DATA, "%s: tensor %.200s: %s", r->path, name, why);
}

static int read_shape(const struct reading *r, const char *name, const struct json *shape,
                      struct tensor *t)
{
    size_t n = json_len(shape);
    if (!json_is_array(shape))
        return bad(r, name, "it has no shape");
    if (n > TENSOR_MAX_DIMS)
        return bad(r, name, "it has more than 8 dimensions");
    t->n_dims = (int)n;
    for (size_t i = 0; i < n; i++) {
        int64_t size = json_int(json_at(shape, i), -1);
        if (size < 0)
            return bad(r, name, "its shape holds something that is no size");
        t->size[i] = (uint64_t)size;
    }
    return 0;
}

static int read_tensor(void *user, const char *name, const struct json *v)
{
    struct reading *r = user;
    struct tensor t = {.file = r->path};
    uint64_t count;
    if (strcmp(name, "__metadata__") == 0)
        return 0;
    const char *dtype = json_str(json_get(v, "dtype"), NULL);
    size_t item = dtype ? tensor_dtype_size(dtype, &t.dtype) : 0;
    if (!dtype)
        return bad(r, name, "it has no dtype");
    if (item == 0)
        return err_set(r->e, ERR_DATA, "%s: tensor %.200s: unknown dtype \"%.20s\"", r->path, name,
                       dtype);
    if (read_shape(r, name, json_get(v, "shape"), &t))
        return -1;
    if (tensor_set_strides(&t, &count, r->e))
        return err_prefix(r->e, "%s: tensor %.200s", r->path, name);
    const struct json *at = json_get(v, "data_offsets");
    int64_t begin = json_int(json_at(at, 0), -1), end = json_int(json_at(at, 1), -1);
    if (json_len(at) != 2 || begin < 0 || end < begin)
        return bad(r, name, "its data_offsets are no two offsets in order");
    if ((uint64_t)(end - begin) != count * item)
        return err_set(r->e, ERR_DATA,
                       "%s: tensor %.200s: %lld bytes, but its shape and dtype need %llu", r->path,
                       name, (long long)(end - begin), (unsigned long long)(count * item));
    if ((uint64_t)end > r->n_data)
        return err_set(r->e, ERR_DATA,
                       "%s: tensor %.200s lies outside the file: it ends at byte %lld of the data, "
                       "of which there are %llu (cut short?)",
                       r->path, name, (long long)end, (unsigned long long)r->n_data);
    t.bytes = r->data + begin;
    if (mem_grow(&r->span, &r->cap_spans, r->n_spans + 1, sizeof *r->span, r->e))
        return -1;
    r->span[r->n_spans++] = (struct span){(uint64_t)begin, (uint64_t)end, name};
    return tensor_set_add(r->set, &t, name, r->e);
}

static int by_begin(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* Tensors must tile the data: no overlap, no gap, nothing behind the last. */
static int check_tiling(const struct reading *r)
{
    uint64_t at = 0;
    if (r->n_spans)
        qsort(r->span, r->n_spans, sizeof *r->span, by_begin);
    for (size_t i = 0; i < r->n_spans; i++) {
        const struct span *s = &r->span[i];
        if (s->begin < at)
            return err_set(r->e, ERR_DATA, "%s: tensor %.200s overlaps %.200s", r->path, s->name,
                           r->span[i - 1].name);
        if (s->begin > at)
            return err_set(r->e, ERR_DATA,
                           "%s: tensor %.200s: bytes %llu to %llu before it belong to no tensor",
                           r->path, s->name, (unsigned long long)at, (unsigned long long)s->begin);
        at = s->end;
    }
    if (at < r->n_data)
        return err_set(r->e, ERR_DATA, "%s: %llu bytes after the last tensor", r->path,
                       (unsigned long long)(r->n_data - at));
    return 0;
}

struct json *safetensors_read(const struct io_map *m, const char *path, struct tensor_set *set,
                              struct err *e)
{
    if (m->len < 8) {
        err_set(e, ERR_DATA, "%s: not a safetensors file: %zu bytes", path, m->len);
        return NULL;
    }
    uint64_t n = get_le64(m->base);
    if (n > MAX_HEADER || n > m->len - 8) {
        err_set(e, ERR_DATA,
                "%s: its header should have %llu bytes, but %zu are left in the file "
                "(cut short, or not a safetensors file)",
                path, (unsigned long long)n, m->len - 8);
        return NULL;
    }
    struct json *header = json_parse((const char *)m->base + 8, n, e);
    if (!header) {
        err_prefix(e, "%s: header", path);
        return NULL;
    }
    struct reading r = {
        .path = path, .data = m->base + 8 + n, .n_data = m->len - 8 - n, .set = set, .e = e};
    int rc = 0;
    if (!json_is_object(header))
        rc = err_set(e, ERR_DATA, "%s: header: not a JSON object", path);
    if (rc || json_each(header, read_tensor, &r) || check_tiling(&r)) {
        json_free(header);
        header = NULL;
    }
    free(r.span);
    return header;
}
