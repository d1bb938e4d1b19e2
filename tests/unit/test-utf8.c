#include "base/utf8.h"

#include "test.h"

/* Every character goes there and back. */
static void round_trip(void)
{
    size_t bad = 0, none = 0;
    for (uint32_t cp = 0; cp <= 0x110000; cp++) {
        char s[4];
        uint32_t back = 0;
        size_t n = utf8_encode(cp, s);
        none += n == 0;
        if (n && (utf8_decode(s, n, &back) != n || back != cp || utf8_valid(s, n) != n))
            bad++;
        if (n > 1 && utf8_decode(s, n - 1, &back) != 0)
            bad++;
    }
    CHECK(bad == 0);
    CHECK(none == 0x800 + 1); /* the surrogates, and 0x110000 */
}

/* What RFC 3629 forbids. */
static void malformed(void)
{
    static const char *const bad[] = {"\x80",
                                      "\xBF",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFF",
                                      "\xC3(",
                                      "\xE2\x82",
                                      "\xF0\x9F\x99"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint32_t cp;
        CHECK(utf8_decode(bad[i], strlen(bad[i]), &cp) == 0);
        CHECK(utf8_valid(bad[i], strlen(bad[i])) == 0);
    }
    CHECK(utf8_valid("ab\xC3\xA9\xFFz", 6) == 4);
}

static void escaped(void)
{
    struct buf b = {0};
    struct err e;
    CHECK(utf8_escape(&b, "a\tb\\\n\xC3\xA9\xFF\xC2\x9B\x1B\0z", 13, &e) == 0);
    CHECK_STR(b.p, "a\\tb\\\\\\n\xC3\xA9\\xff\\xc2\\x9b\\x1b\\x00z");
    buf_release(&b);
}

int main(void)
{
    RUN(round_trip);
    RUN(malformed);
    RUN(escaped);
    return test_done();
}
