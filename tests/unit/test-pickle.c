#include "gpt/pickle.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "test.h"

/* Parses a copy whose allocation ends where the bytes do. */
static struct pickle *parse(const char *bytes, size_t n, unsigned char **copy, struct err *e)
{
    *copy = malloc(n ? n : 1);
    memcpy(*copy, bytes, n);
    return pickle_parse(*copy, n, "P", e);
}

#define PARSE(text, copy, e) parse(text, sizeof text - 1, copy, e)

/* pickle.dumps({'a': [1, -2, 300, 70000, 2**40, -2**40], 'b': (1.5, None, True, False),
   'c': {'x': b'yz', 3: ()}, 'd': s, 'e': s}, protocol) with s = 'é', as Python 3.11 writes it
   (protocol 2 has no opcode for bytes: there without 'c'). */
static const char PROTOCOL_2[] =
    "\x80\x02}q\x00(X\x01\x00\x00\x00"
    "aq\x01]q\x02(K\x01J\xfe\xff\xff\xffM,"
    "\x01Jp\x11\x01\x00\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x06\x00\x00\x00\x00\x00\xff"
    "eX\x01\x00\x00\x00"
    "bq\x03(G?\xf8\x00\x00\x00\x00\x00\x00N\x88\x89tq\x04X\x01\x00\x00\x00"
    "dq\x05X\x02\x00\x00\x00\xc3\xa9q\x06X\x01\x00\x00\x00"
    "eq\x07h\x06u.";
static const char PROTOCOL_4[] =
    "\x80\x04\x95"
    "b\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01"
    "a\x94]\x94(K\x01J\xfe\xff\xff\xffM,"
    "\x01Jp\x11\x01\x00\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x06\x00\x00\x00\x00\x00\xff"
    "e\x8c\x01"
    "b\x94(G?\xf8\x00\x00\x00\x00\x00\x00N\x88\x89t\x94\x8c\x01"
    "c\x94}\x94(\x8c\x01x\x94"
    "C\x02yz\x94K\x03)u\x8c\x01"
    "d\x94\x8c\x02\xc3\xa9\x94\x8c\x01"
    "e\x94h\x0au.";

static void check_plain(const char *bytes, size_t n)
{
    static const int64_t want[] = {1, -2, 300, 70000, (int64_t)1 << 40, -((int64_t)1 << 40)};
    struct err e = {0};
    unsigned char *copy;
    struct pickle *p = parse(bytes, n, &copy, &e);
    CHECK(p != NULL);
    if (!p) {
        printf("# %s\n", e.msg);
        free(copy);
        return;
    }
    const struct pickle_value *root = pickle_root(p), *a = pickle_get(root, "a");
    CHECK(root->kind == PICKLE_DICT && a && a->kind == PICKLE_LIST && a->n == 6);
    for (size_t i = 0; a && i < 6; i++)
        CHECK(a->item[i]->kind == PICKLE_INT && a->item[i]->i == want[i]);
    const struct pickle_value *b = pickle_get(root, "b");
    CHECK(b && b->kind == PICKLE_TUPLE && b->n == 4);
    CHECK(b && b->item[0]->kind == PICKLE_FLOAT && b->item[0]->f == 1.5);
    CHECK(b && b->item[1]->kind == PICKLE_NONE && b->item[2]->i == 1 && b->item[3]->i == 0);
    CHECK(b && b->item[2]->kind == PICKLE_BOOL && b->item[3]->kind == PICKLE_BOOL);
    CHECK(pickle_is_str(pickle_get(root, "d"), "\xc3\xa9"));
    CHECK(pickle_get(root, "e") == pickle_get(root, "d")); /* by the memo */
    CHECK(pickle_get(root, "none") == NULL && pickle_get(a, "a") == NULL);
    const struct pickle_value *c = pickle_get(root, "c");
    if (c) {
        const struct pickle_value *x = pickle_get(c, "x");
        CHECK(x && x->kind == PICKLE_BYTES && x->n == 2 && memcmp(x->s, "yz", 2) == 0);
        CHECK(c->n == 4 && c->item[2]->i == 3 && c->item[3]->kind == PICKLE_TUPLE);
    }
    pickle_free(p);
    free(copy);
}

