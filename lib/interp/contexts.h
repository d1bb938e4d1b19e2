/* contexts.h - tokens in context that several tables point to: a pool of small texts with
   reference counts, so that memory is what the tables hold and not what went by. */
#ifndef INTERP_CONTEXTS_H
#define INTERP_CONTEXTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A part longer than this is cut, at its far end from the token; nothing follows a token that is.
 */
#define CONTEXT_PART_MAX 512

struct context {
    uint64_t item;
    uint32_t pos;
    uint32_t refs;   /* 0: a free slot; pos is then the next free one */
    uint16_t len[3]; /* bytes before, of, and after the token */
    char *text;      /* the three parts, one after the other */
};

struct contexts {
    struct context *slot;
    size_t n, cap;
    uint32_t free_slot; /* first of the chain of free slots, or UINT32_MAX; zeroed struct + init */
};

void contexts_init(struct contexts *c);
void contexts_release(struct contexts *c);

/* A new context with one reference; *tag names it. text holds len[0] bytes before the token, len[1]
   of it, len[2] after it. ERR_SYS when out of memory or of tags. */
int contexts_add(struct contexts *c, uint64_t item, uint32_t pos, const char *text,
                 const size_t len[3], uint32_t *tag, struct err *e);
void contexts_ref(struct contexts *c, uint32_t tag);
void contexts_unref(struct contexts *c, uint32_t tag);

#endif
