#include "gpt/near.h"

#include <stdio.h>
#include <string.h>

enum { LONGEST = 127, N_NEAR = 3 };

int gpt_edit_distance(const char *a, const char *b)
{
    int na = (int)strnlen(a, LONGEST), nb = (int)strnlen(b, LONGEST);
    int row[3][LONGEST + 1]; /* of prefixes of a: i - 2, i - 1 and i, by turns */
    for (int j = 0; j <= nb; j++)
        row[0][j] = j;
    for (int i = 1; i <= na; i++) {
        int *now = row[i % 3], *before = row[(i + 2) % 3], *before2 = row[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= nb; j++) {
            int d = before[j - 1] + (a[i - 1] != b[j - 1]);
            if (before[j] + 1 < d)
                d = before[j] + 1;
            if (now[j - 1] + 1 < d)
                d = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before2[j - 2] + 1 < d)
                d = before2[j - 2] + 1;
            now[j] = d;
        }
    }
    return row[na % 3][nb];
}

struct near {
    char name[LONGEST + 1];
    int distance;
};

/* Keeps the list sorted by distance; of equal ones the first stays first. */
static void offer(struct near *best, int *n, const struct near *one)
{
    int at = *n;
    while (at > 0 && best[at - 1].distance > one->distance)
        at--;
    if (at == N_NEAR)
        return;
    int last = *n < N_NEAR ? (*n)++ : N_NEAR - 1;
    memmove(&best[at + 1], &best[at], (size_t)(last - at) * sizeof *best);
    best[at] = *one;
}

/* The nearer one of the hook's full name and its shorthand. The last part of a full name
   ("hook_z") stands for the whole. */
static struct near nearest(const struct gpt_hook_info *h, const char *name, const char *layers)
{
    struct near full = {.distance = 0}, brief = {.distance = 0};
    if (h->in_block) {
        snprintf(full.name, sizeof full.name, "blocks.%s.%s", *layers ? layers : "*", h->name);
        const char *ln = strstr(h->alias, "_ln"); /* scale_ln1 with its layer is scale4ln1 */
        if (ln && *layers)
            snprintf(brief.name, sizeof brief.name, "%.*s%s%s", (int)(ln - h->alias), h->alias,
                     layers, ln + 1);
        else
            snprintf(brief.name, sizeof brief.name, "%s%s", h->alias, layers);
    } else {
        snprintf(full.name, sizeof full.name, "%s", h->name);
        snprintf(brief.name, sizeof brief.name, "%s", h->alias);
    }
    full.distance = gpt_edit_distance(full.name, name);
    brief.distance = gpt_edit_distance(brief.name, name);
    const char *dot = strrchr(h->name, '.');
    int last = dot ? gpt_edit_distance(dot + 1, name) : full.distance;
    if (last < full.distance)
        full.distance = last;
    return full.distance < brief.distance ? full : brief;
}

int gpt_near_names(const struct gpt_config *c, const char *name, const char *layers,
                   struct buf *out, struct err *e)
{
    struct near best[N_NEAR];
    int n = 0;
    /* Further away than that is another word. */
    int limit = (int)strnlen(name, LONGEST) * 2 / 3;
    for (int h = 0; h < N_HOOKS; h++) {
        if (!gpt_has_hook(c, (enum gpt_hook)h))
            continue;
        struct near one = nearest(&gpt_hooks[h], name, layers);
        if (one.distance <= (limit < 2 ? 2 : limit))
            offer(best, &n, &one);
    }
    for (int i = 0; i < n; i++)
        if (buf_printf(out, e, "%s%s", i ? ", " : "", best[i].name))
            return -1;
    return 0;
}

int gpt_shorthands(const struct gpt_config *c, struct buf *out, struct err *e)
{
    for (int h = 0; h < N_HOOKS; h++)
        if (gpt_has_hook(c, (enum gpt_hook)h) &&
            buf_printf(out, e, "%s%s", out->len ? ", " : "", gpt_hooks[h].alias))
            return -1;
    return 0;
}
