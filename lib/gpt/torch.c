#include "gpt/torch.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/zip.h"

/* GPT-2 XL's with its optimizer has less than 1 MB. */
#define MAX_PICKLE ((size_t)64 << 20)

struct torch_archive {
    struct io_map map;
    const char *path;
    struct zip_file *zip;
    struct buf prefix; /* of all entries: "ckpt/" */
    struct buf bytes;  /* of data.pkl */
    struct pickle *pickle;
};

bool torch_is(const unsigned char *p, size_t n)
{
    return n >= 4 && memcmp(p, "PK\3\4", 4) == 0;
}

/* Entries lie in one folder, named after the file at the time of saving. */
static int64_t find_pickle(struct torch_archive *a, struct err *e)
{
    for (size_t i = 0; i < zip_file_count(a->zip); i++) {
        const char *name = zip_file_name(a->zip, i);
        const char *slash = name ? strchr(name, '/') : NULL;
        if (slash && strcmp(slash, "/data.pkl") == 0)
            return buf_add(&a->prefix, name, (size_t)(slash + 1 - name), e) ? -1 : (int64_t)i;
    }
    err_set(e, ERR_DATA, "%s: a zip archive without data.pkl: not one of torch.save's", a->path);
    return -1;
}

/* The index of the entry prefix + folder + key[0..n), or -1. */
static int64_t find_entry(struct torch_archive *a, const char *folder, const char *key, size_t n,
                          struct err *e)
{
    struct buf name = {0};
    int64_t i = -1;
    if (buf_add(&name, a->prefix.p, a->prefix.len, e) == 0 && buf_puts(&name, folder, e) == 0 &&
        buf_add(&name, key, n, e) == 0) {
        i = zip_file_find(a->zip, name.p);
        if (i < 0)
            err_set(e, ERR_DATA, "entry %.200s is missing", name.p);
    }
    buf_release(&name);
    return i;
}

/* PyTorch 2.1 and later say in which order the bytes of a number come. */
static int check_byte_order(struct torch_archive *a, struct err *e)
{
    struct err none;
    int64_t i = find_entry(a, "", "byteorder", 9, &none);
    if (i < 0)
        return 0;
    struct buf b = {0};
    int rc = zip_file_read(a->zip, (size_t)i, 16, &b, e);
    if (rc == 0 && (b.len != 6 || memcmp(b.p, "little", 6) != 0))
        rc = err_set(e, ERR_DATA, "%s: its byte order is not little-endian", a->path);
    buf_release(&b);
    return rc;
}

struct torch_archive *torch_open(const struct io_map *m, const char *path, struct err *e)
{
    struct torch_archive *a = mem_calloc(1, sizeof *a, e);
    if (!a)
        return NULL;
    a->map = *m;
    a->path = path;
    a->zip = zip_file_open(m, path, e);
    int64_t i = a->zip ? find_pickle(a, e) : -1;
    if (i < 0 || zip_file_read(a->zip, (size_t)i, MAX_PICKLE, &a->bytes, e) ||
        check_byte_order(a, e))
        goto fail;
    a->pickle = pickle_parse((const unsigned char *)a->bytes.p, a->bytes.len, "data.pkl", e);
    if (a->pickle)
        return a;
    err_prefix(e, "%s", path);
fail:
    torch_close(a);
    return NULL;
}

void torch_close(struct torch_archive *a)
{
    if (!a)
        return;
    pickle_free(a->pickle);
    zip_file_close(a->zip);
    buf_release(&a->prefix);
    buf_release(&a->bytes);
    free(a);
}

const struct pickle_value *torch_root(const struct torch_archive *a)
{
    return pickle_root(a->pickle);
}

static const struct pickle_value *arg(const struct pickle_value *v, size_t i, enum pickle_kind kind)
{
    const struct pickle_value *x = v && v->kind == PICKLE_TUPLE && i < v->n ? v->item[i] : NULL;
    return x && x->kind == kind ? x : NULL;
}

/* The storage that a persistent id ('storage', class, key, location, elements) names: its first
   byte, dtype and number of elements. */