static void plain_data(void)
{
    check_plain(PROTOCOL_2, sizeof PROTOCOL_2 - 1);
    check_plain(PROTOCOL_4, sizeof PROTOCOL_4 - 1);
}

/* {'w': a tensor} as torch.save writes it, memo and requires_grad left out. */
#define TENSOR                                                                                 \
    "\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage" \
    "ctorch\nHalfStorage\nX\x01\x00\x00\x00"                                                   \
    "0X\x03\x00\x00\x00"                                                                       \
    "cpuK\x06tQK\x00K\x02K\x03\x86"                                                            \
    "K\x03K\x01\x86\x89"                                                                       \
    "ccollections\nOrderedDict\n)RtRs."

static void a_tensor_is_a_node(void)
{
    struct err e = {0};
    unsigned char *copy;
    struct pickle *p = PARSE(TENSOR, &copy, &e);
    CHECK(p != NULL);
    const struct pickle_value *w = p ? pickle_get(pickle_root(p), "w") : NULL;
    CHECK(w && w->kind == PICKLE_CALL && w->item[0]->i == PICKLE_REBUILD_TENSOR);
    const struct pickle_value *args = w ? w->item[1] : NULL;
    CHECK(args && args->n == 6 && args->item[0]->kind == PICKLE_PERSISTENT);
    const struct pickle_value *id = args ? args->item[0]->item[0] : NULL;
    CHECK(id && id->n == 5 && pickle_is_str(id->item[0], "storage"));
    CHECK_STR(id ? pickle_storage_dtype(id->item[1]->i) : "", "F16");
    CHECK(args && args->item[5]->kind == PICKLE_DICT && args->item[5]->n == 0);
    CHECK(pickle_storage_dtype(PICKLE_ORDERED_DICT) == NULL && pickle_storage_dtype(99) == NULL);
    pickle_free(p);
    free(copy);
}

