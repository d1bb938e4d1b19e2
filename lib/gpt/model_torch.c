/* torch.save's files: nanoGPT's ckpt.pt, and Hugging Face's pytorch_model.bin. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gpt/model_parts.h"
#include "gpt/torch.h"

/* The vocabulary of GPT-2's BPE, and as nanoGPT pads it to a multiple of 64. */
enum { GPT2_VOCAB = 50257, GPT2_VOCAB_PADDED = 50304, GPT2_END_OF_TEXT = 50256 };

static int get_size(const struct pickle_value *args, const char *key, int *to, const char *path,
                    struct err *e)
{
    const struct pickle_value *v = pickle_get(args, key);
    if (!v)
        return err_set(e, ERR_DATA, "%s: model_args has no %s", path, key);
    if (v->kind != PICKLE_INT || v->i < 1 || v->i > 1 << 24)
        return err_set(e, ERR_DATA, "%s: model_args: %s is not a size", path, key);
    *to = (int)v->i;
    return 0;
}

/* GPTConfig of nanoGPT's model.py. Its GELU is nn.GELU(), the exact one, in every version since
   2023 that has model_args. */
static int use_model_args(struct gpt_model *m, const struct pickle_value *args, const char *path,
                          struct gpt_source *src, struct err *e)
{
    struct gpt_config *c = &m->cfg;
    *c = (struct gpt_config){.act = GPT_GELU_ERF, .eps = 1e-5f, .layer_norm = true, .bos = -1};
    if (get_size(args, "n_layer", &c->n_layer, path, e) ||
        get_size(args, "n_head", &c->n_head, path, e) ||
        get_size(args, "n_embd", &c->d_model, path, e) ||
        get_size(args, "block_size", &c->n_ctx, path, e) ||
        get_size(args, "vocab_size", &c->d_vocab, path, e))
        return -1;
    if (c->d_model <= 1 << 20)
        c->d_mlp = 4 * c->d_model;
    c->d_head = c->d_model / c->n_head;
    if (c->d_vocab == GPT2_VOCAB || c->d_vocab == GPT2_VOCAB_PADDED)
        c->bos = GPT2_END_OF_TEXT;
    const struct pickle_value *bias = pickle_get(args, "bias");
    src->biases = bias && bias->kind == PICKLE_BOOL && bias->i;
    src->linear = true;
    if (gpt_config_check(c, e))
        return err_prefix(e, "%s: model_args", path);
    return 0;
}

/* itos: {0: "\n", 1: " ", …} */
static struct vocab *vocab_of_itos(const struct pickle_value *itos, struct err *e)
{
    size_t n = itos->n / 2;
    struct vocab *v = NULL;
    const char **text = mem_calloc(n, sizeof *text, e);
    size_t *len = mem_calloc(n, sizeof *len, e);
    for (size_t i = 0; text && len && i < n; i++) {
        const struct pickle_value *key = itos->item[2 * i], *value = itos->item[2 * i + 1];
        if (key->kind != PICKLE_INT || key->i < 0 || (uint64_t)key->i >= n || text[key->i] ||
            value->kind != PICKLE_STR) {
            err_set(e, ERR_DATA, "itos is not {0: text, 1: text, …} without gaps");
            goto out;
        }
        text[key->i] = value->s;
        len[key->i] = value->n;
    }
    if (text && len)
        v = vocab_chars(text, len, n, e);
out:
    free(text);
    free(len);
    return v;
}

static int read_meta(struct gpt_model *m, const char *path, struct err *e)
{
    struct io_map map;
    if (io_map_open(&map, path, e))
        return -1;
    struct pickle *p = pickle_parse(map.base, map.len, path, e);
    const struct pickle_value *itos = p ? pickle_get(pickle_root(p), "itos") : NULL;
    if (itos && itos->kind == PICKLE_DICT) {
        m->vocab = vocab_of_itos(itos, e);
        if (!m->vocab)
            err_prefix(e, "%s", path);
    } else if (p) {
        err_set(e, ERR_DATA, "%s: no dict \"itos\" of characters in it", path);
    }
    pickle_free(p);
    io_map_close(&map);
    return m->vocab ? 0 : -1;
}

static int nano_vocab(struct gpt_model *m, const char *folder, struct err *e)
{
    if (model_has(folder, "meta.pkl")) {
        char *path = model_path(folder, "meta.pkl", e);
        int rc = path ? read_meta(m, path, e) : -1;
        free(path);
        return rc;
    }
    return m->cfg.bos == GPT2_END_OF_TEXT ? model_read_vocab(m, folder, e) : 0;
}

/* A state dict saved alone has every weight, but not the number of heads. */
static int no_config(const struct pickle_value *root, const char *path, struct err *e)
{
    if (root->kind != PICKLE_DICT)
        return err_set(e, ERR_DATA, "%s: what was saved in it is no dict", path);
    if (pickle_get(root, "model"))
        return err_set(e, ERR_DATA,
                       "%s: no model_args in it, which nanoGPT's checkpoints have beside model: "
                       "the number of heads is unknown",
                       path);
    return err_set(e, ERR_DATA,
                   "%s: not a nanoGPT checkpoint: neither model nor model_args in it, and no "
                   "config.json beside it (a state dict saved alone does not say how many heads "
                   "there are)",
                   path);
}

int model_load_torch(struct gpt_model *m, const struct gpt_file *f, struct gpt_source *src,
                     struct err *e)
{
    struct torch_archive *a = torch_open(&f->map, f->path, e);
    char *folder = a ? model_folder(f->path, e) : NULL;
    int rc = -1;
    if (!folder)
        goto out;
    const struct pickle_value *root = torch_root(a), *model = pickle_get(root, "model");
    const struct pickle_value *args = pickle_get(root, "model_args");
    if (model && model->kind == PICKLE_DICT && args) {
        rc = use_model_args(m, args, f->path, src, e) || nano_vocab(m, folder, e);
    } else if (root->kind == PICKLE_DICT && !model && model_has(folder, "config.json")) {
        model = root;
        src->biases = true;
        rc = model_read_config(m, folder, src, e) || model_read_vocab(m, folder, e);
    } else {
        rc = no_config(root, f->path, e);
    }
    if (rc == 0)
        rc = torch_tensors(a, model, model_is_weight, &src->tensors, e) ||
             tensor_set_seal(&src->tensors, e);
out:
    free(folder);
    torch_close(a);
    return rc ? -1 : 0;
}
