#include "gpt/select.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gpt/near.h"

enum { NAME_MAX_LEN = 127 };
static const char LAYER_CHARS[] = "0123456789:+-";

/* One selector as written, taken apart. */
struct query {
    char name[NAME_MAX_LEN + 1];    /* without the bracket */
    char layers[NAME_MAX_LEN + 1];  /* the SPEC of layers inside the name, or "" */
    char base[NAME_MAX_LEN + 1];    /* a shorthand without that, "scale_ln1" for scale4ln1 */
    const char *glob;               /* matched against the name, or, when in_block, what follows */
    bool in_block;                  /* "blocks.<layer>." */
    bool literal;                   /* the last dotted part holds no wildcard */
    bool narrowed;                  /* layers are given, in the name or by layer= */
    struct gpt_slice layer;         /* layers, parsed; axis unused */
    struct gpt_slice slice[N_AXES]; /* by axis; n_range 0: not given */
};

static void query_release(struct query *q)
{
    gpt_slice_release(&q->layer);
    for (int a = 0; a < N_AXES; a++)
        gpt_slice_release(&q->slice[a]);
}

static int take_layers(struct query *q, const char *text, size_t n, struct err *e)
{
    if (q->narrowed)
        return err_set(e, ERR_USAGE, "layers are given twice");
    q->narrowed = true;
    return gpt_slice_parse(&q->layer, text, n, e);
}

static bool is_alias(const char *name)
{
    for (int h = 0; h < N_HOOKS; h++)
        if (strcmp(gpt_hooks[h].alias, name) == 0)
            return true;
    return false;
}

/* Finds the layers in "blocks.SPEC.rest" or in "aliasSPECsuffix". */
static int parse_name(struct query *q, struct err *e)
{
    const char *spec = q->name;
    size_t n = 0;
    q->glob = q->name;
    if (strncmp(q->name, "blocks.", 7) == 0) {
        spec = q->name + 7;
        n = strspn(spec, LAYER_CHARS);
        if (spec[n] != '.')
            n = 0;
        if (n) {
            q->in_block = true;
            q->glob = spec + n + 1;
        }
    } else if (is_alias(q->name)) {
        memcpy(q->base, q->name, sizeof q->base);
    } else if (!strpbrk(q->name, ".*")) {
        size_t before = strcspn(q->name, LAYER_CHARS);
        spec = q->name + before;
        n = strspn(spec, LAYER_CHARS);
        memcpy(q->base, q->name, before);
        if (spec[n]) {
            q->base[before] = '_';
            memcpy(q->base + before + 1, spec + n, strlen(spec + n));
        }
    }
    memcpy(q->layers, spec, n);
    const char *dot = strrchr(q->name, '.');
    q->literal = !strchr(dot ? dot : q->name, '*');
    return n ? take_layers(q, spec, n, e) : 0;
}

/* One "AXIS=SPEC". */
static int parse_axis(struct query *q, const char *text, size_t n, struct err *e)
{
    const char *eq = memchr(text, '=', n);
    if (!eq)
        return err_set(e, ERR_USAGE, "'%.*s' is not AXIS=SPEC", (int)(n < 60 ? n : 60), text);
    size_t len = (size_t)(eq - text), rest = n - len - 1;
    if (len == 5 && memcmp(text, "layer", 5) == 0)
        return take_layers(q, eq + 1, rest, e);
    for (int a = 1; a < N_AXES; a++) {
        const char *name = gpt_axis_name((enum gpt_axis)a);
        if (strlen(name) != len || memcmp(text, name, len) != 0)
            continue;
        if (q->slice[a].n_range)
            return err_set(e, ERR_USAGE, "%s= is given twice", name);
        q->slice[a].axis = (enum gpt_axis)a;
        return gpt_slice_parse(&q->slice[a], eq + 1, rest, e);
    }
    return err_set(e, ERR_USAGE,
                   "no axis is called '%.*s' (layer, pos, head, d_head, d_model, neuron, query, "
                   "key, vocab)",
                   (int)(len < 60 ? len : 60), text);
}

static int parse_query(struct query *q, const char *text, size_t n, struct err *e)
{
    const char *open = memchr(text, '[', n);
    size_t len = open ? (size_t)(open - text) : n;
    if (len == 0 || len > NAME_MAX_LEN || memchr(text, '\0', n))
        return err_set(e, ERR_USAGE,
                       len ? "too long for a hook point's name" : "no hook point named");
    memcpy(q->name, text, len);
    if (parse_name(q, e))
        return -1;
    if (!open)
        return 0;
    if (text[n - 1] != ']')
        return err_set(e, ERR_USAGE, "the bracket is not closed, or something follows it");
    const char *p = open + 1, *end = text + n - 1;
    for (;;) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *stop = comma ? comma : end;
        if (parse_axis(q, p, (size_t)(stop - p), e))
            return -1;
        if (!comma)
            return 0;
        p = comma + 1;
    }
}

