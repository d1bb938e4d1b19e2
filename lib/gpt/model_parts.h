/* model_parts.h - the steps of opening a model. Private to model*.c and sniff.c.

   A loader fills m->cfg, m->vocab and a struct gpt_source; model_wire then puts the tensors into
   m's fields, whatever they came from. */
#ifndef GPT_MODEL_PARTS_H
#define GPT_MODEL_PARTS_H

#include "gpt/model.h"
#include "gpt/tensors.h"

/* The tensors of a checkpoint and its conventions. */
struct gpt_source {
    struct tensor_set tensors; /* sealed */
    bool linear;               /* nn.Linear's [out, in], not Conv1D's [in, out] */
    bool biases;               /* every bias must be there */
    enum { TIE_BY_CONTENT, TIE_YES, TIE_NO } tie; /* what the config says of the unembedding */
};

/* Loaders. The first takes a file of any kind. */
int model_load_file(struct gpt_model *m, const char *path, struct gpt_source *src, struct err *e);
int model_load_folder(struct gpt_model *m, const char *folder, struct gpt_source *src,
                      struct err *e);
int model_load_safetensors(struct gpt_model *m, const struct gpt_file *f, struct gpt_source *src,
                           struct err *e);
int model_load_shards(struct gpt_model *m, const char *folder, struct gpt_source *src,
                      struct err *e);
int model_load_torch(struct gpt_model *m, const struct gpt_file *f, struct gpt_source *src,
                     struct err *e);

/* Fills m's pointers from the tensors; decides m->cfg.tied. */
int model_wire(struct gpt_model *m, const struct gpt_source *src, struct err *e);
/* m->id and m->bytes. */
int model_fingerprint(struct gpt_model *m, struct err *e);

/* config.json in the folder. */
int model_read_config(struct gpt_model *m, const char *folder, struct gpt_source *src,
                      struct err *e);
/* The same from parsed JSON; `path` is for messages. */
int model_use_config(struct gpt_model *m, const struct json *j, const char *path,
                     struct gpt_source *src, struct err *e);
/* vocab.json + merges.txt or tokenizer.json in the folder; none is fine. */
int model_read_vocab(struct gpt_model *m, const char *folder, struct err *e);
/* A tensor that is a weight, not a buffer such as the causal mask. */
bool model_is_weight(const char *name);

/* FOLDER/NAME, and the folder of a path; free with free(). */
char *model_path(const char *folder, const char *name, struct err *e);
char *model_folder(const char *path, struct err *e);
bool model_has(const char *folder, const char *name);
/* A JSON file of a folder; when it is of another kind (a Git LFS pointer …), says of which. */
struct json *model_read_json(const char *folder, const char *name, struct err *e);

/* What the first bytes of a file that is no model say it is: "a Git LFS pointer, …". NULL when
   unknown. */
const char *sniff_kind(const unsigned char *p, size_t n);

#endif
