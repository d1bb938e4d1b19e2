#include <stdlib.h>

#include "act/npz.h"
#include "base/mem.h"
#include "base/zip.h"
#include "num/half.h"

struct npz_writer {
    struct zip_writer *zip;
    struct buf head; /* scratch: name and header of an array */
    enum act_dtype type;
    uint16_t half[1 << 14];
};

struct npz_writer *npz_writer_open(int fd, struct err *e)
{
    struct npz_writer *w = mem_calloc(1, sizeof *w, e);
    if (w && !(w->zip = zip_writer_open(fd, e))) {
        free(w);
        w = NULL;
    }
    return w;
}

int npz_write_begin(struct npz_writer *w, const char *name, enum act_dtype t, const uint64_t *dims,
                    int n_dims, struct err *e)
{
    static const char *const descr[] = {
        [ACT_F32] = "<f4", [ACT_F16] = "<f2", [ACT_BF16] = "<f4", [ACT_I32] = "<i4"};
    uint64_t bytes = t == ACT_F16 ? 2 : 4;
    bool overflow = false;
    for (int i = 0; i < n_dims; i++)
        overflow |= __builtin_mul_overflow(bytes, dims[i], &bytes);
    if (overflow || bytes > INT64_MAX)
        return err_set(e, ERR_DATA, "%s: too large for an npz archive", name);
    w->type = t;
    w->head.len = 0;
    if (buf_printf(&w->head, e, "%s.npy", name))
        return -1;
    size_t n_name = w->head.len + 1; /* with its NUL */
    if (buf_add(&w->head, "", 1, e) || npy_format(&w->head, descr[t], dims, n_dims, e))
        return -1;
    size_t n = w->head.len - n_name;
    if (zip_writer_begin(w->zip, w->head.p, n + bytes, e))
        return -1;
    return zip_writer_put(w->zip, w->head.p + n_name, n, e);
}

int npz_write_values(struct npz_writer *w, const void *values, size_t n, struct err *e)
{
    if (w->type != ACT_F16) /* our memory and the file are both little-endian, 4 bytes a value */
        return zip_writer_put(w->zip, values, n * 4, e);
    const float *f = values;
    for (size_t done = 0; done < n;) {
        size_t k = sizeof w->half / sizeof *w->half;
        k = n - done < k ? n - done : k;
        half_from_float(w->half, f + done, k);
        if (zip_writer_put(w->zip, w->half, k * 2, e))
            return -1;
        done += k;
    }
    return 0;
}

int npz_writer_finish(struct npz_writer *w, struct err *e)
{
    return zip_writer_finish(w->zip, e);
}

void npz_writer_free(struct npz_writer *w)
{
    if (!w)
        return;
    zip_writer_free(w->zip);
    buf_release(&w->head);
    free(w);
}
