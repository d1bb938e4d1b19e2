/* Any bytes are a stream or bad data: read twice, values taken in pieces and skipped; what is read
   whole is written again and must then read the same. Memory stays below a cap. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "act/codec.h"
#include "act/reader.h"
#include "act/writer.h"
#include "base/bytes.h"
#include "base/io.h"

int fuzz_one(const unsigned char *data, size_t n);

/* Values decoded from one input, at most: compressed zeros can promise terabytes, one by one. */
#define VALUES_MAX ((size_t)1 << 22)
#define PIECE 5000

/* Fails the program when the process has grown beyond what bounded memory allows (a sanitizer's own
   needs included). */
static void check_memory(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0 || u.ru_maxrss > 512L * 1024)
        abort();
}

/* A temporary file with the bytes, at its start. */
static FILE *file_of(const unsigned char *data, size_t n)
{
    struct err e;
    FILE *f = tmpfile();
    if (!f || io_write_all(fileno(f), data, n, &e) != 0 || lseek(fileno(f), 0, SEEK_SET) != 0)
        abort();
    return f;
}

struct sum {
    uint64_t items, records, values;
    uint32_t crc;
};

static int take(struct act_reader *r, struct act_writer *w, struct sum *s, struct err *e)
{
    static float v[PIECE];
    size_t left = act_record_count(act_reader_record(r));
    if (s->values + left > VALUES_MAX)
        return act_reader_skip(r, left, e);
    if (w && act_write_begin(w, act_reader_record(r), e))
        return -1;
    s->values += left;
    while (left > 0) {
        size_t m = left < PIECE ? left : PIECE;
        if (act_reader_values(r, v, m, e) || (w && act_write_values(w, v, m, e)))
            return -1;
        s->crc = codec_crc(s->crc, v, 4 * m);
        left -= m;
    }
    return 0;
}

/* Reads all; to w too, if not NULL. ACT_END, or -1 when the stream is bad. */
static int read_all(int fd, int out, struct sum *s, int skip)
{
    struct err e = {0};
    int event = -1;
    struct act_writer *w = NULL;
    struct act_reader *r = act_reader_open(fd, "fuzz", &e);
    *s = (struct sum){0};
    if (r && out >= 0 && !(w = act_writer_open(out, act_reader_header(r), 1, &e)))
        abort();
    while (r && (event = act_reader_next(r, &e)) > 0) {
        s->items += event == ACT_ITEM;
        s->records += event == ACT_RECORD;
        if (event == ACT_ITEM && w && act_write_item(w, act_reader_item(r), &e))
            abort(); /* what the reader accepts, the writer must */
        if (event == ACT_RECORD && !skip && take(r, w, s, &e)) {
            event = -1;
            break;
        }
    }
    if (event < 0 && (!e.msg[0] || e.kind != ERR_DATA))
        abort();
    if (event == ACT_END && w && act_writer_finish(w, &e))
        abort();
    act_writer_free(w);
    act_reader_free(r);
    return event;
}

static void read_twice(const unsigned char *data, size_t n)
{
    struct sum first, again, skipped;
    FILE *in = file_of(data, n), *out = file_of(NULL, 0);
    int whole = read_all(fileno(in), fileno(out), &first, 0);
    if (lseek(fileno(in), 0, SEEK_SET) != 0 || lseek(fileno(out), 0, SEEK_SET) != 0)
        abort();
    int skip = read_all(fileno(in), -1, &skipped, 1);
    if (whole == ACT_END && (skip != ACT_END || skipped.records != first.records))
        abort();
    if (whole == ACT_END &&
        (read_all(fileno(out), -1, &again, 0) != ACT_END || again.crc != first.crc ||
         again.items != first.items || again.values != first.values))
        abort();
    fclose(in);
    fclose(out);
}

/* Makes the checksums right that can be, so that changed bytes get past them. */
static void repair(unsigned char *p, size_t n)
{
    for (size_t at = 8, len; at + 20 <= n && (len = get_le32(p + at + 4)) <= n - at - 20;
         at += 20 + len) {
        if (get_le16(p + at + 2) == 0)
            put_le32(p + at + 12, codec_crc(0, p + at + 20, len));
        put_le32(p + at + 16, codec_crc(0, p + at, 16));
    }
}

int fuzz_one(const unsigned char *data, size_t n)
{
    unsigned char *copy = malloc(n + 1);
    if (!copy)
        abort();
    memcpy(copy, data, n);
    repair(copy, n);
    read_twice(data, n);
    read_twice(copy, n);
    free(copy);
    check_memory();
    return 0;
}
