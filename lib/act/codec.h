/* codec.h - one block of a record's values to bytes and back. Bytes: docs/FORMAT.md, "Codecs". */
#ifndef ACT_CODEC_H
#define ACT_CODEC_H

#include "act/act.h"

#define CODEC_BLOCK ((size_t)1 << 18) /* values of a block; only a record's last one has fewer */

enum codec { CODEC_STORED = 0, CODEC_PLANES = 1, CODEC_RUNS = 2 };

/* CRC-32 (zlib's) of p[0..n), continuing from `crc` (0 to begin). */
uint32_t codec_crc(uint32_t crc, const void *p, size_t n);

/* Bytes of one value of the type in the stream. */
size_t codec_width(enum act_dtype t);

/* A block being coded or decoded, with the work space for it. All zero is a valid empty one; spaces
   grow to what the largest block needed and are kept for the next. One thread at a time. */
struct codec_slot {
    unsigned char *stored; /* the payload: where codec_decode finds it; codec_encode may fill it */
    size_t stored_cap;
    unsigned char *raw, *planes, *literals;
    size_t raw_cap, planes_cap, literals_cap;
    /* Of the block: */
    const unsigned char *payload; /* codec_encode's result: in `stored`, `raw`, or the caller's */
    uint32_t stored_len, raw_len, crc;
    unsigned codec;
};
void codec_slot_release(struct codec_slot *s);

/* Codes n values (float, rounded to the type; int32_t for I32). level 0: stored. Fills payload,
   stored_len, raw_len, crc and codec; payload is valid until the next call and while `values` is.
 */
int codec_encode(struct codec_slot *s, const void *values, size_t n, enum act_dtype t, int level,
                 struct err *e);

/* Decodes stored[0..stored_len) of the given codec and crc into n values (float; int32_t for I32).
   The caller has checked raw_len == n * codec_width(t). ERR_DATA: what is wrong with the payload.
 */
int codec_decode(struct codec_slot *s, void *values, size_t n, enum act_dtype t, struct err *e);

#endif