static const struct {
    const char *bytes;
    size_t n;
    const char *message;
} BAD[] = {
#define CASE(text, message)            \
    {                                  \
        text, sizeof text - 1, message \
    }
    CASE("", "P: byte 0: cut short"),
    /* os.system("id"), protocols 0, 2 and 4, and by INST and OBJ */
    CASE("cos\nsystem\n(S'id'\ntR.", "P: byte 0: refused: the pickle wants to call os.system; "
                                     "actutils builds data only"),
    CASE("\x80\x02"
         "cposix\nsystem\nX\x02\x00\x00\x00id\x85R.",
         "P: byte 2: refused: the pickle wants to call posix.system; actutils builds data only"),
    CASE("\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.",
         "P: byte 17: refused: the pickle wants to call posix.system; actutils builds data only"),
    CASE("(X\x02\x00\x00\x00idios\nsystem\n.",
         "P: byte 8: refused: opcode 0x69 (INST) is none that plain data needs"),
    CASE("(NNo.", "P: byte 3: refused: opcode 0x6f (OBJ) is none that plain data needs"),
    CASE("N)\x81.", "P: byte 2: refused: opcode 0x81 (NEWOBJ) is none that plain data needs"),
    CASE("I1\n.", "P: byte 0: refused: opcode 0x49 (INT) is none that plain data needs"),
    CASE("\xff.", "P: byte 0: refused: opcode 0xff (unknown to pickle) is none that plain data "
                  "needs"),
    /* a name that would speak to the terminal */
    CASE("c\x1b[2J\nx\n.", "P: byte 0: refused: the pickle wants to call \\x1b[2J.x; actutils "
                           "builds data only"),
    /* near misses of what is allowed */
    CASE("ctorch._utils\n_rebuild_tensor\n.", "P: byte 0: refused: the pickle wants to call "
                                              "torch._utils._rebuild_tensor; actutils builds data "
                                              "only"),
    CASE("ctorc\nhFloatStorage\n.", "P: byte 0: refused: the pickle wants to call "
                                    "torc.hFloatStorage; actutils builds data only"),
    CASE("NN\x93.", "P: byte 2: a class whose name is no string"),
    CASE("N)R.", "P: byte 2: a call of what is no class, or without a tuple of arguments"),
    CASE("ccollections\nOrderedDict\nNR.",
         "P: byte 26: a call of what is no class, or without a tuple of arguments"),
    CASE("ccollections\nOrderedDict\nN\x85R.",
         "P: byte 27: an OrderedDict that is not built item by item"),
    CASE("]N}b.", "P: byte 3: attributes for what is no dict"),
    /* the stack */
    CASE(".", "P: byte 0: the end, but not with one value"),
    CASE("NN.", "P: byte 2: the end, but not with one value"),
    CASE("(.", "P: byte 1: the stack is empty"),
    CASE("t.", "P: byte 0: no mark on the stack"),
    CASE("N(\x85.", "P: byte 2: the stack is empty"),
    CASE("N\x86.", "P: byte 1: the stack is empty"),
    CASE("N(NR.", "P: byte 3: the stack is empty"),
    CASE("(e.", "P: byte 1: items for what is no list"),
    CASE("}(Ne.", "P: byte 3: items for what is no list"),
    CASE("]Na]NNs.", "P: byte 6: items for what is no dict"),
    CASE("}(Nu.", "P: byte 3: a dict with a key that has no value"),
    CASE("(Nd.", "P: byte 2: a dict with a key that has no value"),
    CASE("}(Ns.", "P: byte 3: the stack is empty"),
    CASE("Na.", "P: byte 1: items for what is no list"),
    CASE("h\x00.", "P: byte 0: a memo number that was never given"),
    CASE("Nq\x02h\x01.", "P: byte 3: a memo number that was never given"),
    CASE("Nr\x00\x00\x10\x00.", "P: byte 1: a memo number above 2^20"),
    CASE("Nr\xff\xff\xff\xff.", "P: byte 1: a memo number above 2^20"),
    CASE("q\x00.", "P: byte 0: the stack is empty"),
    CASE("Q.", "P: byte 0: the stack is empty"),
    /* numbers and lengths */
    CASE("\x80\x01.", "P: byte 0: a pickle protocol that is not 2 to 5"),
    CASE("\x8a\x09\x01\x01\x01\x01\x01\x01\x01\x01\x01.",
         "P: byte 0: an integer of more than 64 bits"),
    CASE("X\xff\xff\xff\xff.", "P: byte 0: cut short"),
    CASE("\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "P: byte 0: cut short"),
    CASE("cos", "P: byte 0: cut short"),
#undef CASE
};

static void everything_else_is_refused(void)
{
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct err e = {0};
        unsigned char *copy;
        struct pickle *p = parse(BAD[i].bytes, BAD[i].n, &copy, &e);
        CHECK(p == NULL && e.kind == ERR_DATA);
        CHECK_STR(e.msg, BAD[i].message);
        pickle_free(p);
        free(copy);
    }
}

static void a_dict_that_holds_itself(void)
{
    struct err e = {0};
    unsigned char *copy;
    struct pickle *p = PARSE("}q\x00X\x01\x00\x00\x00kh\x00s.", &copy, &e);
    CHECK(p && pickle_get(pickle_root(p), "k") == pickle_root(p));
    pickle_free(p);
    free(copy);
}

static void cut_at_every_length(void)
{
    static const char all[] = TENSOR;
    for (size_t n = 0; n < sizeof all - 1; n++) {
        struct err e = {0};
        unsigned char *copy;
        struct pickle *p = parse(all, n, &copy, &e);
        CHECK(p == NULL && e.kind == ERR_DATA && strstr(e.msg, "cut short"));
        pickle_free(p);
        free(copy);
    }
}

static void limits(void)
{
    struct err e = {0};
    size_t n = ((size_t)1 << 20) + 2;
    unsigned char *bytes = malloc(n);
    memset(bytes, 'N', n);
    CHECK(pickle_parse(bytes, n, "P", &e) == NULL);
    CHECK_STR(e.msg, "P: byte 1048576: more than 2^20 objects: no checkpoint has so many");
    memset(bytes, '(', n); /* marks count too */
    CHECK(pickle_parse(bytes, n, "P", &e) == NULL && e.kind == ERR_DATA);
    free(bytes);
}

int main(void)
{
    RUN(plain_data);
    RUN(a_tensor_is_a_node);
    RUN(everything_else_is_refused);
    RUN(a_dict_that_holds_itself);
    RUN(cut_at_every_length);
    RUN(limits);
    return test_done();
}
