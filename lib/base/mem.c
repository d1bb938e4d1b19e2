#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *mem_alloc(size_t n, size_t size, struct err *e)
{
    size_t bytes;
    void *p = NULL;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX - 64 ||
        posix_memalign(&p, 64, bytes ? bytes : 1) != 0) {
        err_set(e, ERR_SYS, "out of memory: %zu x %zu bytes asked for", n, size);
        return NULL;
    }
    return p;
}

void *mem_calloc(size_t n, size_t size, struct err *e)
{
    void *p = mem_alloc(n, size, e);
    if (p)
        memset(p, 0, n * size);
    return p;
}

int mem_grow(void *p, size_t *cap, size_t need, size_t size, struct err *e)
{
    if (need <= *cap)
        return 0;
    size_t want = *cap < 16 ? 16 : *cap;
    while (want < need && want <= SIZE_MAX / 2)
        want *= 2;
    size_t bytes;
    void *old, *fresh;
    memcpy(&old, p, sizeof old);
    if (want < need || __builtin_mul_overflow(want, size, &bytes) || !(fresh = realloc(old, bytes)))
        return err_set(e, ERR_SYS, "out of memory: %zu x %zu bytes asked for", need, size);
    memcpy(p, &fresh, sizeof fresh);
    *cap = want;
    return 0;
}

char *mem_strndup(const char *s, size_t n, struct err *e)
{
    /* Not mem_alloc: its alignment would double what a short text takes. */
    char *p = n < SIZE_MAX ? malloc(n + 1) : NULL;
    if (!p) {
        err_set(e, ERR_SYS, "out of memory: %zu bytes asked for", n);
        return NULL;
    }
    if (n)
        memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

char *mem_strdup(const char *s, struct err *e)
{
    return mem_strndup(s, strlen(s), e);
}
