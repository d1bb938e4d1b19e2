/* Streams made by another writer (tests/golden/make.py), and the dumps in docs/FORMAT.md. */
#include "stream.h"
#include "test.h"

#include <dirent.h>
#include <fcntl.h>

#include "act/huff.h"
#include "num/half.h"

#define GOLDEN "tests/golden/"

static struct bytes load(const char *name)
{
    struct err e;
    struct buf b = {0};
    char path[256];
    snprintf(path, sizeof path, GOLDEN "%s", name);
    must(io_slurp(path, 1 << 20, &b, &e) == 0, e.msg);
    return (struct bytes){(unsigned char *)b.p, b.len};
}

static void writer_makes_the_golden_bytes(void)
{
    struct bytes want = load("good-small.act");
    FILE *f = tmpfile();
    must(f != NULL, "tmpfile");
    small_stream(fileno(f));
    struct bytes b = bytes_of(f);
    CHECK(b.n == want.n && memcmp(b.p, want.p, b.n) == 0);
    free(want.p);
    free(b.p);
}

static uint32_t bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

/* The values that make.py put in. */
static void bell(float v[2000], int32_t top[2000])
{
    uint32_t x = 1;
    for (int i = 0; i < 2000; i++) {
        x = x * 1664525u + 1013904223u;
        int ones = 0;
        for (uint32_t b = x >> 16 & 255; b; b >>= 1)
            ones += b & 1;
        v[i] = (float)ldexp(0.25 + (double)(x >> 9) * 0x1p-24, -ones);
        top[i] = (int32_t)(x >> 24);
    }
}

static uint32_t expected_bits(const char *name, int i, const float *v, const int32_t *top)
{
    static const uint32_t odd[] = {0x7fc00001, 0xffc12345, 0x7f800001, 0x80000000, 1};
    uint16_t h;
    float f;
    if (strcmp(name, "mean") == 0)
        return bits(2.5f);
    if (strcmp(name, "odd bits") == 0)
        return odd[i];
    if (strcmp(name, "i32") == 0)
        return (uint32_t)top[i];
    if (strcmp(name, "filled") == 0 || (strcmp(name, "masked") == 0 && i % 50 > i / 50))
        return 0xff800000u;
    if (strcmp(name, "bf16") == 0)
        return bits(v[i]) & 0xffff0000u; /* make.py cuts */
    if (strcmp(name, "f16") != 0)
        return bits(v[i]);
    f = (float)(nearbyint(ldexp(v[i], 20)) / 0x1p20);
    half_from_float(&h, &f, 1);
    half_to_float(&f, &h, 1);
    return bits(f);
}

static void reader_reads_what_another_writer_wrote(void)
{
    static const char *const order[] = {"mean", "",       "f32",    "f16",      "bf16", "i32",
                                        "",     "masked", "filled", "odd bits", "empty"};
    static float v[2000];
    static int32_t top[2000];
    struct err e = {0};
    float *got = NULL;
    size_t cap = 0, n_events = 0;
    int event;
    struct bytes b = load("good-kinds.act");
    int fd = bytes_open(b, 0);
    bell(v, top);
    struct act_reader *r = act_reader_open(fd, "kinds", &e);
    must(r != NULL, e.msg);
    act_reader_verify(r);
    CHECK_STR(act_header_get(act_reader_header(r), "model.name"), "tab\tback\\slash\x01");
    CHECK(act_reader_header(r)->n_history == 2);
    while ((event = act_reader_next(r, &e)) > 0) {
        const char *want = n_events < 11 ? order[n_events] : "?";
        n_events++;
        CHECK((event == ACT_ITEM) == !*want);
        if (event == ACT_ITEM)
            continue;
        const struct act_record *rec = act_reader_record(r);
        CHECK_STR(rec->name, want);
        CHECK(act_reader_all(r, &got, &cap, &e) == 0);
        int bad = 0;
        for (int i = 0; i < (int)act_record_count(rec); i++)
            bad += bits(got[i]) != expected_bits(want, i, v, top);
        if (bad)
            printf("# record %s: %d values differ\n", want, bad);
        CHECK(bad == 0);
    }
    if (event < 0)
        printf("# %s\n", e.msg);
    CHECK(event == ACT_END && n_events == 11);
    CHECK(act_reader_item(r)->n_tokens == 0);
    CHECK_STR(act_reader_item(r)->edits, "zero z3\n");
    CHECK(act_reader_record(r)->dims[1].index && act_reader_record(r)->dims[1].index[1] == 70);
    act_reader_free(r);
    close(fd);
    free(got);
    free(b.p);
}

/* Each stream of tests/golden/expected must be refused for the reason given there: from a file and
   from a pipe, decoded; and skipped too, unless only the values are wrong. */
