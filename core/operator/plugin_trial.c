/* plugin_trial.c - what a version goes through before it is in charge: declaration, cases, needs, recorded
 * passes, its kind. */
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

static void
reach(struct mh_plugin_trial *t, enum mh_plugin_state state)
{
    struct mh_clock *clock = &t->plugin->all->clock;
    t->at_us[state] = clock->mono_ns(clock->self) / 1000;
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
    mh_plugin_cases_cancel(&t->cases);
    mh_plugin_replay_cancel(&t->replay);
    mh_plugin_shade_end(p);
    if (t->asking)
        mh_needs_ask_cancel(&t->ask);
    if (t->calling)
        p->all->api.cancel(p->all->api.self, &t->call);
    mh_plugin_text_unref(t->text);
    mh_arena_release(&t->arena);
    mh_free(t);
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
        mh_plugin_reject(t, "PluginRejected", "no memory for its CustomResourceDefinition");
        return;
    }
    t->tries = 1;
    send_crd(t, "PATCH", t->crd);
}

static void
crd_failed(struct mh_plugin_trial *t, const struct mh_err *err)
{
    char why[500];
    (void)snprintf(why, sizeof(why), "its CustomResourceDefinition: %.400s", err->msg);
    if (mh_class_of(err->code) == MH_TERMINAL)
        mh_plugin_reject(t, "PluginRejected", why);
    else
        mh_plugin_put_off(t, "PluginRejected", why);
}

/* Made, it is applied at once, so that later edits can take away what is in it. */
static void
on_created(struct mh_api_call *call)
{
    struct mh_plugin_trial *t = call->arg;
    t->calling = false;
    if (call->err.code == MH_OK)
        apply_crd(t);
    else if (call->err.code == MH_E_EXISTS)
        send_crd(t, "GET", NULL); /* somebody was faster: whose is it? */
    else
        crd_failed(t, &call->err);
}

/* There was none: to apply it by force would take over what somebody else makes now. What the maker of an
 * object wrote no apply takes away, so what an edit may leave out is not in it. */
static void
create_crd(struct mh_plugin_trial *t)
{
    yyjson_val *crd = NULL;
    yyjson_mut_doc *doc = mh_json_doc(&t->arena);
    if (t->crd)
        (void)mh_json_parse(&t->arena, t->crd, strlen(t->crd), &crd, NULL);
    yyjson_mut_val *root = doc && crd ? yyjson_val_mut_copy(doc, crd) : NULL;
    yyjson_mut_val *names = yyjson_mut_obj_get(yyjson_mut_obj_get(root, "spec"), "names");
    (void)yyjson_mut_obj_remove_key(names, "shortNames");
    const char *body = root ? mh_json_mut_text(&t->arena, root, NULL) : NULL;
    if (body)
        send_crd(t, "POST", body);
    else
        mh_plugin_reject(t, "PluginRejected", "no memory for its CustomResourceDefinition");
}

/* The first answer: whether there is one, and whose it is. */
static void
on_crd_found(struct mh_plugin_trial *t, const struct mh_api_call *call)
{
    const struct mh_plugin *p = t->plugin;
    const char *owner = mh_json_str(call->reply, "metadata", "annotations", MH_PLUGIN_OWNER, NULL);
    const char *us = mh_arena_printf(&t->arena, "%s/%s/%s", p->ns, p->name, p->key);
    char why[500];
    if (call->err.code == MH_E_NOTFOUND) {
        create_crd(t);
    } else if (!us || !mh_str_eq(owner, us)) {
        (void)snprintf(why, sizeof(why), "the kind %s.%s is there and belongs to %.250s",
                       t->text->plural, t->text->group, owner ? owner : "somebody else");
        mh_plugin_reject(t, "PluginRejected", why);
    } else {
        apply_crd(t);
    }
}

