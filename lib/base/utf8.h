/* utf8.h - UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* The character at s[0..n) into *cp; returns its length in bytes, 0 when there is none (n is 0, or
   the bytes are not UTF-8). */
size_t utf8_decode(const char *s, size_t n, uint32_t *cp);

/* Writes cp's 1..4 bytes; returns how many, 0 when cp is no character. */
size_t utf8_encode(uint32_t cp, char out[4]);

/* Length of the longest prefix that is UTF-8: n when all of it is. */
size_t utf8_valid(const char *s, size_t n);

/* Appends s[0..n) as text for people: like buf_escape, and bytes that are not UTF-8 and C1 control
   characters are shown as \xNN too, so the result is UTF-8 that no terminal takes for a command. */
int utf8_escape(struct buf *b, const char *s, size_t n, struct err *e);

#endif
