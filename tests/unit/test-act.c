/* The stream as it should be: what is written is read again, bit by bit. */
#include "stream.h"
#include "test.h"

#include <sys/wait.h>

#include "act/codec.h"
#include "base/prog.h"
#include "num/half.h"

static uint32_t seed = 1;

static uint32_t random32(void) /* xorshift (Marsaglia 2003) */
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}

/* Bits of n values: all kinds that the codecs treat differently. */
static uint32_t *make_values(size_t n, int kind)
{
    uint32_t *v = malloc(4 * n + 4);
    must(v != NULL, "malloc");
    for (size_t i = 0; i < n; i++) {
        float f = (float)(int32_t)random32() * 0x1p-31f;
        f = f * f * f * (1.0f + (float)(i % 64));
        memcpy(&v[i], &f, 4);
        switch (kind) {
        case 0: /* like a residual stream */
            break;
        case 1: /* any bits at all: NaNs of every payload, infinities, subnormals */
            v[i] = random32();
            break;
        case 2: /* masked scores: rows of 100, the upper triangle -inf */
            if (i % 100 > i / 100 % 100)
                v[i] = 0xff800000u;
            break;
        case 3: /* zeros one by one, in runs of all lengths, with negative zeros */
            if (random32() % 3)
                v[i] = random32() % 9 ? 0 : 0x80000000u;
            break;
        default: /* one value */
            v[i] = 0x7fc00001u;
        }
    }
    return v;
}

static struct bytes write_one(const struct act_record *rec, const void *values, int level,
                              size_t piece)
{
    struct err e = {0};
    struct act_header h = {0};
    FILE *f = tmpfile();
    must(f != NULL, "tmpfile");
    struct act_writer *w = act_writer_open(fileno(f), &h, level, &e);
    must(w != NULL, e.msg);
    size_t n = act_record_count(rec);
    if (!piece) {
        must(act_write_record(w, rec, values, &e) == 0, e.msg);
    } else {
        must(act_write_begin(w, rec, &e) == 0, e.msg);
        for (size_t i = 0, m; i < n; i += m) {
            m = 1 + random32() % piece;
            m = m < n - i ? m : n - i;
            must(act_write_values(w, (const char *)values + 4 * i, m, &e) == 0, e.msg);
        }
    }
    must(act_writer_finish(w, &e) == 0, e.msg);
    act_writer_free(w);
    return bytes_of(f);
}

/* The values of the one record of the stream; NULL after a failure. */
static float *read_one(struct bytes b, size_t n, size_t piece)
{
    struct err e = {0};
    float *v = NULL;
    size_t cap = 0;
    int fd = bytes_open(b, 0), bad = 0;
    struct act_reader *r = act_reader_open(fd, "test", &e);
    must(r != NULL, e.msg);
    bad |= act_reader_next(r, &e) != ACT_RECORD;
    if (piece) {
        v = malloc(4 * n + 4);
        for (size_t i = 0, m; i < n && !bad; i += m) {
            m = 1 + random32() % piece;
            m = m < n - i ? m : n - i;
            bad |= act_reader_values(r, v + i, m, &e) != 0;
        }
    } else {
        bad |= act_reader_all(r, &v, &cap, &e) != 0;
    }
    bad |= act_reader_next(r, &e) != ACT_END;
    if (bad)
        printf("# %s\n", e.msg);
    act_reader_free(r);
    close(fd);
    if (bad) {
        free(v);
        v = NULL;
    }
    return v;
}

static const size_t sizes[] = {1,
                               2,
                               3,
                               31,
                               32,
                               33,
                               100,
                               1000,
                               4097,
                               9999,
                               1 << 18,
                               (1 << 18) - 1,
                               (1 << 18) + 1,
                               5 * (1 << 18) + 77};

static struct act_record record_of(size_t n, enum act_dtype t)
{
    struct act_record rec = {.name = "x", .dtype = t, .n_dims = 1, .dims = {{"pos", 0, 0, NULL}}};
    rec.dims[0].size = (uint32_t)n;
    return rec;
}

static void float32_and_int32_keep_every_bit(void)
{
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (int kind = 0; kind < 5; kind++) {
            for (int t = 0; t < 2; t++) {
                struct act_record rec = record_of(sizes[s], t ? ACT_I32 : ACT_F32);
                uint32_t *v = make_values(sizes[s], kind);
                struct bytes b = write_one(&rec, v, kind != 0 || t, 0);
                float *back = read_one(b, sizes[s], 0);
                CHECK(back && memcmp(v, back, 4 * sizes[s]) == 0);
                free(back);
                free(b.p);
                free(v);
            }
        }
    }
}

