#include "gpt/edit.h"

#include <stdlib.h>

#include "test.h"

static const struct gpt_config cfg = {.n_layer = 4,
                                      .n_head = 3,
                                      .d_model = 6,
                                      .d_head = 2,
                                      .d_mlp = 24,
                                      .n_ctx = 16,
                                      .d_vocab = 11,
                                      .layer_norm = true};
static struct err err;

static int parse(struct gpt_edits *s, const char *text)
{
    *s = (struct gpt_edits){0};
    err = (struct err){0};
    return gpt_edits_parse(s, text, strlen(text), &cfg, &err);
}

/* The text is refused with ERR_USAGE and a message that holds `part`. */
static bool refused(const char *text, const char *part)
{
    struct gpt_edits s;
    bool good = parse(&s, text) == -1 && err.kind == ERR_USAGE && strstr(err.msg, part);
    if (!good)
        printf("# %s gives \"%s\"\n", text, err.msg);
    gpt_edits_release(&s);
    return good;
}

static void parses(void)
{
    struct gpt_edits s;
    CHECK(parse(&s, "# nothing\n\n  zero z1[head=0]  # one head\r\n"
                    "\tset resid_post-1[pos=2] 1.5\nadd\tmlp_out  -2e-1\n"
                    "scale attn_out0:2 0\nset z0 from a b#c.act # the file\n"
                    "set attn_scores2[key=0] -inf") == 0);
    CHECK(s.n == 1 + 1 + 4 + 2 + 1 + 1);
    CHECK(s.edit[0].op == GPT_OP_ZERO && s.edit[0].line == 3);
    CHECK(s.edit[0].sel.point.hook == HOOK_Z && s.edit[0].sel.slice[1].n_range == 1);
    CHECK(s.edit[1].op == GPT_OP_SET && s.edit[1].sel.point.layer == 3);
    CHECK_NEAR(s.edit[1].value, 1.5, 0);
    CHECK(s.edit[5].op == GPT_OP_ADD && s.edit[5].sel.point.layer == 3 && s.edit[5].line == 5);
    CHECK_NEAR(s.edit[5].value, -.2f, 0);
    CHECK(s.edit[7].op == GPT_OP_SCALE && s.edit[7].sel.point.layer == 1);
    CHECK_STR(s.edit[8].file, "a b#c.act");
    CHECK(s.edit[9].value == -INFINITY && s.edit[9].line == 8);
    gpt_edits_release(&s);
    CHECK(parse(&s, "") == 0 && s.n == 0);
    gpt_edits_release(&s);
}

static void refuses(void)
{
    CHECK(refused("zero z0\nmean z1\n", "edits: line 2: no operation is called 'mean'"));
    CHECK(refused("zero", "a selector is missing"));
    CHECK(refused("zero z0 1", "zero takes no value"));
    CHECK(refused("set z0", "a number or 'from FILE' is missing"));
    CHECK(refused("set z0 # 1", "a number or 'from FILE' is missing"));
    CHECK(refused("set z0 1x", "'1x' is neither a number"));
    CHECK(refused("set z0 nan", "neither a number"));
    CHECK(refused("set z0 1e39", "neither a number of float32"));
    CHECK(refused("set z0 1 2", "'2' follows the number"));
    CHECK(refused("set z0 from", "'from' without a file"));
    CHECK(refused("\n\nadd z9 1", "line 3: selector 'z9': no such layer: the model has 4 layers"));
    CHECK(refused("zero zz0", "no such hook point; near: z0"));
    CHECK(refused("zero z0[neuron=1]", "has no axis neuron"));
    static char huge[10000];
    memset(huge, ' ', sizeof huge - 1);
    CHECK(refused(huge, "line 1: too long"));
    struct gpt_edits s = {0};
    CHECK(gpt_edits_parse(&s, "zero z0\0", 8, &cfg, &err) == -1 && strstr(err.msg, "NUL"));
    gpt_edits_release(&s);
}

/* hook_z of 4 positions lies in an array [pos][2 guards + head * d_head]: strides that are not
   those of row-major memory, and bytes between that nobody may touch. */
