#include "stream_in.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int stream_in_open(struct stream_in *s, const char *path, struct err *e)
{
    *s = (struct stream_in){.fd = -1};
    bool is_stdin = !path || strcmp(path, "-") == 0;
    if (is_stdin && isatty(STDIN_FILENO))
        return err_set(e, ERR_USAGE,
                       "stdin: is a terminal; name a file, or pipe a stream in (gpt-run … | …)");
    if (is_stdin)
        s->fd = STDIN_FILENO;
    else if ((s->fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        return err_sys(e, "%s", path);
    s->reader = act_reader_open(s->fd, is_stdin ? "stdin" : path, e);
    if (!s->reader || act_header_history(act_reader_header(s->reader), &s->history, e)) {
        stream_in_close(s);
        return -1;
    }
    return 0;
}

void stream_in_close(struct stream_in *s)
{
    act_reader_free(s->reader);
    buf_release(&s->history);
    if (s->fd > STDIN_FILENO)
        close(s->fd);
    *s = (struct stream_in){.fd = -1};
}

const char *hook_in_block(const char *name, int *layer)
{
    static const char prefix[] = "blocks.";
    const char *digits = name + sizeof prefix - 1;
    *layer = -1;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return name;
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || n > 6 || digits[n] != '.')
        return name;
    *layer = (int)strtol(digits, NULL, 10);
    return digits + n + 1;
}

static void remember(struct stream_in *s, const char *name)
{
    char kind[ACT_NAME_MAX + 16];
    int layer;
    const char *hook = hook_in_block(name, &layer);
    snprintf(kind, sizeof kind, "%s%s", layer >= 0 ? "blocks.*." : "", hook);
    for (size_t i = 0; i < s->n_kinds && i < STREAM_KINDS_MAX; i++)
        if (strcmp(s->kinds[i], kind) == 0)
            return;
    if (s->n_kinds < STREAM_KINDS_MAX)
        memcpy(s->kinds[s->n_kinds], kind, sizeof s->kinds[0]);
    s->n_kinds++;
}

int stream_in_next(struct stream_in *s, struct err *e)
{
    int event = act_reader_next(s->reader, e);
    if (event == ACT_RECORD)
        remember(s, act_reader_record(s->reader)->name);
    return event;
}

int stream_in_lacks(const struct stream_in *s, const char *what, const char *selector,
                    struct err *e)
{
    char list[512] = "no records at all";
    size_t at = 0;
    for (size_t i = 0; i < s->n_kinds && i < STREAM_KINDS_MAX && at < sizeof list; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", s->kinds[i]);
    return err_set(e, ERR_DATA, "%s: no %s in the stream, which has %s%s; ask for them with %s",
                   act_reader_name(s->reader), what, list,
                   at >= sizeof list || s->n_kinds > STREAM_KINDS_MAX ? " …" : "", selector);
}

int stream_in_at(const struct stream_in *s, struct err *e)
{
    const char *name = act_reader_name(s->reader);
    if (strncmp(e->msg, name, strlen(name)) == 0 && e->msg[strlen(name)] == ':')
        return -1;
    return err_prefix(e, "%s: item %" PRIu64 ": %s", name, act_reader_item_index(s->reader),
                      act_reader_record(s->reader)->name);
}
