#include "base/json.h"

#include <stdlib.h>

#include "test.h"

static struct json *parse(const char *text, struct err *e)
{
    return json_parse(text, strlen(text), e);
}

static void types_and_lookups(void)
{
    struct err e = {0};
    struct json *j = parse("{\"a\": [1, -2.5, true, null, \"x\\u0000y\"], \"b\": {\"c\": false},"
                           " \"d\": 1.0, \"big\": 9007199254740993}",
                           &e);
    CHECK(j != NULL);
    CHECK(json_is_object(j) && !json_is_array(j) && json_len(j) == 4);
    const struct json *a = json_get(j, "a");
    CHECK(json_is_array(a) && json_len(a) == 5);
    CHECK(json_is_int(json_at(a, 0)) && json_int(json_at(a, 0), 7) == 1);
    CHECK(json_num(json_at(a, 0), 7) == 1.0);
    CHECK(!json_is_int(json_at(a, 1)) && json_int(json_at(a, 1), 7) == 7);
    CHECK(json_num(json_at(a, 1), 7) == -2.5);
    CHECK(json_bool(json_at(a, 2), false) && json_is_null(json_at(a, 3)));
    size_t n = 9;
    const char *s = json_str(json_at(a, 4), &n);
    CHECK(s && n == 3 && memcmp(s, "x\0y", 3) == 0);
    CHECK(json_at(a, 5) == NULL);
    CHECK(!json_bool(json_get(json_get(j, "b"), "c"), true));
    CHECK(!json_is_int(json_get(j, "d")) && json_num(json_get(j, "d"), 0) == 1.0);
    CHECK(json_int(json_get(j, "big"), 0) == 9007199254740993); /* not by way of a double */
    /* Look-ups chain through what is not there. */
    CHECK(json_get(json_at(json_get(j, "none"), 3), "x") == NULL);
    CHECK(json_str(NULL, &n) == NULL && n == 0 && json_len(NULL) == 0);
    CHECK(json_int(NULL, 5) == 5 && json_bool(NULL, true) && json_num(NULL, 2.0) == 2.0);
    CHECK(json_get(a, "key of an array") == NULL && json_at(j, 0) == NULL);
    json_free(j);
    json_free(NULL);
}

static void errors_name_the_place(void)
{
    static const struct {
        const char *text, *start;
    } bad[] = {
        {"{\"a\": 1,\n \"b\": }", "JSON line 2, column 7: "},
        {"", "JSON line 1, column 0: "},
        {"{\"a\": 1, \"a\": 2}", "JSON line 1, column 12: duplicate object key"},
        {"[1] 2", "JSON line 1, column 5: end of file expected"},
        {"[\"\x80\"]", "JSON line 1, column "}, /* not UTF-8 */
        {"[NaN]", "JSON line 1, column "},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        CHECK(parse(bad[i].text, &e) == NULL);
        CHECK(e.kind == ERR_DATA);
        e.msg[strlen(bad[i].start)] = '\0';
        CHECK_STR(e.msg, bad[i].start);
    }
    struct err e = {0};
    CHECK(parse("[\x1b[31m]", &e) == NULL && strchr(e.msg, '\x1b') == NULL);
}

static void deep_nesting_is_refused(void)
{
    struct err e = {0};
    size_t n = 1u << 20;
    char *text = malloc(n);
    memset(text, '[', n);
    CHECK(json_parse(text, n, &e) == NULL);
    CHECK(strstr(e.msg, "maximum parsing depth reached") != NULL);
    free(text);
}

static int collect(void *user, const char *key, const struct json *value)
{
    char *out = user;
    size_t n = strlen(out);
    snprintf(out + n, 64 - n, "%s=%d ", key, (int)json_int(value, -1));
    return strcmp(key, "stop") == 0 ? 42 : 0;
}

static void each_goes_in_order_and_stops(void)
{
    struct err e = {0};
    char out[64] = "";
    struct json *j = parse("{\"z\": 1, \"a\": 2, \"m\": 3}", &e);
    CHECK(json_each(j, collect, out) == 0);
    CHECK_STR(out, "z=1 a=2 m=3 ");
    json_free(j);
    out[0] = '\0';
    j = parse("{\"z\": 1, \"stop\": 2, \"m\": 3}", &e);
    CHECK(json_each(j, collect, out) == 42);
    CHECK_STR(out, "z=1 stop=2 ");
    CHECK(json_each(json_get(j, "z"), collect, out) == 0);
    json_free(j);
}

static void quoting(void)
{
    static const struct {
        const char *in;
        size_t n;
        const char *out;
    } t[] = {
        {"plain", 5, "\"plain\""},
        {"a\"b\\c\n\t\0\x7f", 9, "\"a\\\"b\\\\c\\n\\u0009\\u0000\\u007f\""},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"\xff", 1, "\"\xef\xbf\xbd\""},
        {"a\xe2\x82", 3, "\"a\xef\xbf\xbd\xef\xbf\xbd\""}, /* cut short */
        {"\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""},   /* overlong '/' */
        {"\xe0\x80\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a surrogate */
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct buf b = {0};
        struct err e = {0};
        CHECK(json_quote(&b, t[i].in, t[i].n, &e) == 0);
        CHECK_STR(b.p, t[i].out);
        struct json *j = json_parse(b.p, b.len, &e);
        CHECK(j != NULL);
        json_free(j);
        buf_release(&b);
    }
}

int main(void)
{
    RUN(types_and_lookups);
    RUN(errors_name_the_place);
    RUN(deep_nesting_is_refused);
    RUN(each_goes_in_order_and_stops);
    RUN(quoting);
    return test_done();
}
