#include "operator/foresee_plugin.h"

#include <string.h>

#include "base/str.h"
#include "kube/event.h"
#include "operator/plugin_in.h"
#include "operator/webhook.h"

#define FIELDS_MAX 12 /* of one step */
#define SQL_SHOWN 200

/* On the arena of the one who asks. */
struct mh_plugin_ahead {
    struct mh_plugin_ahead *next;
    struct mh_plugin_work *work;
    struct mh_foresee *f;
    const char *by;
    yyjson_val *object; /* as it would be */
    bool finalizer;     /* it gets ours first */
};

/* --- steps ---------------------------------------------------------------------------------------- */

static void
add_text(yyjson_mut_doc *doc, yyjson_mut_val *to, const char *key, const char *text)
{
    if (text)
        (void)yyjson_mut_obj_add_strcpy(doc, to, key, text);
}

/* "spec.instances": the paths of what a merge patch sets. */
static void
add_fields(struct mh_arena *a, yyjson_mut_doc *doc, yyjson_mut_val *list, const char *at,
           yyjson_val *body)
{
    size_t i, max;
    yyjson_val *k, *v;
    if (yyjson_mut_arr_size(list) >= FIELDS_MAX)
        return;
    if (!yyjson_is_obj(body) || yyjson_obj_size(body) == 0) {
        (void)yyjson_mut_arr_add_strcpy(doc, list, at);
        return;
    }
    yyjson_obj_foreach(body, i, max, k, v)
    {
        const char *path = mh_arena_printf(a, "%s%s%s", at, *at ? "." : "", yyjson_get_str(k));
        if (path)
            add_fields(a, doc, list, path, v);
    }
}

static void
add_json_paths(yyjson_mut_doc *doc, yyjson_mut_val *list, yyjson_val *body)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(body);
    yyjson_val *op;
    while ((op = yyjson_arr_iter_next(&i)) && yyjson_mut_arr_size(list) < FIELDS_MAX) {
        const char *path = mh_json_str(op, "path", NULL);
        (void)yyjson_mut_arr_add_strcpy(doc, list, path ? path : "?");
    }
}

/* What an object is made of, one level down: "data.password". */
static void
add_parts(struct mh_arena *a, yyjson_mut_doc *doc, yyjson_mut_val *list, yyjson_val *object)
{
    size_t i, max;
    yyjson_val *k, *v;
    yyjson_obj_foreach(object, i, max, k, v)
    {
        const char *key = yyjson_get_str(k);
        if (mh_str_eq(key, "apiVersion") || mh_str_eq(key, "kind") || mh_str_eq(key, "metadata"))
            continue;
        size_t n, most;
        yyjson_val *sub, *below;
        if (!yyjson_is_obj(v) && yyjson_mut_arr_size(list) < FIELDS_MAX)
            (void)yyjson_mut_arr_add_strcpy(doc, list, key);
        yyjson_obj_foreach(v, n, most, sub, below)
        {
            const char *path = mh_arena_printf(a, "%s.%s", key, yyjson_get_str(sub));
            if (path && yyjson_mut_arr_size(list) < FIELDS_MAX)
                (void)yyjson_mut_arr_add_strcpy(doc, list, path);
        }
    }
}

