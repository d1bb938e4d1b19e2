/* gpt-run - one forward pass a prompt: a stream of activations, or tables of its predictions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "bridge/edit_source.h"
#include "bridge/emit.h"
#include "cli/tool.h"
#include "cli/tsv.h"
#include "common/model_in.h"
#include "common/next_token.h"
#include "common/run_cost.h"
#include "common/run_generate.h"
#include "gpt/edit.h"
#include "gpt/prompt.h"

/* Rows of one pass: enough for fast matrix products. */
#define BATCH_ROWS 1024
/* Floats kept of a pass over several items (16 MB); larger items go one by one. */
#define BATCH_FLOATS (4 << 20)

static struct {
    struct prompt_in prompts;
    struct strlist select, edit;
    const char *edit_file, *output, *dtype;
    int64_t top, generate, sample_top, seed, level;
    double temperature;
    bool loss, mean_loss, all, cost;
} args = {.dtype = "f32", .temperature = 1, .level = 1};

/* What the hook function needs to know. */
struct run {
    struct gpt_model *m;
    struct gpt_work *work;
    struct gpt_plan plan;
    struct gpt_edits edits;
    struct edit_source source;
    struct buf edit_text;
    struct gpt_selection sel;
    struct emit *emit;
    struct act_writer *writer;
    struct outfile out;
    struct tsv tsv;
    struct next_token table;
    struct act_item *item; /* of the batch */
    struct gpt_seq *seq;
    size_t n, cap_item, cap_seq;
    uint64_t done; /* items before the batch */
};

static int hook(void *user, struct gpt_point at, int i, const struct gpt_view *v, struct err *e)
{
    struct run *r = user;
    int n = r->seq[i].n, first = gpt_work_first_row(r->work);
    if (gpt_edits_apply(&r->edits, at, v, (struct gpt_span){first, n, n}, e))
        return -1;
    if (at.hook == HOOK_LOGITS && r->table.out &&
        next_token_rows(&r->table, r->done + (uint64_t)i, r->seq[i].tokens, n, first, v, e))
        return -1;
    return r->emit ? emit_hook(r->emit, at, i, v, first, e) : 0;
}

static int run_batch(struct run *r, struct err *e)
{
    int rc = 0;
    if (r->n == 0)
        return 0;
    if (r->emit)
        rc = emit_begin(r->emit, r->item, (int)r->n, e);
    if (rc == 0)
        rc = gpt_forward(r->m, r->work, r->seq, (int)r->n, &r->plan, e);
    if (rc == 0 && r->emit)
        rc = emit_end(r->emit, e);
    for (size_t i = 0; i < r->n; i++) {
        if (rc == 0 && r->table.out)
            rc = next_token_item_end(&r->table, r->done + i, e);
        act_item_release(&r->item[i]);
    }
    r->done += r->n;
    r->n = 0;
    return rc;
}

/* Copies the prompt into the batch; runs the batch first when it is full. */
static int add_item(struct run *r, const struct gpt_prompt *p, size_t *rows, struct err *e)
{
    double floats = r->emit ? emit_floats(r->emit, (int)p->tokens.n) : 0;
    double limit = fmin(BATCH_ROWS, floats > 0 ? BATCH_FLOATS / floats * (double)p->tokens.n : 1e9);
    if (r->n && (r->source.any || (double)(*rows + p->tokens.n) > limit)) {
        if (run_batch(r, e))
            return -1;
        *rows = 0;
    }
    if (mem_grow(&r->item, &r->cap_item, r->n + 1, sizeof *r->item, e) ||
        mem_grow(&r->seq, &r->cap_seq, r->n + 1, sizeof *r->seq, e))
        return -1;
    if (edit_source_resolve(&r->source, &r->edits, (int)p->tokens.n, e))
        return -1;
    struct act_item *it = &r->item[r->n];
    *it = (struct act_item){0};
    if (emit_item_tokens(it, r->m->vocab, p->tokens.p, p->tokens.n, e))
        return -1;
    r->n++;
    it->label = mem_strdup(p->label.p, e);
    it->edits = mem_strdup(r->edit_text.p ? r->edit_text.p : "", e);
    if (!it->label || !it->edits)
        return -1;
    *rows += p->tokens.n;
    r->seq[r->n - 1] = (struct gpt_seq){.tokens = it->tokens, .n = (int)p->tokens.n};
    return 0;
}

