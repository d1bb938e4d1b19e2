/* names.h - which records of a stream a user means: names, globs and shorthands, matched against
   what comes. */
#ifndef COMMON_NAMES_H
#define COMMON_NAMES_H

#include "act/act.h"
#include "cli/tool.h"

struct names {
    struct name_pattern {
        const char *text; /* as written, n_text bytes of an argument */
        size_t n_text;
        char glob[ACT_NAME_MAX]; /* what it stands for */
        bool used;
    } * pattern;
    size_t n, cap;
    char **seen; /* names asked about, each once */
    size_t n_seen, cap_seen;
};

/* Adds each list of patterns, separated by commas: a record's name, a glob ("*" also matches dots),
   or a hook point's shorthand with or without its layer (resid_post7, pattern, scale4ln1). */
int names_add(struct names *n, const struct strlist *lists, struct err *e);
/* Does a pattern match? Without patterns everything does. `names` is a struct names *. */
bool names_want(void *names, const char *name);
/* At the end: ERR_USAGE for a pattern that matched nothing; it lists what there was, the nearest
   first. `where` names the input. */
int names_check(const struct names *n, const char *where, struct err *e);
void names_release(struct names *n);

#endif