enum { POS = 4, ROW = 8 };
static float array[POS * ROW];
static const struct gpt_point z1 = {HOOK_Z, 1};

static struct gpt_view z_view(void)
{
    for (int i = 0; i < POS * ROW; i++)
        array[i] = (float)(100 + i);
    return (struct gpt_view){array, {POS, 3, 2}, {ROW, 2, 1}};
}

static float z_at(int pos, int head, int i)
{
    return array[pos * ROW + head * 2 + i];
}
static float z_was(int pos, int head, int i)
{
    return (float)(100 + pos * ROW + head * 2 + i);
}

static int apply(const char *text, struct gpt_point p, const struct gpt_view *v,
                 struct gpt_span span)
{
    struct gpt_edits s;
    int rc = parse(&s, text);
    if (rc == 0)
        rc = gpt_edits_apply(&s, p, v, span, &err);
    gpt_edits_release(&s);
    return rc;
}

static const struct gpt_span plain = {0, POS, POS};

static void every_op(void)
{
    static const struct {
        const char *text;
        float a, b; /* becomes a * old + b */
    } op[] = {
        {"zero z1[head=1,pos=1:3]", 0, 0},
        {"set z1[head=1,pos=1:3] 2.5", 0, 2.5f},
        {"add z1[head=1,pos=1:3] 2.5", 1, 2.5f},
        {"scale z1[head=1,pos=1:3] -2", -2, 0},
        {"scale z1[head=1,pos=1:3] 2\nadd z1[head=1,pos=1:3] 1\nzero z2", 2, 1},
    };
    for (size_t n = 0; n < sizeof op / sizeof *op; n++) {
        struct gpt_view v = z_view();
        CHECK(apply(op[n].text, z1, &v, plain) == 0);
        for (int i = 0; i < POS * ROW; i++) {
            int pos = i / ROW, at = i % ROW;
            bool hit = pos >= 1 && pos < 3 && at / 2 == 1;
            float old = (float)(100 + i);
            CHECK_NEAR(array[i], hit ? op[n].a * old + op[n].b : old, 0); /* exact in float32 */
        }
    }
}

static void every_axis(void)
{
    struct gpt_view v = z_view();
    CHECK(apply("zero z1[pos=-1,head=0+2,d_head=1]", z1, &v, plain) == 0);
    for (int p = 0; p < POS; p++)
        for (int h = 0; h < 3; h++)
            for (int i = 0; i < 2; i++)
                CHECK_NEAR(z_at(p, h, i), p == 3 && h != 1 && i == 1 ? 0 : z_was(p, h, i), 0);
    CHECK_NEAR(array[6], 106, 0); /* guards */
    CHECK_NEAR(array[POS * ROW - 1], 100 + POS * ROW - 1, 0);
    v = z_view();
    CHECK(apply("zero z1", z1, &v, plain) == 0);
    for (int i = 0; i < POS * ROW; i++)
        CHECK_NEAR(array[i], i % ROW < 6 ? 0 : 100 + i, 0);
    /* pattern [head][query][key], stored [query][head][key]. */
    float a[2 * 3 * 2];
    for (int i = 0; i < 12; i++)
        a[i] = 1;
    v = (struct gpt_view){a, {3, 2, 2}, {2, 6, 1}};
    CHECK(apply("set pattern0[head=2,query=1,key=0] 7", (struct gpt_point){HOOK_PATTERN, 0}, &v,
                (struct gpt_span){0, 2, 2}) == 0);
    for (int i = 0; i < 12; i++)
        CHECK_NEAR(a[i], i == 6 + 4 ? 7 : 1, 0);
    /* Two axes: neuron. */
    float b[48] = {0};
    v = (struct gpt_view){b, {2, 24, 1}, {24, 1, 0}};
    CHECK(apply("add post3[neuron=-2:] 3", (struct gpt_point){HOOK_MLP_POST, 3}, &v,
                (struct gpt_span){0, 2, 2}) == 0);
    for (int i = 0; i < 48; i++)
        CHECK_NEAR(b[i], i % 24 >= 22 ? 3 : 0, 0);
}