static int find_storage(struct torch_archive *a, const struct pickle_value *persistent,
                        struct tensor *t, uint64_t *count, struct err *e)
{
    const struct pickle_value *id = persistent->item[0];
    const struct pickle_value *kind = arg(id, 0, PICKLE_STR), *class = arg(id, 1, PICKLE_GLOBAL);
    const struct pickle_value *key = arg(id, 2, PICKLE_STR), *n = arg(id, 4, PICKLE_INT);
    const char *dtype = class ? pickle_storage_dtype(class->i) : NULL;
    if (!pickle_is_str(kind, "storage") || !dtype || !key || !n || n->i < 0)
        return err_set(e, ERR_DATA, "its storage is described in a way that torch.save does not");
    size_t item = tensor_dtype_size(dtype, &t->dtype);
    int64_t i = find_entry(a, "data/", key->s, key->n, e);
    if (i < 0)
        return -1;
    uint64_t bytes, at;
    if (__builtin_mul_overflow((uint64_t)n->i, item, &bytes) ||
        bytes != zip_file_size(a->zip, (size_t)i))
        return err_set(e, ERR_DATA, "its storage has %llu bytes, not the %lld elements it should",
                       (unsigned long long)zip_file_size(a->zip, (size_t)i), (long long)n->i);
    int rc = zip_file_locate(a->zip, (size_t)i, &at, e);
    if (rc)
        return rc < 0 ? -1
                      : err_set(e, ERR_DATA, "its storage is compressed: torch.save never does so");
    t->bytes = a->map.base + at;
    *count = (uint64_t)n->i;
    return 0;
}

/* _rebuild_tensor_v2(storage, offset, size, stride, …), all in elements. */
static int rebuild(struct torch_archive *a, const struct pickle_value *args, struct tensor *t,
                   struct err *e)
{
    const struct pickle_value *storage = arg(args, 0, PICKLE_PERSISTENT);
    const struct pickle_value *offset = arg(args, 1, PICKLE_INT);
    const struct pickle_value *size = arg(args, 2, PICKLE_TUPLE);
    const struct pickle_value *stride = arg(args, 3, PICKLE_TUPLE);
    uint64_t have = 0, count;
    if (!storage || !offset || offset->i < 0 || !size || !stride || size->n != stride->n)
        return err_set(e, ERR_DATA, "it is described in a way that torch.save does not");
    if (size->n > TENSOR_MAX_DIMS)
        return err_set(e, ERR_DATA, "it has more than 8 dimensions");
    t->n_dims = (int)size->n;
    for (size_t i = 0; i < size->n; i++) {
        const struct pickle_value *s = arg(size, i, PICKLE_INT), *d = arg(stride, i, PICKLE_INT);
        if (!s || s->i < 0 || !d || d->i < 0)
            return err_set(e, ERR_DATA, "its shape or strides hold something that is no size");
        t->size[i] = (uint64_t)s->i;
    }
    if (tensor_set_strides(t, &count, e) || find_storage(a, storage, t, &have, e))
        return -1;
    uint64_t last = (uint64_t)offset->i; /* the farthest element */
    for (size_t i = 0; i < size->n; i++) {
        uint64_t reach;
        t->stride[i] = (uint64_t)stride->item[i]->i;
        if (count && (__builtin_mul_overflow(t->size[i] - 1, t->stride[i], &reach) ||
                      __builtin_add_overflow(last, reach, &last)))
            last = UINT64_MAX;
    }
    if (count ? last >= have : last > have)
        return err_set(e, ERR_DATA, "it reaches past the end of its storage of %llu elements",
                       (unsigned long long)have);
    const char *dtype;
    t->bytes += (uint64_t)offset->i * tensor_dtype_size(t->dtype, &dtype);
    return 0;
}

static const struct pickle_value *call_of(const struct pickle_value *v, enum pickle_global g)
{
    return v && v->kind == PICKLE_CALL && v->item[0]->i == (int64_t)g ? v->item[1] : NULL;
}

int torch_tensors(struct torch_archive *a, const struct pickle_value *dict,
                  bool (*want)(const char *name), struct tensor_set *set, struct err *e)
{
    struct buf name = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i + 1 < dict->n; i += 2) {
        const struct pickle_value *key = dict->item[i], *v = dict->item[i + 1];
        const struct pickle_value *parameter = call_of(v, PICKLE_REBUILD_PARAMETER);
        if (parameter)
            v = parameter->n ? parameter->item[0] : NULL;
        const struct pickle_value *args = call_of(v, PICKLE_REBUILD_TENSOR);
        if (!args || key->kind != PICKLE_STR)
            continue;
        name.len = 0;
        rc = buf_add(&name, key->s, key->n, e);
        if (rc || !want(name.p))
            continue;
        struct tensor t = {.file = a->path};
        rc = rebuild(a, args, &t, e);
        if (rc)
            err_prefix(e, "%s: tensor %.200s", a->path, name.p);
        else
            rc = tensor_set_add(set, &t, name.p, e);
    }
    buf_release(&name);
    return rc;
}
