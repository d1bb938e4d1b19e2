/* Every cut and every changed bit of a stream is noticed, from a file and from a pipe. */
#include "stream.h"
#include "test.h"

/* Two records of every kind of payload: runs, Huffman planes, stored. */
static struct bytes sample(void)
{
    struct err e = {0};
    struct act_header h = {0};
    static float v[600];
    uint32_t x = 1;
    FILE *f = tmpfile();
    must(f != NULL, "tmpfile");
    struct act_writer *w = act_writer_open(fileno(f), &h, 1, &e);
    must(w != NULL, e.msg);
    for (int i = 0; i < 600; i++) {
        x = x * 1664525u + 1013904223u;
        v[i] = (float)(int32_t)x * 0x1p-31f * (float)(1 + i % 3);
    }
    struct act_record rec = {
        .name = "q", .dtype = ACT_BF16, .n_dims = 1, .dims = {{"pos", 600, 3, NULL}}};
    must(act_write_item(w, &(struct act_item){.n_tokens = 1, .tokens = (int32_t[]){5}}, &e) == 0 &&
             act_write_record(w, &rec, v, &e) == 0,
         e.msg);
    for (int i = 0; i < 600; i++)
        v[i] = i % 40 > 9 ? -INFINITY : v[i];
    rec.dtype = ACT_F32;
    rec.dims[0].size = 200;
    must(act_write_record(w, &rec, v, &e) == 0, e.msg);
    rec.dims[0].size = 3;
    must(act_write_record(w, &rec, v, &e) == 0 && act_writer_finish(w, &e) == 0, e.msg);
    act_writer_free(w);
    return bytes_of(f);
}

static void sample_is_good_and_has_all_codecs(void)
{
    struct err e;
    struct bytes b = sample();
    unsigned codecs = 0;
    CHECK(bytes_check(b, 0, 1, &e) == 0 && bytes_check(b, 1, 0, &e) == 0);
    for (size_t at = 8; at < b.n; at += 20 + get_le32(b.p + at + 4))
        codecs |= 1u << get_le16(b.p + at + 2);
    CHECK(codecs == 7);
    free(b.p);
}

static void every_cut_is_noticed(void)
{
    struct bytes b = sample();
    for (size_t n = 0; n < b.n; n++) {
        for (int how = 0; how < 4; how++) {
            struct err e;
            int event = bytes_check((struct bytes){b.p, n}, how & 1, how & 2, &e);
            if (event != -1 || e.kind != ERR_DATA || !strstr(e.msg, n ? "cut short" : "empty")) {
                printf("# cut at byte %zu, way %d: event %d \"%s\"\n", n, how, event, e.msg);
                CHECK(!"noticed");
            }
        }
    }
    free(b.p);
}

static void every_changed_bit_is_noticed(void)
{
    struct bytes b = sample();
    for (size_t i = 0; i < 8 * b.n; i++) {
        struct err e;
        b.p[i / 8] ^= (unsigned char)(1 << i % 8);
        if (bytes_check(b, 1, 1, &e) != -1 || e.kind != ERR_DATA) {
            printf("# bit %zu of byte %zu\n", i % 8, i / 8);
            CHECK(!"noticed");
        }
        b.p[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    free(b.p);
}

/* Skipping must notice it too where it is not inside a block's values. */
static void changed_bits_outside_values_are_noticed_when_skipping(void)
{
    struct bytes b = sample();
    for (size_t at = 0, next; at < b.n; at = next) {
        bool block = at > 0 && b.p[at] == 'B';
        size_t head = at ? 20 : 8, end = at ? at + 20 + get_le32(b.p + at + 4) : 8;
        next = end;
        for (size_t i = at; i < (block ? at + head : end); i++) {
            struct err e;
            b.p[i] ^= 0x10;
            CHECK(bytes_check(b, 0, 0, &e) == -1 && e.kind == ERR_DATA);
            b.p[i] ^= 0x10;
        }
    }
    free(b.p);
}

static void a_failed_reader_stays_failed(void)
{
    struct err e = {0}, again = {0};
    struct bytes b = sample();
    float v;
    b.p[b.n - 30] ^= 1; /* in END */
    int fd = bytes_open(b, 0), event;
    struct act_reader *r = act_reader_open(fd, "test", &e);
    must(r != NULL, e.msg);
    while ((event = act_reader_next(r, &e)) > 0)
        ;
    CHECK(event == -1 && act_reader_next(r, &again) == -1);
    CHECK_STR(again.msg, e.msg);
    CHECK(act_reader_values(r, &v, 1, &again) == -1 && act_reader_skip(r, 1, &again) == -1);
    act_reader_free(r);
    close(fd);
    free(b.p);
}

/* Blocks larger than any read buffer are seeked over in a file: the end of the file must be noticed
   all the same, and the file may have been begun by someone else. */
static void cuts_are_noticed_where_blocks_are_seeked_over(void)
{
    struct err e = {0};
    struct act_header h = {0};
    const size_t n = 700000;
    float *v = malloc(4 * n);
    FILE *f = tmpfile();
    must(f && v, "tmpfile");
    uint32_t x = 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        v[i] = (float)x;
    }
    struct act_record rec = {
        .name = "x", .dtype = ACT_F32, .n_dims = 1, .dims = {{"pos", 0, 0, NULL}}};
    rec.dims[0].size = (uint32_t)n;
    must(io_write_all(fileno(f), "before", 6, &e) == 0, e.msg);
    struct act_writer *w = act_writer_open(fileno(f), &h, 0, &e);
    must(w && act_write_record(w, &rec, v, &e) == 0 && act_writer_finish(w, &e) == 0, e.msg);
    act_writer_free(w);
    off_t end = lseek(fileno(f), 0, SEEK_CUR);
    for (int i = 0; i < 8; i++) {
        off_t cut = i ? end - (off_t)(700000u * (unsigned)i / 2) : end;
        int event = -1;
        cut = i == 1 ? end - 57 : cut; /* the last byte before END */
        must(cut > 0 && ftruncate(fileno(f), cut) == 0 && lseek(fileno(f), 6, SEEK_SET) == 6,
             "cut");
        struct act_reader *r = act_reader_open(fileno(f), "test", &e);
        while (r && (event = act_reader_next(r, &e)) > 0)
            ;
        CHECK(i == 0 ? event == ACT_END : event == -1 && strstr(e.msg, "cut short") != NULL);
        act_reader_free(r);
    }
    fclose(f);
    free(v);
}

int main(void)
{
    RUN(sample_is_good_and_has_all_codecs);
    RUN(every_cut_is_noticed);
    RUN(every_changed_bit_is_noticed);
    RUN(changed_bits_outside_values_are_noticed_when_skipping);
    RUN(a_failed_reader_stays_failed);
    RUN(cuts_are_noticed_where_blocks_are_seeked_over);
    return test_done();
}
