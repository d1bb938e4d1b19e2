/* frame.h - the frames that a stream is made of, and what is inside those that hold no values.
   Bytes and limits: docs/FORMAT.md. Only the reader and the writer use this. */
#ifndef ACT_FRAME_H
#define ACT_FRAME_H

#include "act/act.h"

#define FRAME_MAGIC \
    "\x89"          \
    "ACT\r\n\x1a\x01"
#define FRAME_MAGIC_SIZE 8 /* seven bytes that never change and the version */
#define FRAME_HEAD 20      /* bytes before each frame's payload */
#define FRAME_CHAINED 16   /* of them, what END's chain checksum covers (not their own) */
#define FRAME_END_SIZE 36  /* END's payload */

/* Limits, checked before anything is allocated. */
#define FRAME_META_MAX ((uint32_t)1 << 24)   /* payload bytes of HEADER, ITEM, RECORD */
#define FRAME_RECORD_MAX ((uint64_t)1 << 40) /* values of a record */
#define FRAME_PAIRS_MAX 1024                 /* keys of a header */
#define FRAME_HISTORY_MAX 65536              /* history lines */

enum frame_type {
    FRAME_HEADER = 'H',
    FRAME_ITEM = 'I',
    FRAME_RECORD = 'R',
    FRAME_BLOCK = 'B',
    FRAME_END = 'E',
};

#define FRAME_MAY_SKIP 1 /* flag: who does not know the type may ignore the frame */

struct frame {
    uint8_t type, flags;
    uint16_t codec;
    uint32_t stored, raw, crc;
};

struct frame_totals {
    uint64_t items, records, blocks, bytes;
    uint32_t chain; /* CRC-32 over FRAME_CHAINED bytes of every frame's head, in order */
};

void frame_put(unsigned char head[FRAME_HEAD], const struct frame *f);
/* ERR_DATA when the head is damaged, not understood, or beyond a limit. */
int frame_get(struct frame *f, const unsigned char head[FRAME_HEAD], struct err *e);
bool frame_known(const struct frame *f);
const char *frame_name(const struct frame *f); /* "BLOCK"; "unknown" */

void frame_put_end(unsigned char payload[FRAME_END_SIZE], const struct frame_totals *t);
void frame_get_end(struct frame_totals *t, const unsigned char payload[FRAME_END_SIZE]);

/* Payloads: put appends to b, get fills an empty struct (release it also after an error). What is
   beyond a limit is ERR_USAGE from put and ERR_DATA from get. `line` is one more history line, or
   "". */
int frame_put_header(struct buf *b, const struct act_header *h, const char *line, struct err *e);
int frame_get_header(struct act_header *h, const unsigned char *p, size_t n, struct err *e);
int frame_put_item(struct buf *b, const struct act_item *it, struct err *e);
int frame_get_item(struct act_item *it, const unsigned char *p, size_t n, struct err *e);
int frame_put_record(struct buf *b, const struct act_record *r, struct err *e);
int frame_get_record(struct act_record *r, const unsigned char *p, size_t n, struct err *e);

#endif
