/* buf.h - a growable byte string. `p` is always NUL-terminated once anything was added. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>

#include "base/err.h"

struct buf {
    char *p; /* owned; NULL while empty */
    size_t len, cap;
};

int buf_add(struct buf *b, const void *data, size_t n, struct err *e);
int buf_puts(struct buf *b, const char *s, struct err *e);
__attribute__((format(printf, 3, 4))) int buf_printf(struct buf *b, struct err *e, const char *fmt,
                                                     ...);
void buf_release(struct buf *b); /* frees and empties */

/* Appends s[0..n) with backslash, tab, newline, return and other control bytes escaped as C
   does (\\ \t \n \r \xNN), so that any text fits in one TSV field. */
int buf_escape(struct buf *b, const char *s, size_t n, struct err *e);

#endif
