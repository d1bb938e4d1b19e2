#include "act/frame.h"

#include "act/codec.h"
#include "base/bytes.h"

void frame_put(unsigned char head[FRAME_HEAD], const struct frame *f)
{
    head[0] = f->type;
    head[1] = f->flags;
    put_le16(head + 2, f->codec);
    put_le32(head + 4, f->stored);
    put_le32(head + 8, f->raw);
    put_le32(head + 12, f->crc);
    put_le32(head + 16, codec_crc(0, head, 16));
}

bool frame_known(const struct frame *f)
{
    switch (f->type) {
    case FRAME_HEADER:
    case FRAME_ITEM:
    case FRAME_RECORD:
    case FRAME_BLOCK:
    case FRAME_END:
        return true;
    default:
        return false;
    }
}

const char *frame_name(const struct frame *f)
{
    switch (f->type) {
    case FRAME_HEADER:
        return "HEADER";
    case FRAME_ITEM:
        return "ITEM";
    case FRAME_RECORD:
        return "RECORD";
    case FRAME_BLOCK:
        return "BLOCK";
    case FRAME_END:
        return "END";
    default:
        return "unknown";
    }
}

/* What can be said about the sizes without knowing the record. */
static int check_sizes(const struct frame *f, struct err *e)
{
    if (f->type == FRAME_BLOCK) {
        if (f->codec > CODEC_RUNS)
            return err_set(e, ERR_DATA, "codec %u is not known to this version", f->codec);
        if (f->raw > CODEC_BLOCK * 4)
            return err_set(e, ERR_DATA, "%u bytes of values are more than a block holds", f->raw);
        if (f->codec == CODEC_STORED ? f->stored != f->raw : f->stored >= f->raw)
            return err_set(e, ERR_DATA, "%u bytes cannot stand for %u", f->stored, f->raw);
        return 0;
    }
    if (f->codec != 0 || f->stored != f->raw)
        return err_set(e, ERR_DATA, "a frame of type 0x%02x cannot be coded", f->type);
    if (f->type == FRAME_END && f->raw != FRAME_END_SIZE)
        return err_set(e, ERR_DATA, "%u bytes, should be %d", f->raw, FRAME_END_SIZE);
    if (frame_known(f) && f->raw > FRAME_META_MAX)
        return err_set(e, ERR_DATA, "%u bytes are beyond the limit of %u", f->raw, FRAME_META_MAX);
    return 0;
}

int frame_get(struct frame *f, const unsigned char head[FRAME_HEAD], struct err *e)
{
    f->type = head[0];
    f->flags = head[1];
    f->codec = get_le16(head + 2);
    f->stored = get_le32(head + 4);
    f->raw = get_le32(head + 8);
    f->crc = get_le32(head + 12);
    if (get_le32(head + 16) != codec_crc(0, head, 16))
        return err_set(e, ERR_DATA, "not a frame, or its head is damaged (checksum)");
    if (!frame_known(f) && !(f->flags & FRAME_MAY_SKIP))
        return err_set(e, ERR_DATA,
                       "a frame of type 0x%02x, which this version does not know and must not skip",
                       f->type);
    if (f->flags & ~(unsigned)(frame_known(f) ? 0 : FRAME_MAY_SKIP))
        return err_set(e, ERR_DATA, "flags 0x%02x are not known to this version", f->flags);
    return check_sizes(f, e);
}

void frame_put_end(unsigned char payload[FRAME_END_SIZE], const struct frame_totals *t)
{
    put_le64(payload, t->items);
    put_le64(payload + 8, t->records);
    put_le64(payload + 16, t->blocks);
    put_le64(payload + 24, t->bytes);
    put_le32(payload + 32, t->chain);
}

void frame_get_end(struct frame_totals *t, const unsigned char payload[FRAME_END_SIZE])
{
    t->items = get_le64(payload);
    t->records = get_le64(payload + 8);
    t->blocks = get_le64(payload + 16);
    t->bytes = get_le64(payload + 24);
    t->chain = get_le32(payload + 32);
}
