/* lines.h - text read from a file or standard input, by lines or by pieces, in bounded memory. A
   read asks for no more than has come, so a line of a slow pipe is there as soon as it is sent. */
#ifndef BASE_LINES_H
#define BASE_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct lines {
    int fd;           /* -1: closed */
    const char *name; /* for messages: the path, or "standard input" */
    char *p;          /* owned; the bytes that were read and not yet taken are p[at..len) */
    size_t at, len, cap;
    bool eof;
    size_t number; /* lines taken whole */
    size_t column; /* bytes taken of the line after them */
};

/* path "-" is standard input; another path must outlive *l, as l->name is it. */
int lines_open(struct lines *l, const char *path, struct err *e);
void lines_close(struct lines *l);

/* The bytes that come next, not taken: at least `want` unless the file ends before. They are valid
   until the next call. */
int lines_peek(struct lines *l, size_t want, const char **p, size_t *n, struct err *e);
/* Takes n of the bytes that lines_peek gave. */
void lines_skip(struct lines *l, size_t n);

/* Takes the next line, without its '\n'; valid until the next call. 1; 0 at the end; -1, also when
   a line is longer than max (ERR_DATA). */
int lines_next(struct lines *l, size_t max, const char **p, size_t *n, struct err *e);

#endif
