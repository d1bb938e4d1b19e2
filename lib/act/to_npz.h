/* to_npz.h - a stored stream as an npz archive. */
#ifndef ACT_TO_NPZ_H
#define ACT_TO_NPZ_H

#include "act/npz.h"

/* Reads the stream in the regular file `from` (from its beginning, several times) and writes the
   archive to `to`. Of one item the members are NAME and "tokens"; of several N/NAME and N/tokens
   (N from 0). batch: each NAME once, with a leading dimension over the items, as TransformerLens
   has it; items whose shapes or records differ are ERR_DATA. */
int act_to_npz(int from, const char *name, int to, bool batch, struct err *e);

#endif
