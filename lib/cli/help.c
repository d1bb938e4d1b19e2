#include <string.h>

#include "cli/cli.h"

#define WIDTH 80
#define INDENT 26

/* Adds text, wrapped at WIDTH, continuation lines indented; '\n' in the text breaks the line. A
   blank is written only when a word follows it on the line. */
static int wrap(struct buf *b, const char *text, int column, int indent, struct err *e)
{
    int blanks = 0;
    while (*text) {
        int n = (int)strcspn(text, " \n");
        if (n > 0) {
            bool fits = column + blanks + n <= WIDTH || column == indent;
            if (fits ? buf_printf(b, e, "%*s", blanks, "") : buf_printf(b, e, "\n%*s", indent, ""))
                return -1;
            column = (fits ? column + blanks : indent) + n;
            if (buf_add(b, text, (size_t)n, e))
                return -1;
            blanks = 0;
        } else if (*text == ' ') {
            blanks++;
            n = 1;
        } else {
            if (buf_puts(b, "\n", e) ||
                (text[1] != '\n' && text[1] && buf_printf(b, e, "%*s", indent, "")))
                return -1;
            column = indent;
            blanks = 0;
            n = 1;
        }
        text += n;
    }
    return buf_puts(b, "\n", e);
}

static int help_options(const struct opt *o, struct buf *b, struct err *e)
{
    for (; o->name; o++) {
        size_t before = b->len;
        if (o->letter ? buf_printf(b, e, "  -%c, --%s", o->letter, o->name)
                      : buf_printf(b, e, "      --%s", o->name))
            return -1;
        if (o->arg && buf_printf(b, e, "=%s", o->arg))
            return -1;
        int column = (int)(b->len - before);
        if (column >= INDENT - 1) {
            if (buf_printf(b, e, "\n%*s", INDENT, ""))
                return -1;
        } else if (buf_printf(b, e, "%*s", INDENT - column, "")) {
            return -1;
        }
        if (wrap(b, o->help, INDENT, INDENT, e))
            return -1;
    }
    return 0;
}

int cli_help(const struct tool *t, const struct opt *common, struct buf *b, struct err *e)
{
    if (buf_printf(b, e, "Usage: %s %s\n%s - %s\n\n", t->name, t->synopsis, t->name, t->summary) ||
        (t->description && (wrap(b, t->description, 0, 0, e) || buf_puts(b, "\n", e))) ||
        buf_puts(b, "Options:\n", e) || help_options(t->opts, b, e) || help_options(common, b, e))
        return -1;
    if (t->examples && buf_printf(b, e, "\nExamples:\n%s", t->examples))
        return -1;
    return buf_puts(b,
                    "\nExit status: 0 done or yes, 1 no, 2 usage, 3 bad data, 4 system error "
                    "(I/O, memory),\n141 reader gone.\n",
                    e);
}

/* Roff text: dashes and backslashes are escaped, lines must not begin with a dot or a quote. */
static int roff(struct buf *b, const char *s, struct err *e)
{
    bool fresh = true;
    for (; *s; s++) {
        int rc = 0;
        if (fresh && (*s == '.' || *s == '\''))
            rc = buf_puts(b, "\\&", e);
        if (rc == 0) {
            if (*s == '-')
                rc = buf_puts(b, "\\-", e);
            else if (*s == '\\')
                rc = buf_puts(b, "\\e", e);
            else
                rc = buf_add(b, s, 1, e);
        }
        if (rc)
            return -1;
        fresh = *s == '\n';
    }
    return 0;
}

static int man_options(const struct opt *o, struct buf *b, struct err *e)
{
    for (; o->name; o++) {
        if (buf_puts(b, ".TP\n", e))
            return -1;
        if (o->letter && buf_printf(b, e, "\\fB\\-%c\\fR, ", o->letter))
            return -1;
        if (buf_puts(b, "\\fB\\-\\-", e) || roff(b, o->name, e) || buf_puts(b, "\\fR", e))
            return -1;
        if (o->arg && (buf_puts(b, "=\\fI", e) || roff(b, o->arg, e) || buf_puts(b, "\\fR", e)))
            return -1;
        if (buf_puts(b, "\n", e) || roff(b, o->help, e) || buf_puts(b, "\n", e))
            return -1;
    }
    return 0;
}

/* Description paragraphs are separated by an empty line, a .PP in roff. */
static int man_text(struct buf *b, const char *s, struct err *e)
{
    while (*s) {
        const char *gap = strstr(s, "\n\n");
        size_t n = gap ? (size_t)(gap - s) : strlen(s);
        struct buf part = {0};
        int rc = buf_add(&part, s, n, e);
        if (rc == 0)
            rc = buf_puts(b, ".PP\n", e);
        if (rc == 0)
            rc = roff(b, part.p, e);
        buf_release(&part);
        if (rc || buf_puts(b, "\n", e))
            return -1;
        s += n;
        while (*s == '\n')
            s++;
    }
    return 0;
}

int cli_man(const struct tool *t, const struct opt *common, struct buf *b, struct err *e)
{
    if (buf_printf(b, e, ".TH %s 1 \"\" \"actutils %s\" \"actutils\"\n.SH NAME\n", t->name,
                   ACTUTILS_VERSION) ||
        roff(b, t->name, e) || buf_puts(b, " \\- ", e) || roff(b, t->summary, e) ||
        buf_puts(b, "\n.SH SYNOPSIS\n\\fB", e) || roff(b, t->name, e) || buf_puts(b, "\\fR ", e) ||
        roff(b, t->synopsis, e) || buf_puts(b, "\n", e))
        return -1;
    if (t->description && (buf_puts(b, ".SH DESCRIPTION\n", e) || man_text(b, t->description, e)))
        return -1;
    if (buf_puts(b, ".SH OPTIONS\n", e) || man_options(t->opts, b, e) || man_options(common, b, e))
        return -1;
    if (t->examples && (buf_puts(b, ".SH EXAMPLES\n.nf\n", e) || roff(b, t->examples, e) ||
                        buf_puts(b, ".fi\n", e)))
        return -1;
    return buf_puts(b,
                    ".SH EXIT STATUS\n0 done or yes; 1 no; 2 usage; 3 bad data (truncated, "
                    "corrupt, of another model);\n4 system error (I/O, memory); 141 reader "
                    "gone.\n",
                    e);
}
