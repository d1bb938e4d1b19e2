#include "act/to_npz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "act/reader.h"
#include "act/slice.h"
#include "base/mem.h"

struct job {
    int from;
    const char *name; /* of the stream */
    struct npz_writer *w;
    float *chunk;
    uint64_t n_items;
    /* --batch: what the first item has */
    struct act_record *rec;
    size_t n_rec, cap_rec;
    uint32_t n_tokens;
};

static struct act_reader *rewind_stream(struct job *j, struct err *e)
{
    if (lseek(j->from, 0, SEEK_SET) != 0) {
        err_sys(e, "%s", j->name);
        return NULL;
    }
    return act_reader_open(j->from, j->name, e);
}

static int copy_values(struct job *j, struct act_reader *r, struct err *e)
{
    for (size_t left = act_record_count(act_reader_record(r)); left > 0;) {
        size_t k = left < ACT_PICK_CHUNK ? left : ACT_PICK_CHUNK;
        if (act_reader_values(r, j->chunk, k, e) || npz_write_values(j->w, j->chunk, k, e))
            return -1;
        left -= k;
    }
    return 0;
}

/* Begins the member for a record, with a leading batch dimension unless n_batch is 0. */
static int begin_member(struct job *j, const char *member, const struct act_record *r,
                        uint64_t n_batch, struct err *e)
{
    uint64_t dims[ACT_MAX_DIMS + 1];
    int n = 0;
    if (n_batch)
        dims[n++] = n_batch;
    for (int d = 0; d < r->n_dims; d++)
        dims[n++] = r->dims[d].size;
    return npz_write_begin(j->w, member, r->dtype, dims, n, e);
}

static int count_items(struct job *j, struct err *e)
{
    int ev = -1;
    struct act_reader *r = rewind_stream(j, e);
    while (r && (ev = act_reader_next(r, e)) > 0)
        j->n_items += ev == ACT_ITEM;
    act_reader_free(r);
    return ev;
}

static int write_item_tokens(struct job *j, struct act_reader *r, const char *prefix, struct err *e)
{
    const struct act_item *it = act_reader_item(r);
    char member[64];
    uint64_t n = it->n_tokens;
    snprintf(member, sizeof member, "%stokens", prefix);
    if (!n)
        return 0;
    return npz_write_begin(j->w, member, ACT_I32, &n, 1, e) ||
                   npz_write_values(j->w, it->tokens, n, e)
               ? -1
               : 0;
}

static int write_items(struct job *j, struct err *e)
{
    int ev = -1;
    char prefix[32] = "", member[ACT_NAME_MAX + 32];
    struct act_reader *r = rewind_stream(j, e);
    while (r && (ev = act_reader_next(r, e)) > 0) {
        int rc;
        if (ev == ACT_ITEM) {
            if (j->n_items > 1)
                snprintf(prefix, sizeof prefix, "%llu/",
                         (unsigned long long)act_reader_item_index(r));
            rc = write_item_tokens(j, r, prefix, e);
        } else {
            const struct act_record *rec = act_reader_record(r);
            snprintf(member, sizeof member, "%s%s", prefix, rec->name);
            rc = begin_member(j, member, rec, 0, e) || copy_values(j, r, e) ? -1 : 0;
        }
        if (rc) {
            ev = -1;
            break;
        }
    }
    act_reader_free(r);
    return ev;
}

static bool same_shape(const struct act_record *a, const struct act_record *b)
{
    bool same = a->n_dims == b->n_dims && a->dtype == b->dtype;
    for (int d = 0; same && d < a->n_dims; d++)
        same = a->dims[d].size == b->dims[d].size;
    return same;
}

