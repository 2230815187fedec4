/* plugin_plan.c - one pass of a plugin: observe and plan in its child, reads carried out here. */
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "operator/plugin_guard.h"

#define REQUEST_MAX ((size_t)4 << 20)
#define LIST_MAX 500

/* On the pass's arena. */
struct plan_run {
    struct mh_plugin_work *work;
    struct mh_plugin_text *text;
    struct mh_planner_call *call;
    struct mh_plugin_job job;
    bool working; /* the job runs */
    struct mh_timer *timer;
    struct mh_api_call read; /* of an effect */
    bool reading;
    const struct mh_kind *kind; /* that is read */
    int64_t now_s;
    bool planned;                       /* by the plugin */
    const char *question;               /* of the effect under way; NULL: nobody wants to know */
    struct mh_plugin_heard *heard;      /* what was asked and answered, for the version beside */
    const struct mh_plugin_heard *like; /* what another pass was told */
};

static void
finish(struct plan_run *run)
{
    struct mh_planner_call *call = run->call;
    struct mh_plugin *p = run->work->plugin;
    call->impl = NULL;
    bool fault = call->err.code == MH_E_SCRIPT || call->err.code == MH_E_LIMIT;
    if (fault && run->text && !call->dry)
        mh_plugin_failed(p, run->text, call->err.msg);
    if (call->err.code == MH_E_REFUSED && p->all->events && !call->dry) {
        struct mh_event_ref ref = mh_event_ref_of(call->object);
        mh_kube_event(p->all->events, &ref, "Warning", "NeedsExceeded", call->err.msg);
    }
    if (call->err.code == MH_E_REFUSED && !call->dry)
        mh_plugins_add(p->all, "violations", 1);
    if (call->err.code == MH_OK && run->planned && !call->dry)
        mh_plugin_shade_ask(p, call, run->heard, run->now_s);
    if (call->err.code != MH_OK && run->job.traceback)
        mh_debug("plugin", "plugin failed", "namespace", call->ns, "name", call->name, "traceback",
                 run->job.traceback);
    mh_plugin_text_unref(run->text);
    call->done(call);
}

static void
on_later(void *arg)
{
    struct plan_run *run = arg;
    run->timer = NULL;
    finish(run);
}

static void
finish_later(struct plan_run *run)
{
    struct mh_clock *c = &run->work->plugin->all->clock;
    run->timer = c->after(c->self, 0, on_later, run);
    if (!run->timer)
        finish(run);
}

static yyjson_val *
frozen(struct mh_arena *a, yyjson_mut_val *v)
{
    yyjson_alc alc = mh_json_alc(a);
    return v ? yyjson_doc_get_root(yyjson_mut_val_imut_copy(v, &alc)) : NULL;
}

/* --- what observe asks --------------------------------------------------------------------------------- */

static void
answer(struct plan_run *run, const char *error, yyjson_val *value)
{
    struct mh_buf b;
    mh_buf_init(&b, REQUEST_MAX);
    size_t len = 0;
    const char *text = value ? mh_json_text(run->call->arena, value, &len) : NULL;
    if (value && !text)
        error = "no memory, or it is too large";
    (void)mh_buf_char(&b, '{');
    if (error) {
        (void)mh_buf_str(&b, "\"error\":");
        (void)mh_json_quote(&b, error, strlen(error));
    } else if (text) {
        (void)mh_buf_str(&b, "\"value\":");
        (void)mh_buf_add(&b, text, len);
    }
    (void)mh_buf_char(&b, '}');
    if (!error && run->question && !b.failed)
        run->heard =
            mh_plugin_heard_add(run->call->arena, run->heard, run->question, mh_buf_text(&b));
    static const char large[] = "{\"error\":\"it is too large\"}";
    if (b.failed)
        mh_plugin_child_answer(&run->job, large, sizeof(large) - 1);
    else
        mh_plugin_child_answer(&run->job, mh_buf_text(&b), b.len);
    mh_buf_release(&b);
}

