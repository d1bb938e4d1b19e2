#include "gpt/train_text.h"

#include <stdlib.h>

#include "base/crc.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { N_CODES = 0x110000 };

/* The vocabulary of the characters that are marked, of which there are n. */
static struct vocab *from_marks(const unsigned char *mark, size_t n, struct err *e)
{
    const char **itos = mem_alloc(n, sizeof *itos, e);
    size_t *len = mem_alloc(n, sizeof *len, e);
    char(*text)[4] = mem_alloc(n, sizeof *text, e);
    struct vocab *v = NULL;
    size_t k = 0;
    if (itos && len && text) {
        for (uint32_t cp = 0; cp < N_CODES; cp++) {
            if (!mark[cp])
                continue;
            len[k] = utf8_encode(cp, text[k]);
            itos[k] = text[k];
            k++;
        }
        v = vocab_chars(itos, len, n, e);
    }
    free(itos);
    free(len);
    free(text);
    return v;
}

struct vocab *train_vocab(const char *s, size_t n, struct err *e)
{
    struct vocab *v = NULL;
    size_t count = 0;
    if (n == 0) {
        err_set(e, ERR_DATA, "the text is empty");
        return NULL;
    }
    unsigned char *mark = mem_calloc(N_CODES, 1, e);
    if (!mark)
        return NULL;
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t len = utf8_decode(s + i, n - i, &cp);
        if (len == 0) {
            err_set(e, ERR_DATA, "the text is not UTF-8 at byte %zu", i);
            goto out;
        }
        count += !mark[cp];
        mark[cp] = 1;
        i += len;
    }
    v = from_marks(mark, count, e);
out:
    free(mark);
    return v;
}

/* Bytes of the first nine tenths of the characters; nanoGPT's data[:int(n * 0.9)]. */
static size_t split(const char *s, size_t n)
{
    size_t chars = 0, i = 0;
    for (size_t k = 0; k < n; k++)
        chars += ((unsigned char)s[k] & 0xc0) != 0x80;
    size_t want = (size_t)((double)chars * 0.9);
    for (chars = 0; i < n; i++) {
        chars += ((unsigned char)s[i] & 0xc0) != 0x80;
        if (chars > want)
            break;
    }
    return i;
}

int train_text_init(struct train_text *t, const struct vocab *v, const char *s, size_t n,
                    struct err *e)
{
    size_t cap = 0, at = split(s, n);
    struct crc_table *crc = mem_alloc(1, sizeof *crc, e);
    *t = (struct train_text){.vocab = v};
    if (!crc || vocab_encode(v, s, at, &t->ids, &t->n, &cap, e))
        goto fail;
    t->n_train = t->n;
    if (vocab_encode(v, s + at, n - at, &t->ids, &t->n, &cap, e)) {
        err_prefix(e, "in the last tenth of the text, from byte %zu on", at);
        goto fail;
    }
    crc_table_init(crc);
    t->crc = crc_update(crc, 0, t->ids, t->n * sizeof *t->ids);
    free(crc);
    return 0;
fail:
    free(crc);
    train_text_release(t);
    return -1;
}

void train_text_release(struct train_text *t)
{
    free(t->ids);
    *t = (struct train_text){0};
}

int train_text_check(const struct train_text *t, int block, struct err *e)
{
    size_t val = t->n - t->n_train, less = val < t->n_train ? val : t->n_train;
    if (less > (size_t)block)
        return 0;
    return err_set(e, ERR_DATA,
                   "the text is too short: %zu tokens for training and %zu for validation (the "
                   "last tenth), and each part must have more than a block of %d",
                   t->n_train, val, block);
}