/* What is stored is the value rounded; what is read is exactly what is stored. */
static void half_types_keep_what_they_can_hold(void)
{
    const size_t n = 1 << 16;
    uint16_t *h = malloc(2 * n), *again = malloc(2 * n);
    float *v = malloc(4 * n);
    must(h && again && v, "malloc");
    for (int t = 0; t < 2; t++) {
        struct act_record rec = record_of(n, t ? ACT_BF16 : ACT_F16);
        for (size_t i = 0; i < n; i++)
            h[i] = (uint16_t)i;
        (t ? bfloat_to_float : half_to_float)(v, h, n);
        struct bytes b = write_one(&rec, v, 1, 0);
        float *back = read_one(b, n, 0);
        CHECK(back != NULL);
        if (back)
            (t ? bfloat_from_float : half_from_float)(again, back, n);
        for (size_t i = 0, bad = 0; back && i < n && bad < 5; i++) {
            unsigned quiet = t ? 0x40 : 0x200, inf = t ? 0x7f80 : 0x7c00;
            unsigned want = (i & 0x7fff) > inf ? (unsigned)i | quiet : (unsigned)i;
            if (again[i] != want) {
                printf("# type %d: %04zx gave %04x\n", t, i, again[i]);
                bad++;
                CHECK(!"16 bits kept");
            }
        }
        free(back);
        free(b.p);
    }
    free(h);
    free(again);
    free(v);
}

static void pieces_make_the_same_bytes_and_values(void)
{
    const size_t n = 3 * CODEC_BLOCK + 4711, piece[] = {1000, 300000, 2000000};
    uint32_t *v = make_values(n, 2);
    struct act_record rec = record_of(n, ACT_F32);
    struct bytes whole = write_one(&rec, v, 1, 0);
    for (int i = 0; i < 3; i++) {
        struct bytes b = write_one(&rec, v, 1, piece[i]);
        CHECK(b.n == whole.n && memcmp(b.p, whole.p, b.n) == 0);
        float *back = read_one(b, n, piece[i]);
        CHECK(back && memcmp(back, v, 4 * n) == 0);
        free(back);
        free(b.p);
    }
    free(whole.p);
    free(v);
}

/* This program, called with --write, writes a stream of many blocks to stdout. */
static int write_big(void)
{
    const size_t n = 9 * CODEC_BLOCK + 5;
    uint32_t *v = make_values(n, 0);
    struct act_record rec = record_of(n, ACT_F32);
    struct bytes b = write_one(&rec, v, 1, 0);
    struct err e;
    int rc = io_write_all(STDOUT_FILENO, b.p, b.n, &e);
    free(b.p);
    free(v);
    return rc != 0;
}

static const char *self;

static struct bytes run_with_threads(const char *threads)
{
    FILE *f = tmpfile();
    must(f != NULL, "tmpfile");
    fflush(stdout);
    pid_t pid = fork();
    must(pid >= 0, "fork");
    if (pid == 0) {
        setenv("OMP_NUM_THREADS", threads, 1);
        dup2(fileno(f), STDOUT_FILENO);
        execl(self, self, "--write", (char *)NULL);
        _exit(99);
    }
    int status = 0;
    must(waitpid(pid, &status, 0) == pid && WIFEXITED(status), "child");
    CHECK(WEXITSTATUS(status) == 0);
    return bytes_of(f);
}

static void bytes_do_not_depend_on_threads(void)
{
    struct bytes one = run_with_threads("1"), many = run_with_threads("4");
    CHECK(one.n > CODEC_BLOCK && one.n == many.n && memcmp(one.p, many.p, one.n) == 0);
    free(one.p);
    free(many.p);
}

