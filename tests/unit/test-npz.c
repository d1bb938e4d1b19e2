#include "act/npz.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/zip.h"
#include "test.h"

#define FIXTURES "tests/fixtures/npz/"

/* Values of the array as float or int32_t; NULL when it cannot be read. */
static void *values(struct npz *z, const char *name, struct err *e)
{
    int64_t i = npz_find(z, name);
    if (i < 0)
        return NULL;
    size_t n = (size_t)npz_array(z, (size_t)i)->npy.count;
    void *v = malloc(4 * n + 1);
    if (npz_values(z, (size_t)i, 0, n, v, e)) {
        free(v);
        return NULL;
    }
    return v;
}

/* The formulas of tests/fixtures/npz/make.py. */
static void kinds_of(const char *path)
{
    static const struct {
        const char *name;
        int32_t first;
    } ints[] = {{"i1", -3}, {"u1", 250}, {"i2", -3}, {"u2", 65530},
                {"i4", -3}, {"u4", 0},   {"i8", -3}, {"u8", 0}};
    static const char *const floats[] = {"f2", "f4", "f8"};
    struct err e = {0};
    struct npz *z = npz_open(path, &e);
    CHECK(z && npz_count(z) == 15);
    if (!z)
        return;
    for (size_t k = 0; k < 3; k++) {
        float *v = values(z, floats[k], &e);
        const struct npz_array *a = npz_array(z, (size_t)npz_find(z, floats[k]));
        CHECK(a->npy.n_dims == 2 && a->npy.dims[0] == 2 && a->npy.dims[1] == 3);
        for (int i = 0; v && i < 6; i++)
            CHECK(v[i] == (float)i / 8 - 1);
        CHECK(v != NULL);
        free(v);
    }
    for (size_t k = 0; k < 8; k++) {
        int32_t *v = values(z, ints[k].name, &e);
        CHECK(v != NULL);
        for (int i = 0; v && i < 6; i++)
            CHECK(v[i] == ints[k].first + i);
        free(v);
    }
    int32_t *b = values(z, "b1", &e);
    CHECK(b && b[0] == 1 && b[1] == 0 && b[2] == 1);
    free(b);
    float *s = values(z, "scalar", &e);
    CHECK(s && *s == 0.5f && npz_array(z, (size_t)npz_find(z, "scalar"))->npy.n_dims == 0);
    free(s);
    free(values(z, "empty", &e));
    CHECK(npz_array(z, (size_t)npz_find(z, "empty"))->npy.count == 0);
    float *sp = values(z, "special", &e);
    CHECK(sp && isinf(sp[0]) && sp[0] > 0 && isinf(sp[1]) && sp[1] < 0 && isnan(sp[2]) &&
          sp[3] == 0 && signbit(sp[3]));
    free(sp);
    CHECK(npz_find(z, "absent") == -1);
    npz_close(z);
}

static void every_dtype_stored(void)
{
    kinds_of(FIXTURES "stored.npz");
}

static void every_dtype_compressed(void)
{
    kinds_of(FIXTURES "compressed.npz");
}

static void any_part_in_any_order(void)
{
    static const char *const paths[] = {FIXTURES "stored.npz", FIXTURES "compressed.npz"};
    struct err e = {0};
    for (int k = 0; k < 2; k++) {
        struct npz *z = npz_open(paths[k], &e);
        CHECK(z != NULL);
        size_t f4 = (size_t)npz_find(z, "f4"), i4 = (size_t)npz_find(z, "i4");
        float v[6];
        int32_t i[2];
        CHECK(npz_values(z, f4, 4, 2, v, &e) == 0 && v[0] == -0.5f && v[1] == -0.375f);
        CHECK(npz_values(z, f4, 1, 2, v, &e) == 0 && v[0] == -0.875f && v[1] == -0.75f);
        CHECK(npz_values(z, i4, 3, 2, i, &e) == 0 && i[0] == 0 && i[1] == 1);
        CHECK(npz_values(z, f4, 3, 3, v, &e) == 0 && v[0] == -0.625f && v[2] == -0.375f);
        CHECK(npz_values(z, f4, 6, 0, v, &e) == 0);
        CHECK(npz_values(z, f4, 5, 2, v, &e) == -1 && e.kind == ERR_USAGE);
        CHECK(npz_values(z, f4, UINT64_MAX, 2, v, &e) == -1 && e.kind == ERR_USAGE);
        npz_close(z);
    }
}

