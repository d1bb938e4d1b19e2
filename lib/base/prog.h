/* prog.h - what this process was called with. Set once by main before anything else runs; the
   stream writer and the table writer read it, so that no tool can forget its history. */
#ifndef BASE_PROG_H
#define BASE_PROG_H

/* Remembers argv, shell-quoted and joined by blanks; the program is named without its folder. */
void prog_set(int argc, char *const argv[]);

/* --no-history: from now on prog_command() is "". */
void prog_forget(void);

/* The command line, or "" after prog_forget. Valid for ever; never NULL. */
const char *prog_command(void);

#endif
