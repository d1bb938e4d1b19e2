/* bench-codec [FILE.act|FILE] - how fast blocks are coded and decoded on one core, and how much
   smaller they become. FILE: a stream, whose float32 records are taken, or raw float32 values; at
   most 64 MiB are used. Without it: what a residual stream looks like, normal values with a scale
   for each of 768 dimensions that spans a factor of 8. Beside it the ceilings of the same machine:
   a copy of the memory, the CRC-32 alone, and gzip -6. TSV on stdout; MB are 10^6 bytes of values.
 */
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "act/codec.h"
#include "act/reader.h"
#include "base/clock.h"
#include "base/io.h"

#define VALUES_MAX ((size_t)1 << 24)
#define REPEATS 5

static void die(const char *why)
{
    fprintf(stderr, "bench-codec: %s\n", why);
    exit(4);
}

/* Box-Muller on an xorshift generator. */
static size_t make_values(float *v, size_t n)
{
    uint32_t x = 2463534242u;
    for (size_t i = 0; i < n; i++) {
        double u[2];
        for (int k = 0; k < 2; k++) {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            u[k] = (x + 0.5) * 0x1p-32;
        }
        double scale = exp2(3.0 * (double)(i * 2654435761u % 768) / 768);
        v[i] = (float)(scale * sqrt(-2 * log(u[0])) * cos(6.283185307179586 * u[1]));
    }
    return n;
}

static size_t read_stream(float *v, struct act_reader *r)
{
    struct err e;
    size_t n = 0;
    int event;
    while ((event = act_reader_next(r, &e)) > 0) {
        const struct act_record *rec = act_reader_record(r);
        if (event != ACT_RECORD || rec->dtype != ACT_F32)
            continue;
        size_t m = act_record_count(rec);
        m = m < VALUES_MAX - n ? m : VALUES_MAX - n;
        if (act_reader_values(r, v + n, m, &e))
            die(e.msg);
        n += m;
    }
    if (event < 0)
        die(e.msg);
    return n;
}

static size_t read_values(float *v, const char *path)
{
    struct err e;
    size_t got = 0;
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        die(path);
    struct act_reader *r = act_reader_open(fd, path, &e);
    if (r) {
        got = 4 * read_stream(v, r);
        act_reader_free(r);
    } else if (lseek(fd, 0, SEEK_SET) != 0 || io_read_full(fd, v, 4 * VALUES_MAX, &got, &e)) {
        die(e.msg);
    }
    close(fd);
    return got / 4;
}

static size_t block_size(size_t n, size_t i)
{
    return n - i < CODEC_BLOCK ? n - i : CODEC_BLOCK;
}

/* Codes and decodes all blocks; the best times of REPEATS go to t[0] and t[1]. */
static size_t measure(const float *v, float *back, size_t n, enum act_dtype t, double best[2])
{
    size_t blocks = (n + CODEC_BLOCK - 1) / CODEC_BLOCK, stored = 0;
    struct codec_slot *slot = calloc(blocks, sizeof *slot);
    struct err e;
    if (!slot)
        die("out of memory");
    best[0] = best[1] = 1e9;
    for (int k = 0; k < REPEATS; k++) {
        double start = clock_seconds();
        stored = 0;
        for (size_t b = 0; b < blocks; b++) {
            size_t i = b * CODEC_BLOCK;
            if (codec_encode(&slot[b], v + i, block_size(n, i), t, 1, &e))
                die(e.msg);
            stored += slot[b].stored_len;
        }
        double middle = clock_seconds();
        for (size_t b = 0; b < blocks; b++) {
            size_t i = b * CODEC_BLOCK;
            if (slot[b].codec != CODEC_STORED &&
                codec_decode(&slot[b], back + i, block_size(n, i), t, &e))
                die(e.msg);
        }
        double end = clock_seconds();
        best[0] = middle - start < best[0] ? middle - start : best[0];
        best[1] = end - middle < best[1] ? end - middle : best[1];
    }
    for (size_t b = 0; b < blocks; b++)
        codec_slot_release(&slot[b]);
    free(slot);
    return stored;
}

/* gzip of a temporary file with the values into another; its size, and seconds for each way. */
static size_t gzip(const float *v, size_t n, double seconds[2])
{
    struct err e;
    FILE *f[3] = {tmpfile(), tmpfile(), tmpfile()};
    static const char *const option[2] = {"-6", "-d"};
    if (!f[0] || !f[1] || !f[2] || io_write_all(fileno(f[0]), v, 4 * n, &e))
        die("cannot write a temporary file");
    for (int k = 0; k < 2; k++) {
        int status;
        double start = clock_seconds();
        if (lseek(fileno(f[k]), 0, SEEK_SET) != 0)
            die("lseek");
        pid_t pid = fork();
        if (pid == 0) {
            dup2(fileno(f[k]), STDIN_FILENO);
            dup2(fileno(f[k + 1]), STDOUT_FILENO);
            execlp("gzip", "gzip", option[k], "-c", (char *)NULL);
            _exit(127);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
            die("gzip failed");
        seconds[k] = clock_seconds() - start;
    }
    off_t size = lseek(fileno(f[1]), 0, SEEK_END);
    for (int k = 0; k < 3; k++)
        fclose(f[k]);
    return (size_t)size;
}

static void row(const char *what, size_t raw, size_t stored, double in, double out)
{
    printf("%s\t%.1f\t%.0f\t%.0f\t%.3f\n", what, (double)raw / 1e6, (double)raw / in / 1e6,
           (double)raw / out / 1e6, (double)raw / (double)stored);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const char *const name[] = {"float32", "float16", "bfloat16"};
    float *v = malloc(4 * VALUES_MAX), *back = malloc(4 * VALUES_MAX);
    double t[2];
    if (!v || !back)
        die("out of memory");
    size_t n = argc > 1 ? read_values(v, argv[1]) : make_values(v, VALUES_MAX / 2);
    if (n == 0)
        die("no float32 values");
    memset(back, 0, 4 * n);
    printf("coder\tmb\tin_mb_s\tout_mb_s\tratio\n");
    for (int k = 0; k < 3; k++) {
        size_t stored = measure(v, back, n, (enum act_dtype)k, t);
        if (k == ACT_F32 && memcmp(v, back, 4 * n) != 0)
            die("values changed");
        row(name[k], n * codec_width((enum act_dtype)k), stored, t[0], t[1]);
    }
    double start = clock_seconds();
    memcpy(back, v, 4 * n);
    t[0] = clock_seconds() - start;
    row("copy", 4 * n, 4 * n, t[0], t[0]);
    start = clock_seconds();
    uint32_t crc = codec_crc(0, v, 4 * n);
    t[0] = clock_seconds() - start;
    row(crc ? "crc32" : "crc32 (0)", 4 * n, 4 * n, t[0], t[0]);
    size_t size = gzip(v, n, t);
    row("gzip -6", 4 * n, size, t[0], t[1]);
    free(v);
    free(back);
    return 0;
}
