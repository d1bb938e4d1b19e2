/* The fingerprint that ties a stream to the model that made it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "gpt/model_parts.h"
#include "gpt/params.h"

/* Each costs a page fault where the weights are mapped: 32 of each tensor are 3 ms for GPT-2 small,
   256 are 20. */
enum { SAMPLES = 32 };

/* FNV-1a, 64 bits (RFC 9923). */
static uint64_t hash(uint64_t h, const void *p, size_t n)
{
    const unsigned char *s = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ s[i]) * 0x100000001b3u;
    return h;
}

static uint64_t hash_u64(uint64_t h, uint64_t v)
{
    unsigned char b[8];
    put_le64(b, v);
    return hash(h, b, sizeof b);
}

static uint64_t hash_values(uint64_t h, const struct gpt_matrix *v)
{
    uint64_t n = (uint64_t)v->in * (uint64_t)v->out, k = n < SAMPLES ? n : SAMPLES;
    for (uint64_t i = 0; i < k; i++) {
        /* Anywhere in the i-th of k parts: always its beginning would be always the same column. */
        uint64_t at = i * n / k + i * 2654435761u % (n / k);
        uint64_t row = at / (uint64_t)v->out, col = at % (uint64_t)v->out;
        float x = 0; /* an absent bias counts as zeros, so that conversions may add or drop it */
        if (v->w)
            x = v->w[v->transposed ? col * (uint64_t)v->in + row : at];
        uint32_t bits;
        unsigned char b[4];
        memcpy(&bits, &x, sizeof bits);
        put_le32(b, x == 0 ? 0 : bits); /* -0 is 0 */
        h = hash(h, b, sizeof b);
    }
    return h;
}

int model_fingerprint(struct gpt_model *m, struct err *e)
{
    struct buf config = {0};
    struct gpt_param p;
    if (gpt_config_to_json(&m->cfg, &config, e)) {
        buf_release(&config);
        return -1;
    }
    uint64_t h = hash(0xcbf29ce484222325u, config.p, config.len);
    buf_release(&config);
    m->bytes = 0;
    for (int i = 0; i < gpt_param_end(&m->cfg); i++) {
        if (!gpt_param_at(&m->cfg, i, &p))
            continue;
        struct gpt_matrix v = gpt_param_get(m, &p);
        h = hash(h, p.name, strlen(p.name));
        h = hash_u64(hash_u64(h, (uint64_t)v.in), (uint64_t)v.out);
        h = hash_values(h, &v);
        if (v.w)
            m->bytes += (uint64_t)v.in * (uint64_t)v.out * sizeof(float);
    }
    snprintf(m->id, sizeof m->id, "%016llx", (unsigned long long)h);
    return 0;
}
