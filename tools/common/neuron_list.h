/* neuron_list.h - neurons as users name them: L3N70, L3N10:20 (half open), L3 (all of a layer),
   several separated by commas. */
#ifndef COMMON_NEURON_LIST_H
#define COMMON_NEURON_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct neuron_range {
    int layer;
    int32_t from, to; /* to is exclusive */
    bool met;         /* neuron_list_has found one of them */
    const char *text; /* as written, text_len bytes; into the caller's string */
    int text_len;
};

struct neuron_list {
    struct neuron_range *range;
    size_t n, cap;
};

/* ERR_USAGE shows what cannot be read. An empty list (text NULL) has every neuron. */
int neuron_list_parse(struct neuron_list *l, const char *text, struct err *e);
void neuron_list_release(struct neuron_list *l);

bool neuron_list_has(struct neuron_list *l, int layer, int32_t neuron);

/* The first range of which no neuron was met, or NULL. */
const struct neuron_range *neuron_list_unmet(const struct neuron_list *l);

#endif
