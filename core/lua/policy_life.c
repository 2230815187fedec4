/* policy_life.c - from an edit to the version that decides, and back when it misbehaves. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "lua/policy_entry.h"

#define CHECK_ARENA ((size_t)4 << 20)
#define LATE_MOST 3
#define REPORT_MAX ((size_t)16 << 10)

struct mh_checking {
    struct mh_policies *store;
    struct mh_entry *entry;
    struct mh_version *version;
    struct mh_arena arena;
    struct mh_policy_call call;
    struct mh_replay replay;
    int64_t checked_us; /* after the edit; 0: not yet */
    int64_t replayed_us;
    bool replaying;
    int late; /* how often the worker had no time */
};

static void
free_check(struct mh_checking *c)
{
    if (c->replaying)
        mh_replay_cancel(&c->replay);
    mh_replay_release(&c->replay);
    c->entry->check = NULL;
    mh_version_unref(c->version);
    mh_arena_release(&c->arena);
    mh_free(c);
}

/* --- into charge, and out of it ----------------------------------------------------------------- */

static void
take(struct mh_policies *s, struct mh_entry *e, struct mh_version *v)
{
    struct mh_kept *k = mh_policies_kept_of(s, e);
    struct mh_version *before = e->active ? e->active : e->good;
    if (!before && k)
        before = k->version && strcmp(k->version->id, v->id) != 0 ? k->version : k->good;
    if (before != v)
        mh_version_set(&e->good, before);
    mh_version_set(&e->active, v);
    mh_version_set(&e->ready, NULL);
    mh_shadows_forget(s, e);
    e->nerrors = 0;
    mh_policies_drop_kept(s, e->map, e->key);
    if (v == e->latest) {
        s->figures.activations++;
        if (s->on_active && e->received_us)
            s->on_active(s->arg, mh_policies_mono_us(s) - e->received_us);
    }
    mh_info("policy", "policy in charge", "namespace", e->map->ns, "name", e->map->name, "key",
            e->key, "hash", v->hash, "point", v->point, "of",
            v == e->latest ? "the object" : "an earlier edit");
}

/* Somebody must decide where `latest` may not: the version before. */
static void
fall_back(struct mh_policies *s, struct mh_entry *e)
{
    struct mh_kept *k = mh_policies_kept_of(s, e);
    struct mh_version *v = k && k->version ? k->version : e->good;
    if (e->active || e->check || !v || v == e->latest || !(e->refusal || e->fallen || e->ready))
        return;
    if (v->point[0]) /* checked in this life */
        take(s, e, v);
    else if (!mh_entry_check(s, e, v))
        mh_warn("policy", "no memory to check the version before", "namespace", e->map->ns, "name",
                e->map->name, "key", e->key);
}

void
mh_entry_settle(struct mh_policies *s, struct mh_entry *e)
{
    if (e->check)
        return;
    bool may = e->rollout == MH_ROLLOUT_AUTO || (e->rollout == MH_ROLLOUT_MANUAL && e->approved);
    if (e->ready && may) {
        take(s, e, e->ready);
    } else if (e->rollout == MH_ROLLOUT_SHADOW && e->active && e->active == e->latest) {
        /* out of charge, back into the shadow */
        mh_version_set(&e->ready, e->active);
        mh_version_set(&e->active, NULL);
        e->shadow = (struct mh_shadow){ 0 };
    }
    fall_back(s, e);
}

void
mh_entry_mark_fallen(struct mh_policies *s, struct mh_entry *e, const char *id, const char *why)
{
    if (!e->latest || strcmp(e->latest->id, id) != 0 || e->fallen)
        return;
    if (!mh_text_set(&e->fallen, why))
        return;
    mh_str_copy(e->fallen_id, sizeof(e->fallen_id), id);
    if (e->active == e->latest)
        mh_version_set(&e->active, NULL);
    mh_version_set(&e->ready, NULL);
    fall_back(s, e);
}

/* The version in charge goes; the one before it, or whoever is next, decides from now on. */
static void
roll_back(struct mh_policies *s, struct mh_entry *e, const char *why)
{
    struct mh_version *bad = e->active, *good = e->good;
    char note[600];
    bool is_latest = bad == e->latest;
    (void)snprintf(note, sizeof(note), "%.100s: version %s is rolled back: %.400s", e->key,
                   bad->hash, why);
    mh_warn("policy", "policy rolled back", "namespace", e->map->ns, "name", e->map->name, "key",
            e->key, "hash", bad->hash, "error", why, "to",
            good ? good->hash : "the next claim or the built-in policy");
    s->figures.rollbacks++;
    e->active = NULL;
    e->good = NULL;
    if (is_latest && mh_text_set(&e->fallen, why))
        mh_str_copy(e->fallen_id, sizeof(e->fallen_id), bad->id);
    else
        mh_policies_say(s, e->map, "PolicyRolledBack", note);
    if (good && good != bad) {
        if (good->point[0])
            take(s, e, good);
        else
            (void)mh_entry_check(s, e, good);
    }
    mh_version_unref(good);
    mh_version_unref(bad);
    mh_policies_wake(s);
}

