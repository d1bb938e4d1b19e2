/* tensors.h - the named arrays of a checkpoint where they lie in its files, before anyone asks what
   they mean. Filled by the readers of safetensors and of torch's archives. */
#ifndef GPT_TENSORS_H
#define GPT_TENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gpt/store.h"

enum { TENSOR_MAX_DIMS = 8 };

struct tensor {
    char *name;        /* owned by the set */
    const char *file;  /* for messages; owned by whoever fills the set, outlives it */
    const char *dtype; /* safetensors' name of it ("F32", "BF16", "I64"), a constant */
    int n_dims;
    uint64_t size[TENSOR_MAX_DIMS];
    uint64_t stride[TENSOR_MAX_DIMS]; /* in elements */
    const unsigned char *bytes;       /* of element 0; the reader has checked that all lie inside */
};

struct tensor_set {
    struct tensor *t; /* sorted by name once sealed */
    size_t n, cap;
};

/* Bytes of one element of the dtype named, or 0 when there is no such dtype; *dtype becomes the
   constant. */
size_t tensor_dtype_size(const char *name, const char **dtype);

/* Row-major strides from sizes; *count is the number of elements. ERR_DATA when too many. */
int tensor_set_strides(struct tensor *t, uint64_t *count, struct err *e);

/* Adds a copy of *t, its name taken from `name`. */
int tensor_set_add(struct tensor_set *s, const struct tensor *t, const char *name, struct err *e);
/* Call once after the last add: sorts. Two tensors of one name are ERR_DATA. */
int tensor_set_seal(struct tensor_set *s, struct err *e);
const struct tensor *tensor_set_find(const struct tensor_set *s, const char *name);
void tensor_set_release(struct tensor_set *s);

/* The values as float32, row-major: in place when they are so in the file and aligned, otherwise a
   copy in the store. ERR_DATA "FILE: tensor NAME: …" when its sizes are not the n_dims (1 or 2)
   wanted, or its dtype is none of F32, F16, BF16. */
const float *tensor_floats(const struct tensor *t, int n_dims, const uint64_t *want,
                           struct gpt_store *s, struct err *e);

#endif
