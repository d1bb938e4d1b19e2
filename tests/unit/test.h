/* test.h - the whole unit test frame: TEST functions listed in main, TAP on stdout. */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <math.h>
#include <stdio.h>
#include <string.h>

static int test_number, test_bad, test_failures;

#define CHECK(cond)                                             \
    do {                                                        \
        if (!(cond)) {                                          \
            printf("# %s:%d: %s\n", __FILE__, __LINE__, #cond); \
            test_bad++;                                         \
        }                                                       \
    } while (0)

/* |a - b| <= tol; prints both. */
#define CHECK_NEAR(a, b, tol)                                                              \
    do {                                                                                   \
        double a_ = (a), b_ = (b);                                                         \
        if (!(fabs(a_ - b_) <= (tol))) {                                                   \
            printf("# %s:%d: %s = %.9g, %s = %.9g\n", __FILE__, __LINE__, #a, a_, #b, b_); \
            test_bad++;                                                                    \
        }                                                                                  \
    } while (0)

#define CHECK_STR(a, b)                                                                          \
    do {                                                                                         \
        const char *a_ = (a), *b_ = (b);                                                         \
        if (!a_ || strcmp(a_, b_) != 0) {                                                        \
            printf("# %s:%d: got \"%s\", want \"%s\"\n", __FILE__, __LINE__, a_ ? a_ : "(null)", \
                   b_);                                                                          \
            test_bad++;                                                                          \
        }                                                                                        \
    } while (0)

#define RUN(fn)                                                                               \
    do {                                                                                      \
        test_bad = 0;                                                                         \
        fn();                                                                                 \
        printf("%s %d - %s: %s\n", test_bad ? "not ok" : "ok", ++test_number, __FILE__, #fn); \
        test_failures += test_bad != 0;                                                       \
    } while (0)

/* At the end of main: return test_done(); */
static inline int test_done(void)
{
    printf("1..%d\n", test_number);
    return test_failures != 0;
}

#endif
