#include "act/huff.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"

#define STREAMS 4
#define TABLE (1u << HUFF_BITS)

/* Per refill of a 64-bit window at least 56 bits are valid: five codes of eleven bits. */
#define PER_REFILL 5

static inline uint64_t load64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store64(unsigned char *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
}

/* The bytes that occur, rarest first; ties in byte order. Returns how many. */
static unsigned sort_symbols(uint8_t order[256], const uint32_t count[256])
{
    unsigned m = 0;
    for (unsigned s = 0; s < 256; s++) {
        if (!count[s])
            continue;
        unsigned i = m++;
        for (; i > 0 && count[order[i - 1]] > count[s]; i--)
            order[i] = order[i - 1];
        order[i] = (uint8_t)s;
    }
    return m;
}

/* Package-merge (Larmore and Hirschberg, J. ACM 37, 1990): at each level the list is the symbols
   merged with pairs of the level before; the cheapest 2m-2 entries of the last level give the
   lengths. The symbols among the first k entries of a level are always the rarest ones, so a flag
   for each entry is all that the way back needs. */
static void package_merge(uint8_t len[256], const uint8_t *order, unsigned m, const uint32_t *count)
{
    bool symbol[HUFF_BITS][512];
    uint64_t weight[2][512];
    unsigned n = 0;
    for (unsigned level = 0; level < HUFF_BITS; level++) {
        const uint64_t *prev = weight[(level + 1) & 1];
        uint64_t *cur = weight[level & 1];
        unsigned pairs = n / 2, i = 0, j = 0;
        for (n = 0; i < m || j < pairs; n++) {
            uint64_t pair = j < pairs ? prev[2 * j] + prev[2 * j + 1] : UINT64_MAX;
            symbol[level][n] = i < m && count[order[i]] <= pair;
            if (symbol[level][n]) {
                cur[n] = count[order[i++]];
            } else {
                cur[n] = pair;
                j++;
            }
        }
    }
    unsigned need = 2 * m - 2;
    for (unsigned level = HUFF_BITS; level-- > 0 && need;) {
        unsigned symbols = 0;
        for (unsigned i = 0; i < need; i++)
            symbols += symbol[level][i];
        for (unsigned i = 0; i < symbols; i++)
            len[order[i]]++;
        need = 2 * (need - symbols);
    }
}

void huff_build(struct huff_code *c, const uint32_t count[256])
{
    uint8_t order[256];
    unsigned m = sort_symbols(order, count);
    memset(c, 0, sizeof *c);
    package_merge(c->len, order, m, count);
    c->first = 256;
    uint64_t bits = 0;
    for (unsigned s = 0; s < 256; s++) {
        if (!c->len[s])
            continue;
        if (c->first == 256)
            c->first = s;
        c->last = s;
        bits += (uint64_t)count[s] * c->len[s];
    }
    c->size = (size_t)(bits / 8) + STREAMS + 2 + (c->last - c->first + 2) / 2 + 4 * STREAMS;
}

/* code[s]: the canonical code, its bits in the order of the stream (the first is the lowest). False
   when the lengths are not those of a complete code. */
static bool assign_codes(uint16_t code[256], const uint8_t len[256])
{
    unsigned per_length[HUFF_BITS + 1] = {0}, next[HUFF_BITS + 2] = {0};
    for (unsigned s = 0; s < 256; s++)
        per_length[len[s]]++;
    per_length[0] = 0;
    for (unsigned l = 1; l <= HUFF_BITS; l++)
        next[l + 1] = (next[l] + per_length[l]) << 1;
    if (next[HUFF_BITS + 1] != TABLE << 1)
        return false;
    for (unsigned s = 0; s < 256; s++) {
        unsigned v = len[s] ? next[len[s]]++ : 0, r = 0;
        for (unsigned i = 0; i < len[s]; i++)
            r |= (v >> i & 1u) << (len[s] - 1 - i);
        code[s] = (uint16_t)r;
    }
    return true;
}

/* Stream k holds the bytes [k * quarter, (k + 1) * quarter) of the plane; the last ones may be
   shorter or empty. */
static size_t quarter(size_t n)
{
    return (n + STREAMS - 1) / STREAMS;
}

static size_t part_begin(size_t n, unsigned k)
{
    size_t at = quarter(n) * k;
    return at < n ? at : n;
}

static unsigned char *encode_part(unsigned char *out, const uint32_t entry[256],
                                  const unsigned char *p, size_t n)
{
    uint64_t acc = 0;
    unsigned bits = 0;
    size_t i = 0;
    for (; i + PER_REFILL <= n; i += PER_REFILL) {
        for (size_t j = 0; j < PER_REFILL; j++) {
            uint32_t t = entry[p[i + j]];
            acc |= (uint64_t)(t & 0xffffu) << bits;
            bits += t >> 16;
        }
        store64(out, acc);
        out += bits >> 3;
        acc >>= bits & ~7u;
        bits &= 7u;
    }
    for (; i < n; i++) {
        uint32_t t = entry[p[i]];
        acc |= (uint64_t)(t & 0xffffu) << bits;
        bits += t >> 16;
    }
    store64(out, acc);
    return out + (bits + 7) / 8;
}

