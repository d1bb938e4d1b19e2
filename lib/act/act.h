/* act.h - the activation stream (.act): what is in it. Bytes: docs/FORMAT.md.

   A stream is one header, then items (one forward pass of one prompt), each followed by its records
   (the values at one hook point), then END. This layer never knows what a hook point means. */
#ifndef ACT_ACT_H
#define ACT_ACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define ACT_NAME_MAX 128 /* a record's or key's name with its NUL */
#define ACT_MAX_DIMS 4
#define ACT_LABEL_MAX 16 /* a dimension's name with its NUL */

enum act_dtype { ACT_F32 = 0, ACT_F16 = 1, ACT_BF16 = 2, ACT_I32 = 3 };

/* One labelled dimension. Coordinate of element i along it: index ? index[i] : start + i; so a
   slice still says which positions, heads or neurons it holds. */
struct act_dim {
    char label[ACT_LABEL_MAX]; /* "pos", "head", "d_head", "query", "key", "neuron", "d_model" … */
    uint32_t size;
    int32_t start;
    int32_t *index; /* NULL, or `size` coordinates; owned by whoever owns the struct */
};

struct act_record {
    char name[ACT_NAME_MAX];
    enum act_dtype dtype; /* as stored; values are always handed over as float (i32: int32_t) */
    int n_dims;           /* 0: a scalar */
    struct act_dim dims[ACT_MAX_DIMS]; /* row-major: the last varies fastest */
};

/* Number of values; the reader has checked that it does not overflow. */
size_t act_record_count(const struct act_record *r);
void act_record_release(struct act_record *r); /* frees the dims' index, empties */
/* Copies with the coordinates. After an error *to holds nothing to be released. */
int act_record_dup(struct act_record *to, const struct act_record *from, struct err *e);
int act_dim_dup(struct act_dim *to, const struct act_dim *from, struct err *e);
/* "[pos 24, head 4]" */
void act_record_shape(const struct act_record *r, char *text, size_t size);
/* Coordinate of element i along the dimension. */
int32_t act_dim_at(const struct act_dim *d, uint32_t i);

struct act_item {
    char *label; /* "" when none */
    uint32_t n_tokens;
    int32_t *tokens; /* n_tokens ids */
    uint32_t *piece; /* n_tokens + 1 offsets into text; NULL when the texts are not known */
    char *text;      /* the tokens' bytes, one after the other */
    char *edits;     /* interventions applied, one a line; "" when none */
    char *meta;      /* free JSON object as text (answer tokens …); "" when none */
};
/* The bytes of token i and their number; NULL (and *n 0) when the texts are not known. */
const char *act_item_piece(const struct act_item *it, size_t i, size_t *n);
void act_item_release(struct act_item *it); /* for items whose parts were all malloc'ed */

/* Header: ordered key/value strings. Reserved keys: "model" (id, hex), "model.name", "model.config"
   (JSON), "created.by"; others are free. History lines (oldest first) are kept apart. */
struct act_header {
    struct act_pair {
        char *key, *value;
    } * pairs;
    size_t n_pairs, cap_pairs;
    char **history;
    size_t n_history, cap_history;
};
const char *act_header_get(const struct act_header *h, const char *key); /* NULL when absent */
int act_header_set(struct act_header *h, const char *key, const char *value, struct err *e);
int act_header_add_history(struct act_header *h, const char *line, struct err *e);
/* History lines joined by '\n' (for tsv_open), into b. */
int act_header_history(const struct act_header *h, struct buf *b, struct err *e);
void act_header_release(struct act_header *h);

#endif
