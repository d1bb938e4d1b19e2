/* slice.h - parts of records, by the labels and coordinates of their dimensions. */
#ifndef ACT_SLICE_H
#define ACT_SLICE_H

#include "act/source.h"
#include "base/spec.h"

struct act_slice {
    char label[ACT_LABEL_MAX];
    struct spec spec;
    bool used; /* some record had such a dimension */
};
struct act_slices {
    struct act_slice *v; /* no label twice */
    size_t n, cap;
};

/* "label=SPEC,label=SPEC" (base/spec.h), appended. ERR_USAGE when it is not that. */
int act_slices_add(struct act_slices *s, const char *text, struct err *e);
/* The label of a slice that no record had, or NULL. */
const char *act_slices_unused(const struct act_slices *s);
void act_slices_release(struct act_slices *s);

/* What a record becomes, and which of its elements are kept. */
struct act_pick {
    struct act_record rec;        /* dims of the result, with their coordinates */
    uint32_t size[ACT_MAX_DIMS];  /* dims of the whole record */
    uint32_t *keep[ACT_MAX_DIMS]; /* rec.dims[d].size ascending elements; NULL: all */
};

/* Applies the slices whose labels the record has. Coordinates stay the original ones, so that a
   slice of a slice is what it says. ERR_USAGE, naming the record, when one is not there. Release *p
   whatever the result. */
int act_pick_make(struct act_pick *p, struct act_slices *s, const struct act_record *r,
                  struct err *e);
void act_pick_release(struct act_pick *p);

/* Hands the kept values of the source's current record to put(), in order, in pieces of at most
   ACT_PICK_CHUNK; chunk has room for so many. What lies between is skipped, not read. */
#define ACT_PICK_CHUNK ((size_t)1 << 20)
typedef int act_put(void *user, const void *values, size_t n, struct err *e);
int act_pick_values(const struct act_pick *p, struct act_source *s, float *chunk, act_put *put,
                    void *user, struct err *e);

#endif