void
mh_entry_failed(struct mh_policies *s, struct mh_entry *e, struct mh_version *v, const char *kind,
                const char *text)
{
    char why[500];
    int64_t now = mh_policies_mono_us(s);
    bool violates = strcmp(kind, "guard") == 0;
    s->figures.errors++;
    s->figures.violations += violates;
    if (e->active != v)
        return;
    if (e->nerrors == MH_POLICY_ERRORS) {
        memmove(e->errors_us, e->errors_us + 1, sizeof(e->errors_us) - sizeof(e->errors_us[0]));
        e->nerrors--;
    }
    e->errors_us[e->nerrors++] = now;
    bool often = e->nerrors == MH_POLICY_ERRORS &&
                 now - e->errors_us[0] <= (int64_t)MH_POLICY_WINDOW_S * 1000000;
    if (violates)
        (void)snprintf(why, sizeof(why), "an answer that is not allowed: %.400s", text);
    else if (often)
        (void)snprintf(why, sizeof(why), "%d errors within ten minutes, the last: %.400s",
                       MH_POLICY_ERRORS, text);
    if (violates || often)
        roll_back(s, e, why);
}

/* --- the report --------------------------------------------------------------------------------- */

static void
add_step(struct mh_buf *b, const char *name, int64_t us)
{
    (void)mh_buf_printf(b, ",\"%s\":%.1f", name, (double)us / 1000);
}

/* {"hash","life":{"Received":"TIME","Checked":MS,...},"replay","inputs","differ","failed","lines"} */
static void
write_report(struct mh_checking *c, bool refused)
{
    struct mh_entry *e = c->entry;
    struct mh_buf b;
    char at[MH_TIME_TEXT], sentence[200];
    int64_t now = mh_policies_mono_us(c->store) - e->received_us;
    bool checked = c->call.result.ok;
    mh_buf_init(&b, REPORT_MAX);
    mh_time_rfc3339_micro(at, mh_policies_wall_us(c->store) - now);
    (void)mh_buf_printf(&b, "{\"hash\":\"%s\",\"life\":{\"Received\":\"%s\"", c->version->hash, at);
    if (checked || c->call.result.cases > 0)
        add_step(&b, "Checked", c->checked_us);
    if (checked)
        add_step(&b, "Tested", c->checked_us);
    if (checked && !refused)
        add_step(&b, "Replayed", c->replayed_us);
    if (refused)
        add_step(&b, "Rejected", now);
    else if (e->active == e->latest)
        add_step(&b, "Active", now);
    (void)mh_buf_printf(&b, "},\"cases\":%d", c->call.result.cases);
    if (checked) {
        mh_replay_sentence(&c->replay, sentence, sizeof(sentence));
        (void)mh_buf_str(&b, ",\"replay\":");
        (void)mh_json_quote(&b, sentence, strlen(sentence));
        (void)mh_buf_printf(&b, ",\"inputs\":%u,\"differ\":%u,\"failed\":%u,\"lines\":[",
                            c->replay.inputs, c->replay.differ, c->replay.failed);
        for (unsigned i = 0; i < c->replay.nlines; i++) {
            (void)mh_buf_str(&b, i ? "," : "");
            (void)mh_json_quote(&b, c->replay.lines[i], strlen(c->replay.lines[i]));
        }
        (void)mh_buf_char(&b, ']');
    }
    (void)mh_buf_char(&b, '}');
    if (!b.failed)
        (void)mh_text_set(&e->report, mh_buf_text(&b));
    mh_buf_release(&b);
}

/* --- the check ---------------------------------------------------------------------------------- */

