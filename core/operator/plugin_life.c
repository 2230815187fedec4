/* plugin_life.c - from an edit to the version in charge, and back when it fails. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "operator/plugin_in.h"

#define TRIAL_ARENA ((size_t)16 << 20)
#define AGAIN_NS (10 * MH_NS_PER_S)
#define CRD_NS (200 * MH_NS_PER_MS)
#define CRD_TRIES 100
#define OWNER "moonherd.io/plugin-of"

const char *const mh_plugin_states[] = { "Received", "Checked",  "Granted",   "Replayed",
                                         "Active",   "Rejected", "RolledBack" };

struct mh_plugin_trial {
    struct mh_plugin *plugin;
    struct mh_plugin_text *text;
    struct mh_arena arena;
    struct mh_plugin_job job;
    bool working; /* the job runs */
    struct mh_needs_ask ask;
    bool asking;
    struct mh_plugin_replay replay;
    struct mh_api_call call;
    bool calling;
    const char *crd;
    int tries;
};

/* --- what authors are told ----------------------------------------------------------------------- */

static void
annotate(struct mh_plugin *p, const char *reason, const char *note)
{
    struct mh_buf b;
    bool any = false;
    mh_buf_init(&b, (size_t)64 << 10);
    (void)mh_buf_char(&b, '{');
    for (const struct mh_plugin *q = p->all->first; q; q = q->next) {
        if (!q->latest || !mh_str_eq(q->ns, p->ns) || !mh_str_eq(q->name, p->name))
            continue;
        (void)mh_buf_str(&b, any ? "," : "");
        any = true;
        (void)mh_json_quote(&b, q->key, strlen(q->key));
        (void)mh_buf_printf(&b, ":{\"state\":\"%s\",\"hash\":\"%s\",", mh_plugin_states[q->state],
                            q->latest->hash);
        if (q->active)
            (void)mh_buf_printf(&b, "\"kind\":\"%s.%s\",\"active\":\"%s\",", q->active->kind,
                                q->active->group, q->active->hash);
        (void)mh_buf_str(&b, "\"message\":");
        (void)mh_json_quote(&b, q->message, strlen(q->message));
        (void)mh_buf_char(&b, '}');
    }
    (void)mh_buf_char(&b, '}');
    bool bad = p->state == MH_PLUGIN_REJECTED || p->state == MH_PLUGIN_ROLLED_BACK;
    struct mh_policy_news news = { .namespace = p->ns,
                                   .name = p->name,
                                   .uid = *p->uid ? p->uid : NULL,
                                   .annotation = mh_buf_text(&b),
                                   .event_type = !reason ? NULL
                                                 : bad   ? "Warning"
                                                         : "Normal",
                                   .reason = reason,
                                   .note = note };
    if (!b.failed && p->all->writer)
        mh_policy_writer_news(p->all->writer, &news);
    mh_buf_release(&b);
}

void
mh_plugin_say(struct mh_plugin *p, enum mh_plugin_state state, const char *reason, const char *fmt,
              ...)
{
    char told[sizeof(p->told)], note[sizeof(p->message) + 120];
    va_list ap;
    p->state = state;
    va_start(ap, fmt);
    (void)vsnprintf(p->message, sizeof(p->message), fmt, ap);
    va_end(ap);
    (void)snprintf(told, sizeof(told), "%d %s %.580s", (int)state, p->latest->hash, p->message);
    bool news = reason && strcmp(told, p->told) != 0;
    enum mh_log_level level = state >= MH_PLUGIN_REJECTED ? MH_LOG_WARNING : MH_LOG_INFO;
    mh_log(news ? level : MH_LOG_DEBUG, "plugin", "state of a plugin", "namespace", p->ns, "name",
           p->name, "key", p->key, "state", mh_plugin_states[state], "hash", p->latest->hash,
           "note", p->message);
    if (!news) /* said before, or on its way and not worth a write */
        return;
    mh_str_copy(p->told, sizeof(p->told), told);
    (void)snprintf(note, sizeof(note), "%.100s: %s", p->key, p->message);
    annotate(p, reason, note);
}

