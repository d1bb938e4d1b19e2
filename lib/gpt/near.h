/* near.h - what a mistyped hook point may have meant. */
#ifndef GPT_NEAR_H
#define GPT_NEAR_H

#include "gpt/hooks.h"

/* Up to three names or shorthands of the model's hook points near `name`, joined by ", ", into
   *out; nothing when none is near. `layers` is the layer part that the user wrote ("7", "2:5"), or
   "": it is put into the suggestions. */
int gpt_near_names(const struct gpt_config *c, const char *name, const char *layers,
                   struct buf *out, struct err *e);

/* The shorthands of all hook points that the model has, joined by ", ", into *out (empty before).
 */
int gpt_shorthands(const struct gpt_config *c, struct buf *out, struct err *e);

/* Optimal string alignment distance (Damerau-Levenshtein without overlapping transpositions).
   Strings over 127 bytes are compared by their first 127. */
int gpt_edit_distance(const char *a, const char *b);

#endif