/* Whether the pass that this one is like was told, which is then the answer. */
static bool
answer_alike(struct plan_run *run)
{
    const struct mh_plugin_heard *h = run->like;
    while (h && !mh_str_eq(h->question, run->question))
        h = h->next;
    if (h)
        mh_plugin_child_answer(&run->job, h->answer, strlen(h->answer));
    return h != NULL;
}

/* Refused: said to the script, and in an event, whatever the script makes of it. */
static void
refuse(struct plan_run *run, const struct mh_err *err)
{
    struct mh_plugins *all = run->work->plugin->all;
    struct mh_event_ref ref = mh_event_ref_of(run->call->object);
    if (all->events && err->code == MH_E_REFUSED && !run->call->dry)
        mh_kube_event(all->events, &ref, "Warning", "NeedsExceeded", err->msg);
    answer(run, err->msg, NULL);
}

/* Of a Secret only which keys there are, and its version: no value, and no annotation (kubectl keeps
 * a copy of the values in one). */
static yyjson_mut_val *
handle(yyjson_mut_doc *doc, yyjson_val *secret)
{
    yyjson_mut_val *out = yyjson_mut_obj(doc), *meta = yyjson_mut_obj_add_obj(doc, out, "metadata");
    yyjson_mut_val *keys = yyjson_mut_obj_add_arr(doc, out, "keys");
    static const char *const kept[] = { "name",   "namespace",         "uid",
                                        "labels", "creationTimestamp", "resourceVersion" };
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        yyjson_val *v = mh_json_get(secret, "metadata", kept[i], NULL);
        if (v)
            yyjson_mut_obj_add_val(doc, meta, kept[i], yyjson_val_mut_copy(doc, v));
    }
    yyjson_obj_iter i = yyjson_obj_iter_with(yyjson_obj_get(secret, "data"));
    yyjson_val *k;
    while ((k = yyjson_obj_iter_next(&i)))
        yyjson_mut_arr_append(keys, yyjson_val_mut_copy(doc, k));
    yyjson_mut_obj_add_str(doc, out, "apiVersion", "v1");
    yyjson_mut_obj_add_str(doc, out, "kind", "Secret");
    return out;
}

static yyjson_mut_val *
shown(struct plan_run *run, yyjson_mut_doc *doc, yyjson_val *object)
{
    if (mh_kind_is_secret(run->kind))
        return handle(doc, object);
    yyjson_mut_val *copy = yyjson_val_mut_copy(doc, object);
    yyjson_mut_obj_remove_key(yyjson_mut_obj_get(copy, "metadata"), "managedFields");
    return copy;
}

static void
on_read(struct mh_api_call *call)
{
    struct plan_run *run = call->arg;
    struct mh_arena *a = run->call->arena;
    run->reading = false;
    if (call->err.code == MH_E_NOTFOUND) {
        answer(run, NULL, NULL);
        return;
    }
    if (call->err.code != MH_OK) {
        refuse(run, &call->err);
        return;
    }
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_val *items = yyjson_obj_get(call->reply, "items");
    yyjson_mut_val *out = items ? yyjson_mut_arr(doc) : shown(run, doc, call->reply);
    yyjson_arr_iter i = yyjson_arr_iter_with(items);
    yyjson_val *item;
    while ((item = yyjson_arr_iter_next(&i)))
        yyjson_mut_arr_append(out, shown(run, doc, item));
    yyjson_val *value = frozen(a, out);
    answer(run, value ? NULL : "no memory", value);
}

static void
ask_api(struct plan_run *run, const struct mh_need_wish *wish, const char *path)
{
    struct mh_err err = { .code = MH_OK };
    if (!path)
        mh_fail(&err, MH_E_INVALID, "no name of an object");
    else
        (void)mh_plugin_may(run->work->plugin, run->text, wish, run->call->ns, &err);
    if (err.code != MH_OK) {
        refuse(run, &err);
        return;
    }
    if (answer_alike(run))
        return;
    run->read = (struct mh_api_call){
        .method = "GET", .path = path, .arena = run->call->arena, .done = on_read, .arg = run
    };
    run->reading = true;
    run->work->guard.start(run->work->guard.self, &run->read);
}

