/* plugin_work.c - the kind of a plugin while it is in charge: watches, queue, passes. */
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "operator/foresee_plugin.h"
#include "operator/plugin_in.h"
#include "operator/route.h"

#define ARENA ((size_t)32 << 20)
#define LABEL_MAX 63

/* --- changes ------------------------------------------------------------------------------------ */

static void
queue(struct mh_plugin_work *w, yyjson_val *object)
{
    (void)mh_queue_add(&w->passes.queue, w->kind->key,
                       mh_json_str(object, "metadata", "namespace", NULL),
                       mh_json_str(object, "metadata", "name", NULL), false);
}

/* "spec.cluster" of an object; NULL: no text there. */
static const char *
text_at(yyjson_val *object, const char *path)
{
    while (object && *path) {
        size_t n = strcspn(path, ".");
        object = yyjson_obj_getn(object, path, n);
        path += n + (path[n] == '.');
    }
    return yyjson_get_str(object);
}

/* Queues whom a change of another object is about: every object that names it in `field`. */
static void
queue_naming(struct mh_plugin_work *w, const char *field, const char *ns, const char *name)
{
    struct mh_arena a;
    yyjson_val **items;
    struct mh_cache_query query = { .kind = w->kind, .name_space = ns };
    mh_arena_init(&a, ARENA);
    int n = mh_cache_list(w->cache, &a, &query, &items);
    for (int i = 0; i < n; i++)
        if (!field || mh_str_eq(text_at(items[i], field), name))
            queue(w, items[i]);
    mh_arena_release(&a);
}

static void
queue_owner(struct mh_plugin_work *w, yyjson_val *object)
{
    yyjson_arr_iter i =
        yyjson_arr_iter_with(mh_json_get(object, "metadata", "ownerReferences", NULL));
    yyjson_val *ref;
    while ((ref = yyjson_arr_iter_next(&i))) {
        if (mh_kind_of(&w->kinds, ref) == w->kind)
            (void)mh_queue_add(&w->passes.queue, w->kind->key,
                               mh_json_str(object, "metadata", "namespace", NULL),
                               mh_json_str(ref, "name", NULL), false);
    }
}

/* Nothing that a plan is made from: status is ours to write. */
static bool
is_only_status(yyjson_val *old, yyjson_val *now)
{
    static const char *const fields[] = { "generation", "finalizers", "deletionTimestamp", "labels",
                                          "annotations" };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (!mh_json_same(mh_json_get(old, "metadata", fields[i], NULL),
                          mh_json_get(now, "metadata", fields[i], NULL)))
            return false;
    return old && now;
}

static void
on_change(void *arg, const struct mh_kind *kind, const char *ns, const char *name, yyjson_val *old,
          yyjson_val *now)
{
    struct mh_plugin_work *w = arg;
    yyjson_val *object = now ? now : old;
    if (!now)
        mh_applied_forget(w->applied, kind->key, ns, name);
    if (old && now && !mh_route_differs(old, now))
        return;
    if (kind == w->kind) {
        if (is_only_status(old, now))
            return;
        if (!now)
            mh_passes_forget(&w->passes, kind->key, ns, name);
        queue(w, object);
        return;
    }
    yyjson_arr_iter i = yyjson_arr_iter_with(yyjson_obj_get(w->text->declared, "watches"));
    yyjson_val *watch;
    while ((watch = yyjson_arr_iter_next(&i))) {
        const char *key = mh_json_str(watch, "kind", NULL);
        if (!key || mh_kind_find(&w->kinds, key) != kind)
            continue;
        if (mh_json_bool(watch, false, "owned", NULL))
            queue_owner(w, object);
        else
            queue_naming(w, mh_json_str(watch, "field", NULL), ns, name);
    }
}

/* --- kinds and sources ---------------------------------------------------------------------------- */

static bool
add_kinds(struct mh_plugin_work *w)
{
    const struct mh_kinds *base = w->plugin->all->kinds;
    if (!mh_kinds_init(&w->kinds))
        return false;
    for (int i = 0; i < base->len; i++) {
        const struct mh_kind *k = base->items[i];
        if (!mh_kinds_add(&w->kinds, k->group, k->version, k->kind, k->plural, k->namespaced))
            return false;
    }
    yyjson_arr_iter i = yyjson_arr_iter_with(yyjson_obj_get(w->text->declared, "kinds"));
    yyjson_val *k;
    while ((k = yyjson_arr_iter_next(&i))) {
        if (!mh_kinds_add(&w->kinds, mh_json_str(k, "group", NULL), mh_json_str(k, "version", NULL),
                          mh_json_str(k, "kind", NULL), mh_json_str(k, "plural", NULL),
                          mh_json_bool(k, true, "namespaced", NULL)))
            return false;
    }
    const struct mh_plugin_text *t = w->text;
    w->kind = mh_kinds_add(&w->kinds, t->group, t->version, t->kind, t->plural, true);
    return w->kind != NULL;
}

static bool
add_source(struct mh_plugin_work *w, const struct mh_kind *kind, const char *selector)
{
    const struct mh_plugins *all = w->plugin->all;
    struct mh_cache_source source = { .kind = kind, .selector = selector };
    if (mh_kind_is_secret(kind))
        source.trim = mh_secrets_trim;
    if (kind->namespaced && !w->plugin->home) {
        source.name_space = w->plugin->ns;
        return mh_cache_add(w->cache, &source);
    }
    if (!kind->namespaced || !all->namespaces || !all->namespaces[0])
        return mh_cache_add(w->cache, &source);
    for (const char *const *ns = all->namespaces; *ns; ns++) {
        source.name_space = *ns;
        if (!mh_cache_add(w->cache, &source))
            return false;
    }
    return true;
}

