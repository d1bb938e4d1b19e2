#include "base/zip.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "test.h"

/* One deflated entry "zeros" of 100000 zero bytes, as Python's zipfile writes it. */
static const unsigned char BOMB[] = {
    0x50, 0x4b, 3,    4,    0x14, 0,    0,    0,    8,    0,    0,    0,    0x21, 0,    0x7d, 0x95,
    0x11, 0xd4, 0x72, 0,    0,    0,    0xa0, 0x86, 1,    0,    5,    0,    0,    0,    0x7a, 0x65,
    0x72, 0x6f, 0x73, 0xed, 0xc1, 0x31, 1,    0,    0,    0,    0xc2, 0xa0, 0xf5, 0x4f, 0x6d, 0xd,
    0xf,  0xa0, 0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0x80, 0x57, 3,    0x50, 0x4b, 1,    2,    0x14, 3,    0x14, 0,    0,    0,    8,
    0,    0,    0,    0x21, 0,    0x7d, 0x95, 0x11, 0xd4, 0x72, 0,    0,    0,    0xa0, 0x86, 1,
    0,    5,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0x80, 1,    0,
    0,    0,    0,    0x7a, 0x65, 0x72, 0x6f, 0x73, 0x50, 0x4b, 5,    6,    0,    0,    0,    0,
    1,    0,    1,    0,    0x33, 0,    0,    0,    0x95, 0,    0,    0,    0,    0};
enum { CENTRAL = 0x95 }; /* where its directory begins; the uncompressed size is 24 bytes on */

static void crc_values(void)
{
    struct crc_table c;
    crc_table_init(&c);
    CHECK(crc_update(&c, 0, "123456789", 9) == 0xCBF43926u); /* the standard's check value */
    CHECK(crc_update(&c, 0, "", 0) == 0);
    const char *text = "The quick brown fox jumps over the lazy dog";
    CHECK(crc_update(&c, 0, text, 43) == 0x414FA339u);
    for (size_t cut = 0; cut <= 43; cut++)
        CHECK(crc_update(&c, crc_update(&c, 0, text, cut), text + cut, 43 - cut) == 0x414FA339u);
}

/* The bytes of what fill() writes through a zip_writer. */
static struct io_map write_archive(int (*fill)(struct zip_writer *w, struct err *e))
{
    struct err e = {0};
    FILE *f = tmpfile();
    struct io_map m = {0};
    struct zip_writer *w = zip_writer_open(fileno(f), &e);
    CHECK(w && fill(w, &e) == 0 && zip_writer_finish(w, &e) == 0);
    zip_writer_free(w);
    fseek(f, 0, SEEK_END);
    m.len = (size_t)ftell(f);
    unsigned char *p = malloc(m.len + 1);
    rewind(f);
    CHECK(fread(p, 1, m.len, f) == m.len);
    m.base = p;
    fclose(f);
    return m;
}

static void drop(struct io_map *m)
{
    free((void *)(uintptr_t)m->base);
}

static unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 2654435761u >> 13);
}

static int three_entries(struct zip_writer *w, struct err *e)
{
    unsigned char big[1000];
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = pattern(i);
    return zip_writer_begin(w, "dir/empty", 0, e) || zip_writer_begin(w, "hello.txt", 5, e) ||
           zip_writer_put(w, "hel", 3, e) || zip_writer_put(w, "lo", 2, e) ||
           zip_writer_begin(w, "b\xc3\xa9te", sizeof big, e) || zip_writer_put(w, big, 999, e) ||
           zip_writer_put(w, big + 999, 1, e);
}

static void round_trip(void)
{
    struct err e = {0};
    struct io_map m = write_archive(three_entries);
    struct zip_file *z = zip_file_open(&m, "t.zip", &e);
    CHECK(z != NULL && zip_file_count(z) == 3);
    CHECK_STR(zip_file_name(z, 0), "dir/empty");
    CHECK(zip_file_name(z, 3) == NULL);
    CHECK(zip_file_find(z, "hello.txt") == 1 && zip_file_find(z, "b\xc3\xa9te") == 2);
    CHECK(zip_file_find(z, "hello") == -1);
    CHECK(zip_file_size(z, 0) == 0 && zip_file_size(z, 1) == 5 && zip_file_size(z, 2) == 1000);
    struct buf b = {0};
    uint64_t at;
    for (size_t i = 0; i < 3; i++) {
        CHECK(zip_file_read(z, i, 1000, &b, &e) == 0 && b.len == zip_file_size(z, i));
        CHECK(zip_file_locate(z, i, &at, &e) == 0);
        CHECK(memcmp(b.p, m.base + at, b.len) == 0);
    }
    CHECK((unsigned char)b.p[1] == pattern(1) && (unsigned char)b.p[999] == pattern(999));
    CHECK(zip_file_read(z, 1, 5, &b, &e) == 0);
    CHECK_STR(b.p, "hello");
    CHECK(zip_file_read(z, 1, 4, &b, &e) == -1 && e.kind == ERR_DATA);
    CHECK_STR(e.msg, "t.zip: hello.txt: larger than makes sense here: 5 bytes, at most 4");
    CHECK(zip_file_read(z, 3, 4, &b, &e) == -1 && zip_file_locate(z, 3, &at, &e) == -1);
    buf_release(&b);
    zip_file_close(z);
    drop(&m);
}

