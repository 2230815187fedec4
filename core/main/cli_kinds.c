/* cli_kinds.c - kinds that the program does not know: asked of the API server. */
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "main/cli.h"

#define WORD_MAX 250

/* Those of Kubernetes itself are nobody's but its own. */
static bool
is_foreign(const char *group)
{
    return group && strchr(group, '.') && !mh_str_ends(group, ".k8s.io") &&
           strcmp(group, "moonherd.io") != 0;
}

static bool
has_short(yyjson_val *resource, const char *word)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(yyjson_obj_get(resource, "shortNames"));
    yyjson_val *v;
    while ((v = yyjson_arr_iter_next(&i)))
        if (mh_str_eq(yyjson_get_str(v), word))
            return true;
    return false;
}

/* By kind, plural, singular or short name. */
static bool
is_called(yyjson_val *resource, const char *word)
{
    static const char *const names[] = { "kind", "name", "singularName" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *name = mh_json_str(resource, names[i], NULL);
        if (name && *name && strcasecmp(name, word) == 0)
            return true;
    }
    return has_short(resource, word);
}

/* The kind of one group in this version that is called so; NULL: there is none. */
static const struct mh_kind *
find_in(struct mh_cli *c, const char *group, const char *version, const char *word)
{
    struct mh_err err;
    const char *path = mh_arena_printf(&c->arena, "/apis/%s/%s", group, version);
    yyjson_arr_iter i =
        yyjson_arr_iter_with(yyjson_obj_get(mh_cli_get(c, path, &err), "resources"));
    yyjson_val *r;
    while ((r = yyjson_arr_iter_next(&i))) {
        const char *plural = mh_json_str(r, "name", NULL), *kind = mh_json_str(r, "kind", NULL);
        if (plural && kind && !strchr(plural, '/') && is_called(r, word) &&
            mh_json_bool(r, false, "namespaced", NULL))
            return mh_kinds_add(&c->kinds, group, version, kind, plural, true);
    }
    return NULL;
}

const struct mh_kind *
mh_cli_kind_of(struct mh_cli *c, yyjson_val *object)
{
    const char *api = mh_json_str(object, "apiVersion", NULL);
    const char *kind = mh_json_str(object, "kind", NULL);
    const char *slash = api ? strchr(api, '/') : NULL;
    char *group = slash ? mh_arena_strndup(&c->arena, api, (size_t)(slash - api)) : NULL;
    return is_foreign(group) && kind ? find_in(c, group, slash + 1, kind) : NULL;
}

const struct mh_kind *
mh_cli_kind_named(struct mh_cli *c, const char *word)
{
    struct mh_err err;
    char name[WORD_MAX];
    size_t n = strcspn(word, ".");
    const char *wanted = word[n] ? word + n + 1 : NULL;
    if (n >= sizeof(name) || !n)
        return NULL;
    mh_str_copy(name, n + 1, word);
    yyjson_arr_iter i =
        yyjson_arr_iter_with(yyjson_obj_get(mh_cli_get(c, "/apis", &err), "groups"));
    yyjson_val *g;
    while ((g = yyjson_arr_iter_next(&i))) {
        const char *group = mh_json_str(g, "name", NULL);
        const char *version = mh_json_str(g, "preferredVersion", "version", NULL);
        if (!is_foreign(group) || !version || (wanted && strcmp(group, wanted) != 0))
            continue;
        const struct mh_kind *kind = find_in(c, group, version, name);
        if (kind)
            return kind;
    }
    return NULL;
}
