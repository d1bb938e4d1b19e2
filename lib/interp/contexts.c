#include "interp/contexts.h"

#include <stdlib.h>
#include <string.h>

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

int contexts_add(struct contexts *c, uint64_t item, uint32_t pos, const char *const part[3],
                 const size_t len[3], uint32_t *tag, struct err *e)
{
    size_t keep[3], total = 0;
    for (int i = 0; i < 3; i++) {
        keep[i] = len[i] < CONTEXT_PART_MAX ? len[i] : CONTEXT_PART_MAX;
        total += keep[i];
    }
    char *text = malloc(total + 1); /* mem_alloc's alignment would double these small texts */
    if (!text)
        return err_set(e, ERR_SYS, "out of memory: %zu bytes asked for", total);
    if (take_slot(c, tag, e)) {
        free(text);
        return -1;
    }
    const char *from[3] = {part[0] + (len[0] - keep[0]), part[1], part[2]};
    size_t at = 0;
    for (int i = 0; i < 3; i++) {
        if (keep[i])
            memcpy(text + at, from[i], keep[i]);
        at += keep[i];
    }
    c->slot[*tag] = (struct context){
        .item = item,
        .pos = pos,
        .refs = 1,
        .len = {(uint16_t)keep[0], (uint16_t)keep[1], (uint16_t)keep[2]},
        .text = text,
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
