#include "gpt/prompt.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/lines.h"
#include "base/mem.h"

/* The longest line, and the most that is looked through for a place to cut; the bytes of a corpus
   that are encoded at a time. */
enum { LONGEST = 16 << 20, PIECE = 1 << 16 };

struct prompt_source {
    const struct prompt_opts *o;
    const char *const *literal;
    size_t n_literal;
    size_t next;          /* literals begun */
    struct lines in;      /* fd -1: none */
    bool in_file;         /* the literals are done */
    bool told, json;      /* whether the first line told the kind of the others, and that kind */
    struct gpt_ids queue; /* windows: ids not yet given, from `taken` on */
    size_t taken;
    size_t given; /* prompts */
};

void gpt_prompt_release(struct gpt_prompt *p)
{
    free(p->tokens.p);
    free(p->corrupted.p);
    free(p->answer.p);
    free(p->wrong.p);
    buf_release(&p->label);
    *p = (struct gpt_prompt){0};
}

struct prompt_source *prompt_open(const char *path, const char *const *literal, size_t n_literal,
                                  const struct prompt_opts *o, struct err *e)
{
    if (o->mode == PROMPT_WINDOWS && o->window < (o->bos >= 0 ? 2u : 1u)) {
        err_set(e, ERR_USAGE, "a window of %zu tokens has no room for text", o->window);
        return NULL;
    }
    if (o->mode == PROMPT_WINDOWS && o->n_ctx && o->window > o->n_ctx) {
        err_set(e, ERR_USAGE, "a window of %zu tokens is longer than the model's context of %zu",
                o->window, o->n_ctx);
        return NULL;
    }
    struct prompt_source *s = mem_calloc(1, sizeof *s, e);
    if (!s)
        return NULL;
    s->o = o;
    s->literal = literal;
    s->n_literal = n_literal;
    s->in.fd = -1;
    if (path && lines_open(&s->in, path, e)) {
        prompt_close(s);
        return NULL;
    }
    return s;
}

void prompt_close(struct prompt_source *s)
{
    if (!s)
        return;
    lines_close(&s->in);
    free(s->queue.p);
    free(s);
}

int prompt_blame(const struct prompt_source *s, struct err *e)
{
    if (!s->in_file)
        return s->n_literal > 1 ? err_prefix(e, "prompt %zu", s->next) : err_prefix(e, "prompt");
    if (s->o->mode == PROMPT_LINES)
        return err_prefix(e, "%s:%zu", s->in.name, s->in.number + (s->in.column > 0));
    if (s->o->mode == PROMPT_WINDOWS)
        return err_prefix(e, "%s: window %zu", s->in.name, s->given);
    return err_prefix(e, "%s", s->in.name);
}

/* Encoding the piece text[0..n) of a file failed: names the line that fails, with the position in
   that line, by encoding line after line. */
static int blame_line(struct prompt_source *s, const char *text, size_t n, struct err *e)
{
    struct gpt_ids scratch = {0};
    struct prompt_opts bare = *s->o;
    size_t number = s->in.number, column = s->in.column, len;
    bare.bos = -1;
    for (const char *p = text, *end = text + n; p < end; p += len + 1) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        len = (size_t)((nl ? nl : end) - p);
        number++;
        if (prompt_from_text(&bare, p, len + (nl != NULL), &scratch, e))
            break;
        column = 0;
    }
    free(scratch.p);
    return column ? err_prefix(e, "%s:%zu: after byte %zu of the line", s->in.name, number, column)
                  : err_prefix(e, "%s:%zu", s->in.name, number);
}

static int from_literal(struct prompt_source *s, struct gpt_ids *ids, struct err *e)
{
    const char *text = s->literal[s->next++];
    int rc = prompt_from_text(s->o, text, strlen(text), ids, e);
    if (rc == 0 && ids->n == 0)
        rc = err_set(e, ERR_DATA, "has no tokens");
    return rc ? prompt_blame(s, e) : 0;
}

/* 1, 0 at the end, -1. */
static int from_line(struct prompt_source *s, struct gpt_prompt *p, struct err *e)
{
    const char *text;
    size_t n;
    int rc;
    while ((rc = lines_next(&s->in, LONGEST, &text, &n, e)) == 1) {
        size_t blanks = 0;
        while (blanks < n && strchr(" \t\r", text[blanks]) && text[blanks])
            blanks++;
        if (n == 0 || (s->json && blanks == n))
            continue;
        if (!s->told) {
            s->json = blanks < n && text[blanks] == '{';
            s->told = true;
        }
        rc = s->json ? prompt_from_json(s->o, text, n, p, e)
                     : prompt_from_text(s->o, text, n, &p->tokens, e);
        return rc ? prompt_blame(s, e) : 1;
    }
    return rc;
}