/* Is the kind watched by an entry before n? */
static bool
seen_before(yyjson_val *watches, size_t n, const char *kind)
{
    for (size_t i = 0; i < n; i++)
        if (mh_str_eq(mh_json_str(yyjson_arr_get(watches, i), "kind", NULL), kind))
            return true;
    return false;
}

/* Of what it owns only what it made: the label comes from plugins/lib/plans. NULL: everything. */
static const char *
selector_of(struct mh_plugin_work *w, yyjson_val *watches, const char *kind)
{
    for (size_t i = 0; i < yyjson_arr_size(watches); i++) {
        yyjson_val *one = yyjson_arr_get(watches, i);
        if (mh_str_eq(mh_json_str(one, "kind", NULL), kind) &&
            !mh_json_bool(one, false, "owned", NULL))
            return NULL;
    }
    return strlen(w->plugin->name) > LABEL_MAX
               ? NULL
               : mh_arena_printf(&w->kinds.arena, "moonherd.io/made-by=%s", w->plugin->name);
}

/* Watching takes the needs list and watch. */
static enum mh_code
add_watches(struct mh_plugin_work *w, struct mh_err *err)
{
    yyjson_val *watches = yyjson_obj_get(w->text->declared, "watches");
    for (size_t i = 0; i < yyjson_arr_size(watches); i++) {
        static const char *const verbs[] = { "list", "watch" };
        const char *key = mh_json_str(yyjson_arr_get(watches, i), "kind", NULL);
        const struct mh_kind *kind = key ? mh_kind_find(&w->kinds, key) : NULL;
        if (!kind || kind == w->kind)
            return mh_fail(err, MH_E_INVALID, "watches: there is no other kind %s", key ? key : "");
        for (int v = 0; v < 2; v++) {
            struct mh_need_wish wish = { verbs[v],
                                         kind->group,
                                         kind->plural,
                                         NULL,
                                         w->plugin->home    ? NULL
                                         : kind->namespaced ? w->plugin->ns
                                                            : NULL,
                                         NULL };
            if (mh_plugin_may(w->plugin, w->text, &wish, NULL, err) != MH_OK)
                return mh_wrap(err, "watches");
        }
        if (!seen_before(watches, i, key) && !add_source(w, kind, selector_of(w, watches, key)))
            return mh_fail(err, MH_E_NOMEM, "no memory to watch %s", key);
    }
    return MH_OK;
}

/* --- life ------------------------------------------------------------------------------------------ */

static enum mh_code
start(struct mh_plugin_work *w, struct mh_err *err)
{
    struct mh_plugins *all = w->plugin->all;
    struct mh_arena *a = &w->kinds.arena;
    if (!add_kinds(w))
        return mh_fail(err, MH_E_NOMEM, "no memory for its kinds");
    w->cache = mh_cache_new(all->api, on_change, w);
    w->applied = mh_applied_new();
    w->field_manager = mh_arena_printf(a, "moonherd-plugin-%.80s", w->plugin->name);
    if (!w->cache || !w->applied || !w->field_manager)
        return mh_fail(err, MH_E_NOMEM, "no memory for its work");
    w->guard = mh_plugin_guard(w);
    w->env = (struct mh_act_env){ .clock = all->clock,
                                  .rand = all->rand,
                                  .api = w->guard,
                                  .kinds = &w->kinds,
                                  .cache = w->cache,
                                  .events = all->events,
                                  .applied = w->applied,
                                  .field_manager = w->field_manager };
    w->passes = (struct mh_passes){ .env = &w->env,
                                    .planner = mh_plugin_planner(w),
                                    .records = all->records,
                                    .on_done = mh_plugin_on_pass,
                                    .on_said = mh_plugin_on_said,
                                    .arg = w,
                                    .limit = 4 };
    mh_passes_init(&w->passes);
    if (add_watches(w, err) != MH_OK)
        return err->code;
    return add_source(w, w->kind, NULL) ? MH_OK
                                        : mh_fail(err, MH_E_NOMEM, "no memory to watch its kind");
}

struct mh_plugin_work *
mh_plugin_work_new(struct mh_plugin *p, struct mh_plugin_text *t, struct mh_err *err)
{
    struct mh_plugin_work *w = mh_calloc(1, sizeof(*w));
    if (!w) {
        mh_fail(err, MH_E_NOMEM, "no memory for its work");
        return NULL;
    }
    w->plugin = p;
    w->text = mh_plugin_text_ref(t);
    if (start(w, err) != MH_OK) {
        mh_plugin_work_free(w);
        return NULL;
    }
    return w;
}

struct mh_plugin_work *
mh_plugin_work_still(struct mh_plugin *p, struct mh_plugin_text *t)
{
    struct mh_plugin_work *w = mh_calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->plugin = p;
    w->text = mh_plugin_text_ref(t);
    w->guard = mh_plugin_guard(w);
    w->cache = mh_cache_new(p->all->api, on_change, w);
    if (!add_kinds(w) || !w->cache) {
        mh_plugin_work_free(w);
        return NULL;
    }
    return w;
}

void
mh_plugin_work_free(struct mh_plugin_work *w)
{
    if (!w)
        return;
    mh_foresee_plugin_stop(w);
    if (w->passes.env)
        mh_passes_release(&w->passes);
    mh_plugin_guard_release(w);
    mh_cache_free(w->cache);
    mh_applied_free(w->applied);
    mh_plugin_text_unref(w->text);
    mh_kinds_release(&w->kinds);
    mh_free(w);
}

void
mh_plugin_work_all(struct mh_plugin_work *w)
{
    queue_naming(w, NULL, NULL, NULL);
}
