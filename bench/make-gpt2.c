/* make-gpt2 DIR [N_LAYER N_HEAD N_EMBD N_CTX VOCAB] - a Hugging Face GPT-2 directory with seeded
   random weights (normal, 0.02 as GPT-2's own initialisation; LayerNorm 1 and 0), for benchmarks.
   The default is GPT-2 small's shape: 12 12 768 1024 50257. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/bytes.h"

static struct {
    int layers, heads, d, ctx, vocab;
} shape = {12, 12, 768, 1024, 50257};

static struct tensor {
    char name[64];
    int rows, cols; /* rows 0: a vector */
    double std, mean;
} * tensors;
static int n_tensors;

static void add(const char *name, int layer, int rows, int cols, double std, double mean)
{
    tensors = realloc(tensors, (size_t)(n_tensors + 1) * sizeof *tensors);
    struct tensor *t = &tensors[n_tensors++];
    if (layer < 0)
        snprintf(t->name, sizeof t->name, "%s", name);
    else
        snprintf(t->name, sizeof t->name, "h.%d.%s", layer, name);
    t->rows = rows;
    t->cols = cols;
    t->std = std;
    t->mean = mean;
}

static void list_tensors(void)
{
    int d = shape.d;
    add("wte.weight", -1, shape.vocab, d, 0.02, 0);
    add("wpe.weight", -1, shape.ctx, d, 0.02, 0);
    for (int l = 0; l < shape.layers; l++) {
        add("ln_1.weight", l, 0, d, 0, 1);
        add("ln_1.bias", l, 0, d, 0, 0);
        add("attn.c_attn.weight", l, d, 3 * d, 0.02, 0);
        add("attn.c_attn.bias", l, 0, 3 * d, 0.02, 0);
        add("attn.c_proj.weight", l, d, d, 0.02, 0);
        add("attn.c_proj.bias", l, 0, d, 0.02, 0);
        add("ln_2.weight", l, 0, d, 0, 1);
        add("ln_2.bias", l, 0, d, 0, 0);
        add("mlp.c_fc.weight", l, d, 4 * d, 0.02, 0);
        add("mlp.c_fc.bias", l, 0, 4 * d, 0.02, 0);
        add("mlp.c_proj.weight", l, 4 * d, d, 0.02, 0);
        add("mlp.c_proj.bias", l, 0, d, 0.02, 0);
    }
    add("ln_f.weight", -1, 0, d, 0, 1);
    add("ln_f.bias", -1, 0, d, 0, 0);
}

static size_t count(const struct tensor *t)
{
    return (size_t)(t->rows ? t->rows : 1) * (size_t)t->cols;
}

/* xorshift64*, then the sum of four uniforms: near enough to normal, and fast. */
static double noise(unsigned long long *s)
{
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        *s ^= *s >> 12;
        *s ^= *s << 25;
        *s ^= *s >> 27;
        sum += (double)((*s * 2685821657736338717ull) >> 11) * 0x1p-53 - 0.5;
    }
    return sum * sqrt(3);
}

static void write_weights(FILE *f)
{
    struct err e;
    struct buf h = {0};
    size_t at = 0;
    buf_puts(&h, "{\"__metadata__\":{\"format\":\"pt\"}", &e);
    for (int i = 0; i < n_tensors; i++) {
        const struct tensor *t = &tensors[i];
        buf_printf(&h, &e, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[", t->name);
        if (t->rows)
            buf_printf(&h, &e, "%d,", t->rows);
        buf_printf(&h, &e, "%d],\"data_offsets\":[%zu,%zu]}", t->cols, at, at + 4 * count(t));
        at += 4 * count(t);
    }
    buf_puts(&h, "}", &e);
    while (h.len % 8)
        buf_puts(&h, " ", &e);
    unsigned char len[8];
    put_le64(len, h.len);
    fwrite(len, 1, 8, f);
    fwrite(h.p, 1, h.len, f);
    buf_release(&h);
    unsigned long long seed = 20260101;
    for (int i = 0; i < n_tensors; i++)
        for (size_t j = 0; j < count(&tensors[i]); j++) {
            float v =
                (float)(tensors[i].mean + (tensors[i].std > 0 ? tensors[i].std * noise(&seed) : 0));
            fwrite(&v, sizeof v, 1, f);
        }
}

static FILE *create(const char *dir, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (!f) {
        perror(path);
        exit(4);
    }
    return f;
}

int main(int argc, char **argv)
{
    if (argc != 2 && argc != 7) {
        fprintf(stderr, "usage: make-gpt2 DIR [N_LAYER N_HEAD N_EMBD N_CTX VOCAB]\n");
        return 2;
    }
    if (argc == 7) {
        int *to[5] = {&shape.layers, &shape.heads, &shape.d, &shape.ctx, &shape.vocab};
        for (int i = 0; i < 5; i++)
            *to[i] = (int)strtol(argv[2 + i], NULL, 10);
    }
    mkdir(argv[1], 0777);
    list_tensors();
    FILE *f = create(argv[1], "config.json");
    fprintf(f,
            "{\"model_type\": \"gpt2\", \"activation_function\": \"gelu_new\", \"n_layer\": %d, "
            "\"n_head\": %d, \"n_embd\": %d, \"n_ctx\": %d, \"n_positions\": %d, "
            "\"vocab_size\": %d, \"layer_norm_epsilon\": 1e-05}\n",
            shape.layers, shape.heads, shape.d, shape.ctx, shape.ctx, shape.vocab);
    if (fclose(f) != 0)
        return 4;
    f = create(argv[1], "model.safetensors");
    write_weights(f);
    int bad = ferror(f);
    free(tensors);
    return fclose(f) != 0 || bad ? 4 : 0;
}