/* The answers: first GET, then (at home) POST or PATCH, then GET until it is established. */
static void
on_crd(struct mh_api_call *call)
{
    struct mh_plugin_trial *t = call->arg;
    struct mh_plugin *p = t->plugin;
    char why[500];
    t->calling = false;
    if (call->err.code != MH_OK && (call->err.code != MH_E_NOTFOUND || t->tries > 0)) {
        crd_failed(t, &call->err);
    } else if (t->tries == 0 && !p->home && call->err.code == MH_E_NOTFOUND) {
        (void)snprintf(why, sizeof(why),
                       "there is no kind %s.%s, and a plugin outside the operator's namespace does "
                       "not make one",
                       t->text->plural, t->text->group);
        mh_plugin_put_off(t, "PluginRejected", why);
    } else if (t->tries == 0 && p->home) {
        on_crd_found(t, call);
    } else if (is_established(call->reply)) {
        mh_plugin_activate(t);
    } else if (++t->tries > CRD_TRIES) {
        mh_plugin_put_off(t, "PluginRejected", "its CustomResourceDefinition is not established");
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
    bool creates = strcmp(method, "POST") == 0;
    const char *path =
        name && kind ? mh_kube_path(&t->arena, kind, NULL, creates ? NULL : name, NULL) : NULL;
    if (path && body)
        path = mh_kube_query(&t->arena, path, "fieldManager", MH_FIELD_MANAGER);
    if (path && body && !creates)
        path = mh_kube_query(&t->arena, path, "force", "true");
    if (!path) {
        mh_plugin_reject(t, "PluginRejected", "no memory, or no name for its kind");
        return;
    }
    t->call = (struct mh_api_call){ .method = method,
                                    .path = path,
                                    .content_type = body && !creates ? MH_PATCH_APPLY : NULL,
                                    .body = body,
                                    .body_len = body ? strlen(body) : 0,
                                    .arena = &t->arena,
                                    .done = creates ? on_created : on_crd,
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

/* --- recorded passes, and the wait for an approval ------------------------------------------------------ */

void
mh_plugin_proceed(struct mh_plugin_trial *t)
{
    t->waits = false;
    mh_plugin_shade_end(t->plugin);
    if (t->text == t->plugin->latest)
        mh_plugin_say(t->plugin, MH_PLUGIN_REPLAYED, NULL, "its kind is being made");
    t->tries = 0;
    send_crd(t, "GET", NULL);
}

static void
on_replayed(struct mh_plugin_replay *r)
{
    struct mh_plugin_trial *t = r->arg;
    reach(t, MH_PLUGIN_REPLAYED);
    mh_plugins_add(t->plugin->all, "replayed", r->replayed);
    if (mh_plugin_may_begin(t)) {
        mh_plugin_proceed(t);
        return;
    }
    t->waits = true;
    mh_plugin_report(t, MH_PLUGIN_REPLAYED);
    mh_plugin_settle(t->plugin);
}

static void
on_granted(struct mh_plugin_trial *t)
{
    char why[400];
    if (!covers_own_kind(t, why, sizeof(why))) {
        mh_plugin_reject(t, "PluginRejected", why);
        return;
    }
    reach(t, MH_PLUGIN_GRANTED);
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
        const char *why = ask->why ? ask->why : MH_NEEDS_REASON;
        bool read = ask->call.err.code == MH_OK || ask->call.err.code == MH_E_NOTFOUND;
        t->plugin->ungranted = t->text == t->plugin->latest;
        /* who was in charge in an earlier life and is not granted that any more holds nobody up */
        (read && !t->plugin->ungranted ? mh_plugin_reject : mh_plugin_put_off)(t, MH_NEEDS_REASON,
                                                                               why);
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
        mh_plugin_put_off(t, "PluginRejected", "no memory for its needs");
        return;
    }
    needs = kept;
    if (mh_needs_parse(&t->text->arena, needs, p->home ? NULL : p->ns, &t->text->needs, &err) !=
        MH_OK) {
        const char *why = mh_arena_printf(&t->arena, "%s:%d: %s", p->key, t->text->line, err.msg);
        mh_plugin_reject(t, "PluginRejected", why ? why : err.msg);
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
host_arg(const struct mh_plugin *p, struct mh_arena *a, yyjson_val *declaration)
{
    static const char *const reserved[] = { "k8s.io", "kubernetes.io", "moonherd.io", "cnpg.io",
                                            NULL };
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *taken = yyjson_mut_obj_add_arr(doc, root, "taken");
    const char *us = mh_arena_printf(a, "%s/%s/%s", p->ns, p->name, p->key);
    if (!taken || !us)
        return NULL;
    for (const char *const *r = reserved; *r; r++)
        yyjson_mut_arr_add_str(doc, taken, *r);
    for (const char *const *g = p->all->groups; g && *g; g++)
        yyjson_mut_arr_add_strcpy(doc, taken, *g);
    yyjson_mut_obj_add_strcpy(doc, root, "owner", us);
    yyjson_mut_obj_add_val(doc, root, "declaration", yyjson_val_mut_copy(doc, declaration));
    yyjson_alc alc = mh_json_alc(a);
    return yyjson_doc_get_root(yyjson_mut_val_imut_copy(root, &alc));
}

enum mh_code
mh_plugin_declare(const struct mh_plugin *p, struct mh_arena *a, yyjson_val *declaration,
                  yyjson_val **out, struct mh_err *err)
{
    char why[sizeof(err->msg)];
    yyjson_val *arg = host_arg(p, a, declaration);
    if (!arg)
        return mh_fail(err, MH_E_NOMEM, "no memory for its declaration");
    if (mh_plugin_host(p->all, a, "declare", arg, out, err) == MH_OK)
        return MH_OK;
    mh_str_copy(why, sizeof(why), err->msg);
    return mh_fail(err, err->code, "%.60s:%d: %.400s", p->key,
                   (int)mh_json_int(declaration, 1, "line", NULL), why);
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
on_tested(struct mh_plugin_cases *c)
{
    struct mh_plugin_trial *t = c->arg;
    if (c->err.code != MH_OK) {
        struct mh_err err = c->err;
        mh_plugin_turn_down(t, &err);
        return;
    }
    reach(t, MH_PLUGIN_TESTED);
    if (t->text == t->plugin->latest)
        mh_plugin_say(t->plugin, MH_PLUGIN_TESTED, NULL, "its needs are being looked up");
    ask_needs(t, c->declaration);
}

static void
on_declared(struct mh_plugin_job *job)
{
    struct mh_plugin_trial *t = job->arg;
    struct mh_err err = job->err;
    yyjson_val *out = NULL;
    t->working = false;
    if (err.code != MH_OK) {
        mh_plugin_turn_down(t, &err);
        return;
    }
    t->text->line = (int)mh_json_int(job->value, 1, "line", NULL);
    if (mh_plugin_declare(t->plugin, &t->arena, job->value, &out, &err) == MH_OK && !keep(t, out))
        mh_fail(&err, MH_E_NOMEM, "no memory for its declaration");
    if (err.code != MH_OK) {
        mh_plugin_turn_down(t, &err);
        return;
    }
    reach(t, MH_PLUGIN_CHECKED);
    if (t->text == t->plugin->latest)
        mh_plugin_say(t->plugin, MH_PLUGIN_CHECKED, NULL, "its cases are being run");
    t->cases = (struct mh_plugin_cases){
        .plugin = t->plugin, .text = t->text, .declaration = job->value, .done = on_tested, .arg = t
    };
    mh_plugin_cases_next(&t->cases);
}

void
mh_plugin_request(struct mh_buf *b, const char *op, const struct mh_plugin *p,
                  const struct mh_plugin_text *t)
{
    (void)mh_buf_printf(b, "{\"op\":\"%s\",\"name\":", op);
    (void)mh_json_quote(b, p->key, strlen(p->key));
    (void)mh_buf_str(b, ",\"script\":");
    (void)mh_json_quote(b, t->script, t->len);
}

static void
on_again(void *arg)
{
    struct mh_plugin *p = arg;
    p->timer = NULL;
    mh_plugin_try(p);
}

static void
declare(struct mh_plugin_trial *t)
{
    struct mh_buf b;
    mh_buf_init(&b, (size_t)2 << 20);
    mh_plugin_request(&b, "declare", t->plugin, t->text);
    (void)mh_buf_char(&b, '}');
    if (b.failed) {
        mh_plugin_reject(t, "PluginRejected", "it is too large");
    } else {
        t->job = (struct mh_plugin_job){ .request = mh_buf_text(&b),
                                         .request_len = b.len,
                                         .arena = &t->arena,
                                         .done = on_declared,
                                         .arg = t };
        t->working = true;
        mh_plugin_child_start(t->plugin->child, &t->job);
    }
    mh_buf_release(&b);
}

/* What an earlier trial found out, that nobody looks at: each trial takes some of the text's memory. */
static void
forget_trial(struct mh_plugin_text *t)
{
    if (t->refs > 1) /* it is in charge, or in a pass */
        return;
    mh_arena_clear(&t->arena);
    t->declared = NULL;
    t->needs = (struct mh_needs_set){ .text = "{}" };
    t->kind = t->group = t->version = t->plural = NULL;
    t->finalizes = false;
}

void
mh_plugin_try(struct mh_plugin *p)
{
    mh_plugin_end_trial(p);
    if (!p->kept && p->fallen[0] && strcmp(p->fallen, p->latest->hash) == 0) {
        mh_plugin_go_on(p);      /* we lead again */
        mh_plugin_say_fallen(p); /* maybe in an earlier life */
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
    forget_trial(p->kept ? p->kept : p->latest);
    t->text = mh_plugin_text_ref(p->kept ? p->kept : p->latest);
    mh_arena_init(&t->arena, TRIAL_ARENA);
    reach(t, MH_PLUGIN_RECEIVED);
    if (t->text == p->latest)
        mh_plugin_say(p, MH_PLUGIN_RECEIVED, NULL, "is being checked");
    declare(t);
}

void
mh_plugin_try_later(struct mh_plugin *p, bool at_once)
{
    p->all->clock.cancel(p->all->clock.self, p->timer);
    p->timer = p->all->clock.after(p->all->clock.self, at_once ? 0 : AGAIN_NS, on_again, p);
}