static void three_versions(void)
{
    struct err e = {0};
    struct npz *z = npz_open(FIXTURES "versions.npz", &e);
    CHECK(z && npz_count(z) == 3); /* readme.txt is no array */
    static const char *const names[] = {"v1", "v2", "v3"};
    for (int k = 0; z && k < 3; k++) {
        float *v = values(z, names[k], &e);
        CHECK(v && v[0] == -1 && v[3] == -0.625f);
        free(v);
    }
    npz_close(z);
}

/* What cannot be read is refused by name, and does not stand in the way of the rest. */
static void refused_dtypes(void)
{
    static const struct {
        const char *name, *says;
    } bad[] = {{"big", "big: dtype '>f4' cannot be read (big-endian)"},
               {"fortran", "fortran: is in Fortran order"},
               {"text", "text: dtype '<U2'"},
               {"complex", "complex: dtype '<c8'"},
               {"structure", "structure: dtype '(structure)'"},
               {"huge", "huge: value 1099511627776 does not fit 32 bits"}};
    struct err e = {0};
    struct npz *z = npz_open(FIXTURES "odd.npz", &e);
    CHECK(z != NULL);
    for (size_t k = 0; z && k < sizeof bad / sizeof *bad; k++) {
        e = (struct err){0};
        void *v = values(z, bad[k].name, &e);
        CHECK(!v && e.kind == ERR_DATA);
        CHECK(strstr(e.msg, bad[k].says) != NULL);
        free(v);
    }
    float *v = values(z, "fine", &e);
    CHECK(v && v[2] == -0.75f);
    free(v);
    npz_close(z);
}

/* npy_parse of a version 1 header with this dict and n_values bytes behind it. */
static int parse(struct npy_header *h, const char *dict, size_t n_values, struct err *e)
{
    unsigned char file[1024] = "\x93NUMPY\x01";
    size_t n = strlen(dict);
    put_le16(file + 8, (uint16_t)n);
    memcpy(file + 10, dict, n);
    *e = (struct err){0};
    return npy_parse(h, file, 10 + n + n_values, 10 + n + n_values, e);
}

static void headers_taken(void)
{
    struct npy_header h;
    struct err e;
    CHECK(parse(&h, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }", 4, &e) == 0);
    CHECK(h.n_dims == 0 && h.count == 1 && h.type == NPY_F4);
    CHECK(parse(&h, "{'shape':(2,),'fortran_order':True,\"descr\":\"|u1\"}   \n", 2, &e) == 0);
    CHECK(h.n_dims == 1 && h.dims[0] == 2 && h.fortran && h.type == NPY_U1);
    CHECK(parse(&h, "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 7), }", 0, &e) == 0);
    CHECK(h.count == 0 && h.n_dims == 2);
}

static void hostile_headers(void)
{
    static const char *const bad[] = {
        "",
        "{",
        "{}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1.0,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [1]}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 1}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}",
        "{'descr': '<f4, 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f\\x34', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': [('a', '<f4'), 'fortran_order': False, 'shape': (1,)}",
        "{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616,)}",
        /* products that wrap round to what is there */
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387905,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 1)}",
        /* sizes that are not there */
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}",
    };
    struct npy_header h;
    struct err e;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int rc = parse(&h, bad[i], 4, &e);
        if (rc != -1 || e.kind != ERR_DATA || !*e.msg)
            printf("# taken: %s\n", bad[i]);
        CHECK(rc == -1 && e.kind == ERR_DATA && *e.msg);
    }
}

