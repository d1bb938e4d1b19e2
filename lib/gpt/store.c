#include "gpt/store.h"

#include <stdlib.h>

#include "base/mem.h"

int store_map(struct gpt_store *s, const char *path, struct gpt_file *f, struct err *e)
{
    *f = (struct gpt_file){0};
    if (mem_grow(&s->file, &s->cap_files, s->n_files + 1, sizeof *s->file, e) ||
        !(f->path = mem_strdup(path, e)))
        return -1;
    if (io_map_open(&f->map, path, e)) {
        free(f->path);
        return -1;
    }
    s->file[s->n_files++] = *f;
    return 0;
}

float *store_floats(struct gpt_store *s, size_t n, struct err *e)
{
    if (mem_grow(&s->copy, &s->cap_copies, s->n_copies + 1, sizeof *s->copy, e))
        return NULL;
    float *p = mem_alloc(n, sizeof *p, e);
    if (p)
        s->copy[s->n_copies++] = p;
    return p;
}

void store_release(struct gpt_store *s)
{
    for (size_t i = 0; i < s->n_files; i++) {
        io_map_close(&s->file[i].map);
        free(s->file[i].path);
    }
    for (size_t i = 0; i < s->n_copies; i++)
        free(s->copy[i]);
    free(s->file);
    free(s->copy);
    *s = (struct gpt_store){0};
}