static int many_entries(struct zip_writer *w, struct err *e)
{
    char name[16];
    for (int i = 0; i < 65536; i++) {
        snprintf(name, sizeof name, "e%d", i);
        if (zip_writer_begin(w, name, 1, e) || zip_writer_put(w, name + 1, 1, e))
            return -1;
    }
    return 0;
}

/* The plain end record counts to 65535 only, so this one needs zip64. */
static void more_entries_than_16_bits(void)
{
    struct err e = {0};
    struct io_map m = write_archive(many_entries);
    struct zip_file *z = zip_file_open(&m, "t.zip", &e);
    CHECK(z != NULL && zip_file_count(z) == 65536);
    struct buf b = {0};
    CHECK(zip_file_find(z, "e65535") == 65535 && zip_file_read(z, 65535, 9, &b, &e) == 0);
    CHECK_STR(b.p, "6");
    buf_release(&b);
    zip_file_close(z);
    drop(&m);
}

static int too_much(struct zip_writer *w, struct err *e)
{
    CHECK(zip_writer_put(w, "x", 1, e) == -1); /* no entry yet */
    CHECK(zip_writer_begin(w, "a", 2, e) == 0);
    CHECK(zip_writer_put(w, "xyz", 3, e) == -1);
    CHECK(zip_writer_put(w, "x", 1, e) == 0);
    CHECK(zip_writer_begin(w, "b", 0, e) == -1);
    CHECK_STR(e->msg, "zip: a: 1 bytes are missing");
    CHECK(zip_writer_finish(w, e) == -1);
    return zip_writer_put(w, "y", 1, e);
}

static void writer_holds_entries_to_their_size(void)
{
    struct io_map m = write_archive(too_much);
    drop(&m);
}

/* Opens BOMB with its directory's uncompressed size set, and reads the entry. */
static int read_bomb(uint32_t says, size_t max, struct buf *b, struct err *e)
{
    unsigned char bytes[sizeof BOMB];
    memcpy(bytes, BOMB, sizeof BOMB);
    put_le32(bytes + CENTRAL + 24, says);
    struct io_map m = {bytes, sizeof bytes};
    struct zip_file *z = zip_file_open(&m, "bomb", e);
    CHECK(z != NULL);
    uint64_t at;
    CHECK(z && zip_file_locate(z, 0, &at, e) == 1);
    int rc = z ? zip_file_read(z, 0, max, b, e) : -1;
    zip_file_close(z);
    return rc;
}

static void compressed_entries_and_bombs(void)
{
    struct err e = {0};
    struct buf b = {0};
    CHECK(read_bomb(100000, 100000, &b, &e) == 0);
    CHECK(b.len == 100000 && b.p[0] == 0 && b.p[99999] == 0);
    buf_release(&b);
    CHECK(read_bomb(100000, 99999, &b, &e) == -1 && b.cap == 0);
    CHECK_STR(e.msg, "bomb: zeros: larger than makes sense here: 100000 bytes, at most 99999");
    /* A directory that lies: memory is bounded by max, not by what inflating gives. */
    CHECK(read_bomb(100, 1000, &b, &e) == -1 && e.kind == ERR_DATA && b.cap <= 2000);
    CHECK(read_bomb(4000000000u, SIZE_MAX, &b, &e) == -1 && e.kind == ERR_DATA);
    CHECK(b.cap <= 4u << 20);
    buf_release(&b);
}

static void damage_is_found(void)
{
    struct err e = {0};
    struct buf b = {0};
    uint64_t at = 0;
    struct io_map m = write_archive(three_entries);
    unsigned char *p = (unsigned char *)(uintptr_t)m.base;
    struct zip_file *z = zip_file_open(&m, "t.zip", &e);
    CHECK(z && zip_file_locate(z, 1, &at, &e) == 0);
    p[at] ^= 1;
    CHECK(zip_file_read(z, 1, 99, &b, &e) == -1 && e.kind == ERR_DATA);
    CHECK_STR(e.msg, "t.zip: hello.txt: CRC error");
    e.kind = ERR_NONE;
    p[at] ^= 1;
    zip_file_close(z);
    /* A directory entry that points behind the end: its second one's offset field. */
    unsigned char *second = p + m.len - 22;
    for (int seen = 0; seen < 2;)
        seen += memcmp(--second, "PK\1\2", 4) == 0;
    put_le32(second + 42, 0x7fffffff);
    z = zip_file_open(&m, "t.zip", &e);
    CHECK(z == NULL || zip_file_locate(z, 1, &at, &e) == -1);
    CHECK(e.kind == ERR_DATA);
    zip_file_close(z);
    buf_release(&b);
    drop(&m);
}

static void cut_at_every_length(void)
{
    struct err e = {0};
    struct buf b = {0};
    struct io_map m = write_archive(three_entries);
    for (size_t n = 0; n < m.len; n++) {
        unsigned char *copy = malloc(n + 1); /* exact, so that ASan sees a step too far */
        memcpy(copy, m.base, n);
        struct io_map part = {copy, n};
        e.kind = ERR_NONE;
        struct zip_file *z = zip_file_open(&part, "t.zip", &e);
        CHECK(z == NULL && e.kind == ERR_DATA);
        zip_file_close(z);
        free(copy);
    }
    buf_release(&b);
    drop(&m);
}

int main(void)
{
    RUN(crc_values);
    RUN(round_trip);
    RUN(more_entries_than_16_bits);
    RUN(writer_holds_entries_to_their_size);
    RUN(compressed_entries_and_bombs);
    RUN(damage_is_found);
    RUN(cut_at_every_length);
    return test_done();
}
