#include "common/run_cost.h"

#include "cli/tsv.h"
#include "common/gemm_rate.h"

int run_cost(const struct gpt_model *m, struct prompt_source *src, const struct gpt_plan *plan,
             const struct emit *emit, const char *path, struct err *e)
{
    struct gpt_prompt p = {0};
    double prompts = 0, tokens = 0, flops = 0, bytes = 0, rate;
    int rc;
    while ((rc = prompt_next(src, &p, e)) > 0) {
        struct gpt_seq s = {.tokens = p.tokens.p, .n = (int)p.tokens.n};
        prompts++;
        tokens += s.n;
        flops += gpt_forward_flops(&m->cfg, &s, 1, plan);
        bytes += emit ? 4 * emit_floats(emit, s.n) : 0;
    }
    gpt_prompt_release(&p);
    struct tsv t;
    if (rc || gemm_rate(&rate, e) || tsv_open(&t, path, NULL, e))
        return -1;
    rc = tsv_header(&t, "prompts tokens flops stream_bytes sgemm_flops_per_s seconds", e);
    const double row[] = {prompts, tokens, flops, bytes, rate, flops / (0.8 * rate) + bytes / 5e8};
    for (size_t i = 0; i < sizeof row / sizeof *row && rc == 0; i++)
        rc = tsv_num(&t, row[i], e);
    rc = rc || tsv_end_row(&t, e) || tsv_close(&t, e) ? -1 : 0;
    tsv_abort(&t);
    return rc;
}
