#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "act/reader_private.h"
#include "base/mem.h"

/* Puts before the message in *e where in the stream it is, and remembers it. Returns -1. */
int reader_fail(struct act_reader *r, uint64_t at, struct err *e)
{
    char item[160] = "", record[ACT_NAME_MAX + 16] = "";
    if (r->seen.items) {
        bool label = r->item.label && *r->item.label;
        snprintf(item, sizeof item, ", item %" PRIu64 "%s%.100s%s", r->seen.items - 1,
                 label ? " \"" : "", label ? r->item.label : "", label ? "\"" : "");
    }
    if (r->in_record)
        snprintf(record, sizeof record, ", record %s", r->record.name);
    err_prefix(e, "%s: byte %" PRIu64 "%s%s", r->name, at, item, record);
    r->broken = *e;
    return -1;
}

/* The same for what is wrong inside the current frame. */
int reader_fail_frame(struct act_reader *r, struct err *e)
{
    err_prefix(e, "%s frame", frame_name(&r->frame));
    return reader_fail(r, r->frame_at, e);
}

static int fail_cut(struct act_reader *r, struct err *e)
{
    err_set(e, ERR_DATA,
            "cut short: the stream ends inside the %s frame that begins at byte %" PRIu64,
            frame_name(&r->frame), r->frame_at);
    return reader_fail(r, r->in.offset, e);
}

bool reader_is_magic(const unsigned char *p)
{
    return memcmp(p, FRAME_MAGIC, FRAME_MAGIC_SIZE - 1) == 0;
}

/* The head of the next frame. */
int reader_frame(struct act_reader *r, struct err *e)
{
    unsigned char head[FRAME_HEAD];
    size_t got;
    r->frame_at = r->in.offset;
    r->frame = (struct frame){0};
    if (input_read(&r->in, head, sizeof head, &got, e))
        return reader_fail(r, r->frame_at, e);
    if (got >= FRAME_MAGIC_SIZE && reader_is_magic(head)) {
        err_set(e, ERR_DATA, "another stream begins before this one's END");
        return reader_fail(r, r->frame_at, e);
    }
    if (got == 0) {
        err_set(e, ERR_DATA, "cut short: the stream ends without its END frame");
        return reader_fail(r, r->frame_at, e);
    }
    if (got < sizeof head) {
        err_set(e, ERR_DATA, "cut short: the stream ends inside a frame's head");
        return reader_fail(r, r->in.offset, e);
    }
    if (frame_get(&r->frame, head, e))
        return reader_fail_frame(r, e);
    if (r->frame.type != FRAME_END)
        r->seen.chain = codec_crc(r->seen.chain, head, FRAME_CHAINED);
    return 0;
}

/* The payload into *p, which grows as the bytes arrive: a length that lies costs nothing. */
int reader_bytes(struct act_reader *r, unsigned char **p, size_t *cap, struct err *e)
{
    size_t n = r->frame.stored, done = 0, got, step = (size_t)1 << 21;
    if (mem_grow(p, cap, 1, 1, e)) /* a payload of no bytes has an address too */
        return reader_fail_frame(r, e);
    while (done < n) {
        size_t m = n - done < step ? n - done : step;
        if (mem_grow(p, cap, done + m, 1, e) || input_read(&r->in, *p + done, m, &got, e))
            return reader_fail_frame(r, e);
        if (got < m)
            return fail_cut(r, e);
        done += m;
    }
    return 0;
}

/* The payload of a frame other than BLOCK into r->payload, its checksum compared. */
int reader_payload(struct act_reader *r, struct err *e)
{
    if (reader_bytes(r, &r->payload, &r->payload_cap, e))
        return -1;
    uint32_t crc = codec_crc(0, r->payload, r->frame.stored);
    if (crc == r->frame.crc)
        return 0;
    err_set(e, ERR_DATA, "checksum is %08x, should be %08x", crc, r->frame.crc);
    return reader_fail_frame(r, e);
}

int reader_skip_payload(struct act_reader *r, struct err *e)
{
    uint64_t got;
    if (input_skip(&r->in, r->frame.stored, &got, e))
        return reader_fail_frame(r, e);
    return got < r->frame.stored ? fail_cut(r, e) : 0;
}

/* A frame that this version does not know but may ignore. */
int reader_ignore(struct act_reader *r, struct err *e)
{
    unsigned char part[4096];
    uint32_t crc = 0;
    if (!r->verify)
        return reader_skip_payload(r, e);
    for (size_t left = r->frame.stored, got; left > 0; left -= got) {
        size_t m = left < sizeof part ? left : sizeof part;
        if (input_read(&r->in, part, m, &got, e))
            return reader_fail_frame(r, e);
        if (got < m)
            return fail_cut(r, e);
        crc = codec_crc(crc, part, m);
    }
    if (crc == r->frame.crc)
        return 0;
    err_set(e, ERR_DATA, "checksum is %08x, should be %08x", crc, r->frame.crc);
    return reader_fail_frame(r, e);
}