static int from_whole(struct prompt_source *s, struct gpt_prompt *p, struct err *e)
{
    const char *text;
    size_t n;
    if (lines_peek(&s->in, LONGEST + 1, &text, &n, e))
        return -1;
    if (n > LONGEST)
        return err_set(e, ERR_DATA, "%s: more than %d bytes for one prompt", s->in.name, LONGEST);
    if (n == 0)
        return 0;
    if (prompt_from_text(s->o, text, n, &p->tokens, e))
        return blame_line(s, text, n, e);
    lines_skip(&s->in, n);
    return 1;
}

/* Reads on until the queue holds `need` ids or the file ends. */
static int fill_queue(struct prompt_source *s, size_t need, struct err *e)
{
    struct gpt_ids piece = {0};
    struct prompt_opts bare = *s->o;
    size_t want = PIECE;
    int rc = -1;
    bare.bos = -1;
    if (s->taken) {
        s->queue.n -= s->taken;
        memmove(s->queue.p, s->queue.p + s->taken, s->queue.n * sizeof *s->queue.p);
        s->taken = 0;
    }
    while (s->queue.n < need) {
        const char *text;
        size_t n;
        if (lines_peek(&s->in, want, &text, &n, e))
            goto out;
        if (n == 0)
            break;
        size_t k = n < want || !s->o->vocab ? n : vocab_cut(s->o->vocab, text, n);
        if (k == 0 && want > LONGEST) {
            err_set(e, ERR_DATA, "%s:%zu: no blank in %d bytes, so no place to cut the text",
                    s->in.name, s->in.number + 1, LONGEST);
            goto out;
        }
        if (k == 0) {
            want *= 2;
            continue;
        }
        if (prompt_from_text(&bare, text, k, &piece, e)) {
            blame_line(s, text, k, e);
            goto out;
        }
        lines_skip(&s->in, k);
        if (mem_grow(&s->queue.p, &s->queue.cap, s->queue.n + piece.n, sizeof *piece.p, e))
            goto out;
        memcpy(s->queue.p + s->queue.n, piece.p, piece.n * sizeof *piece.p);
        s->queue.n += piece.n;
        want = PIECE;
    }
    rc = 0;
out:
    free(piece.p);
    return rc;
}

static int from_window(struct prompt_source *s, struct gpt_prompt *p, struct err *e)
{
    struct gpt_ids *q = &s->queue, *out = &p->tokens;
    size_t bos = s->o->bos >= 0, need = s->o->window - bos;
    for (;;) {
        if (s->in_file && q->n - s->taken < need && fill_queue(s, need, e))
            return -1;
        if (q->n > s->taken)
            break;
        q->n = s->taken = 0;
        if (s->next < s->n_literal) {
            if (from_literal(s, q, e))
                return -1;
            s->taken = bos; /* every window gets its own */
        } else if (!s->in_file && s->in.fd >= 0) {
            s->in_file = true;
        } else {
            return 0;
        }
    }
    size_t n = q->n - s->taken < need ? q->n - s->taken : need;
    if (mem_grow(&out->p, &out->cap, n + bos, sizeof *out->p, e))
        return -1;
    if (bos)
        out->p[0] = s->o->bos;
    memcpy(out->p + bos, q->p + s->taken, n * sizeof *q->p);
    out->n = n + bos;
    s->taken += n;
    return 1;
}

static int check_length(const struct prompt_source *s, const struct gpt_prompt *p, struct err *e)
{
    size_t n = p->tokens.n > p->corrupted.n ? p->tokens.n : p->corrupted.n;
    if (s->o->n_ctx == 0 || n <= s->o->n_ctx)
        return 1;
    err_set(e, ERR_DATA, "a prompt of %zu tokens is longer than the model's context of %zu", n,
            s->o->n_ctx);
    return prompt_blame(s, e);
}

int prompt_next(struct prompt_source *s, struct gpt_prompt *p, struct err *e)
{
    int rc = 0;
    p->corrupted.n = p->answer.n = p->wrong.n = p->label.len = 0;
    if (buf_puts(&p->label, "", e))
        return -1;
    if (s->o->mode == PROMPT_WINDOWS) {
        rc = from_window(s, p, e);
    } else if (s->next < s->n_literal) {
        rc = from_literal(s, &p->tokens, e) ? -1 : 1;
    } else if (s->in.fd >= 0) {
        s->in_file = true;
        rc = s->o->mode == PROMPT_WHOLE ? from_whole(s, p, e) : from_line(s, p, e);
    }
    if (rc == 0 && s->given == 0)
        return err_set(e, ERR_DATA, "%s%sno prompts", s->in_file ? s->in.name : "",
                       s->in_file ? ": " : "");
    s->given += rc == 1;
    return rc == 1 ? check_length(s, p, e) : rc;
}
