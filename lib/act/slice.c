#include "act/slice.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define LONGEST (1u << 26) /* dimension that is sliced: a stream may lie about its sizes */

static int add_one(struct act_slices *s, const char *text, size_t n, struct err *e)
{
    const char *eq = memchr(text, '=', n);
    size_t n_label = eq ? (size_t)(eq - text) : 0;
    if (n_label == 0 || n_label >= ACT_LABEL_MAX)
        return err_set(e, ERR_USAGE, "slice '%.*s': not of the form label=SPEC (pos=-1)",
                       (int)(n < 60 ? n : 60), text);
    if (mem_grow(&s->v, &s->cap, s->n + 1, sizeof *s->v, e))
        return -1;
    struct act_slice *one = &s->v[s->n];
    *one = (struct act_slice){0};
    memcpy(one->label, text, n_label);
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i].label, one->label) == 0)
            return err_set(e, ERR_USAGE, "slice '%.*s': %s is sliced twice (join with '+')",
                           (int)(n < 60 ? n : 60), text, one->label);
    if (spec_parse(&one->spec, eq + 1, n - n_label - 1, e))
        return err_prefix(e, "slice '%s'", one->label);
    s->n++;
    return 0;
}

int act_slices_add(struct act_slices *s, const char *text, struct err *e)
{
    for (;;) {
        size_t n = strcspn(text, ",");
        if (add_one(s, text, n, e))
            return -1;
        if (!text[n])
            return 0;
        text += n + 1;
    }
}

const char *act_slices_unused(const struct act_slices *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (!s->v[i].used)
            return s->v[i].label;
    return NULL;
}

void act_slices_release(struct act_slices *s)
{
    for (size_t i = 0; i < s->n; i++)
        spec_release(&s->v[i].spec);
    free(s->v);
    *s = (struct act_slices){0};
}

/* The kept elements' coordinates: a start if they are consecutive, else a list. */
static int set_coordinates(struct act_dim *to, const struct act_dim *from, const uint32_t *keep,
                           uint32_t n, struct err *e)
{
    bool run = true;
    for (uint32_t i = 1; i < n; i++)
        run = run && act_dim_at(from, keep[i]) == act_dim_at(from, keep[i - 1]) + 1;
    to->size = n;
    to->start = run ? act_dim_at(from, keep[0]) : 0;
    to->index = NULL;
    if (run)
        return 0;
    to->index = mem_alloc(n, sizeof *to->index, e);
    if (!to->index)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        to->index[i] = act_dim_at(from, keep[i]);
    return 0;
}

static int pick_dim(struct act_pick *p, int d, const struct spec *spec, const struct act_dim *from,
                    struct err *e)
{
    struct act_dim *to = &p->rec.dims[d];
    int rc = -1;
    uint32_t n = 0;
    if (from->size > LONGEST)
        return err_set(e, ERR_DATA, "%s: a dimension of %u cannot be sliced", from->label,
                       from->size);
    unsigned char *in = mem_alloc(from->size, 1, e);
    p->keep[d] = mem_alloc(from->size, sizeof *p->keep[d], e);
    if (in && p->keep[d] &&
        spec_mark(spec, from->label, from->start, from->index, from->size, in, e) == 0) {
        for (uint32_t i = 0; i < from->size; i++)
            if (in[i])
                p->keep[d][n++] = i;
        free(to->index);
        rc = set_coordinates(to, from, p->keep[d], n, e);
    }
    free(in);
    return rc;
}

int act_pick_make(struct act_pick *p, struct act_slices *s, const struct act_record *r,
                  struct err *e)
{
    *p = (struct act_pick){0};
    if (act_record_dup(&p->rec, r, e))
        return -1;
    for (int d = 0; d < r->n_dims; d++) {
        p->size[d] = r->dims[d].size;
        for (size_t i = 0; i < s->n; i++) {
            if (strcmp(s->v[i].label, r->dims[d].label) != 0)
                continue;
            s->v[i].used = true;
            if (pick_dim(p, d, &s->v[i].spec, &r->dims[d], e))
                return err_prefix(e, "%s", r->name);
        }
    }
    return 0;
}

void act_pick_release(struct act_pick *p)
{
    act_record_release(&p->rec);
    for (int d = 0; d < ACT_MAX_DIMS; d++)
        free(p->keep[d]);
    *p = (struct act_pick){0};
}

struct walk {
    const struct act_pick *p;
    struct act_source *s;
    int depth; /* dims up to the last one that is sliced */
    size_t stride[ACT_MAX_DIMS];
    size_t skip; /* values to pass over before the next that are kept */
    float *chunk;
    size_t fill;
    act_put *put;
    void *user;
};

static int flush(struct walk *w, struct err *e)
{
    size_t n = w->fill;
    w->fill = 0;
    return n ? w->put(w->user, w->chunk, n, e) : 0;
}

static int keep_values(struct walk *w, size_t n, struct err *e)
{
    if (w->skip && act_source_skip(w->s, w->skip, e))
        return -1;
    w->skip = 0;
    while (n > 0) {
        size_t k = ACT_PICK_CHUNK - w->fill < n ? ACT_PICK_CHUNK - w->fill : n;
        if (act_source_values(w->s, w->chunk + w->fill, k, e))
            return -1;
        w->fill += k;
        n -= k;
        if (w->fill == ACT_PICK_CHUNK && flush(w, e))
            return -1;
    }
    return 0;
}

/* Consumes the elements of dimension d, and all that is in them. */
static int walk_dim(struct walk *w, int d, struct err *e)
{
    const uint32_t *keep = w->p->keep[d];
    uint32_t n = w->p->rec.dims[d].size, at = 0;
    bool last = d + 1 >= w->depth || d + 1 >= ACT_MAX_DIMS; /* the second only for gcc's warning */
    for (uint32_t i = 0; i < n;) {
        uint32_t first = keep ? keep[i] : i, run = 1;
        while (last && i + run < n && (!keep || keep[i + run] == first + run))
            run++;
        w->skip += (first - at) * w->stride[d];
        if (last ? keep_values(w, run * w->stride[d], e) : walk_dim(w, d + 1, e))
            return -1;
        at = first + run;
        i += run;
    }
    w->skip += (w->p->size[d] - at) * w->stride[d];
    return 0;
}

int act_pick_values(const struct act_pick *p, struct act_source *s, float *chunk, act_put *put,
                    void *user, struct err *e)
{
    struct walk w = {.p = p, .s = s, .chunk = chunk, .put = put, .user = user};
    size_t count = 1;
    for (int d = p->rec.n_dims - 1; d >= 0; d--) {
        w.stride[d] = count;
        count *= p->size[d];
        if (p->keep[d] && !w.depth)
            w.depth = d + 1;
    }
    if (w.depth ? walk_dim(&w, 0, e) : keep_values(&w, count, e))
        return -1;
    return flush(&w, e);
}
