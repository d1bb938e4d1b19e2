#include "interp/contexts.h"

#include <stdlib.h>

#include "base/mem.h"

#define NO_SLOT UINT32_MAX

void contexts_init(struct contexts *c)
{
    *c = (struct contexts){.free_slot = NO_SLOT};
}

void contexts_release(struct contexts *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->slot[i].text);
    free(c->slot);
    contexts_init(c);
}

static int take_slot(struct contexts *c, uint32_t *tag, struct err *e)
{
    if (c->free_slot != NO_SLOT) {
        *tag = c->free_slot;
        c->free_slot = c->slot[*tag].pos;
        return 0;
    }
    if (c->n >= NO_SLOT)
        return err_set(e, ERR_SYS, "more than %u contexts", NO_SLOT);
    if (mem_grow(&c->slot, &c->cap, c->n + 1, sizeof *c->slot, e))
        return -1;
    *tag = (uint32_t)c->n++;
    c->slot[*tag] = (struct context){0};
    return 0;
}

static size_t at_most(size_t n, size_t max)
{
    return n < max ? n : max;
}

int contexts_add(struct contexts *c, uint64_t item, uint32_t pos, const char *text,
                 const size_t len[3], uint32_t *tag, struct err *e)
{
    size_t before = at_most(len[0], CONTEXT_PART_MAX), token = at_most(len[1], CONTEXT_PART_MAX);
    size_t after = token < len[1] ? 0 : at_most(len[2], CONTEXT_PART_MAX);
    char *copy = mem_strndup(text + (len[0] - before), before + token + after, e);
    if (!copy || take_slot(c, tag, e)) {
        free(copy);
        return -1;
    }
    c->slot[*tag] = (struct context){
        .item = item,
        .pos = pos,
        .refs = 1,
        .len = {(uint16_t)before, (uint16_t)token, (uint16_t)after},
        .text = copy,
    };
    return 0;
}

void contexts_ref(struct contexts *c, uint32_t tag)
{
    c->slot[tag].refs++;
}

void contexts_unref(struct contexts *c, uint32_t tag)
{
    struct context *x = &c->slot[tag];
    if (--x->refs)
        return;
    free(x->text);
    *x = (struct context){.pos = c->free_slot};
    c->free_slot = tag;
}