size_t huff_encode(unsigned char *out, const struct huff_code *c, const unsigned char *p, size_t n)
{
    uint16_t code[256];
    uint32_t entry[256];
    assign_codes(code, c->len);
    for (unsigned s = 0; s < 256; s++)
        entry[s] = code[s] | (uint32_t)c->len[s] << 16;
    unsigned char *o = out;
    *o++ = (unsigned char)c->first;
    *o++ = (unsigned char)c->last;
    for (unsigned s = c->first; s <= c->last; s += 2)
        *o++ = (unsigned char)(c->len[s] | (s < c->last ? c->len[s + 1] << 4 : 0));
    unsigned char *sizes = o;
    o += 4 * STREAMS;
    for (unsigned k = 0; k < STREAMS; k++) {
        size_t a = part_begin(n, k), b = part_begin(n, k + 1);
        unsigned char *end = encode_part(o, entry, p + a, b - a);
        put_le32(sizes + 4 * k, (uint32_t)(end - o));
        o = end;
    }
    return (size_t)(o - out);
}

struct part {
    const unsigned char *in, *end;
    unsigned char *out, *out_end;
    uint64_t acc;
    unsigned bits; /* valid bits in acc */
};

static inline void refill(struct part *s)
{
    s->acc |= load64(s->in) << s->bits;
    s->in += (63 - s->bits) >> 3;
    s->bits |= 56;
}

static inline void decode_one(struct part *s, const uint16_t *table)
{
    uint16_t t = table[s->acc & (TABLE - 1)];
    *s->out++ = (unsigned char)t;
    s->acc >>= t >> 8;
    s->bits -= t >> 8;
}

/* The last bytes of a stream, never reading beyond its end. True when the stream ended exactly with
   the last code and the padding bits are zero. */
static bool decode_tail(struct part *s, const uint16_t *table)
{
    s->acc = s->bits < 64 ? s->acc & ((1ull << s->bits) - 1) : s->acc;
    while (s->out < s->out_end) {
        while (s->bits <= 56 && s->in < s->end) {
            s->acc |= (uint64_t)*s->in++ << s->bits;
            s->bits += 8;
        }
        uint16_t t = table[s->acc & (TABLE - 1)];
        if (t >> 8 > s->bits)
            return false;
        decode_one(s, table);
    }
    return (size_t)(s->end - s->in) * 8 + s->bits < 8 && s->acc == 0;
}

static bool decode_streams(struct part s[STREAMS], const uint16_t *table)
{
    struct part a = s[0], b = s[1], c = s[2], d = s[3];
    /* The last stream's part is never longer than the others', so its room is room for all. */
    while (d.out_end - d.out >= PER_REFILL && a.end - a.in >= 8 && b.end - b.in >= 8 &&
           c.end - c.in >= 8 && d.end - d.in >= 8) {
        refill(&a);
        refill(&b);
        refill(&c);
        refill(&d);
        for (int i = 0; i < PER_REFILL; i++) {
            decode_one(&a, table);
            decode_one(&b, table);
            decode_one(&c, table);
            decode_one(&d, table);
        }
    }
    return decode_tail(&a, table) && decode_tail(&b, table) && decode_tail(&c, table) &&
           decode_tail(&d, table);
}

/* Reads the code lengths; returns the bytes used or 0. */
static size_t read_lengths(uint8_t len[256], const unsigned char *in, size_t n)
{
    memset(len, 0, 256);
    if (n < 2 || in[0] >= in[1])
        return 0;
    unsigned first = in[0], last = in[1], bytes = (last - first + 2) / 2;
    if (n < 2 + bytes)
        return 0;
    for (unsigned i = 0; i <= last - first; i++) {
        unsigned l = in[2 + i / 2] >> (i % 2 * 4) & 15u;
        if (l > HUFF_BITS)
            return 0;
        len[first + i] = (uint8_t)l;
    }
    bool padded = (last - first) % 2 == 0 && in[1 + bytes] >> 4;
    return len[first] && len[last] && !padded ? 2 + bytes : 0;
}

size_t huff_decode(unsigned char *p, size_t n, const unsigned char *in, size_t len)
{
    uint8_t lengths[256];
    uint16_t code[256], table[TABLE];
    size_t at = read_lengths(lengths, in, len);
    if (!at || len - at < 4 * STREAMS || !assign_codes(code, lengths))
        return 0;
    for (unsigned s = 0; s < 256; s++) {
        for (unsigned i = code[s]; lengths[s] && i < TABLE; i += 1u << lengths[s])
            table[i] = (uint16_t)(s | (unsigned)lengths[s] << 8);
    }
    struct part part[STREAMS];
    const unsigned char *sizes = in + at;
    at += 4 * STREAMS;
    for (unsigned k = 0; k < STREAMS; k++) {
        size_t size = get_le32(sizes + 4 * k);
        if (size > len - at)
            return 0;
        part[k] = (struct part){.in = in + at,
                                .end = in + at + size,
                                .out = p + part_begin(n, k),
                                .out_end = p + part_begin(n, k + 1)};
        at += size;
    }
    return decode_streams(part, table) ? at : 0;
}