/* ctx.get(kind, name, {namespace}), ctx.list(kind, {namespace, labels}) */
static void
effect_read(struct plan_run *run, bool one, yyjson_val *args)
{
    struct mh_arena *a = run->call->arena;
    const char *key = yyjson_get_str(yyjson_arr_get(args, 0));
    const char *name = one ? yyjson_get_str(yyjson_arr_get(args, 1)) : NULL;
    yyjson_val *how = yyjson_arr_get(args, one ? 2 : 1);
    const char *ns = mh_json_str(how, "namespace", NULL),
               *labels = mh_json_str(how, "labels", NULL);
    run->kind = key ? mh_kind_find(&run->work->kinds, key) : NULL;
    if (!run->kind || (one && !name)) {
        answer(run, run->kind ? "no name given" : "unknown kind: declare it in `kinds`", NULL);
        return;
    }
    ns = !run->kind->namespaced ? NULL : ns ? ns : run->call->ns;
    struct mh_need_wish wish = {
        one ? "get" : "list", run->kind->group, run->kind->plural, NULL, ns, name
    };
    const char *path = mh_kube_path(a, run->kind, ns, name, NULL);
    if (path && !one)
        path = mh_kube_query(a, path, "limit", MH_STR(LIST_MAX));
    if (path && labels)
        path = mh_kube_query(a, path, "labelSelector", labels);
    ask_api(run, &wish, path);
}

static void
on_sql(struct mh_api_call *call)
{
    struct plan_run *run = call->arg;
    run->reading = false;
    if (call->err.code != MH_OK)
        refuse(run, &call->err);
    else
        answer(run, NULL, yyjson_obj_get(call->reply, "rows"));
}

/* ctx.sql{cluster, database, as, sql, params}: rows as a list of tables. */
static void
effect_sql(struct plan_run *run, yyjson_val *args)
{
    struct mh_arena *a = run->call->arena;
    struct mh_err err = { .code = MH_OK };
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *how = yyjson_val_mut_copy(doc, yyjson_arr_get(args, 0));
    if (!yyjson_mut_is_obj(how) || yyjson_mut_obj_get(how, "password")) {
        answer(run, "want { cluster, sql, ... }, without a password", NULL);
        return;
    }
    if (!yyjson_mut_obj_get(how, "namespace"))
        yyjson_mut_obj_add_strcpy(doc, how, "namespace", run->call->ns);
    yyjson_mut_obj_add_bool(doc, how, "read", true);
    const char *body = mh_json_mut_text(a, how, NULL);
    (void)mh_plugin_may_sql(run->work->plugin, run->text, frozen(a, how), run->call->ns, &err);
    if (err.code == MH_OK && !body)
        mh_fail(&err, MH_E_NOMEM, "no memory");
    if (err.code != MH_OK) {
        refuse(run, &err);
        return;
    }
    if (answer_alike(run))
        return;
    run->read = (struct mh_api_call){ .method = "POST",
                                      .path = MH_PLUGIN_SQL_PATH,
                                      .body = body,
                                      .body_len = strlen(body),
                                      .arena = a,
                                      .done = on_sql,
                                      .arg = run };
    run->reading = true;
    run->work->guard.start(run->work->guard.self, &run->read);
}

static void
on_effect(struct mh_plugin_job *job, const char *name, yyjson_val *args)
{
    struct plan_run *run = job->arg;
    struct mh_arena *a = run->call->arena;
    const char *text = run->like || run->work->plugin->shade ? mh_json_text(a, args, NULL) : NULL;
    run->question = text ? mh_arena_printf(a, "%s%s", name, text) : NULL;
    if (strcmp(name, "sql") == 0)
        effect_sql(run, args);
    else
        effect_read(run, strcmp(name, "get") == 0, args);
}

/* --- questions to the child ------------------------------------------------------------------------------ */

