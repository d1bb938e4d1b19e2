/* Selectors and edits are what users type: any bytes give a selection or a message. */
#include <stdlib.h>
#include <string.h>

#include "gpt/edit.h"

int fuzz_one(const unsigned char *data, size_t n);

int fuzz_one(const unsigned char *data, size_t n)
{
    static const struct gpt_config cfg = {.n_layer = 3,
                                          .n_head = 2,
                                          .d_model = 4,
                                          .d_head = 2,
                                          .d_mlp = 16,
                                          .n_ctx = 8,
                                          .d_vocab = 5,
                                          .layer_norm = true};
    struct gpt_selection sel = {0};
    struct gpt_edits edits = {0};
    struct err e = {0};
    char text[512];
    size_t len = n < sizeof text - 1 ? n : sizeof text - 1;
    memcpy(text, data, len);
    text[len] = '\0';
    if (gpt_select(&sel, &cfg, text, &e) && !e.msg[0])
        abort();
    for (size_t i = 0; i < sel.n; i++) {
        for (int a = 0; a < gpt_hooks[sel.sel[i].point.hook].n_axes; a++) {
            int *idx;
            size_t count;
            if (gpt_slice_resolve(&sel.sel[i].slice[a], 7, &idx, &count, &e) == 0)
                for (size_t k = 0; k < count; k++)
                    if (idx[k] < 0 || idx[k] >= 7 || (k && idx[k] <= idx[k - 1]))
                        abort();
            free(idx);
        }
    }
    gpt_selection_release(&sel);
    gpt_edits_parse(&edits, (const char *)data, n, &cfg, &e);
    gpt_edits_release(&edits);
    return 0;
}
