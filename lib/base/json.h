/* json.h - JSON documents, read-only, over a library (the only place that includes it). */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct json; /* a value inside a document; valid until the document is freed */

/* Parses text[0..n), exactly one JSON value. NULL with ERR_DATA naming line and column. Nesting is
   limited by the library; duplicate keys are an error. Free the result with json_free. */
struct json *json_parse(const char *text, size_t n, struct err *e);
void json_free(struct json *doc); /* NULL is fine */

/* All return NULL / false when v is NULL or of another type, so look-ups chain. */
const struct json *json_get(const struct json *object, const char *key);
const struct json *json_at(const struct json *array, size_t i);
bool json_is_array(const struct json *v);
bool json_is_object(const struct json *v);
bool json_is_null(const struct json *v);
bool json_is_int(const struct json *v); /* true only for integers, not 1.0 */
size_t json_len(const struct json *v);  /* elements of an array, members of an object, else 0 */

/* The string's bytes (may hold NUL; *n is its length, n may be NULL); NULL if not a string. */
const char *json_str(const struct json *v, size_t *n);
int64_t json_int(const struct json *v, int64_t otherwise); /* integers only */
double json_num(const struct json *v, double otherwise);   /* integers and reals */
bool json_bool(const struct json *v, bool otherwise);

/* Calls fn for each member of an object, in the order of the text; stops at the first nonzero
   result and returns it. */
int json_each(const struct json *object,
              int (*fn)(void *user, const char *key, const struct json *value), void *user);

/* Appends s[0..n) as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
int json_quote(struct buf *b, const char *s, size_t n, struct err *e);

#endif
