/* needs_set.c - what a script declares that it needs, read as hostile input, and what that covers. */
#include <string.h>

#include "base/str.h"
#include "operator/needs.h"

#define LABEL_LEN 63 /* of a namespace, a verb, a database */
#define NAME_LEN 253 /* of an object, an API group */

const char *const mh_needs_core[] = { "checks",    "digests", "failover", "fleet",
                                      "instances", "labels",  "operator", "plans",
                                      "policies",  "values",  NULL };

struct reader {
    struct mh_arena *a;
    const char *name_space; /* NULL: the operator's */
    bool image;             /* of a controller of ours */
    struct mh_err *err;
    char at[24]; /* "needs.api[3]" */
};

/* --- texts -------------------------------------------------------------------------------------- */

static bool
plain(const char *s, size_t len, const char *more, size_t most)
{
    if (len == 0 || len > most || strlen(s) != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool ok = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '-' ||
                  (s[i] && strchr(more, s[i]));
        if (!ok)
            return false;
    }
    return s[0] != '.' && s[0] != '-';
}

static bool
is_name(yyjson_val *v, size_t most)
{
    return yyjson_is_str(v) && plain(yyjson_get_str(v), yyjson_get_len(v), ".", most);
}

/* Databases and roles are named freely; there may be anything that can be shown. */
static bool
is_identifier(yyjson_val *v)
{
    const char *s = yyjson_get_str(v);
    if (!yyjson_is_str(v) || !*s || yyjson_get_len(v) > LABEL_LEN || strchr(s, '*'))
        return false;
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            return false;
    return true;
}

static enum mh_code
refuse(struct reader *r, const char *what)
{
    return mh_fail(r->err, MH_E_INVALID, "%s%s", r->at, what);
}

/* An object whose keys are all among these. */
static enum mh_code
check_keys(struct reader *r, yyjson_val *v, const char *const *keys, const char *want)
{
    yyjson_obj_iter i = yyjson_obj_iter_with(v);
    yyjson_val *k;
    if (!yyjson_is_obj(v))
        return refuse(r, want);
    while ((k = yyjson_obj_iter_next(&i))) {
        const char *const *p = keys;
        while (*p && !mh_str_eq(*p, yyjson_get_str(k)))
            p++;
        if (!*p)
            return refuse(r, want);
    }
    return MH_OK;
}

/* --- api ---------------------------------------------------------------------------------------- */

static bool
among(const char *const *list, const char *word)
{
    for (; *list; list++)
        if (mh_str_eq(*list, word))
            return true;
    return false;
}

static const char *const nameable[] = { "get", "update", "patch", "delete", NULL };

static enum mh_code
read_names(struct reader *r, yyjson_val *list, const char *const *known, const char *want,
           const char **out)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(list);
    yyjson_val *v;
    size_t n = 0;
    if (!yyjson_is_arr(list) || !yyjson_arr_size(list) || yyjson_arr_size(list) > MH_NEEDS_WORDS)
        return refuse(r, want);
    while ((v = yyjson_arr_iter_next(&i))) {
        if (!is_name(v, NAME_LEN) || (known && !among(known, yyjson_get_str(v))))
            return refuse(r, want);
        out[n++] = yyjson_get_str(v);
    }
    return MH_OK;
}

static enum mh_code
read_words(struct reader *r, yyjson_val *list, bool verbs, const char **out)
{
    static const char *const known[] = { "get",    "list",  "watch",  "create",
                                         "update", "patch", "delete", NULL };
    const char *want = verbs ? ".verbs: want one or more of get, list, watch, create, update, "
                               "patch, delete"
                             : ".names: want names of objects, at most 16";
    return read_names(r, list, verbs ? known : NULL, want, out);
}

/* What would be more than it seems: rights over rights, the identity of others, our own notes. */
static const char *
forbidden(const struct mh_need_api *n, bool image)
{
    static const char *const harmless[] = { "status", "scale", "finalizers", NULL };
    static const char *const reading[] = { "get", "list", "watch", NULL };
    if (n->subresource && !among(harmless, n->subresource))
        return ".resource: of subresources only status, scale and finalizers can be had";
    if (mh_str_eq(n->group, "moonherd.io"))
        return ".resource: the operator's own records are nobody else's";
    for (const char *const *v = n->verbs; *v && !image; v++)
        if (mh_str_eq(n->group, "rbac.authorization.k8s.io") && !among(reading, *v))
            return ".verbs: roles and bindings can only be read";
    for (const char *const *v = n->verbs; n->names[0] && *v; v++)
        if (!among(nameable, *v))
            return ".names: go with the verbs get, update, patch and delete only";
    return NULL;
}

