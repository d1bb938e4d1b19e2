/* Safetensors: Hugging Face's GPT-2, whole or in shards, and our own files, which carry the config
   and the vocabulary in their metadata. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gpt/model_parts.h"
#include "gpt/safetensors.h"

/* Text of one of our metadata keys as JSON. */
static struct json *metadata_json(const struct json *meta, const char *key, const char *path,
                                  struct err *e)
{
    size_t n;
    const char *text = json_str(json_get(meta, key), &n);
    struct json *j = text ? json_parse(text, n, e) : NULL;
    if (!text)
        err_set(e, ERR_DATA, "%s: %s in its metadata is not a string", path, key);
    else if (!j)
        err_prefix(e, "%s: %s in its metadata", path, key);
    return j;
}

static int use_metadata(struct gpt_model *m, const struct json *meta, const char *path,
                        struct gpt_source *src, struct err *e)
{
    struct json *config = metadata_json(meta, "actutils.config", path, e);
    int rc = config ? model_use_config(m, config, path, src, e) : -1;
    json_free(config);
    if (rc || !json_get(meta, "actutils.vocab"))
        return rc;
    struct json *vocab = metadata_json(meta, "actutils.vocab", path, e);
    if (!vocab)
        return -1;
    m->vocab = vocab_from_json(vocab, e);
    json_free(vocab);
    return m->vocab ? 0 : err_prefix(e, "%s: actutils.vocab in its metadata", path);
}

/* The config and vocabulary files of a Hugging Face directory. */
static int use_folder(struct gpt_model *m, const char *path, struct gpt_source *src, struct err *e)
{
    char *folder = model_folder(path, e);
    int rc = -1;
    src->biases = true;
    if (folder && !model_has(folder, "config.json"))
        err_set(e, ERR_DATA,
                "%s: no config.json beside it, and no config in its metadata: the number of heads "
                "is unknown",
                path);
    else if (folder)
        rc = model_read_config(m, folder, src, e) || model_read_vocab(m, folder, e) ? -1 : 0;
    free(folder);
    return rc;
}

int model_load_safetensors(struct gpt_model *m, const struct gpt_file *f, struct gpt_source *src,
                           struct err *e)
{
    struct json *header = safetensors_read(&f->map, f->path, &src->tensors, e);
    if (!header)
        return -1;
    const struct json *meta = json_get(header, "__metadata__");
    int rc = json_get(meta, "actutils.config") ? use_metadata(m, meta, f->path, src, e)
                                               : use_folder(m, f->path, src, e);
    json_free(header);
    return rc ? -1 : tensor_set_seal(&src->tensors, e);
}

struct shards {
    struct gpt_model *m;
    struct gpt_source *src;
    const char *folder, *index;
    char **name; /* of the shards read so far */
    size_t n, cap;
    struct err *e;
};

/* A member of weight_map: tensor -> file. Reads each file once. */
static int read_shard(void *user, const char *tensor, const struct json *file)
{
    struct shards *s = user;
    const char *name = json_str(file, NULL);
    if (!name || strchr(name, '/') || name[0] == '.')
        return err_set(s->e, ERR_DATA, "%s: tensor %.200s: its file is not one of this folder",
                       s->index, tensor);
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->name[i], name) == 0)
            return 0;
    if (mem_grow(&s->name, &s->cap, s->n + 1, sizeof *s->name, s->e) ||
        !(s->name[s->n] = mem_strdup(name, s->e)))
        return -1;
    s->n++;
    struct gpt_file f;
    char *path = model_path(s->folder, name, s->e);
    if (!path || store_map(s->m->store, path, &f, s->e)) {
        free(path);
        return err_prefix(s->e, "%s", s->index);
    }
    free(path);
    struct json *header = NULL;
    const char *what =
        safetensors_is(f.map.base, f.map.len) ? NULL : sniff_kind(f.map.base, f.map.len);
    if (what)
        err_set(s->e, ERR_DATA, "%s is %s", f.path, what);
    else
        header = safetensors_read(&f.map, f.path, &s->src->tensors, s->e);
    json_free(header);
    return header ? 0 : -1;
}

/* A tensor that the index promises must have come with some shard. */
static int check_present(void *user, const char *tensor, const struct json *file)
{
    struct shards *s = user;
    if (tensor_set_find(&s->src->tensors, tensor))
        return 0;
    return err_set(s->e, ERR_DATA, "%s: tensor %.200s is not in %.200s", s->index, tensor,
                   json_str(file, NULL));
}

int model_load_shards(struct gpt_model *m, const char *folder, struct gpt_source *src,
                      struct err *e)
{
    const char *index = "model.safetensors.index.json";
    struct shards s = {.m = m, .src = src, .folder = folder, .e = e};
    char *path = model_path(folder, index, e);
    struct json *j = path ? model_read_json(folder, index, e) : NULL;
    const struct json *weights = json_get(j, "weight_map");
    int rc = -1;
    s.index = path;
    if (j && !json_is_object(weights))
        err_set(e, ERR_DATA, "%s: no weight_map in it", path);
    else if (j && json_each(weights, read_shard, &s) == 0 &&
             tensor_set_seal(&src->tensors, e) == 0 && json_each(weights, check_present, &s) == 0)
        rc = use_folder(m, path, src, e);
    for (size_t i = 0; i < s.n; i++)
        free(s.name[i]);
    free(s.name);
    json_free(j);
    free(path);
    return rc;
}
