#include "base/crc.h"

#include "base/bytes.h"

void crc_table_init(struct crc_table *c)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t v = i;
        for (int bit = 0; bit < 8; bit++)
            v = v >> 1 ^ (v & 1 ? 0xEDB88320u : 0);
        c->t[0][i] = v;
    }
    for (int k = 1; k < 8; k++)
        for (int i = 0; i < 256; i++)
            c->t[k][i] = c->t[k - 1][i] >> 8 ^ c->t[0][c->t[k - 1][i] & 0xFF];
}

uint32_t crc_update(const struct crc_table *c, uint32_t crc, const void *p, size_t n)
{
    const unsigned char *s = p;
    crc = ~crc;
    for (; n >= 8; n -= 8, s += 8) {
        uint32_t a = crc ^ get_le32(s), b = get_le32(s + 4);
        crc = c->t[7][a & 0xFF] ^ c->t[6][a >> 8 & 0xFF] ^ c->t[5][a >> 16 & 0xFF] ^
              c->t[4][a >> 24] ^ c->t[3][b & 0xFF] ^ c->t[2][b >> 8 & 0xFF] ^
              c->t[1][b >> 16 & 0xFF] ^ c->t[0][b >> 24];
    }
    for (; n > 0; n--, s++)
        crc = crc >> 8 ^ c->t[0][(crc ^ *s) & 0xFF];
    return ~crc;
}
