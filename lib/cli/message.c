#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/tool.h"

void cli_warn(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s: ", TOOL.name);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

int cli_refuse_tty(int fd, struct err *e)
{
    if (isatty(fd))
        return err_set(e, ERR_USAGE,
                       "standard output is a terminal: a stream is binary; pipe it into another "
                       "tool or give -o FILE");
    return 0;
}

void progress_begin(struct progress *p, const char *unit, double total)
{
    *p = (struct progress){.unit = unit, .total = total, .start = clock_seconds()};
}

void progress_update(struct progress *p, double done)
{
    double t = clock_seconds();
    if (t - p->start < 0.5 || t - p->shown < 0.1 || !isatty(STDERR_FILENO))
        return;
    p->shown = t;
    if (p->total > 0 && done > 0) {
        int bars = (int)(30 * done / p->total);
        fprintf(stderr, "\r%s [%-30.*s] %.0f/%.0f %s, %.0f s left\033[K", TOOL.name,
                bars > 30 ? 30 : bars, "##############################", done, p->total, p->unit,
                (t - p->start) * (p->total / done - 1));
    } else {
        fprintf(stderr, "\r%s: %.0f %s, %.0f/s\033[K", TOOL.name, done, p->unit,
                done / (t - p->start));
    }
}

void progress_end(struct progress *p)
{
    if (p->shown > 0)
        fputs("\r\033[K", stderr);
}
