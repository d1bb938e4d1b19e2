#include "gpt/train_state.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/io.h"
#include "base/mem.h"

static const char MAGIC[8] = {'A', 'C', 'T', 'T', 'R', 'A', 'I', 'N'};
enum { VERSION = 1, ALIGN = 64 };

/* The fixed part; offsets in bytes. */
enum {
    AT_VERSION = 8,
    AT_BIAS = 12,
    AT_STEP = 16,
    AT_BEST = 24,
    AT_FLOATS = 32,
    AT_TOKENS = 40,
    AT_TEXT_CRC = 48,
    AT_CONFIG_LEN = 52,
    AT_VOCAB_LEN = 56,
    AT_JSON = 64,
};

static int make_header(const struct trainer *t, struct buf *b, struct err *e)
{
    static const char zero[ALIGN];
    struct buf config = {0}, vocab = {0};
    uint64_t best;
    int rc = -1;
    if (gpt_config_to_json(&t->w.model.cfg, &config, e) ||
        vocab_to_json(t->text->vocab, &vocab, e) || buf_add(b, zero, AT_JSON, e) ||
        buf_add(b, config.p, config.len, e) || buf_add(b, vocab.p, vocab.len, e) ||
        buf_add(b, zero, (ALIGN - b->len % ALIGN) % ALIGN, e))
        goto out;
    unsigned char *p = (unsigned char *)b->p;
    memcpy(p, MAGIC, sizeof MAGIC);
    memcpy(&best, &t->best, sizeof best);
    put_le32(p + AT_VERSION, VERSION);
    put_le32(p + AT_BIAS, gpt_weights_has_bias(&t->w));
    put_le64(p + AT_STEP, (uint64_t)t->step);
    put_le64(p + AT_BEST, best);
    put_le64(p + AT_FLOATS, t->w.n);
    put_le64(p + AT_TOKENS, t->text->n);
    put_le32(p + AT_TEXT_CRC, t->text->crc);
    put_le32(p + AT_CONFIG_LEN, (uint32_t)config.len);
    put_le64(p + AT_VOCAB_LEN, vocab.len);
    rc = 0;
out:
    buf_release(&config);
    buf_release(&vocab);
    return rc;
}

/* Writes and adds to the checksum. */
static int put(int fd, const void *p, size_t n, const struct crc_table *table, uint32_t *crc,
               struct err *e)
{
    *crc = crc_update(table, *crc, p, n);
    return io_write_all(fd, p, n, e);
}

int trainer_save(const struct trainer *t, const char *path, struct err *e)
{
    struct buf header = {0};
    struct outfile o = {.fd = -1};
    struct crc_table *table = mem_alloc(1, sizeof *table, e);
    const float *const array[] = {t->w.w, t->m, t->v};
    unsigned char end[4];
    uint32_t crc = 0;
    int rc = -1;
    if (!table || make_header(t, &header, e) || outfile_open(&o, path, e))
        goto out;
    crc_table_init(table);
    rc = put(o.fd, header.p, header.len, table, &crc, e);
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = put(o.fd, array[i], t->w.n * sizeof **array, table, &crc, e);
    put_le32(end, crc);
    if (rc == 0)
        rc = io_write_all(o.fd, end, sizeof end, e);
    if (rc == 0)
        rc = outfile_commit_synced(&o, e);
    outfile_abort(&o);
out:
    free(table);
    buf_release(&header);
    return rc ? err_prefix(e, "%s", path) : 0;
}

static struct json *parse_json(const unsigned char *p, size_t n, struct err *e)
{
    return json_parse((const char *)p, n, e);
}

/* Config and vocabulary at p, whose lengths were checked. */
static int read_json(struct train_state *s, const unsigned char *p, size_t config, size_t vocab,
                     struct err *e)
{
    struct json *j = parse_json(p, config, e);
    int rc = j ? gpt_config_from_json(&s->cfg, j, e) : -1;
    json_free(j);
    if (rc)
        return -1;
    j = parse_json(p + config, vocab, e);
    s->vocab = j ? vocab_from_json(j, e) : NULL;
    json_free(j);
    return s->vocab ? 0 : -1;
}

