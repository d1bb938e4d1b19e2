#include "gpt/tensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "num/half.h"

static const struct {
    const char *name;
    size_t size;
} DTYPES[] = {
    {"F32", 4},  {"F16", 2}, {"BF16", 2},    {"F64", 8},     {"I64", 8}, {"I32", 4},
    {"I16", 2},  {"I8", 1},  {"U64", 8},     {"U32", 4},     {"U16", 2}, {"U8", 1},
    {"BOOL", 1}, {"C64", 8}, {"F8_E4M3", 1}, {"F8_E5M2", 1},
};

size_t tensor_dtype_size(const char *name, const char **dtype)
{
    for (size_t i = 0; i < sizeof DTYPES / sizeof *DTYPES; i++) {
        if (strcmp(name, DTYPES[i].name) == 0) {
            *dtype = DTYPES[i].name;
            return DTYPES[i].size;
        }
    }
    return 0;
}

int tensor_set_strides(struct tensor *t, uint64_t *count, struct err *e)
{
    uint64_t n = 1;
    for (int i = t->n_dims - 1; i >= 0; i--) {
        t->stride[i] = n;
        /* 2^56 elements: their bytes still fit 64 bits, whatever the dtype. */
        if (__builtin_mul_overflow(n, t->size[i], &n) || n > (uint64_t)1 << 56)
            return err_set(e, ERR_DATA, "its shape is larger than any file");
    }
    *count = n;
    return 0;
}

int tensor_set_add(struct tensor_set *s, const struct tensor *t, const char *name, struct err *e)
{
    char *copy;
    if (mem_grow(&s->t, &s->cap, s->n + 1, sizeof *s->t, e) || !(copy = mem_strdup(name, e)))
        return -1;
    s->t[s->n] = *t;
    s->t[s->n++].name = copy;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

int tensor_set_seal(struct tensor_set *s, struct err *e)
{
    if (s->n)
        qsort(s->t, s->n, sizeof *s->t, by_name);
    for (size_t i = 1; i < s->n; i++)
        if (strcmp(s->t[i - 1].name, s->t[i].name) == 0)
            return err_set(e, ERR_DATA, "%s: tensor %.200s: there are two of that name",
                           s->t[i].file, s->t[i].name);
    return 0;
}

const struct tensor *tensor_set_find(const struct tensor_set *s, const char *name)
{
    const struct tensor key = {.name = (char *)(uintptr_t)name};
    return s->n ? bsearch(&key, s->t, s->n, sizeof *s->t, by_name) : NULL;
}

void tensor_set_release(struct tensor_set *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->t[i].name);
    free(s->t);
    *s = (struct tensor_set){0};
}

/* Appends "[2, 3]". */
static int shape_text(struct buf *b, const uint64_t *size, int n_dims, struct err *e)
{
    if (buf_puts(b, "[", e))
        return -1;
    for (int i = 0; i < n_dims; i++)
        if (buf_printf(b, e, "%s%llu", i ? ", " : "", (unsigned long long)size[i]))
            return -1;
    return buf_puts(b, "]", e);
}

static int wrong_shape(const struct tensor *t, int n_dims, const uint64_t *want, struct err *e)
{
    struct buf b = {0};
    if (shape_text(&b, t->size, t->n_dims, e) || buf_puts(&b, ", not ", e) ||
        shape_text(&b, want, n_dims, e)) {
        buf_release(&b);
        return -1;
    }
    err_set(e, ERR_DATA, "%s: tensor %.200s: its shape is %s", t->file, t->name, b.p);
    buf_release(&b);
    return -1;
}

/* n values of dtype that follow each other, to float. They need not be aligned. */
static void convert(float *to, const unsigned char *from, size_t n, const char *dtype)
{
    uint16_t half[1024];
    if (strcmp(dtype, "F32") == 0) {
        memcpy(to, from, n * sizeof *to);
        return;
    }
    for (size_t i = 0; i < n; i += sizeof half / sizeof *half) {
        size_t k = n - i < sizeof half / sizeof *half ? n - i : sizeof half / sizeof *half;
        memcpy(half, from + i * sizeof *half, k * sizeof *half);
        if (strcmp(dtype, "F16") == 0)
            half_to_float(to + i, half, k);
        else
            bfloat_to_float(to + i, half, k);
    }
}

const float *tensor_floats(const struct tensor *t, int n_dims, const uint64_t *want,
                           struct gpt_store *s, struct err *e)
{
    bool same = t->n_dims == n_dims;
    for (int i = 0; same && i < n_dims; i++)
        same = t->size[i] == want[i];
    if (!same) {
        wrong_shape(t, n_dims, want, e);
        return NULL;
    }
    if (strcmp(t->dtype, "F32") != 0 && strcmp(t->dtype, "F16") != 0 &&
        strcmp(t->dtype, "BF16") != 0) {
        err_set(e, ERR_DATA, "%s: tensor %.200s: dtype %s: only F32, F16 and BF16 are read",
                t->file, t->name, t->dtype);
        return NULL;
    }
    uint64_t rows = n_dims == 2 ? want[0] : 1, cols = want[n_dims - 1];
    uint64_t step = n_dims == 2 ? t->stride[0] : cols, stride = t->stride[n_dims - 1];
    bool dense = (stride == 1 || cols == 1) && (step == cols || rows == 1);
    if (dense && strcmp(t->dtype, "F32") == 0 && (uintptr_t)t->bytes % sizeof(float) == 0)
        return (const float *)(const void *)t->bytes;
    float *copy = store_floats(s, rows * cols, e);
    if (!copy)
        return NULL;
    size_t item = strcmp(t->dtype, "F32") == 0 ? 4 : 2;
    if (dense) {
        convert(copy, t->bytes, rows * cols, t->dtype);
    } else {
        for (uint64_t r = 0; r < rows; r++)
            for (uint64_t c = 0; c < cols; c++)
                convert(copy + r * cols + c, t->bytes + (r * step + c * stride) * item, 1,
                        t->dtype);
    }
    return copy;
}
