/* run_passes.h - gpt-run's work: prompts in batches through the engine, into a stream or a table.
 */
#ifndef COMMON_RUN_PASSES_H
#define COMMON_RUN_PASSES_H

#include "bridge/edit_source.h"
#include "bridge/emit.h"
#include "common/next_token.h"
#include "gpt/prompt.h"

/* Everything but the batch is set up by the caller. */
struct run {
    struct gpt_model *m;
    struct gpt_work *work;
    struct gpt_plan plan;
    struct gpt_edits edits;
    struct edit_source source;
    struct buf edit_text;
    struct gpt_selection sel;
    struct emit *emit;
    struct act_writer *writer;
    struct outfile out;
    struct tsv tsv;
    struct next_token table;
    struct act_item *item; /* of the batch */
    struct gpt_seq *seq;
    size_t n, cap_item, cap_seq;
    size_t rows;   /* tokens of the batch */
    double floats; /* that its records hold */
    uint64_t done; /* items before the batch */
};

/* Makes the plan call back into r. */
void run_plan(struct run *r);

/* Runs every prompt of src. */
int run_passes(struct run *r, struct prompt_source *src, struct err *e);
void run_passes_free(struct run *r); /* what run_passes allocated */

#endif
