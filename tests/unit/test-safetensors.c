#include "gpt/safetensors.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "test.h"

/* A file of this header and n_data bytes 0, 1, 2 …; its bytes end where the allocation does. */
static struct io_map make_file(const char *header, size_t n_data)
{
    size_t n = strlen(header);
    unsigned char *p = malloc(8 + n + n_data);
    put_le64(p, n);
    memcpy(p + 8, header, n);
    for (size_t i = 0; i < n_data; i++)
        p[8 + n + i] = (unsigned char)i;
    return (struct io_map){p, 8 + n + n_data};
}

static struct json *read_file(const char *header, size_t n_data, struct tensor_set *set,
                              struct io_map *m, struct err *e)
{
    *set = (struct tensor_set){0};
    *m = make_file(header, n_data);
    return safetensors_read(m, "F", set, e);
}

static void drop(struct io_map *m, struct tensor_set *set)
{
    tensor_set_release(set);
    free((void *)(uintptr_t)m->base);
}

static void reads_tensors_and_metadata(void)
{
    struct err e = {0};
    struct tensor_set set;
    struct io_map m;
    struct json *h =
        read_file("{\"__metadata__\":{\"format\":\"pt\"},"
                  "\"b\":{\"dtype\":\"BOOL\",\"shape\":[],\"data_offsets\":[24,25]},"
                  "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                  "\"z\":{\"dtype\":\"I64\",\"shape\":[0,5],\"data_offsets\":[24,24]}} ",
                  25, &set, &m, &e);
    CHECK(h != NULL && tensor_set_seal(&set, &e) == 0 && set.n == 3);
    CHECK_STR(json_str(json_get(json_get(h, "__metadata__"), "format"), NULL), "pt");
    const struct tensor *a = tensor_set_find(&set, "a"), *b = tensor_set_find(&set, "b");
    CHECK(a && a->n_dims == 2 && a->size[0] == 2 && a->size[1] == 3 && a->stride[0] == 3);
    CHECK(a && strcmp(a->dtype, "F32") == 0 && a->bytes[0] == 0 && a->bytes[23] == 23);
    CHECK(b && b->n_dims == 0 && b->bytes[0] == 24);
    CHECK(tensor_set_find(&set, "c") == NULL && tensor_set_find(&set, "__metadata__") == NULL);
    json_free(h);
    drop(&m, &set);
}

#define ONE(dtype, shape, offsets) \
    "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static const struct {
    const char *header, *message;
} BAD[] = {
    {"[]", "F: header: not a JSON object"},
    {"{\"a\":7}", "F: tensor a: it has no dtype"},
    {"{\"a\":{\"dtype\":\"F32\"}}", "F: tensor a: it has no shape"},
    {ONE("7", "[1]", "[0,4]"), "F: tensor a: it has no dtype"},
    {ONE("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), "F: tensor a: it has more than 8 dimensions"},
    {ONE("\"F32\"", "[-1]", "[0,4]"), "F: tensor a: its shape holds something that is no size"},
    {ONE("\"F32\"", "[1.0]", "[0,4]"), "F: tensor a: its shape holds something that is no size"},
    {ONE("\"F4\"", "[1]", "[0,4]"), "F: tensor a: unknown dtype \"F4\""},
    {ONE("\"F32\"", "[4611686018427387904,4,4]", "[0,16]"),
     "F: tensor a: its shape is larger than any file"},
    {ONE("\"F32\"", "[1]", "[0]"), "F: tensor a: its data_offsets are no two offsets in order"},
    {ONE("\"F32\"", "[1]", "[4,0]"), "F: tensor a: its data_offsets are no two offsets in order"},
    {ONE("\"F32\"", "[1]", "[-4,0]"), "F: tensor a: its data_offsets are no two offsets in order"},
    {ONE("\"F32\"", "[2,2]", "[0,8]"), "F: tensor a: 8 bytes, but its shape and dtype need 16"},
    {ONE("\"F32\"", "[5]", "[0,20]"), "F: tensor a lies outside the file: it ends at byte 20 of "
                                      "the data, of which there are 16 (cut "
                                      "short?)"},
    {ONE("\"F32\"", "[4]", "[9223372036854775000,9223372036854775016]"),
     "F: tensor a lies outside the file: it ends at byte 9223372036854775016 of the data, of which "
     "there are 16 (cut short?)"},
    {ONE("\"F32\"", "[3]", "[0,12]"), "F: 4 bytes after the last tensor"},
    {ONE("\"F32\"", "[3]", "[4,16]"), "F: tensor a: bytes 0 to 4 before it belong to no tensor"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},"
     "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}",
     "F: tensor b overlaps a"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},"
     "\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
     "F: header: JSON line 1, column 58: duplicate object key near '\"a\"'"},
};

static void refuses_what_breaks_the_format(void)
{
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct err e = {0};
        struct tensor_set set;
        struct io_map m;
        CHECK(read_file(BAD[i].header, 16, &set, &m, &e) == NULL && e.kind == ERR_DATA);
        CHECK_STR(e.msg, BAD[i].message);
        drop(&m, &set);
    }
}