/* --- the end of a trial --------------------------------------------------------------------------- */

void
mh_plugin_end_trial(struct mh_plugin *p)
{
    struct mh_plugin_trial *t = p->trial;
    p->all->clock.cancel(p->all->clock.self, p->timer);
    p->timer = NULL;
    if (!t)
        return;
    p->trial = NULL;
    if (t->working)
        mh_plugin_child_cancel(&t->job);
    mh_plugin_replay_cancel(&t->replay);
    if (t->asking)
        mh_needs_ask_cancel(&t->ask);
    if (t->calling)
        p->all->api.cancel(p->all->api.self, &t->call);
    mh_plugin_text_unref(t->text);
    mh_arena_release(&t->arena);
    mh_free(t);
}

static void
on_again(void *arg)
{
    struct mh_plugin *p = arg;
    p->timer = NULL;
    mh_plugin_try(p);
}

/* The version of an earlier life was tried: now what the ConfigMap has. */
static void
try_latest(struct mh_plugin *p)
{
    mh_plugin_end_trial(p);
    mh_plugin_text_unref(p->kept);
    p->kept = NULL;
    p->timer = p->all->clock.after(p->all->clock.self, 0, on_again, p);
}

static void
reject(struct mh_plugin_trial *t, const char *reason, const char *why)
{
    struct mh_plugin *p = t->plugin;
    const char *rest = p->active ? "; version " : "";
    if (t->text != p->latest) {
        mh_warn("plugin", "a version of an earlier life is not taken", "namespace", p->ns, "name",
                p->name, "hash", t->text->hash, "error", why);
        try_latest(p);
        return;
    }
    mh_plugin_say(p, MH_PLUGIN_REJECTED, reason, "%.450s%s%s%s", why, rest,
                  p->active ? p->active->hash : "", p->active ? " stays in charge" : "");
    mh_plugin_end_trial(p);
}

/* It is tried again by itself. */
static void
put_off(struct mh_plugin_trial *t, const char *reason, const char *why)
{
    struct mh_plugin *p = t->plugin;
    bool latest = t->text == p->latest;
    reject(t, reason, why);
    if (!latest)
        return;
    p->timer = p->all->clock.after(p->all->clock.self, AGAIN_NS, on_again, p);
}

/* --- into charge, and out of it -------------------------------------------------------------------- */

static bool
same_shape(const struct mh_plugin_text *a, const struct mh_plugin_text *b)
{
    return mh_str_eq(a->kind, b->kind) && mh_str_eq(a->group, b->group) &&
           mh_str_eq(a->version, b->version) && mh_str_eq(a->plural, b->plural) &&
           mh_json_same(yyjson_obj_get(a->declared, "watches"),
                        yyjson_obj_get(b->declared, "watches")) &&
           mh_json_same(yyjson_obj_get(a->declared, "kinds"), yyjson_obj_get(b->declared, "kinds"));
}

/* Makes t the version in charge; false: its kinds cannot be watched. */
static bool
take(struct mh_plugin *p, struct mh_plugin_text *t, struct mh_err *err)
{
    struct mh_plugin_work *w = p->work;
    if (!w || !same_shape(w->text, t)) {
        w = mh_plugin_work_new(p, t, err);
        if (!w)
            return false;
        mh_plugin_work_free(p->work);
        p->work = w;
    }
    struct mh_plugin_text *old = p->active;
    p->active = mh_plugin_text_ref(t);
    if (old && old != t) {
        mh_plugin_text_unref(p->good);
        p->good = old;
    } else {
        mh_plugin_text_unref(old);
    }
    p->nerrors = 0;
    mh_plugin_work_all(p->work);
    return true;
}

