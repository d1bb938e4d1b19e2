#include "base/spec.h"

#include "test.h"

/* Which of the elements are meant, as a string of 0 and 1; the message when it is an error. */
static const char *marks(const char *text, int32_t start, const int32_t *at, uint32_t size)
{
    static char out[1024];
    struct err e = {0};
    struct spec s;
    unsigned char in[64];
    if (spec_parse(&s, text, strlen(text), &e) == 0 &&
        spec_mark(&s, "x", start, at, size, in, &e) == 0) {
        for (uint32_t i = 0; i < size; i++)
            out[i] = (char)('0' + in[i]);
        out[size] = '\0';
    } else {
        snprintf(out, sizeof out, "%s", e.msg);
        CHECK(e.kind == ERR_USAGE);
    }
    spec_release(&s);
    return out;
}

/* As Python's list(range(5))[…] tells, where that is no error here. */
static void as_python(void)
{
    CHECK_STR(marks("0", 0, NULL, 5), "10000");
    CHECK_STR(marks("-1", 0, NULL, 5), "00001");
    CHECK_STR(marks("1:3", 0, NULL, 5), "01100");
    CHECK_STR(marks(":2", 0, NULL, 5), "11000");
    CHECK_STR(marks("3:", 0, NULL, 5), "00011");
    CHECK_STR(marks(":", 0, NULL, 5), "11111");
    CHECK_STR(marks("-3:-1", 0, NULL, 5), "00110");
    CHECK_STR(marks("1:-1", 0, NULL, 5), "01110");
    CHECK_STR(marks("0:5", 0, NULL, 5), "11111");
    CHECK_STR(marks("4+0", 0, NULL, 5), "10001");
    CHECK_STR(marks("1:3+2+-1", 0, NULL, 5), "01101");
}

static void beyond(void)
{
    CHECK_STR(marks("5", 0, NULL, 5), "x=5 is out of range: there are 5 (0 to 4)");
    CHECK_STR(marks("-6", 0, NULL, 5), "x=-6 is out of range: there are 5 (0 to 4)");
    CHECK_STR(marks("3:6", 0, NULL, 5), "x=5 is out of range: there are 5 (0 to 4)");
    CHECK_STR(marks("5:", 0, NULL, 5), "x=5 is out of range: there are 5 (0 to 4)");
    CHECK_STR(marks("3:3", 0, NULL, 5), "x=3:3 is empty: there are 5 (0 to 4)");
    CHECK_STR(marks("3:1", 0, NULL, 5), "x=3:1 is empty: there are 5 (0 to 4)");
    CHECK_STR(marks(":0", 0, NULL, 5), "x=0:0 is empty: there are 5 (0 to 4)");
    CHECK_STR(marks("0", 0, NULL, 0), "x: there are none");
}

/* Positive numbers are coordinates, negative ones count from the last element. */
static void coordinates(void)
{
    const int32_t gaps[4] = {2, 3, 7, 9};
    CHECK_STR(marks("4", 4, NULL, 3), "100");
    CHECK_STR(marks("5:", 4, NULL, 3), "011");
    CHECK_STR(marks(":6", 4, NULL, 3), "110");
    CHECK_STR(marks("-1", 4, NULL, 3), "001");
    CHECK_STR(marks("0", 4, NULL, 3), "x=0 is out of range: there are 3 (4 to 6)");
    CHECK_STR(marks("7", 0, gaps, 4), "0010");
    CHECK_STR(marks("3:9", 0, gaps, 4), "0110");
    CHECK_STR(marks("-2:", 0, gaps, 4), "0011");
    CHECK_STR(marks("4", 0, gaps, 4), "x=4 is not among the 4 there are");
    CHECK_STR(marks("4:6", 0, gaps, 4), "x=4:6 is empty: there are 4 (2 to 9)");
    CHECK_STR(marks("1:3", 0, gaps, 4), "x=1 is out of range: there are 4 (2 to 9)");
}

static void nonsense(void)
{
    static const char *const bad[] = {"",    "x",  "1:2:3", "1-2",         "1+", "+1", "1,2",
                                      "--1", "1 ", "0x1",   "99999999999", "-",  "1.5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(strstr(marks(bad[i], 0, NULL, 5), "is neither an index nor a range A:B") != NULL);
}

static void has(void)
{
    struct err e;
    struct spec s;
    CHECK(spec_parse(&s, "1+4:6+9:", 8, &e) == 0);
    for (uint64_t i = 0; i < 12; i++)
        CHECK(spec_has(&s, i) == (i == 1 || i == 4 || i == 5 || i >= 9));
    CHECK(!spec_negative(&s));
    CHECK(spec_within(&s, 10) && !spec_within(&s, 9) && !spec_within(&s, 0));
    spec_release(&s);
    CHECK(spec_parse(&s, "0+-1", 4, &e) == 0 && spec_negative(&s));
    spec_release(&s);
    CHECK(spec_parse(&s, "3:3", 3, &e) == 0 && !spec_within(&s, 10));
    spec_release(&s);
}

int main(void)
{
    RUN(as_python);
    RUN(beyond);
    RUN(coordinates);
    RUN(nonsense);
    RUN(has);
    return test_done();
}
