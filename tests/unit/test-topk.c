/* The k greatest of each feature against a full sort, and the pool of contexts they point to. */
#include "test.h"

#include <stdlib.h>

#include "interp/contexts.h"
#include "interp/topk.h"

#define N 200 /* no multiple of a vector or of a strip */
#define ROWS 300

static float data[ROWS][N];
static struct err e;

struct entry {
    float value;
    uint32_t row;
};

static int by_value_then_row(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->value != y->value)
        return x->value > y->value ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static void fill(void)
{
    uint32_t s = 12345;
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < N; i++) {
            s = s * 1664525u + 1013904223u;
            data[r][i] = (float)((int)(s >> 24) - 200) / 8; /* 256 values: many ties */
        }
    for (int r = 0; r < ROWS; r++)
        data[r][7] = -1; /* a dead feature, all ties */
}

/* Feeds `rows` rows; `kept` counts how often each row's tag is held. */
static bool feed(struct topk *t, int rows, int *kept)
{
    bool finite = true;
    for (int r = 0; r < rows; r++) {
        size_t hits;
        finite = topk_scan(t, data[r], &hits) && finite;
        for (size_t h = 0; h < hits; h++) {
            uint32_t f = t->hit[h], out = topk_insert(t, f, data[r][f], (uint32_t)r);
            kept[r]++;
            if (out != TOPK_NONE)
                kept[out]--;
        }
    }
    return finite;
}

static void same_as_sort(int rows, size_t k)
{
    struct topk t;
    int kept[ROWS] = {0}, want_kept[ROWS] = {0};
    CHECK(topk_init(&t, N, k, &e) == 0);
    CHECK(feed(&t, rows, kept));
    size_t filled = topk_filled(&t);
    CHECK(filled == ((size_t)rows < k ? (size_t)rows : k));
    for (size_t f = 0; f < N; f++) {
        struct entry all[ROWS];
        double sum = 0;
        uint64_t active = 0;
        for (int r = 0; r < rows; r++) {
            all[r] = (struct entry){data[r][f], (uint32_t)r};
            sum += (double)data[r][f];
            active += data[r][f] > 0;
        }
        qsort(all, (size_t)rows, sizeof *all, by_value_then_row);
        for (size_t i = 0; i < filled; i++) {
            CHECK(t.value[f * k + i] == all[i].value && t.tag[f * k + i] == all[i].row);
            want_kept[all[i].row]++;
        }
        CHECK(t.active[f] == active);
        CHECK_NEAR(t.sum[f], sum, 0); /* eighths add exactly */
    }
    CHECK(memcmp(kept, want_kept, sizeof kept) == 0);
    topk_release(&t);
}

static void sorted(void)
{
    fill();
    same_as_sort(ROWS, 1);
    same_as_sort(ROWS, 10);
    same_as_sort(ROWS, ROWS);
    same_as_sort(10, 10);
    same_as_sort(5, 10);
    same_as_sort(0, 3);
}

static void not_finite(void)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        struct topk t;
        int kept[ROWS] = {0};
        fill();
        data[3][N - 1] = bad[i];
        CHECK(topk_init(&t, N, 2, &e) == 0);
        CHECK(!feed(&t, 5, kept));
        topk_release(&t);
    }
}

static void too_large(void)
{
    struct topk t;
    CHECK(topk_init(&t, SIZE_MAX / 2, 4, &e) == -1 && e.kind == ERR_SYS);
    topk_release(&t);
}

static void pool(void)
{
    struct contexts c;
    size_t len[3] = {2, 3, 0};
    uint32_t a, b, again;
    contexts_init(&c);
    CHECK(contexts_add(&c, 5, 6, "betok", len, &a, &e) == 0);
    CHECK(contexts_add(&c, 7, 8, "betok", len, &b, &e) == 0);
    CHECK(a != b && c.slot[a].item == 5 && c.slot[a].pos == 6 && c.slot[b].item == 7);
    CHECK(memcmp(c.slot[a].text, "betok", 5) == 0 && c.slot[a].len[1] == 3);
    contexts_ref(&c, a);
    contexts_unref(&c, a);
    CHECK(c.slot[a].refs == 1 && c.slot[a].text != NULL);
    contexts_unref(&c, a);
    contexts_unref(&c, b);
    CHECK(contexts_add(&c, 9, 1, "betok", len, &again, &e) == 0);
    CHECK(again == b);
    CHECK(contexts_add(&c, 9, 2, "betok", len, &again, &e) == 0);
    CHECK(again == a && c.n == 2); /* dropped contexts give their places back */
    contexts_release(&c);
}

static void long_parts(void)
{
    static char text[3000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i % 26);
    struct contexts c;
    uint32_t a;
    contexts_init(&c);
    /* what is near the token stays */
    CHECK(contexts_add(&c, 0, 0, text, (size_t[]){1000, 5, 1995}, &a, &e) == 0);
    CHECK(c.slot[a].len[0] == CONTEXT_PART_MAX && c.slot[a].len[1] == 5 &&
          c.slot[a].len[2] == CONTEXT_PART_MAX);
    CHECK(memcmp(c.slot[a].text, text + 1000 - CONTEXT_PART_MAX, 2 * CONTEXT_PART_MAX + 5) == 0);
    CHECK(contexts_add(&c, 0, 1, text, (size_t[]){10, 2000, 990}, &a, &e) == 0);
    CHECK(c.slot[a].len[0] == 10 && c.slot[a].len[1] == CONTEXT_PART_MAX && c.slot[a].len[2] == 0);
    CHECK(memcmp(c.slot[a].text, text, 10 + CONTEXT_PART_MAX) == 0);
    contexts_release(&c);
}

int main(void)
{
    RUN(sorted);
    RUN(not_finite);
    RUN(too_large);
    RUN(pool);
    RUN(long_parts);
    return test_done();
}
