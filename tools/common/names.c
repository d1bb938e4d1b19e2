#include "common/names.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gpt/hooks.h"
#include "gpt/near.h"

#define SEEN_MAX 4096 /* names remembered for messages */
#define LISTED 12     /* of them told */

/* "resid_post7" -> "blocks.7.hook_resid_post", "resid_post" -> "blocks.*.hook_resid_post",
   "scale4ln1" -> "blocks.4.ln1.hook_scale"; anything else stays. */
static void expand(const char *text, char glob[ACT_NAME_MAX])
{
    snprintf(glob, ACT_NAME_MAX, "%s", text);
    for (int h = 0; h < N_HOOKS; h++) {
        const char *alias = gpt_hooks[h].alias, *ln = strstr(alias, "_ln");
        size_t stem = ln ? (size_t)(ln - alias) : strlen(alias);
        if (strncmp(text, alias, stem) != 0)
            continue;
        const char *layer = text + stem;
        size_t digits = strspn(layer, "0123456789");
        const char *tail = ln && digits ? ln + 1 : alias + stem;
        if (strcmp(layer + digits, tail) != 0 || (digits && !gpt_hooks[h].in_block))
            continue;
        if (gpt_hooks[h].in_block)
            snprintf(glob, ACT_NAME_MAX, "blocks.%.*s.%s", digits ? (int)digits : 1,
                     digits ? layer : "*", gpt_hooks[h].name);
        else
            snprintf(glob, ACT_NAME_MAX, "%s", gpt_hooks[h].name);
        return;
    }
}

static int add_one(struct names *n, const char *text, size_t len, struct err *e)
{
    char copy[ACT_NAME_MAX];
    if (len == 0 || len >= sizeof copy)
        return err_set(e, ERR_USAGE, "'%.*s' is no record's name", (int)(len < 60 ? len : 60),
                       text);
    if (mem_grow(&n->pattern, &n->cap, n->n + 1, sizeof *n->pattern, e))
        return -1;
    memcpy(copy, text, len);
    copy[len] = '\0';
    struct name_pattern *p = &n->pattern[n->n++];
    *p = (struct name_pattern){.text = text, .n_text = len};
    expand(copy, p->glob);
    return 0;
}

int names_add(struct names *n, const struct strlist *lists, struct err *e)
{
    for (size_t i = 0; i < lists->n; i++) {
        for (const char *text = lists->v[i];; text++) {
            size_t len = strcspn(text, ",");
            if (add_one(n, text, len, e))
                return -1;
            text += len;
            if (!*text)
                break;
        }
    }
    return 0;
}

static void remember(struct names *n, const char *name)
{
    struct err ignored; /* without memory for it a message says less */
    for (size_t i = n->n_seen; i > 0; i--)
        if (strcmp(n->seen[i - 1], name) == 0)
            return;
    if (n->n_seen == SEEN_MAX ||
        mem_grow(&n->seen, &n->cap_seen, n->n_seen + 1, sizeof *n->seen, &ignored))
        return;
    n->seen[n->n_seen] = mem_strdup(name, &ignored);
    n->n_seen += n->seen[n->n_seen] != NULL;
}

bool names_want(void *names, const char *name)
{
    struct names *n = names;
    bool want = n->n == 0, unused = false;
    for (size_t i = 0; i < n->n; i++) {
        struct name_pattern *p = &n->pattern[i];
        if (strcmp(p->glob, name) == 0 || fnmatch(p->glob, name, 0) == 0)
            want = p->used = true;
        unused = unused || !p->used;
    }
    if (unused)
        remember(n, name);
    return want;
}

struct candidate {
    const char *name;
    int distance;
    size_t order;
};

static int by_distance(const void *x, const void *y)
{
    const struct candidate *a = x, *b = y;
    if (a->distance != b->distance)
        return a->distance < b->distance ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static int complain(const struct names *n, const struct name_pattern *p, const char *where,
                    struct err *e)
{
    struct buf list = {0};
    struct candidate *c = mem_alloc(n->n_seen, sizeof *c, e);
    int rc = c ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < n->n_seen; i++)
        c[i] = (struct candidate){n->seen[i], gpt_edit_distance(p->glob, n->seen[i]), i};
    if (rc == 0)
        qsort(c, n->n_seen, sizeof *c, by_distance);
    for (size_t i = 0; rc == 0 && i < n->n_seen && i < LISTED; i++)
        rc = buf_printf(&list, e, "%s%s", i ? ", " : "", c[i].name);
    if (rc == 0 && n->n_seen > LISTED)
        rc = buf_printf(&list, e, " and %zu more", n->n_seen - LISTED);
    if (rc == 0)
        err_set(e, ERR_USAGE, "'%.*s': no such record in %s; there %s", (int)p->n_text, p->text,
                where, n->n_seen ? "are: " : "are none");
    if (rc == 0 && n->n_seen) {
        size_t len = strlen(e->msg);
        snprintf(e->msg + len, sizeof e->msg - len, "%s", list.p);
    }
    buf_release(&list);
    free(c);
    return -1;
}

int names_check(const struct names *n, const char *where, struct err *e)
{
    for (size_t i = 0; i < n->n; i++)
        if (!n->pattern[i].used)
            return complain(n, &n->pattern[i], where, e);
    return 0;
}

void names_release(struct names *n)
{
    for (size_t i = 0; i < n->n_seen; i++)
        free(n->seen[i]);
    free(n->seen);
    free(n->pattern);
    *n = (struct names){0};
}
