#include "act/transform.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"

static int put_writer(void *w, const void *values, size_t n, struct err *e)
{
    return act_write_values(w, values, n, e);
}

static enum act_dtype mean_dtype(const struct act_transform *t)
{
    return t->dtype < 0 ? ACT_F32 : (enum act_dtype)t->dtype;
}

/* The picked values of the source's record, to their place. */
static int take_picked(struct act_transform *t, struct act_source *in, struct act_pick *p,
                       struct err *e)
{
    if (!t->mean.items && !t->mean.n_labels) {
        if (t->dtype >= 0 && p->rec.dtype != ACT_I32)
            p->rec.dtype = (enum act_dtype)t->dtype;
        return act_write_begin(t->w, &p->rec, e) ||
                       act_pick_values(p, in, t->chunk, put_writer, t->w, e)
                   ? -1
                   : 0;
    }
    if (act_mean_begin(&t->mean, &p->rec, e) ||
        act_pick_values(p, in, t->chunk, act_mean_put, &t->mean, e))
        return -1;
    return t->mean.items ? 0 : act_mean_write(&t->mean.slot[0], mean_dtype(t), t->w, e);
}

static int take_record(struct act_transform *t, struct act_source *in, struct err *e)
{
    struct act_pick p;
    int rc = -1;
    if (!t->chunk && !(t->chunk = mem_alloc(ACT_PICK_CHUNK, sizeof *t->chunk, e)))
        return -1;
    if (act_pick_make(&p, &t->slices, act_source_record(in), e) == 0)
        rc = take_picked(t, in, &p, e);
    else
        err_prefix(e, "%s: item %" PRIu64, act_source_name(in), act_source_item_index(in));
    act_pick_release(&p);
    return rc;
}

int act_transform_take(struct act_transform *t, struct act_source *in, int event, struct err *e)
{
    if (event == ACT_ITEM) {
        t->in_kept = !t->items.n || spec_has(&t->items, t->n_items);
        t->n_items++;
        t->n_kept += t->in_kept;
        return t->in_kept && !t->mean.items ? act_write_item(t->w, act_source_item(in), e) : 0;
    }
    if (!t->in_kept || (t->want && !t->want(t->user, act_source_record(in)->name)))
        return 0;
    return take_record(t, in, e);
}

int act_transform_end(struct act_transform *t, struct err *e)
{
    if (!t->mean.items)
        return 0;
    if (!t->n_kept)
        return err_set(e, ERR_DATA, "no items to average");
    return act_mean_write_item(&t->mean, t->n_kept, mean_dtype(t), t->w, e);
}

void act_transform_release(struct act_transform *t)
{
    spec_release(&t->items);
    act_slices_release(&t->slices);
    act_mean_release(&t->mean);
    free(t->chunk);
    t->chunk = NULL;
}