static int run_all(struct run *r, struct prompt_source *src, struct err *e)
{
    struct gpt_prompt p = {0};
    struct progress progress;
    size_t rows = 0;
    int rc;
    progress_begin(&progress, "prompts", 0);
    while ((rc = prompt_next(src, &p, e)) > 0) {
        if (add_item(r, &p, &rows, e)) {
            rc = -1;
            break;
        }
        progress_update(&progress, (double)(r->done + r->n));
    }
    if (rc == 0)
        rc = run_batch(r, e);
    for (size_t i = 0; i < r->n; i++)
        act_item_release(&r->item[i]);
    progress_end(&progress);
    gpt_prompt_release(&p);
    return rc;
}

static int open_stream(struct run *r, struct err *e)
{
    static const char *const names[] = {"f32", "f16", "bf16"};
    int dtype = 0;
    while (dtype < 3 && strcmp(args.dtype, names[dtype]) != 0)
        dtype++;
    if (dtype == 3)
        return err_set(e, ERR_USAGE, "--dtype: '%s' is not f32, f16 or bf16", args.dtype);
    if (!args.cost) {
        struct act_header h = {0};
        if (outfile_open(&r->out, args.output, e) || cli_refuse_tty(r->out.fd, e))
            return -1;
        int rc = emit_header(&h, r->m, e);
        if (rc == 0)
            r->writer = act_writer_open(r->out.fd, &h, (int)args.level, e);
        act_header_release(&h);
        if (!r->writer)
            return -1;
    }
    r->emit = emit_new(r->m, &r->sel, r->writer, (enum act_dtype)dtype, e);
    if (!r->emit)
        return -1;
    emit_plan(r->emit, &r->plan);
    return 0;
}

static int open_table(struct run *r, struct err *e)
{
    bool losses = args.loss || args.mean_loss;
    r->plan.logits = losses || args.all ? GPT_LOGITS_ALL : GPT_LOGITS_LAST;
    if (args.cost)
        return 0;
    if (tsv_open(&r->tsv, args.output, NULL, e))
        return -1;
    r->table = (struct next_token){.kind = args.mean_loss ? NEXT_MEAN_LOSS
                                           : args.loss    ? NEXT_LOSS
                                                          : NEXT_TOP,
                                   .k = args.top ? (int)args.top : 10,
                                   .vocab = r->m->vocab,
                                   .out = &r->tsv};
    return next_token_init(&r->table, e);
}

static int setup(struct run *r, struct err *e)
{
    if (gpt_plan_init(&r->plan, &r->m->cfg, e))
        return -1;
    r->plan.fn = hook;
    r->plan.user = r;
    r->work = gpt_work_new(e);
    if (!r->work || edits_in(&args.edit, args.edit_file, r->m, &r->edits, &r->edit_text, e) ||
        edit_source_open(&r->source, &r->edits, r->m, e))
        return -1;
    gpt_edits_plan(&r->edits, &r->plan);
    for (size_t i = 0; i < args.select.n; i++)
        if (gpt_select(&r->sel, &r->m->cfg, args.select.v[i], e))
            return -1;
    if (args.generate)
        return 0;
    return args.select.n ? open_stream(r, e) : open_table(r, e);
}

static int finish(struct run *r, struct err *e)
{
    if (r->writer)
        return act_writer_finish(r->writer, e) || outfile_commit(&r->out, e) ? -1 : 0;
    return next_token_end(&r->table, e) || tsv_close(&r->tsv, e) ? -1 : 0;
}

static void release(struct run *r)
{
    emit_free(r->emit);
    act_writer_free(r->writer);
    outfile_abort(&r->out);
    next_token_release(&r->table);
    tsv_abort(&r->tsv);
    gpt_selection_release(&r->sel);
    edit_source_release(&r->source);
    gpt_edits_release(&r->edits);
    buf_release(&r->edit_text);
    gpt_plan_release(&r->plan);
    gpt_work_free(r->work);
    free(r->item);
    free(r->seq);
    gpt_close(r->m);
}

static int work(struct run *r, struct err *e)
{
    if ((args.select.n != 0) + (args.top > 0) + (args.loss || args.mean_loss) +
            (args.generate > 0) >
        1)
        return err_set(e, ERR_USAGE, "--select, --top, --loss and --generate exclude one another");
    r->m = model_in(args.prompts.model, e);
    if (!r->m)
        return -1;
    struct prompt_source *src = prompts_in(&args.prompts, r->m, e);
    int rc = src ? setup(r, e) : -1;
    if (rc == 0 && args.generate) {
        struct gpt_sampler s = {args.temperature, (int)args.sample_top, (uint64_t)args.seed};
        rc = run_generate(r->m, r->work, src, &r->source, &r->edits, &r->plan, &s,
                          (int)args.generate, args.output, e);
    } else if (rc == 0 && args.cost) {
        rc = run_cost(r->m, src, &r->plan, r->emit, args.output, e);
    } else if (rc == 0) {
        rc = run_all(r, src, e);
        rc = rc ? rc : finish(r, e);
    }
    prompt_close(src);
    return rc;
}

