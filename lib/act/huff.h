/* huff.h - a Huffman coder for one plane of bytes, made to be fast: codes of at most 11 bits, four
   interleaved bit streams. Bytes: docs/FORMAT.md, "Huffman plane". */
#ifndef ACT_HUFF_H
#define ACT_HUFF_H

#include <stddef.h>
#include <stdint.h>

#define HUFF_BITS 11

struct huff_code {
    uint8_t len[256]; /* bits of each byte's code; 0: does not occur */
    unsigned first, last;
    size_t size; /* upper bound of what huff_encode will write for the plane that was counted */
};

/* The best code for bytes that occur count[b] times; at least two of them must be nonzero. */
void huff_build(struct huff_code *c, const uint32_t count[256]);

/* Codes p[0..n), whose bytes c was built for, n > 0. `out` has room for c->size + 8 bytes, since
   it writes ahead. Returns the bytes used. */
size_t huff_encode(unsigned char *out, const struct huff_code *c, const unsigned char *p, size_t n);

/* Decodes exactly n bytes from in[0..len). Returns the bytes used, or 0 when they are no valid code
   (nothing outside the two arrays is ever touched, whatever the input). */
size_t huff_decode(unsigned char *p, size_t n, const unsigned char *in, size_t len);

#endif
