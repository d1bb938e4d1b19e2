#include "common/source_in.h"

#include <inttypes.h>

int source_in_open(struct source_in *s, const char *path, const struct gpt_model *m, struct err *e)
{
    s->items = 0;
    if (stream_in_open(&s->in, path, e))
        return -1;
    if (source_check_model(s->in.reader, m, e) == 0) {
        s->event = act_reader_next(s->in.reader, e);
        if (s->event >= 0)
            return 0;
    }
    source_in_close(s);
    return -1;
}

void source_in_close(struct source_in *s)
{
    stream_in_close(&s->in);
}

int source_in_next(struct source_in *s, const struct gpt_ids *tokens, struct gpt_cache *c,
                   struct err *e)
{
    struct act_reader *r = s->in.reader;
    if (s->event != ACT_ITEM)
        return err_set(e, ERR_DATA, "%s: has %" PRIu64 " items, fewer than there are pairs",
                       act_reader_name(r), s->items);
    const struct act_item *it = act_reader_item(r);
    bool same = it->n_tokens == tokens->n;
    for (size_t i = 0; same && i < tokens->n; i++)
        same = it->tokens[i] == tokens->p[i];
    if (!same && it->n_tokens)
        return err_set(e, ERR_DATA,
                       "%s: item %" PRIu64 ": its tokens are not those of the prompt whose "
                       "activations it is to give",
                       act_reader_name(r), s->items);
    s->items++;
    s->event = source_load(r, c, e);
    return s->event < 0 ? -1 : 0;
}

int source_in_end(const struct source_in *s, struct err *e)
{
    return s->event == ACT_END
               ? 0
               : err_set(e, ERR_DATA, "%s: has more items than there are pairs (%" PRIu64 ")",
                         act_reader_name(s->in.reader), s->items);
}
