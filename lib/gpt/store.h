/* store.h - what stands behind a model's pointers: mapped files, and copies of those weights that
   could not be used in place. Private to the code that opens models. */
#ifndef GPT_STORE_H
#define GPT_STORE_H

#include "base/err.h"
#include "base/io.h"

struct gpt_file {
    struct io_map map;
    char *path;
};

struct gpt_store {
    struct gpt_file *file;
    size_t n_files, cap_files;
    float **copy;
    size_t n_copies, cap_copies;
};

/* Maps a file; its bytes and path (in *f, a view) stay as long as the store lives. */
int store_map(struct gpt_store *s, const char *path, struct gpt_file *f, struct err *e);
/* Room for n floats that lives as long as the store; NULL when out of memory. */
float *store_floats(struct gpt_store *s, size_t n, struct err *e);
/* Unmaps and frees everything. */
void store_release(struct gpt_store *s);

#endif
