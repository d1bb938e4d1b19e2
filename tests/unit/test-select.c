#include "gpt/select.h"

#include <stdlib.h>

#include "gpt/near.h"
#include "test.h"

static const struct gpt_config cfg = {.n_layer = 4,
                                      .n_head = 3,
                                      .d_model = 6,
                                      .d_head = 2,
                                      .d_mlp = 24,
                                      .n_ctx = 16,
                                      .d_vocab = 11,
                                      .layer_norm = true};

static char out[8192];
static struct err err;

/* The names that a selector means, joined by blanks, or "!" and the message. */
static const char *names(const struct gpt_config *c, const char *text)
{
    struct gpt_selection s = {0};
    out[0] = '\0';
    err = (struct err){0};
    if (gpt_select(&s, c, text, &err)) {
        snprintf(out, sizeof out, "!%s", err.msg);
    } else {
        for (size_t i = 0; i < s.n; i++) {
            char name[128];
            gpt_point_name(s.sel[i].point, name, sizeof name);
            size_t n = strlen(out);
            snprintf(out + n, sizeof out - n, "%s%s", i ? " " : "", name);
        }
    }
    gpt_selection_release(&s);
    return out;
}

/* The selection fails with ERR_USAGE and a message that holds `part`. */
static bool fails(const struct gpt_config *c, const char *text, const char *part)
{
    names(c, text);
    bool good = out[0] == '!' && err.kind == ERR_USAGE && strstr(out, part);
    if (!good)
        printf("# %s gives %s\n", text, out);
    return good;
}

static void exact_names(void)
{
    CHECK_STR(names(&cfg, "blocks.3.attn.hook_z"), "blocks.3.attn.hook_z");
    CHECK_STR(names(&cfg, "hook_embed"), "hook_embed");
    CHECK_STR(names(&cfg, "blocks.0.ln1.hook_scale"), "blocks.0.ln1.hook_scale");
    CHECK_STR(names(&cfg, "ln_final.hook_scale"), "ln_final.hook_scale");
    CHECK_STR(names(&cfg, "blocks.1.attn.hook_result"), "blocks.1.attn.hook_result");
    CHECK(fails(&cfg, "blocks.3.hook_z", "near: blocks.3.attn.hook_z"));
    CHECK(fails(&cfg, "blocks.03.hook_zzzzzzzzzzzzzzzzzzz", "no such hook point"));
}

/* What TransformerLens's get_act_name gives for each. */
static void shorthands(void)
{
    static const char *const pair[][2] = {
        {"resid_post3", "blocks.3.hook_resid_post"},
        {"resid_pre0", "blocks.0.hook_resid_pre"},
        {"resid_mid2", "blocks.2.hook_resid_mid"},
        {"pattern3", "blocks.3.attn.hook_pattern"},
        {"attn_scores1", "blocks.1.attn.hook_attn_scores"},
        {"q0", "blocks.0.attn.hook_q"},
        {"k2", "blocks.2.attn.hook_k"},
        {"v1", "blocks.1.attn.hook_v"},
        {"z0", "blocks.0.attn.hook_z"},
        {"result1", "blocks.1.attn.hook_result"},
        {"pre1", "blocks.1.mlp.hook_pre"},
        {"post1", "blocks.1.mlp.hook_post"},
        {"mlp_out3", "blocks.3.hook_mlp_out"},
        {"attn_out3", "blocks.3.hook_attn_out"},
        {"attn_in3", "blocks.3.hook_attn_in"},
        {"mlp_in3", "blocks.3.hook_mlp_in"},
        {"q_input2", "blocks.2.hook_q_input"},
        {"scale3ln1", "blocks.3.ln1.hook_scale"},
        {"scale3ln2", "blocks.3.ln2.hook_scale"},
        {"normalized2ln1", "blocks.2.ln1.hook_normalized"},
        {"normalized2ln2", "blocks.2.ln2.hook_normalized"},
        {"scale", "ln_final.hook_scale"},
        {"normalized", "ln_final.hook_normalized"},
        {"embed", "hook_embed"},
        {"pos_embed", "hook_pos_embed"},
        {"logits", "logits"},
    };
    for (size_t i = 0; i < sizeof pair / sizeof *pair; i++)
        CHECK_STR(names(&cfg, pair[i][0]), pair[i][1]);
    CHECK(fails(&cfg, "embed3", "no such hook point"));
    CHECK(fails(&cfg, "scale3", "near: "));
    CHECK(fails(&cfg, "scale3", "scale3ln1"));
}

