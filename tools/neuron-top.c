/* neuron-top - the tokens in context that excite each neuron most, from a stream in one pass. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/tool.h"
#include "cli/tsv.h"
#include "common/features.h"
#include "common/names.h"
#include "common/stream_in.h"

static struct {
    struct strlist select;
    const char *output, *neurons;
    int64_t k, context, top_neurons;
} args = {.k = 10, .context = 6};

static int read_records(struct features *f, struct stream_in *in, struct names *names,
                        struct err *e)
{
    int event;
    while ((event = stream_in_next(in, e)) > 0)
        if (event == ACT_RECORD && names_want(names, act_reader_record(in->reader)->name) &&
            features_read(f, in->reader, e))
            return stream_in_at(in, e);
    return event;
}

static int read_stream(struct features *f, struct stream_in *in, struct err *e)
{
    static const char *const post = "post";
    struct strlist neurons = {.v = (const char **)&post, .n = 1};
    struct names names = {0};
    const char *where = act_reader_name(in->reader);
    int rc = names_add(&names, args.select.n ? &args.select : &neurons, e);
    if (rc == 0)
        rc = read_records(f, in, &names, e);
    if (rc == 0 && args.select.n)
        rc = names_check(&names, where, e);
    if (rc == 0 && !f->n)
        rc = stream_in_lacks(in, "neuron activations (mlp.hook_post)", "gpt-run -s post", e);
    const struct neuron_range *r = neuron_list_unmet(f->neurons);
    if (rc == 0 && r)
        rc = err_set(e, ERR_USAGE, "--neurons: '%.*s': %s has none of them", r->text_len, r->text,
                     where);
    names_release(&names);
    return rc;
}

struct row { /* one feature of the table */
    const struct feature_hook *hook;
    size_t feature;
};

static float greatest(const struct row *r)
{
    return r->hook->top.value[r->feature * r->hook->top.k];
}

static int by_place(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->hook->layer != y->hook->layer)
        return x->hook->layer < y->hook->layer ? -1 : 1;
    if (x->hook != y->hook)
        return x->hook < y->hook ? -1 : 1;
    int32_t i = feature_index(x->hook, x->feature), j = feature_index(y->hook, y->feature);
    return (i > j) - (i < j);
}

static int by_greatest(const void *a, const void *b)
{
    float x = greatest(a), y = greatest(b);
    return x != y ? (x < y ? 1 : -1) : by_place(a, b);
}

/* The features that saw a token, in the order of the table. */
static int list_rows(const struct features *f, struct row **rows, size_t *n, struct err *e)
{
    size_t total = 0;
    *n = 0;
    for (size_t i = 0; i < f->n; i++)
        total += f->hook[i].top.n;
    if (!(*rows = mem_alloc(total, sizeof **rows, e)))
        return -1;
    for (size_t i = 0; i < f->n; i++)
        for (size_t j = 0; j < f->hook[i].top.n && f->hook[i].top.rows; j++)
            (*rows)[(*n)++] = (struct row){&f->hook[i], j};
    qsort(*rows, *n, sizeof **rows, args.top_neurons ? by_greatest : by_place);
    if (args.top_neurons && *n > (size_t)args.top_neurons)
        *n = (size_t)args.top_neurons;
    return 0;
}

static int write_text(struct tsv *out, const struct context *c, struct buf *b, struct err *e)
{
    const char *token = c->text + c->len[0], *after = token + c->len[1];
    b->len = 0;
    if (tsv_text(out, token, c->len[1], e))
        return -1;
    if (c->len[1] && (buf_add(b, c->text, c->len[0], e) || buf_puts(b, "[[", e) ||
                      buf_add(b, token, c->len[1], e) || buf_puts(b, "]]", e) ||
                      buf_add(b, after, c->len[2], e)))
        return -1;
    return tsv_text(out, b->p ? b->p : "", b->len, e);
}

static int write_row(struct tsv *out, const struct features *f, const struct row *r, size_t rank,
                     struct buf *b, struct err *e)
{
    const struct topk *t = &r->hook->top;
    const struct context *c = &f->contexts.slot[t->tag[r->feature * t->k + rank]];
    char label[ACT_NAME_MAX + 16];
    double n = (double)t->rows;
    int layer = r->hook->layer;
    feature_label(r->hook, r->feature, label, sizeof label);
    return (layer >= 0 ? tsv_int(out, layer, e) : tsv_num(out, NAN, e)) ||
                   tsv_int(out, feature_index(r->hook, r->feature), e) || tsv_str(out, label, e) ||
                   tsv_int(out, (int64_t)rank, e) ||
                   tsv_num(out, (double)t->value[r->feature * t->k + rank], e) ||
                   tsv_int(out, (int64_t)c->item, e) || tsv_int(out, c->pos, e) ||
                   write_text(out, c, b, e) || tsv_num(out, (double)t->active[r->feature] / n, e) ||
                   tsv_num(out, t->sum[r->feature] / n, e) ||
                   tsv_num(out, (double)greatest(r), e) || tsv_int(out, (int64_t)t->rows, e) ||
                   tsv_end_row(out, e)
               ? -1
               : 0;
}