static enum mh_code
read_namespace(struct reader *r, yyjson_val *v, const char **out)
{
    *out = r->name_space;
    if (!v)
        return MH_OK;
    if (!is_name(v, LABEL_LEN) || strchr(yyjson_get_str(v), '.'))
        return refuse(r, ".namespace: want the name of one namespace");
    if (r->name_space && !mh_str_eq(r->name_space, yyjson_get_str(v)))
        return refuse(r, ".namespace: only a plugin in the operator's namespace may name another "
                         "than its own");
    *out = yyjson_get_str(v);
    return MH_OK;
}

static enum mh_code
read_resource(struct reader *r, yyjson_val *v, struct mh_need_api *out)
{
    const char *s = yyjson_is_str(v) ? yyjson_get_str(v) : "";
    const char *slash = strchr(s, '/');
    size_t len = slash ? (size_t)(slash - s) : strlen(s);
    out->resource = mh_arena_strndup(r->a, s, len);
    out->subresource = slash ? slash + 1 : NULL;
    if (!out->resource)
        return mh_fail(r->err, MH_E_NOMEM, "no memory for needs");
    if (strlen(s) != yyjson_get_len(v) || !plain(out->resource, len, "", LABEL_LEN) ||
        (slash && !plain(slash + 1, strlen(slash + 1), "", LABEL_LEN)))
        return refuse(r, ".resource: want the plural of a kind, as in \"secrets\"");
    return MH_OK;
}

static enum mh_code
read_api(struct reader *r, yyjson_val *v, struct mh_need_api *out)
{
    static const char *const keys[] = { "group", "resource", "verbs", "namespace", "names", NULL };
    yyjson_val *group = yyjson_obj_get(v, "group"), *names = yyjson_obj_get(v, "names");
    enum mh_code code =
        check_keys(r, v, keys, ": want { group, resource, verbs, namespace, names }");
    if (code == MH_OK && group && yyjson_get_len(group) && !is_name(group, NAME_LEN))
        code = refuse(r, ".group: want the name of an API group, \"\" for the core's");
    if (code == MH_OK && group && !yyjson_is_str(group))
        code = refuse(r, ".group: want a text");
    out->group = yyjson_is_str(group) ? yyjson_get_str(group) : "";
    if (code == MH_OK)
        code = read_resource(r, yyjson_obj_get(v, "resource"), out);
    if (code == MH_OK)
        code = read_words(r, yyjson_obj_get(v, "verbs"), true, out->verbs);
    if (code == MH_OK && names)
        code = read_words(r, names, false, out->names);
    if (code == MH_OK)
        code = read_namespace(r, yyjson_obj_get(v, "namespace"), &out->name_space);
    const char *bad = code == MH_OK ? forbidden(out, r->image) : NULL;
    return bad ? refuse(r, bad) : code;
}

/* --- sql ---------------------------------------------------------------------------------------- */

static enum mh_code
read_sql(struct reader *r, yyjson_val *v, struct mh_need_sql *out)
{
    static const char *const keys[] = { "cluster", "database", "as", "namespace", NULL };
    yyjson_val *cluster = yyjson_obj_get(v, "cluster"), *as = yyjson_obj_get(v, "as");
    yyjson_val *database = yyjson_obj_get(v, "database");
    enum mh_code code = check_keys(r, v, keys, ": want { cluster, database, as, namespace }");
    if (code == MH_OK && cluster && !is_name(cluster, NAME_LEN))
        code = refuse(r, ".cluster: want the name of a Cluster");
    if (code == MH_OK && database && !is_identifier(database))
        code = refuse(r, ".database: want the name of a database");
    if (code == MH_OK && as && !is_identifier(as))
        code = refuse(r, ".as: want the name of a role");
    if (code == MH_OK)
        code = read_namespace(r, yyjson_obj_get(v, "namespace"), &out->name_space);
    out->cluster = yyjson_get_str(cluster);
    out->database = yyjson_get_str(database);
    out->as = yyjson_get_str(as);
    return code;
}

/* --- both --------------------------------------------------------------------------------------- */

/* An empty table of Lua is an object. */
static bool
is_list(yyjson_val *v)
{
    return !v || yyjson_is_arr(v) || (yyjson_is_obj(v) && !yyjson_obj_size(v));
}

