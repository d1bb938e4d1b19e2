#include "base/lines.h"

#include <stdlib.h>
#include <unistd.h>

#include "test.h"

static struct err e;

/* What the other end of a pipe wrote, and is gone unless `keep`. */
static struct lines pipe_of(const char *text, int *keep)
{
    int fd[2];
    CHECK(pipe(fd) == 0);
    CHECK(write(fd[1], text, strlen(text)) == (ssize_t)strlen(text));
    if (keep)
        *keep = fd[1];
    else
        close(fd[1]);
    return (struct lines){.fd = fd[0], .name = "pipe"};
}

static int next_is(struct lines *l, const char *want)
{
    const char *p;
    size_t n;
    return lines_next(l, 10, &p, &n, &e) == 1 && n == strlen(want) && memcmp(p, want, n) == 0;
}

static void by_lines(void)
{
    struct lines l = pipe_of("one\n\nthree\nend", NULL);
    const char *p;
    size_t n;
    CHECK(next_is(&l, "one") && l.number == 1 && l.column == 0);
    CHECK(next_is(&l, "") && l.number == 2);
    CHECK(next_is(&l, "three") && l.number == 3);
    CHECK(next_is(&l, "end") && l.number == 3 && l.column == 3);
    CHECK(lines_next(&l, 10, &p, &n, &e) == 0);
    CHECK(lines_next(&l, 10, &p, &n, &e) == 0);
    lines_close(&l);
}

static void too_long(void)
{
    struct lines l = pipe_of("ten bytes.\neleven byte\nx", NULL);
    const char *p;
    size_t n;
    CHECK(next_is(&l, "ten bytes."));
    CHECK(lines_next(&l, 10, &p, &n, &e) == -1 && e.kind == ERR_DATA);
    CHECK_STR(e.msg, "pipe:2: the line has more than 10 bytes");
    lines_close(&l);
}

/* A line is given as soon as it was sent, with the writer still there. */
static void no_waiting(void)
{
    int end;
    struct lines l = pipe_of("one\ntw", &end);
    CHECK(next_is(&l, "one"));
    CHECK(write(end, "o\n", 2) == 2);
    CHECK(next_is(&l, "two"));
    close(end);
    lines_close(&l);
}

static void by_pieces(void)
{
    struct lines l = pipe_of("ab\ncdef\ng", NULL);
    const char *p;
    size_t n;
    CHECK(lines_peek(&l, 4, &p, &n, &e) == 0 && n >= 4 && memcmp(p, "ab\ncdef\ng", n) == 0);
    lines_skip(&l, 4);
    CHECK(l.number == 1 && l.column == 1);
    CHECK(lines_peek(&l, 100, &p, &n, &e) == 0 && n == 5 && memcmp(p, "def\ng", 5) == 0);
    lines_skip(&l, 1);
    CHECK(l.number == 1 && l.column == 2);
    lines_skip(&l, 3);
    CHECK(l.number == 2 && l.column == 0);
    lines_skip(&l, 1);
    CHECK(l.number == 2 && l.column == 1);
    CHECK(lines_peek(&l, 1, &p, &n, &e) == 0 && n == 0);
    lines_close(&l);
}

static void errors(void)
{
    struct lines l;
    const char *p;
    size_t n;
    CHECK(lines_open(&l, "/nonexistent/file", &e) == -1 && e.kind == ERR_SYS);
    CHECK_STR(e.msg, "/nonexistent/file: No such file or directory");
    CHECK(lines_open(&l, "/", &e) == 0);
    CHECK(lines_peek(&l, 1, &p, &n, &e) == -1 && e.kind == ERR_SYS);
    CHECK_STR(e.msg, "/: read: Is a directory");
    lines_close(&l);
}

int main(void)
{
    RUN(by_lines);
    RUN(too_long);
    RUN(no_waiting);
    RUN(by_pieces);
    RUN(errors);
    return test_done();
}
