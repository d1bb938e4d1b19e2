#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

int io_write_all(int fd, const void *p, size_t n, struct err *e)
{
    const char *s = p;
    while (n > 0) {
        ssize_t w = write(fd, s, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w == 0)
            errno = ENOSPC;
        if (w <= 0)
            return err_sys(e, "write");
        s += w;
        n -= (size_t)w;
    }
    return 0;
}

int io_read_full(int fd, void *p, size_t n, size_t *got, struct err *e)
{
    char *s = p;
    *got = 0;
    while (*got < n) {
        ssize_t r = read(fd, s + *got, n - *got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_sys(e, "read");
        if (r == 0)
            break;
        *got += (size_t)r;
    }
    return 0;
}

int io_slurp(const char *path, size_t max, struct buf *b, struct err *e)
{
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, "%s", path);
    int rc = -1;
    for (;;) {
        size_t got;
        if (mem_grow(&b->p, &b->cap, b->len + 65536, 1, e) ||
            io_read_full(fd, b->p + b->len, b->cap - b->len - 1, &got, e)) {
            err_prefix(e, "%s", path);
            break;
        }
        b->len += got;
        b->p[b->len] = '\0';
        if (b->len > max) {
            err_set(e, ERR_DATA, "%s: larger than the %zu bytes that make sense here", path, max);
            break;
        }
        if (b->len < b->cap - 1) {
            rc = 0;
            break;
        }
    }
    if (fd != STDIN_FILENO)
        close(fd);
    return rc;
}

int io_map_open(struct io_map *m, const char *path, struct err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *m = (struct io_map){0};
    if (fd < 0)
        return err_sys(e, "%s", path);
    int rc = -1;
    if (fstat(fd, &st) != 0) {
        err_sys(e, "%s", path);
    } else if (!S_ISREG(st.st_mode)) {
        err_set(e, ERR_USAGE, "%s: not a regular file", path);
    } else if (st.st_size == 0) {
        m->base = (const unsigned char *)"";
        rc = 0;
    } else {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            err_sys(e, "%s: mmap", path);
        } else {
            m->base = p;
            m->len = (size_t)st.st_size;
            rc = 0;
        }
    }
    close(fd);
    return rc;
}

void io_map_close(struct io_map *m)
{
    if (m->len)
        munmap((void *)(uintptr_t)m->base, m->len);
    *m = (struct io_map){0};
}

int outfile_open(struct outfile *o, const char *path, struct err *e)
{
    *o = (struct outfile){.fd = STDOUT_FILENO};
    if (!path || strcmp(path, "-") == 0)
        return 0;
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        o->fd = open(path, O_WRONLY | O_CLOEXEC);
        return o->fd < 0 ? err_sys(e, "%s", path) : 0;
    }
    size_t n = strlen(path) + 8;
    o->path = mem_strdup(path, e);
    o->tmp = mem_alloc(n, 1, e);
    if (!o->path || !o->tmp) {
        outfile_abort(o);
        return -1;
    }
    snprintf(o->tmp, n, "%s.XXXXXX", path);
    o->fd = mkstemp(o->tmp);
    if (o->fd < 0) {
        err_sys(e, "%s", path);
        free(o->tmp);
        o->tmp = NULL;
        outfile_abort(o);
        return -1;
    }
    mode_t mask = umask(0);
    umask(mask);
    if (fchmod(o->fd, 0666 & ~mask) != 0) {
        err_sys(e, "%s", path);
        outfile_abort(o);
        return -1;
    }
    return 0;
}

static void outfile_forget(struct outfile *o)
{
    free(o->path);
    free(o->tmp);
    *o = (struct outfile){.fd = -1};
}

int outfile_commit(struct outfile *o, struct err *e)
{
    int rc = 0;
    if (o->fd != STDOUT_FILENO && close(o->fd) != 0)
        rc = err_sys(e, "%s", o->path ? o->path : "output");
    if (rc == 0 && o->tmp && rename(o->tmp, o->path) != 0)
        rc = err_sys(e, "%s", o->path);
    if (rc != 0 && o->tmp)
        unlink(o->tmp);
    outfile_forget(o);
    return rc;
}

/* The folder's entry for `path`, so that the rename lasts. Some file systems refuse to sync a
   folder; then there is no more to be done. */
static void sync_folder(const char *path)
{
    struct err e;
    const char *slash = strrchr(path, '/');
    char *folder = slash ? mem_strndup(path, (size_t)(slash - path) + 1, &e) : mem_strdup(".", &e);
    int fd = folder ? open(folder, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

int outfile_commit_synced(struct outfile *o, struct err *e)
{
    struct err none;
    if (!o->tmp)
        return outfile_commit(o, e);
    if (fsync(o->fd) != 0) {
        err_sys(e, "%s", o->path);
        outfile_abort(o);
        return -1;
    }
    char *path = mem_strdup(o->path, &none);
    int rc = outfile_commit(o, e);
    if (rc == 0 && path)
        sync_folder(path);
    free(path);
    return rc;
}

void outfile_abort(struct outfile *o)
{
    if (o->fd >= 0 && o->fd != STDOUT_FILENO)
        close(o->fd);
    if (o->tmp)
        unlink(o->tmp);
    outfile_forget(o);
}
