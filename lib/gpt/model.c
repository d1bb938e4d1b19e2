#include "gpt/model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "gpt/model_parts.h"
#include "gpt/safetensors.h"
#include "gpt/torch.h"

int model_load_file(struct gpt_model *m, const char *path, struct gpt_source *src, struct err *e)
{
    struct gpt_file f;
    if (store_map(m->store, path, &f, e))
        return -1;
    if (torch_is(f.map.base, f.map.len))
        return model_load_torch(m, &f, src, e);
    if (safetensors_is(f.map.base, f.map.len))
        return model_load_safetensors(m, &f, src, e);
    const char *what = sniff_kind(f.map.base, f.map.len);
    if (f.map.len && f.map.base[0] == '{')
        what = "JSON text: name the folder that holds the weights, or the weights";
    if (what)
        return err_set(e, ERR_DATA, "%s is %s", path, what);
    return err_set(e, ERR_DATA,
                   "%s: not a model: neither a torch checkpoint (zip) nor a safetensors file",
                   path);
}

/* For a folder without weights that we read: what else is there. */
static int no_weights(const char *folder, struct err *e)
{
    static const struct {
        const char *name, *kind;
    } other[] = {
        {"pytorch_model.bin.index.json", "sharded PyTorch weights: convert them to safetensors"},
        {"tf_model.h5", "TensorFlow weights: convert them to safetensors"},
        {"model.ckpt.index", "a TensorFlow checkpoint: convert it to safetensors"},
        {"flax_model.msgpack", "Flax weights: convert them to safetensors"},
    };
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (model_has(folder, other[i].name))
            return err_set(e, ERR_DATA, "%s: no model that is read here, only %s (%s)", folder,
                           other[i].name, other[i].kind);
    return err_set(e, ERR_DATA,
                   "%s: no model in this folder: looked for model.safetensors, "
                   "model.safetensors.index.json, ckpt.pt, pytorch_model.bin",
                   folder);
}

int model_load_folder(struct gpt_model *m, const char *folder, struct gpt_source *src,
                      struct err *e)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json",
                                        "ckpt.pt", "pytorch_model.bin"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!model_has(folder, names[i]))
            continue;
        if (i == 1)
            return model_load_shards(m, folder, src, e);
        char *path = model_path(folder, names[i], e);
        int rc = path ? model_load_file(m, path, src, e) : -1;
        free(path);
        return rc;
    }
    return no_weights(folder, e);
}

/* nanoGPT pads the embedding, so it may have rows that are no token; never the other way. */
static int check_vocab(const struct gpt_model *m, struct err *e)
{
    if (!m->vocab || vocab_size(m->vocab) <= (size_t)m->cfg.d_vocab)
        return 0;
    return err_set(e, ERR_DATA, "%s: its vocabulary has %zu tokens, but its embedding %d", m->name,
                   vocab_size(m->vocab), m->cfg.d_vocab);
}

struct gpt_model *gpt_open(const char *path, struct err *e)
{
    struct stat st;
    struct gpt_source src = {0};
    struct gpt_model *m = mem_calloc(1, sizeof *m, e);
    if (!m)
        return NULL;
    m->store = mem_calloc(1, sizeof *m->store, e);
    m->name = mem_strdup(path, e);
    int rc = m->store && m->name ? 0 : -1;
    if (rc == 0 && stat(path, &st) != 0)
        rc = err_sys(e, "%s", path);
    if (rc == 0)
        rc = S_ISDIR(st.st_mode) ? model_load_folder(m, path, &src, e)
                                 : model_load_file(m, path, &src, e);
    if (rc || model_wire(m, &src, e) || check_vocab(m, e) || model_fingerprint(m, e)) {
        gpt_close(m);
        m = NULL;
    }
    tensor_set_release(&src.tensors);
    return m;
}

struct vocab *gpt_open_vocab(const char *path, struct err *e)
{
    struct gpt_model folder = {0};
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode) && model_read_vocab(&folder, path, e))
        return NULL;
    if (folder.vocab)
        return folder.vocab;
    struct gpt_model *m = gpt_open(path, e);
    if (!m)
        return NULL;
    struct vocab *v = m->vocab;
    m->vocab = NULL;
    gpt_close(m);
    if (!v)
        err_set(e, ERR_DATA, "%s: a model without a vocabulary", path);
    return v;
}

void gpt_close(struct gpt_model *m)
{
    if (!m)
        return;
    if (m->store)
        store_release(m->store);
    vocab_free(m->vocab);
    free(m->store);
    free(m->layer);
    free(m->name);
    free(m);
}
