#include "gpt/pickle_machine.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"

/* A new sequence of everything above the mark. */
static int marked(struct pickle *p, enum pickle_kind kind)
{
    size_t first = pickle_mark(p);
    if (!first)
        return -1;
    struct pickle_value *v = pickle_new(p, kind);
    if (pickle_take(p, v, first, 1))
        return -1;
    if (kind == PICKLE_DICT && v->n % 2)
        return pickle_bad(p, "a dict with a key that has no value");
    return pickle_push(p, v);
}

/* A new tuple of the n topmost values. */
static int small_tuple(struct pickle *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!pickle_peek(p, i))
            return -1;
    struct pickle_value *v = pickle_new(p, PICKLE_TUPLE);
    return pickle_take(p, v, p->n_stack - n, 0) || pickle_push(p, v) ? -1 : 0;
}

/* Puts values into the list or dict below: one value or pair, or all above the mark. */
static int add_items(struct pickle *p, enum pickle_kind kind, bool many)
{
    size_t unit = kind == PICKLE_DICT ? 2 : 1;
    if (!many && (!pickle_peek(p, 0) || !pickle_peek(p, unit - 1)))
        return -1;
    size_t first = many ? pickle_mark(p) : p->n_stack - unit;
    if (!first && many)
        return -1;
    size_t marks = many ? 1 : 0;
    if (first < marks + 1 || p->stack[first - marks - 1]->kind != kind)
        return pickle_bad(p, kind == PICKLE_DICT ? "items for what is no dict"
                                                 : "items for what is no list");
    if ((p->n_stack - first) % unit)
        return pickle_bad(p, "a dict with a key that has no value");
    return pickle_take(p, p->stack[first - marks - 1], first, marks);
}

/* The next n bytes. */
static const unsigned char *bytes(struct pickle *p, uint64_t n)
{
    if (n > p->n - p->pos) {
        err_set(p->e, ERR_DATA, "%s: byte %zu: cut short", p->name, p->at);
        return NULL;
    }
    p->pos += n;
    return p->bytes + p->pos - n;
}

/* A little-endian number of n <= 8 bytes. */
static int number(struct pickle *p, size_t n, uint64_t *v)
{
    const unsigned char *b = bytes(p, n);
    *v = 0;
    for (size_t i = 0; b && i < n; i++)
        *v |= (uint64_t)b[i] << 8 * i;
    return b ? 0 : -1;
}

static int push_int(struct pickle *p, size_t n)
{
    uint64_t v;
    if (number(p, n, &v))
        return -1;
    return pickle_push_new(p, PICKLE_INT, n == 4 ? (int64_t)(int32_t)(uint32_t)v : (int64_t)v);
}

/* LONG1: two's complement of any length; more than 64 bits is no number that a checkpoint holds. */
static int push_long(struct pickle *p)
{
    uint64_t n, v;
    if (number(p, 1, &n))
        return -1;
    if (n > 8)
        return pickle_bad(p, "an integer of more than 64 bits");
    if (number(p, n, &v))
        return -1;
    if (n > 0 && n < 8 && v >> (8 * n - 1))
        v |= ~(uint64_t)0 << 8 * n;
    return pickle_push_new(p, PICKLE_INT, (int64_t)v);
}

static int push_float(struct pickle *p)
{
    const unsigned char *b = bytes(p, 8);
    struct pickle_value *v = b ? pickle_new(p, PICKLE_FLOAT) : NULL;
    if (!v)
        return -1;
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | b[i];
    memcpy(&v->f, &bits, sizeof v->f);
    return pickle_push(p, v);
}

/* A string whose length stands in n_len bytes before it. */
static int push_text(struct pickle *p, enum pickle_kind kind, size_t n_len)
{
    uint64_t n;
    if (number(p, n_len, &n))
        return -1;
    const unsigned char *b = bytes(p, n);
    struct pickle_value *v = b ? pickle_new(p, kind) : NULL;
    if (!v)
        return -1;
    v->s = (const char *)b;
    v->n = (size_t)n;
    return pickle_push(p, v);
}

/* GLOBAL: two lines of text. */
static int push_global(struct pickle *p)
{
    const char *line[2];
    size_t len[2];
    for (int i = 0; i < 2; i++) {
        line[i] = (const char *)p->bytes + p->pos;
        const char *end = memchr(line[i], '\n', p->n - p->pos);
        if (!end)
            return pickle_bad(p, "cut short");
        len[i] = (size_t)(end - line[i]);
        p->pos += len[i] + 1;
    }
    return pickle_push_named(p, line[0], len[0], line[1], len[1]);
}