static void layers(void)
{
    const char *all = "blocks.0.attn.hook_z blocks.1.attn.hook_z blocks.2.attn.hook_z "
                      "blocks.3.attn.hook_z";
    const char *middle = "blocks.1.attn.hook_z blocks.2.attn.hook_z";
    CHECK_STR(names(&cfg, "z"), all);
    CHECK_STR(names(&cfg, "blocks.*.attn.hook_z"), all);
    CHECK_STR(names(&cfg, "z[layer=:]"), all);
    CHECK_STR(names(&cfg, "z1:3"), middle);
    CHECK_STR(names(&cfg, "z-3:-1"), middle);
    CHECK_STR(names(&cfg, "z2+1"), middle);
    CHECK_STR(names(&cfg, "blocks.1:3.attn.hook_z"), middle);
    CHECK_STR(names(&cfg, "z[layer=1:3]"), middle);
    CHECK_STR(names(&cfg, "blocks.*.attn.hook_z[layer=2+1]"), middle);
    CHECK_STR(names(&cfg, "z-1"), "blocks.3.attn.hook_z");
    CHECK_STR(names(&cfg, "z3:"), "blocks.3.attn.hook_z");
    CHECK_STR(names(&cfg, "blocks.-1.attn.hook_z"), "blocks.3.attn.hook_z");
    CHECK_STR(names(&cfg, "scale2:ln2"), "blocks.2.ln2.hook_scale blocks.3.ln2.hook_scale");
    CHECK_STR(names(&cfg, "scale_ln2[layer=-1]"), "blocks.3.ln2.hook_scale");
    CHECK(fails(&cfg, "resid_post7", "the model has 4 layers (0 to 3)"));
    CHECK(fails(&cfg, "blocks.4.hook_resid_post", "the model has 4 layers (0 to 3)"));
    CHECK(fails(&cfg, "z2:5", "the model has 4 layers"));
    CHECK(fails(&cfg, "z-5", "the model has 4 layers"));
    CHECK(fails(&cfg, "z99999999999999999999", "neither an index nor a range"));
    CHECK(fails(&cfg, "z1[layer=2]", "layers are given twice"));
    CHECK(fails(&cfg, "embed[layer=0]", "no hook point is left"));
    CHECK(fails(&cfg, "blocks.1.hook_z*[layer=0]", "given twice"));
}

static bool has(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = list; (p = strstr(p, name)); p += n)
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
            return true;
    return false;
}

static void globs(void)
{
    const char *all = names(&cfg, "*");
    size_t n = 1;
    for (const char *p = all; *p; p++)
        n += *p == ' ';
    /* 28 hooks in hooks.def, 23 of them in blocks; 6 of those are optional, and logits. */
    CHECK(n == 4 * (23 - 6) + 4);
    CHECK(strncmp(all, "hook_embed hook_pos_embed blocks.0.hook_resid_pre ", 50) == 0);
    CHECK(has(all, "blocks.3.attn.hook_pattern") && has(all, "ln_final.hook_normalized"));
    CHECK(!has(all, "logits") && !strstr(all, "hook_result") && !strstr(all, "_input"));
    CHECK(!strstr(all, "attn_in") && !strstr(all, "mlp_in"));
    all = names(&cfg, "blocks.*.attn.*");
    CHECK(has(all, "blocks.2.attn.hook_z") && !strstr(all, "result"));
    CHECK(fails(&cfg, "blocks.2.attn.hook_r*", "matches no hook point of the model"));
    CHECK_STR(names(&cfg, "*.2.attn.hook_result"), "blocks.2.attn.hook_result");
    CHECK_STR(names(&cfg, "*_embed"), "hook_embed hook_pos_embed");
    CHECK_STR(names(&cfg, "blocks.1:3.ln1.*ed"),
              "blocks.1.ln1.hook_normalized blocks.2.ln1.hook_normalized");
    CHECK_STR(names(&cfg, "blocks.1*.hook_resid_m*d"), "blocks.1.hook_resid_mid");
}

static void order_and_repeats(void)
{
    CHECK_STR(names(&cfg, "logits,scale,z1,resid_pre1,embed,z0"),
              "hook_embed blocks.0.attn.hook_z blocks.1.hook_resid_pre blocks.1.attn.hook_z "
              "ln_final.hook_scale logits");
    CHECK_STR(names(&cfg, "z1[head=0],blocks.1.attn.hook_z[head=0]"), "blocks.1.attn.hook_z");
    CHECK(fails(&cfg, "z[head=0],z1", "blocks.1.attn.hook_z is selected twice"));
    CHECK(fails(&cfg, "z1[head=0],z1[head=1]", "selected twice"));
}

static void models_without(void)
{
    struct gpt_config attn = cfg, bare = cfg;
    attn.attn_only = true;
    bare.attn_only = true;
    bare.layer_norm = false;
    CHECK(fails(&attn, "post1", "it has no MLPs"));
    CHECK(fails(&attn, "blocks.1.hook_resid_mid", "it has no MLPs"));
    CHECK(fails(&attn, "scale1ln2", "it has no MLPs"));
    CHECK_STR(names(&attn, "scale1ln1"), "blocks.1.ln1.hook_scale");
    CHECK(fails(&bare, "scale", "it has no LayerNorm"));
    CHECK(fails(&bare, "scale1ln1", "it has no LayerNorm"));
    CHECK(!strstr(names(&bare, "*"), "ln"));
    CHECK(!strstr(names(&attn, "*"), "mlp") && !strstr(out, "mid") && strstr(out, "ln1"));
}

