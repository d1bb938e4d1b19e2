#include "base/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { READ_SIZE = 1 << 16 };

int lines_open(struct lines *l, const char *path, struct err *e)
{
    bool in = strcmp(path, "-") == 0;
    *l = (struct lines){.fd = in ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC),
                        .name = in ? "standard input" : path};
    return l->fd < 0 ? err_sys(e, "%s", path) : 0;
}

void lines_close(struct lines *l)
{
    if (l->fd >= 0 && l->fd != STDIN_FILENO)
        close(l->fd);
    free(l->p);
    *l = (struct lines){.fd = -1};
}

/* One read; room is made by moving the rest to the front, or by growing. */
static int fill(struct lines *l, struct err *e)
{
    if (l->at > 0) {
        memmove(l->p, l->p + l->at, l->len - l->at);
        l->len -= l->at;
        l->at = 0;
    }
    if (mem_grow(&l->p, &l->cap, l->len + READ_SIZE, 1, e))
        return err_prefix(e, "%s", l->name);
    ssize_t r;
    do
        r = read(l->fd, l->p + l->len, l->cap - l->len);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return err_sys(e, "%s: read", l->name);
    l->eof = r == 0;
    l->len += (size_t)r;
    return 0;
}

int lines_peek(struct lines *l, size_t want, const char **p, size_t *n, struct err *e)
{
    while (l->len - l->at < want && !l->eof)
        if (fill(l, e))
            return -1;
    *p = l->p ? l->p + l->at : "";
    *n = l->len - l->at;
    return 0;
}

void lines_skip(struct lines *l, size_t n)
{
    const char *p = l->p + l->at, *end = p + n, *nl;
    while (p < end && (nl = memchr(p, '\n', (size_t)(end - p)))) {
        l->number++;
        l->column = 0;
        p = nl + 1;
    }
    l->column += n ? (size_t)(end - p) : 0;
    l->at += n;
}

int lines_next(struct lines *l, size_t max, const char **p, size_t *n, struct err *e)
{
    size_t seen = 0, have;
    for (;;) {
        if (lines_peek(l, seen + 1, p, &have, e))
            return -1;
        const char *nl = have > seen ? memchr(*p + seen, '\n', have - seen) : NULL;
        *n = nl ? (size_t)(nl - *p) : have;
        if (*n > max)
            return err_set(e, ERR_DATA, "%s:%zu: the line has more than %zu bytes", l->name,
                           l->number + 1, max);
        if (nl || have == seen) {
            lines_skip(l, *n + (nl != NULL));
            return nl || *n;
        }
        seen = have;
    }
}