static void
activate(struct mh_plugin_trial *t)
{
    struct mh_plugin *p = t->plugin;
    char replayed[320];
    struct mh_err err = { .code = MH_OK };
    if (!take(p, t->text, &err)) {
        reject(t, "PluginRejected", err.msg);
        return;
    }
    if (t->text != p->latest) {
        try_latest(p);
        return;
    }
    mh_plugin_tell_record(p);
    mh_plugin_replay_sentence(&t->replay, replayed, sizeof(replayed));
    mh_plugin_say(p, MH_PLUGIN_ACTIVE, "PluginActive", "serves %s of %s/%s%s%s%s", t->text->kind,
                  t->text->group, t->text->version, p->home ? "" : " in namespace ",
                  p->home ? "" : p->ns, replayed);
    mh_plugin_end_trial(p);
}

static void
say_fallen(struct mh_plugin *p)
{
    mh_plugin_say(p, MH_PLUGIN_ROLLED_BACK, "PluginRolledBack",
                  "three errors within ten minutes, the last: %.350s; %s%s", p->last_error,
                  p->active ? "in charge again is version " : "nothing is done until it is edited",
                  p->active ? p->active->hash : "");
}

/* From the loop: no pass is on the stack. */
static void
on_fall(void *arg)
{
    struct mh_plugin *p = arg;
    struct mh_err err = { .code = MH_OK };
    struct mh_plugin_text *bad = p->active, *good = p->good;
    p->fall = NULL;
    p->active = p->good = NULL;
    if (good && !take(p, good, &err))
        mh_warn("plugin", "the version before is not taken", "error", err.msg);
    if (bad == p->latest) {
        mh_str_copy(p->fallen, sizeof(p->fallen), bad->hash);
        say_fallen(p);
    }
    mh_plugin_tell_record(p);
    mh_plugin_text_unref(bad);
    mh_plugin_text_unref(good);
}

void
mh_plugin_failed(struct mh_plugin *p, const struct mh_plugin_text *t, const char *why)
{
    int64_t now = p->all->clock.mono_ns(p->all->clock.self) / 1000;
    if (p->active != t || p->fall)
        return;
    if (p->nerrors == MH_PLUGIN_ERRORS) {
        memmove(p->errors_us, p->errors_us + 1, sizeof(p->errors_us) - sizeof(p->errors_us[0]));
        p->nerrors--;
    }
    p->errors_us[p->nerrors++] = now;
    mh_str_copy(p->last_error, sizeof(p->last_error), why);
    if (p->nerrors == MH_PLUGIN_ERRORS &&
        now - p->errors_us[0] <= (int64_t)MH_PLUGIN_WINDOW_S * 1000000)
        p->fall = p->all->clock.after(p->all->clock.self, 0, on_fall, p);
}

/* --- its kind ---------------------------------------------------------------------------------------- */

static void send_crd(struct mh_plugin_trial *t, const char *method, const char *body);

static void
on_crd_again(void *arg)
{
    struct mh_plugin *p = arg;
    p->timer = NULL;
    send_crd(p->trial, "GET", NULL);
}

static bool
is_established(yyjson_val *crd)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(mh_json_get(crd, "status", "conditions", NULL));
    yyjson_val *c;
    while ((c = yyjson_arr_iter_next(&i)))
        if (mh_str_eq(mh_json_str(c, "type", NULL), "Established") &&
            mh_str_eq(mh_json_str(c, "status", NULL), "True"))
            return true;
    return false;
}

static void
apply_crd(struct mh_plugin_trial *t)
{
    if (!t->crd) {
        reject(t, "PluginRejected", "no memory for its CustomResourceDefinition");
        return;
    }
    t->tries = 1;
    send_crd(t, "PATCH", t->crd);
}