static void items_and_records_come_back_whole(void)
{
    struct err e = {0};
    FILE *f = tmpfile();
    must(f != NULL, "tmpfile");
    small_stream(fileno(f));
    struct bytes b = bytes_of(f);
    for (int by_pipe = 0; by_pipe < 2; by_pipe++) {
        int fd = bytes_open(b, by_pipe);
        float v[49];
        size_t n;
        struct act_reader *r = act_reader_open(fd, "test", &e);
        must(r != NULL, e.msg);
        CHECK_STR(act_header_get(act_reader_header(r), "model"), "c0ffee");
        CHECK(act_reader_header(r)->n_history == 1);
        CHECK_STR(act_reader_header(r)->history[0], "gpt-run -p 'Hi'");
        CHECK(act_reader_next(r, &e) == ACT_ITEM);
        const struct act_item *it = act_reader_item(r);
        CHECK(it->n_tokens == 2 && it->tokens[1] == 72);
        CHECK_STR(it->label, "greeting");
        CHECK_STR(it->meta, "");
        CHECK(memcmp(act_item_piece(it, 1, &n), "i", 1) == 0 && n == 1);
        CHECK(act_item_piece(it, 2, &n) == NULL && n == 0);
        CHECK(act_reader_next(r, &e) == ACT_RECORD); /* its values are skipped */
        CHECK_STR(act_reader_record(r)->name, "ln_final.hook_scale");
        CHECK(act_reader_next(r, &e) == ACT_RECORD);
        const struct act_record *rec = act_reader_record(r);
        CHECK(rec->dtype == ACT_F16 && rec->n_dims == 3 && act_record_count(rec) == 49);
        CHECK(rec->dims[0].index && rec->dims[0].index[0] == 3 && !rec->dims[2].index);
        CHECK_STR(rec->dims[2].label, "key");
        CHECK(act_reader_skip(r, 7, &e) == 0 && act_reader_values(r, v, 3, &e) == 0);
        CHECK(v[0] == 0.5f && v[1] == 0.5f && v[2] == 0.0f);
        CHECK(act_reader_values(r, v, 40, &e) == -1 && e.kind == ERR_USAGE);
        CHECK(act_reader_values(r, v, 39, &e) == 0);
        CHECK_NEAR(v[38], 1.0 / 7, 1e-4); /* rounded to 11 bits: relative 2^-12 */
        CHECK(act_reader_item_index(r) == 0);
        CHECK(act_reader_next(r, &e) == ACT_END && act_reader_next(r, &e) == ACT_END);
        uint64_t stored, raw;
        act_reader_sizes(r, &stored, &raw);
        CHECK(stored == b.n && raw == 4 * 2 + 2 * 49);
        act_reader_free(r);
        close(fd);
    }
    free(b.p);
}

static void scalars_empty_records_and_no_item(void)
{
    struct err e = {0};
    struct act_header h = {0};
    FILE *f = tmpfile();
    must(f != NULL, "tmpfile");
    struct act_writer *w = act_writer_open(fileno(f), &h, 1, &e);
    must(w != NULL, e.msg);
    struct act_record scalar = {.name = "loss", .dtype = ACT_F32};
    struct act_record empty = {
        .name = "none",
        .dtype = ACT_F32,
        .n_dims = 2,
        .dims = {{"pos", 0, -5, NULL}, {"d_model", UINT32_MAX / 2, 0, NULL}}};
    float v = 2.5f, *back = NULL;
    size_t cap = 0;
    CHECK(act_write_record(w, &empty, NULL, &e) == 0);
    CHECK(act_write_record(w, &scalar, &v, &e) == 0);
    CHECK(act_write_item(w, &(struct act_item){.label = NULL}, &e) == 0);
    CHECK(act_writer_finish(w, &e) == 0);
    act_writer_free(w);
    struct bytes b = bytes_of(f);
    int fd = bytes_open(b, 1);
    struct act_reader *r = act_reader_open(fd, "test", &e);
    must(r != NULL, e.msg);
    CHECK(act_reader_item(r)->n_tokens == 0);
    CHECK_STR(act_reader_item(r)->label, "");
    CHECK(act_reader_next(r, &e) == ACT_RECORD && act_reader_record(r)->dims[0].start == -5);
    CHECK(act_reader_all(r, &back, &cap, &e) == 0);
    CHECK(act_reader_next(r, &e) == ACT_RECORD && act_reader_all(r, &back, &cap, &e) == 0);
    CHECK(back && back[0] == 2.5f);
    CHECK(act_reader_next(r, &e) == ACT_ITEM && act_reader_next(r, &e) == ACT_END);
    act_reader_free(r);
    close(fd);
    free(back);
    free(b.p);
}

static void header_keeps_any_text_and_the_command(void)
{
    struct err e = {0};
    struct act_header h = {0};
    const char *odd = "tab\there \\ back\nline\x01\x7f end \xe2\x82\xac";
    FILE *f = tmpfile();
    must(f != NULL, "tmpfile");
    CHECK(act_header_set(&h, "model.config", odd, &e) == 0);
    CHECK(act_header_set(&h, odd, "first", &e) == 0);
    CHECK(act_header_set(&h, odd, "second", &e) == 0);
    CHECK(act_header_add_history(&h, odd, &e) == 0);
    char name[] = "/usr/bin/act-cache", operand[] = "a b";
    prog_set(2, (char *[]){name, operand, NULL});
    struct act_writer *w = act_writer_open(fileno(f), &h, 1, &e);
    prog_set(0, (char *[]){NULL});
    must(w != NULL, e.msg);
    CHECK(act_writer_finish(w, &e) == 0);
    act_writer_free(w);
    act_header_release(&h);
    struct bytes b = bytes_of(f);
    int fd = bytes_open(b, 1);
    struct act_reader *r = act_reader_open(fd, "test", &e);
    must(r != NULL, e.msg);
    const struct act_header *got = act_reader_header(r);
    CHECK(got->n_pairs == 2 && got->n_history == 2);
    CHECK_STR(act_header_get(got, "model.config"), odd);
    CHECK_STR(act_header_get(got, odd), "second");
    CHECK(act_header_get(got, "model") == NULL);
    CHECK_STR(got->history[0], odd);
    CHECK_STR(got->history[1], "act-cache 'a b'");
    struct buf lines = {0};
    CHECK(act_header_history(got, &lines, &e) == 0);
    CHECK(strstr(lines.p, "\nact-cache 'a b'") != NULL);
    buf_release(&lines);
    act_reader_free(r);
    close(fd);
    free(b.p);
}