static void
add_step(const struct mh_plugin_ahead *h, yyjson_mut_doc *doc, yyjson_mut_val *steps,
         yyjson_val *action)
{
    struct mh_arena *a = h->f->arena;
    yyjson_val *o = yyjson_obj_get(action, "object"), *body = yyjson_obj_get(action, "body");
    const char *op = mh_json_str(action, "op", NULL), *sql = mh_json_str(action, "sql", NULL);
    const char *ns =
        o ? mh_json_str(o, "metadata", "namespace", NULL) : mh_json_str(action, "namespace", NULL);
    const char *name =
        o ? mh_json_str(o, "metadata", "name", NULL) : mh_json_str(action, "name", NULL);
    yyjson_mut_val *s = yyjson_mut_arr_add_obj(doc, steps);
    add_text(doc, s, "verb", op ? op : "?");
    add_text(doc, s, "kind", sql ? "Cluster" : mh_json_str(o ? o : action, "kind", NULL));
    add_text(doc, s, "name", sql ? mh_json_str(action, "cluster", NULL) : name);
    if (!mh_str_eq(ns, h->f->call.ns))
        add_text(doc, s, "namespace", ns);
    add_text(doc, s, "reason", mh_json_str(action, "reason", NULL));
    add_text(doc, s, "database", mh_json_str(action, "database", NULL));
    if (sql)
        add_text(doc, s, "sql", mh_kube_text(a, sql, SQL_SHOWN));
    if (!o && !body)
        return;
    yyjson_mut_val *fields = yyjson_mut_obj_add_arr(doc, s, "fields");
    if (o)
        add_parts(a, doc, fields, o);
    else if (yyjson_is_arr(body))
        add_json_paths(doc, fields, body);
    else
        add_fields(a, doc, fields, "", body);
}

/* "Ready", "not ready", or that it goes. */
static const char *
phase_of(yyjson_val *plan, bool going)
{
    yyjson_val *ready = yyjson_arr_get_first(mh_json_get(plan, "status", "conditions", NULL));
    if (going)
        return "it is being deleted";
    if (!ready)
        return "as it is";
    return mh_str_eq(mh_json_str(ready, "status", NULL), "True") ? "Ready" : "not ready";
}

static const char *
result_of(const struct mh_plugin_ahead *h, yyjson_val *plan)
{
    struct mh_arena *a = h->f->arena;
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *root = doc ? yyjson_mut_obj(doc) : NULL;
    yyjson_val *again = yyjson_obj_get(plan, "requeue_s"), *action;
    if (!root)
        return NULL;
    add_text(doc, root, "by", h->by);
    yyjson_mut_val *steps = yyjson_mut_obj_add_arr(doc, root, "steps");
    if (h->finalizer) {
        yyjson_mut_val *s = yyjson_mut_arr_add_obj(doc, steps);
        add_text(doc, s, "verb", "finalizer");
        add_text(doc, s, "kind", h->work->kind->kind);
        add_text(doc, s, "name", h->f->call.name);
    }
    yyjson_arr_iter i = yyjson_arr_iter_with(yyjson_obj_get(plan, "actions"));
    while ((action = yyjson_arr_iter_next(&i)))
        if (!mh_json_bool(action, false, "internal", NULL))
            add_step(h, doc, steps, action);
    yyjson_mut_val *rest = yyjson_mut_obj_add_obj(doc, root, "rest");
    bool going = mh_json_get(h->object, "metadata", "deletionTimestamp", NULL) != NULL;
    add_text(doc, rest, "phase", phase_of(plan, going));
    add_text(doc, rest, "reason", mh_json_str(plan, "reason", NULL));
    if (again)
        (void)yyjson_mut_obj_add_val(doc, rest, "again_s", yyjson_val_mut_copy(doc, again));
    return mh_json_mut_text(a, root, NULL);
}

/* --- the dry pass --------------------------------------------------------------------------------- */

static void
unlink_it(struct mh_plugin_ahead *h)
{
    struct mh_plugin_ahead **at = &h->work->ahead;
    while (*at && *at != h)
        at = &(*at)->next;
    if (*at)
        *at = h->next;
}

static void
on_planned(struct mh_planner_call *call)
{
    struct mh_plugin_ahead *h = call->arg;
    struct mh_foresee *f = h->f;
    yyjson_val *plan = NULL;
    unlink_it(h);
    f->err = call->err;
    if (f->err.code == MH_OK)
        (void)mh_json_parse(f->arena, call->plan, call->plan_len, &plan, &f->err);
    if (f->err.code == MH_OK && !(f->result = result_of(h, plan)))
        mh_fail(&f->err, MH_E_NOMEM, "no memory for the plan");
    f->done(f);
}

/* The object as it would be once the edit is there and was looked at first: without what asks for the
 * plan, with our finalizer where the plugin has things to clean up. NULL: no memory. */