/* The answers: first GET, then (at home) PATCH, then GET until it is established. */
static void
on_crd(struct mh_api_call *call)
{
    struct mh_plugin_trial *t = call->arg;
    struct mh_plugin *p = t->plugin;
    char why[500];
    t->calling = false;
    const char *owner = mh_json_str(call->reply, "metadata", "annotations", OWNER, NULL);
    if (call->err.code != MH_OK && (call->err.code != MH_E_NOTFOUND || t->tries > 0)) {
        (void)snprintf(why, sizeof(why), "its CustomResourceDefinition: %.400s", call->err.msg);
        if (mh_class_of(call->err.code) == MH_TERMINAL)
            reject(t, "PluginRejected", why);
        else
            put_off(t, "PluginRejected", why);
    } else if (t->tries == 0 && !p->home && call->err.code == MH_E_NOTFOUND) {
        (void)snprintf(why, sizeof(why),
                       "there is no kind %s.%s, and a plugin outside the operator's namespace does "
                       "not make one",
                       t->text->plural, t->text->group);
        put_off(t, "PluginRejected", why);
    } else if (t->tries == 0 && p->home) {
        const char *us = mh_arena_printf(&t->arena, "%s/%s/%s", p->ns, p->name, p->key);
        if (call->err.code == MH_OK && !mh_str_eq(owner, us)) {
            (void)snprintf(why, sizeof(why), "the kind %s.%s is there and belongs to %s",
                           t->text->plural, t->text->group, owner ? owner : "somebody else");
            reject(t, "PluginRejected", why);
            return;
        }
        apply_crd(t);
    } else if (is_established(call->reply)) {
        activate(t);
    } else if (++t->tries > CRD_TRIES) {
        put_off(t, "PluginRejected", "its CustomResourceDefinition is not established");
    } else {
        p->timer = p->all->clock.after(p->all->clock.self, CRD_NS, on_crd_again, p);
    }
}

static void
send_crd(struct mh_plugin_trial *t, const char *method, const char *body)
{
    struct mh_plugins *all = t->plugin->all;
    const struct mh_kind *kind = mh_kind_find(all->kinds, "CustomResourceDefinition");
    const char *name = mh_arena_printf(&t->arena, "%s.%s", t->text->plural, t->text->group);
    const char *path = name && kind ? mh_kube_path(&t->arena, kind, NULL, name, NULL) : NULL;
    if (path && body) {
        path = mh_kube_query(&t->arena, path, "fieldManager", MH_FIELD_MANAGER);
        path = path ? mh_kube_query(&t->arena, path, "force", "true") : NULL;
    }
    if (!path) {
        reject(t, "PluginRejected", "no memory, or no name for its kind");
        return;
    }
    t->call = (struct mh_api_call){ .method = method,
                                    .path = path,
                                    .content_type = body ? MH_PATCH_APPLY : NULL,
                                    .body = body,
                                    .body_len = body ? strlen(body) : 0,
                                    .arena = &t->arena,
                                    .done = on_crd,
                                    .arg = t };
    t->calling = true;
    all->api.start(all->api.self, &t->call);
}

/* --- its needs --------------------------------------------------------------------------------------- */

/* Whether what every plugin of a namespace needs of its own kind is among its needs: outside the
 * operator's namespace nothing goes without saying. */
static bool
covers_own_kind(const struct mh_plugin_trial *t, char *why, size_t size)
{
    static const struct {
        const char *verb, *sub;
    } want[] = { { "get", NULL }, { "list", NULL }, { "watch", NULL }, { "patch", "status" } };
    const struct mh_plugin *p = t->plugin;
    if (p->home)
        return true;
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        struct mh_need_wish wish = { want[i].verb, t->text->group, t->text->plural,
                                     want[i].sub,  p->ns,          NULL };
        if (mh_needs_cover_api(&t->text->needs, &wish))
            continue;
        (void)snprintf(why, size, "its needs must name %s on %s%s%s of group %s, too", want[i].verb,
                       t->text->plural, want[i].sub ? "/" : "", want[i].sub ? want[i].sub : "",
                       t->text->group);
        return false;
    }
    return true;
}

static void
on_replayed(struct mh_plugin_replay *r)
{
    struct mh_plugin_trial *t = r->arg;
    if (t->text == t->plugin->latest)
        mh_plugin_say(t->plugin, MH_PLUGIN_REPLAYED, NULL, "its kind is being made");
    t->tries = 0;
    send_crd(t, "GET", NULL);
}

