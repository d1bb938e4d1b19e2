/* Pickles, bare (meta.pkl) or in a torch archive (ckpt.pt): any bytes give a tree or a message, and
   no tensor reaches outside the archive. */
#include <stdlib.h>

#include "gpt/torch.h"

int fuzz_one(const unsigned char *data, size_t n);

static bool any(const char *name)
{
    return name[0] != '-';
}

/* Every value of a tensor that is small enough to be copied. */
static void read_values(const struct tensor *t)
{
    struct gpt_store store = {0};
    struct err e;
    if (t->n_dims == 1 || t->n_dims == 2) {
        uint64_t count = t->n_dims == 2 ? t->size[0] * t->size[1] : t->size[0];
        if (t->size[0] < 4096 && (t->n_dims == 1 || t->size[1] < 4096)) {
            const float *v = tensor_floats(t, t->n_dims, t->size, &store, &e);
            volatile float sum = 0;
            for (uint64_t i = 0; v && i < count; i++)
                sum = sum + v[i];
        }
    }
    store_release(&store);
}

static void read_archive(const unsigned char *data, size_t n)
{
    struct err e = {0};
    struct io_map m = {data, n};
    struct tensor_set set = {0};
    struct torch_archive *a = torch_open(&m, "fuzz", &e);
    if (!a && !e.msg[0])
        abort();
    const struct pickle_value *model = a ? pickle_get(torch_root(a), "model") : NULL;
    if (a && !model)
        model = torch_root(a);
    if (model && model->kind == PICKLE_DICT)
        torch_tensors(a, model, any, &set, &e);
    for (size_t i = 0; i < set.n; i++)
        read_values(&set.t[i]);
    tensor_set_release(&set);
    torch_close(a);
}

int fuzz_one(const unsigned char *data, size_t n)
{
    struct err e = {0};
    if (torch_is(data, n)) {
        read_archive(data, n);
        return 0;
    }
    struct pickle *p = pickle_parse(data, n, "fuzz", &e);
    if (!p && !e.msg[0])
        abort();
    const struct pickle_value *itos = p ? pickle_get(pickle_root(p), "itos") : NULL;
    for (size_t i = 0; itos && itos->kind == PICKLE_DICT && i < itos->n; i++) {
        const struct pickle_value *v = itos->item[i];
        volatile char last = 0;
        if (v->kind == PICKLE_STR && v->n)
            last = v->s[v->n - 1];
        (void)last;
    }
    pickle_free(p);
    return 0;
}
