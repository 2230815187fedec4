/* plugin_life.c - into charge, and out of it: what a trial came to, what annotations say, what errors do. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "operator/plugin_in.h"

static int64_t
now_us(const struct mh_plugin *p)
{
    struct mh_clock *clock = &p->all->clock;
    return clock->mono_ns(clock->self) / 1000;
}

/* --- how a trial ends ------------------------------------------------------------------------------ */

/* The version of an earlier life was tried: now what the ConfigMap has. */
static void
try_latest(struct mh_plugin *p)
{
    mh_plugin_end_trial(p);
    mh_plugin_text_unref(p->kept);
    p->kept = NULL;
    mh_plugin_try_later(p, true);
}

void
mh_plugin_reject(struct mh_plugin_trial *t, const char *reason, const char *why)
{
    struct mh_plugin *p = t->plugin;
    const char *rest = p->active ? "; version " : "";
    if (t->text != p->latest) {
        mh_warn("plugin", "a version of an earlier life is not taken", "namespace", p->ns, "name",
                p->name, "hash", t->text->hash, "error", why);
        try_latest(p);
        return;
    }
    mh_plugin_report(t, MH_PLUGIN_REJECTED);
    mh_plugin_go_on(p);
    mh_plugin_say(p, MH_PLUGIN_REJECTED, reason, "%.450s%s%s%s", why, rest,
                  p->active ? p->active->hash : "", p->active ? " stays in charge" : "");
    mh_plugin_end_trial(p);
}

void
mh_plugin_put_off(struct mh_plugin_trial *t, const char *reason, const char *why)
{
    struct mh_plugin *p = t->plugin;
    bool latest = t->text == p->latest;
    if (!latest && ++p->kept_tries < MH_PLUGIN_KEPT_TRIES) {
        mh_info("plugin", "a version of an earlier life waits", "namespace", p->ns, "name", p->name,
                "hash", t->text->hash, "error", why);
        mh_plugin_end_trial(p);
        mh_plugin_try_later(p, false);
        return;
    }
    mh_plugin_reject(t, reason, why);
    if (latest)
        mh_plugin_try_later(p, false);
}

static bool
is_hash_of(const struct mh_plugin_text *t, const char *hash)
{
    return t && strcmp(t->hash, hash) == 0;
}

