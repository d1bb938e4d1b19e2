#include "act/source.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "act/npz_items.h"
#include "base/mem.h"

struct act_source {
    char *name;
    int fd; /* of a stream; -1 when there is none to close */
    struct act_reader *reader;
    struct npz_items *npz; /* exactly one of the two */
    struct act_header none;
    uint64_t items;      /* begun so far */
    bool record_waiting; /* behind the item that was made up for it */
};

/* A regular file that begins as zip archives do ("PK\5\6": an empty one). */
static bool is_zip(int fd)
{
    char magic[4];
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && pread(fd, magic, 4, 0) == 4 &&
           (memcmp(magic, "PK\3\4", 4) == 0 || memcmp(magic, "PK\5\6", 4) == 0);
}

struct act_source *act_source_open(const char *path, const struct act_source_opts *o, struct err *e)
{
    struct act_source *s = mem_calloc(1, sizeof *s, e);
    bool is_stdin = strcmp(path, "-") == 0;
    if (!s)
        return NULL;
    s->fd = -1;
    s->name = mem_strdup(is_stdin ? "stdin" : path, e);
    if (!s->name)
        goto fail;
    s->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0) {
        err_sys(e, "%s", path);
        goto fail;
    }
    if (!is_stdin && is_zip(s->fd))
        s->npz = npz_items_open(path, o, e);
    else
        s->reader = act_reader_open(s->fd, s->name, e);
    if (s->npz || s->reader)
        return s;
fail:
    act_source_close(s);
    return NULL;
}

void act_source_close(struct act_source *s)
{
    if (!s)
        return;
    act_reader_free(s->reader);
    npz_items_close(s->npz);
    if (s->fd > STDIN_FILENO)
        close(s->fd);
    free(s->name);
    free(s);
}

const char *act_source_name(const struct act_source *s)
{
    return s->name;
}

const struct act_header *act_source_header(const struct act_source *s)
{
    return s->npz ? &s->none : act_reader_header(s->reader);
}

int act_source_next(struct act_source *s, struct err *e)
{
    int ev = ACT_RECORD;
    if (!s->record_waiting)
        ev = s->npz ? npz_items_next(s->npz, e) : act_reader_next(s->reader, e);
    s->record_waiting = ev == ACT_RECORD && s->items == 0;
    if (s->record_waiting)
        ev = ACT_ITEM;
    s->items += ev == ACT_ITEM;
    return ev;
}

const struct act_item *act_source_item(const struct act_source *s)
{
    return s->npz ? npz_items_item(s->npz) : act_reader_item(s->reader);
}

const struct act_record *act_source_record(const struct act_source *s)
{
    return s->npz ? npz_items_record(s->npz) : act_reader_record(s->reader);
}

uint64_t act_source_item_index(const struct act_source *s)
{
    return s->items ? s->items - 1 : 0;
}

int act_source_values(struct act_source *s, void *values, size_t n, struct err *e)
{
    return s->npz ? npz_items_values(s->npz, values, n, e)
                  : act_reader_values(s->reader, values, n, e);
}

int act_source_skip(struct act_source *s, size_t n, struct err *e)
{
    return s->npz ? npz_items_values(s->npz, NULL, n, e) : act_reader_skip(s->reader, n, e);
}

int act_source_merge(struct act_header *h, const struct act_source *first,
                     const struct act_source *in, struct err *e)
{
    const struct act_header *from = act_source_header(in);
    const char *a = act_header_get(h, "model"), *b = act_header_get(from, "model");
    if (in != first && (!a != !b || (a && strcmp(a, b) != 0)))
        return err_set(e, ERR_DATA,
                       "%s and %s are of different models (%s and %s): they do not go into one "
                       "stream",
                       first->name, in->name, a ? a : "none named", b ? b : "none named");
    for (size_t i = 0; i < from->n_pairs; i++)
        if (!act_header_get(h, from->pairs[i].key) &&
            act_header_set(h, from->pairs[i].key, from->pairs[i].value, e))
            return -1;
    for (size_t i = 0; i < from->n_history; i++)
        if (act_header_add_history(h, from->history[i], e))
            return -1;
    return 0;
}
