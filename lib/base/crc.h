/* crc.h - CRC-32 as zip and gzip have it (polynomial 0xEDB88320, reflected). */
#ifndef BASE_CRC_H
#define BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Tables for eight bytes at a time, 8 KiB; filled once by whoever uses them. */
struct crc_table {
    uint32_t t[8][256];
};
void crc_table_init(struct crc_table *c);

/* The CRC of everything so far and p[0..n); begin with crc 0. */
uint32_t crc_update(const struct crc_table *c, uint32_t crc, const void *p, size_t n);

#endif