void
mh_plugin_turn_down(struct mh_plugin_trial *t, const struct mh_err *err)
{
    const struct mh_plugin *p = t->plugin;
    bool known = t->text != p->latest || is_hash_of(t->text, p->settled) ||
                 is_hash_of(p->active, t->text->hash);
    bool fault = err->code == MH_E_SCRIPT || (err->code == MH_E_LIMIT && !known) ||
                 err->code == MH_E_INVALID || err->code == MH_E_REFUSED;
    (fault ? mh_plugin_reject : mh_plugin_put_off)(t, "PluginRejected", err->msg);
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

void
mh_plugin_go_on(struct mh_plugin *p)
{
    struct mh_err err = { .code = MH_OK };
    if (p->active && !p->work && p->all->leading && !take(p, p->active, &err))
        mh_warn("plugin", "the version in charge cannot go on", "namespace", p->ns, "name", p->name,
                "error", err.msg);
}

void
mh_plugin_activate(struct mh_plugin_trial *t)
{
    struct mh_plugin *p = t->plugin;
    char replayed[320];
    struct mh_err err = { .code = MH_OK };
    if (!take(p, t->text, &err)) {
        mh_plugin_reject(t, "PluginRejected", err.msg);
        return;
    }
    if (t->text != p->latest) {
        try_latest(p);
        return;
    }
    mh_plugins_add(p->all, "activations", 1);
    if (p->all->metrics && p->received_us)
        mh_metrics_observe(p->all->metrics, "moonherd_plugin_activation_seconds", "",
                           (double)(now_us(p) - p->received_us) / 1e6);
    p->received_us = 0;
    mh_str_copy(p->settled, sizeof(p->settled), t->text->hash); /* the one before it no more */
    mh_plugin_tell_record(p);
    mh_plugin_report(t, MH_PLUGIN_ACTIVE);
    mh_plugin_replay_sentence(&t->replay, replayed, sizeof(replayed));
    mh_plugin_say(p, MH_PLUGIN_ACTIVE, "PluginActive", "serves %s of %s/%s%s%s%s", t->text->kind,
                  t->text->group, t->text->version, p->home ? "" : " in namespace ",
                  p->home ? "" : p->ns, replayed);
    mh_plugin_end_trial(p);
}

/* --- what annotations say --------------------------------------------------------------------------- */

static bool
may_lead(const struct mh_plugin *p, const struct mh_plugin_text *t)
{
    switch (p->rollout) {
    case MH_ROLLOUT_AUTO:
        return true;
    case MH_ROLLOUT_MANUAL: /* who was in charge before the annotation came, or before us, stays it */
        return p->approved || is_hash_of(t, p->settled) || is_hash_of(p->active, t->hash);
    case MH_ROLLOUT_SHADOW:
        return p->approved;
    case MH_ROLLOUT_BAD:
        break;
    }
    return is_hash_of(p->active, t->hash);
}

bool
mh_plugin_may_begin(const struct mh_plugin_trial *t)
{
    return t->text != t->plugin->latest || may_lead(t->plugin, t->text);
}

/* Out of charge, back into the shadow; the version before goes on. */
static void
step_aside(struct mh_plugin *p)
{
    struct mh_err err = { .code = MH_OK };
    struct mh_plugin_text *was = p->active, *good = p->good;
    p->active = p->good = NULL;
    p->settled[0] = '\0';
    if (!good || !take(p, good, &err)) {
        mh_plugin_work_free(p->work);
        p->work = NULL;
    }
    mh_plugin_tell_record(p);
    mh_plugin_text_unref(was);
    mh_plugin_text_unref(good);
    mh_plugin_try(p);
}

void
mh_plugin_settle(struct mh_plugin *p)
{
    struct mh_plugin_trial *t = p->trial;
    if (!p->all->leading || !p->latest)
        return;
    if (t && t->waits && mh_plugin_may_begin(t)) {
        p->received_us = 0; /* how long people take is no figure of ours */
        mh_plugin_proceed(t);
    } else if (t && t->waits) {
        mh_plugin_go_on(p);
        if (p->rollout == MH_ROLLOUT_SHADOW)
            mh_plugin_shade_begin(p, t->text);
        else
            mh_plugin_shade_end(p);
        mh_plugin_say_waiting(p);
    } else if (!t && !p->fall && p->rollout == MH_ROLLOUT_SHADOW && p->active == p->latest &&
               !may_lead(p, p->latest)) {
        step_aside(p);
    }
}

/* --- errors ------------------------------------------------------------------------------------------ */

void
mh_plugin_say_fallen(struct mh_plugin *p)
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
    mh_plugins_add(p->all, "rollbacks", 1);
    p->active = p->good = NULL;
    if (good && !take(p, good, &err))
        mh_warn("plugin", "the version before is not taken", "error", err.msg);
    mh_str_copy(p->settled, sizeof(p->settled), p->active ? p->active->hash : "");
    if (bad == p->latest) {
        mh_str_copy(p->fallen, sizeof(p->fallen), bad->hash);
        mh_plugin_say_fallen(p);
    }
    mh_plugin_tell_record(p);
    mh_plugin_text_unref(bad);
    mh_plugin_text_unref(good);
    mh_plugin_shade_end(p); /* it went beside the bad one */
    mh_plugin_settle(p);
}

void
mh_plugin_failed(struct mh_plugin *p, const struct mh_plugin_text *t, const char *why)
{
    int64_t now = now_us(p);
    mh_plugins_add(p->all, "errors", 1);
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