static enum mh_code
read_list(struct reader *r, yyjson_val *list, bool sql, struct mh_needs_set *out)
{
    const char *what = sql ? "sql" : "api";
    yyjson_arr_iter i = yyjson_arr_iter_with(list);
    yyjson_val *v;
    enum mh_code code = MH_OK;
    mh_str_copy(r->at, sizeof(r->at), "needs.");
    mh_str_copy(r->at + 6, sizeof(r->at) - 6, what);
    if (!is_list(list) || yyjson_arr_size(list) > MH_NEEDS_MAX)
        return refuse(r, ": want a list, of 16 at most");
    while (code == MH_OK && (v = yyjson_arr_iter_next(&i))) {
        size_t n = sql ? out->nsql++ : out->napi++;
        const char *at = mh_arena_printf(r->a, "needs.%s[%zu]", what, n + 1);
        mh_str_copy(r->at, sizeof(r->at), at ? at : "needs");
        code = sql ? read_sql(r, v, &out->sql[n]) : read_api(r, v, &out->api[n]);
    }
    return code;
}

/* What is beyond the rights of whoever writes a text is nobody's to grant. */
static enum mh_code
read_core(struct reader *r, yyjson_val *list, struct mh_needs_set *out)
{
    mh_str_copy(r->at, sizeof(r->at), "needs.core");
    if (!list)
        return MH_OK;
    if (!r->image)
        return refuse(r, ": is for the controllers of the image, nobody can be granted it");
    return read_names(r, list, mh_needs_core, ": want words of scripts/meta/core.lua", out->core);
}

static enum mh_code
parse(struct reader *r, yyjson_val *declared, struct mh_needs_set *out)
{
    static const char *const keys[] = { "api", "sql", "core", NULL };
    size_t len = 0;
    *out = (struct mh_needs_set){ .text = "{}" };
    if (!declared || yyjson_is_null(declared) ||
        (yyjson_is_arr(declared) && !yyjson_arr_size(declared)))
        return MH_OK;
    enum mh_code code = check_keys(r, declared, keys, ": want { api = {...}, sql = {...} }");
    if (code == MH_OK)
        code = read_list(r, yyjson_obj_get(declared, "api"), false, out);
    if (code == MH_OK)
        code = read_list(r, yyjson_obj_get(declared, "sql"), true, out);
    if (code == MH_OK)
        code = read_core(r, yyjson_obj_get(declared, "core"), out);
    if (code != MH_OK || mh_needs_empty(out))
        return code;
    out->text = mh_json_canonical(r->a, declared, &len);
    if (!out->text)
        return mh_fail(r->err, MH_E_NOMEM, "no memory for needs");
    if (len > MH_NEEDS_TEXT_MAX)
        return mh_fail(r->err, MH_E_INVALID, "needs: over 4 KiB in all");
    return MH_OK;
}

enum mh_code
mh_needs_parse(struct mh_arena *a, yyjson_val *declared, const char *name_space,
               struct mh_needs_set *out, struct mh_err *err)
{
    struct reader r = { .a = a, .name_space = name_space, .err = err, .at = "needs" };
    return parse(&r, declared, out);
}

enum mh_code
mh_needs_parse_image(struct mh_arena *a, yyjson_val *declared, struct mh_needs_set *out,
                     struct mh_err *err)
{
    struct reader r = { .a = a, .image = true, .err = err, .at = "needs" };
    return parse(&r, declared, out);
}

bool
mh_needs_empty(const struct mh_needs_set *s)
{
    return s->napi == 0 && s->nsql == 0;
}

/* --- what it covers ----------------------------------------------------------------------------- */

static bool
covers(const struct mh_need_api *n, const struct mh_need_wish *w)
{
    return mh_str_eq(n->group, w->group) && mh_str_eq(n->resource, w->resource) &&
           mh_str_eq(n->subresource, w->subresource) && among(n->verbs, w->verb) &&
           (!n->name_space || mh_str_eq(n->name_space, w->name_space)) &&
           (!n->names[0] || (w->name && among(n->names, w->name)));
}

bool
mh_needs_cover_api(const struct mh_needs_set *s, const struct mh_need_wish *wish)
{
    for (size_t i = 0; i < s->napi; i++)
        if (covers(&s->api[i], wish))
            return true;
    return false;
}

bool
mh_needs_cover_sql(const struct mh_needs_set *s, const char *name_space, const char *cluster,
                   const char *database, const char *as)
{
    for (size_t i = 0; i < s->nsql; i++) {
        const struct mh_need_sql *n = &s->sql[i];
        if ((!n->name_space || mh_str_eq(n->name_space, name_space)) &&
            (!n->cluster || mh_str_eq(n->cluster, cluster)) && mh_str_eq(n->database, database) &&
            mh_str_eq(n->as, as))
            return true;
    }
    return false;
}
