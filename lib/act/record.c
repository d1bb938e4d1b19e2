/* The payload of RECORD frames (frame.h), and what makes a record a valid one. */
#include <string.h>

#include "act/frame.h"
#include "base/bytes.h"
#include "base/mem.h"

/* Names end up in tables, messages and file names: no control bytes. */
static bool is_name(const char *s, size_t n, size_t max)
{
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return false;
    }
    return n > 0 && n < max;
}

static int check_dim(const struct act_record *r, int d, uint64_t *count, enum err_kind kind,
                     struct err *e)
{
    const struct act_dim *dim = &r->dims[d];
    if (!is_name(dim->label, strnlen(dim->label, ACT_LABEL_MAX), ACT_LABEL_MAX))
        return err_set(e, kind, "record \"%s\": dimension %d has no valid label", r->name, d);
    if (__builtin_mul_overflow(*count, dim->size, count) || *count > FRAME_RECORD_MAX)
        return err_set(e, kind, "record \"%s\": more values than the limit of 2^40", r->name);
    if (dim->index && dim->start != 0)
        return err_set(e, kind, "record \"%s\": dimension \"%s\" has both a start and an index",
                       r->name, dim->label);
    if ((int64_t)dim->start + dim->size > INT32_MAX)
        return err_set(e, kind, "record \"%s\": coordinates of dimension \"%s\" overflow", r->name,
                       dim->label);
    return 0;
}

static int check_record(const struct act_record *r, enum err_kind kind, struct err *e)
{
    if (!is_name(r->name, strnlen(r->name, ACT_NAME_MAX), ACT_NAME_MAX))
        return err_set(e, kind, "a record's name must have 1 to %d bytes, none of them control",
                       ACT_NAME_MAX - 1);
    if ((unsigned)r->dtype > ACT_I32 || r->n_dims < 0 || r->n_dims > ACT_MAX_DIMS)
        return err_set(e, kind, "record \"%s\": data type %d with %d dimensions is not possible",
                       r->name, (int)r->dtype, r->n_dims);
    uint64_t count = 1;
    for (int d = 0; d < r->n_dims; d++) {
        if (check_dim(r, d, &count, kind, e))
            return -1;
    }
    return 0;
}

static int put_dim(struct buf *b, const struct act_dim *d, struct err *e)
{
    unsigned char fixed[10];
    put_le32(fixed, d->size);
    put_le32(fixed + 4, (uint32_t)d->start);
    fixed[8] = d->index != NULL;
    fixed[9] = (unsigned char)strlen(d->label);
    if (buf_add(b, fixed, sizeof fixed, e) || buf_add(b, d->label, fixed[9], e))
        return -1;
    for (size_t i = 0; d->index && i < d->size; i++) {
        unsigned char le[4];
        put_le32(le, (uint32_t)d->index[i]);
        if (buf_add(b, le, 4, e))
            return -1;
    }
    return 0;
}

int frame_put_record(struct buf *b, const struct act_record *r, struct err *e)
{
    if (check_record(r, ERR_USAGE, e))
        return -1;
    unsigned char fixed[4] = {(unsigned char)r->dtype, (unsigned char)r->n_dims};
    put_le16(fixed + 2, (uint16_t)strlen(r->name));
    if (buf_add(b, fixed, sizeof fixed, e) || buf_puts(b, r->name, e))
        return -1;
    for (int d = 0; d < r->n_dims; d++) {
        if (r->dims[d].index && r->dims[d].size > FRAME_META_MAX / 4)
            return err_set(e, ERR_USAGE, "record \"%s\": %u coordinates are too many to list",
                           r->name, r->dims[d].size);
        if (put_dim(b, &r->dims[d], e))
            return -1;
    }
    if (b->len > FRAME_META_MAX)
        return err_set(e, ERR_USAGE, "record \"%s\": too many coordinates to list", r->name);
    return 0;
}

/* Copies n bytes from p[*at..len) to a string of `max` bytes with its NUL. */
static int get_name(char *to, size_t max, const unsigned char *p, size_t len, size_t *at, size_t n,
                    struct err *e)
{
    if (n > len - *at || n >= max || memchr(p + *at, '\0', n))
        return err_set(e, ERR_DATA, "a name of %zu bytes does not fit", n);
    memcpy(to, p + *at, n);
    to[n] = '\0';
    *at += n;
    return 0;
}

static int get_dim(struct act_dim *d, const unsigned char *p, size_t len, size_t *at, struct err *e)
{
    if (len - *at < 10)
        return err_set(e, ERR_DATA, "its fields do not fit its length");
    const unsigned char *fixed = p + *at;
    *at += 10;
    d->size = get_le32(fixed);
    d->start = (int32_t)get_le32(fixed + 4);
    if (fixed[8] > 1)
        return err_set(e, ERR_DATA, "a field has the value %u, should be 0 or 1", fixed[8]);
    if (get_name(d->label, sizeof d->label, p, len, at, fixed[9], e))
        return -1;
    if (!fixed[8])
        return 0;
    if (d->size > (len - *at) / 4)
        return err_set(e, ERR_DATA, "its coordinates do not fit its length");
    d->index = mem_alloc(d->size, sizeof *d->index, e);
    if (!d->index)
        return -1;
    for (size_t i = 0; i < d->size; i++)
        d->index[i] = (int32_t)get_le32(p + *at + 4 * i);
    *at += 4 * (size_t)d->size;
    return 0;
}

int frame_get_record(struct act_record *r, const unsigned char *p, size_t n, struct err *e)
{
    if (n < 4)
        return err_set(e, ERR_DATA, "its fields do not fit its length");
    size_t at = 4;
    unsigned dtype = p[0], n_dims = p[1];
    if (get_name(r->name, sizeof r->name, p, n, &at, get_le16(p + 2), e))
        return -1;
    if (dtype > ACT_I32 || n_dims > ACT_MAX_DIMS)
        return err_set(e, ERR_DATA, "data type %u with %u dimensions is not possible", dtype,
                       n_dims);
    r->dtype = (enum act_dtype)dtype;
    for (; r->n_dims < (int)n_dims; r->n_dims++) {
        if (get_dim(&r->dims[r->n_dims], p, n, &at, e)) /* what it allocated is freed with it */
            return -1;
    }
    if (at != n)
        return err_set(e, ERR_DATA, "its fields do not fit its length");
    return check_record(r, ERR_DATA, e);
}
