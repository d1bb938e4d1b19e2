/* npy.h - the header of NumPy's .npy arrays (numpy/lib/format.py, versions 1 to 3), both ways, and
   their values as ours. */
#ifndef ACT_NPY_H
#define ACT_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define NPY_MAX_DIMS 8
#define NPY_DESCR_MAX 16
#define NPY_HEADER_MAX 10240 /* NumPy itself refuses headers over 10000 characters */

enum npy_type {
    NPY_OTHER, /* text, objects, complex, structures, big-endian: cannot be read as values */
    NPY_B1,
    NPY_I1,
    NPY_U1,
    NPY_I2,
    NPY_U2,
    NPY_I4,
    NPY_U4,
    NPY_I8,
    NPY_U8,
    NPY_F2,
    NPY_F4,
    NPY_F8,
};

struct npy_header {
    enum npy_type type;
    char descr[NPY_DESCR_MAX]; /* the dtype as the file names it: "<f4" (cut, for messages) */
    size_t width;              /* bytes of a value; 0 for NPY_OTHER */
    bool fortran;              /* column-major */
    int n_dims;
    uint64_t dims[NPY_MAX_DIMS];
    uint64_t count; /* values */
    uint64_t start; /* offset of the first value in the file */
};

/* Parses the first n bytes of an .npy file of `size` bytes in all (n: at least NPY_HEADER_MAX or
   the whole file). ERR_DATA when it is none, or when its size is not what the shape says. A dtype
   that cannot be read is no error here: type says NPY_OTHER. */
int npy_parse(struct npy_header *h, const unsigned char *p, size_t n, uint64_t size, struct err *e);

/* Appends a header (version 1, C order, values aligned to 64 bytes as NumPy does). */
int npy_format(struct buf *b, const char *descr, const uint64_t *dims, int n_dims, struct err *e);

/* n values of type t at p (any alignment) -> float for F2, F4, F8 (rounded to nearest), int32_t for
   the others (a value that does not fit is ERR_DATA). */
int npy_convert(enum npy_type t, const unsigned char *p, size_t n, void *to, struct err *e);
bool npy_is_float(enum npy_type t);

#endif
