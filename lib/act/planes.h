/* planes.h - a block's values as byte planes, and its runs of one repeated value. Values are
   little-endian words of 4 or 2 bytes; `rotate` turns each left by one bit first, so that the
   exponent of a float fills one byte. Bytes: docs/FORMAT.md, "Codecs". */
#ifndef ACT_PLANES_H
#define ACT_PLANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* to[k * n + i] = byte k of value i, the most significant byte being k = 0. */
void planes_split(unsigned char *restrict to, const void *restrict values, size_t n, size_t width,
                  bool rotate);

/* The inverse; plane[k] is the plane of byte k. */
void planes_merge(void *restrict values, const unsigned char *const plane[4], size_t n,
                  size_t width, bool rotate);

struct runs {
    uint32_t fill;   /* the repeated value's bits */
    size_t literals; /* values that are not in a run */
    size_t bytes;    /* of the list of run lengths */
};

/* If a good part of the n values are runs of one same value (masked scores, zeros), moves the
   others to `literals` (room for n), writes the run lengths to `list` and returns true. `list` has
   room for RUNS_LIST_MAX(n) bytes; a longer list does not pay and gives false. */
#define RUNS_LIST_MAX(n) ((n) / 4 + 16)
bool runs_find(struct runs *r, void *restrict literals, unsigned char *restrict list,
               const void *restrict values, size_t n, size_t width);

/* The inverse: n values from r->literals ones and the list. False when the list is not a valid one
   for exactly these numbers; only values[0..n) is written whatever the list. */
bool runs_expand(void *restrict values, const struct runs *r, const void *restrict literals,
                 const unsigned char *list, size_t n, size_t width);

#endif
