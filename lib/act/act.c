#include "act/act.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

int32_t act_dim_at(const struct act_dim *d, uint32_t i)
{
    return d->index ? d->index[i] : (int32_t)((int64_t)d->start + i);
}

size_t act_record_count(const struct act_record *r)
{
    size_t n = 1;
    for (int d = 0; d < r->n_dims; d++)
        n *= r->dims[d].size;
    return n;
}

void act_record_release(struct act_record *r)
{
    for (int d = 0; d < r->n_dims; d++)
        free(r->dims[d].index);
    *r = (struct act_record){0};
}

int act_dim_dup(struct act_dim *to, const struct act_dim *from, struct err *e)
{
    *to = *from;
    if (!from->index)
        return 0;
    to->index = mem_alloc(from->size, sizeof *to->index, e);
    if (!to->index)
        return -1;
    memcpy(to->index, from->index, from->size * sizeof *to->index);
    return 0;
}

int act_record_dup(struct act_record *to, const struct act_record *from, struct err *e)
{
    *to = *from;
    for (int d = 0; d < to->n_dims; d++)
        to->dims[d].index = NULL;
    for (int d = 0; d < to->n_dims; d++) {
        if (act_dim_dup(&to->dims[d], &from->dims[d], e)) {
            act_record_release(to);
            return -1;
        }
    }
    return 0;
}

void act_record_shape(const struct act_record *r, char *text, size_t size)
{
    size_t n = (size_t)snprintf(text, size, "[");
    for (int d = 0; d < r->n_dims && n < size; d++)
        n += (size_t)snprintf(text + n, size - n, "%s%s %u", d ? ", " : "", r->dims[d].label,
                              r->dims[d].size);
    if (n < size)
        snprintf(text + n, size - n, "]");
}

const char *act_item_piece(const struct act_item *it, size_t i, size_t *n)
{
    *n = 0;
    if (!it->piece || i >= it->n_tokens)
        return NULL;
    *n = it->piece[i + 1] - it->piece[i];
    return it->text + it->piece[i];
}

void act_item_release(struct act_item *it)
{
    free(it->label);
    free(it->tokens);
    free(it->piece);
    free(it->text);
    free(it->edits);
    free(it->meta);
    *it = (struct act_item){0};
}

static struct act_pair *find(const struct act_header *h, const char *key)
{
    for (size_t i = 0; i < h->n_pairs; i++) {
        if (strcmp(h->pairs[i].key, key) == 0)
            return &h->pairs[i];
    }
    return NULL;
}

const char *act_header_get(const struct act_header *h, const char *key)
{
    const struct act_pair *p = find(h, key);
    return p ? p->value : NULL;
}

int act_header_set(struct act_header *h, const char *key, const char *value, struct err *e)
{
    struct act_pair *p = find(h, key);
    char *v = mem_strdup(value, e);
    if (!v)
        return -1;
    if (p) {
        free(p->value);
        p->value = v;
        return 0;
    }
    char *k = mem_strdup(key, e);
    if (!k || mem_grow(&h->pairs, &h->cap_pairs, h->n_pairs + 1, sizeof *h->pairs, e)) {
        free(k);
        free(v);
        return -1;
    }
    h->pairs[h->n_pairs++] = (struct act_pair){k, v};
    return 0;
}

int act_header_add_history(struct act_header *h, const char *line, struct err *e)
{
    char *copy = mem_strdup(line, e);
    if (!copy || mem_grow(&h->history, &h->cap_history, h->n_history + 1, sizeof *h->history, e)) {
        free(copy);
        return -1;
    }
    h->history[h->n_history++] = copy;
    return 0;
}

int act_header_history(const struct act_header *h, struct buf *b, struct err *e)
{
    for (size_t i = 0; i < h->n_history; i++) {
        if ((i && buf_puts(b, "\n", e)) || buf_puts(b, h->history[i], e))
            return -1;
    }
    return 0;
}

void act_header_release(struct act_header *h)
{
    for (size_t i = 0; i < h->n_pairs; i++) {
        free(h->pairs[i].key);
        free(h->pairs[i].value);
    }
    for (size_t i = 0; i < h->n_history; i++)
        free(h->history[i]);
    free(h->pairs);
    free(h->history);
    *h = (struct act_header){0};
}
