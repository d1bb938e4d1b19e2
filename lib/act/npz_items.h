/* npz_items.h - an archive's arrays as items and records; see source.h, which is what to use. */
#ifndef ACT_NPZ_ITEMS_H
#define ACT_NPZ_ITEMS_H

#include "act/source.h"

struct npz_items;
struct npz_items *npz_items_open(const char *path, const struct act_source_opts *o, struct err *e);
void npz_items_close(struct npz_items *s); /* NULL is fine */

int npz_items_next(struct npz_items *s, struct err *e);
const struct act_item *npz_items_item(const struct npz_items *s);
const struct act_record *npz_items_record(const struct npz_items *s);
/* values NULL: skips. */
int npz_items_values(struct npz_items *s, void *values, size_t n, struct err *e);

#endif
