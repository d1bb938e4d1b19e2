/* pickle.h - Python pickles as data.

   A small machine over the opcodes that torch.save and pickle protocols 2 to 4 write for plain data
   and tensors. It builds a tree and calls nothing: a class or function that the pickle names must
   be on a short list, and a call of it stays a node (PICKLE_CALL) for the reader to interpret.
   Every other opcode or name is ERR_DATA that says which, and at what byte. */
#ifndef GPT_PICKLE_H
#define GPT_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,       /* i: 0 or 1 */
    PICKLE_INT,        /* i */
    PICKLE_FLOAT,      /* f */
    PICKLE_STR,        /* s, n: UTF-8, in the bytes that were parsed */
    PICKLE_BYTES,      /* s, n */
    PICKLE_TUPLE,      /* item, n */
    PICKLE_LIST,       /* item, n */
    PICKLE_DICT,       /* item, n: key, value, key, value …; n is even */
    PICKLE_GLOBAL,     /* i: an enum pickle_global */
    PICKLE_CALL,       /* item[0] the PICKLE_GLOBAL, item[1] the tuple of arguments */
    PICKLE_PERSISTENT, /* item[0] the persistent id (torch: where a storage lies) */
    PICKLE_MARK,       /* never seen outside the machine */
};

/* What a pickle may name. */
enum pickle_global {
    PICKLE_ORDERED_DICT,
    PICKLE_REBUILD_TENSOR,
    PICKLE_REBUILD_PARAMETER,
    PICKLE_STORAGE, /* and above: torch's storage classes, in the order of pickle_storage_dtype */
};

struct pickle_value {
    enum pickle_kind kind;
    int64_t i;
    double f;
    const char *s; /* not NUL-terminated */
    struct pickle_value **item;
    size_t n, cap;
};

struct pickle; /* a tree and the memory behind it */

/* Parses bytes[0..n), which must outlive the result. `name` is for messages. Free with
   pickle_free. A tree may share nodes, and a hostile one may hold itself: don't walk it blindly. */
struct pickle *pickle_parse(const unsigned char *bytes, size_t n, const char *name, struct err *e);
void pickle_free(struct pickle *p);
const struct pickle_value *pickle_root(const struct pickle *p);

/* The value of a string key in a dict (the last, if there are several); NULL when v is NULL, no
   dict, or has no such key. */
const struct pickle_value *pickle_get(const struct pickle_value *v, const char *key);
/* The value is the string s. */
bool pickle_is_str(const struct pickle_value *v, const char *s);
/* safetensors' name of a storage class's dtype, or NULL when g is no storage class. */
const char *pickle_storage_dtype(int64_t g);

#endif