static void
on_granted(struct mh_plugin_trial *t)
{
    char why[400];
    if (!covers_own_kind(t, why, sizeof(why))) {
        reject(t, "PluginRejected", why);
        return;
    }
    if (t->text == t->plugin->latest)
        mh_plugin_say(t->plugin, MH_PLUGIN_GRANTED, NULL, "it is tried on recorded passes");
    const struct mh_plugin_text *old = t->plugin->active;
    t->replay = (struct mh_plugin_replay){
        .plugin = t->plugin, .text = t->text, .arena = &t->arena, .done = on_replayed, .arg = t
    };
    if (old && mh_str_eq(old->kind, t->text->kind) && mh_str_eq(old->group, t->text->group))
        mh_plugin_replay_next(&t->replay);
    else
        on_replayed(&t->replay);
}

static void
on_asked(struct mh_needs_ask *ask)
{
    struct mh_plugin_trial *t = ask->arg;
    t->asking = false;
    if (!ask->granted) {
        t->plugin->ungranted = t->text == t->plugin->latest;
        put_off(t, MH_NEEDS_REASON, ask->why ? ask->why : MH_NEEDS_REASON);
        return;
    }
    t->text->needs = ask->set;
    on_granted(t);
}

static void
ask_needs(struct mh_plugin_trial *t, yyjson_val *declared)
{
    struct mh_plugin *p = t->plugin;
    struct mh_err err = { .code = MH_OK };
    yyjson_val *needs = yyjson_obj_get(declared, "needs"), *kept = NULL;
    size_t len = 0;
    /* The texts of the set are those of the declaration, which must live as long. */
    const char *text = needs ? mh_json_text(&t->text->arena, needs, &len) : NULL;
    if (text)
        (void)mh_json_parse(&t->text->arena, text, len, &kept, NULL);
    if (needs && !kept) {
        put_off(t, "PluginRejected", "no memory for its needs");
        return;
    }
    needs = kept;
    if (mh_needs_parse(&t->text->arena, needs, p->home ? NULL : p->ns, &t->text->needs, &err) !=
        MH_OK) {
        const char *why = mh_arena_printf(&t->arena, "%s:%d: %s", p->key, t->text->line, err.msg);
        reject(t, "PluginRejected", why ? why : err.msg);
        return;
    }
    if (mh_needs_empty(&t->text->needs) || p->all->trusting) {
        on_granted(t);
        return;
    }
    t->ask = (struct mh_needs_ask){ .text = { .name_space = p->ns,
                                              .name = p->name,
                                              .uid = p->uid,
                                              .key = p->key,
                                              .script = t->text->script,
                                              .script_len = t->text->len,
                                              .kept = t->text != p->latest },
                                    .declared = needs,
                                    .arena = &t->text->arena,
                                    .done = on_asked,
                                    .arg = t };
    t->asking = true;
    mh_needs_ask(p->all->needs, &t->ask);
}

/* --- its declaration ----------------------------------------------------------------------------------- */

