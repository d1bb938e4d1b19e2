/* patch.h - activation patching: a plan of variants of one base run -> the metrics of each.

   A variant is the base run with some activations replaced by those of a source run. Which run is
   which is the caller's: denoising = base corrupted, source clean (is it sufficient?); noising =
   base clean, source corrupted (is it necessary?). Heimersheim & Nanda, arXiv:2404.15255. The
   engine behind patch_run decides how variants are batched; callers see only the plan and the rows.
 */
#ifndef INTERP_PATCH_H
#define INTERP_PATCH_H

#include "gpt/cache.h"
#include "interp/metric.h"

#define PATCH_ALL (-1)

/* One replacement: at a hook point, along each of its axes one index or all of them. */
struct patch_edit {
    struct gpt_point at;
    int index[3]; /* PATCH_ALL, or an index along axis i; unused axes PATCH_ALL */
};

/* Zero edits: the base run itself. */
struct patch_variant {
    const struct patch_edit *edit;
    size_t n;
};

struct patch_plan {
    const struct gpt_model *model;
    const int32_t *tokens; /* of the base run, up to the position where the metric is read: what
                              comes later cannot change it */
    int n_tokens;
    const struct gpt_cache *source; /* holds every edited point, n_pos >= n_tokens */
    const struct patch_variant *variant;
    size_t n_variants;
    const struct metric_tokens *answer;
    const struct metric_dist *base; /* of metric.kl; may be NULL */
};

/* Variants come in the order of the plan; an error ends the sweep. */
typedef int patch_row_fn(void *user, size_t variant, const struct metric *m, struct err *e);

/* ERR_USAGE when an edit does not fit the model, the prompt or the source. */
int patch_run(const struct patch_plan *p, struct gpt_work *w, patch_row_fn *fn, void *user,
              struct err *e);

/* The edits of a sweep, one a cell. */
struct patch_sweep {
    struct patch_edit *edit; /* owned */
    size_t n, cap;
};
/* Appends the cells of a hook inside the blocks: [layer, head] over all positions for hooks with a
   head axis, [layer, position] for the others. ERR_USAGE for a hook that the model lacks or that
   lies outside the blocks. */
int patch_sweep_add(struct patch_sweep *s, const struct gpt_config *c, enum gpt_hook h, int n_pos,
                    struct err *e);
void patch_sweep_release(struct patch_sweep *s);

/* The index of an edit along the named axis; PATCH_ALL when it is not restricted there or the hook
   has no such axis. */
int patch_edit_index(const struct patch_edit *x, enum gpt_axis a);

#endif
