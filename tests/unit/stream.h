/* stream.h - streams in memory, for tests: written through a temporary file, read from one or from
   a pipe. Failures of the machine itself end the program. */
#ifndef TESTS_UNIT_STREAM_H
#define TESTS_UNIT_STREAM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "act/reader.h"
#include "act/writer.h"
#include "base/bytes.h"
#include "base/io.h"

struct bytes {
    unsigned char *p;
    size_t n;
};

static inline void must(int ok, const char *what)
{
    if (ok)
        return;
    printf("Bail out! %s\n", what);
    exit(99);
}

/* Everything that was written to the file since it was opened. */
static inline struct bytes bytes_of(FILE *f)
{
    struct bytes b = {0};
    off_t end = lseek(fileno(f), 0, SEEK_END);
    must(end >= 0, "lseek");
    b.n = (size_t)end;
    b.p = malloc(b.n + 1);
    must(b.p && pread(fileno(f), b.p, b.n, 0) == (ssize_t)b.n, "pread");
    fclose(f);
    return b;
}

/* An fd from which b can be read. A pipe holds at least 4096 bytes without a reader. */
static inline int bytes_open(struct bytes b, int by_pipe)
{
    struct err e;
    int fd[2];
    if (by_pipe) {
        must(b.n <= 4096 && pipe(fd) == 0 && io_write_all(fd[1], b.p, b.n, &e) == 0, "pipe");
        close(fd[1]);
        return fd[0];
    }
    FILE *f = tmpfile();
    must(f && io_write_all(fileno(f), b.p, b.n, &e) == 0, "tmpfile");
    fd[0] = dup(fileno(f));
    must(fd[0] >= 0 && lseek(fd[0], 0, SEEK_SET) == 0, "dup");
    fclose(f);
    return fd[0];
}

/* Reads the stream to its END; verify: decodes all values, else they are skipped. 0 or -1. */
static inline int bytes_check(struct bytes b, int by_pipe, int verify, struct err *e)
{
    int fd = bytes_open(b, by_pipe), event = -1;
    *e = (struct err){0};
    struct act_reader *r = act_reader_open(fd, "test", e);
    if (r && verify)
        act_reader_verify(r);
    while (r && (event = act_reader_next(r, e)) > 0)
        ;
    act_reader_free(r);
    close(fd);
    return event;
}

/* The small stream that docs/FORMAT.md shows: one item of two tokens with two records. */
static inline void small_stream(int fd)
{
    struct err e = {0};
    struct act_header h = {0};
    must(act_header_set(&h, "model", "c0ffee", &e) == 0 &&
             act_header_add_history(&h, "gpt-run -p 'Hi'", &e) == 0,
         "header");
    struct act_writer *w = act_writer_open(fd, &h, 1, &e);
    must(w != NULL, "writer");
    char label[] = "greeting", text[] = "Hi", none[] = "";
    struct act_item it = {.label = label,
                          .n_tokens = 2,
                          .tokens = (int32_t[]){39, 72},
                          .piece = (uint32_t[]){0, 1, 2},
                          .text = text,
                          .edits = none,
                          .meta = none};
    struct act_record scale = {.name = "ln_final.hook_scale",
                               .dtype = ACT_F32,
                               .n_dims = 2,
                               .dims = {{"pos", 2, 0, NULL}, {"scale", 1, 0, NULL}}};
    struct act_record pattern = {
        .name = "blocks.0.attn.hook_pattern",
        .dtype = ACT_F16,
        .n_dims = 3,
        .dims = {{"head", 1, 0, (int32_t[]){3}}, {"query", 7, 0, NULL}, {"key", 7, 0, NULL}}};
    float values[49] = {0}, one[2] = {1.0f, 1.5f};
    for (int q = 0; q < 7; q++)
        for (int k = 0; k <= q; k++)
            values[7 * q + k] = 1.0f / (float)(q + 1);
    must(act_write_item(w, &it, &e) == 0 && act_write_record(w, &scale, one, &e) == 0 &&
             act_write_record(w, &pattern, values, &e) == 0 && act_writer_finish(w, &e) == 0,
         "stream");
    act_writer_free(w);
    act_header_release(&h);
}

#endif
