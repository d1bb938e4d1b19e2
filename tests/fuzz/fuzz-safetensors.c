/* Safetensors files: any bytes give tensors that lie inside the file, or a message. */
#include <stdlib.h>

#include "gpt/safetensors.h"

int fuzz_one(const unsigned char *data, size_t n);

int fuzz_one(const unsigned char *data, size_t n)
{
    struct err e = {0};
    struct io_map m = {data, n};
    struct tensor_set set = {0};
    struct json *header = safetensors_read(&m, "fuzz", &set, &e);
    if (!header && !e.msg[0])
        abort();
    for (size_t i = 0; header && i < set.n; i++) {
        struct tensor *t = &set.t[i];
        const char *dtype;
        uint64_t count;
        if (tensor_set_strides(t, &count, &e))
            abort();
        size_t bytes = count * tensor_dtype_size(t->dtype, &dtype);
        if (t->bytes < data || bytes > (size_t)(data + n - t->bytes))
            abort();
        struct gpt_store store = {0};
        if (t->n_dims == 1 || t->n_dims == 2)
            tensor_floats(t, t->n_dims, t->size, &store, &e);
        store_release(&store);
    }
    tensor_set_seal(&set, &e);
    tensor_set_release(&set);
    json_free(header);
    return 0;
}
