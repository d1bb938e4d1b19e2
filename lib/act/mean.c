#include "act/mean.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

int act_mean_init(struct act_mean *m, const char *text, struct err *e)
{
    *m = (struct act_mean){0};
    for (;; text++) {
        size_t n = strcspn(text, ",");
        if (n == 5 && memcmp(text, "items", 5) == 0) {
            m->items = true;
        } else if (n == 0 || n >= ACT_LABEL_MAX || m->n_labels == ACT_MAX_DIMS) {
            return err_set(e, ERR_USAGE,
                           "mean over '%.*s': neither items nor a dimension's label (pos, head …)",
                           (int)(n < 60 ? n : 60), text);
        } else {
            memcpy(m->label[m->n_labels++], text, n);
        }
        text += n;
        if (!*text)
            return 0;
    }
}

const char *act_mean_unused(const struct act_mean *m)
{
    for (int i = 0; i < m->n_labels; i++)
        if (!m->used[i])
            return m->label[i];
    return NULL;
}

static void slot_release(struct act_mean_slot *s)
{
    act_record_release(&s->rec);
    free(s->sum);
}

void act_mean_release(struct act_mean *m)
{
    for (size_t i = 0; i < m->n; i++)
        slot_release(&m->slot[i]);
    free(m->slot);
    m->slot = NULL;
    m->n = m->cap = 0;
}

/* Removes the dimensions averaged over from *r, notes the strides of the rest, and returns how many
   values go into each of the result. */
static uint64_t reduce(struct act_mean *m, struct act_record *r)
{
    uint64_t terms = 1;
    size_t stride = 1;
    m->n_dims = r->n_dims;
    for (int d = r->n_dims - 1; d >= 0; d--) {
        m->size[d] = r->dims[d].size;
        m->at[d] = 0;
        m->stride[d] = stride;
        bool gone = false;
        for (int k = 0; k < m->n_labels; k++) {
            if (strcmp(m->label[k], r->dims[d].label) == 0)
                gone = m->used[k] = true;
        }
        if (gone) {
            m->stride[d] = 0;
            terms *= r->dims[d].size;
            free(r->dims[d].index);
            memmove(&r->dims[d], &r->dims[d + 1], (size_t)(r->n_dims - 1 - d) * sizeof *r->dims);
            r->dims[--r->n_dims].index = NULL;
        } else {
            stride *= r->dims[d].size;
        }
    }
    r->dtype = ACT_F32;
    return terms;
}

static bool same_coordinates(const struct act_dim *a, const struct act_dim *b)
{
    for (uint32_t i = 0; i < a->size; i++)
        if (act_dim_at(a, i) != act_dim_at(b, i))
            return false;
    return true;
}

/* The slot's record must have r's shape; coordinates that differ are forgotten. */
static int join(struct act_record *slot, const struct act_record *r, struct err *e)
{
    bool same = slot->n_dims == r->n_dims;
    for (int d = 0; same && d < r->n_dims; d++)
        same = slot->dims[d].size == r->dims[d].size &&
               strcmp(slot->dims[d].label, r->dims[d].label) == 0;
    if (!same) {
        char a[128], b[128];
        act_record_shape(slot, a, sizeof a);
        act_record_shape(r, b, sizeof b);
        return err_set(e, ERR_DATA,
                       "%s: no mean over items of different shapes, %s and %s (choose what they "
                       "have in common, such as --slice pos=-1, or average over pos too)",
                       r->name, a, b);
    }
    for (int d = 0; d < r->n_dims; d++) {
        struct act_dim *dim = &slot->dims[d];
        if (same_coordinates(dim, &r->dims[d]))
            continue;
        free(dim->index);
        dim->index = NULL;
        dim->start = 0;
    }
    return 0;
}

static struct act_mean_slot *find(struct act_mean *m, const char *name)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->slot[i].rec.name, name) == 0)
            return &m->slot[i];
    return NULL;
}