/* {"op":OP,"name","script",KEY:VALUE...} */
static bool
put_request(struct plan_run *run, struct mh_buf *b, const char *op, const char *key,
            yyjson_val *value)
{
    struct mh_arena *a = run->call->arena;
    size_t len;
    const char *text = mh_json_text(a, value, &len);
    mh_buf_init(b, REQUEST_MAX);
    mh_plugin_request(b, op, run->work->plugin, run->text);
    (void)mh_buf_printf(b, ",\"%s\":", key);
    return text && mh_buf_add(b, text, len) && !b->failed;
}

static void
ask_child(struct plan_run *run, struct mh_buf *b, bool ok, void (*done)(struct mh_plugin_job *job))
{
    ok = ok && mh_buf_char(b, '}');
    if (!ok) {
        mh_buf_release(b);
        mh_fail(&run->call->err, MH_E_LIMIT, "what the plugin is to see is too large");
        finish_later(run);
        return;
    }
    run->job = (struct mh_plugin_job){ .request = mh_buf_text(b),
                                       .request_len = b->len,
                                       .arena = run->call->arena,
                                       .effect = on_effect,
                                       .done = done,
                                       .arg = run };
    run->working = true;
    mh_plugin_child_start(run->work->plugin->child, &run->job);
    mh_buf_release(b);
}

/* --- the plan ------------------------------------------------------------------------------------------------ */

/* The argument of host.finish; plan NULL: what goes before. */
static yyjson_val *
finish_arg(struct plan_run *run, yyjson_val *plan)
{
    struct mh_arena *a = run->call->arena;
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    if (!root)
        return NULL;
    yyjson_mut_obj_add_val(doc, root, "object", yyjson_val_mut_copy(doc, run->call->object));
    if (plan)
        yyjson_mut_obj_add_val(doc, root, "plan", yyjson_val_mut_copy(doc, plan));
    yyjson_mut_obj_add_strcpy(doc, root, "kind_key", run->work->kind->key);
    yyjson_mut_obj_add_strcpy(doc, root, "name", run->work->plugin->name);
    yyjson_mut_obj_add_str(doc, root, "finalizer", MH_PLUGIN_FINALIZER);
    yyjson_mut_obj_add_bool(doc, root, "finalizes", run->text->finalizes);
    return frozen(a, root);
}

/* True: *out is a plan; false: the plugin is to be asked, or call->err says why not. */
static bool
host_finish(struct plan_run *run, yyjson_val *plan, yyjson_val **out)
{
    struct mh_planner_call *call = run->call;
    yyjson_val *arg = finish_arg(run, plan);
    if (!arg) {
        mh_fail(&call->err, MH_E_NOMEM, "no memory for a plan");
        return false;
    }
    if (mh_plugin_host(run->work->plugin->all, call->arena, "finish", arg, out, &call->err) !=
        MH_OK)
        return false;
    if (mh_json_bool(*out, false, "ask", NULL))
        return false;
    call->plan = mh_json_canonical(call->arena, *out, &call->plan_len);
    if (!call->plan)
        mh_fail(&call->err, MH_E_NOMEM, "no memory for a plan");
    return call->plan != NULL;
}

/* "pgrole.lua:3: plan: ..." where the fault has no line of its own. */
static void
name_fault(struct plan_run *run, const char *what)
{
    struct mh_err *err = &run->call->err;
    if (err->code == MH_E_SCRIPT && !mh_str_starts(err->msg, run->work->plugin->key))
        (void)mh_wrap(err, "%s:%d: %s", run->work->plugin->key, run->text->line, what);
}

static void
on_planned(struct mh_plugin_job *job)
{
    struct plan_run *run = job->arg;
    struct mh_planner_call *call = run->call;
    yyjson_val *plan = NULL;
    run->working = false;
    run->planned = true;
    call->err = job->err;
    if (call->err.code == MH_OK && host_finish(run, job->value, &plan)) {
        bool going = mh_json_get(call->object, "metadata", "deletionTimestamp", NULL) != NULL;
        if (mh_plugin_may_plan(run->work, run->text, plan, call->ns, &call->err) != MH_OK)
            call->plan = NULL;
        else if (!going && !call->dry)
            mh_plugin_remember(run->work->plugin, call->seen,
                               mh_json_canonical(call->arena, job->value, NULL));
    } else {
        if (call->err.code == MH_OK) /* null: as if there were no plan yet */
            mh_fail(&call->err, MH_E_SCRIPT, "it returned nothing");
        name_fault(run, "plan");
    }
    finish(run);
}