static void hostile_header_lengths(void)
{
    static const uint64_t lengths[] = {9,          100000000,      100000001,        1u << 31,
                                       UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 63};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct err e = {0};
        struct tensor_set set = {0};
        char want[200];
        unsigned char bytes[16] = {0};
        put_le64(bytes, lengths[i]);
        bytes[8] = '{';
        struct io_map m = {bytes, sizeof bytes};
        CHECK(safetensors_read(&m, "F", &set, &e) == NULL && e.kind == ERR_DATA);
        snprintf(want, sizeof want,
                 "F: its header should have %llu bytes, but 8 are left in the file (cut short, or "
                 "not a safetensors file)",
                 (unsigned long long)lengths[i]);
        CHECK_STR(e.msg, want);
    }
}

static void cut_at_every_length(void)
{
    struct io_map whole = make_file(ONE("\"F32\"", "[4]", "[0,16]"), 16);
    for (size_t n = 0; n < whole.len; n++) {
        struct err e = {0};
        struct tensor_set set = {0};
        unsigned char *p = malloc(n + 1);
        memcpy(p, whole.base, n);
        unsigned char *exact = realloc(p, n ? n : 1);
        struct io_map m = {exact, n};
        CHECK(safetensors_read(&m, "F", &set, &e) == NULL && e.kind == ERR_DATA);
        drop(&m, &set);
    }
    struct tensor_set none = {0};
    drop(&whole, &none);
}

/* 1, -2.5, 0.15625 and 2^-14 in each dtype, little-endian. */
static void floats_from_every_dtype(void)
{
    static const struct {
        const char *dtype;
        unsigned char bytes[17];
    } t[] = {
        {"F32", {0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0, 0, 0, 0x20, 0x3e, 0, 0, 0x80, 0x38}},
        {"F16", {0, 0x3c, 0, 0xc1, 0, 0x31, 0, 0x04}},
        {"BF16", {0x80, 0x3f, 0x20, 0xc0, 0x20, 0x3e, 0x80, 0x38}},
    };
    const float want[] = {1.0f, -2.5f, 0.15625f, 0x1p-14f};
    const uint64_t shape[] = {2, 2};
    for (size_t i = 0; i < 3; i++) {
        for (size_t shift = 0; shift < 2; shift++) { /* aligned, and not */
            _Alignas(8) unsigned char buffer[32] = {0};
            struct err e = {0};
            struct gpt_store store = {0};
            struct tensor x = {.name = (char[]){"x"},
                               .file = "F",
                               .n_dims = 2,
                               .size = {2, 2},
                               .stride = {2, 1},
                               .bytes = buffer + shift};
            tensor_dtype_size(t[i].dtype, &x.dtype);
            memcpy(buffer + shift, t[i].bytes, 16);
            const float *v = tensor_floats(&x, 2, shape, &store, &e);
            CHECK(v && memcmp(v, want, sizeof want) == 0);
            /* Only aligned float32 is used in place. */
            bool in_place = v == (const float *)(const void *)buffer;
            CHECK(in_place == (i == 0 && shift == 0) && store.n_copies == (in_place ? 0 : 1));
            x.stride[0] = 1; /* the transpose */
            x.stride[1] = 2;
            v = tensor_floats(&x, 2, shape, &store, &e);
            CHECK(v && v[0] == want[0] && v[1] == want[2] && v[2] == want[1] && v[3] == want[3]);
            store_release(&store);
        }
    }
}

static void wrong_shapes_and_dtypes_are_named(void)
{
    struct err e = {0};
    struct gpt_store store = {0};
    const uint64_t square[] = {2, 2}, row[] = {4}, wide[] = {1, 4};
    float values[4] = {0};
    struct tensor x = {.name = (char[]){"x"},
                       .file = "F",
                       .n_dims = 2,
                       .size = {2, 2},
                       .stride = {2, 1},
                       .bytes = (const unsigned char *)values};
    tensor_dtype_size("F32", &x.dtype);
    CHECK(tensor_floats(&x, 1, row, &store, &e) == NULL && e.kind == ERR_DATA);
    CHECK_STR(e.msg, "F: tensor x: its shape is [2, 2], not [4]");
    CHECK(tensor_floats(&x, 2, wide, &store, &e) == NULL);
    CHECK_STR(e.msg, "F: tensor x: its shape is [2, 2], not [1, 4]");
    tensor_dtype_size("I64", &x.dtype);
    CHECK(tensor_floats(&x, 2, square, &store, &e) == NULL && e.kind == ERR_DATA);
    CHECK_STR(e.msg, "F: tensor x: dtype I64: only F32, F16 and BF16 are read");
    store_release(&store);
}

int main(void)
{
    RUN(reads_tensors_and_metadata);
    RUN(refuses_what_breaks_the_format);
    RUN(hostile_header_lengths);
    RUN(cut_at_every_length);
    RUN(floats_from_every_dtype);
    RUN(wrong_shapes_and_dtypes_are_named);
    return test_done();
}