static bool glob_match(const char *glob, const char *name)
{
    const char *star = NULL, *retry = NULL;
    while (*name) {
        if (*glob == '*') {
            star = ++glob;
            retry = name;
        } else if (*glob == *name) {
            glob++;
            name++;
        } else if (star) {
            glob = star;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (*glob == '*')
        glob++;
    return *glob == '\0';
}

/* What a glob takes only by its literal name. */
static bool by_name_only(enum gpt_hook h)
{
    return h == HOOK_ATTN_IN || h == HOOK_Q_INPUT || h == HOOK_K_INPUT || h == HOOK_V_INPUT ||
           h == HOOK_RESULT || h == HOOK_MLP_IN || h == HOOK_LOGITS;
}

static bool matches(const struct query *q, struct gpt_point p)
{
    const struct gpt_hook_info *h = &gpt_hooks[p.hook];
    char full[NAME_MAX_LEN + 1];
    gpt_point_name(p, full, sizeof full);
    if (!q->literal && by_name_only(p.hook))
        return false;
    if (q->in_block ? h->in_block && glob_match(q->glob, h->name) : glob_match(q->glob, full))
        return true;
    /* "scale" is ln_final's: no layer goes with it. */
    return strcmp(q->base, h->alias) == 0 && (h->in_block || !*q->layers);
}

/* Place in the order of a forward pass: embeddings, blocks, the end. */
static long order(struct gpt_point p)
{
    if (gpt_hooks[p.hook].in_block)
        return (long)p.layer * N_HOOKS + p.hook;
    return p.hook < HOOK_RESID_PRE ? (long)p.hook - N_HOOKS : LONG_MAX - N_HOOKS + p.hook;
}

static void selector_release(struct gpt_selector *s)
{
    for (int i = 0; i < 3; i++)
        gpt_slice_release(&s->slice[i]);
}

/* The query's slices for one hook point. */
static int make_selector(struct gpt_selector *s, const struct query *q, struct gpt_point p,
                         struct err *e)
{
    const struct gpt_hook_info *h = &gpt_hooks[p.hook];
    bool used[N_AXES] = {false};
    *s = (struct gpt_selector){.point = p};
    for (int i = 0; i < h->n_axes; i++) {
        used[h->axis[i]] = true;
        if (gpt_slice_copy(&s->slice[i], &q->slice[h->axis[i]], e))
            goto fail;
        s->slice[i].axis = h->axis[i];
    }
    for (int a = 1; a < N_AXES; a++) {
        if (!q->slice[a].n_range || used[a])
            continue;
        char name[NAME_MAX_LEN + 1];
        gpt_point_name(p, name, sizeof name);
        err_set(e, ERR_USAGE, "%s has no axis %s; it has %s, %s%s%s", name,
                gpt_axis_name((enum gpt_axis)a), gpt_axis_name(h->axis[0]),
                gpt_axis_name(h->axis[1]), h->n_axes > 2 ? ", " : "", gpt_axis_name(h->axis[2]));
        goto fail;
    }
    return 0;
fail:
    selector_release(s);
    return -1;
}

/* Puts *one into its place; takes its memory over, also on error. */
static int insert(struct gpt_selection *s, struct gpt_selector *one, struct err *e)
{
    size_t at = s->n;
    while (at > 0 && order(s->sel[at - 1].point) > order(one->point))
        at--;
    if (at > 0 && order(s->sel[at - 1].point) == order(one->point)) {
        const struct gpt_selector *old = &s->sel[at - 1];
        bool same = true;
        for (int i = 0; i < 3; i++)
            same = same && gpt_slice_equal(&old->slice[i], &one->slice[i]);
        selector_release(one);
        if (same)
            return 0;
        char name[NAME_MAX_LEN + 1];
        gpt_point_name(old->point, name, sizeof name);
        return err_set(e, ERR_USAGE, "%s is selected twice, with different slices", name);
    }
    if (mem_grow(&s->sel, &s->cap, s->n + 1, sizeof *s->sel, e)) {
        selector_release(one);
        return -1;
    }
    memmove(&s->sel[at + 1], &s->sel[at], (s->n - at) * sizeof *s->sel);
    s->sel[at] = *one;
    s->n++;
    return 0;
}

static int no_match(const struct query *q, const struct gpt_config *c, struct err *e)
{
    struct buf near = {0};
    struct err ignored; /* without suggestions the message is still right */
    err_set(e, ERR_USAGE,
            strchr(q->name, '*') ? "matches no hook point of the model" : "no such hook point");
    bool is_near = gpt_near_names(c, q->name, q->layers, &near, &ignored) == 0 && near.len;
    if (is_near || gpt_shorthands(c, &near, &ignored) == 0) {
        size_t n = strlen(e->msg);
        snprintf(e->msg + n, sizeof e->msg - n, "; %s: %s", is_near ? "near" : "there are", near.p);
    }
    buf_release(&near);
    return -1;
}

/* The hook exists in other models. */
static int lacks_hook(const struct gpt_config *c, enum gpt_hook h, struct err *e)
{
    struct gpt_config with_mlp = {.layer_norm = c->layer_norm};
    return err_set(e, ERR_USAGE, "the model has no such hook point: it has no %s",
                   gpt_has_hook(&with_mlp, h) ? "MLPs" : "LayerNorm");
}

/* in[layer]: chosen by the query. */
static int resolve_layers(const struct query *q, const struct gpt_config *c, bool *in,
                          struct err *e)
{
    int *idx;
    size_t n;
    if (gpt_slice_resolve(&q->layer, c->n_layer, &idx, &n, e))
        return e->kind == ERR_SYS
                   ? -1
                   : err_set(e, ERR_USAGE, "no such layer: the model has %d layers (0 to %d)",
                             c->n_layer, c->n_layer - 1);
    for (size_t i = 0; i < n; i++)
        in[idx[i]] = true;
    free(idx);
    return 0;
}

static int add_matches(struct gpt_selection *s, const struct gpt_config *c, const struct query *q,
                       struct err *e)
{
    bool found = false, added = false;
    int lacking = -1;
    bool *in = mem_calloc((size_t)c->n_layer, sizeof *in, e);
    int rc = -1;
    struct err layer_err;
    if (!in)
        return -1;
    int bad_layer = resolve_layers(q, c, in, &layer_err);
    for (int i = 0; i < c->n_layer * N_HOOKS; i++) {
        struct gpt_point p = {(enum gpt_hook)(i % N_HOOKS), i / N_HOOKS};
        bool in_block = gpt_hooks[p.hook].in_block;
        if ((!in_block && p.layer > 0) || !matches(q, p))
            continue;
        if (!gpt_has_hook(c, p.hook)) {
            lacking = p.hook;
            continue;
        }
        found = true;
        if (bad_layer || (q->narrowed && (!in_block || !in[p.layer])))
            continue;
        struct gpt_selector one;
        if (make_selector(&one, q, p, e) || insert(s, &one, e))
            goto out;
        added = true;
    }
    if (!found && lacking >= 0)
        lacks_hook(c, (enum gpt_hook)lacking, e);
    else if (!found)
        no_match(q, c, e);
    else if (bad_layer)
        *e = layer_err;
    else if (!added)
        err_set(e, ERR_USAGE, "no hook point is left in those layers");
    rc = found && added ? 0 : -1;
out:
    free(in);
    return rc;
}

static int select_one(struct gpt_selection *s, const struct gpt_config *c, const char *text,
                      size_t n, struct err *e)
{
    struct query q = {.narrowed = false};
    int rc = parse_query(&q, text, n, e);
    if (rc == 0)
        rc = add_matches(s, c, &q, e);
    query_release(&q);
    return rc ? err_prefix(e, "selector '%.*s'", (int)(n < 100 ? n : 100), text) : 0;
}

int gpt_select(struct gpt_selection *s, const struct gpt_config *c, const char *text, struct err *e)
{
    const char *start = text;
    bool inside = false;
    for (const char *p = text;; p++) {
        if (*p == '\0' || (*p == ',' && !inside)) {
            if (select_one(s, c, start, (size_t)(p - start), e))
                return -1;
            if (*p == '\0')
                return 0;
            start = p + 1;
        }
        inside = (inside || *p == '[') && *p != ']';
    }
}

void gpt_selection_release(struct gpt_selection *s)
{
    for (size_t i = 0; i < s->n; i++)
        selector_release(&s->sel[i]);
    free(s->sel);
    *s = (struct gpt_selection){0};
}
