#include "bridge/source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

int source_check_model(const struct act_reader *r, const struct gpt_model *m, struct err *e)
{
    const char *id = act_header_get(act_reader_header(r), "model");
    const char *name = act_header_get(act_reader_header(r), "model.name");
    if (id && strcmp(id, m->id) == 0)
        return 0;
    return err_set(e, ERR_DATA, "%s: comes from model %s (%s), not from %s (%s)",
                   act_reader_name(r), id ? id : "of no id", name ? name : "no name", m->id,
                   m->name);
}

/* The record must hold every coordinate of the hook's axes, in order. */
static int check_shape(const struct act_reader *r, const struct gpt_cache *c, struct gpt_point at,
                       struct err *e)
{
    const struct act_record *rec = act_reader_record(r);
    const struct gpt_hook_info *h = &gpt_hooks[at.hook];
    bool whole = rec->n_dims == h->n_axes && rec->dtype != ACT_I32;
    for (int i = 0; whole && i < h->n_axes; i++) {
        const struct act_dim *d = &rec->dims[i];
        whole = d->start == 0 && strcmp(d->label, gpt_axis_name(h->axis[i])) == 0 &&
                d->size == (uint32_t)gpt_axis_size(c->cfg, h->axis[i], c->n_pos);
        for (uint32_t j = 0; whole && d->index && j < d->size; j++)
            whole = d->index[j] == (int32_t)j;
    }
    if (whole)
        return 0;
    return err_set(e, ERR_DATA,
                   "%s: item %" PRIu64 ": %s: not the whole hook point for %d positions (a slice "
                   "cannot be pasted)",
                   act_reader_name(r), act_reader_item_index(r), rec->name, c->n_pos);
}

static int load_record(struct act_reader *r, struct gpt_cache *c, bool *loaded, struct err *e)
{
    struct gpt_point at;
    const char *name = act_reader_record(r)->name;
    if (!gpt_point_parse(c->cfg, name, &at))
        return 0;
    size_t i = (size_t)at.layer * N_HOOKS + at.hook, n;
    float *values = c->values[i];
    if (!values)
        return 0;
    if (loaded[i])
        return err_set(e, ERR_DATA, "%s: item %" PRIu64 ": %s: comes twice", act_reader_name(r),
                       act_reader_item_index(r), name);
    if (check_shape(r, c, at, e) || gpt_cache_add(c, at, &values, &n, e))
        return -1;
    loaded[i] = true;
    return act_reader_values(r, values, n, e);
}

static int check_complete(const struct act_reader *r, const struct gpt_cache *c, uint64_t item,
                          const bool *loaded, struct err *e)
{
    for (size_t i = 0; i < (size_t)c->cfg->n_layer * N_HOOKS; i++)
        if (c->values[i] && !loaded[i]) {
            char name[64];
            struct gpt_point at = {(enum gpt_hook)(i % N_HOOKS), (int)(i / N_HOOKS)};
            gpt_point_name(at, name, sizeof name);
            return err_set(e, ERR_DATA, "%s: item %" PRIu64 ": no record of %s (gpt-run -s %s)",
                           act_reader_name(r), item, name, gpt_hooks[at.hook].alias);
        }
    return 0;
}

int source_load(struct act_reader *r, struct gpt_cache *c, struct err *e)
{
    uint64_t item = act_reader_item_index(r);
    bool *loaded = mem_calloc((size_t)c->cfg->n_layer * N_HOOKS, sizeof *loaded, e);
    if (!loaded)
        return -1;
    int event;
    while ((event = act_reader_next(r, e)) == ACT_RECORD)
        if (load_record(r, c, loaded, e)) {
            event = -1;
            break;
        }
    if (event >= 0 && check_complete(r, c, item, loaded, e))
        event = -1;
    free(loaded);
    return event;
}
