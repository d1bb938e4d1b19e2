/* lens - the logit lens over a stream's residual records: one item in memory at a time. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bridge/residual.h"
#include "bridge/source.h"
#include "cli/tool.h"
#include "cli/tsv.h"
#include "common/model_in.h"
#include "common/next_token.h"
#include "common/stream_in.h"
#include "common/token_in.h"
#include "interp/lens.h"

/* Rows of one matrix product: whole positions, at least one. */
#define TILE 128

static struct {
    const char *model, *output, *pos, *token;
    int64_t top;
} args = {.token = "next"};

struct job {
    struct gpt_model *m;
    struct lens *lens;
    struct gpt_slice pos;
    int32_t target; /* a token id, or LENS_NONE: the next token */
    struct residual item;
    struct lens_row *row; /* a tile */
    struct lens_stat *stat;
    size_t cap_row, cap_stat;
    int32_t *top; /* [args.top] */
    bool no_final;
    uint64_t vectors;
    struct tsv out;
};

/* A token's text; nothing for none. */
static int write_token(struct job *j, int32_t id, struct err *e)
{
    return id < 0 ? tsv_str(&j->out, "", e) : tsv_token(&j->out, j->m->vocab, id, e);
}

static int32_t token_at(const struct residual *s, int pos)
{
    return pos >= 0 && (size_t)pos < s->n_tokens ? s->tokens[pos] : LENS_NONE;
}

/* item hook layer pos token: the same in both tables. */
static int write_place(struct job *j, const struct residual_row *r, struct err *e)
{
    struct tsv *t = &j->out;
    return tsv_int(t, (int64_t)j->item.item, e) || tsv_str(t, gpt_hooks[r->at.hook].alias, e) ||
           tsv_int(t, r->at.layer, e) || tsv_int(t, r->pos, e) ||
           write_token(j, token_at(&j->item, r->pos), e);
}

static int write_stat(struct job *j, const struct residual_row *r, int32_t target,
                      const struct lens_stat *s, struct err *e)
{
    struct tsv *t = &j->out;
    return write_place(j, r, e) || write_token(j, s->top, e) || tsv_num(t, s->top_prob, e) ||
           tsv_num(t, s->entropy, e) || tsv_num(t, s->kl_final, e) || write_token(j, target, e) ||
           tsv_num(t, s->rank, e) || tsv_num(t, s->prob, e) || tsv_num(t, s->logprob, e) ||
           tsv_end_row(t, e);
}

static int write_top(struct job *j, const struct residual_row *r, size_t i, struct err *e)
{
    struct tsv *t = &j->out;
    double lse;
    const float *logits = lens_logits(j->lens, i, &lse);
    lens_top(logits, (size_t)j->m->cfg.d_vocab, (size_t)args.top, j->top);
    for (int64_t k = 0; k < args.top; k++) {
        double logprob = logits[j->top[k]] - lse;
        if (write_place(j, r, e) || tsv_int(t, k, e) || tsv_int(t, j->top[k], e) ||
            write_token(j, j->top[k], e) || tsv_num(t, exp(logprob), e) || tsv_num(t, logprob, e) ||
            tsv_end_row(t, e))
            return -1;
    }
    return 0;
}

/* The rows from, from + n of the item: whole positions. */
static int write_tile(struct job *j, size_t from, size_t n, struct err *e)
{
    const struct residual_row *r = j->item.row + from;
    if (mem_grow(&j->row, &j->cap_row, n, sizeof *j->row, e) ||
        mem_grow(&j->stat, &j->cap_stat, n, sizeof *j->stat, e))
        return -1;
    for (size_t i = n, final = n; i-- > 0;) { /* a position's last residual comes last */
        if (i + 1 == n || r[i].pos != r[i + 1].pos) {
            bool is = r[i].at.hook == HOOK_RESID_POST && r[i].at.layer == j->m->cfg.n_layer - 1;
            final = is ? i : n;
            j->no_final |= !is;
        }
        int32_t target = j->target == LENS_NONE ? token_at(&j->item, r[i].pos + 1) : j->target;
        j->row[i] = (struct lens_row){j->item.values + r[i].vector * (size_t)j->m->cfg.d_model,
                                      target, args.top || final == n ? LENS_NONE : (int) final};
    }
    if (lens_read(j->lens, j->row, n, j->stat, e))
        return -1;
    for (size_t i = 0; i < n; i++)
        if (args.top ? write_top(j, &r[i], i, e)
                     : write_stat(j, &r[i], j->row[i].target, &j->stat[i], e))
            return -1;
    return 0;
}

static int write_item(struct job *j, struct err *e)
{
    if (residual_end(&j->item, e))
        return -1;
    size_t n = j->item.n;
    const struct residual_row *r = j->item.row;
    for (size_t from = 0, to; from < n; from = to) {
        size_t whole = to = from;
        while (to < n && (to - from < TILE || whole == from)) {
            to++;
            if (to == n || r[to].pos != r[to - 1].pos)
                whole = to;
        }
        to = whole;
        if (write_tile(j, from, to - from, e))
            return -1;
    }
    j->vectors += n;
    return 0;
}

static int read_stream(struct job *j, struct stream_in *in, struct err *e)
{
    bool open = false;
    int event;
    while ((event = stream_in_next(in, e)) >= 0) {
        if (event == ACT_RECORD) {
            if (residual_record(&j->item, in->reader, &j->m->cfg, e))
                return -1;
            continue;
        }
        if (open && write_item(j, e))
            return -1;
        if (event == ACT_END)
            break;
        open = true;
        if (residual_begin(&j->item, in->reader, &j->m->cfg, &j->pos, e))
            return -1;
    }
    if (event == ACT_END && !j->vectors)
        return stream_in_lacks(in, "residual stream", "gpt-run -s resid_post", e);
    return event;
}

