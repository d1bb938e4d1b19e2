/* What is no model, or a damaged or hostile one: the message of each, and no crash. */
#include "files.h"
#include "models.h"

#define LFS                                            \
    "version https://git-lfs.github.com/spec/v1\noid " \
    "sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f3"   \
    "2b1258daaa5e2ca24d17e2393\nsize 12345\n"

static void check_bad_file(int line, const char *bytes, size_t n, const char *tail)
{
    files_put("file", bytes, n);
    check_bad(line, files_path("file"), tail);
}

#define CHECK_BAD_FILE(text, tail) check_bad_file(__LINE__, text, sizeof text - 1, tail)

static void other_kinds_of_files(void)
{
    CHECK_BAD_FILE("", "/file is empty");
    CHECK_BAD_FILE(LFS, "/file is a Git LFS pointer, not the file itself: run `git lfs pull`");
    CHECK_BAD_FILE("\n<!DOCTYPE html>\n<html>", "/file is an HTML page (a failed download?)");
    CHECK_BAD_FILE("<HTML lang=en>", "/file is an HTML page (a failed download?)");
    CHECK_BAD_FILE("\x89HDF\r\n\x1a\n\0\0",
                   "/file is an HDF5 file (TensorFlow, Keras): convert it to safetensors");
    CHECK_BAD_FILE("\0\0\0\0\0\0\0\0\0\0\0\0\x57\xfb\x80\x8b\x24\x75\x47\xdb",
                   "/file is the index of a TensorFlow checkpoint: convert it to safetensors");
    CHECK_BAD_FILE("model_checkpoint_path: \"model.ckpt\"\n",
                   "/file is part of a TensorFlow checkpoint: convert it to safetensors");
    CHECK_BAD_FILE("GGUF\3\0\0\0",
                   "/file is a GGUF file (llama.cpp): use the weights that it was made from");
    CHECK_BAD_FILE("\x93NUMPY\1\0v\0", "/file is a NumPy array");
    CHECK_BAD_FILE("\x80\x02\x8a\nl\xfc\x9c"
                   "F\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
                   "/file is a torch file in the format before PyTorch 1.6: load it and torch.save "
                   "it again");
    CHECK_BAD_FILE("\x80\x04}.", "/file is a bare Python pickle, not a checkpoint of torch.save");
    CHECK_BAD_FILE("\x1f\x8b\x08", "/file is compressed by gzip: unpack it first");
    CHECK_BAD_FILE("{\"model_type\":\"gpt2\"}",
                   "/file is JSON text: name the folder that holds the weights, or the weights");
    CHECK_BAD_FILE("hello, world", "/file: not a model: neither a torch checkpoint (zip) nor a "
                                   "safetensors file");
    CHECK_BAD_FILE("PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                   "/file: not a readable zip archive (damaged or cut short?): Not a zip archive");
    struct err e = {0};
    files_clear();
    CHECK(gpt_open(files_path("file"), &e) == NULL && e.kind == ERR_SYS);
    CHECK(strstr(e.msg, "/file: No such file or directory") != NULL);
}

static void other_kinds_of_folders(void)
{
    CHECK_BAD(files_dir, ": no model in this folder: looked for model.safetensors, "
                         "model.safetensors.index.json, ckpt.pt, pytorch_model.bin");
    files_put_text("config.json", "{}");
    files_put_text("tf_model.h5", "");
    CHECK_BAD(files_dir, ": no model that is read here, only tf_model.h5 (TensorFlow weights: "
                         "convert them to safetensors)");
    files_put_text("model.safetensors", LFS);
    CHECK_BAD(files_dir, "/model.safetensors is a Git LFS pointer, not the file itself: run `git "
                         "lfs pull`");
    files_clear();
    files_copy(FIXTURES "hf-f32/model.safetensors", "model.safetensors");
    CHECK_BAD(files_dir, "/model.safetensors: no config.json beside it, and no config in its "
                         "metadata: the number of heads is unknown");
    files_put_text("config.json", "<!doctype html>");
    CHECK_BAD(files_dir, "/config.json is an HTML page (a failed download?)");
    files_put_text("config.json", "[]");
    CHECK_BAD(files_dir, "/config.json: config: not a JSON object");
    files_put_text("config.json", "{\"a\":}");
    CHECK_BAD(files_dir, "/config.json: JSON line 1, column 6: unexpected token near '}'");
    files_clear();
}

/* Opens hf-f32's weights with this config.json. */
static void config(int line, const char *text, const char *tail)
{
    files_put_text("config.json", text);
    check_bad(line, files_dir, tail);
}

#define GOOD                                                                              \
    "{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_head\":2,\"n_embd\":8,\"n_positions\":8," \
    "\"vocab_size\":12"
#define CHECK_CONFIG(text, tail) config(__LINE__, text, "/config.json: config: " tail)

static void configs_that_we_do_not_compute(void)
{
    files_copy(FIXTURES "hf-f32/model.safetensors", "model.safetensors");
    CHECK_CONFIG("{}", "model_type is missing: only \"gpt2\" is read");
    CHECK_CONFIG("{\"model_type\":\"llama\"}", "a model of type \"llama\": only \"gpt2\" is read");
    CHECK_CONFIG("{\"model_type\":\"gpt2\"}", "n_layer is missing");
    CHECK_CONFIG("{\"model_type\":\"gpt2\",\"n_layer\":0}", "n_layer is not a size from 1 to "
                                                            "16777216");
    CHECK_CONFIG("{\"model_type\":\"gpt2\",\"n_layer\":2.5}", "n_layer is not a size from 1 to "
                                                              "16777216");
    CHECK_CONFIG("{\"model_type\":\"gpt2\",\"n_layer\":5000,\"n_head\":2,\"n_embd\":8,"
                 "\"n_ctx\":8,\"vocab_size\":12}",
                 "the number of layers is 5000: must be 1 to 4096");
    CHECK_CONFIG("{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_head\":3,\"n_embd\":8,"
                 "\"n_ctx\":8,\"vocab_size\":12}",
                 "3 heads do not divide a width of 8");
    CHECK_CONFIG(
        GOOD ",\"activation_function\":\"swish\"}",
        "activation_function \"swish\" is none of gelu_new, gelu_pytorch_tanh, gelu, relu");
    CHECK_CONFIG(GOOD ",\"scale_attn_weights\":false}",
                 "scale_attn_weights = false is not supported");
    CHECK_CONFIG(GOOD ",\"scale_attn_by_inverse_layer_idx\":true}",
                 "scale_attn_by_inverse_layer_idx = true is not supported");
    CHECK_CONFIG(GOOD ",\"add_cross_attention\":true}",
                 "add_cross_attention = true is not supported");
    CHECK_CONFIG(GOOD ",\"layer_norm_epsilon\":0}",
                 "LayerNorm's epsilon is 0: must be above 0, below 1");
    CHECK_CONFIG(GOOD ",\"normalization_type\":\"RMS\"}",
                 "normalization_type \"RMS\" is neither LN nor none");
    files_clear();
}

static void weights_that_do_not_fit_the_config(void)
{
    files_copy(FIXTURES "hf-f32/model.safetensors", "model.safetensors");
    config(__LINE__,
           "{\"model_type\":\"gpt2\",\"n_layer\":3,\"n_head\":2,\"n_embd\":8,\"n_ctx\":8,"
           "\"vocab_size\":12}",
           ": tensor h.2.ln_1.weight is missing");
    config(__LINE__,
           "{\"model_type\":\"gpt2\",\"n_layer\":1,\"n_head\":2,\"n_embd\":8,\"n_ctx\":8,"
           "\"vocab_size\":12}",
           "/model.safetensors: tensor h.1.attn.c_attn.bias: the config says 1 layers");
    config(__LINE__,
           "{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_head\":2,\"n_embd\":8,\"n_ctx\":8,"
           "\"vocab_size\":13}",
           "/model.safetensors: tensor wte.weight: its shape is [12, 8], not [13, 8]");
    config(__LINE__, GOOD ",\"n_inner\":16}",
           "/model.safetensors: tensor h.0.mlp.c_fc.weight: its shape is [8, 32], not [8, 16]");
    config(__LINE__, GOOD ",\"tie_word_embeddings\":false}",
           ": tensor lm_head.weight is missing, and the config says that the unembedding is not "
           "tied to the embedding");
    files_copy(FIXTURES "hf-untied/model.safetensors", "model.safetensors");
    config(__LINE__, GOOD ",\"tie_word_embeddings\":true}",
           ": tensor lm_head.weight differs from wte.weight, but the config says that they are "
           "tied");
    files_clear();
}

/* hf-f32's weights with one tensor of the header renamed to another name of the same length. */
static void renamed(int line, const char *from, const char *to, const char *tail)
{
    struct buf b = files_get(FIXTURES "hf-f32/model.safetensors");
    size_t n = strlen(from), at = 8;
    CHECK(strlen(to) == n);
    while (at + n < b.len && memcmp(b.p + at, from, n) != 0)
        at++;
    memcpy(b.p + at, to, n);
    files_put("model.safetensors", b.p, b.len);
    check_bad(line, files_dir, tail);
    buf_release(&b);
}

static void missing_and_unknown_tensors(void)
{
    files_put_text("config.json", GOOD "}");
    renamed(__LINE__, "\"wte.weight\"", "\"abc.weight\"",
            ": tensor wte.weight is missing (with or without \"transformer.\"): these are not "
            "GPT-2's weights");
    renamed(__LINE__, "\"wpe.weight\"", "\"abc.weight\"", ": tensor wpe.weight is missing");
    renamed(__LINE__, "\"ln_f.bias\"", "\"ln_g.bias\"", ": tensor ln_f.bias is missing");
    renamed(__LINE__, "\"h.1.attn.c_proj.bias\"", "\"h.1.attn.q_norm.bias\"",
            "/model.safetensors: tensor h.1.attn.q_norm.bias: GPT-2 has none of that name");
    files_clear();
}

static void index_file(int line, const char *text, const char *tail)
{
    files_put_text("model.safetensors.index.json", text);
    check_bad(line, files_dir, tail);
}

static void shards(void)
{
    files_put_text("config.json", GOOD "}");
    index_file(__LINE__, "{}", "/model.safetensors.index.json: no weight_map in it");
    index_file(__LINE__, "{\"weight_map\":{\"a\":\"../x\"}}",
               "/model.safetensors.index.json: tensor a: its file is not one of this folder");
    index_file(__LINE__, "{\"weight_map\":{\"a\":3}}",
               "/model.safetensors.index.json: tensor a: its file is not one of this folder");
    files_copy(FIXTURES "hf-sharded/model-00001-of-00002.safetensors", "one");
    index_file(__LINE__, "{\"weight_map\":{\"wte.weight\":\"one\",\"b\":\"one\"}}",
               "/model.safetensors.index.json: tensor b is not in one");
    files_put_text("two", LFS);
    index_file(__LINE__, "{\"weight_map\":{\"wte.weight\":\"one\",\"b\":\"two\"}}",
               "/two is a Git LFS pointer, not the file itself: run `git lfs pull`");
    files_copy(FIXTURES "hf-sharded/model-00001-of-00002.safetensors", "two");
    index_file(__LINE__, "{\"weight_map\":{\"wte.weight\":\"one\",\"b\":\"two\"}}",
               ": there are two of that name");
    struct err e = {0};
    files_put_text("model.safetensors.index.json", "{\"weight_map\":{\"a\":\"three\"}}");
    CHECK(gpt_open(files_dir, &e) == NULL && e.kind == ERR_SYS);
    CHECK(strstr(e.msg, "/three: No such file or directory") != NULL);
    files_clear();
}

static void own_metadata(void)
{
#define OWN(meta) "{\"__metadata__\":{" meta "}}"
    static const struct {
        const char *header, *tail;
    } t[] = {
        {OWN("\"actutils.config\":1"), "/own: actutils.config in its metadata is not a string"},
        {OWN("\"actutils.config\":\"{\""), "/own: actutils.config in its metadata: JSON line 1, "
                                           "column 1: string or '}' expected near end of file"},
        {OWN("\"actutils.config\":\"{}\""),
         "/own: config: model_type is missing: only \"gpt2\" is read"},
        {OWN("\"actutils.config\":\"{\\\"model_type\\\":\\\"gpt2\\\",\\\"n_layer\\\":1,\\\"n_"
             "head\\\":1,"
             "\\\"n_embd\\\":1,\\\"n_ctx\\\":1,\\\"vocab_size\\\":1}\",\"actutils.vocab\":\"[]\""),
         "/own: actutils.vocab in its metadata: vocabulary: neither "
         "{\"type\":\"chars\",\"itos\":...} nor {\"type\":\"bpe\",\"itos\":...,\"merges\":...}"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct buf b = {0};
        struct err e;
        unsigned char n[8] = {(unsigned char)strlen(t[i].header)};
        CHECK(buf_add(&b, n, 8, &e) == 0 && buf_puts(&b, t[i].header, &e) == 0);
        files_put("own", b.p, b.len);
        CHECK_BAD(files_path("own"), t[i].tail);
        buf_release(&b);
    }
    files_clear();
}

/* A vocabulary beside the weights that has more tokens than they do. */
static void vocabulary_files(void)
{
    files_copy(FIXTURES "hf-f32/model.safetensors", "model.safetensors");
    files_put_text("config.json", GOOD "}");
    files_copy("tests/fixtures/bpe/tokenizer.json", "tokenizer.json");
    CHECK_BAD(files_dir, ": its vocabulary has 358 tokens, but its embedding 12");
    files_copy("tests/fixtures/bpe/vocab.json", "vocab.json");
    files_copy("tests/fixtures/bpe/merges.txt", "merges.txt");
    CHECK_BAD(files_dir, ": its vocabulary has 357 tokens, but its embedding 12");
    files_put_text("vocab.json", LFS);
    CHECK_BAD(files_dir,
              "/vocab.json is a Git LFS pointer, not the file itself: run `git lfs pull`");
    files_clear();
}

/* Every cut of a checkpoint is found; none crashes. Steps are odd, so all alignments come. */
static void cut_short(void)
{
    static const struct {
        const char *folder, *file;
        size_t step;
    } t[] = {{"hf-f32", "model.safetensors", 37},
             {"nano-nobias", "ckpt.pt", 61},
             {"nano", "meta.pkl", 1},
             {"hf-bin", "pytorch_model.bin", 83}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char path[128];
        snprintf(path, sizeof path, FIXTURES "%s/%s", t[i].folder, t[i].file);
        struct buf b = files_get(path);
        files_copy(i == 2 ? FIXTURES "nano/ckpt.pt" : FIXTURES "hf-f32/config.json",
                   i == 2 ? "ckpt.pt" : "config.json");
        size_t opened = 0;
        for (size_t n = 0; n < b.len; n += t[i].step) {
            struct err e = {0};
            files_put(t[i].file, b.p, n);
            struct gpt_model *m = gpt_open(files_dir, &e);
            opened += m != NULL || e.kind != ERR_DATA;
            gpt_close(m);
        }
        CHECK(opened == 0);
        buf_release(&b);
        files_clear();
    }
}

int main(void)
{
    files_begin();
    RUN(other_kinds_of_files);
    RUN(other_kinds_of_folders);
    RUN(configs_that_we_do_not_compute);
    RUN(weights_that_do_not_fit_the_config);
    RUN(missing_and_unknown_tensors);
    RUN(shards);
    RUN(own_metadata);
    RUN(vocabulary_files);
    RUN(cut_short);
    files_end();
    return test_done();
}
