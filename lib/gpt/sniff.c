/* What people put in place of a model by mistake, told by its first bytes. */
#include <string.h>
#include <strings.h>

#include "gpt/model_parts.h"

static bool begins(const unsigned char *p, size_t n, const char *s, size_t k)
{
    return n >= k && memcmp(p, s, k) == 0;
}

static bool is_html(const unsigned char *p, size_t n)
{
    static const char *const start[] = {"<!doctype", "<html", "<head", "<?xml"};
    while (n && strchr(" \t\r\n", *p) && *p)
        p++, n--;
    for (size_t i = 0; i < sizeof start / sizeof *start; i++)
        if (n >= strlen(start[i]) && strncasecmp((const char *)p, start[i], strlen(start[i])) == 0)
            return true;
    return false;
}

const char *sniff_kind(const unsigned char *p, size_t n)
{
    static const struct {
        const char *magic;
        size_t n;
        const char *kind;
    } known[] = {
#define KIND(magic, kind) {magic, sizeof magic - 1, kind}
        KIND("version https://git-lfs",
             "a Git LFS pointer, not the file itself: run `git lfs pull`"),
        KIND("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19",
             "a torch file in the format before PyTorch 1.6: load it and torch.save it again"),
        KIND("\x80\x02", "a bare Python pickle, not a checkpoint of torch.save"),
        KIND("\x80\x03", "a bare Python pickle, not a checkpoint of torch.save"),
        KIND("\x80\x04", "a bare Python pickle, not a checkpoint of torch.save"),
        KIND("\x80\x05", "a bare Python pickle, not a checkpoint of torch.save"),
        KIND("\x89HDF\r\n\x1a\n", "an HDF5 file (TensorFlow, Keras): convert it to safetensors"),
        KIND("model_checkpoint_path:",
             "part of a TensorFlow checkpoint: convert it to safetensors"),
        KIND("GGUF", "a GGUF file (llama.cpp): use the weights that it was made from"),
        KIND("\x93NUMPY", "a NumPy array"),
        KIND("\x1f\x8b", "compressed by gzip: unpack it first"),
        KIND("\xfd"
             "7zXZ",
             "compressed by xz: unpack it first"),
        KIND("\x28\xb5\x2f\xfd", "compressed by zstd: unpack it first"),
        KIND("\x08\xd8\x34\x01", "an llm.c checkpoint, which is not read"),
#undef KIND
    };
    /* The last bytes of a LevelDB table: TensorFlow's model.ckpt.index. */
    static const char table[] = "\x57\xfb\x80\x8b\x24\x75\x47\xdb";
    if (n == 0)
        return "empty";
    if (is_html(p, n))
        return "an HTML page (a failed download?)";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (begins(p, n, known[i].magic, known[i].n))
            return known[i].kind;
    if (n >= 8 && memcmp(p + n - 8, table, 8) == 0)
        return "the index of a TensorFlow checkpoint: convert it to safetensors";
    return NULL;
}
