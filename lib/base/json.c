#include "base/json.h"

#include <jansson.h>

#include "base/utf8.h"

/* jansson spells these as macros; ours are functions of the same name. */
#undef json_is_array
#undef json_is_object
#undef json_is_null

static const json_t *inner(const struct json *v)
{
    return (const json_t *)v;
}

static const struct json *outer(const json_t *v)
{
    return (const struct json *)v;
}

static bool has_type(const struct json *v, json_type type)
{
    return v && json_typeof(inner(v)) == type;
}

struct json *json_parse(const char *text, size_t n, struct err *e)
{
    json_error_t why;
    json_t *j =
        json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (!j) {
        /* The parser quotes the text near the fault; it must not reach a terminal raw. */
        for (char *p = why.text; *p; p++)
            if ((unsigned char)*p < 0x20 || *p == 0x7f)
                *p = '?';
        if (why.line < 1)
            err_set(e, ERR_DATA, "JSON: %s", why.text);
        else
            err_set(e, ERR_DATA, "JSON line %d, column %d: %s", why.line, why.column, why.text);
    }
    return (struct json *)j;
}

void json_free(struct json *doc)
{
    json_decref((json_t *)doc);
}

const struct json *json_get(const struct json *object, const char *key)
{
    return object ? outer(json_object_get(inner(object), key)) : NULL;
}

const struct json *json_at(const struct json *array, size_t i)
{
    return array ? outer(json_array_get(inner(array), i)) : NULL;
}

bool json_is_array(const struct json *v)
{
    return has_type(v, JSON_ARRAY);
}

bool json_is_object(const struct json *v)
{
    return has_type(v, JSON_OBJECT);
}

bool json_is_null(const struct json *v)
{
    return has_type(v, JSON_NULL);
}

bool json_is_int(const struct json *v)
{
    return has_type(v, JSON_INTEGER);
}

size_t json_len(const struct json *v)
{
    if (json_is_array(v))
        return json_array_size(inner(v));
    return json_is_object(v) ? json_object_size(inner(v)) : 0;
}

const char *json_str(const struct json *v, size_t *n)
{
    bool ok = has_type(v, JSON_STRING);
    if (n)
        *n = ok ? json_string_length(inner(v)) : 0;
    return ok ? json_string_value(inner(v)) : NULL;
}

int64_t json_int(const struct json *v, int64_t otherwise)
{
    return json_is_int(v) ? (int64_t)json_integer_value(inner(v)) : otherwise;
}

double json_num(const struct json *v, double otherwise)
{
    bool ok = has_type(v, JSON_INTEGER) || has_type(v, JSON_REAL);
    return ok ? json_number_value(inner(v)) : otherwise;
}

bool json_bool(const struct json *v, bool otherwise)
{
    return has_type(v, JSON_TRUE) || (!has_type(v, JSON_FALSE) && otherwise);
}

int json_each(const struct json *object,
              int (*fn)(void *user, const char *key, const struct json *value), void *user)
{
    if (!json_is_object(object))
        return 0;
    /* jansson's iterators take a non-const object but only read it. */
    json_t *o = (json_t *)(uintptr_t)object;
    for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it)) {
        int rc = fn(user, json_object_iter_key(it), outer(json_object_iter_value(it)));
        if (rc)
            return rc;
    }
    return 0;
}

int json_quote(struct buf *b, const char *s, size_t n, struct err *e)
{
    if (buf_puts(b, "\"", e))
        return -1;
    for (size_t i = 0; i < n;) {
        uint32_t c = 0;
        size_t len = utf8_decode(s + i, n - i, &c);
        int rc;
        if (len == 0)
            rc = buf_puts(b, "\xEF\xBF\xBD", e);
        else if (c == '"' || c == '\\')
            rc = buf_printf(b, e, "\\%c", s[i]);
        else if (c == '\n')
            rc = buf_puts(b, "\\n", e);
        else if (c < 0x20 || c == 0x7f)
            rc = buf_printf(b, e, "\\u%04x", (unsigned)c);
        else
            rc = buf_add(b, s + i, len, e);
        if (rc)
            return -1;
        i += len ? len : 1;
    }
    return buf_puts(b, "\"", e);
}
