/* Our own safetensors: Hugging Face's names and layout, float32, with the config and the vocabulary
   in the metadata. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/io.h"
#include "base/mem.h"
#include "gpt/model_parts.h"
#include "gpt/params.h"

enum { TILE = 1 << 16 }; /* floats written at a time */

static int add_metadata(const struct gpt_model *m, struct buf *b, struct err *e)
{
    struct buf text = {0};
    int rc = -1;
    if (buf_puts(b, "{\"__metadata__\":{\"format\":\"pt\",\"actutils.config\":", e) ||
        gpt_config_to_json(&m->cfg, &text, e) || json_quote(b, text.p, text.len, e))
        goto out;
    text.len = 0;
    if (m->vocab && (buf_puts(b, ",\"actutils.vocab\":", e) || vocab_to_json(m->vocab, &text, e) ||
                     json_quote(b, text.p, text.len, e)))
        goto out;
    rc = buf_puts(b, "}", e);
out:
    buf_release(&text);
    return rc;
}

/* The whole header with its length before it, padded so that the data begins on a multiple of 64.
 */
static int make_header(const struct gpt_model *m, struct buf *b, struct err *e)
{
    unsigned char length[8] = {0};
    uint64_t at = 0;
    struct gpt_param p;
    if (buf_add(b, length, sizeof length, e) || add_metadata(m, b, e))
        return -1;
    for (int i = 0; i < gpt_param_end(&m->cfg); i++) {
        if (!gpt_param_at(&m->cfg, i, &p) || !gpt_param_get(m, &p).w)
            continue;
        uint64_t bytes = (uint64_t)p.rows * (uint64_t)p.cols * sizeof(float);
        int first = p.kind == GPT_PARAM_UNEMBED ? p.cols : p.rows;
        int second = p.kind == GPT_PARAM_UNEMBED ? p.rows : p.cols;
        if (buf_printf(b, e, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[", p.name) ||
            (p.kind != GPT_PARAM_VECTOR && buf_printf(b, e, "%d,", first)) ||
            buf_printf(b, e, "%d],\"data_offsets\":[%llu,%llu]}", second, (unsigned long long)at,
                       (unsigned long long)(at + bytes)))
            return -1;
        at += bytes;
    }
    if (buf_puts(b, "}", e))
        return -1;
    while (b->len % 64)
        if (buf_puts(b, " ", e))
            return -1;
    put_le64((unsigned char *)b->p, b->len - sizeof length);
    return 0;
}

/* The matrix with `rows` rows of `cols` values; each is w[row * step + col * stride]. */
static int write_floats(int fd, const float *w, size_t rows, size_t cols, size_t step,
                        size_t stride, float *tile, struct err *e)
{
    if (stride == 1) /* rows lie as they should */
        return io_write_all(fd, w, rows * cols * sizeof *w, e);
    size_t n = 0;
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < cols; c++) {
            tile[n++] = w[r * step + c * stride];
            if (n == TILE && io_write_all(fd, tile, n * sizeof *tile, e))
                return -1;
            n %= TILE;
        }
    }
    return io_write_all(fd, tile, n * sizeof *tile, e);
}

static int write_param(int fd, const struct gpt_model *m, const struct gpt_param *p, float *tile,
                       struct err *e)
{
    struct gpt_matrix v = gpt_param_get(m, p);
    size_t in = (size_t)v.in, out = (size_t)v.out;
    if (!v.w)
        return 0;
    bool as_is = p->kind == GPT_PARAM_UNEMBED ? v.transposed : !v.transposed;
    size_t rows = p->kind == GPT_PARAM_UNEMBED ? out : in, cols = in * out / rows;
    return as_is ? write_floats(fd, v.w, rows, cols, cols, 1, tile, e)
                 : write_floats(fd, v.w, rows, cols, 1, rows, tile, e);
}

int gpt_save(const struct gpt_model *m, const char *path, struct err *e)
{
    struct buf header = {0};
    struct outfile o;
    struct gpt_param p;
    float *tile = mem_alloc(TILE, sizeof *tile, e);
    int rc = -1;
    if (!tile || make_header(m, &header, e) || outfile_open(&o, path, e))
        goto out;
    rc = io_write_all(o.fd, header.p, header.len, e);
    for (int i = 0; rc == 0 && i < gpt_param_end(&m->cfg); i++)
        if (gpt_param_at(&m->cfg, i, &p))
            rc = write_param(o.fd, m, &p, tile, e);
    if (rc == 0)
        rc = outfile_commit_synced(&o, e);
    else
        outfile_abort(&o);
out:
    buf_release(&header);
    free(tile);
    return rc ? err_prefix(e, "%s", path ? path : "-") : 0;
}
