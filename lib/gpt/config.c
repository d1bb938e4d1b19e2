#include "gpt/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    enum gpt_act act;
    const char *name;
} ACTIVATIONS[] = {
    /* The first name of each is the one written. */
    {GPT_GELU_TANH, "gelu_new"},
    {GPT_GELU_TANH, "gelu_pytorch_tanh"},
    {GPT_GELU_ERF, "gelu"},
    {GPT_RELU, "relu"},
};

enum { N_ACTIVATIONS = sizeof ACTIVATIONS / sizeof *ACTIVATIONS };

/* Far above any GPT-2, and low enough that 3 * d_model and such fit an int. */
enum {
    MAX_LAYERS = 4096,
    MAX_HEADS = 4096,
    MAX_WIDTH = 1 << 18,
    MAX_MLP = 1 << 20,
    MAX_ROWS = 1 << 24,
};

static int check_size(const char *what, int v, int max, struct err *e)
{
    if (v >= 1 && v <= max)
        return 0;
    return err_set(e, ERR_DATA, "config: %s is %d: must be 1 to %d", what, v, max);
}

int gpt_config_check(const struct gpt_config *c, struct err *e)
{
    if (check_size("the number of layers", c->n_layer, MAX_LAYERS, e) ||
        check_size("the number of heads", c->n_head, MAX_HEADS, e) ||
        check_size("the model's width", c->d_model, MAX_WIDTH, e) ||
        check_size("the context length", c->n_ctx, MAX_ROWS, e) ||
        check_size("the vocabulary's size", c->d_vocab, MAX_ROWS, e) ||
        (!c->attn_only && check_size("the MLP's width", c->d_mlp, MAX_MLP, e)))
        return -1;
    if (c->d_model % c->n_head != 0 || c->d_head != c->d_model / c->n_head)
        return err_set(e, ERR_DATA, "config: %d heads do not divide a width of %d", c->n_head,
                       c->d_model);
    if (!(c->eps > 0 && c->eps < 1))
        return err_set(e, ERR_DATA, "config: LayerNorm's epsilon is %g: must be above 0, below 1",
                       (double)c->eps);
    if (c->bos < -1 || c->bos >= c->d_vocab)
        return err_set(e, ERR_DATA, "config: token %d cannot begin a text: there are %d tokens",
                       c->bos, c->d_vocab);
    return 0;
}

/* A size that must be there. */
static int get_size(const struct json *j, const char *key, int *to, struct err *e)
{
    const struct json *v = json_get(j, key);
    int64_t n = json_int(v, -1);
    if (!v)
        return err_set(e, ERR_DATA, "config: %s is missing", key);
    if (n < 1 || n > MAX_ROWS)
        return err_set(e, ERR_DATA, "config: %s is not a size from 1 to %d", key, MAX_ROWS);
    *to = (int)n;
    return 0;
}

static int get_activation(const struct json *j, struct gpt_config *c, struct err *e)
{
    const struct json *v = json_get(j, "activation_function");
    const char *name = v ? json_str(v, NULL) : "gelu_new"; /* GPT2Config's default */
    for (int i = 0; name && i < N_ACTIVATIONS; i++) {
        if (strcmp(name, ACTIVATIONS[i].name) == 0) {
            c->act = ACTIVATIONS[i].act;
            return 0;
        }
    }
    return err_set(e, ERR_DATA,
                   "config: activation_function \"%.40s\" is none of gelu_new, gelu_pytorch_tanh, "
                   "gelu, relu",
                   name ? name : "(not a string)");
}

static int get_norm(const struct json *j, struct gpt_config *c, struct err *e)
{
    const struct json *v = json_get(j, "normalization_type");
    const char *name = v ? json_str(v, NULL) : "LN";
    c->layer_norm = name && strcmp(name, "LN") == 0;
    c->eps = (float)json_num(json_get(j, "layer_norm_epsilon"), 1e-5);
    if (c->layer_norm || (name && strcmp(name, "none") == 0))
        return 0;
    return err_set(e, ERR_DATA, "config: normalization_type \"%.40s\" is neither LN nor none",
                   name ? name : "(not a string)");
}

