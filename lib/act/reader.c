#include "act/reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "act/reader_private.h"
#include "base/mem.h"

static int read_magic(struct act_reader *r, struct err *e)
{
    unsigned char magic[FRAME_MAGIC_SIZE];
    size_t got;
    if (input_read(&r->in, magic, sizeof magic, &got, e))
        return reader_fail(r, 0, e);
    if (got == 0)
        err_set(e, ERR_DATA, "empty input: there is no activation stream");
    else if (memcmp(magic, FRAME_MAGIC, got < 7 ? got : 7) != 0)
        err_set(e, ERR_DATA, "not an activation stream (gpt-run and act-cache write them)");
    else if (got < sizeof magic)
        err_set(e, ERR_DATA, "cut short: the stream ends inside its first eight bytes");
    else if (magic[7] != (unsigned char)FRAME_MAGIC[7])
        err_set(e, ERR_DATA, "version %u of the stream format; this program reads version %d",
                magic[7], FRAME_MAGIC[7]);
    else
        return 0;
    return reader_fail(r, got < 8 ? got : 0, e);
}

static int read_header(struct act_reader *r, struct err *e)
{
    if (read_magic(r, e) || reader_frame(r, e))
        return -1;
    if (r->frame.type != FRAME_HEADER) {
        err_set(e, ERR_DATA, "should be the HEADER");
        return reader_fail_frame(r, e);
    }
    if (reader_payload(r, e))
        return -1;
    return frame_get_header(&r->header, r->payload, r->frame.stored, e) ? reader_fail_frame(r, e)
                                                                        : 0;
}

/* What stands for an item before the first one. */
static int empty_item(struct act_item *it, struct err *e)
{
    it->label = mem_strdup("", e);
    it->text = mem_strdup("", e);
    it->edits = mem_strdup("", e);
    it->meta = mem_strdup("", e);
    return it->label && it->text && it->edits && it->meta ? 0 : -1;
}

struct act_reader *act_reader_open(int fd, const char *name, struct err *e)
{
    struct act_reader *r = mem_calloc(1, sizeof *r, e);
    if (!r)
        return NULL;
    r->name = mem_strdup(name, e);
    if (!r->name || empty_item(&r->item, e) || input_open(&r->in, fd, e) || read_header(r, e)) {
        act_reader_free(r);
        return NULL;
    }
    return r;
}

void act_reader_free(struct act_reader *r)
{
    if (!r)
        return;
    for (int i = 0; i < READER_SLOTS; i++)
        codec_slot_release(&r->slot[i]);
    act_header_release(&r->header);
    act_item_release(&r->item);
    act_record_release(&r->record);
    input_release(&r->in);
    free(r->payload);
    free(r->block);
    free(r->name);
    free(r);
}

static int read_item(struct act_reader *r, struct err *e)
{
    r->in_record = false;
    r->seen.items++;
    act_item_release(&r->item);
    if (reader_payload(r, e))
        return -1;
    return frame_get_item(&r->item, r->payload, r->frame.stored, e) ? reader_fail_frame(r, e)
                                                                    : ACT_ITEM;
}

static int read_record(struct act_reader *r, struct err *e)
{
    r->in_record = false;
    r->seen.records++;
    act_record_release(&r->record);
    if (reader_payload(r, e))
        return -1;
    if (frame_get_record(&r->record, r->payload, r->frame.stored, e))
        return reader_fail_frame(r, e);
    r->in_record = true;
    r->left = act_record_count(&r->record);
    r->block_at = r->block_len = 0;
    return ACT_RECORD;
}

/* Nothing may follow END. */
static int check_nothing_follows(struct act_reader *r, struct err *e)
{
    unsigned char more[FRAME_MAGIC_SIZE];
    uint64_t at = r->in.offset;
    size_t got;
    if (input_read(&r->in, more, sizeof more, &got, e))
        return reader_fail(r, at, e);
    if (got == 0)
        return 0;
    if (got == sizeof more && reader_is_magic(more))
        err_set(e, ERR_DATA,
                "another stream follows this one's END: cat does not join streams, act-cache does");
    else
        err_set(e, ERR_DATA, "bytes follow the stream's END");
    return reader_fail(r, at, e);
}

static int read_end(struct act_reader *r, struct err *e)
{
    struct frame_totals t;
    r->in_record = false;
    r->seen.bytes = r->frame_at;
    if (reader_payload(r, e))
        return -1;
    frame_get_end(&t, r->payload);
    if (t.items != r->seen.items || t.records != r->seen.records || t.blocks != r->seen.blocks ||
        t.bytes != r->seen.bytes) {
        err_set(e, ERR_DATA,
                "%" PRIu64 " items, %" PRIu64 " records, %" PRIu64 " blocks, %" PRIu64
                " bytes were written, but %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64
                " are here",
                t.items, t.records, t.blocks, t.bytes, r->seen.items, r->seen.records,
                r->seen.blocks, r->seen.bytes);
        return reader_fail_frame(r, e);
    }
    if (t.chain != r->seen.chain) {
        err_set(e, ERR_DATA,
                "frames before it were exchanged or altered (checksum of their heads)");
        return reader_fail_frame(r, e);
    }
    if (check_nothing_follows(r, e))
        return -1;
    r->ended = true;
    return ACT_END;
}

int act_reader_next(struct act_reader *r, struct err *e)
{
    if (r->broken.kind != ERR_NONE) {
        *e = r->broken;
        return -1;
    }
    if (r->ended)
        return ACT_END;
    if (r->in_record && act_reader_skip(r, r->left + (r->block_len - r->block_at), e))
        return -1;
    for (;;) {
        if (reader_frame(r, e))
            return -1;
        switch (r->frame.type) {
        case FRAME_ITEM:
            return read_item(r, e);
        case FRAME_RECORD:
            return read_record(r, e);
        case FRAME_END:
            return read_end(r, e);
        case FRAME_HEADER:
            err_set(e, ERR_DATA, "a second one");
            return reader_fail_frame(r, e);
        case FRAME_BLOCK:
            err_set(e, ERR_DATA, "no record has values left for it");
            return reader_fail_frame(r, e);
        default:
            if (reader_ignore(r, e))
                return -1;
        }
    }
}

const struct act_header *act_reader_header(const struct act_reader *r)
{
    return &r->header;
}

const char *act_reader_name(const struct act_reader *r)
{
    return r->name;
}

const struct act_item *act_reader_item(const struct act_reader *r)
{
    return &r->item;
}

const struct act_record *act_reader_record(const struct act_reader *r)
{
    return &r->record;
}

uint64_t act_reader_item_index(const struct act_reader *r)
{
    return r->seen.items ? r->seen.items - 1 : 0;
}

void act_reader_verify(struct act_reader *r)
{
    r->verify = true;
}

void act_reader_sizes(const struct act_reader *r, uint64_t *stored, uint64_t *raw)
{
    *stored = r->in.offset;
    *raw = r->raw;
}