static int write_notes(struct tsv *t, struct err *e)
{
    if (tsv_note(t, e, "logit lens: softmax(LN_final(h) W_U), with h's own mean and scale") ||
        tsv_note(t, e, "hook, layer: where h was taken; rank: 0 is the likeliest; log is natural"))
        return -1;
    if (args.top)
        return tsv_header(t, "item hook layer pos token rank id text prob logprob", e);
    return tsv_note(t, e,
                    "entropy: -sum p log p, in nats; kl_final: KL(final || layer) = sum "
                    "p_final (log p_final - log p_layer), in nats") ||
           tsv_note(t, e, "target: %s",
                    strcmp(args.token, "next") == 0 ? "the token that does come next"
                                                    : "the token that --token names") ||
           tsv_header(t,
                      "item hook layer pos token top top_prob entropy kl_final target "
                      "target_rank target_prob target_logprob",
                      e);
}

static int setup(struct job *j, struct err *e)
{
    if (!(j->m = model_in(args.model, e)))
        return -1;
    j->target = LENS_NONE;
    if (args.pos && gpt_slice_parse(&j->pos, args.pos, strlen(args.pos), e))
        return err_prefix(e, "--pos");
    if (strcmp(args.token, "next") != 0 && token_in(j->m, "--token", args.token, &j->target, e))
        return -1;
    if (args.top > j->m->cfg.d_vocab)
        args.top = j->m->cfg.d_vocab;
    j->lens = lens_new(j->m, e);
    j->top = mem_alloc((size_t)args.top, sizeof *j->top, e);
    return j->lens && j->top ? 0 : -1;
}

static int run(int argc, char **argv, struct err *e)
{
    struct job j = {.out = {.out = {.fd = -1}}};
    struct stream_in in = {.fd = -1};
    int rc = -1;
    if (setup(&j, e) || stream_in_open(&in, argc ? argv[0] : NULL, e) ||
        source_check_model(in.reader, j.m, e) || tsv_open(&j.out, args.output, in.history.p, e))
        goto out;
    if (write_notes(&j.out, e) || read_stream(&j, &in, e) || tsv_close(&j.out, e))
        goto out;
    if (j.no_final && !args.top)
        cli_warn("kl_final is nan where the stream lacks blocks.%d.hook_resid_post, the last layer",
                 j.m->cfg.n_layer - 1);
    rc = 0;
out:
    tsv_abort(&j.out);
    stream_in_close(&in);
    residual_release(&j.item);
    lens_free(j.lens);
    gpt_slice_release(&j.pos);
    gpt_close(j.m);
    free(j.row);
    free(j.stat);
    free(j.top);
    return rc;
}

static const struct opt opts[] = {
    {'m', "model", "PATH", OPT_STR, &args.model,
     "the model that the stream comes from (default: $ACTUTILS_MODEL)", 0, 0},
    {'k', "top", "K", OPT_INT, &args.top, "instead: a row for each of the K likeliest tokens", 1,
     1e6},
    {'t', "token", "TOKEN", OPT_STR, &args.token,
     "the target: " TOKEN_HELP ", or next (default), the token that does come next", 0, 0},
    {0, "pos", "SPEC", OPT_STR, &args.pos,
     "only these positions: INDEX or A:B ranges, joined by +, negative from the end", 0, 0},
    {'o', "output", "FILE", OPT_STR, &args.output,
     "write FILE, whole or not at all (default: standard output)", 0, 0},
    {0, NULL, NULL, OPT_FLAG, NULL, NULL, 0, 0},
};

const struct tool TOOL = {
    .name = "lens",
    .summary = "read the residual stream as next-token predictions (logit lens)",
    .synopsis = "-m MODEL [OPTION]... [FILE]",
    .description =
        "Reads a stream and writes what the model would predict if it stopped at each residual "
        "record in it (hook_resid_pre, hook_resid_mid, hook_resid_post; other records are passed "
        "over): softmax(LN_final(h) W_U), the final LayerNorm taken with h's own mean and scale. "
        "At the last layer's hook_resid_post this is the model's own prediction. One row for each "
        "vector h, ordered by item, position, layer; one item is held in memory at a time.\n\n"
        "Columns: item, hook, layer, pos, and token, the text at that position; top and top_prob, "
        "the likeliest next token; entropy of the prediction, in nats; kl_final, KL(final || "
        "layer) = sum p_final (log p_final - log p_layer), in nats, nan when the stream has no "
        "hook_resid_post of the last layer at that position; target, and its rank (0: likeliest), "
        "probability and natural log-probability. The target is the token that does come next "
        "(nan at the last position), or --token's.\n\n"
        "With --top K the columns after token are rank, id, text, prob, logprob of the K "
        "likeliest next tokens, one a row.\n\n"
        "The stream must come from the same model; another one's is bad data (exit 3).",
    .examples =
        "  gpt-run -m ckpt.pt -p 'To be, or not to b' -s resid_post | lens -m ckpt.pt\n"
        "  gpt-run -m ckpt.pt -f prompts.txt -s resid_post | lens -m ckpt.pt --pos -1 --top 5\n"
        "  lens -m ckpt.pt --token e resid.act | awk -F '\\t' '$4 == 3' | column -ts $'\\t'\n",
    .opts = opts,
    .min_args = 0,
    .max_args = 1,
    .run = run,
};
