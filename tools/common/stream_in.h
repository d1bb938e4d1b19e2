/* stream_in.h - the stream that a reading tool gets: opened from an operand or stdin, with its
   history as text, and with a memory of the kinds of records that went by, for messages. */
#ifndef COMMON_STREAM_IN_H
#define COMMON_STREAM_IN_H

#include <stdbool.h>

#include "act/reader.h"
#include "base/buf.h"

#define STREAM_KINDS_MAX 16

struct stream_in {
    int fd;
    struct act_reader *reader;
    struct buf history; /* for tsv_open; NULL text when there is none */
    /* Record names with "*" for the layer, at most so many; n_kinds counts on past the limit. */
    char kinds[STREAM_KINDS_MAX][ACT_NAME_MAX];
    size_t n_kinds;
};

/* path NULL or "-": stdin, which must not be a terminal (ERR_USAGE). Reads the header. */
int stream_in_open(struct stream_in *s, const char *path, struct err *e);
void stream_in_close(struct stream_in *s);

/* act_reader_next, remembering the kinds of records. */
int stream_in_next(struct stream_in *s, struct err *e);

/* The ERR_DATA for a stream without what the tool wants: `what` in words, and the gpt-run selector
   that makes it. Returns -1. */
int stream_in_lacks(const struct stream_in *s, const char *what, const char *selector,
                    struct err *e);

/* Prefixes an error with the stream, the item and the record at hand, unless the reader, which
   names them itself, made it. Returns -1. */
int stream_in_at(const struct stream_in *s, struct err *e);

/* What follows "blocks.<layer>." in a hook point's name, and the layer; the whole name, and -1,
   when the name is not of that form. */
const char *hook_in_block(const char *name, int *layer);

#endif
