/* The values behind `from FILE`: what a stream may hold of the hook point. */
#include "bridge/edit_source.h"

#include "act/writer.h"
#include "files.h"
#include "tiny.h"

static struct err e;
static struct tiny model;

/* A stream of one item with `n` records of hook_attn_out in layer 1, one position each. */
static void write_stream(int n)
{
    struct act_header h = {0};
    struct act_item it = {.label = NULL};
    struct act_record rec = {.name = "blocks.1.hook_attn_out",
                             .n_dims = 2,
                             .dims = {{"pos", 1, 0, (int32_t[]){2}}, {"d_model", TINY_D, 0, NULL}}};
    float values[TINY_D] = {1, 2, 3};
    FILE *f = fopen(files_path("one.act"), "wb");
    CHECK(f && act_header_set(&h, "model", model.m.id, &e) == 0);
    struct act_writer *w = act_writer_open(fileno(f), &h, 1, &e);
    CHECK(act_write_item(w, &it, &e) == 0);
    for (int i = 0; i < n; i++)
        CHECK(act_write_record(w, &rec, values, &e) == 0);
    CHECK(act_writer_finish(w, &e) == 0);
    act_writer_free(w);
    act_header_release(&h);
    fclose(f);
}

/* Opens the source of one edit that takes its values from the stream. */
static int open_source(struct edit_source *s, struct gpt_edits *edits)
{
    char text[600];
    snprintf(text, sizeof text, "add attn_out1[pos=2] from %s", files_path("one.act"));
    *edits = (struct gpt_edits){0};
    CHECK(gpt_edits_parse(edits, text, strlen(text), &model.m.cfg, &e) == 0);
    return edit_source_open(s, edits, &model.m, &e);
}

static void test_once(void)
{
    struct edit_source s;
    struct gpt_edits edits;
    write_stream(1);
    CHECK(open_source(&s, &edits) == 0);
    CHECK(edit_source_resolve(&s, &edits, 3, &e) == 0);
    CHECK(edits.n == 1 && edits.edit[0].size[0] == 1 && edits.edit[0].size[1] == TINY_D);
    CHECK(edits.edit[0].values && edits.edit[0].values[2] == 3);
    edit_source_release(&s);
    gpt_edits_release(&edits);
}

/* Which of the two is meant? (The first one's coordinates were lost, too.) */
static void test_twice(void)
{
    struct edit_source s;
    struct gpt_edits edits;
    write_stream(2);
    CHECK(open_source(&s, &edits) == -1 && e.kind == ERR_DATA);
    CHECK(strstr(e.msg, "blocks.1.hook_attn_out comes twice") != NULL);
    edit_source_release(&s);
    gpt_edits_release(&edits);
}

int main(void)
{
    if (tiny_init(&model, &e))
        return 1;
    files_begin();
    snprintf(model.m.id, sizeof model.m.id, "0123456789abcdef");
    RUN(test_once);
    RUN(test_twice);
    tiny_release(&model);
    files_end();
    return test_done();
}
