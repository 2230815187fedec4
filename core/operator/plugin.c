#include "operator/plugin.h"

#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "net/crypto.h"
#include "operator/plugin_in.h"
#include "operator/plugin_review.h"

#define TEXT_ARENA ((size_t)4 << 20)

/* --- texts ------------------------------------------------------------------------------------- */

struct mh_plugin_text *
mh_plugin_text_ref(struct mh_plugin_text *t)
{
    if (t)
        t->refs++;
    return t;
}

void
mh_plugin_text_unref(struct mh_plugin_text *t)
{
    if (!t || --t->refs > 0)
        return;
    mh_arena_release(&t->arena);
    mh_free(t->script);
    mh_free(t);
}

struct mh_plugin_text *
mh_plugin_text_new(yyjson_val *script)
{
    char hex[MH_SHA256_HEX];
    struct mh_plugin_text *t = mh_calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->refs = 1;
    t->len = yyjson_get_len(script);
    t->script = mh_malloc(t->len + 1);
    mh_arena_init(&t->arena, TEXT_ARENA);
    if (!t->script) {
        mh_plugin_text_unref(t);
        return NULL;
    }
    memcpy(t->script, yyjson_get_str(script), t->len + 1);
    mh_sha256_hex(hex, t->script, t->len);
    mh_str_copy(t->hash, sizeof(t->hash), hex);
    return t;
}

/* --- plugins ----------------------------------------------------------------------------------- */

static void
free_plugin(struct mh_plugin *p)
{
    mh_plugin_end_trial(p);
    mh_plugin_work_free(p->work);
    p->all->clock.cancel(p->all->clock.self, p->timer);
    p->all->clock.cancel(p->all->clock.self, p->fall);
    mh_plugin_child_free(p->child);
    mh_plugin_text_unref(p->latest);
    mh_plugin_text_unref(p->active);
    mh_plugin_text_unref(p->good);
    mh_plugin_text_unref(p->kept);
    mh_plugin_forget_seen(p);
    mh_free(p->report);
    mh_free(p->ns);
    mh_free(p->name);
    mh_free(p->uid);
    mh_free(p->key);
    mh_free(p->created);
    mh_free(p);
}

static struct mh_plugin *
find(struct mh_plugins *all, const char *ns, const char *name, const char *key)
{
    struct mh_plugin *p = all->first;
    while (p && (!mh_str_eq(p->ns, ns) || !mh_str_eq(p->name, name) || !mh_str_eq(p->key, key)))
        p = p->next;
    return p;
}

static struct mh_plugin *
add(struct mh_plugins *all, yyjson_val *object, const char *key)
{
    const char *created = mh_json_str(object, "metadata", "creationTimestamp", NULL);
    const char *uid = mh_json_str(object, "metadata", "uid", NULL);
    struct mh_plugin *p = mh_calloc(1, sizeof(*p)), **at = &all->first;
    int n = 0;
    for (const struct mh_plugin *q = all->first; q; q = q->next)
        n++;
    if (!p)
        return NULL;
    p->all = all;
    p->ns = mh_strdup(mh_json_str(object, "metadata", "namespace", NULL));
    p->name = mh_strdup(mh_json_str(object, "metadata", "name", NULL));
    p->uid = mh_strdup(uid ? uid : "");
    p->created = mh_strdup(created ? created : "");
    p->key = mh_strdup(key);
    p->home = mh_str_eq(p->ns, all->name_space);
    p->child = mh_plugin_child_new(all->base, all->child_argv);
    if (n >= MH_PLUGINS_MAX || !p->ns || !p->name || !p->uid || !p->created || !p->key ||
        !p->child) {
        mh_error("plugin", "not taken: too many, or no memory", "key", key);
        free_plugin(p);
        return NULL;
    }
    while (*at)
        at = &(*at)->next;
    *at = p;
    return p;
}

/* The key is gone: its objects stay, and nobody looks after them. Where its ConfigMap stays, so does the
 * record, which must not bring the text back. */
static void
drop(struct mh_plugin *p, bool stays)
{
    struct mh_plugins *all = p->all;
    struct mh_plugin **at = &all->first;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    mh_warn("plugin", "plugin removed", "namespace", p->ns, "name", p->name, "key", p->key);
    if (p->work)
        mh_plugin_let_go(p->work);
    if (stays && all->leading)
        mh_plugin_tell_record(p);
    free_plugin(p);
    mh_plugins_count(all);
    mh_plugins_sweep(all);
}

static void
take_text(struct mh_plugin *p, yyjson_val *script)
{
    size_t n = yyjson_get_len(script);
    if (p->latest && p->latest->len == n &&
        memcmp(p->latest->script, yyjson_get_str(script), n) == 0)
        return;
    struct mh_plugin_text *t = mh_plugin_text_new(script);
    if (!t) {
        mh_error("plugin", "no memory for a text", "namespace", p->ns, "name", p->name);
        return;
    }
    bool first = !p->latest;
    mh_plugin_end_trial(p);
    mh_plugin_text_unref(p->latest);
    p->latest = t;
    p->ungranted = false;
    p->fallen[0] = '\0';
    mh_free(p->report);
    p->report = NULL;
    p->received_us = p->all->leading ? p->all->clock.mono_ns(p->all->clock.self) / 1000 : 0;
    if (first)
        mh_plugin_recall(p);
    if (p->all->leading)
        mh_plugin_try(p);
}

