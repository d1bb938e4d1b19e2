#include "common/act_in.h"

#include <string.h>
#include <unistd.h>

#include "gpt/hooks.h"

static int labels(const char *name, const char *label[ACT_MAX_DIMS])
{
    const struct gpt_hook_info *h = gpt_hook_by_name(name);
    for (int i = 0; h && i < h->n_axes; i++)
        label[i] = gpt_axis_name(h->axis[i]);
    return h ? h->n_axes : -1;
}

struct act_source *act_in(const char *path, const char *prefix, struct err *e)
{
    struct act_source_opts o = {prefix, labels};
    if (strcmp(path, "-") == 0 && isatty(STDIN_FILENO)) {
        err_set(e, ERR_USAGE,
                "stdin: is a terminal; name a file, or pipe a stream in (gpt-run … | …)");
        return NULL;
    }
    return act_source_open(path, &o, e);
}
