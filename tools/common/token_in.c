#include "common/token_in.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gpt/prompt.h"

static int parse(const struct gpt_model *m, const char *text, int32_t *id, struct err *e)
{
    const char *digits = text + 1;
    if (text[0] == '#' && *digits && digits[strspn(digits, "0123456789")] == '\0') {
        unsigned long long n = strtoull(digits, NULL, 10);
        if (n >= (unsigned long long)m->cfg.d_vocab)
            return err_set(e, ERR_USAGE, "%s: token ids are 0 to %d", text, m->cfg.d_vocab - 1);
        *id = (int32_t)n;
        return 0;
    }
    struct prompt_opts o = {.vocab = m->vocab, .d_vocab = (size_t)m->cfg.d_vocab, .bos = -1};
    if (!m->vocab)
        return err_set(e, ERR_USAGE, "%s: the model comes without a vocabulary: give #ID", text);
    return prompt_token(&o, text, strlen(text), id, e);
}

int token_in(const struct gpt_model *m, const char *option, const char *text, int32_t *id,
             struct err *e)
{
    if (parse(m, text, id, e) == 0)
        return 0;
    if (e->kind == ERR_DATA) /* it is the user's own text, not a file's */
        e->kind = ERR_USAGE;
    return err_prefix(e, "%s", option);
}