static yyjson_val *
edited(struct mh_plugin_ahead *h, bool finalizes)
{
    static const char *const notes[] = { "annotations", "labels" };
    struct mh_arena *a = h->f->arena;
    yyjson_alc alc = mh_json_alc(a);
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *root = doc ? yyjson_val_mut_copy(doc, h->f->object) : NULL;
    yyjson_mut_val *meta = yyjson_mut_obj_get(root, "metadata"), *f;
    (void)yyjson_mut_obj_remove_key(meta, "managedFields");
    for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
        yyjson_mut_val *all = yyjson_mut_obj_get(meta, notes[i]);
        (void)yyjson_mut_obj_remove_key(all, MH_PLAN_ANNOTATION);
        if (all && yyjson_mut_obj_size(all) == 0)
            (void)yyjson_mut_obj_remove_key(meta, notes[i]);
    }
    if (finalizes && !yyjson_mut_obj_get(meta, "deletionTimestamp")) {
        yyjson_mut_val *list = yyjson_mut_obj_get(meta, "finalizers");
        yyjson_mut_arr_iter i = yyjson_mut_arr_iter_with(list);
        h->finalizer = true;
        while ((f = yyjson_mut_arr_iter_next(&i)))
            h->finalizer = h->finalizer && !yyjson_mut_equals_str(f, MH_PLUGIN_FINALIZER);
        if (!list)
            list = yyjson_mut_obj_add_arr(doc, meta, "finalizers");
        if (h->finalizer)
            (void)yyjson_mut_arr_add_str(doc, list, MH_PLUGIN_FINALIZER);
    }
    return root ? yyjson_doc_get_root(yyjson_mut_val_imut_copy(root, &alc)) : NULL;
}

/* The plugin whose objects these are. */
static struct mh_plugin *
serving(const struct mh_plugins *all, yyjson_val *object)
{
    const char *ns = mh_json_str(object, "metadata", "namespace", NULL);
    for (struct mh_plugin *p = all->first; p; p = p->next)
        if (p->active && p->work && (p->home || mh_str_eq(p->ns, ns)) &&
            mh_kind_of(&p->work->kinds, object) == p->work->kind)
            return p;
    return NULL;
}

void
mh_foresee_plugin(struct mh_plugins *all, struct mh_foresee *f)
{
    struct mh_plugin *p = serving(all, f->object);
    struct mh_plugin_ahead *h = mh_arena_alloc(f->arena, sizeof(*h));
    f->result = NULL;
    f->err.code = MH_OK;
    if (!p) {
        f->result = "{\"none\":true}";
        f->done(f);
        return;
    }
    if (h) {
        *h = (struct mh_plugin_ahead){ .work = p->work, .f = f };
        h->by = mh_arena_printf(f->arena, "%s/%s/%s@%s", p->ns, p->name, p->key, p->active->hash);
        h->object = edited(h, p->active->finalizes);
    }
    if (!h || !h->by || !h->object) {
        mh_fail(&f->err, MH_E_NOMEM, "no memory for the plan");
        f->done(f);
        return;
    }
    h->next = p->work->ahead;
    p->work->ahead = h;
    f->planner = p->work->passes.planner;
    f->kind = p->work->kind->key;
    f->call = (struct mh_planner_call){ .kind = f->kind,
                                        .ns = mh_json_str(h->object, "metadata", "namespace", NULL),
                                        .name = mh_json_str(h->object, "metadata", "name", NULL),
                                        .object = h->object,
                                        .arena = f->arena,
                                        .dry = true,
                                        .done = on_planned,
                                        .arg = h };
    f->planner.start(f->planner.self, &f->call);
}

void
mh_foresee_plugin_stop(struct mh_plugin_work *w)
{
    while (w->ahead) {
        struct mh_plugin_ahead *h = w->ahead;
        w->ahead = h->next;
        h->f->planner.cancel(h->f->planner.self, &h->f->call);
        mh_fail(&h->f->err, MH_E_UNAVAILABLE,
                "another version of the plugin is being taken into charge, ask again");
        h->f->done(h->f);
    }
}
