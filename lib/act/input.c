#include "act/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"

#define BUFFER ((size_t)1 << 16) /* a pipe's usual size: more would not come at once */

int input_open(struct input *in, int fd, struct err *e)
{
    struct stat st;
    *in = (struct input){.fd = fd};
    in->seekable =
        fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && lseek(fd, 0, SEEK_CUR) != (off_t)-1;
    in->p = mem_alloc(BUFFER, 1, e);
    return in->p ? 0 : -1;
}

void input_release(struct input *in)
{
    free(in->p);
    *in = (struct input){.fd = -1};
}

/* Takes up to n bytes of what is buffered; `to` may be NULL. */
static size_t drain(struct input *in, void *to, uint64_t n)
{
    size_t m = in->len - in->at;
    if (m > n)
        m = (size_t)n;
    if (to && m)
        memcpy(to, in->p + in->at, m);
    in->at += m;
    in->offset += m;
    return m;
}

static int refill(struct input *in, struct err *e)
{
    ssize_t r;
    in->at = in->len = 0;
    do /* takes what a pipe has: waiting for a full buffer would stall a live pipeline */
        r = read(in->fd, in->p, BUFFER);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return err_sys(e, "read");
    in->len = (size_t)r;
    return 0;
}

/* Goes on taking by the buffer until *got is n or the input ends. */
static int take(struct input *in, char *to, uint64_t n, uint64_t *got, struct err *e)
{
    while (*got < n) {
        if (refill(in, e))
            return -1;
        if (in->len == 0)
            return 0;
        *got += drain(in, to ? to + *got : NULL, n - *got);
    }
    return 0;
}

int input_read(struct input *in, void *to, size_t n, size_t *got, struct err *e)
{
    char *out = to;
    *got = drain(in, out, n);
    if (n - *got >= BUFFER) {
        size_t direct;
        if (io_read_full(in->fd, out + *got, n - *got, &direct, e))
            return -1;
        *got += direct;
        in->offset += direct;
        return 0;
    }
    uint64_t all = *got;
    int rc = take(in, out, n, &all, e);
    *got = (size_t)all;
    return rc;
}

/* A seek goes beyond the end without complaint, so the file's size is asked for. */
static int seek(struct input *in, uint64_t n, uint64_t *got, struct err *e)
{
    struct stat st;
    off_t from = lseek(in->fd, 0, SEEK_CUR);
    if (from == (off_t)-1 || fstat(in->fd, &st) != 0)
        return err_sys(e, "seek");
    uint64_t left = st.st_size > from ? (uint64_t)(st.st_size - from) : 0;
    *got = n < left ? n : left;
    if (lseek(in->fd, (off_t)*got, SEEK_CUR) == (off_t)-1)
        return err_sys(e, "seek");
    in->offset += *got;
    return 0;
}

int input_skip(struct input *in, uint64_t n, uint64_t *got, struct err *e)
{
    uint64_t more = 0;
    *got = drain(in, NULL, n);
    if (*got < n && in->seekable) {
        if (seek(in, n - *got, &more, e))
            return -1;
        *got += more;
        return 0;
    }
    return take(in, NULL, n, got, e);
}
