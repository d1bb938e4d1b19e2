/* spec.h - sets of indices as users write them.

   SPEC = INDEX or A:B, as in Python (half open, negative from the end, either end may be left out),
   several joined by "+":  -1   0+3   10:20   :4+-1
   A set: each element counts once, in the order in which the elements are held. Unlike Python's, an
   index or a range that is empty or reaches beyond what there is, is an error. */
#ifndef BASE_SPEC_H
#define BASE_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct spec_range {
    int64_t from, to; /* as written; to is exclusive */
    bool single, open_from, open_to;
};
struct spec {
    struct spec_range *range; /* owned */
    size_t n;
};

/* text[0..n) -> *s; ERR_USAGE quotes the part that is neither an index nor a range. */
int spec_parse(struct spec *s, const char *text, size_t n, struct err *e);
void spec_release(struct spec *s);

/* Does it hold negative numbers (which need to know the end)? */
bool spec_negative(const struct spec *s);
/* Is i in it? Without negative numbers only. */
bool spec_has(const struct spec *s, uint64_t i);

/* Is something of each of its parts below n? Without negative numbers only. */
bool spec_within(const struct spec *s, uint64_t n);

/* Marks (1, else 0) which of `size` elements are meant; element i has the coordinate
   at ? at[i] : start + i, and -1 is the last element. `what` names the axis in messages. */
int spec_mark(const struct spec *s, const char *what, int32_t start, const int32_t *at,
              uint32_t size, unsigned char *in, struct err *e);

#endif