/* Record number k of the item the reader stands in must be the first item's record number k. */
static int check_record(struct job *j, struct act_reader *r, size_t k, struct err *e)
{
    const struct act_record *rec = act_reader_record(r);
    unsigned long long item = act_reader_item_index(r);
    if (item == 0) {
        if (mem_grow(&j->rec, &j->cap_rec, k + 1, sizeof *j->rec, e) ||
            act_record_dup(&j->rec[k], rec, e))
            return -1;
        j->n_rec = k + 1;
        return 0;
    }
    if (k >= j->n_rec || strcmp(j->rec[k].name, rec->name) != 0)
        return err_set(e, ERR_DATA, "no batch of items with different records: item %llu has %s",
                       item, rec->name);
    if (same_shape(&j->rec[k], rec))
        return 0;
    char a[128], b[128];
    act_record_shape(&j->rec[k], a, sizeof a);
    act_record_shape(rec, b, sizeof b);
    return err_set(e, ERR_DATA,
                   "no batch of items of different shapes: %s of item 0 is %s, of "
                   "item %llu %s",
                   rec->name, a, item, b);
}

/* Reads the stream once to see that the items can be a batch. */
static int check_batch(struct job *j, struct err *e)
{
    int ev = -1;
    size_t k = 0;
    struct act_reader *r = rewind_stream(j, e);
    bool begun = false;
    while (r && (ev = act_reader_next(r, e)) >= 0) {
        int rc = 0;
        begun = begun || ev == ACT_ITEM;
        if (ev == ACT_RECORD && !begun) {
            rc =
                err_set(e, ERR_DATA, "no batch: %s belongs to no item", act_reader_record(r)->name);
        } else if (ev == ACT_RECORD) {
            rc = check_record(j, r, k++, e);
        } else if (act_reader_item_index(r) > 0 && k != j->n_rec) {
            rc = err_set(e, ERR_DATA, "no batch of items with different records: one lacks %s",
                         j->rec[k].name);
        }
        if (ev == ACT_ITEM) {
            uint32_t n = act_reader_item(r)->n_tokens;
            if (act_reader_item_index(r) > 0 && n != j->n_tokens)
                rc = err_set(e, ERR_DATA,
                             "no batch of items of different lengths: %u and %u "
                             "tokens",
                             j->n_tokens, n);
            j->n_tokens = n;
            k = 0;
        }
        if (rc || ev == ACT_END) {
            ev = rc;
            break;
        }
    }
    act_reader_free(r);
    return ev;
}

/* One pass: the tokens of all items (k == n_rec), or record number k of all items. */
static int write_batched(struct job *j, size_t k, struct err *e)
{
    int ev = -1;
    size_t at = 0;
    struct act_reader *r = rewind_stream(j, e);
    while (r && (ev = act_reader_next(r, e)) > 0) {
        int rc = 0;
        const struct act_item *it = act_reader_item(r);
        if (ev == ACT_ITEM) {
            at = 0;
            if (k == j->n_rec)
                rc = npz_write_values(j->w, it->tokens, it->n_tokens, e);
        } else if (at++ == k) {
            rc = copy_values(j, r, e);
        }
        if (rc) {
            ev = -1;
            break;
        }
    }
    act_reader_free(r);
    return ev;
}

static int write_batch(struct job *j, struct err *e)
{
    uint64_t tokens[2] = {j->n_items, 0};
    if (check_batch(j, e))
        return -1;
    tokens[1] = j->n_tokens;
    if (tokens[1] &&
        (npz_write_begin(j->w, "tokens", ACT_I32, tokens, 2, e) || write_batched(j, j->n_rec, e)))
        return -1;
    for (size_t k = 0; k < j->n_rec; k++)
        if (begin_member(j, j->rec[k].name, &j->rec[k], j->n_items, e) || write_batched(j, k, e))
            return -1;
    return 0;
}

int act_to_npz(int from, const char *name, int to, bool batch, struct err *e)
{
    struct job j = {.from = from, .name = name};
    int rc = -1;
    j.w = npz_writer_open(to, e);
    j.chunk = mem_alloc(ACT_PICK_CHUNK, sizeof *j.chunk, e);
    if (j.w && j.chunk && count_items(&j, e) == 0 &&
        (batch ? write_batch(&j, e) : write_items(&j, e)) == 0)
        rc = npz_writer_finish(j.w, e);
    for (size_t k = 0; k < j.n_rec; k++)
        act_record_release(&j.rec[k]);
    free(j.rec);
    free(j.chunk);
    npz_writer_free(j.w);
    return rc;
}
