#include "common/train_log.h"

#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/prog.h"

enum { MAX_LOG = 1 << 28 };

/* The "# " line of this command, and the header. */
static int put_head(struct buf *b, struct err *e)
{
    const char *command = prog_command();
    if (*command && (buf_puts(b, "# ", e) || buf_escape(b, command, strlen(command), e) ||
                     buf_puts(b, "\n", e)))
        return -1;
    size_t at = b->len;
    if (buf_puts(b, TRAIN_LOG_COLUMNS "\n", e))
        return -1;
    for (char *s = b->p + at; *s; s++)
        *s = *s == ' ' ? '\t' : *s;
    return 0;
}

/* Appends what of an older log is to stay: whole lines, rows up to step `from`. */
static int keep_rows(struct train_log *l, const struct buf *old, int64_t from, struct buf *b,
                     struct err *e)
{
    for (const char *s = old->p, *end; s && (end = strchr(s, '\n')); s = end + 1) {
        char *rest;
        long long step = strtoll(s, &rest, 10);
        bool row = rest != s && *rest == '\t';
        if (row && step > from)
            continue;
        if (buf_add(b, s, (size_t)(end - s) + 1, e))
            return -1;
        l->last = row ? step : l->last;
    }
    return 0;
}

static int begin(struct train_log *l, int64_t from, struct err *e)
{
    struct buf old = {0}, b = {0};
    struct outfile o = {.fd = -1};
    int rc = -1;
    if (from >= 0 && access(l->path, F_OK) == 0 &&
        (io_slurp(l->path, MAX_LOG, &old, e) || keep_rows(l, &old, from, &b, e)))
        goto out;
    if ((b.len == 0 && put_head(&b, e)) || outfile_open(&o, l->path, e))
        goto out;
    rc = io_write_all(o.fd, b.p, b.len, e) ? err_prefix(e, "%s", l->path) : outfile_commit(&o, e);
    outfile_abort(&o);
out:
    buf_release(&old);
    buf_release(&b);
    return rc;
}

int train_log_open(struct train_log *l, const char *path, int64_t from, struct err *e)
{
    *l = (struct train_log){.fd = -1, .last = -1};
    l->path = mem_strdup(path, e);
    if (!l->path || begin(l, from, e))
        return -1;
    l->fd = open(l->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    return l->fd < 0 ? err_sys(e, "%s", l->path) : 0;
}

static int put_value(struct buf *b, double v, struct err *e)
{
    return isnan(v) ? buf_puts(b, "\tnan", e) : buf_printf(b, e, "\t%.9g", v);
}

int train_log_add(struct train_log *l, const struct train_row *r, struct err *e)
{
    const double v[] = {r->train, r->val, r->lr, r->norm, r->tokens_per_s, r->fraction};
    struct buf b = {0};
    int rc = buf_printf(&b, e, "%lld", (long long)r->step);
    for (size_t i = 0; i < sizeof v / sizeof *v && rc == 0; i++)
        rc = put_value(&b, v[i], e);
    if (rc == 0)
        rc = buf_puts(&b, "\n", e);
    if (rc == 0 && io_write_all(l->fd, b.p, b.len, e)) /* in one piece: readers see whole rows */
        rc = err_prefix(e, "%s", l->path);
    l->last = r->step;
    buf_release(&b);
    return rc;
}

void train_log_close(struct train_log *l)
{
    if (l->fd >= 0)
        close(l->fd);
    free(l->path);
    *l = (struct train_log){.fd = -1};
}
