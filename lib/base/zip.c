#include "base/zip.h"

#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "base/mem.h"

/* libzip reads through this source, so that we see where in the map each read begins: its API has
   no other way to tell where the bytes of an entry lie. */
struct zip_file {
    const unsigned char *base;
    uint64_t len, pos;
    uint64_t last_read; /* offset of the latest read */
    zip_error_t error;
    zip_t *zip;
    char *name;
};

static zip_int64_t source_stat(const struct zip_file *z, void *data)
{
    zip_stat_t *st = data;
    zip_stat_init(st);
    st->size = z->len;
    st->valid = ZIP_STAT_SIZE;
    return sizeof *st;
}

static zip_int64_t source_read(struct zip_file *z, void *data, uint64_t n)
{
    if (n > z->len - z->pos)
        n = z->len - z->pos;
    memcpy(data, z->base + z->pos, n);
    z->last_read = z->pos;
    z->pos += n;
    return (zip_int64_t)n;
}

static zip_int64_t source_call(void *user, void *data, zip_uint64_t n, zip_source_cmd_t cmd)
{
    struct zip_file *z = user;
    zip_int64_t to;
    switch (cmd) {
    case ZIP_SOURCE_OPEN:
        z->pos = 0;
        return 0;
    case ZIP_SOURCE_READ:
        return source_read(z, data, n);
    case ZIP_SOURCE_SEEK:
        to = zip_source_seek_compute_offset(z->pos, z->len, data, n, &z->error);
        if (to < 0 || (uint64_t)to > z->len)
            return -1;
        z->pos = (uint64_t)to;
        return 0;
    case ZIP_SOURCE_TELL:
        return (zip_int64_t)z->pos;
    case ZIP_SOURCE_STAT:
        return source_stat(z, data);
    case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&z->error, data, n);
    case ZIP_SOURCE_SUPPORTS:
        return ZIP_SOURCE_SUPPORTS_SEEKABLE;
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_FREE:
        return 0;
    default:
        zip_error_set(&z->error, ZIP_ER_OPNOTSUPP, 0);
        return -1;
    }
}

struct zip_file *zip_file_open(const struct io_map *m, const char *name, struct err *e)
{
    zip_error_t why;
    if (m->len == 0) { /* libzip takes no bytes for an empty archive */
        err_set(e, ERR_DATA, "%s: not a zip archive: the file is empty", name);
        return NULL;
    }
    struct zip_file *z = mem_calloc(1, sizeof *z, e);
    if (!z)
        return NULL;
    zip_error_init(&why);
    zip_error_init(&z->error);
    z->base = m->base;
    z->len = m->len;
    z->name = mem_strdup(name, e);
    if (!z->name) {
        zip_file_close(z);
        return NULL;
    }
    zip_source_t *src = zip_source_function_create(source_call, z, &why);
    z->zip = src ? zip_open_from_source(src, ZIP_RDONLY, &why) : NULL;
    if (!z->zip) {
        err_set(e, ERR_DATA, "%s: not a readable zip archive (damaged or cut short?): %s", name,
                zip_error_strerror(&why));
        if (src)
            zip_source_free(src);
        zip_file_close(z);
        z = NULL;
    }
    zip_error_fini(&why);
    return z;
}

void zip_file_close(struct zip_file *z)
{
    if (!z)
        return;
    if (z->zip)
        zip_discard(z->zip);
    zip_error_fini(&z->error);
    free(z->name);
    free(z);
}

size_t zip_file_count(const struct zip_file *z)
{
    zip_int64_t n = zip_get_num_entries(z->zip, 0);
    return n < 0 ? 0 : (size_t)n;
}

const char *zip_file_name(const struct zip_file *z, size_t i)
{
    return zip_get_name(z->zip, i, 0);
}

int64_t zip_file_find(const struct zip_file *z, const char *name)
{
    return zip_name_locate(z->zip, name, 0);
}

uint64_t zip_file_size(const struct zip_file *z, size_t i)
{
    zip_stat_t st;
    if (zip_stat_index(z->zip, i, 0, &st) != 0 || !(st.valid & ZIP_STAT_SIZE))
        return 0;
    return st.size;
}

/* "archive: entry: reason" in *e; returns -1. */
static int entry_error(struct zip_file *z, size_t i, const char *why, struct err *e)
{
    const char *entry = zip_file_name(z, i);
    return err_set(e, ERR_DATA, "%s: %s: %s", z->name, entry ? entry : "(no such entry)", why);
}

static int entry_stat(struct zip_file *z, size_t i, zip_stat_t *st, struct err *e)
{
    const zip_uint64_t need = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if (zip_stat_index(z->zip, i, 0, st) != 0)
        return entry_error(z, i, zip_strerror(z->zip), e);
    if ((st->valid & need) != need)
        return entry_error(z, i, "size unknown", e);
    if ((st->valid & ZIP_STAT_ENCRYPTION_METHOD) && st->encryption_method != ZIP_EM_NONE)
        return entry_error(z, i, "encrypted", e);
    if (st->comp_method == ZIP_CM_STORE && st->comp_size != st->size)
        return entry_error(z, i, "a stored entry whose two sizes differ", e);
    return 0;
}