static int push_stack_global(struct pickle *p)
{
    const struct pickle_value *name = pickle_pop(p), *module = name ? pickle_pop(p) : NULL;
    if (!module)
        return -1;
    if (module->kind != PICKLE_STR || name->kind != PICKLE_STR)
        return pickle_bad(p, "a class whose name is no string");
    return pickle_push_named(p, module->s, module->n, name->s, name->n);
}

/* A call: becomes an empty dict (OrderedDict()) or a node that says what would be called. */
static int reduce(struct pickle *p)
{
    struct pickle_value *args = pickle_peek(p, 0), *fn = args ? pickle_peek(p, 1) : NULL;
    if (!fn)
        return -1;
    if (fn->kind != PICKLE_GLOBAL || args->kind != PICKLE_TUPLE)
        return pickle_bad(p, "a call of what is no class, or without a tuple of arguments");
    if (fn->i == PICKLE_ORDERED_DICT) {
        if (args->n)
            return pickle_bad(p, "an OrderedDict that is not built item by item");
        p->n_stack -= 2;
        return pickle_push(p, pickle_new(p, PICKLE_DICT));
    }
    struct pickle_value *v = pickle_new(p, PICKLE_CALL);
    return pickle_take(p, v, p->n_stack - 2, 0) || pickle_push(p, v) ? -1 : 0;
}

/* BUILD: attributes of an object. Only dicts come with any (a state dict's _metadata), and what
   they say is of no use here. */
static int build(struct pickle *p)
{
    const struct pickle_value *state = pickle_pop(p), *object = state ? pickle_peek(p, 0) : NULL;
    if (!object)
        return -1;
    return object->kind == PICKLE_DICT ? 0 : pickle_bad(p, "attributes for what is no dict");
}

static int persistent(struct pickle *p)
{
    if (!pickle_peek(p, 0))
        return -1;
    struct pickle_value *v = pickle_new(p, PICKLE_PERSISTENT);
    return pickle_take(p, v, p->n_stack - 1, 0) || pickle_push(p, v) ? -1 : 0;
}

static int memo_put(struct pickle *p, uint64_t i)
{
    struct pickle_value *v = pickle_peek(p, 0);
    if (!v)
        return -1;
    if (i >= PICKLE_MAX)
        return pickle_bad(p, "a memo number above 2^20");
    if (mem_grow(&p->memo, &p->cap_memo, i + 1, sizeof *p->memo, p->e))
        return -1;
    for (; p->n_memo <= i; p->n_memo++)
        p->memo[p->n_memo] = NULL;
    p->memo[i] = v;
    return 0;
}

static int memo_op(struct pickle *p, size_t n_bytes, bool put)
{
    uint64_t i;
    if (number(p, n_bytes, &i))
        return -1;
    if (put)
        return memo_put(p, i);
    if (i >= p->n_memo || !p->memo[i])
        return pickle_bad(p, "a memo number that was never given");
    return pickle_push(p, p->memo[i]);
}

static int unknown(struct pickle *p, unsigned op)
{
    static const struct {
        unsigned char code;
        const char *name;
    } other[] = {
#define OP(code, name, action)
#define NO(code, name) {code, #name},
#include "gpt/pickle.def"
#undef OP
#undef NO
    };
    const char *name = "unknown to pickle";
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (other[i].code == op)
            name = other[i].name;
    return err_set(p->e, ERR_DATA,
                   "%s: byte %zu: refused: opcode 0x%02x (%s) is none that plain data needs",
                   p->name, p->at, op, name);
}

static int header_op(struct pickle *p, bool frame)
{
    uint64_t v;
    if (number(p, frame ? 8 : 1, &v))
        return -1;
    if (!frame && (v < 2 || v > 5))
        return pickle_bad(p, "a pickle protocol that is not 2 to 5");
    return 0;
}

/* STOP: one value must be left. */
static int stop(struct pickle *p)
{
    if (p->n_stack != 1)
        return pickle_bad(p, "the end, but not with one value");
    p->root = pickle_pop(p);
    return p->root ? 0 : -1;
}

static int step(struct pickle *p, unsigned op)
{
    switch (op) {
#define OP(code, name, action) \
    case code:                 \
        return action;
#define NO(code, name)
#include "gpt/pickle.def"
#undef OP
#undef NO
    }
    return unknown(p, op);
}

struct pickle *pickle_parse(const unsigned char *b, size_t n, const char *name, struct err *e)
{
    struct pickle *p = mem_calloc(1, sizeof *p, e);
    if (!p)
        return NULL;
    p->bytes = b;
    p->n = n;
    p->name = name;
    p->e = e;
    while (!p->root) {
        p->at = p->pos;
        const unsigned char *op = bytes(p, 1);
        if (!op || step(p, *op)) {
            pickle_free(p);
            return NULL;
        }
    }
    return p;
}
