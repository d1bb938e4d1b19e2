/* files.h - a temporary folder for unit tests, and whole files in and out of it. */
#ifndef TESTS_UNIT_FILES_H
#define TESTS_UNIT_FILES_H

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "test.h"

static char files_dir[256];

static inline void files_begin(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(files_dir, sizeof files_dir, "%s/actutils.XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(files_dir)) {
        perror(files_dir);
        exit(1);
    }
}

/* Removes every file of the folder, not folders in it. */
static inline void files_clear(void)
{
    char path[600];
    DIR *d = opendir(files_dir);
    for (struct dirent *f; d && (f = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s", files_dir, f->d_name);
        if (f->d_name[0] != '.')
            unlink(path);
    }
    if (d)
        closedir(d);
}

static inline void files_end(void)
{
    files_clear();
    rmdir(files_dir);
}

/* Path of a file in the folder; valid until the call after the next. */
static inline const char *files_path(const char *name)
{
    static char path[2][512];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", files_dir, name);
    return path[turn];
}

static inline void files_put(const char *name, const void *p, size_t n)
{
    FILE *f = fopen(files_path(name), "wb");
    CHECK(f && fwrite(p, 1, n, f) == n);
    if (f)
        fclose(f);
}

static inline void files_put_text(const char *name, const char *text)
{
    files_put(name, text, strlen(text));
}

/* The bytes of any file; release b. */
static inline struct buf files_get(const char *path)
{
    struct buf b = {0};
    struct err e = {0};
    CHECK(io_slurp(path, (size_t)1 << 30, &b, &e) == 0);
    return b;
}

static inline void files_copy(const char *from, const char *name)
{
    struct buf b = files_get(from);
    files_put(name, b.p, b.len);
    buf_release(&b);
}

#endif
