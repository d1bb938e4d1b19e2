/* models.h - for tests of models that must not open. */
#ifndef TESTS_UNIT_MODELS_H
#define TESTS_UNIT_MODELS_H

#include "gpt/model.h"
#include "test.h"

#define FIXTURES "tests/fixtures/models/"

/* gpt_open(path) fails with ERR_DATA and a message that ends with `tail` (what stands before it is
   the path of a temporary file). */
#define CHECK_BAD(path, tail) check_bad(__LINE__, path, tail)

static inline void check_bad(int line, const char *path, const char *tail)
{
    struct err e = {0};
    struct gpt_model *m = gpt_open(path, &e);
    size_t n = strlen(e.msg), k = strlen(tail);
    if (m || e.kind != ERR_DATA || n < k || strcmp(e.msg + n - k, tail) != 0) {
        printf("# line %d: kind %d, got \"%s\", want \"…%s\"\n", line, m ? 0 : (int)e.kind,
               m ? "a model" : e.msg, tail);
        test_bad++;
    }
    gpt_close(m);
}

#endif
