/* torch.save's archives, damaged or hostile. */
#include "base/zip.h"
#include "files.h"
#include "models.h"

/* Copies an archive to ckpt.pt. An entry whose name ends with `name` gets these bytes instead, or
   is left out when bytes is NULL; keys of storages from `first_left_out` on are left out too. */
static void repack(const char *from, const char *name, const char *bytes, size_t n,
                   int first_left_out)
{
    struct err e = {0};
    struct io_map map;
    CHECK(io_map_open(&map, from, &e) == 0);
    struct zip_file *z = zip_file_open(&map, from, &e);
    FILE *f = fopen(files_path("ckpt.pt"), "wb");
    struct zip_writer *w = zip_writer_open(fileno(f), &e);
    struct buf b = {0};
    for (size_t i = 0; i < zip_file_count(z); i++) {
        const char *entry = zip_file_name(z, i), *key = strrchr(entry, '/') + 1;
        size_t k = strlen(entry), end = strlen(name);
        bool match = end && k >= end && strcmp(entry + k - end, name) == 0;
        if ((match && !bytes) || (strstr(entry, "/data/") && atoi(key) >= first_left_out))
            continue;
        CHECK(zip_file_read(z, i, 1 << 20, &b, &e) == 0);
        CHECK(zip_writer_begin(w, entry, match ? n : b.len, &e) == 0);
        CHECK(zip_writer_put(w, match ? bytes : b.p, match ? n : b.len, &e) == 0);
    }
    CHECK(zip_writer_finish(w, &e) == 0);
    zip_writer_free(w);
    buf_release(&b);
    fclose(f);
    zip_file_close(z);
    io_map_close(&map);
}

static void repacked(int line, const char *name, const char *bytes, size_t n, const char *tail)
{
    repack(FIXTURES "nano/ckpt.pt", name, bytes, n, 1 << 20);
    check_bad(line, files_path("ckpt.pt"), tail);
}

#define CHECK_PICKLE(text, tail) \
    repacked(__LINE__, "/data.pkl", text, sizeof text - 1, "/ckpt.pt: " tail)
#define ARGS(more)                                                                                \
    "\x80\x02}(X\x05\x00\x00\x00model}X\x0a\x00\x00\x00model_args}(X\x07\x00\x00\x00n_layer" more \
    "X\x06\x00\x00\x00n_headK\x02X\x06\x00\x00\x00n_embdK\x08X\x0a\x00\x00\x00"                   \
    "block_sizeK\x08"                                                                             \
    "X\x0a\x00\x00\x00vocab_sizeK\x0cuu."

static void hostile_pickles(void)
{
    CHECK_PICKLE(
        "\x80\x02"
        "cposix\nsystem\nX\x04\x00\x00\x00true\x85R.",
        "data.pkl: byte 2: refused: the pickle wants to call posix.system; actutils builds "
        "data only");
    CHECK_PICKLE("", "data.pkl: byte 0: cut short");
    CHECK_PICKLE("].", "what was saved in it is no dict");
    CHECK_PICKLE("}.",
                 "not a nanoGPT checkpoint: neither model nor model_args in it, and no "
                 "config.json beside it (a state dict saved alone does not say how many heads "
                 "there are)");
    CHECK_PICKLE(
        "}X\x05\x00\x00\x00model}s.",
        "no model_args in it, which nanoGPT's checkpoints have beside model: the number of "
        "heads is unknown");
    CHECK_PICKLE("}(X\x05\x00\x00\x00model}X\x0a\x00\x00\x00model_args}u.",
                 "model_args has no n_layer");
    CHECK_PICKLE(ARGS("X\x01\x00\x00\x00x"), "model_args: n_layer is not a size");
    CHECK_PICKLE(ARGS("J\xff\xff\xff\xff"), "model_args: n_layer is not a size");
    CHECK_PICKLE(ARGS("K\x00"), "model_args: n_layer is not a size");
    CHECK_PICKLE(ARGS("M\x88\x13"),
                 "model_args: config: the number of layers is 5000: must be 1 to 4096");
    CHECK_PICKLE(ARGS("K\x02"), "tensor wte.weight is missing (with or without \"transformer.\"): "
                                "these are not GPT-2's weights");
    CHECK_BAD(FIXTURES "bad/bomb.pt", "bad/bomb.pt: bomb/data.pkl: larger than makes sense here: "
                                      "100000000 bytes, at most 67108864");
    repacked(__LINE__, "/data.pkl", NULL, 0,
             "/ckpt.pt: a zip archive without data.pkl: not one of torch.save's");
    files_clear();
}

/* The pickle of nano/ckpt.pt with the bytes `from` replaced once by as many others. */
static void patched(int line, const char *from, const char *to, size_t n, const char *tail)
{
    struct err e = {0};
    struct io_map map;
    struct buf b = {0};
    CHECK(io_map_open(&map, FIXTURES "nano/ckpt.pt", &e) == 0);
    struct zip_file *z = zip_file_open(&map, "nano", &e);
    CHECK(z && zip_file_read(z, (size_t)zip_file_find(z, "ckpt/data.pkl"), 1 << 20, &b, &e) == 0);
    size_t at = 0;
    while (at + n < b.len && memcmp(b.p + at, from, n) != 0)
        at++;
    CHECK(at + n < b.len);
    memcpy(b.p + at, to, n);
    repacked(line, "/data.pkl", b.p, b.len, tail);
    buf_release(&b);
    zip_file_close(z);
    io_map_close(&map);
}

