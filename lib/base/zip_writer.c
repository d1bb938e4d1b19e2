/* Stored entries are a header and the bytes, so they are written here without libzip, which wants
   to seek and to hold whole entries. The layout is PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.3.
   Each entry's CRC follows its bytes (data descriptor), so a pipe will do. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/mem.h"
#include "base/zip.h"

enum {
    FLAGS = 0x0808,   /* CRC in a data descriptor; names are UTF-8 */
    DATE_1980 = 0x21, /* the earliest there is: the same input gives the same bytes */
    VERSION_PLAIN = 20,
    VERSION_ZIP64 = 45,
    EXTRA_ZIP64 = 1,
};
#define LIMIT_32 0xFFFFFFFFu
#define LIMIT_16 0xFFFFu

struct entry {
    char *name;
    uint64_t size, offset;
    uint32_t crc;
};

struct zip_writer {
    int fd;
    uint64_t pos;  /* bytes written */
    uint64_t left; /* bytes that the open entry still wants */
    bool open;
    struct entry *entry;
    size_t n, cap;
    struct crc_table crc;
};

static void put16(unsigned char **p, uint64_t v)
{
    put_le16(*p, (uint16_t)v);
    *p += 2;
}

static void put32(unsigned char **p, uint64_t v)
{
    put_le32(*p, (uint32_t)v);
    *p += 4;
}

static void put64(unsigned char **p, uint64_t v)
{
    put_le64(*p, v);
    *p += 8;
}

static uint64_t at_most(uint64_t v, uint64_t limit)
{
    return v < limit ? v : limit;
}

static int emit(struct zip_writer *w, const void *p, size_t n, struct err *e)
{
    if (io_write_all(w->fd, p, n, e))
        return -1;
    w->pos += n;
    return 0;
}

struct zip_writer *zip_writer_open(int fd, struct err *e)
{
    struct zip_writer *w = mem_calloc(1, sizeof *w, e);
    if (w) {
        w->fd = fd;
        crc_table_init(&w->crc);
    }
    return w;
}

/* The fields that local and central headers share, from "version needed" to the extra's length. */
static void put_common(unsigned char **p, const struct entry *en, uint32_t crc, size_t n_extra,
                       bool zip64)
{
    put16(p, zip64 ? VERSION_ZIP64 : VERSION_PLAIN);
    put16(p, FLAGS);
    put16(p, 0); /* method: stored */
    put16(p, 0); /* time */
    put16(p, DATE_1980);
    put32(p, crc);
    put32(p, at_most(en->size, LIMIT_32));
    put32(p, at_most(en->size, LIMIT_32));
    put16(p, strlen(en->name));
    put16(p, n_extra);
}

static int finish_entry(struct zip_writer *w, struct err *e)
{
    if (!w->open)
        return 0;
    const struct entry *en = &w->entry[w->n - 1];
    if (w->left)
        return err_set(e, ERR_SYS, "zip: %s: %llu bytes are missing", en->name,
                       (unsigned long long)w->left);
    unsigned char head[24], *p = head;
    put32(&p, 0x08074b50);
    put32(&p, en->crc);
    if (en->size >= LIMIT_32) {
        put64(&p, en->size);
        put64(&p, en->size);
    } else {
        put32(&p, en->size);
        put32(&p, en->size);
    }
    w->open = false;
    return emit(w, head, (size_t)(p - head), e);
}

int zip_writer_begin(struct zip_writer *w, const char *name, uint64_t size, struct err *e)
{
    if (finish_entry(w, e))
        return -1;
    if (strlen(name) > LIMIT_16)
        return err_set(e, ERR_DATA, "zip: a name of %zu bytes is too long", strlen(name));
    if (mem_grow(&w->entry, &w->cap, w->n + 1, sizeof *w->entry, e))
        return -1;
    struct entry *en = &w->entry[w->n];
    *en = (struct entry){.name = mem_strdup(name, e), .size = size, .offset = w->pos};
    if (!en->name)
        return -1;
    w->n++;
    w->open = true;
    w->left = size;

    bool zip64 = size >= LIMIT_32;
    unsigned char head[64], *p = head;
    put32(&p, 0x04034b50);
    put_common(&p, en, 0, zip64 ? 20 : 0, zip64);
    if (emit(w, head, (size_t)(p - head), e) || emit(w, name, strlen(name), e))
        return -1;
    if (!zip64)
        return 0;
    p = head;
    put16(&p, EXTRA_ZIP64);
    put16(&p, 16);
    put64(&p, size);
    put64(&p, size);
    return emit(w, head, (size_t)(p - head), e);
}

int zip_writer_put(struct zip_writer *w, const void *p, size_t n, struct err *e)
{
    if (!w->open || n > w->left)
        return err_set(e, ERR_SYS, "zip: %zu bytes more than the entry has room for", n);
    struct entry *en = &w->entry[w->n - 1];
    en->crc = crc_update(&w->crc, en->crc, p, n);
    w->left -= n;
    return emit(w, p, n, e);
}

static int put_central(struct zip_writer *w, const struct entry *en, struct err *e)
{
    unsigned char head[128], *p = head;
    bool big = en->size >= LIMIT_32, far = en->offset >= LIMIT_32;
    size_t n_data = (big ? 16u : 0u) + (far ? 8u : 0u);
    put32(&p, 0x02014b50);
    put16(&p, VERSION_ZIP64); /* made by */
    put_common(&p, en, en->crc, n_data ? n_data + 4 : 0, big || far);
    put16(&p, 0); /* comment */
    put16(&p, 0); /* disk */
    put16(&p, 0); /* internal attributes */
    put32(&p, 0); /* external attributes */
    put32(&p, at_most(en->offset, LIMIT_32));
    if (emit(w, head, (size_t)(p - head), e) || emit(w, en->name, strlen(en->name), e))
        return -1;
    if (!n_data)
        return 0;
    p = head;
    put16(&p, EXTRA_ZIP64);
    put16(&p, n_data);
    if (big) {
        put64(&p, en->size);
        put64(&p, en->size);
    }
    if (far)
        put64(&p, en->offset);
    return emit(w, head, (size_t)(p - head), e);
}

int zip_writer_finish(struct zip_writer *w, struct err *e)
{
    if (finish_entry(w, e))
        return -1;
    uint64_t start = w->pos;
    for (size_t i = 0; i < w->n; i++)
        if (put_central(w, &w->entry[i], e))
            return -1;
    uint64_t end = w->pos, size = end - start;
    unsigned char head[128], *p = head;
    if (w->n >= LIMIT_16 || size >= LIMIT_32 || start >= LIMIT_32) {
        put32(&p, 0x06064b50); /* zip64 end of central directory */
        put64(&p, 44);
        put16(&p, VERSION_ZIP64);
        put16(&p, VERSION_ZIP64);
        put32(&p, 0);
        put32(&p, 0);
        put64(&p, w->n);
        put64(&p, w->n);
        put64(&p, size);
        put64(&p, start);
        put32(&p, 0x07064b50); /* its locator */
        put32(&p, 0);
        put64(&p, end);
        put32(&p, 1);
    }
    put32(&p, 0x06054b50);
    put16(&p, 0);
    put16(&p, 0);
    put16(&p, at_most(w->n, LIMIT_16));
    put16(&p, at_most(w->n, LIMIT_16));
    put32(&p, at_most(size, LIMIT_32));
    put32(&p, at_most(start, LIMIT_32));
    put16(&p, 0);
    return emit(w, head, (size_t)(p - head), e);
}

void zip_writer_free(struct zip_writer *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n; i++)
        free(w->entry[i].name);
    free(w->entry);
    free(w);
}
