/* config_in.h - options from a file, and into one.

   A file has lines "name = value" with the names of the long options, where '_' is as good as '-';
   '#' begins a comment; values may stand in quotes; a flag's value is true or false. */
#ifndef COMMON_CONFIG_IN_H
#define COMMON_CONFIG_IN_H

#include "base/buf.h"
#include "cli/tool.h"

/* What an option holds while nobody has given it: a flag false, a string NULL, a list empty, and
   numbers these. Their ranges must leave them out. */
#define OPT_UNSET_INT (-1)
#define OPT_UNSET_FLOAT (-1.0)

/* Gives the options of the table that are unset the values in the file; those that are set keep
   theirs. *text keeps the file's strings: release it after the last use of the options. ERR_DATA or
   ERR_USAGE "FILE: line N: …". */
int config_in(const char *path, const struct opt *table, struct buf *text, struct err *e);

/* Appends every option that is set, but for those named in `but` (which ends with NULL). */
int config_out(const struct opt *table, const char *const *but, struct buf *b, struct err *e);

#endif
