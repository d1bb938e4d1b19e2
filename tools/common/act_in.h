/* act_in.h - an operand that is a stream or an npz archive, with the labels of the hook points.
 */
#ifndef COMMON_ACT_IN_H
#define COMMON_ACT_IN_H

#include "act/source.h"

/* "-" is stdin, which must not be a terminal (ERR_USAGE). prefix: of an archive's members, or NULL.
   Close with act_source_close. */
struct act_source *act_in(const char *path, const char *prefix, struct err *e);

#endif