/* A start may be any int32, and a size any uint32 that ends below 2^31. */
static void coordinates_at_the_limits(void)
{
    struct act_dim d = {"pos", 4294967294u, INT32_MIN, NULL};
    CHECK(act_dim_at(&d, 0) == INT32_MIN && act_dim_at(&d, 2147483648u) == 0);
    CHECK(act_dim_at(&d, 4294967293u) == INT32_MAX - 2);
    struct act_dim listed = {"head", 2, 0, (int32_t[]){7, 3}};
    CHECK(act_dim_at(&listed, 1) == 3);
}

static void misuse_is_refused(void)
{
    struct err e = {0};
    struct act_header h = {0};
    struct act_record rec = record_of(3, ACT_F32), bad = rec;
    float v[4] = {0};
    FILE *f = tmpfile();
    must(f != NULL, "tmpfile");
    struct act_writer *w = act_writer_open(fileno(f), &h, 1, &e);
    must(w != NULL, e.msg);
    CHECK(act_write_begin(w, &rec, &e) == 0 && act_write_values(w, v, 2, &e) == 0);
    CHECK(act_writer_finish(w, &e) == -1 && e.kind == ERR_USAGE);
    CHECK_STR(e.msg, "record \"x\": 2 of 3 values were given");
    CHECK(act_write_begin(w, &rec, &e) == -1);
    CHECK(act_write_values(w, v, 2, &e) == -1 && e.kind == ERR_USAGE);
    CHECK(act_write_values(w, v, 1, &e) == 0);
    bad.n_dims = 4;
    for (int d = 0; d < 4; d++)
        bad.dims[d] = (struct act_dim){"pos", 1 << 16, 0, NULL};
    CHECK(act_write_begin(w, &bad, &e) == -1 && e.kind == ERR_USAGE);
    CHECK(strstr(e.msg, "2^40") != NULL);
    /* After a failure there is no END: a stream with a hole must not look whole. */
    CHECK(act_writer_finish(w, &e) == -1);
    act_writer_free(w);
    struct bytes b = bytes_of(f);
    free(b.p);
    bad = rec;
    bad.name[0] = '\n';
    f = tmpfile();
    w = act_writer_open(fileno(f), &h, 1, &e);
    CHECK(act_write_begin(w, &bad, &e) == -1 && e.kind == ERR_USAGE);
    act_writer_free(w);
    fclose(f);
    CHECK(act_header_set(&h, "history", "x", &e) == 0);
    CHECK(act_writer_open(-1, &h, 1, &e) == NULL && e.kind == ERR_USAGE);
    act_header_release(&h);
}

static void a_full_disk_is_a_system_error(void)
{
    struct err e = {0};
    struct act_header h = {0};
    struct act_record rec = record_of(CODEC_BLOCK, ACT_F32);
    FILE *f = fopen("/dev/full", "w");
    uint32_t *v = make_values(CODEC_BLOCK, 1);
    must(f != NULL, "/dev/full");
    struct act_writer *w = act_writer_open(fileno(f), &h, 1, &e);
    must(w != NULL, e.msg);
    CHECK(act_write_record(w, &rec, v, &e) == -1 && e.kind == ERR_SYS);
    CHECK(act_writer_finish(w, &e) == -1 && e.kind == ERR_SYS);
    act_writer_free(w);
    fclose(f);
    free(v);
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc > 1)
        return write_big();
    RUN(float32_and_int32_keep_every_bit);
    RUN(half_types_keep_what_they_can_hold);
    RUN(pieces_make_the_same_bytes_and_values);
    RUN(bytes_do_not_depend_on_threads);
    RUN(items_and_records_come_back_whole);
    RUN(scalars_empty_records_and_no_item);
    RUN(header_keeps_any_text_and_the_command);
    RUN(coordinates_at_the_limits);
    RUN(misuse_is_refused);
    RUN(a_full_disk_is_a_system_error);
    return test_done();
}
