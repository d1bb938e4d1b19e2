/* NumPy array headers and values: npy_parse and npy_convert on any bytes. */
#include <stdlib.h>

#include "act/npy.h"

int fuzz_one(const unsigned char *data, size_t n);

int fuzz_one(const unsigned char *data, size_t n)
{
    struct npy_header h;
    struct err e;
    size_t head = n < NPY_HEADER_MAX ? n : NPY_HEADER_MAX;
    if (npy_parse(&h, data, head, n, &e) || h.type == NPY_OTHER)
        return 0;
    /* What was taken lies inside the bytes. */
    void *values = malloc(4 * (size_t)h.count + 1);
    if (!values || h.start > n || h.count > (n - h.start) / h.width)
        abort();
    npy_convert(h.type, data + h.start, (size_t)h.count, values, &e);
    free(values);
    return 0;
}