static void out_of_range(void)
{
    struct gpt_view v = z_view();
    CHECK(apply("\nzero z1[pos=4]", z1, &v, plain) == -1 && err.kind == ERR_USAGE);
    CHECK_STR(err.msg, "edits: line 2: blocks.1.attn.hook_z: pos=4 is out of range: there are 4 "
                       "(0 to 3)");
    CHECK(apply("zero z1[pos=2:6]", z1, &v, plain) == -1);
    CHECK(apply("zero z1[pos=-5]", z1, &v, plain) == -1);
    CHECK(apply("zero z1[head=3]", z1, &v, plain) == -1 && strstr(err.msg, "head=3"));
    for (int i = 0; i < POS * ROW; i++)
        CHECK_NEAR(array[i], 100 + i, 0);
}

/* Which of the positions first..first+rows an edit of hook_z touches: bits. */
static int touched(const char *text, int first, int rows, int prompt, int total)
{
    struct gpt_view v = z_view();
    v.size[0] = rows;
    if (apply(text, z1, &v, (struct gpt_span){first, prompt, total}))
        return -1;
    int bits = 0;
    for (int p = 0; p < POS; p++)
        bits |= (z_at(p, 0, 0) != z_was(p, 0, 0)) << p;
    return bits;
}

static void generation(void)
{
    /* A prompt of 3, then two passes of one position each: 3 and 4. */
    CHECK(touched("zero z1", 0, 3, 3, 5) == 7 && touched("zero z1", 3, 1, 3, 5) == 1);
    CHECK(touched("zero z1[pos=1]", 0, 3, 3, 5) == 2 && touched("zero z1[pos=1]", 3, 1, 3, 5) == 0);
    CHECK(touched("zero z1[pos=4]", 0, 3, 3, 5) == 0 && touched("zero z1[pos=4]", 3, 1, 3, 5) == 0);
    CHECK(touched("zero z1[pos=4]", 4, 1, 3, 5) == 1);
    CHECK(touched("zero z1[pos=5]", 4, 1, 3, 5) == -1);
    CHECK(touched("zero z1[pos=-1]", 0, 3, 3, 5) == 4);
    CHECK(touched("zero z1[pos=-1]", 4, 1, 3, 5) == 0);
    CHECK(touched("zero z1[pos=-1:]", 0, 3, 3, 5) == 4);
    CHECK(touched("zero z1[pos=-1:]", 4, 1, 3, 5) == 1);
    CHECK(touched("zero z1[pos=:-1]", 0, 3, 3, 5) == 3);
    CHECK(touched("zero z1[pos=:-1]", 3, 1, 3, 5) == 0);
    /* Scores of the pass for position 3: one query, four keys. */
    float a[3 * 4] = {0};
    struct gpt_view v = {a, {3, 1, 4}, {4, 4, 1}};
    CHECK(apply("set attn_scores1[query=3,key=1] 1\nset attn_scores1[query=2] 9\n"
                "set attn_scores1[key=4] 9\nset attn_scores1[head=0,key=3:] 2",
                (struct gpt_point){HOOK_ATTN_SCORES, 1}, &v, (struct gpt_span){3, 3, 5}) == 0);
    for (int h = 0; h < 3; h++)
        for (int k = 0; k < 4; k++)
            CHECK_NEAR(a[h * 4 + k], k == 1 ? 1 : k == 3 && h == 0 ? 2 : 0, 0);
}

struct source {
    float values[POS * 6];
    int size[3];
    int calls;
    bool fail;
};

static int give(void *user, struct gpt_edit *edit, struct err *e)
{
    struct source *s = user;
    s->calls++;
    if (s->fail)
        return err_set(e, ERR_DATA, "%s: no record", edit->file);
    edit->values = s->values;
    memcpy(edit->size, s->size, sizeof edit->size);
    return 0;
}

