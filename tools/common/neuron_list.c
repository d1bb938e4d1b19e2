#include "neuron_list.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* A number of at most nine digits at *s, which then points behind it. */
static bool number(const char **s, const char *end, int32_t *value)
{
    const char *from = *s;
    *value = 0;
    for (; *s < end && **s >= '0' && **s <= '9' && *s - from < 9; ++*s)
        *value = *value * 10 + (**s - '0');
    return *s > from;
}

static bool parse_range(struct neuron_range *r, const char *s, const char *end)
{
    int32_t layer;
    if (*s++ != 'L' || !number(&s, end, &layer))
        return false;
    r->layer = layer;
    r->from = 0;
    r->to = INT32_MAX;
    if (s == end)
        return true;
    if (*s++ != 'N' || !number(&s, end, &r->from))
        return false;
    r->to = r->from + 1;
    if (s < end && *s == ':') {
        s++;
        if (!number(&s, end, &r->to))
            return false;
    }
    return s == end && r->to > r->from;
}

int neuron_list_parse(struct neuron_list *l, const char *text, struct err *e)
{
    *l = (struct neuron_list){0};
    for (const char *s = text; s;) {
        size_t n = strcspn(s, ",");
        struct neuron_range r = {.text = s, .text_len = (int)n};
        if (n == 0 || !parse_range(&r, s, s + n)) {
            err_set(e, ERR_USAGE, "--neurons: '%.*s': not of the form L3N70, L3N10:20 or L3",
                    (int)n, s);
            goto fail;
        }
        if (mem_grow(&l->range, &l->cap, l->n + 1, sizeof *l->range, e))
            goto fail;
        l->range[l->n++] = r;
        s = s[n] == ',' ? s + n + 1 : NULL;
    }
    return 0;
fail:
    neuron_list_release(l);
    return -1;
}

void neuron_list_release(struct neuron_list *l)
{
    free(l->range);
    *l = (struct neuron_list){0};
}

bool neuron_list_has(struct neuron_list *l, int layer, int32_t neuron)
{
    bool has = l->n == 0;
    for (size_t i = 0; i < l->n; i++) {
        struct neuron_range *r = &l->range[i];
        if (r->layer == layer && neuron >= r->from && neuron < r->to)
            has = r->met = true;
    }
    return has;
}

const struct neuron_range *neuron_list_unmet(const struct neuron_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (!l->range[i].met)
            return &l->range[i];
    return NULL;
}
