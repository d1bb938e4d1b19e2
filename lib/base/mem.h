/* mem.h - checked allocation. Every size product is tested for overflow before it is used. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#include "base/err.h"

/* n*size bytes, zeroed, aligned to 64 (a cache line, and an AVX-512 register). NULL with *e set
   (ERR_SYS) when out of memory. n*size == 0 gives a valid pointer. Free with free(). */
void *mem_calloc(size_t n, size_t size, struct err *e);

/* The same, not zeroed. */
void *mem_alloc(size_t n, size_t size, struct err *e);

/* Grows the array *p of elements of `size` bytes so that it holds at least `need` of them;
 *cap is its capacity in elements. 0, or -1 with *p untouched. */
int mem_grow(void *p, size_t *cap, size_t need, size_t size, struct err *e);

/* A copy of the string s[0..n), NUL-terminated. Free with free(). */
char *mem_strndup(const char *s, size_t n, struct err *e);
char *mem_strdup(const char *s, struct err *e);

#endif
