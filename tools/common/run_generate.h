/* run_generate.h - gpt-run --generate: each prompt with what the model makes of it, as text. */
#ifndef COMMON_RUN_GENERATE_H
#define COMMON_RUN_GENERATE_H

#include "bridge/edit_source.h"
#include "gpt/edit.h"
#include "gpt/generate.h"
#include "gpt/prompt.h"

/* Prints every prompt of src and n_new tokens after it, ending each with a newline, to `path`
   (NULL: stdout). Edits act on prompt and new tokens (lib/gpt/edit.h). Ids separated by blanks when
   the model has no vocabulary. Every prompt samples with the same seed. */
int run_generate(const struct gpt_model *m, struct gpt_work *w, struct prompt_source *src,
                 struct edit_source *source, struct gpt_edits *edits, const struct gpt_plan *plan,
                 const struct gpt_sampler *s, int n_new, const char *path, struct err *e);

#endif
