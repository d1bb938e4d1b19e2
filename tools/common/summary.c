#include "common/summary.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "act/codec.h"
#include "base/mem.h"

const char *record_dtype(enum act_dtype t)
{
    static const char *const names[] = {"float32", "float16", "bfloat16", "int32"};
    return names[t];
}

#define LISTED_MAX 8 /* coordinates that are printed */

/* Appends to text[0..size) at *at; what does not fit is left out. */
__attribute__((format(printf, 4, 5))) static void add(char *text, size_t size, size_t *at,
                                                      const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (*at < size) {
        int n = vsnprintf(text + *at, size - *at, fmt, ap);
        *at += n > 0 ? (size_t)n : 0;
    }
    va_end(ap);
}

void record_shape(const struct act_record *r, char *text, size_t size)
{
    size_t at = 0;
    add(text, size, &at, "%s", r->n_dims ? "" : "scalar");
    for (int d = 0; d < r->n_dims; d++) {
        const struct act_dim *dim = &r->dims[d];
        add(text, size, &at, "%s%s", d ? ", " : "", dim->label);
        if (!dim->index && dim->start == 0) {
            add(text, size, &at, " %" PRIu32, dim->size);
        } else if (!dim->index) {
            add(text, size, &at, "=%" PRId32 ":%" PRId64, dim->start,
                (int64_t)dim->start + dim->size);
        } else {
            uint32_t n = dim->size < LISTED_MAX ? dim->size : LISTED_MAX;
            for (uint32_t i = 0; i < n; i++)
                add(text, size, &at, "%c%" PRId32, i ? '+' : '=', dim->index[i]);
            if (dim->size > n)
                add(text, size, &at, "+... (%" PRIu32 ")", dim->size);
        }
    }
}

/* Records of the same name. What differs between them is given as a range. */
struct record_kind {
    char name[ACT_NAME_MAX], shape[RECORD_SHAPE_MAX];
    enum act_dtype dtype;
    bool mixed_dtype, same_shape;
    int n_dims; /* -1: different numbers of dimensions */
    char label[ACT_MAX_DIMS][ACT_LABEL_MAX];
    uint32_t least[ACT_MAX_DIMS], most[ACT_MAX_DIMS];
    uint64_t records, values, bytes;
};

#define KINDS_MAX 4096
struct record_kinds {
    struct record_kind *kind;
    size_t n, cap, next; /* next: where the same order as in the item before would find it */
    uint64_t others;
};

static void begin_kind(struct record_kind *k, const struct act_record *r)
{
    *k = (struct record_kind){.dtype = r->dtype, .same_shape = true, .n_dims = r->n_dims};
    memcpy(k->name, r->name, sizeof k->name);
    record_shape(r, k->shape, sizeof k->shape);
    for (int d = 0; d < r->n_dims; d++) {
        memcpy(k->label[d], r->dims[d].label, sizeof k->label[d]);
        k->least[d] = k->most[d] = r->dims[d].size;
    }
}

static void add_to_kind(struct record_kind *k, const struct act_record *r)
{
    char shape[RECORD_SHAPE_MAX];
    size_t n = act_record_count(r);
    record_shape(r, shape, sizeof shape);
    k->same_shape = k->same_shape && strcmp(shape, k->shape) == 0;
    k->mixed_dtype = k->mixed_dtype || r->dtype != k->dtype;
    k->n_dims = r->n_dims == k->n_dims ? k->n_dims : -1;
    for (int d = 0; d < k->n_dims; d++) {
        uint32_t size = r->dims[d].size;
        k->n_dims = strcmp(r->dims[d].label, k->label[d]) == 0 ? k->n_dims : -1;
        k->least[d] = size < k->least[d] ? size : k->least[d];
        k->most[d] = size > k->most[d] ? size : k->most[d];
    }
    k->records++;
    k->values += n;
    k->bytes += n * codec_width(r->dtype);
}

