#include "common/ruler.h"

#include <string.h>

#include "base/utf8.h"

enum { WIDTH = 100, ROWS = 2 };

struct ruler {
    const struct vocab *v;
    const char *const *name;
    const int32_t *const *ids;
    const size_t *n;
    size_t name_width;
};

enum cell { CELL_POSITION, CELL_ID, CELL_TEXT };

/* Replaces b by what stands in a cell of row r; nothing beyond its end. */
static int cell_text(const struct ruler *u, enum cell cell, int r, size_t i, struct buf *b,
                     struct err *e)
{
    size_t len;
    b->len = 0;
    if (cell == CELL_POSITION)
        return buf_printf(b, e, "%zu", i);
    if (i >= u->n[r])
        return buf_puts(b, "", e);
    if (cell == CELL_ID)
        return buf_printf(b, e, "%d", (int)u->ids[r][i]);
    const char *s = vocab_piece(u->v, u->ids[r][i], &len);
    return buf_puts(b, "'", e) || utf8_escape(b, s ? s : "", len, e) || buf_puts(b, "'", e) ? -1
                                                                                            : 0;
}

/* Columns that s takes on a terminal, each character counted as one. */
static size_t width(const struct buf *s)
{
    size_t w = 0;
    for (size_t i = 0; i < s->len; i++)
        w += ((unsigned char)s->p[i] & 0xC0) != 0x80;
    return w;
}

/* The widest cell of position i. */
static int column_width(const struct ruler *u, size_t i, size_t *w, struct buf *tmp, struct err *e)
{
    *w = 0;
    for (int r = 0; r < ROWS; r++) {
        for (int c = CELL_POSITION; c <= (u->v ? CELL_TEXT : CELL_ID); c++) {
            if (cell_text(u, (enum cell)c, r, i, tmp, e))
                return -1;
            size_t one = width(tmp);
            *w = one > *w ? one : *w;
        }
    }
    return 0;
}

/* One line: its name, then the cells of positions from..to, two blanks between them. */
static int line(const struct ruler *u, enum cell cell, int r, const char *name, size_t from,
                size_t to, struct buf *b, struct buf *tmp, struct err *e)
{
    if (buf_printf(b, e, "%-*s", (int)u->name_width, name))
        return -1;
    for (size_t i = from; i < to; i++) {
        size_t w;
        if (column_width(u, i, &w, tmp, e) || cell_text(u, cell, r, i, tmp, e) ||
            buf_printf(b, e, "  %s%*s", tmp->p, (int)(w - width(tmp)), ""))
            return -1;
    }
    while (b->len && b->p[b->len - 1] == ' ')
        b->p[--b->len] = '\0';
    return buf_puts(b, "\n", e);
}

static int block(const struct ruler *u, size_t from, size_t to, struct buf *b, struct buf *tmp,
                 struct err *e)
{
    if (line(u, CELL_POSITION, 0, "position", from, to, b, tmp, e))
        return -1;
    for (int r = 0; r < ROWS; r++)
        if (line(u, CELL_ID, r, u->name[r], from, to, b, tmp, e) ||
            (u->v && line(u, CELL_TEXT, r, "", from, to, b, tmp, e)))
            return -1;
    return 0;
}

static int draw(struct ruler *u, struct buf *b, struct err *e)
{
    struct buf tmp = {0};
    size_t n = 0;
    int rc = 0;
    u->name_width = strlen("position");
    for (int r = 0; r < ROWS; r++) {
        n = u->n[r] > n ? u->n[r] : n;
        if (strlen(u->name[r]) > u->name_width)
            u->name_width = strlen(u->name[r]);
    }
    for (size_t from = 0, to; from < n && rc == 0; from = to) {
        size_t used = u->name_width, w = 0;
        for (to = from; to < n && rc == 0; to++) {
            rc = column_width(u, to, &w, &tmp, e);
            if (to > from && used + 2 + w > WIDTH)
                break;
            used += 2 + w;
        }
        if (rc == 0)
            rc = block(u, from, to, b, &tmp, e);
    }
    buf_release(&tmp);
    return rc;
}

int ruler_pair(struct buf *b, const struct vocab *v, const char *const name[2],
               const int32_t *const ids[2], const size_t n[2], struct err *e)
{
    struct ruler u = {.v = v, .name = name, .ids = ids, .n = n};
    return draw(&u, b, e);
}