static void
on_observed(struct mh_plugin_job *job)
{
    struct plan_run *run = job->arg;
    struct mh_planner_call *call = run->call;
    struct mh_buf b;
    bool going = mh_json_get(call->object, "metadata", "deletionTimestamp", NULL) != NULL;
    run->working = false;
    call->err = job->err;
    if (call->err.code == MH_OK) {
        call->seen = mh_json_canonical(call->arena, job->value, &call->seen_len);
        if (!call->seen)
            mh_fail(&call->err, MH_E_NOMEM, "no memory for what was seen");
    }
    if (call->err.code != MH_OK) {
        name_fault(run, "observe");
        finish(run);
        return;
    }
    bool ok = put_request(run, &b, "plan", "seen", job->value);
    ok = ok && mh_buf_printf(&b, ",\"fn\":\"%s\"", going ? "finalize" : "plan");
    ask_child(run, &b, ok, on_planned);
}

static void
observe(struct plan_run *run)
{
    struct mh_buf b;
    bool ok = put_request(run, &b, "observe", "object", run->call->object);
    ok = ok && mh_buf_printf(&b, ",\"ctx\":{\"now\":%lld}", (long long)run->now_s);
    ask_child(run, &b, ok, on_observed);
}

/* --- the planner ------------------------------------------------------------------------------------------------ */

void
mh_plugin_plan_like(struct mh_plugin_work *w, struct mh_planner_call *call,
                    const struct mh_plugin_heard *heard, int64_t now_s)
{
    struct plan_run *run = mh_arena_alloc(call->arena, sizeof(*run));
    yyjson_val *plan = NULL;
    size_t bytes;
    call->impl = run;
    if (!run) {
        mh_fail(&call->err, MH_E_NOMEM, "no memory for a pass");
        call->done(call);
        return;
    }
    *run = (struct plan_run){ .work = w, .call = call, .like = heard, .now_s = now_s };
    run->text = mh_plugin_text_ref(w->plugin->active);
    if (run->text)
        call->by = mh_arena_printf(call->arena, "%s/%s/%s@%s", w->plugin->ns, w->plugin->name,
                                   w->plugin->key, run->text->hash);
    if (!run->text)
        mh_fail(&call->err, MH_E_INVALID, "no version of plugin %s is in charge", w->plugin->name);
    else if (mh_cache_count(w->cache, &bytes) > MH_PLUGIN_OBJECTS_MAX)
        mh_fail(&call->err, MH_E_INVALID, "the plugin watches more than %d objects",
                MH_PLUGIN_OBJECTS_MAX);
    else if (!host_finish(run, NULL, &plan) && call->err.code == MH_OK) {
        observe(run);
        return;
    }
    finish_later(run);
}

static void
start(void *self, struct mh_planner_call *call)
{
    struct mh_plugin_work *w = self;
    struct mh_clock *clock = &w->plugin->all->clock;
    mh_plugin_plan_like(w, call, NULL, clock->wall_us(clock->self) / 1000000);
}

static void
cancel(void *self, struct mh_planner_call *call)
{
    struct mh_plugin_work *w = self;
    struct plan_run *run = call->impl;
    call->impl = NULL;
    if (!run)
        return;
    w->plugin->all->clock.cancel(w->plugin->all->clock.self, run->timer);
    if (run->reading)
        w->guard.cancel(w->guard.self, &run->read);
    if (run->working)
        mh_plugin_child_cancel(&run->job);
    mh_plugin_text_unref(run->text);
}

struct mh_planner
mh_plugin_planner(struct mh_plugin_work *w)
{
    return (struct mh_planner){ start, cancel, w };
}
