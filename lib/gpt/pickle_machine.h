/* pickle_machine.h - the stack machine inside pickle.c: nodes, stack, memo. Private to pickle*.c.
 */
#ifndef GPT_PICKLE_MACHINE_H
#define GPT_PICKLE_MACHINE_H

#include "gpt/pickle.h"

/* Nodes, memo slots and stack depth: GPT-2 XL with its optimizer needs about 60,000 nodes. */
enum { PICKLE_MAX = 1 << 20 };

struct pickle {
    const unsigned char *bytes;
    size_t n, pos, at; /* at: where the current opcode stands */
    const char *name;
    struct err *e;
    struct pickle_value **chunk, **stack, **memo;
    size_t n_chunks, cap_chunks, n_nodes, n_stack, cap_stack, n_memo, cap_memo;
    struct pickle_value *root; /* set by STOP */
};

/* Fails with "NAME: byte N: why"; returns -1. */
int pickle_bad(struct pickle *p, const char *why);

struct pickle_value *pickle_new(struct pickle *p, enum pickle_kind kind); /* NULL on failure */
int pickle_push(struct pickle *p, struct pickle_value *v);                /* -1 when v is NULL */
int pickle_push_new(struct pickle *p, enum pickle_kind kind, int64_t i);
/* A class or function by its name: only those of enum pickle_global. */
int pickle_push_named(struct pickle *p, const char *module, size_t n_module, const char *name,
                      size_t n_name);

/* The value `down` places below the top; NULL with an error when there is none, or a mark. */
struct pickle_value *pickle_peek(struct pickle *p, size_t down);
struct pickle_value *pickle_pop(struct pickle *p);
/* The stack index behind the topmost mark; 0 with an error when there is no mark. */
size_t pickle_mark(struct pickle *p);
/* Appends stack[first..) to v's items and takes it, and `marks` marks below it, off the stack. */
int pickle_take(struct pickle *p, struct pickle_value *v, size_t first, size_t marks);

#endif
