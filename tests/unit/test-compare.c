#include "act/compare.h"

#include "test.h"

static struct act_compare floats(float a, float b, double atol, double rtol)
{
    struct act_compare c = {0};
    struct act_tolerance t = {atol, rtol};
    act_compare_add(&c, &t, &a, false, &b, false, 1);
    return c;
}

static bool same(float a, float b, double atol, double rtol)
{
    return floats(a, b, atol, rtol).differ == 0;
}

static void equality(void)
{
    CHECK(same(1.5f, 1.5f, 0, 0));
    CHECK(same(0.0f, -0.0f, 0, 0));
    CHECK(same(NAN, -NAN, 0, 0));
    CHECK(same(-INFINITY, -INFINITY, 0, 0));
    CHECK(!same(1, nextafterf(1, 2), 0, 0));
    CHECK(!same(0, 1e-45f, 0, 0)); /* the least subnormal */
    CHECK(!same(INFINITY, -INFINITY, 1e300, 1e300));
    CHECK(!same(INFINITY, 3e38f, 1e300, 1e300));
    CHECK(!same(NAN, 0, 1e300, 1e300));
    CHECK(!same(0, NAN, 1e300, 1e300));
}

static void tolerances(void)
{
    CHECK(same(1, 1.5f, 0.5, 0));
    CHECK(!same(1, 1.5f, 0.499, 0));
    CHECK(same(100, 150, 0, 0.3334)); /* 50 / 150 */
    CHECK(!same(100, 150, 0, 0.3333));
    CHECK(same(150, 100, 0, 0.3334)); /* whichever comes first */
    CHECK(same(-1, 1, 1, 1));
    CHECK(!same(-1, 1, 0.5, 1.4));
    CHECK(same(-1, 1, 0.5, 1.5));
}

static void figures(void)
{
    struct act_compare c = {0};
    struct act_tolerance t = {0.25, 0};
    float a[5] = {1, 2, 3, -4, 0}, b[5] = {1, 2.25f, 2, -4, 0.5f};
    act_compare_add(&c, &t, a, false, b, false, 5);
    CHECK(c.n == 5 && c.differ == 2);
    CHECK_NEAR(c.max_abs, 1, 0);
    CHECK_NEAR(c.max_rel, 1, 0); /* 0 against 0.5 */
    CHECK_NEAR(act_compare_rms(&c), sqrt((0.0625 + 1 + 0.25) / 5), 1e-15);
    CHECK(c.any && c.worst == 2 && c.a == 3 && c.b == 2);
    CHECK_NEAR(act_compare_rms(&(struct act_compare){0}), 0, 0);
}

static void ulps(void)
{
    CHECK_NEAR(floats(1, nextafterf(1, 2), 0, 0).max_ulp, 1, 0);
    CHECK_NEAR(floats(1, 2, 0, 0).max_ulp, 8388608, 0); /* a binade has 2^23 steps */
    CHECK_NEAR(floats(-1e-45f, 1e-45f, 0, 0).max_ulp, 2, 0);
    CHECK_NEAR(floats(3.4028235e38f, INFINITY, 0, 0).max_ulp, 1, 0);
    CHECK(isinf(floats(NAN, 1, 0, 0).max_ulp));
}

/* With a relative tolerance the pair that breaks it counts, not the one furthest apart. */
static void worst_is_furthest_beyond(void)
{
    struct act_compare c = {0};
    struct act_tolerance t = {0, 0.01};
    float a[2] = {1000, 1}, b[2] = {1005, 2};
    act_compare_add(&c, &t, a, false, b, false, 2);
    CHECK(c.differ == 1 && c.worst == 1);
    CHECK_NEAR(c.max_abs, 5, 0);
}

static void integers(void)
{
    struct act_compare c = {0};
    struct act_tolerance t = {0, 0};
    int32_t a[3] = {16777217, INT32_MIN, 5}, b[3] = {16777216, INT32_MAX, 5};
    float f[3] = {16777216, -2147483648.0f, 5};
    act_compare_add(&c, &t, a, true, b, true, 3);
    CHECK(c.differ == 2); /* as floats the first two would be one value */
    CHECK_NEAR(c.max_abs, 4294967295.0, 0);
    c = (struct act_compare){0};
    act_compare_add(&c, &t, a, true, f, false, 3);
    CHECK(c.differ == 1 && c.worst == 0);
}

static void joined_parts_are_the_whole(void)
{
    struct act_tolerance t = {0.1, 0.1};
    float a[7] = {1, 5, -3, 0, 2, 8, 1}, b[7] = {1, 5.1f, -4, 0.2f, 2, 9.5f, NAN};
    for (size_t cut = 0; cut <= 7; cut++) {
        struct act_compare whole = {0}, x = {0}, y = {0};
        act_compare_add(&whole, &t, a, false, b, false, 7);
        act_compare_add(&x, &t, a, false, b, false, cut);
        act_compare_add(&x, &t, a + cut, false, b + cut, false, 7 - cut);
        CHECK(x.n == whole.n && x.differ == whole.differ && x.worst == whole.worst);
        x = (struct act_compare){0};
        act_compare_add(&x, &t, a, false, b, false, cut);
        act_compare_add(&y, &t, a + cut, false, b + cut, false, 7 - cut);
        CHECK(act_compare_join(&x, &y) == (cut < 7)); /* the NaN is last */
        CHECK(x.n == whole.n && x.differ == whole.differ && x.max_ulp == whole.max_ulp);
        CHECK(x.max_abs == whole.max_abs && isinf(x.max_abs));
    }
}

int main(void)
{
    RUN(equality);
    RUN(tolerances);
    RUN(figures);
    RUN(ulps);
    RUN(worst_is_furthest_beyond);
    RUN(integers);
    RUN(joined_parts_are_the_whole);
    return test_done();
}
