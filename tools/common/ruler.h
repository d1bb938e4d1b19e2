/* ruler.h - token rulers: which position holds which token, for messages about positions. */
#ifndef TOOLS_COMMON_RULER_H
#define TOOLS_COMMON_RULER_H

#include "base/buf.h"
#include "gpt/vocab.h"

/* Appends two rulers one beneath the other in the same columns, so that the eye finds where the
   prompts part ways: lines of at most 100 columns, each ended by '\n'; positions, below them ids,
   below them the tokens' texts in quotes (no such row when v is NULL). `name` is what the rows of
   each are called. */
int ruler_pair(struct buf *b, const struct vocab *v, const char *const name[2],
               const int32_t *const ids[2], const size_t n[2], struct err *e);

#endif
