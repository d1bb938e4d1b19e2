#include "common/config_in.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"

enum { MAX_OPTS = 64, MAX_FILE = 1 << 20 };

static bool is_set(const struct opt *o)
{
    switch (o->type) {
    case OPT_FLAG:
        return *(bool *)o->dest;
    case OPT_STR:
        return *(const char **)o->dest != NULL;
    case OPT_INT:
        return *(int64_t *)o->dest != OPT_UNSET_INT;
    case OPT_FLOAT:
        return *(double *)o->dest >= 0;
    case OPT_LIST:
        return ((struct strlist *)o->dest)->n > 0;
    }
    return false;
}

static char *trim(char *s)
{
    size_t n = strlen(s);
    while (n && isspace((unsigned char)s[n - 1]))
        s[--n] = '\0';
    while (isspace((unsigned char)*s))
        s++;
    return s;
}

/* Ends the line where a comment begins, outside of quotes. */
static void strip_comment(char *s)
{
    char quote = '\0';
    for (; *s; s++) {
        if (quote ? *s == quote : *s == '\'' || *s == '"')
            quote = quote ? '\0' : *s;
        else if (*s == '#' && !quote)
            *s = '\0';
        if (!*s)
            return;
    }
}

static char *unquote(char *s)
{
    size_t n = strlen(s);
    if (n >= 2 && (s[0] == '\'' || s[0] == '"') && s[n - 1] == s[0]) {
        s[n - 1] = '\0';
        s++;
    }
    return s;
}

static int set_flag(const struct opt *o, const char *value, struct err *e)
{
    if (strcmp(value, "true") == 0 || strcmp(value, "True") == 0)
        *(bool *)o->dest = true;
    else if (strcmp(value, "false") == 0 || strcmp(value, "False") == 0)
        *(bool *)o->dest = false;
    else
        return err_set(e, ERR_USAGE, "%s: '%s' is neither true nor false", o->name, value);
    return 0;
}

static int set_line(char *line, const struct opt *table, const bool *given, struct err *e)
{
    strip_comment(line);
    char *name = trim(line), *eq = strchr(name, '=');
    if (!*name)
        return 0;
    if (!eq)
        return err_set(e, ERR_DATA, "'%.60s' is not \"name = value\"", name);
    *eq = '\0';
    char *value = unquote(trim(eq + 1));
    name = trim(name);
    for (char *s = name; *s; s++)
        *s = *s == '_' ? '-' : *s;
    for (int i = 0; table[i].name; i++) {
        if (strcmp(table[i].name, name) != 0)
            continue;
        if (given[i])
            return 0;
        return table[i].type == OPT_FLAG ? set_flag(&table[i], value, e)
                                         : cli_store(&table[i], value, e);
    }
    return err_set(e, ERR_USAGE, "'%.60s' is no option", name);
}

int config_in(const char *path, const struct opt *table, struct buf *text, struct err *e)
{
    bool given[MAX_OPTS] = {0};
    int number = 1;
    if (io_slurp(path, MAX_FILE, text, e))
        return -1;
    if (strlen(text->p) != text->len)
        return err_set(e, ERR_DATA, "%s: not a text", path);
    for (int i = 0; i < MAX_OPTS && table[i].name; i++)
        given[i] = is_set(&table[i]);
    for (char *line = text->p, *next; line; line = next, number++) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (set_line(line, table, given, e))
            return err_prefix(e, "%s: line %d", path, number);
    }
    return 0;
}

/* The fewest digits that read back as v. */
static int put_number(struct buf *b, double v, struct err *e)
{
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    return buf_puts(b, text, e);
}

static int put_value(const struct opt *o, struct buf *b, struct err *e)
{
    switch (o->type) {
    case OPT_FLAG:
        return buf_puts(b, "true", e);
    case OPT_STR:
        return buf_printf(b, e, "\"%s\"", *(const char **)o->dest);
    case OPT_INT:
        return buf_printf(b, e, "%lld", (long long)*(int64_t *)o->dest);
    case OPT_FLOAT:
        return put_number(b, *(double *)o->dest, e);
    case OPT_LIST:
        break; /* no tool that writes its options has one */
    }
    return err_set(e, ERR_SYS, "%s: a list is not written", o->name);
}

int config_out(const struct opt *table, const char *const *but, struct buf *b, struct err *e)
{
    for (const struct opt *o = table; o->name; o++) {
        const char *const *skip = but;
        while (*skip && strcmp(*skip, o->name) != 0)
            skip++;
        if (*skip || !is_set(o))
            continue;
        for (const char *s = o->name; *s; s++)
            if (buf_add(b, *s == '-' ? "_" : s, 1, e))
                return -1;
        if (buf_puts(b, " = ", e) || put_value(o, b, e) || buf_puts(b, "\n", e))
            return -1;
    }
    return 0;
}