static int write_table(struct tsv *out, const struct features *f, struct err *e)
{
    struct row *rows = NULL;
    struct buf b = {0};
    size_t n;
    int rc =
        tsv_header(out, "layer neuron label rank value item pos token context density mean max n",
                   e) ||
                list_rows(f, &rows, &n, e)
            ? -1
            : 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        for (size_t rank = 0; rc == 0 && rank < topk_filled(&rows[i].hook->top); rank++)
            rc = write_row(out, f, &rows[i], rank, &b, e);
    free(rows);
    buf_release(&b);
    return rc;
}

static int run(int argc, char **argv, struct err *e)
{
    struct neuron_list neurons;
    struct features f;
    struct stream_in in;
    struct tsv out;
    if (neuron_list_parse(&neurons, args.neurons, e))
        return -1;
    features_init(&f, (size_t)args.k, (size_t)args.context, &neurons);
    int rc = stream_in_open(&in, argc ? argv[0] : NULL, e);
    if (rc == 0 && (rc = tsv_open(&out, args.output, in.history.p, e)) == 0) {
        if (read_stream(&f, &in, e) || write_table(&out, &f, e) || tsv_close(&out, e))
            rc = -1;
        tsv_abort(&out);
    }
    stream_in_close(&in);
    features_release(&f);
    neuron_list_release(&neurons);
    return rc;
}

static const struct opt opts[] = {
    {'s', "select", "NAMES", OPT_LIST, &args.select,
     "records of [pos, feature] to look at: names, globs or shorthands such as resid_post3, "
     "separated by commas (default: post, the neurons)",
     0, 0},
    {0, "neurons", "LIST", OPT_STR, &args.neurons,
     "only these: L3N70, L3N10:20 (half open), L3 (the whole layer), separated by commas", 0, 0},
    {'k', "examples", "K", OPT_INT, &args.k, "examples of each neuron (default: 10)", 1, 1000},
    {0, "context", "N", OPT_INT, &args.context,
     "tokens of context on each side (default: 6); of each side at most 512 bytes are kept", 0,
     1000},
    {0, "top-neurons", "N", OPT_INT, &args.top_neurons,
     "print only the N neurons of greatest maximum, greatest first (default: all, in order)", 1,
     1e9},
    {'o', "output", "FILE", OPT_STR, &args.output, "write to FILE instead of stdout", 0, 0},
    {0, NULL, NULL, OPT_FLAG, NULL, NULL, 0, 0},
};

const struct tool TOOL = {
    .name = "neuron-top",
    .summary = "find the tokens in context that excite each neuron most",
    .synopsis = "[OPTION]... [FILE]",
    .description =
        "Reads a stream with neuron activations (gpt-run -s post), from FILE or stdin, in one "
        "pass, and prints the K tokens of greatest activation for each neuron, or for each "
        "feature of any records of [pos, feature]. Memory does not grow with the stream: about "
        "8K + 20 bytes a neuron, and 100 bytes for each token that is an example of any.\n\n"
        "Columns: layer (nan outside the blocks); neuron; label (L3N70, or NAME[70] when the "
        "features are not neurons); rank, from 0; value, the activation; item and pos, counted "
        "from 0; token; context, with [[token]] marked and … where it was cut; then of the "
        "neuron, over the n tokens of the stream: density (share of tokens with activation above "
        "0), mean, max, n. Of equal values the one earlier in the stream comes first. Tokens "
        "whose text the stream does not know are shown as <id>.",
    .examples = "  gpt-run -s post -f book.txt | neuron-top -k 5 --top-neurons=20 -o top.tsv\n"
                "  gpt-run -s post3 -f book.txt | neuron-top --neurons=L3N70,L3N10:20\n"
                "  gpt-run -s resid_post -f book.txt | neuron-top -s resid_post\n",
    .opts = opts,
    .min_args = 0,
    .max_args = 1,
    .run = run,
};