/* --- ConfigMaps -------------------------------------------------------------------------------- */

/* A key as its ConfigMap has it now, with what the annotations say of it. */
static void
take_key(struct mh_plugin *p, yyjson_val *object, yyjson_val *script)
{
    yyjson_val *notes = mh_json_get(object, "metadata", "annotations", NULL);
    const char *approve = mh_json_str(notes, MH_POLICY_APPROVE, NULL);
    p->seen = true;
    p->rollout = mh_rollout_of(mh_json_str(notes, MH_POLICY_ROLLOUT, NULL), p->key);
    take_text(p, script);
    p->approved = approve && p->latest && strstr(approve, p->latest->hash) != NULL;
    mh_plugin_settle(p);
}

static bool
is_other_object(const struct mh_plugin *p, const char *uid)
{
    return uid && *p->uid && strcmp(p->uid, uid) != 0;
}

void
mh_plugins_remove(struct mh_plugins *all, const char *ns, const char *name)
{
    struct mh_plugin *p = all->first;
    while (p) {
        struct mh_plugin *next = p->next;
        if (mh_str_eq(p->ns, ns) && mh_str_eq(p->name, name))
            drop(p, false);
        p = next;
    }
}

void
mh_plugins_update(struct mh_plugins *all, yyjson_val *object)
{
    const char *ns = mh_json_str(object, "metadata", "namespace", NULL);
    const char *name = mh_json_str(object, "metadata", "name", NULL);
    const char *uid = mh_json_str(object, "metadata", "uid", NULL);
    yyjson_val *labels = mh_json_get(object, "metadata", "labels", NULL);
    if (!ns || !name)
        return;
    bool ours = yyjson_obj_get(labels, MH_PLUGIN_LABEL) && !yyjson_obj_get(labels, MH_POLICY_LABEL);
    for (struct mh_plugin *p = all->first; p; p = p->next)
        p->seen = !mh_str_eq(p->ns, ns) || !mh_str_eq(p->name, name);
    yyjson_obj_iter i = yyjson_obj_iter_with(ours ? mh_json_get(object, "data", NULL) : NULL);
    yyjson_val *k;
    while ((k = yyjson_obj_iter_next(&i))) {
        const char *key = yyjson_get_str(k);
        yyjson_val *script = yyjson_obj_iter_get_val(k);
        if (!mh_str_ends(key, ".lua") || !yyjson_is_str(script))
            continue;
        struct mh_plugin *p = find(all, ns, name, key);
        if (p && is_other_object(p, uid)) {
            drop(p, false);
            p = NULL;
        }
        p = p ? p : add(all, object, key);
        if (p)
            take_key(p, object, script);
    }
    struct mh_plugin *p = all->first;
    while (p) {
        struct mh_plugin *next = p->next;
        if (!p->seen)
            drop(p, true);
        p = next;
    }
}

void
mh_plugins_granted(struct mh_plugins *all, const char *ns, const char *name)
{
    for (struct mh_plugin *p = all->first; p; p = p->next)
        if (all->leading && p->ungranted && mh_str_eq(p->ns, ns) && mh_str_eq(p->name, name))
            mh_plugin_try(p);
}

void
mh_plugins_lead(struct mh_plugins *all, bool leading)
{
    if (all->leading == leading)
        return;
    all->leading = leading;
    mh_plugins_sweep(all);
    for (struct mh_plugin *p = all->first; p; p = p->next) {
        if (leading) {
            mh_plugin_try(p);
            continue;
        }
        mh_plugin_end_trial(p);
        all->clock.cancel(all->clock.self, p->fall); /* who leads next counts anew */
        p->fall = NULL;
        mh_plugin_work_free(p->work);
        p->work = NULL;
    }
}

/* --- life -------------------------------------------------------------------------------------- */

enum mh_code
mh_plugins_init(struct mh_plugins *all, struct mh_err *err)
{
    all->first = NULL;
    all->leading = false;
    mh_plugins_count(all);
    mh_plugins_add(all, "activations", 0);
    mh_plugins_add(all, "rejections", 0);
    mh_plugins_add(all, "rollbacks", 0);
    mh_plugins_add(all, "errors", 0);
    mh_plugins_add(all, "violations", 0);
    mh_plugins_add(all, "replayed", 0);
    return mh_controller_new("plugins/lib/host", &all->host, err);
}

void
mh_plugins_release(struct mh_plugins *all)
{
    while (all->first) {
        struct mh_plugin *p = all->first;
        all->first = p->next;
        free_plugin(p);
    }
    mh_plugin_reviews_release(all);
    mh_plugins_free_kept(all);
    mh_plugins_stop_leaving(all);
    mh_plugins_stop_sweep(all);
    mh_controller_free(all->host);
    all->host = NULL;
}

enum mh_code
mh_plugin_host(struct mh_plugins *all, struct mh_arena *a, const char *fn, yyjson_val *arg,
               yyjson_val **out, struct mh_err *err)
{
    struct mh_script_call call = { .field = fn, .nargs = 1 };
    call.args[0].value = arg;
    if (mh_controller_run(all->host, a, &call, err) != MH_OK ||
        mh_json_parse(a, call.out, call.out_len, out, err) != MH_OK)
        return err->code;
    const char *error = mh_json_str(*out, "error", NULL);
    return error ? mh_fail(err, MH_E_SCRIPT, "%s", error) : MH_OK;
}
