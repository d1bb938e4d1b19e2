/* The small files around the weights: config.json, vocabularies, and their paths. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "gpt/model_parts.h"

/* GPT-2's tokenizer.json has 1.4 MB. */
#define MAX_TEXT ((size_t)64 << 20)

char *model_path(const char *folder, const char *name, struct err *e)
{
    size_t n = strlen(folder) + strlen(name) + 2;
    char *p = mem_alloc(n, 1, e);
    if (p)
        snprintf(p, n, "%s%s%s", folder, folder[0] && folder[strlen(folder) - 1] == '/' ? "" : "/",
                 name);
    return p;
}

char *model_folder(const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return mem_strdup(".", e);
    return mem_strndup(path, slash == path ? 1 : (size_t)(slash - path), e);
}

bool model_has(const char *folder, const char *name)
{
    struct err e;
    char *path = model_path(folder, name, &e);
    bool there = path && access(path, F_OK) == 0;
    free(path);
    return there;
}

/* A text file; when it is of another kind, says of which. */
static int read_text(const char *folder, const char *name, struct buf *b, struct err *e)
{
    char *path = model_path(folder, name, e);
    int rc = path ? io_slurp(path, MAX_TEXT, b, e) : -1;
    const char *what = rc == 0 ? sniff_kind((const unsigned char *)b->p, b->len) : NULL;
    if (what)
        rc = err_set(e, ERR_DATA, "%s is %s", path, what);
    free(path);
    return rc;
}

struct json *model_read_json(const char *folder, const char *name, struct err *e)
{
    struct buf text = {0};
    struct json *j = NULL;
    if (read_text(folder, name, &text, e) == 0) {
        j = json_parse(text.p, text.len, e);
        if (!j)
            err_prefix(e, "%s/%s", folder, name);
    }
    buf_release(&text);
    return j;
}

int model_use_config(struct gpt_model *m, const struct json *j, const char *path,
                     struct gpt_source *src, struct err *e)
{
    if (gpt_config_from_json(&m->cfg, j, e))
        return err_prefix(e, "%s", path);
    if (json_get(j, "tie_word_embeddings"))
        src->tie = m->cfg.tied ? TIE_YES : TIE_NO;
    return 0;
}

int model_read_config(struct gpt_model *m, const char *folder, struct gpt_source *src,
                      struct err *e)
{
    char *path = model_path(folder, "config.json", e);
    struct json *j = path ? model_read_json(folder, "config.json", e) : NULL;
    int rc = j ? model_use_config(m, j, path, src, e) : -1;
    json_free(j);
    free(path);
    return rc;
}

static int read_bpe(struct gpt_model *m, const char *folder, struct err *e)
{
    struct buf tokens = {0}, merges = {0};
    if (read_text(folder, "vocab.json", &tokens, e) == 0 &&
        read_text(folder, "merges.txt", &merges, e) == 0) {
        m->vocab = vocab_bpe(tokens.p, tokens.len, merges.p, merges.len, e);
        if (!m->vocab)
            err_prefix(e, "%s/vocab.json and merges.txt", folder);
    }
    buf_release(&tokens);
    buf_release(&merges);
    return m->vocab ? 0 : -1;
}

int model_read_vocab(struct gpt_model *m, const char *folder, struct err *e)
{
    if (model_has(folder, "vocab.json") && model_has(folder, "merges.txt"))
        return read_bpe(m, folder, e);
    if (!model_has(folder, "tokenizer.json"))
        return 0;
    struct json *j = model_read_json(folder, "tokenizer.json", e);
    if (!j)
        return -1;
    m->vocab = vocab_tokenizer_json(j, e);
    json_free(j);
    return m->vocab ? 0 : err_prefix(e, "%s/tokenizer.json", folder);
}
