#include "act/writer.h"

#include <stdlib.h>
#include <string.h>

#include "act/codec.h"
#include "act/frame.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/prog.h"

#define SLOTS 4                  /* blocks coded at the same time */
#define BUFFER ((size_t)1 << 20) /* so that small records do not cost a system call each */

struct act_writer {
    int fd, level;
    bool failed;
    unsigned char *out; /* not yet written: BUFFER bytes of room */
    size_t out_len;
    struct frame_totals so_far;
    struct buf meta; /* payload being made */
    /* The current record: */
    char name[ACT_NAME_MAX];
    enum act_dtype dtype;
    size_t count, left; /* values; those not yet written or staged */
    void *staged;       /* the begin of a block that is not yet full (4-byte values) */
    size_t n_staged, staged_cap;
    struct codec_slot slot[SLOTS];
};

static int flush(struct act_writer *w, struct err *e)
{
    size_t n = w->out_len;
    w->out_len = 0;
    return io_write_all(w->fd, w->out, n, e);
}

static int put(struct act_writer *w, const void *p, size_t n, struct err *e)
{
    w->so_far.bytes += n;
    if (n > BUFFER - w->out_len && flush(w, e))
        return -1;
    if (n > BUFFER / 2)
        return flush(w, e) || io_write_all(w->fd, p, n, e) ? -1 : 0;
    if (n > 0)
        memcpy(w->out + w->out_len, p, n);
    w->out_len += n;
    return 0;
}

static int put_frame(struct act_writer *w, const struct frame *f, const void *payload,
                     struct err *e)
{
    unsigned char head[FRAME_HEAD];
    frame_put(head, f);
    w->so_far.chain = codec_crc(w->so_far.chain, head, FRAME_CHAINED);
    return put(w, head, sizeof head, e) || put(w, payload, f->stored, e) ? -1 : 0;
}

static int put_meta(struct act_writer *w, enum frame_type type, const void *p, size_t n,
                    struct err *e)
{
    struct frame f = {.type = (uint8_t)type,
                      .stored = (uint32_t)n,
                      .raw = (uint32_t)n,
                      .crc = codec_crc(0, p, n)};
    return put_frame(w, &f, p, e);
}

struct act_writer *act_writer_open(int fd, const struct act_header *h, int level, struct err *e)
{
    struct act_writer *w = mem_calloc(1, sizeof *w, e);
    if (!w)
        return NULL;
    w->fd = fd;
    w->level = level;
    w->out = mem_alloc(BUFFER, 1, e);
    if (!w->out || frame_put_header(&w->meta, h, prog_command(), e) ||
        put(w, FRAME_MAGIC, FRAME_MAGIC_SIZE, e) ||
        put_meta(w, FRAME_HEADER, w->meta.p, w->meta.len, e)) {
        act_writer_free(w);
        return NULL;
    }
    return w;
}

void act_writer_free(struct act_writer *w)
{
    if (!w)
        return;
    for (int i = 0; i < SLOTS; i++)
        codec_slot_release(&w->slot[i]);
    buf_release(&w->meta);
    free(w->staged);
    free(w->out);
    free(w);
}

/* What comes next may only follow a whole record, and nothing may follow a failed write. */
static int check_complete(const struct act_writer *w, struct err *e)
{
    if (w->failed)
        return err_set(e, ERR_SYS, "the stream could not be written");
    if (w->left)
        return err_set(e, ERR_USAGE, "record \"%s\": %zu of %zu values were given", w->name,
                       w->count - w->left, w->count);
    return 0;
}

/* Keeps a failure, so that a stream with a hole never gets its END. */
static int done(struct act_writer *w, int rc)
{
    w->failed = w->failed || rc != 0;
    return rc;
}

int act_write_item(struct act_writer *w, const struct act_item *it, struct err *e)
{
    if (check_complete(w, e))
        return -1;
    w->meta.len = 0;
    w->so_far.items++;
    return done(w, frame_put_item(&w->meta, it, e) ||
                           put_meta(w, FRAME_ITEM, w->meta.p, w->meta.len, e)
                       ? -1
                       : 0);
}

