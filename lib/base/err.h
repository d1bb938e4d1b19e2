/* err.h - the error object that library functions fill and return -1 with. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

/* The kinds are the exit codes of the suite. */
enum err_kind {
    ERR_NONE = 0,
    ERR_USAGE = 2, /* the caller asked for something that makes no sense */
    ERR_DATA = 3,  /* foreign bytes are truncated, corrupt, or of another model */
    ERR_SYS = 4,   /* I/O or memory */
};

struct err {
    enum err_kind kind;
    char msg[1024]; /* "thing: reason", without the tool's name and without newline */
};

/* Sets *e and returns -1, so that a caller can write `return err_set(e, ERR_DATA, …)`. */
__attribute__((format(printf, 3, 4))) int err_set(struct err *e, enum err_kind kind,
                                                  const char *fmt, ...);

/* Like err_set with ERR_SYS; appends ": " and strerror(errno). */
__attribute__((format(printf, 2, 3))) int err_sys(struct err *e, const char *fmt, ...);

/* Puts "prefix: " before the message that *e holds (names the thing that failed). Returns -1. */
__attribute__((format(printf, 2, 3))) int err_prefix(struct err *e, const char *fmt, ...);

#endif