static void near_names(void)
{
    CHECK(fails(&cfg, "resid_pots2", "near: resid_post2"));
    CHECK(fails(&cfg, "paterns", "near: pattern"));
    CHECK(fails(&cfg, "blocks.1.hook_resid_pots", "near: blocks.1.hook_resid_post"));
    CHECK(fails(&cfg, "blocks.*.atn.hook_z", "near: blocks.*.attn.hook_z"));
    CHECK(fails(&cfg, "hook_resid_post", "near: resid_post"));
    CHECK(fails(&cfg, "logit", "near: logits"));
    CHECK(fails(&cfg, "scale1ln3", "near: scale1ln"));
    CHECK(fails(&cfg, "hook_z", "near: blocks.*.attn.hook_z"));
    CHECK(fails(&cfg, "hook_patern", "near: blocks.*.attn.hook_pattern"));
    CHECK(
        fails(&cfg, "something_of_quite_another_kind", "; there are: embed, pos_embed, resid_pre"));
    CHECK(strstr(out, "resid_post, scale, normalized, logits") != NULL);
    CHECK(!strstr(out, "near"));
    /* Distances from the definition, counted by hand. */
    CHECK(gpt_edit_distance("", "abc") == 3);
    CHECK(gpt_edit_distance("abc", "abc") == 0);
    CHECK(gpt_edit_distance("abcd", "acbd") == 1);
    CHECK(gpt_edit_distance("kitten", "sitting") == 3);
    CHECK(gpt_edit_distance("ca", "abc") == 3); /* optimal string alignment; 2 without its limit */
}

static void bad_syntax(void)
{
    CHECK(fails(&cfg, "", "no hook point named"));
    CHECK(fails(&cfg, "z1,", "no hook point named"));
    CHECK(fails(&cfg, "[pos=1]", "no hook point named"));
    CHECK(fails(&cfg, "z1[pos=1", "bracket"));
    CHECK(fails(&cfg, "z1[pos=1]x", "bracket"));
    CHECK(fails(&cfg, "z1[]", "AXIS=SPEC"));
    CHECK(fails(&cfg, "z1[pos]", "AXIS=SPEC"));
    CHECK(fails(&cfg, "z1[pos=]", "neither an index nor a range"));
    CHECK(fails(&cfg, "z1[pos=1:2:3]", "neither an index nor a range"));
    CHECK(fails(&cfg, "z1[pos=1+]", "neither an index nor a range"));
    CHECK(fails(&cfg, "z1[pos=1.5]", "neither an index nor a range"));
    CHECK(fails(&cfg, "z1[pos=1,pos=2]", "given twice"));
    CHECK(fails(&cfg, "z1[posn=1]", "no axis is called 'posn'"));
    CHECK(fails(&cfg, "z1[neuron=1]", "it has pos, head, d_head"));
    CHECK(fails(&cfg, "blocks.1.attn.*[pos=1]", "it has head, query, key"));
    char longest[300];
    memset(longest, 'a', sizeof longest);
    longest[299] = '\0';
    CHECK(fails(&cfg, longest, "too long"));
}

/* The indices of SPEC for an axis of that size, as "0 1 2", or "!" and the message. */
static const char *indices(const char *spec, int end, int size)
{
    struct gpt_slice s = {.axis = AXIS_POS};
    int *idx = NULL;
    size_t n = 0;
    out[0] = '\0';
    if (gpt_slice_parse(&s, spec, strlen(spec), &err) ||
        gpt_slice_resolve_from(&s, end, size, &idx, &n, &err))
        snprintf(out, sizeof out, "!%s", err.msg);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(out);
        snprintf(out + len, sizeof out - len, "%s%d", i ? " " : "", idx[i]);
    }
    free(idx);
    gpt_slice_release(&s);
    return out;
}