int act_write_begin(struct act_writer *w, const struct act_record *r, struct err *e)
{
    if (check_complete(w, e))
        return -1;
    w->meta.len = 0;
    if (frame_put_record(&w->meta, r, e))
        return done(w, -1);
    memcpy(w->name, r->name, sizeof w->name);
    w->dtype = r->dtype;
    w->count = w->left = act_record_count(r);
    w->so_far.records++;
    return done(w, put_meta(w, FRAME_RECORD, w->meta.p, w->meta.len, e));
}

/* Codes block i of values[0..n). */
static int encode_block(struct act_writer *w, int i, const void *values, size_t n, struct err *e)
{
    size_t at = (size_t)i * CODEC_BLOCK;
    return codec_encode(&w->slot[i], (const char *)values + 4 * at,
                        n - at < CODEC_BLOCK ? n - at : CODEC_BLOCK, w->dtype, w->level, e);
}

/* Codes the blocks of values[0..n), the last of which may be short, and writes them in order. */
static int put_blocks(struct act_writer *w, const void *values, size_t n, struct err *e)
{
    const int blocks = (int)((n + CODEC_BLOCK - 1) / CODEC_BLOCK);
    struct err errs[SLOTS] = {0};
    if (blocks == 1) { /* an if clause would cost a system call for each small record */
        encode_block(w, 0, values, n, &errs[0]);
    } else {
#pragma omp parallel for schedule(dynamic)
        for (int i = 0; i < blocks; i++)
            encode_block(w, i, values, n, &errs[i]);
    }
    for (int i = 0; i < blocks; i++) {
        const struct codec_slot *s = &w->slot[i];
        if (errs[i].kind != ERR_NONE) {
            *e = errs[i];
            return -1;
        }
        struct frame f = {.type = FRAME_BLOCK,
                          .codec = (uint16_t)s->codec,
                          .stored = s->stored_len,
                          .raw = s->raw_len,
                          .crc = s->crc};
        w->so_far.blocks++;
        if (put_frame(w, &f, s->payload, e))
            return -1;
    }
    return 0;
}

/* Adds to the block that is being filled; codes it when it is full or the record's last. */
static int stage(struct act_writer *w, const void *values, size_t n, struct err *e)
{
    if (mem_grow(&w->staged, &w->staged_cap, w->n_staged + n, 4, e))
        return -1;
    memcpy((char *)w->staged + 4 * w->n_staged, values, 4 * n);
    w->n_staged += n;
    w->left -= n;
    if (w->n_staged < CODEC_BLOCK && w->left)
        return 0;
    n = w->n_staged;
    w->n_staged = 0;
    return put_blocks(w, w->staged, n, e);
}

int act_write_values(struct act_writer *w, const void *values, size_t n, struct err *e)
{
    if (w->failed)
        return err_set(e, ERR_SYS, "the stream could not be written");
    if (n > w->left)
        return err_set(e, ERR_USAGE, "record \"%s\": more values than its %zu were given", w->name,
                       w->count);
    const char *p = values;
    while (n > 0) {
        int rc;
        /* Whole blocks are coded where they lie; what begins or ends within one is copied. */
        size_t m = n < SLOTS * CODEC_BLOCK ? n : SLOTS * CODEC_BLOCK;
        if (m < w->left)
            m -= m % CODEC_BLOCK;
        if (w->n_staged == 0 && m > 0) {
            w->left -= m;
            rc = put_blocks(w, p, m, e);
        } else {
            m = CODEC_BLOCK - w->n_staged;
            m = m < n ? m : n;
            rc = stage(w, p, m, e);
        }
        if (rc)
            return done(w, -1);
        p += 4 * m;
        n -= m;
    }
    return 0;
}

int act_write_record(struct act_writer *w, const struct act_record *r, const void *values,
                     struct err *e)
{
    if (act_write_begin(w, r, e))
        return -1;
    return act_write_values(w, values, w->count, e);
}

int act_writer_finish(struct act_writer *w, struct err *e)
{
    unsigned char end[FRAME_END_SIZE];
    if (check_complete(w, e))
        return -1;
    frame_put_end(end, &w->so_far);
    return done(w, put_meta(w, FRAME_END, end, sizeof end, e) || flush(w, e) ? -1 : 0);
}
