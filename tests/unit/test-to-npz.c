/* A stored stream as an npz archive: what act-cache never meets, since it puts every record into an
   item before. */
#include "act/to_npz.h"

#include "stream.h"
#include "test.h"

/* One record, then an item with the same record. */
static FILE *write_stream(void)
{
    struct err e;
    struct act_header h = {0};
    struct act_item it = {.label = NULL};
    struct act_record rec = {
        .name = "mean", .n_dims = 1, .dims = {{"head", 2, 0, (int32_t[]){3, 7}}}};
    FILE *f = tmpfile();
    must(f != NULL, "tmpfile");
    struct act_writer *w = act_writer_open(fileno(f), &h, 1, &e);
    must(w && act_write_record(w, &rec, (float[]){1, 2}, &e) == 0 &&
             act_write_item(w, &it, &e) == 0 &&
             act_write_record(w, &rec, (float[]){3, 4}, &e) == 0 && act_writer_finish(w, &e) == 0,
         "stream");
    act_writer_free(w);
    return f;
}

static void a_record_without_an_item(void)
{
    struct err e = {0};
    FILE *from = write_stream(), *to = tmpfile();
    must(to != NULL, "tmpfile");
    CHECK(act_to_npz(fileno(from), "it", fileno(to), true, &e) == -1 && e.kind == ERR_DATA);
    CHECK_STR(e.msg, "no batch: mean belongs to no item");
    CHECK(act_to_npz(fileno(from), "it", fileno(to), false, &e) == 0);
    fclose(from);
    fclose(to);
}

int main(void)
{
    RUN(a_record_without_an_item);
    return test_done();
}
