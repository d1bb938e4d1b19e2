/* diff.h - two sources walked together: per record name, how far the values are apart.

   Items are matched by their number, records by their names, in whatever order they come. What one
   side has read before the other got to it is held, so memory is that of the records by which the
   two are out of step; in the same order there are none. */
#ifndef ACT_DIFF_H
#define ACT_DIFF_H

#include "act/compare.h"
#include "act/source.h"

struct act_diff_row {
    char name[ACT_NAME_MAX];
    uint32_t order[2];  /* of first appearance in A and in B; UINT32_MAX: not there at all */
    uint64_t items;     /* in which both have it, in one shape */
    uint64_t only[2];   /* items in which only A, only B has it */
    uint64_t misshapen; /* items in which the shapes differ */
    struct act_compare c;
    /* The worst pair: "item=0,pos=4,head=2,d_head=7" in the record's coordinates; or, before any
       values, the first shapes that differ. "" when all are equal. */
    char where[192];
};

struct act_diff {
    struct act_tolerance tolerance;
    /* Is the record to be compared? Token ids go by the name "tokens". NULL: all are. */
    bool (*want)(void *user, const char *name);
    void *user;
    /* Results; rows in A's order, then what only B has in B's. */
    struct act_diff_row *row;
    size_t n, cap;
    uint64_t items[2]; /* that A and B have */
    size_t last;       /* row used last */
};

int act_diff_run(struct act_diff *d, struct act_source *a, struct act_source *b, struct err *e);
void act_diff_release(struct act_diff *d);

#endif
