/* summary.h - what is in a stream, as text for people. */
#ifndef COMMON_SUMMARY_H
#define COMMON_SUMMARY_H

#include "act/reader.h"

const char *record_dtype(enum act_dtype t); /* "float32" … */

/* "pos 26, head=3+7, d_head 32": sizes, or coordinates where they are not 0, 1, 2 …; long lists are
   cut. "scalar" without dimensions. */
#define RECORD_SHAPE_MAX 400
void record_shape(const struct act_record *r, char *text, size_t size);

/* Reads the stream to its END and appends lines of key and value, an empty line, and a table of its
   records by name: sizes that differ are given as a range, names beyond the 4096th are counted
   together. Nothing is appended when the stream is bad. */
int stream_summary(struct act_reader *r, struct buf *b, struct err *e);

#endif