#define CHECK_PATCHED(from, to, tail) patched(__LINE__, from, to, sizeof from - 1, tail)
#define WTE "/ckpt.pt: tensor transformer.wte.weight: "

static void hostile_storages(void)
{
    /* The first tensor: storage of 96, offset 0, size (12, 8), strides (8, 1). */
    CHECK_PATCHED("QK\x00K\x0cK\x08\x86", "QK\x01K\x0cK\x08\x86",
                  WTE "it reaches past the end of its storage of 96 elements");
    CHECK_PATCHED("QK\x00K\x0cK\x08\x86", "QK\x00K\x0dK\x08\x86",
                  WTE "it reaches past the end of its storage of 96 elements");
    CHECK_PATCHED("QK\x00K\x0cK\x08\x86", "QNK\x0cK\x08K\x08\x86",
                  WTE "it is described in a way that torch.save does not");
    CHECK_PATCHED("cpuq\x09K\x60t", "cpuq\x09K\x61t",
                  WTE "its storage has 384 bytes, not the 97 elements it should");
    CHECK_PATCHED("X\x07\x00\x00\x00storage", "X\x07\x00\x00\x00sTorage",
                  WTE "its storage is described in a way that torch.save does not");
    repacked(__LINE__, "/data/0", "1234", 4,
             WTE "its storage has 4 bytes, not the 96 elements it should");
    repacked(__LINE__, "/data/0", NULL, 0, WTE "entry ckpt/data/0 is missing");
    CHECK_BAD(FIXTURES "bad/deflated.pt",
              "bad/deflated.pt: tensor _orig_mod.transformer.wte.weight:"
              " its storage is compressed: torch.save never does so");
    files_clear();
}

/* The model's 30 storages come first; the optimizer's need not even be there. */
static void the_optimizer_is_not_read(void)
{
    struct err e = {0};
    repack(FIXTURES "nano/ckpt.pt", "", NULL, 0, 30);
    struct gpt_model *m = gpt_open(files_path("ckpt.pt"), &e);
    CHECK(m != NULL);
    gpt_close(m);
    repack(FIXTURES "nano/ckpt.pt", "", NULL, 0, 29);
    CHECK_BAD(files_path("ckpt.pt"),
              "/ckpt.pt: tensor transformer.ln_f.bias: entry ckpt/data/29 is missing");
    files_clear();
}

static void meta(int line, const char *bytes, size_t n, const char *tail)
{
    files_put("meta.pkl", bytes, n);
    check_bad(line, files_dir, tail);
}

#define CHECK_META(text, tail) meta(__LINE__, text, sizeof text - 1, tail)
/* A checkpoint with no weights and a vocabulary of 50257. */
static const char GPT2[] =
    "}(X\x05\x00\x00\x00model}X\x0a\x00\x00\x00model_args}(X\x07\x00\x00\x00n_layerK\x01"
    "X\x06\x00\x00\x00n_headK\x01X\x06\x00\x00\x00n_embdK\x01X\x0a\x00\x00\x00"
    "block_sizeK\x01"
    "X\x0a\x00\x00\x00vocab_sizeM\x51\xc4uu.";

#define ITOS "}X\x04\x00\x00\x00itos}("

static void vocabularies(void)
{
    files_copy(FIXTURES "nano/ckpt.pt", "ckpt.pt");
    CHECK_META("cbuiltins\nprint\n.", "/meta.pkl: byte 0: refused: the pickle wants to call "
                                      "builtins.print; actutils builds data only");
    CHECK_META("}.", "/meta.pkl: no dict \"itos\" of characters in it");
    CHECK_META(ITOS "K\x01X\x01\x00\x00\x00xus.",
               "/meta.pkl: itos is not {0: text, 1: text, …} without gaps");
    CHECK_META(ITOS "K\x00X\x01\x00\x00\x00xK\x00X\x01\x00\x00\x00yus.",
               "/meta.pkl: itos is not {0: text, 1: text, …} without gaps");
    CHECK_META(ITOS "K\x00K\x01us.", "/meta.pkl: itos is not {0: text, 1: text, …} without gaps");
    CHECK_META(ITOS "K\x00X\x01\x00\x00\x00"
                    "aK\x01X\x01\x00\x00\x00"
                    "bK\x02X\x01\x00\x00\x00"
                    "cK\x03"
                    "X\x01\x00\x00\x00"
                    "dK\x04X\x01\x00\x00\x00"
                    "eK\x05X\x01\x00\x00\x00"
                    "fK\x06X\x01"
                    "\x00\x00\x00gK\x07X\x01\x00\x00\x00hK\x08X\x01\x00\x00\x00iK\x09X\x01\x00\x00"
                    "\x00jK\x0aX\x01\x00\x00\x00kK\x0bX\x01\x00\x00\x00lK\x0cX\x01\x00\x00\x00mus.",
               ": its vocabulary has 13 tokens, but its embedding 12");
    /* GPT-2's vocabulary size: then its two files, if they lie there. */
    repack(FIXTURES "nano/ckpt.pt", "/data.pkl", GPT2, sizeof GPT2 - 1, 1 << 20);
    files_put_text("vocab.json", "[]");
    files_put_text("merges.txt", "#version: 0.2\n");
    unlink(files_path("meta.pkl"));
    CHECK_BAD(files_dir, "/vocab.json and merges.txt: JSON: object of tokens expected at byte 0");
    files_clear();
}

int main(void)
{
    files_begin();
    RUN(hostile_pickles);
    RUN(hostile_storages);
    RUN(the_optimizer_is_not_read);
    RUN(vocabularies);
    files_end();
    return test_done();
}
