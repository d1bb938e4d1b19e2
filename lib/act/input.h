/* input.h - a file descriptor read through a buffer, with skipping: seeks where that is possible,
   reads on where it is not. */
#ifndef ACT_INPUT_H
#define ACT_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct input {
    int fd;
    bool seekable;
    unsigned char *p; /* owned; bytes [at, len) are not yet consumed */
    size_t at, len;
    uint64_t offset; /* bytes consumed since input_open */
};

int input_open(struct input *in, int fd, struct err *e);
void input_release(struct input *in); /* does not close the fd */

/* Up to n bytes; *got < n only at the end of the input. */
int input_read(struct input *in, void *to, size_t n, size_t *got, struct err *e);

/* Passes n bytes; *got < n only at the end of the input (also when seeking). */
int input_skip(struct input *in, uint64_t n, uint64_t *got, struct err *e);

#endif
