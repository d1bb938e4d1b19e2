#include "common/run_generate.h"

#include "base/io.h"

struct text {
    const struct gpt_model *m;
    const struct gpt_edits *edits;
    struct gpt_kv kv;
    int prompt, total;
    struct outfile out;
    struct buf b;
};

static int hook(void *user, struct gpt_point at, int seq, const struct gpt_view *v, struct err *e)
{
    struct text *t = user;
    (void)seq;
    int first = at.hook == HOOK_LOGITS ? (t->kv.n ? t->kv.n : t->prompt - 1) : t->kv.n;
    return gpt_edits_apply(t->edits, at, v, (struct gpt_span){first, t->prompt, t->total}, e);
}

/* Written at once, so that a reader sees the text grow. */
static int print(void *user, int32_t id, struct err *e)
{
    struct text *t = user;
    size_t n = 0;
    const char *s = t->m->vocab ? vocab_piece(t->m->vocab, id, &n) : NULL;
    t->b.len = 0;
    if (s ? buf_add(&t->b, s, n, e) : buf_printf(&t->b, e, "%d ", (int)id))
        return -1;
    return io_write_all(t->out.fd, t->b.p, t->b.len, e);
}

static int one(struct text *t, struct gpt_work *w, const struct gpt_prompt *p,
               const struct gpt_plan *plan, struct gpt_sampler s, int n_new, struct err *e)
{
    t->prompt = (int)p->tokens.n;
    t->total = t->prompt + n_new;
    int rc = gpt_kv_init(&t->kv, &t->m->cfg, t->total - 1, e);
    for (size_t i = 0; i < p->tokens.n && rc == 0; i++)
        rc = print(t, p->tokens.p[i], e);
    if (rc == 0)
        rc = gpt_generate(t->m, w, &t->kv, p->tokens.p, t->prompt, n_new, &s, plan, print, t, e);
    gpt_kv_release(&t->kv);
    return rc ? rc : io_write_all(t->out.fd, "\n", 1, e);
}

int run_generate(const struct gpt_model *m, struct gpt_work *w, struct prompt_source *src,
                 struct edit_source *source, struct gpt_edits *edits, const struct gpt_plan *plan,
                 const struct gpt_sampler *s, int n_new, const char *path, struct err *e)
{
    struct text t = {.m = m, .edits = edits, .out = {.fd = -1}};
    struct gpt_plan own = *plan;
    struct gpt_prompt p = {0};
    own.fn = hook;
    own.user = &t;
    int rc = outfile_open(&t.out, path, e);
    while (rc == 0) {
        int more = prompt_next(src, &p, e);
        if (more <= 0) {
            rc = more;
            break;
        }
        rc = edit_source_resolve(source, edits, (int)p.tokens.n, e);
        rc = rc ? rc : one(&t, w, &p, &own, *s, n_new, e);
        if (rc)
            prompt_blame(src, e);
    }
    if (rc == 0)
        rc = outfile_commit(&t.out, e);
    outfile_abort(&t.out);
    buf_release(&t.b);
    gpt_prompt_release(&p);
    return rc;
}
