/* emit.h - from hook points to a stream: what `gpt-run -s` does.

   One item at a time is written while the pass runs, record by record, so memory does not grow with
   what is asked for. Several short items go through one pass together and are kept until it ends.
 */
#ifndef BRIDGE_EMIT_H
#define BRIDGE_EMIT_H

#include "act/writer.h"
#include "gpt/forward.h"
#include "gpt/select.h"

/* What a stream's header says of the model that made it: its id, name and config. */
int emit_header(struct act_header *h, const struct gpt_model *m, struct err *e);

/* Items' texts from token ids: fills tokens, piece and text (owned by *it;
   act_item_release). */
int emit_item_tokens(struct act_item *it, const struct vocab *v, const int32_t *tokens, size_t n,
                     struct err *e);

struct emit;
/* Everything is borrowed and must outlive the emitter. dtype: F32, F16 or BF16. */
struct emit *emit_new(const struct gpt_model *m, const struct gpt_selection *sel,
                      struct act_writer *w, enum act_dtype dtype, struct err *e);
void emit_free(struct emit *em);

/* Marks what is needed in the plan: GPT_READ at the selected points, and which logits. */
void emit_plan(const struct emit *em, struct gpt_plan *p);

/* Floats that the selected records of a prompt of n tokens hold (-n, and how many items go into one
   pass). */
double emit_floats(const struct emit *em, int n);

/* Before a pass over n items: they must stay until emit_end. */
int emit_begin(struct emit *em, const struct act_item *items, int n, struct err *e);
/* From the plan's callback. first_row: gpt_work_first_row. */
int emit_hook(struct emit *em, struct gpt_point at, int seq, const struct gpt_view *v,
              int first_row, struct err *e);
/* After the pass. */
int emit_end(struct emit *em, struct err *e);

#endif
