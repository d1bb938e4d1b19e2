/* source.h - the activations of a stream's items as values at hook points, for patching. */
#ifndef BRIDGE_SOURCE_H
#define BRIDGE_SOURCE_H

#include "act/reader.h"
#include "gpt/cache.h"

/* The stream must come from this very model: ERR_DATA naming both ids otherwise. */
int source_check_model(const struct act_reader *r, const struct gpt_model *m, struct err *e);

/* Reads the records of the current item (act_reader_next returned ACT_ITEM) into every point that
   has room in c; others are skipped. Returns the event that ended the item: ACT_ITEM or ACT_END.
   -1: a wanted point is missing, comes twice, or is not whole (a slice, other positions). */
int source_load(struct act_reader *r, struct gpt_cache *c, struct err *e);

#endif