static int add_record(struct record_kinds *k, const struct act_record *r, struct err *e)
{
    size_t i = k->next < k->n && strcmp(k->kind[k->next].name, r->name) == 0 ? k->next : 0;
    while (i < k->n && strcmp(k->kind[i].name, r->name) != 0)
        i++;
    if (i == KINDS_MAX) {
        k->others++;
        return 0;
    }
    if (i == k->n) {
        if (mem_grow(&k->kind, &k->cap, i + 1, sizeof *k->kind, e))
            return -1;
        begin_kind(&k->kind[k->n++], r);
    }
    add_to_kind(&k->kind[i], r);
    k->next = i + 1 < k->n ? i + 1 : 0;
    return 0;
}

static int put_shape(const struct record_kind *k, struct buf *b, struct err *e)
{
    if (k->same_shape)
        return buf_puts(b, k->shape, e);
    if (k->n_dims < 0)
        return buf_puts(b, "different", e);
    for (int d = 0; d < k->n_dims; d++) {
        if (buf_printf(b, e, "%s%s %" PRIu32, d ? ", " : "", k->label[d], k->least[d]) ||
            (k->most[d] > k->least[d] && buf_printf(b, e, "..%" PRIu32, k->most[d])))
            return -1;
    }
    return 0;
}

/* An empty line, a header row and a row for each kind; nothing if there are none. */
static int put_kinds(const struct record_kinds *k, struct buf *b, struct err *e)
{
    if (k->n == 0)
        return 0;
    if (buf_puts(b, "\nrecord\tdtype\tshape\titems\tvalues\tbytes\n", e))
        return -1;
    for (size_t i = 0; i < k->n; i++) {
        const struct record_kind *one = &k->kind[i];
        if (buf_printf(b, e, "%s\t%s\t", one->name,
                       one->mixed_dtype ? "different" : record_dtype(one->dtype)) ||
            put_shape(one, b, e) ||
            buf_printf(b, e, "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n", one->records, one->values,
                       one->bytes))
            return -1;
    }
    if (k->others && buf_printf(b, e, "(%" PRIu64 " records of other names)\n", k->others))
        return -1;
    return 0;
}

static int put_pair(struct buf *b, const char *key, const char *value, struct err *e)
{
    return buf_escape(b, key, strlen(key), e) || buf_puts(b, "\t", e) ||
           buf_escape(b, value, strlen(value), e) || buf_puts(b, "\n", e);
}

static int put_header(struct buf *b, const struct act_reader *r, struct err *e)
{
    const struct act_header *h = act_reader_header(r);
    if (put_pair(b, "stream", act_reader_name(r), e))
        return -1;
    for (size_t i = 0; i < h->n_pairs; i++)
        if (put_pair(b, h->pairs[i].key, h->pairs[i].value, e))
            return -1;
    for (size_t i = 0; i < h->n_history; i++)
        if (put_pair(b, "history", h->history[i], e))
            return -1;
    return 0;
}

static int summarize(struct act_reader *r, struct record_kinds *k, struct buf *b, struct err *e)
{
    uint64_t items = 0, tokens = 0, records = 0, stored, raw;
    int event;
    while ((event = act_reader_next(r, e)) > 0) {
        if (event == ACT_ITEM) {
            items++;
            tokens += act_reader_item(r)->n_tokens;
        } else {
            records++;
            if (add_record(k, act_reader_record(r), e))
                return -1;
        }
    }
    if (event < 0 || put_header(b, r, e))
        return -1;
    act_reader_sizes(r, &stored, &raw);
    if (buf_printf(b, e, "items\t%" PRIu64 "\ntokens\t%" PRIu64 "\nrecords\t%" PRIu64 "\n", items,
                   tokens, records) ||
        buf_printf(b, e, "bytes\t%" PRIu64 "\nvalues bytes\t%" PRIu64 "\n", stored, raw))
        return -1;
    return put_kinds(k, b, e);
}

int stream_summary(struct act_reader *r, struct buf *b, struct err *e)
{
    struct record_kinds k = {0};
    int rc = summarize(r, &k, b, e);
    free(k.kind);
    return rc;
}
