/* Replays files through a fuzz target: the given ones (folders: their files), or, for the program
   fuzz-NAME, tests/fuzz/corpus/NAME and tests/golden, each file also cut and changed in a fixed set
   of ways. TAP on stdout. A fuzzer that looks for inputs itself takes the same target without this
   file: clang -fsanitize=fuzzer,address -Dfuzz_one=LLVMFuzzerTestOneInput tests/fuzz/fuzz-NAME.c
   and the library's sources. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"

int fuzz_one(const unsigned char *data, size_t n);

#define FILE_MAX_BYTES ((size_t)1 << 24)
#define VARIANTS 32

static int number;

/* The bytes and, so that every run of the tests is a little fuzzing too, bytes made from them. An
   exact copy in its own allocation, so that a sanitizer sees one byte too many. */
static void replay(const char *path, const struct buf *b)
{
    uint32_t x = 2463534242u;
    for (int v = 0; v <= VARIANTS; v++) {
        unsigned char *data = malloc(b->len + (b->len == 0));
        if (!data)
            abort();
        size_t n = b->len;
        if (n)
            memcpy(data, b->p, n);
        for (int k = 0; k < v && n; k++) { /* the more, the later */
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            data[x % n] = (unsigned char)(v % 4 ? data[x % n] ^ 1u << (x >> 28 & 7) : x >> 20);
        }
        if (v % 8 == 7)
            n = n * (size_t)(v / 8) / 4;
        fuzz_one(data, n);
        free(data);
    }
    printf("ok %d - %s\n", ++number, path);
}

static int visit(const char *path)
{
    struct err e;
    DIR *d = opendir(path);
    if (!d) {
        struct buf b = {0};
        int rc = io_slurp(path, FILE_MAX_BYTES, &b, &e);
        if (rc)
            printf("not ok %d - %s\n", ++number, e.msg);
        else
            replay(path, &b);
        buf_release(&b);
        return rc;
    }
    int rc = 0;
    for (struct dirent *f; (f = readdir(d));) {
        char name[4096];
        if (f->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, f->d_name);
        rc |= visit(name);
    }
    closedir(d);
    return rc;
}

int main(int argc, char **argv)
{
    int rc = 0;
    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
    for (int i = 1; i < argc; i++)
        rc |= visit(argv[i]);
    if (argc == 1) {
        char corpus[256];
        snprintf(corpus, sizeof corpus, "tests/fuzz/corpus/%s",
                 strncmp(name, "fuzz-", 5) == 0 ? name + 5 : name);
        DIR *d = opendir(corpus);
        if (d) {
            closedir(d);
            rc |= visit(corpus);
        }
        rc |= visit("tests/golden");
    }
    printf("1..%d\n", number);
    return rc != 0;
}
