/* npz.h - NumPy's .npz: .npy arrays in a zip archive, both ways. */
#ifndef ACT_NPZ_H
#define ACT_NPZ_H

#include "act/act.h"
#include "act/npy.h"

struct npz_array {
    char *name; /* the member's, without ".npy" */
    struct npy_header npy;
};

/* An archive open for reading. Members that are no .npy are passed over; an .npy header that is not
   right is ERR_DATA, whoever asks for it. */
struct npz;
struct npz *npz_open(const char *path, struct err *e);
void npz_close(struct npz *z); /* NULL is fine */
const char *npz_path(const struct npz *z);

size_t npz_count(const struct npz *z);
const struct npz_array *npz_array(const struct npz *z, size_t i);
/* Index of the array, or -1. */
int64_t npz_find(const struct npz *z, const char *name);

/* Can the values be read? ERR_DATA naming the dtype, or column-major order, when not. */
int npz_check(const struct npz *z, size_t i, struct err *e);
/* Values first .. first+n of array i, in C order: float for floating dtypes (f8 is rounded),
   int32_t for integers (see npy_convert). Nothing large is held: stored members are read in place,
   of compressed ones a forward-going reader inflates each byte once. The CRC of a stored member is
   checked before its first use, that of a compressed one with its last byte. */
int npz_values(struct npz *z, size_t i, uint64_t first, size_t n, void *values, struct err *e);

/* Writing: stored, zip64 where needed, to a file or a pipe. F32 as <f4, F16 as <f2, BF16 as <f4
   (NumPy has none; exact), I32 as <i4. */
struct npz_writer;
struct npz_writer *npz_writer_open(int fd, struct err *e);
/* Begins an array; its product of dims values follow in any number of pieces (float, or int32_t
   for I32). */
int npz_write_begin(struct npz_writer *w, const char *name, enum act_dtype t, const uint64_t *dims,
                    int n_dims, struct err *e);
int npz_write_values(struct npz_writer *w, const void *values, size_t n, struct err *e);
int npz_writer_finish(struct npz_writer *w, struct err *e);
void npz_writer_free(struct npz_writer *w); /* NULL is fine */

#endif