static void slices(void)
{
    CHECK_STR(indices("2", 5, 5), "2");
    CHECK_STR(indices("-1", 5, 5), "4");
    CHECK_STR(indices("1:3", 5, 5), "1 2");
    CHECK_STR(indices(":2", 5, 5), "0 1");
    CHECK_STR(indices("-2:", 5, 5), "3 4");
    CHECK_STR(indices(":", 3, 3), "0 1 2");
    CHECK_STR(indices(":-3", 5, 5), "0 1");
    CHECK_STR(indices("4+0+1:3+1", 5, 5), "0 1 2 4");
    CHECK_STR(indices("5", 5, 5), "!pos=5 is out of range: there are 5 (0 to 4)");
    CHECK_STR(indices("-6", 5, 5), "!pos=-6 is out of range: there are 5 (0 to 4)");
    CHECK_STR(indices("2:7", 5, 5), "!pos=2:7 is out of range: there are 5");
    CHECK_STR(indices("3:3", 5, 5), "!pos=3:3 is empty where there are 5");
    CHECK_STR(indices("3:-4", 5, 5), "!pos=3:-4 is empty where there are 5");
    /* A prompt of 3 in a text of 6. */
    CHECK_STR(indices("-1", 3, 6), "2");
    CHECK_STR(indices("-1:", 3, 6), "2 3 4 5");
    CHECK_STR(indices(":-1", 3, 6), "0 1");
    CHECK_STR(indices("4:", 3, 6), "4 5");
    CHECK_STR(indices("-4", 3, 6), "!pos=-4 is out of range: there are 6 (0 to 5)");
}

static void slices_of_a_selection(void)
{
    struct gpt_selection s = {0};
    CHECK(gpt_select(&s, &cfg, "pattern1[key=0,head=-1]", &err) == 0 && s.n == 1);
    const struct gpt_slice *slice = s.sel[0].slice;
    CHECK(slice[0].axis == AXIS_HEAD && slice[0].n_range == 1 && slice[0].range[0].from == -1);
    CHECK(slice[1].axis == AXIS_QUERY && slice[1].n_range == 0);
    CHECK(slice[2].axis == AXIS_KEY && slice[2].n_range == 1 && slice[2].range[0].single);
    int *idx = NULL;
    size_t n = 0;
    CHECK(gpt_slice_resolve(&slice[1], 3, &idx, &n, &err) == 0 && n == 3 && idx[2] == 2);
    free(idx);
    gpt_selection_release(&s);
    CHECK(s.sel == NULL && s.n == 0);
}

static void point_names(void)
{
    struct gpt_point p, q;
    char name[64];
    for (int h = 0; h < N_HOOKS; h++) {
        p = (struct gpt_point){(enum gpt_hook)h, gpt_hooks[h].in_block ? 2 : 0};
        gpt_point_name(p, name, sizeof name);
        CHECK(gpt_point_parse(&cfg, name, &q) && q.hook == p.hook && q.layer == p.layer);
        CHECK(gpt_hook_by_name(name) == &gpt_hooks[h]);
    }
    CHECK(gpt_hook_by_name("blocks.99.attn.hook_z") == &gpt_hooks[HOOK_Z]);
    static const char *const bad[] = {"blocks.4.attn.hook_z",
                                      "blocks.01.attn.hook_z",
                                      "blocks.+1.attn.hook_z",
                                      "blocks..attn.hook_z",
                                      "attn.hook_z",
                                      "hook_embed2",
                                      "blocks.1.hook_embed",
                                      "blocks.9999999999.attn.hook_z",
                                      ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!gpt_point_parse(&cfg, bad[i], &q));
    CHECK(gpt_hooks[HOOK_PATTERN].n_axes == 3 && gpt_hooks[HOOK_LOGITS].n_axes == 2);
    CHECK(gpt_axis_size(&cfg, AXIS_NEURON, 5) == 24 && gpt_axis_size(&cfg, AXIS_KEY, 5) == 5);
}

static void views(void)
{
    /* A view [2 heads, 2, 3] into an array laid out [2, heads, 4]: element = its address. */
    float a[16], got[12];
    for (int i = 0; i < 16; i++)
        a[i] = (float)i;
    struct gpt_view v = {a, {2, 2, 3}, {4, 8, 1}};
    gpt_view_read(&v, got);
    const float want[12] = {0, 1, 2, 8, 9, 10, 4, 5, 6, 12, 13, 14};
    CHECK(memcmp(got, want, sizeof want) == 0);
    v = (struct gpt_view){a + 1, {2, 3, 1}, {8, 2, 0}};
    gpt_view_read(&v, got);
    const float want2[6] = {1, 3, 5, 9, 11, 13};
    CHECK(memcmp(got, want2, sizeof want2) == 0);
    v = (struct gpt_view){a, {2, 4, 1}, {8, 1, 0}};
    gpt_view_read(&v, got);
    const float want3[8] = {0, 1, 2, 3, 8, 9, 10, 11};
    CHECK(memcmp(got, want3, sizeof want3) == 0);
}

int main(void)
{
    RUN(exact_names);
    RUN(shorthands);
    RUN(layers);
    RUN(globs);
    RUN(order_and_repeats);
    RUN(models_without);
    RUN(near_names);
    RUN(bad_syntax);
    RUN(slices);
    RUN(slices_of_a_selection);
    RUN(point_names);
    RUN(views);
    return test_done();
}