/* Settings of GPT2Config that change what the model computes, and that we do not compute. */
static int refuse_variants(const struct json *j, struct err *e)
{
    const char *type = json_str(json_get(j, "model_type"), NULL);
    if (!type)
        return err_set(e, ERR_DATA, "config: model_type is missing: only \"gpt2\" is read");
    if (strcmp(type, "gpt2") != 0)
        return err_set(e, ERR_DATA, "config: a model of type \"%.40s\": only \"gpt2\" is read",
                       type);
    if (!json_bool(json_get(j, "scale_attn_weights"), true))
        return err_set(e, ERR_DATA, "config: scale_attn_weights = false is not supported");
    if (json_bool(json_get(j, "scale_attn_by_inverse_layer_idx"), false))
        return err_set(e, ERR_DATA,
                       "config: scale_attn_by_inverse_layer_idx = true is not supported");
    if (json_bool(json_get(j, "add_cross_attention"), false))
        return err_set(e, ERR_DATA, "config: add_cross_attention = true is not supported");
    return 0;
}

int gpt_config_from_json(struct gpt_config *c, const struct json *j, struct err *e)
{
    *c = (struct gpt_config){0};
    if (!json_is_object(j))
        return err_set(e, ERR_DATA, "config: not a JSON object");
    const char *ctx = json_get(j, "n_positions") ? "n_positions" : "n_ctx";
    if (refuse_variants(j, e) || get_size(j, "n_layer", &c->n_layer, e) ||
        get_size(j, "n_head", &c->n_head, e) || get_size(j, "n_embd", &c->d_model, e) ||
        get_size(j, ctx, &c->n_ctx, e) || get_size(j, "vocab_size", &c->d_vocab, e) ||
        get_activation(j, c, e) || get_norm(j, c, e))
        return -1;
    c->d_head = c->d_model / c->n_head;
    c->attn_only = json_bool(json_get(j, "attn_only"), false);
    const struct json *inner = json_get(j, "n_inner");
    if (!c->attn_only && inner && !json_is_null(inner)) {
        if (get_size(j, "n_inner", &c->d_mlp, e))
            return -1;
    } else if (!c->attn_only) {
        c->d_mlp = c->d_model <= MAX_WIDTH ? 4 * c->d_model : 0;
    }
    c->tied = json_bool(json_get(j, "tie_word_embeddings"), true);
    /* GPT2Config's default is GPT-2's own; in a smaller vocabulary there is no such token. */
    const struct json *bos = json_get(j, "bos_token_id");
    int64_t id = json_int(bos, bos ? -1 : 50256);
    c->bos = id >= 0 && id < c->d_vocab ? (int)id : -1;
    return gpt_config_check(c, e);
}

/* The shortest decimal that reads back as the same float: 1e-05, not 9.99999975e-06. */
static void shortest(float v, char text[32])
{
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, 32, "%.*g", digits, (double)v);
        if (strtof(text, NULL) == v)
            return;
    }
}

int gpt_config_to_json(const struct gpt_config *c, struct buf *b, struct err *e)
{
    const char *act = "";
    char eps[32];
    shortest(c->eps, eps);
    for (int i = N_ACTIVATIONS - 1; i >= 0; i--)
        if (ACTIVATIONS[i].act == c->act)
            act = ACTIVATIONS[i].name;
    if (buf_printf(b, e,
                   "{\"model_type\":\"gpt2\",\"n_layer\":%d,\"n_head\":%d,\"n_embd\":%d,"
                   "\"n_positions\":%d,\"vocab_size\":%d,\"activation_function\":\"%s\","
                   "\"layer_norm_epsilon\":%s,\"tie_word_embeddings\":%s",
                   c->n_layer, c->n_head, c->d_model, c->n_ctx, c->d_vocab, act, eps,
                   c->tied ? "true" : "false"))
        return -1;
    if (!c->attn_only && buf_printf(b, e, ",\"n_inner\":%d", c->d_mlp))
        return -1;
    if (c->bos >= 0 ? buf_printf(b, e, ",\"bos_token_id\":%d", c->bos)
                    : buf_puts(b, ",\"bos_token_id\":null", e))
        return -1;
    if (c->attn_only && buf_puts(b, ",\"attn_only\":true", e))
        return -1;
    if (!c->layer_norm && buf_puts(b, ",\"normalization_type\":\"none\"", e))
        return -1;
    return buf_puts(b, "}", e);
}
