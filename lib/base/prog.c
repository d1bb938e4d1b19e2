#include "base/prog.h"

#include <stdbool.h>
#include <string.h>

#include "base/buf.h"

static struct buf command; /* the process's own argv: constant once main has begun */
static bool forgotten;

static bool plain(const char *s)
{
    return *s && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                             "_-+=./:,@%")] == '\0';
}

/* Out of memory here only shortens the history; nothing depends on it. */
static void quote_plainly(const char *s, struct err *e)
{
    buf_puts(&command, "'", e);
    for (; *s; s++) {
        if (*s == '\'')
            buf_puts(&command, "'\\''", e);
        else
            buf_add(&command, s, 1, e);
    }
    buf_puts(&command, "'", e);
}

/* Bash's $'…', so that an argument with newlines stays one line of history. */
static void quote_escaped(const char *s, struct err *e)
{
    buf_puts(&command, "$'", e);
    for (; *s; s++) {
        if (*s == '\'')
            buf_puts(&command, "\\'", e);
        else
            buf_escape(&command, s, 1, e);
    }
    buf_puts(&command, "'", e);
}

static void quote(const char *s, struct err *e)
{
    for (const char *c = s; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            quote_escaped(s, e);
            return;
        }
    quote_plainly(s, e);
}

void prog_set(int argc, char *const argv[])
{
    struct err e;
    buf_release(&command);
    for (int i = 0; i < argc; i++) {
        const char *s = argv[i];
        const char *slash = i == 0 ? strrchr(s, '/') : NULL;
        if (slash)
            s = slash + 1;
        if (i)
            buf_puts(&command, " ", &e);
        if (plain(s))
            buf_puts(&command, s, &e);
        else
            quote(s, &e);
    }
}

void prog_forget(void)
{
    forgotten = true;
}

const char *prog_command(void)
{
    return forgotten || !command.p ? "" : command.p;
}
