/* scripts_read.c - ctx.get and ctx.list of the controllers of the image. */
#include <string.h>

#include "base/str.h"
#include "operator/scripts_in.h"

/* --- the cache --------------------------------------------------------------------------------- */

/* The first argument of get and list as a kind, and where to look; false: refused. */
static bool
aim(struct mh_effect_call *e, const char *verb, const char *name, yyjson_val *how,
    struct mh_need_wish *wish)
{
    const struct mh_scripts_run *run = e->observe->self;
    const char *key = mh_effect_str(e, 0), *ns = mh_json_str(how, "namespace", NULL);
    const struct mh_kind *kind = key ? mh_kind_find(run->env->kinds, key) : NULL;
    if (!kind) {
        mh_scripts_refuse(e, MH_E_SCRIPT, "unknown kind");
        return false;
    }
    if (mh_kind_is_secret(kind) && !mh_scripts_has(run->needs, "digests")) {
        mh_scripts_refuse(e, MH_E_REFUSED, "the controller has no \"digests\" in needs.core");
        return false;
    }
    *wish = (struct mh_need_wish){
        .verb = verb, .group = kind->group, .resource = kind->plural, .name = name
    };
    wish->name_space = !kind->namespaced ? NULL : ns ? ns : run->call->ns;
    return mh_scripts_may(run->needs, wish, run->call->ns, &e->err) == MH_OK;
}

/* A label "a=b" is found by the cache; of other selectors each object is held against it. */
static bool
by_labels(struct mh_effect_call *e, const char *labels, struct mh_cache_query *query)
{
    size_t n = strcspn(labels, "=");
    const char *value = labels + n + 1;
    if (!labels[n] || n == 0 || labels[n - 1] == '!' || strpbrk(labels, ", ()") || *value == '=')
        return false;
    query->label = mh_arena_strndup(e->arena, labels, n);
    query->value = value;
    if (mh_str_eq(query->label, MH_LABEL_CLUSTER)) {
        query->label = query->value = NULL;
        query->cluster = value;
    }
    return true;
}

static int
keep_matching(yyjson_val **items, int n, const char *labels)
{
    int kept = 0;
    for (int i = 0; i < n; i++)
        if (mh_selector_match(labels, mh_json_get(items[i], "metadata", "labels", NULL)))
            items[kept++] = items[i];
    return kept;
}

enum mh_effect_result
mh_scripts_list(struct mh_effect_call *e)
{
    struct mh_scripts_env *env = mh_scripts_env_of(e);
    yyjson_val *how = mh_effect_arg(e, 1);
    const char *labels = mh_json_str(how, "labels", NULL);
    struct mh_need_wish wish;
    yyjson_val **items = NULL;
    if (labels && strpbrk(labels, "( "))
        return mh_scripts_refuse(e, MH_E_SCRIPT, "labels: want a=b, a!=b, a or !a, with commas");
    if (!aim(e, "list", NULL, how, &wish))
        return MH_EFFECT_DONE;
    struct mh_cache_query query = { .kind = mh_kind_find(env->kinds, mh_effect_str(e, 0)),
                                    .name_space = wish.name_space };
    bool found = !labels || by_labels(e, labels, &query);
    int n = mh_cache_list(env->cache, e->arena, &query, &items);
    if (n < 0)
        return mh_scripts_refuse(e, MH_E_NOMEM, "no memory");
    e->is_list = true;
    e->items = items;
    e->nitems = (size_t)(found ? n : keep_matching(items, n, labels));
    return MH_EFFECT_DONE;
}

static enum mh_effect_result
from_cache(struct mh_effect_call *e, const struct mh_kind *kind, const struct mh_need_wish *wish)
{
    struct mh_err err = { .code = MH_OK };
    e->value = mh_cache_get(mh_scripts_env_of(e)->cache, e->arena, kind, wish->name_space,
                            wish->name, &err);
    if (!e->value && err.code != MH_E_NOTFOUND)
        return mh_scripts_refuse(e, err.code ? err.code : MH_E_NOMEM,
                                 err.code ? err.msg : "no memory");
    return MH_EFFECT_DONE;
}

/* --- the API server ---------------------------------------------------------------------------- */

struct reading {
    struct mh_effect_call *e;
    const struct mh_kind *kind;
    struct mh_api_call call;
};

/* Values of secrets never reach a script. */
static yyjson_val *
without_values(struct mh_arena *a, yyjson_val *object)
{
    yyjson_val *out = NULL;
    size_t len;
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *copy = doc ? yyjson_val_mut_copy(doc, object) : NULL;
    if (!copy || !mh_secrets_trim(NULL, doc, copy))
        return NULL;
    const char *text = mh_json_mut_text(a, copy, &len);
    return text && mh_json_parse(a, text, len, &out, NULL) == MH_OK ? out : NULL;
}

static void
on_read(struct mh_api_call *call)
{
    struct reading *r = call->arg;
    struct mh_effect_call *e = r->e;
    e->cancel = NULL;
    if (call->err.code == MH_OK) {
        bool hide = r->kind == mh_scripts_env_of(e)->instances->secret_kind;
        e->value = hide ? without_values(e->arena, call->reply) : call->reply;
        if (!e->value)
            mh_scripts_refuse(e, MH_E_NOMEM, "no memory");
    } else if (call->err.code != MH_E_NOTFOUND) {
        e->err = call->err;
    }
    mh_effect_finish(e);
}

static void
cancel_read(struct mh_effect_call *e)
{
    struct reading *r = e->impl;
    struct mh_scripts_env *env = mh_scripts_env_of(e);
    env->api.cancel(env->api.self, &r->call);
}

static enum mh_effect_result
from_server(struct mh_effect_call *e, const struct mh_kind *kind, const struct mh_need_wish *wish)
{
    struct mh_scripts_env *env = mh_scripts_env_of(e);
    struct reading *r = mh_arena_alloc(e->arena, sizeof(*r));
    const char *path = mh_kube_path(e->arena, kind, wish->name_space, wish->name, NULL);
    if (!r || !path)
        return mh_scripts_refuse(e, r ? MH_E_INVALID : MH_E_NOMEM,
                                 r ? "no name of an object" : "no memory");
    r->e = e;
    r->kind = kind;
    r->call = (struct mh_api_call){
        .method = "GET", .path = path, .arena = e->arena, .done = on_read, .arg = r
    };
    e->impl = r;
    e->cancel = cancel_read;
    env->api.start(env->api.self, &r->call);
    return MH_EFFECT_WAIT;
}

enum mh_effect_result
mh_scripts_get(struct mh_effect_call *e)
{
    yyjson_val *how = mh_effect_arg(e, 2);
    const char *name = mh_effect_str(e, 1);
    struct mh_need_wish wish;
    if (!name)
        return mh_scripts_refuse(e, MH_E_SCRIPT, "no name given");
    if (!aim(e, "get", name, how, &wish))
        return MH_EFFECT_DONE;
    const struct mh_kind *kind = mh_kind_find(mh_scripts_env_of(e)->kinds, mh_effect_str(e, 0));
    return mh_json_bool(how, false, "fresh", NULL) ? from_server(e, kind, &wish)
                                                   : from_cache(e, kind, &wish);
}
