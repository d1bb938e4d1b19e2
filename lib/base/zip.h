/* zip.h - zip archives (torch.save's and NumPy's containers), over libzip (the only place that
   includes it). Everything from the archive is hostile: sizes are checked before allocating, names
   are only compared, nothing is extracted to disk. */
#ifndef BASE_ZIP_H
#define BASE_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"

struct zip_file; /* an archive open for reading, over the bytes of a map that must outlive it */

/* NULL with ERR_DATA when the bytes are no zip archive. `name` is for messages. */
struct zip_file *zip_file_open(const struct io_map *m, const char *name, struct err *e);
void zip_file_close(struct zip_file *z);

size_t zip_file_count(const struct zip_file *z);
/* NULL when i is out of range. */
const char *zip_file_name(const struct zip_file *z, size_t i);
/* Index of the entry, or -1. */
int64_t zip_file_find(const struct zip_file *z, const char *name);
/* Uncompressed size in bytes. */
uint64_t zip_file_size(const struct zip_file *z, size_t i);

/* Reads entry i whole into b (replacing it), CRC checked. ERR_DATA when it is larger than max (a
   zip bomb never inflates past max) or damaged. */
int zip_file_read(struct zip_file *z, size_t i, size_t max, struct buf *b, struct err *e);

/* Where the bytes of a *stored* (not compressed) entry lie in the map: *offset is from m->base, the
   length is zip_file_size(). 0; 1 when the entry is compressed (read it instead); -1 on bad data.
   The bytes are inside the map, their CRC is not checked (that would read them all). */
int zip_file_locate(struct zip_file *z, size_t i, uint64_t *offset, struct err *e);

/* Entry i from its first byte on, in pieces, stored or compressed; its CRC is compared when the
   last byte is read. NULL on bad data. Close it before the archive. */
struct zip_entry;
struct zip_entry *zip_entry_open(struct zip_file *z, size_t i, struct err *e);
/* Exactly the next n bytes to p; p NULL passes over them. */
int zip_entry_read(struct zip_entry *en, void *p, uint64_t n, struct err *e);
void zip_entry_close(struct zip_entry *en); /* NULL is fine */

/* Writing: stored entries with zip64 where needed, one after the other, to a file or a pipe
   (nothing is sought back to; no entry is held whole). begin, put until `size` bytes have been
   given, begin the next …, finish. */
struct zip_writer;
struct zip_writer *zip_writer_open(int fd, struct err *e);
/* Begins an entry; size is exact. */
int zip_writer_begin(struct zip_writer *w, const char *name, uint64_t size, struct err *e);
int zip_writer_put(struct zip_writer *w, const void *p, size_t n, struct err *e);
/* Writes the directory. */
int zip_writer_finish(struct zip_writer *w, struct err *e);
void zip_writer_free(struct zip_writer *w);

#endif
