/* npz.h - NumPy's .npy arrays in a zip archive, both ways. */
#ifndef ACT_NPZ_H
#define ACT_NPZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define NPY_MAX_DIMS 8

struct npy_array {
    const char *name; /* member name without ".npy"; valid while the archive is open */
    int n_dims;
    uint64_t dims[NPY_MAX_DIMS];
    size_t count;
    bool integer; /* the file's dtype is an integer kind */
};

struct npz; /* an archive open for reading */
struct npz *npz_open(const char *path, struct err *e);
void npz_close(struct npz *z);
size_t npz_count(const struct npz *z);
/* Shape of member i (headers are parsed when the archive is opened). */
const struct npy_array *npz_array(const struct npz *z, size_t i);
const struct npy_array *npz_find(const struct npz *z, const char *name, size_t *i);
/* All values of member i as float (f2, f4, f8, i1..i8, u1..u8, b1 are converted; C order only,
   Fortran order is ERR_DATA). *values is malloc'ed; free it. */
int npz_read(struct npz *z, size_t i, float **values, struct err *e);

#endif
