#include "act/npz.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/zip.h"

struct member {
    struct npz_array array;
    size_t entry; /* in the archive */
    bool stored;  /* its bytes lie in the map, at `offset` */
    bool checked; /* their CRC was compared */
    uint64_t offset;
    /* If compressed, and read up to value `at` but not to its end: */
    struct zip_entry *open;
    uint64_t at;
};

struct npz {
    char *path;
    struct io_map map;
    struct zip_file *zip;
    struct member *member;
    size_t n, cap;
    unsigned char chunk[1 << 16];
};

static int read_header(struct npz *z, struct member *m, struct err *e)
{
    unsigned char head[NPY_HEADER_MAX];
    uint64_t size = zip_file_size(z->zip, m->entry);
    size_t n = size < sizeof head ? (size_t)size : sizeof head;
    int where = zip_file_locate(z->zip, m->entry, &m->offset, e);
    if (where < 0)
        return -1;
    m->stored = where == 0;
    struct zip_entry *en = zip_entry_open(z->zip, m->entry, e);
    int rc = en ? zip_entry_read(en, head, n, e) : -1;
    zip_entry_close(en);
    if (rc)
        return -1;
    if (npy_parse(&m->array.npy, head, n, size, e))
        return err_prefix(e, "%s: %s", z->path, m->array.name);
    return 0;
}

/* Entry i of the archive becomes a member if it is an .npy. */
static int add_member(struct npz *z, size_t i, struct err *e)
{
    const char *name = zip_file_name(z->zip, i);
    size_t n = name ? strlen(name) : 0;
    if (n < 5 || strcmp(name + n - 4, ".npy") != 0)
        return 0;
    if (mem_grow(&z->member, &z->cap, z->n + 1, sizeof *z->member, e))
        return -1;
    struct member *m = &z->member[z->n];
    *m = (struct member){.entry = i, .array.name = mem_strndup(name, n - 4, e)};
    if (!m->array.name)
        return -1;
    z->n++;
    return read_header(z, m, e);
}

struct npz *npz_open(const char *path, struct err *e)
{
    struct npz *z = mem_calloc(1, sizeof *z, e);
    if (!z)
        return NULL;
    z->path = mem_strdup(path, e);
    if (!z->path || io_map_open(&z->map, path, e) || !(z->zip = zip_file_open(&z->map, path, e)))
        goto fail;
    size_t n = zip_file_count(z->zip);
    for (size_t i = 0; i < n; i++)
        if (add_member(z, i, e))
            goto fail;
    return z;
fail:
    npz_close(z);
    return NULL;
}

void npz_close(struct npz *z)
{
    if (!z)
        return;
    for (size_t i = 0; i < z->n; i++) {
        zip_entry_close(z->member[i].open);
        free(z->member[i].array.name);
    }
    free(z->member);
    if (z->zip)
        zip_file_close(z->zip);
    io_map_close(&z->map);
    free(z->path);
    free(z);
}

const char *npz_path(const struct npz *z)
{
    return z->path;
}

size_t npz_count(const struct npz *z)
{
    return z->n;
}

const struct npz_array *npz_array(const struct npz *z, size_t i)
{
    return &z->member[i].array;
}

int64_t npz_find(const struct npz *z, const char *name)
{
    for (size_t i = 0; i < z->n; i++)
        if (strcmp(z->member[i].array.name, name) == 0)
            return (int64_t)i;
    return -1;
}

int npz_check(const struct npz *z, size_t i, struct err *e)
{
    const struct npz_array *a = &z->member[i].array;
    if (a->npy.type == NPY_OTHER)
        return err_set(e, ERR_DATA,
                       "%s: %s: dtype '%s' cannot be read (%s): little-endian floats and integers "
                       "can",
                       z->path, a->name, a->npy.descr,
                       a->npy.descr[0] == '>' ? "big-endian" : "not a number");
    if (a->npy.fortran && a->npy.n_dims > 1)
        return err_set(e, ERR_DATA,
                       "%s: %s: is in Fortran order; save numpy.ascontiguousarray() of it", z->path,
                       a->name);
    return 0;
}

/* Reads a stored member through once, which compares its CRC. */
static int check_crc(struct npz *z, struct member *m, struct err *e)
{
    struct zip_entry *en = m->checked ? NULL : zip_entry_open(z->zip, m->entry, e);
    if (!en)
        return m->checked ? 0 : -1;
    int rc = zip_entry_read(en, NULL, zip_file_size(z->zip, m->entry), e);
    zip_entry_close(en);
    m->checked = rc == 0;
    return rc;
}

/* Makes the member's open entry stand at value `first`. */
static int seek_to(struct npz *z, struct member *m, uint64_t first, struct err *e)
{
    const struct npy_header *h = &m->array.npy;
    if (m->open && m->at > first) {
        zip_entry_close(m->open);
        m->open = NULL;
    }
    if (!m->open) {
        m->at = 0;
        m->open = zip_entry_open(z->zip, m->entry, e);
        if (!m->open || zip_entry_read(m->open, NULL, h->start, e))
            return -1;
    }
    if (zip_entry_read(m->open, NULL, (first - m->at) * h->width, e))
        return -1;
    m->at = first;
    return 0;
}

static int inflate_values(struct npz *z, struct member *m, uint64_t first, size_t n, void *values,
                          struct err *e)
{
    const struct npy_header *h = &m->array.npy;
    int rc = seek_to(z, m, first, e);
    for (size_t done = 0; rc == 0 && done < n;) {
        size_t k = sizeof z->chunk / h->width;
        k = n - done < k ? n - done : k;
        rc = zip_entry_read(m->open, z->chunk, k * h->width, e);
        if (rc == 0 && npy_convert(h->type, z->chunk, k, (float *)values + done, e))
            rc = err_prefix(e, "%s: %s", z->path, m->array.name);
        done += k;
        m->at += k;
    }
    if (rc || m->at == h->count) {
        zip_entry_close(m->open);
        m->open = NULL;
    }
    return rc;
}

int npz_values(struct npz *z, size_t i, uint64_t first, size_t n, void *values, struct err *e)
{
    struct member *m = &z->member[i];
    const struct npy_header *h = &m->array.npy;
    if (npz_check(z, i, e))
        return -1;
    if (first > h->count || n > h->count - first)
        return err_set(e, ERR_USAGE, "%s: %s: more values asked for than the %llu there are",
                       z->path, m->array.name, (unsigned long long)h->count);
    if (!m->stored)
        return inflate_values(z, m, first, n, values, e);
    if (check_crc(z, m, e))
        return -1;
    const unsigned char *p = z->map.base + m->offset + h->start + first * h->width;
    if (npy_convert(h->type, p, n, values, e))
        return err_prefix(e, "%s: %s", z->path, m->array.name);
    return 0;
}