int zip_file_read(struct zip_file *z, size_t i, size_t max, struct buf *b, struct err *e)
{
    zip_stat_t st;
    b->len = 0;
    if (entry_stat(z, i, &st, e))
        return -1;
    if (st.size > max) {
        err_set(e, ERR_DATA, "larger than makes sense here: %llu bytes, at most %zu",
                (unsigned long long)st.size, max);
        return err_prefix(e, "%s: %s", z->name, zip_file_name(z, i));
    }
    zip_file_t *f = zip_fopen_index(z->zip, i, 0);
    if (!f)
        return entry_error(z, i, zip_strerror(z->zip), e);
    /* The stated size is not believed: memory grows with what really comes, and never past it. The
       read behind the last byte makes libzip compare the CRC. */
    int rc = -1;
    for (;;) {
        size_t left = (size_t)st.size - b->len;
        size_t want = left < 1u << 20 ? left + 1 : 1u << 20;
        if (mem_grow(&b->p, &b->cap, b->len + want + 1, 1, e))
            break;
        zip_int64_t got = zip_fread(f, b->p + b->len, want);
        if (got < 0) {
            entry_error(z, i, zip_file_strerror(f), e);
            break;
        }
        b->len += (size_t)got;
        b->p[b->len] = '\0';
        if (b->len > st.size || (got == 0 && b->len < st.size)) {
            entry_error(z, i, "its size is not what the directory says", e);
            break;
        }
        if (got == 0) {
            rc = 0;
            break;
        }
    }
    zip_fclose(f);
    return rc;
}

int zip_file_locate(struct zip_file *z, size_t i, uint64_t *offset, struct err *e)
{
    zip_stat_t st;
    char byte;
    *offset = 0;
    if (entry_stat(z, i, &st, e))
        return -1;
    if (st.comp_method != ZIP_CM_STORE)
        return 1;
    if (st.size == 0)
        return 0;
    zip_file_t *f = zip_fopen_index(z->zip, i, ZIP_FL_COMPRESSED);
    if (!f)
        return entry_error(z, i, zip_strerror(z->zip), e);
    zip_int64_t got = zip_fread(f, &byte, 1);
    int rc = got == 1 ? 0 : entry_error(z, i, "its bytes cannot be read", e);
    zip_fclose(f);
    *offset = z->last_read;
    if (rc == 0 && (*offset > z->len || st.size > z->len - *offset))
        rc = entry_error(z, i, "its bytes lie outside the file", e);
    return rc;
}

struct zip_entry {
    struct zip_file *z;
    size_t i;
    uint64_t left; /* bytes that the directory says are still to come */
    zip_file_t *f;
};

struct zip_entry *zip_entry_open(struct zip_file *z, size_t i, struct err *e)
{
    zip_stat_t st;
    struct zip_entry *en = entry_stat(z, i, &st, e) ? NULL : mem_calloc(1, sizeof *en, e);
    if (!en)
        return NULL;
    *en = (struct zip_entry){.z = z, .i = i, .left = st.size, .f = zip_fopen_index(z->zip, i, 0)};
    if (!en->f) {
        entry_error(z, i, zip_strerror(z->zip), e);
        zip_entry_close(en);
        return NULL;
    }
    return en;
}

int zip_entry_read(struct zip_entry *en, void *p, uint64_t n, struct err *e)
{
    char waste[16384], *to = p;
    if (n > en->left)
        return entry_error(en->z, en->i, "shorter than it should be", e);
    while (n > 0) {
        uint64_t want = to || n < sizeof waste ? n : sizeof waste;
        zip_int64_t got = zip_fread(en->f, to ? to : waste, want);
        if (got < 0)
            return entry_error(en->z, en->i, zip_file_strerror(en->f), e);
        if (got == 0)
            return entry_error(en->z, en->i, "its size is not what the directory says", e);
        to = to ? to + got : NULL;
        n -= (uint64_t)got;
        en->left -= (uint64_t)got;
        /* As in zip_file_read: the read behind the last byte makes libzip compare the CRC. */
        got = en->left == 0 ? zip_fread(en->f, waste, 1) : 0;
        if (got < 0)
            return entry_error(en->z, en->i, zip_file_strerror(en->f), e);
        if (got > 0)
            return entry_error(en->z, en->i, "its size is not what the directory says", e);
    }
    return 0;
}

void zip_entry_close(struct zip_entry *en)
{
    if (!en)
        return;
    if (en->f)
        zip_fclose(en->f);
    free(en);
}