static yyjson_val *
host_arg(struct mh_plugin_trial *t)
{
    struct mh_plugins *all = t->plugin->all;
    static const char *const reserved[] = { "k8s.io", "kubernetes.io", "moonherd.io", "cnpg.io",
                                            NULL };
    yyjson_mut_doc *doc = mh_json_doc(&t->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *taken = yyjson_mut_obj_add_arr(doc, root, "taken");
    const char *us =
        mh_arena_printf(&t->arena, "%s/%s/%s", t->plugin->ns, t->plugin->name, t->plugin->key);
    if (!taken || !us)
        return NULL;
    for (const char *const *r = reserved; *r; r++)
        yyjson_mut_arr_add_str(doc, taken, *r);
    for (const char *const *g = all->groups; g && *g; g++)
        yyjson_mut_arr_add_strcpy(doc, taken, *g);
    yyjson_mut_obj_add_strcpy(doc, root, "owner", us);
    yyjson_mut_obj_add_val(doc, root, "declaration", yyjson_val_mut_copy(doc, t->job.value));
    yyjson_alc alc = mh_json_alc(&t->arena);
    return yyjson_doc_get_root(yyjson_mut_val_imut_copy(root, &alc));
}

/* What is kept of a declaration, on the text's own arena; false: no memory. */
static bool
keep(struct mh_plugin_trial *t, yyjson_val *out)
{
    struct mh_plugin_text *x = t->text;
    size_t len;
    yyjson_val *d = NULL;
    t->crd = mh_json_text(&t->arena, yyjson_obj_get(out, "crd"), NULL);
    char *text = mh_json_text(&x->arena, out, &len);
    if (!text || mh_json_parse(&x->arena, text, len, &d, NULL) != MH_OK)
        return false;
    x->declared = d;
    x->kind = mh_json_str(d, "kind", NULL);
    x->group = mh_json_str(d, "group", NULL);
    x->version = mh_json_str(d, "version", NULL);
    x->plural = mh_json_str(d, "plural", NULL);
    x->finalizes = mh_json_bool(d, false, "finalizes", NULL);
    return x->kind && x->group && x->version && x->plural;
}

static void
on_declared(struct mh_plugin_job *job)
{
    struct mh_plugin_trial *t = job->arg;
    struct mh_err err = job->err;
    yyjson_val *out = NULL;
    t->working = false;
    if (err.code != MH_OK) {
        reject(t, "PluginRejected", err.msg);
        return;
    }
    t->text->line = (int)mh_json_int(job->value, 1, "line", NULL);
    yyjson_val *arg = host_arg(t);
    if (!arg)
        mh_fail(&err, MH_E_NOMEM, "no memory for its declaration");
    else if (mh_plugin_host(t->plugin->all, &t->arena, "declare", arg, &out, &err) == MH_OK &&
             !keep(t, out))
        mh_fail(&err, MH_E_NOMEM, "no memory for its declaration");
    if (err.code != MH_OK) {
        const char *why =
            mh_arena_printf(&t->arena, "%s:%d: %s", t->plugin->key, t->text->line, err.msg);
        reject(t, "PluginRejected", why ? why : err.msg);
        return;
    }
    if (t->text == t->plugin->latest)
        mh_plugin_say(t->plugin, MH_PLUGIN_CHECKED, NULL, "its needs are being looked up");
    ask_needs(t, job->value);
}

void
mh_plugin_try(struct mh_plugin *p)
{
    struct mh_buf b;
    struct mh_err err = { .code = MH_OK };
    mh_plugin_end_trial(p);
    if (!p->kept && p->fallen[0] && strcmp(p->fallen, p->latest->hash) == 0) {
        if (p->active && !p->work) /* we lead again */
            (void)take(p, p->active, &err);
        say_fallen(p); /* maybe in an earlier life */
        return;
    }
    struct mh_plugin_trial *t = mh_calloc(1, sizeof(*t));
    if (!t) {
        p->timer = p->all->clock.after(p->all->clock.self, AGAIN_NS, on_again, p);
        return;
    }
    p->trial = t;
    p->ungranted = false;
    t->plugin = p;
    t->text = mh_plugin_text_ref(p->kept ? p->kept : p->latest);
    mh_arena_init(&t->arena, TRIAL_ARENA);
    mh_buf_init(&b, (size_t)2 << 20);
    (void)mh_buf_str(&b, "{\"op\":\"declare\",\"name\":");
    (void)mh_json_quote(&b, p->key, strlen(p->key));
    (void)mh_buf_str(&b, ",\"script\":");
    (void)mh_json_quote(&b, t->text->script, t->text->len);
    (void)mh_buf_char(&b, '}');
    if (t->text == p->latest)
        mh_plugin_say(p, MH_PLUGIN_RECEIVED, NULL, "is being checked");
    if (b.failed) {
        reject(t, "PluginRejected", "it is too large");
    } else {
        t->job = (struct mh_plugin_job){ .request = mh_buf_text(&b),
                                         .request_len = b.len,
                                         .arena = &t->arena,
                                         .done = on_declared,
                                         .arg = t };
        t->working = true;
        mh_plugin_child_start(p->child, &t->job);
    }
    mh_buf_release(&b);
}
