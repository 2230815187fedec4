#include "lua/embed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)1 << 20)

/* "a/b-c_1" and nothing that leads out of the folder. */
static bool
name_ok(const char *name)
{
    for (const char *p = name; *p; p++) {
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-/", *p))
            return false;
    }
    return *name && *name != '/';
}

static const struct mh_script *
from_folder(struct mh_arena *a, const char *dir, const char *name)
{
    char path[512];
    int n = snprintf(path, sizeof(path), "%s/%s.lua", dir, name);
    if (n < 0 || (size_t)n >= sizeof(path))
        return NULL;
    FILE *f = fopen(path, "re");
    if (!f)
        return NULL;
    struct mh_script *s = mh_arena_alloc(a, sizeof(*s));
    char *text = s ? mh_arena_alloc(a, FILE_MAX) : NULL;
    size_t len = text ? fread(text, 1, FILE_MAX - 1, f) : 0;
    bool whole = text && feof(f);
    (void)fclose(f);
    if (!whole)
        return NULL;
    *s = (struct mh_script){ mh_arena_strdup(a, name), text, len };
    return s->name ? s : NULL;
}

const struct mh_script *
mh_script_find(struct mh_arena *a, const char *name)
{
    if (!name_ok(name))
        return NULL;
    const char *dir = getenv("MOONHERD_SCRIPTS");
    const struct mh_script *s = dir && *dir ? from_folder(a, dir, name) : NULL;
    for (const struct mh_script *e = mh_scripts; !s && e->name; e++) {
        if (strcmp(e->name, name) == 0)
            s = e;
    }
    return s;
}