/* Takes *r over. */
static struct act_mean_slot *new_slot(struct act_mean *m, struct act_record *r, struct err *e)
{
    if (mem_grow(&m->slot, &m->cap, m->n + 1, sizeof *m->slot, e)) {
        act_record_release(r);
        return NULL;
    }
    struct act_mean_slot *s = &m->slot[m->n++];
    *s = (struct act_mean_slot){.rec = *r};
    return s;
}

int act_mean_begin(struct act_mean *m, const struct act_record *r, struct err *e)
{
    struct act_record out;
    if (act_record_dup(&out, r, e))
        return -1;
    uint64_t terms = reduce(m, &out);
    m->integer = r->dtype == ACT_I32;
    if (!m->items && m->n) { /* what the last record needed fits this one only by chance */
        slot_release(&m->slot[0]);
        m->n = 0;
    }
    m->now = find(m, r->name);
    if (m->now) {
        int rc = join(&m->now->rec, &out, e);
        act_record_release(&out);
        if (rc)
            return -1;
    } else if (!(m->now = new_slot(m, &out, e))) {
        return -1;
    }
    m->now->items++;
    m->now->terms += terms;
    return 0;
}

/* Room for sums up to (not with) number n. */
static int make_room(struct act_mean_slot *s, size_t n, struct err *e)
{
    size_t had = s->cap;
    if (mem_grow(&s->sum, &s->cap, n, sizeof *s->sum, e))
        return -1;
    for (; had < s->cap; had++)
        s->sum[had] = 0;
    return 0;
}

/* One more element of dimension d: what it comes to in the dimensions above. */
static void carry(struct act_mean *m, int d)
{
    while (d >= 0 && ++m->at[d] == m->size[d])
        m->at[d--] = 0;
}

int act_mean_put(void *mean, const void *values, size_t n, struct err *e)
{
    struct act_mean *m = mean;
    const float *f = values;
    const int32_t *i = values;
    int last = m->n_dims - 1;
    for (size_t done = 0; done < n;) {
        size_t base = 0, run = 1, stride = 0;
        for (int d = 0; d < last; d++)
            base += m->at[d] * m->stride[d];
        if (last >= 0) {
            stride = m->stride[last];
            base += m->at[last] * stride;
            run = m->size[last] - m->at[last];
            run = run < n - done ? run : n - done;
            m->at[last] += (uint32_t)run - 1;
        }
        if (make_room(m->now, base + (run - 1) * stride + 1, e))
            return -1;
        double *sum = m->now->sum + base;
        for (size_t k = 0; k < run; k++)
            sum[k * stride] += m->integer ? i[done + k] : (double)f[done + k];
        carry(m, last);
        done += run;
    }
    return 0;
}

int act_mean_write(struct act_mean_slot *s, enum act_dtype t, struct act_writer *w, struct err *e)
{
    float chunk[4096];
    size_t n = act_record_count(&s->rec);
    s->rec.dtype = t;
    if (act_write_begin(w, &s->rec, e))
        return -1;
    if (!s->terms && n)
        return err_set(e, ERR_DATA, "%s: a mean of no values", s->rec.name);
    for (size_t done = 0; done < n;) {
        size_t k = 0;
        for (; k < sizeof chunk / sizeof *chunk && done < n; k++)
            chunk[k] = (float)(s->sum[done++] / (double)s->terms);
        if (act_write_values(w, chunk, k, e))
            return -1;
    }
    return 0;
}

int act_mean_write_item(struct act_mean *m, uint64_t n_items, enum act_dtype t,
                        struct act_writer *w, struct err *e)
{
    char label[64];
    snprintf(label, sizeof label, "mean of %llu items", (unsigned long long)n_items);
    struct act_item it = {.label = label};
    if (act_write_item(w, &it, e))
        return -1;
    for (size_t i = 0; i < m->n; i++) {
        struct act_mean_slot *s = &m->slot[i];
        if (s->items != n_items)
            return err_set(e, ERR_DATA, "%s: in %llu of %llu items: no mean over all of them",
                           s->rec.name, (unsigned long long)s->items, (unsigned long long)n_items);
        if (act_mean_write(s, t, w, e))
            return -1;
    }
    return 0;
}