static int check_crc(const struct io_map *m, struct err *e)
{
    struct crc_table *table = mem_alloc(1, sizeof *table, e);
    if (!table)
        return -1;
    crc_table_init(table);
    uint32_t crc = crc_update(table, 0, m->base, m->len - 4);
    free(table);
    if (crc == get_le32(m->base + m->len - 4))
        return 0;
    return err_set(e, ERR_DATA, "damaged: the checksum does not agree");
}

static int read_state(struct train_state *s, struct err *e)
{
    const unsigned char *p = s->map.base;
    size_t len = s->map.len;
    if (len < AT_JSON + 4 || memcmp(p, MAGIC, sizeof MAGIC) != 0)
        return err_set(e, ERR_DATA, "not a saved state of gpt-train");
    if (get_le32(p + AT_VERSION) != VERSION)
        return err_set(e, ERR_DATA, "version %u, but only %d is read",
                       (unsigned)get_le32(p + AT_VERSION), VERSION);
    if (check_crc(&s->map, e))
        return -1;
    uint64_t best = get_le64(p + AT_BEST), config = get_le32(p + AT_CONFIG_LEN);
    uint64_t vocab = get_le64(p + AT_VOCAB_LEN), room = len - AT_JSON - 4;
    memcpy(&s->best, &best, sizeof best);
    s->bias = get_le32(p + AT_BIAS) != 0;
    s->step = (int64_t)get_le64(p + AT_STEP);
    s->n = get_le64(p + AT_FLOATS);
    s->n_text = get_le64(p + AT_TOKENS);
    s->text_crc = get_le32(p + AT_TEXT_CRC);
    if (config > room || vocab > room - config)
        return err_set(e, ERR_DATA, "damaged: it ends inside its header");
    uint64_t data = (AT_JSON + config + vocab + ALIGN - 1) / ALIGN * ALIGN;
    if (data > len - 4 || s->n > SIZE_MAX / 16 || 3 * s->n * sizeof *s->w != len - 4 - data)
        return err_set(e, ERR_DATA, "damaged: %zu bytes are not three arrays of %llu floats", len,
                       (unsigned long long)s->n);
    s->w = (const float *)(const void *)(p + data);
    s->m = s->w + s->n;
    s->v = s->m + s->n;
    return read_json(s, p + AT_JSON, (size_t)config, (size_t)vocab, e);
}

int train_state_open(struct train_state *s, const char *path, struct err *e)
{
    *s = (struct train_state){0};
    if (io_map_open(&s->map, path, e))
        return -1;
    if (read_state(s, e) == 0)
        return 0;
    train_state_close(s);
    return err_prefix(e, "%s", path);
}

void train_state_close(struct train_state *s)
{
    vocab_free(s->vocab);
    io_map_close(&s->map);
    *s = (struct train_state){0};
}

int trainer_restore(struct trainer *t, const struct train_state *s, struct err *e)
{
    size_t bytes = t->w.n * sizeof *t->w.w;
    if (s->n != t->w.n)
        return err_set(e, ERR_DATA, "the saved state is of another model: %llu floats, not %zu",
                       (unsigned long long)s->n, t->w.n);
    if (s->n_text != t->text->n || s->text_crc != t->text->crc)
        return err_set(e, ERR_DATA,
                       "the text is not the one that this run began with (%llu tokens then, %zu "
                       "now)",
                       (unsigned long long)s->n_text, t->text->n);
    memcpy(t->w.w, s->w, bytes);
    memcpy(t->m, s->m, bytes);
    memcpy(t->v, s->v, bytes);
    t->step = s->step;
    t->best = s->best;
    return 0;
}
