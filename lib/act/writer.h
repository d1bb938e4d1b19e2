/* writer.h - writes a stream to a file descriptor. Bounded memory: a record's values are coded in
   blocks, several at a time when there are cores, and written at once. */
#ifndef ACT_WRITER_H
#define ACT_WRITER_H

#include "act/act.h"

struct act_writer;

/* Writes the header: *h plus this process's command line (base/prog.h) as the last history line.
   level: 0 stores, 1 codes by byte planes. NULL on failure. The fd is not closed by the writer. */
struct act_writer *act_writer_open(int fd, const struct act_header *h, int level, struct err *e);

int act_write_item(struct act_writer *w, const struct act_item *it, struct err *e);

/* A whole record: act_record_count(r) values, float for F32/F16/BF16 (converted as it goes, to
   nearest even), int32_t for I32. */
int act_write_record(struct act_writer *w, const struct act_record *r, const void *values,
                     struct err *e);

/* The same in pieces: begin, then put any number of values any number of times, until exactly
   act_record_count(r) were given; the next begin/item/finish checks that. */
int act_write_begin(struct act_writer *w, const struct act_record *r, struct err *e);
int act_write_values(struct act_writer *w, const void *values, size_t n, struct err *e);

/* Writes END. Without it the stream is bad data for every reader. */
int act_writer_finish(struct act_writer *w, struct err *e);
void act_writer_free(struct act_writer *w); /* NULL is fine */

#endif
