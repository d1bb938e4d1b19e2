#include "gpt/pickle_machine.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { CHUNK = 1024 };

static const struct {
    const char *module, *name, *dtype;
} GLOBALS[] = {
    [PICKLE_ORDERED_DICT] = {"collections", "OrderedDict", NULL},
    [PICKLE_REBUILD_TENSOR] = {"torch._utils", "_rebuild_tensor_v2", NULL},
    [PICKLE_REBUILD_PARAMETER] = {"torch._utils", "_rebuild_parameter", NULL},
    [PICKLE_STORAGE] = {"torch", "FloatStorage", "F32"},
    {"torch", "HalfStorage", "F16"},
    {"torch", "BFloat16Storage", "BF16"},
    {"torch", "DoubleStorage", "F64"},
    {"torch", "LongStorage", "I64"},
    {"torch", "IntStorage", "I32"},
    {"torch", "ShortStorage", "I16"},
    {"torch", "CharStorage", "I8"},
    {"torch", "ByteStorage", "U8"},
    {"torch", "BoolStorage", "BOOL"},
};

enum { N_GLOBALS = sizeof GLOBALS / sizeof *GLOBALS };

int pickle_bad(struct pickle *p, const char *why)
{
    return err_set(p->e, ERR_DATA, "%s: byte %zu: %s", p->name, p->at, why);
}

struct pickle_value *pickle_new(struct pickle *p, enum pickle_kind kind)
{
    size_t in_chunk = p->n_nodes % CHUNK;
    if (p->n_nodes >= PICKLE_MAX) {
        pickle_bad(p, "more than 2^20 objects: no checkpoint has so many");
        return NULL;
    }
    if (in_chunk == 0) {
        if (mem_grow(&p->chunk, &p->cap_chunks, p->n_chunks + 1, sizeof *p->chunk, p->e))
            return NULL;
        struct pickle_value *c = mem_calloc(CHUNK, sizeof *c, p->e);
        if (!c)
            return NULL;
        p->chunk[p->n_chunks++] = c;
    }
    struct pickle_value *v = &p->chunk[p->n_chunks - 1][in_chunk];
    p->n_nodes++;
    v->kind = kind;
    return v;
}

int pickle_push(struct pickle *p, struct pickle_value *v)
{
    if (!v)
        return -1;
    if (p->n_stack >= PICKLE_MAX)
        return pickle_bad(p, "the stack grows past 2^20");
    if (mem_grow(&p->stack, &p->cap_stack, p->n_stack + 1, sizeof *p->stack, p->e))
        return -1;
    p->stack[p->n_stack++] = v;
    return 0;
}

int pickle_push_new(struct pickle *p, enum pickle_kind kind, int64_t i)
{
    struct pickle_value *v = pickle_new(p, kind);
    if (v)
        v->i = i;
    return pickle_push(p, v);
}

struct pickle_value *pickle_peek(struct pickle *p, size_t down)
{
    if (p->n_stack > down && p->stack[p->n_stack - 1 - down]->kind != PICKLE_MARK)
        return p->stack[p->n_stack - 1 - down];
    pickle_bad(p, "the stack is empty");
    return NULL;
}

struct pickle_value *pickle_pop(struct pickle *p)
{
    struct pickle_value *v = pickle_peek(p, 0);
    if (v)
        p->n_stack--;
    return v;
}

size_t pickle_mark(struct pickle *p)
{
    for (size_t i = p->n_stack; i > 0; i--)
        if (p->stack[i - 1]->kind == PICKLE_MARK)
            return i;
    pickle_bad(p, "no mark on the stack");
    return 0;
}

int pickle_take(struct pickle *p, struct pickle_value *v, size_t first, size_t marks)
{
    size_t n = p->n_stack - first;
    if (!v || mem_grow(&v->item, &v->cap, v->n + n, sizeof *v->item, p->e))
        return -1;
    if (n)
        memcpy(v->item + v->n, p->stack + first, n * sizeof *v->item);
    v->n += n;
    p->n_stack = first - marks;
    return 0;
}

static bool equals(const char *s, size_t n, const char *literal)
{
    return n == strlen(literal) && memcmp(s, literal, n) == 0;
}

int pickle_push_named(struct pickle *p, const char *module, size_t n_module, const char *name,
                      size_t n_name)
{
    for (int i = 0; i < N_GLOBALS; i++)
        if (equals(module, n_module, GLOBALS[i].module) && equals(name, n_name, GLOBALS[i].name))
            return pickle_push_new(p, PICKLE_GLOBAL, i);
    struct buf text = {0}; /* hostile bytes: not to a terminal as they are */
    if (utf8_escape(&text, module, n_module < 100 ? n_module : 100, p->e) ||
        buf_puts(&text, ".", p->e) || utf8_escape(&text, name, n_name < 100 ? n_name : 100, p->e)) {
        buf_release(&text);
        return -1;
    }
    err_set(p->e, ERR_DATA,
            "%s: byte %zu: refused: the pickle wants to call %s; actutils builds data only",
            p->name, p->at, text.p);
    buf_release(&text);
    return -1;
}

void pickle_free(struct pickle *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_nodes; i++)
        free(p->chunk[i / CHUNK][i % CHUNK].item);
    for (size_t i = 0; i < p->n_chunks; i++)
        free(p->chunk[i]);
    free(p->chunk);
    free(p->stack);
    free(p->memo);
    free(p);
}

const struct pickle_value *pickle_root(const struct pickle *p)
{
    return p->root;
}

bool pickle_is_str(const struct pickle_value *v, const char *s)
{
    return v && v->kind == PICKLE_STR && equals(v->s, v->n, s);
}

const struct pickle_value *pickle_get(const struct pickle_value *v, const char *key)
{
    if (!v || v->kind != PICKLE_DICT)
        return NULL;
    for (size_t i = v->n; i >= 2; i -= 2)
        if (pickle_is_str(v->item[i - 2], key))
            return v->item[i - 1];
    return NULL;
}

const char *pickle_storage_dtype(int64_t g)
{
    return g >= PICKLE_STORAGE && g < N_GLOBALS ? GLOBALS[g].dtype : NULL;
}
