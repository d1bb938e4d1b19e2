/* token_in.h - a token that an option names. */
#ifndef COMMON_TOKEN_IN_H
#define COMMON_TOKEN_IN_H

#include "gpt/model.h"

/* What --help says of such a value. */
#define TOKEN_HELP "its text, exactly one token of the model, or #ID"

/* The id of a token given as its text or as "#" and digits. ERR_USAGE begins with the option's
   name, and shows how a text splits that is several tokens. */
int token_in(const struct gpt_model *m, const char *option, const char *text, int32_t *id,
             struct err *e);

#endif
