#include "bridge/edit_source.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "act/reader.h"
#include "base/mem.h"
#include "bridge/source.h"

/* The reader's current record; `file` is for the message. */
static int copy_record(struct edit_entry *to, struct act_reader *r, const char *file, struct err *e)
{
    const struct act_record *rec = act_reader_record(r);
    size_t cap = 0;
    if (to->values)
        return err_set(e, ERR_DATA, "%s: %s comes twice", file, rec->name);
    return act_record_dup(&to->rec, rec, e) || act_reader_all(r, &to->values, &cap, e) ? -1 : 0;
}

/* The record of one edit, from its file. */
static int read_stream(struct edit_entry *to, const struct gpt_edit *edit,
                       const struct gpt_model *m, struct act_reader *r, struct err *e)
{
    char name[ACT_NAME_MAX];
    int event, items = 0;
    gpt_point_name(edit->sel.point, name, sizeof name);
    if (source_check_model(r, m, e))
        return -1;
    while ((event = act_reader_next(r, e)) > 0) {
        items += event == ACT_ITEM;
        if (items > 1)
            return err_set(e, ERR_DATA, "%s: more than one item; choose one with act-cache --items",
                           edit->file);
        if (event == ACT_RECORD && strcmp(name, act_reader_record(r)->name) == 0 &&
            copy_record(to, r, edit->file, e))
            return -1;
    }
    if (event == 0 && !to->values)
        return err_set(e, ERR_DATA, "%s: has no %s", edit->file, name);
    return event;
}

static int read_file(struct edit_entry *to, const struct gpt_edit *edit, const struct gpt_model *m,
                     struct err *e)
{
    int fd = open(edit->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, "%s", edit->file);
    struct act_reader *r = act_reader_open(fd, edit->file, e);
    int rc = r ? read_stream(to, edit, m, r, e) : -1;
    act_reader_free(r);
    close(fd);
    return rc;
}

int edit_source_open(struct edit_source *s, const struct gpt_edits *edits,
                     const struct gpt_model *m, struct err *e)
{
    *s = (struct edit_source){.m = m};
    s->entry = mem_calloc(edits->n, sizeof *s->entry, e);
    if (!s->entry)
        return -1;
    s->n = edits->n;
    for (size_t i = 0; i < edits->n; i++) {
        if (!edits->edit[i].file)
            continue;
        s->any = true;
        if (read_file(&s->entry[i], &edits->edit[i], m, e))
            return err_prefix(e, "edits: line %d", edits->edit[i].line);
    }
    return 0;
}

void edit_source_release(struct edit_source *s)
{
    for (size_t i = 0; i < s->n; i++) {
        act_record_release(&s->entry[i].rec);
        free(s->entry[i].values);
        free(s->entry[i].picked);
    }
    free(s->entry);
    *s = (struct edit_source){0};
}

/* Where the record holds coordinate c of a dimension, or -1. */
static int find(const struct act_dim *d, int c)
{
    if (!d->index)
        return c >= d->start && (uint32_t)(c - d->start) < d->size ? c - d->start : -1;
    for (uint32_t i = 0; i < d->size; i++)
        if (d->index[i] == c)
            return (int)i;
    return -1;
}

/* The record's places along axis a that the edit's slice means, into *place (malloc'ed); size 1
   stands for all coordinates. */
static int pick_axis(const struct act_record *r, int a, const struct gpt_edit *edit,
                     const struct gpt_model *m, int n_pos, int **place, int *size, struct err *e)
{
    const struct act_dim *d = &r->dims[a];
    enum gpt_axis axis = gpt_hooks[edit->sel.point.hook].axis[a];
    size_t n;
    if (gpt_slice_resolve(&edit->sel.slice[a], gpt_axis_size(&m->cfg, axis, n_pos), place, &n, e))
        return -1;
    *size = d->size == 1 ? 1 : (int)n;
    if (d->size == 1) {
        (*place)[0] = 0;
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        int c = (*place)[i];
        (*place)[i] = find(d, c);
        if ((*place)[i] < 0)
            return err_set(e, ERR_DATA, "%s: %s holds no %s %d", edit->file, r->name, d->label, c);
    }
    return 0;
}

static int pick(struct edit_entry *t, struct gpt_edit *edit, const struct gpt_model *m, int n_pos,
                struct err *e)
{
    int *place[3] = {NULL, NULL, NULL}, rc = 0;
    const struct act_record *r = &t->rec;
    edit->size[0] = edit->size[1] = edit->size[2] = 1;
    if (r->n_dims != gpt_hooks[edit->sel.point.hook].n_axes || r->dtype == ACT_I32)
        return err_set(e, ERR_DATA, "%s: %s is not a %s of this hook point", edit->file, r->name,
                       r->dtype == ACT_I32 ? "float record" : "record of the axes");
    for (int a = 0; a < r->n_dims && rc == 0; a++)
        rc = pick_axis(r, a, edit, m, n_pos, &place[a], &edit->size[a], e);
    free(t->picked);
    size_t n = (size_t)edit->size[0] * (size_t)edit->size[1] * (size_t)edit->size[2];
    t->picked = rc ? NULL : mem_alloc(n, sizeof *t->picked, e);
    size_t at = 0, s1 = r->n_dims > 1 ? r->dims[1].size : 1,
           s2 = r->n_dims > 2 ? r->dims[2].size : 1;
    for (int i = 0; t->picked && i < edit->size[0]; i++)
        for (int j = 0; j < edit->size[1]; j++)
            for (int k = 0; k < edit->size[2]; k++)
                t->picked[at++] =
                    t->values[((size_t)place[0][i] * s1 + (size_t)(place[1] ? place[1][j] : 0)) *
                                  s2 +
                              (size_t)(place[2] ? place[2][k] : 0)];
    for (int a = 0; a < 3; a++)
        free(place[a]);
    edit->values = t->picked;
    return t->picked ? 0 : -1;
}

struct position {
    struct edit_source *s;
    const struct gpt_edits *edits;
    int n;
};

static int resolve_one(void *user, struct gpt_edit *edit, struct err *e)
{
    struct position *p = user;
    return pick(&p->s->entry[edit - p->edits->edit], edit, p->s->m, p->n, e);
}

int edit_source_resolve(struct edit_source *s, struct gpt_edits *edits, int n, struct err *e)
{
    struct position p = {s, edits, n};
    return gpt_edits_resolve(edits, resolve_one, &p, e);
}