/* `latest` is refused, or another version is no good. */
static void
refuse(struct mh_policies *s, struct mh_checking *c, const char *why)
{
    struct mh_entry *e = c->entry;
    mh_warn("policy", "policy rejected", "namespace", e->map->ns, "name", e->map->name, "key",
            e->key, "hash", c->version->hash, "error", why, "traceback",
            c->call.result.ok ? NULL : c->call.result.error.traceback);
    if (c->version != e->latest) {
        if (e->good == c->version)
            mh_version_set(&e->good, NULL);
        mh_policies_drop_kept(s, e->map, e->key);
        return;
    }
    s->figures.rejections++;
    if (!mh_text_set(&e->refusal, why))
        (void)mh_text_set(&e->refusal, "rejected");
}

/* Check and replay of a version are over. */
static void
conclude(struct mh_checking *c, const char *why_not)
{
    struct mh_policies *s = c->store;
    struct mh_entry *e = c->entry;
    struct mh_kept *k = mh_policies_kept_of(s, e);
    struct mh_version *v = c->version;
    bool is_latest = v == e->latest;
    e->check = NULL; /* settle looks at it */
    if (why_not) {
        refuse(s, c, why_not);
    } else if (!is_latest) {
        if (!e->active)
            take(s, e, v);
    } else if (k && k->fallen && strcmp(k->fallen_id, v->id) == 0) {
        mh_entry_mark_fallen(s, e, k->fallen_id, k->fallen);
    } else {
        mh_version_set(&e->ready, v);
        e->shadow = (struct mh_shadow){ 0 };
    }
    if (!e->check)
        mh_entry_settle(s, e);
    if (is_latest)
        write_report(c, why_not != NULL);
    struct mh_checking *other = e->check; /* of the version before */
    free_check(c);
    e->check = other;
    mh_policies_wake(s);
}

static void
on_replayed(struct mh_replay *r)
{
    struct mh_checking *c = r->arg;
    c->replaying = false;
    c->replayed_us = mh_policies_mono_us(c->store) - c->entry->received_us;
    conclude(c, r->failed ? (r->failure ? r->failure : "it fails on a recorded input") : NULL);
}

static void begin_check(struct mh_checking *c);

static void
on_checked(struct mh_policy_call *call)
{
    struct mh_checking *c = call->arg;
    struct mh_entry *e = c->entry;
    struct mh_policies *s = c->store;
    const struct mh_policy_result *r = &call->result;
    c->checked_us = mh_policies_mono_us(s) - e->received_us;
    if (!r->ok && mh_str_eq(r->error.kind, "wall") && c->late++ < LATE_MOST) {
        begin_check(c); /* a busy machine must not look like a slow script */
        return;
    }
    if (!r->ok) {
        const char *text = mh_policy_error_text(&c->arena, &r->error);
        conclude(c, text ? text : r->error.message);
        return;
    }
    mh_str_copy(c->version->point, sizeof(c->version->point), r->point);
    struct mh_kept *k = mh_policies_kept_of(s, e);
    bool known = k && ((k->version && strcmp(k->version->id, c->version->id) == 0) ||
                       (k->fallen && strcmp(k->fallen_id, c->version->id) == 0));
    if (c->version != e->latest || known) { /* an earlier life has tried it */
        conclude(c, NULL);
        return;
    }
    bool everywhere = strcmp(e->map->ns, s->operator_namespace) == 0;
    c->replay = (struct mh_replay){ .point = c->version->point,
                                    .ns = everywhere ? NULL : e->map->ns,
                                    .selector = e->map->selector,
                                    .tenant = e->map->ns,
                                    .done = on_replayed,
                                    .arg = c };
    mh_version_job(c->version, &c->replay.job);
    c->replaying = true;
    mh_replay_start(s, &c->replay);
}

static void
begin_check(struct mh_checking *c)
{
    mh_arena_release(&c->arena);
    mh_arena_init(&c->arena, CHECK_ARENA);
    c->call = (struct mh_policy_call){ .arena = &c->arena, .done = on_checked, .arg = c };
    mh_version_job(c->version, &c->call.job);
    c->call.tenant = c->entry->map->ns;
    mh_policy_check_start(c->store, &c->call);
}

bool
mh_entry_check(struct mh_policies *s, struct mh_entry *e, struct mh_version *v)
{
    struct mh_checking *c = mh_calloc(1, sizeof(*c));
    if (!c)
        return false;
    *c = (struct mh_checking){ .store = s, .entry = e, .version = mh_version_ref(v) };
    mh_arena_init(&c->arena, CHECK_ARENA);
    e->check = c;
    begin_check(c);
    return true;
}

void
mh_entry_forget_check(struct mh_policies *s, struct mh_entry *e)
{
    if (!e->check)
        return;
    mh_policy_cancel(s->pool, &e->check->call);
    free_check(e->check);
}