static void cut_headers(void)
{
    unsigned char file[128] = {0};
    struct buf b = {0};
    struct npy_header h;
    struct err e;
    uint64_t dims[2] = {3, 5};
    CHECK(npy_format(&b, "<f4", dims, 2, &e) == 0);
    CHECK(b.len == 128); /* values begin aligned to 64 */
    memcpy(file, b.p, 128);
    CHECK(npy_parse(&h, file, 128, 128 + 60, &e) == 0 && h.count == 15 && h.start == 128);
    for (size_t n = 0; n < 128; n++)
        CHECK(npy_parse(&h, file, n, n, &e) == -1 && e.kind == ERR_DATA);
    CHECK(npy_parse(&h, file, 128, 128 + 59, &e) == -1);
    CHECK(npy_parse(&h, file, 128, 128 + 61, &e) == -1);
    file[6] = 4;
    CHECK(npy_parse(&h, file, 128, 128 + 60, &e) == -1 && strstr(e.msg, "version 4.0") != NULL);
    file[6] = 2; /* whose length field has four bytes: here a huge number */
    CHECK(npy_parse(&h, file, 128, 128 + 60, &e) == -1 && strstr(e.msg, "too long") != NULL);
    buf_release(&b);
}

static char *temporary(char name[64])
{
    snprintf(name, 64, "/tmp/test-npz-XXXXXX");
    close(mkstemp(name));
    return name;
}

static void written_is_read(void)
{
    struct err e = {0};
    char path[64];
    FILE *f = fopen(temporary(path), "wb");
    struct npz_writer *w = npz_writer_open(fileno(f), &e);
    float v[6] = {0, -1.5f, INFINITY, 1e-30f, 65504, 3.1415927f};
    int32_t i[2] = {INT32_MIN, 7};
    uint64_t six[2] = {2, 3}, two[1] = {2}, none[2] = {0, 9};
    CHECK(npz_write_begin(w, "0/a", ACT_F32, six, 2, &e) == 0);
    CHECK(npz_write_values(w, v, 1, &e) == 0 && npz_write_values(w, v + 1, 5, &e) == 0);
    CHECK(npz_write_begin(w, "0/h", ACT_F16, six, 2, &e) == 0 &&
          npz_write_values(w, v, 6, &e) == 0);
    CHECK(npz_write_begin(w, "0/b", ACT_BF16, six, 2, &e) == 0 &&
          npz_write_values(w, v, 6, &e) == 0);
    CHECK(npz_write_begin(w, "i", ACT_I32, two, 1, &e) == 0 && npz_write_values(w, i, 2, &e) == 0);
    CHECK(npz_write_begin(w, "none", ACT_F32, none, 2, &e) == 0);
    CHECK(npz_write_begin(w, "scalar", ACT_F32, NULL, 0, &e) == 0 &&
          npz_write_values(w, v + 1, 1, &e) == 0);
    CHECK(npz_writer_finish(w, &e) == 0);
    npz_writer_free(w);
    fclose(f);

    struct npz *z = npz_open(path, &e);
    CHECK(z && npz_count(z) == 6);
    float *a = values(z, "0/a", &e), *h = values(z, "0/h", &e), *s = values(z, "scalar", &e);
    int32_t *n = values(z, "i", &e);
    CHECK(a && memcmp(a, v, sizeof v) == 0);
    CHECK(h && h[1] == -1.5f && isinf(h[2]) && h[3] == 0 && h[4] == 65504 && h[5] == 3.140625f);
    CHECK_STR(npz_array(z, 1)->npy.descr, "<f2");
    CHECK_STR(npz_array(z, 2)->npy.descr, "<f4");
    CHECK(n && n[0] == INT32_MIN && n[1] == 7 && s && *s == -1.5f);
    free(a);
    free(h);
    free(s);
    free(n);
    npz_close(z);
    unlink(path);
}