static void bad_streams_are_refused_with_the_reason(void)
{
    struct bytes list = load("expected");
    int n = 0;
    for (char *line = (char *)list.p, *next; *line; line = next, n++) {
        char *tab = strchr(line, '\t'), *end = strchr(line, '\n'), name[128];
        must(tab && end && tab < end, "tests/golden/expected");
        *tab = *end = '\0';
        next = end + 1;
        snprintf(name, sizeof name, "%s.act", line);
        struct bytes b = load(name);
        for (int how = 0; how < 4; how++) {
            struct err e;
            int event = bytes_check(b, how & 1, how & 2, &e);
            if (!(how & 2) && event == 0 &&
                (strstr(tab + 1, "plane") || strstr(tab + 1, "runs") || strstr(tab + 1, "values")))
                continue;
            if (event != -1 || e.kind != ERR_DATA || !strstr(e.msg, tab + 1) ||
                strncmp(e.msg, "test: byte ", 11) != 0) {
                printf("# %s, way %d: \"%s\" lacks \"%s\"\n", line, how, e.msg, tab + 1);
                CHECK(!"refused");
            }
        }
        free(b.p);
    }
    CHECK(n > 60);
    free(list.p);
}

/* 2^40 values are promised and 2^18 are there: not the memory is what is lacking. */
static void dimensions_that_lie_cost_nothing(void)
{
    struct err e = {0};
    float *v = NULL;
    size_t cap = 0;
    struct bytes b = load("bad-record-lies.act");
    int fd = bytes_open(b, 0);
    struct act_reader *r = act_reader_open(fd, "test", &e);
    must(r != NULL, e.msg);
    CHECK(act_reader_next(r, &e) == ACT_RECORD);
    CHECK(act_record_count(act_reader_record(r)) == (size_t)1 << 40);
    CHECK(act_reader_all(r, &v, &cap, &e) == -1 && e.kind == ERR_DATA);
    CHECK(cap <= 1 << 22);
    act_reader_free(r);
    close(fd);
    free(v);
    free(b.p);
}

static void every_golden_file_is_tested(void)
{
    struct bytes list = load("expected");
    DIR *d = opendir(GOLDEN);
    must(d != NULL, "opendir");
    for (struct dirent *f; (f = readdir(d));) {
        char name[256];
        snprintf(name, sizeof name, "%s", f->d_name);
        char *dot = strrchr(name, '.');
        if (strncmp(name, "bad-", 4) != 0 || !dot)
            continue;
        snprintf(dot, sizeof name - (size_t)(dot - name), "\t");
        if (!strstr((char *)list.p, name)) {
            printf("# %s is not in tests/golden/expected\n", f->d_name);
            CHECK(!"listed");
        }
    }
    closedir(d);
    free(list.p);
}

/* Hexadecimal bytes of the lines that begin with `mark` (an offset of eight digits, if NULL). */
static size_t read_dump(unsigned char *out, size_t max, const char *mark)
{
    struct err e;
    struct buf doc = {0};
    size_t n = 0;
    must(io_slurp("docs/FORMAT.md", 1 << 20, &doc, &e) == 0, e.msg);
    for (char *line = doc.p, *end; (end = strchr(line, '\n')); line = end + 1) {
        size_t skip = mark ? strlen(mark) : 8;
        if (mark ? strncmp(line, mark, skip) != 0 : strspn(line, "0123456789abcdef") != 8)
            continue;
        CHECK(mark || strtoul(line, NULL, 16) == n);
        unsigned byte;
        char digits[3] = "", *p = line + skip;
        for (int i = 0; i < 16 && p + 3 <= end; i++, p += 3) {
            while (*p == ' ' && p[1] == ' ' && i == 0)
                p++;
            memcpy(digits, p + 1, 2);
            char *stop;
            byte = (unsigned)strtoul(digits, &stop, 16);
            if (stop != digits + 2 || p[0] != ' ' || n == max)
                break;
            out[n++] = (unsigned char)byte;
        }
    }
    buf_release(&doc);
    return n;
}

static void format_page_shows_the_stream(void)
{
    unsigned char dump[1024];
    struct bytes want = load("good-small.act");
    size_t n = read_dump(dump, sizeof dump, NULL);
    CHECK(n == want.n && memcmp(dump, want.p, n) == 0);
    free(want.p);
}

static void format_page_shows_the_huffman_plane(void)
{
    const unsigned char text[] = "aaaaaaaabbbbccddaaaaaaaabbbbccdd";
    unsigned char dump[64], out[64];
    uint32_t count[256] = {0};
    struct huff_code c;
    for (int i = 0; i < 32; i++)
        count[text[i]]++;
    huff_build(&c, count);
    size_t size = huff_encode(out, &c, text, 32);
    CHECK(size <= c.size);
    CHECK(read_dump(dump, sizeof dump, "    plane    ") == size && memcmp(dump, out, size) == 0);
}

int main(void)
{
    RUN(writer_makes_the_golden_bytes);
    RUN(reader_reads_what_another_writer_wrote);
    RUN(bad_streams_are_refused_with_the_reason);
    RUN(dimensions_that_lie_cost_nothing);
    RUN(every_golden_file_is_tested);
    RUN(format_page_shows_the_stream);
    RUN(format_page_shows_the_huffman_plane);
    return test_done();
}