static int run(int argc, char **argv, struct err *e)
{
    struct run r = {.out = {.fd = -1}, .tsv = {.out = {.fd = -1}}};
    (void)argc;
    (void)argv;
    int rc = work(&r, e);
    release(&r);
    return rc;
}

static const struct opt opts[] = {
    PROMPT_OPTS(args.prompts),
    {'s', "select", "SELECTOR", OPT_LIST, &args.select,
     "write a stream of these hook points (may be repeated): blocks.3.attn.hook_z, "
     "blocks.*.hook_resid_post, resid_post7, pattern3, z0[head=2,pos=-1], layers 2:5, * for all",
     0, 0},
    {0, "dtype", "TYPE", OPT_STR, &args.dtype, "store values as f32 (default), f16 or bf16", 0, 0},
    {0, "level", "N", OPT_INT, &args.level, "0 stores plainly, 1 (default) compresses", 0, 1},
    {'t', "top", "K", OPT_INT, &args.top,
     "table of the K likeliest next tokens after each prompt (default: 10)", 1, 1e6},
    {0, "all-positions", NULL, OPT_FLAG, &args.all, "with --top: after every token", 0, 0},
    {'l', "loss", NULL, OPT_FLAG, &args.loss, "table of the loss of every token, in nats", 0, 0},
    {0, "mean-loss", NULL, OPT_FLAG, &args.mean_loss,
     "table of the mean loss and perplexity of every prompt and of all", 0, 0},
    {'g', "generate", "N", OPT_INT, &args.generate, "print each prompt with N more tokens", 1, 1e9},
    {0, "temperature", "T", OPT_FLOAT, &args.temperature,
     "of sampling (default 1); 0 always takes the likeliest token", 0, 1e6},
    {'k', "top-k", "K", OPT_INT, &args.sample_top,
     "sample among the K likeliest tokens (default: all)", 1, 1e9},
    {0, "seed", "N", OPT_INT, &args.seed, "of sampling (default 0)", 0, 0},
    {0, "edit", "FILE", OPT_STR, &args.edit_file,
     "apply the interventions in FILE, one a line: zero, set, add or scale, a selector, a value", 0,
     0},
    {'e', "intervene", "EDIT", OPT_LIST, &args.edit, "one such intervention (may be repeated)", 0,
     0},
    {'n', "cost", NULL, OPT_FLAG, &args.cost,
     "only print what the run would cost: FLOPs, bytes, seconds", 0, 0},
    {'o', "output", "FILE", OPT_STR, &args.output,
     "write FILE, whole or not at all (default: standard output)", 0, 0},
    {0, NULL, NULL, OPT_FLAG, NULL, NULL, 0, 0},
};

const struct tool TOOL = {
    .name = "gpt-run",
    .summary = "run a GPT and send its activations down a pipe",
    .synopsis = "[OPTION]...",
    .description =
        "Runs the model on each prompt, once, and writes what is asked for: with --select a stream "
        "of the values at hook points (TransformerLens's names and shapes); otherwise a table of "
        "the likeliest next tokens, of losses, or generated text. Nothing is computed that nobody "
        "asked for: the pass ends after the last layer needed.\n\n"
        "Prompts come from -p, from a file, or from standard input: lines of text, or JSON Lines "
        "with \"text\", \"tokens\", or \"clean\" and \"corrupted\" (then the clean one is run). "
        "Positions count from 0; no beginning-of-text token is put in unless --bos asks for it.\n\n"
        "Interventions change the values at a hook point and the rest of the pass goes on with "
        "them: `zero z1[head=2]`, `scale mlp_out3 0.5`, `add resid_pre6 from steer.act`. Positions "
        "are absolute, also while generating.",
    .examples = "  gpt-run -m ckpt.pt -p 'To be, or not to be' --top 5\n"
                "  gpt-run -m ckpt.pt -p 'To be' -s 'blocks.*.hook_resid_post' | lens -m ckpt.pt\n"
                "  gpt-run -m ckpt.pt -f prompts.txt -s pattern | attn-stats\n"
                "  gpt-run -m ckpt.pt -p 'To be' -e 'zero z1[head=2]' --generate 30\n",
    .opts = opts,
    .min_args = 0,
    .max_args = 0,
    .run = run,
};