/* What NumPy wrote, written again by us: the members' bytes are the same. */
static void written_as_numpy_does(void)
{
    struct err e = {0};
    char path[64];
    FILE *f = fopen(temporary(path), "wb");
    struct npz_writer *w = npz_writer_open(fileno(f), &e);
    struct npz *z = npz_open(FIXTURES "one.npz", &e);
    for (size_t i = 0; z && i < npz_count(z); i++) {
        const struct npz_array *a = npz_array(z, i);
        if (a->npy.type != NPY_F4)
            continue;
        float *v = values(z, a->name, &e);
        CHECK(npz_write_begin(w, a->name, ACT_F32, a->npy.dims, a->npy.n_dims, &e) == 0 &&
              npz_write_values(w, v, a->npy.count, &e) == 0);
        free(v);
    }
    npz_close(z);
    CHECK(npz_writer_finish(w, &e) == 0);
    npz_writer_free(w);
    fclose(f);

    struct io_map ours, theirs;
    CHECK(io_map_open(&ours, path, &e) == 0 && io_map_open(&theirs, FIXTURES "one.npz", &e) == 0);
    struct zip_file *a = zip_file_open(&ours, path, &e), *b = zip_file_open(&theirs, "one", &e);
    CHECK(a && b && zip_file_count(a) == 5);
    for (size_t i = 0; a && b && i < zip_file_count(a); i++) {
        struct buf x = {0}, y = {0};
        int64_t k = zip_file_find(b, zip_file_name(a, i));
        CHECK(k >= 0 && zip_file_read(a, i, 1 << 20, &x, &e) == 0 &&
              zip_file_read(b, (size_t)k, 1 << 20, &y, &e) == 0);
        CHECK(x.len == y.len && memcmp(x.p, y.p, x.len) == 0);
        buf_release(&x);
        buf_release(&y);
    }
    zip_file_close(a);
    zip_file_close(b);
    io_map_close(&ours);
    io_map_close(&theirs);
    unlink(path);
}

/* An array that is given too few or too many values is an error, not a broken archive. */
static void wrong_counts(void)
{
    struct err e = {0};
    FILE *f = tmpfile();
    uint64_t two[1] = {2}, huge[3] = {1ull << 40, 1ull << 40, 2};
    float v[3] = {0};
    struct npz_writer *w = npz_writer_open(fileno(f), &e);
    CHECK(npz_write_begin(w, "a", ACT_F32, two, 1, &e) == 0);
    CHECK(npz_write_values(w, v, 3, &e) == -1);
    CHECK(npz_write_values(w, v, 1, &e) == 0 && npz_writer_finish(w, &e) == -1);
    CHECK(npz_write_begin(w, "b", ACT_F32, huge, 3, &e) == -1 && e.kind == ERR_DATA);
    npz_writer_free(w);
    fclose(f);
}

/* Bytes of an archive flipped, or all behind them cut: an error or right values, never a crash. */
static void damage_to(const char *archive)
{
    struct io_map m;
    struct err e = {0};
    char path[64];
    CHECK(io_map_open(&m, archive, &e) == 0);
    unsigned char *copy = malloc(m.len);
    temporary(path);
    int refused = 0;
    for (size_t i = 0; i < m.len; i += 3) {
        memcpy(copy, m.base, m.len);
        copy[i] ^= 0x41;
        FILE *f = fopen(path, "wb");
        fwrite(copy, 1, i % 2 ? i : m.len, f);
        fclose(f);
        struct npz *z = npz_open(path, &e);
        refused += !z;
        float *v = z ? values(z, "f4", &e) : NULL;
        CHECK(!v || v[5] == -0.375f);
        free(v);
        npz_close(z);
    }
    CHECK(refused > (int)m.len / 6); /* the cut ones at least */
    free(copy);
    io_map_close(&m);
    unlink(path);
}

static void damage(void)
{
    damage_to(FIXTURES "stored.npz");
    damage_to(FIXTURES "compressed.npz");
}

int main(void)
{
    RUN(every_dtype_stored);
    RUN(every_dtype_compressed);
    RUN(any_part_in_any_order);
    RUN(three_versions);
    RUN(refused_dtypes);
    RUN(headers_taken);
    RUN(hostile_headers);
    RUN(cut_headers);
    RUN(written_is_read);
    RUN(written_as_numpy_does);
    RUN(wrong_counts);
    RUN(damage);
    return test_done();
}