static int apply_from(const char *text, struct source *s, struct gpt_span span)
{
    struct gpt_edits edits;
    struct gpt_view v = z_view();
    for (int i = 0; i < POS * 6; i++)
        s->values[i] = (float)(i + 1);
    int rc = parse(&edits, text);
    if (rc == 0)
        rc = gpt_edits_resolve(&edits, give, s, &err);
    if (rc == 0)
        rc = gpt_edits_apply(&edits, z1, &v, span, &err);
    gpt_edits_release(&edits);
    return rc;
}

static void values_from_a_file(void)
{
    struct source s = {.size = {2, 2, 2}};
    CHECK(apply_from("zero z2\nset z1[pos=0+2,head=1:] from x", &s, plain) == 0 && s.calls == 1);
    for (int p = 0; p < POS; p++)
        for (int h = 0; h < 3; h++)
            for (int i = 0; i < 2; i++) {
                bool hit = p % 2 == 0 && h >= 1;
                CHECK_NEAR(z_at(p, h, i), hit ? 1 + p / 2 * 4 + (h - 1) * 2 + i : z_was(p, h, i),
                           0);
            }
    /* A size of 1 stands for all: one steering vector, every position. */
    s = (struct source){.size = {1, 3, 2}};
    CHECK(apply_from("add z1 from x", &s, plain) == 0);
    for (int p = 0; p < POS; p++)
        for (int h = 0; h < 3; h++)
            for (int i = 0; i < 2; i++)
                CHECK_NEAR(z_at(p, h, i), z_was(p, h, i) + (float)(1 + h * 2 + i), 0);
    s = (struct source){.size = {3, 3, 2}};
    CHECK(apply_from("add z1 from x", &s, plain) == -1 && err.kind == ERR_USAGE);
    CHECK(strstr(err.msg, "pos: 3 values where the edit has 4") != NULL);
    s = (struct source){.fail = true};
    CHECK(apply_from("\nadd z1 from x.act", &s, plain) == -1 && err.kind == ERR_DATA);
    CHECK_STR(err.msg, "edits: line 2: x.act: no record");
    struct gpt_view v = z_view();
    CHECK(apply("add z1 from x.act", z1, &v, plain) == -1 && strstr(err.msg, "x.act") != NULL);
}

static void a_file_stands_for_the_prompt(void)
{
    struct source s = {.size = {2, 3, 2}};
    /* The second pass of a text of 2 + 2, at position 2: the record does not reach there. */
    CHECK(apply_from("set z1 from x", &s, (struct gpt_span){2, 2, 4}) == 0);
    for (int i = 0; i < POS * ROW; i++)
        CHECK_NEAR(array[i], 100 + i, 0);
    /* A pass that begins at position 1 of the prompt takes the record's second row. */
    CHECK(apply_from("set z1 from x", &s, (struct gpt_span){1, 2, 4}) == 0);
    CHECK_NEAR(z_at(0, 0, 0), 7, 0);
    CHECK_NEAR(z_at(0, 2, 1), 12, 0);
    CHECK_NEAR(z_at(1, 0, 0), z_was(1, 0, 0), 0);
}

static void plans(void)
{
    struct gpt_edits s;
    struct gpt_plan plan;
    CHECK(gpt_plan_init(&plan, &cfg, &err) == 0);
    CHECK(parse(&s, "zero z1\nadd mlp_out2: 1") == 0);
    gpt_edits_plan(&s, &plan);
    int marked = 0;
    for (int i = 0; i < cfg.n_layer * N_HOOKS; i++)
        marked += plan.want[i] == GPT_EDIT;
    CHECK(marked == 3);
    CHECK(plan.want[1 * N_HOOKS + HOOK_Z] == GPT_EDIT);
    CHECK(plan.want[3 * N_HOOKS + HOOK_MLP_OUT] == GPT_EDIT);
    gpt_plan_release(&plan);
    gpt_edits_release(&s);
}

int main(void)
{
    RUN(parses);
    RUN(refuses);
    RUN(every_op);
    RUN(every_axis);
    RUN(out_of_range);
    RUN(generation);
    RUN(values_from_a_file);
    RUN(a_file_stands_for_the_prompt);
    RUN(plans);
    return test_done();
}
