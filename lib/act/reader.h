/* reader.h - reads a stream, one pass, bounded memory; hostile bytes are ERR_DATA with the byte
   offset and the frame. What is not asked for is skipped without being inflated (and on a regular
   file without being read). */
#ifndef ACT_READER_H
#define ACT_READER_H

#include "act/act.h"

struct act_reader;

enum act_event {
    ACT_END = 0,    /* END was there, its counts agree, and nothing follows it */
    ACT_ITEM = 1,   /* act_reader_item() is new */
    ACT_RECORD = 2, /* act_reader_record() is new; its values may be read now */
};

/* Reads the header. `name` is for messages ("stdin", a path). NULL on failure; an empty input is
   ERR_DATA. The fd is not closed by the reader. */
struct act_reader *act_reader_open(int fd, const char *name, struct err *e);
void act_reader_free(struct act_reader *r); /* NULL is fine */

const struct act_header *act_reader_header(const struct act_reader *r);
const char *act_reader_name(const struct act_reader *r);

/* The next item, record or END; values of the last record not read are skipped (their frames are
   still checked for order and length; checksums only with act_reader_verify). -1 on bad data. */
int act_reader_next(struct act_reader *r, struct err *e);

/* Valid until the next item (record). Before the first item of a stream: an item without tokens. */
const struct act_item *act_reader_item(const struct act_reader *r);
const struct act_record *act_reader_record(const struct act_reader *r);
uint64_t act_reader_item_index(const struct act_reader *r); /* from 0 */

/* The next n values of the current record, as float (i32: int32_t). Asking for more than are left
   is ERR_USAGE. */
int act_reader_values(struct act_reader *r, void *values, size_t n, struct err *e);
/* Skips n values; whole blocks are not decoded. */
int act_reader_skip(struct act_reader *r, size_t n, struct err *e);
/* All values of the current record into *values (grown as needed; *cap is in values). Blocks are
   decoded by several threads. */
int act_reader_all(struct act_reader *r, float **values, size_t *cap, struct err *e);

/* From now on skipped records are decoded and checked too (act-info --verify). */
void act_reader_verify(struct act_reader *r);

/* Bytes of the stream consumed, and bytes of values decoded or skipped. */
void act_reader_sizes(const struct act_reader *r, uint64_t *stored, uint64_t *raw);

#endif
