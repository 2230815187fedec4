/* policy_tell.c - what authors of policies are told: annotations and events of their ConfigMaps. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "lua/policy_entry.h"

#define MESSAGE 900
#define TEXT_MAX ((size_t)64 << 10)

const char *const mh_policy_states[MH_POLICY_STATES] = { "Received", "Replayed", "Active",
                                                         "Rejected", "RolledBack" };

struct verdict {
    enum mh_policy_state state;
    const char *reason; /* of the event */
    struct mh_entry *rival;
    char message[MESSAGE];
};

static void say(struct verdict *v, const char *fmt, ...) MH_PRINTF(2, 3);

/* Appends one sentence. */
static void
say(struct verdict *v, const char *fmt, ...)
{
    va_list ap;
    size_t n = strlen(v->message);
    if (n && n < sizeof(v->message) - 3) {
        memcpy(v->message + n, "; ", 3);
        n += 2;
    }
    va_start(ap, fmt);
    (void)vsnprintf(v->message + n, sizeof(v->message) - n, fmt, ap);
    va_end(ap);
}

static const char *
whom(const struct mh_policies *s, const struct mh_map_of *m)
{
    return strcmp(m->ns, s->operator_namespace) == 0 ? "all clusters"
                                                     : "the clusters of its namespace";
}

/* Who decides now, where `latest` does not. */
static void
say_instead(struct mh_policies *s, const struct mh_entry *e, struct verdict *v)
{
    if (e->active && !mh_entry_rival(s, e, NULL))
        say(v, "version %s stays in charge", e->active->hash);
}

static void
judge_active(struct mh_policies *s, struct mh_entry *e, struct verdict *v)
{
    struct mh_entry *younger = NULL;
    (void)mh_entry_rival(s, e, &younger);
    v->rival = younger;
    v->reason = younger ? "PolicyContested" : "PolicyActive";
    if (e->map->selector)
        say(v, "decides %s for %s that match %.200s", e->active->point, whom(s, e->map),
            e->map->selector);
    else
        say(v, "decides %s for %s", e->active->point, whom(s, e->map));
    if (younger)
        say(v, "%.100s/%.100s claims it too and is younger", younger->map->name, younger->key);
}

static void
judge_waiting(struct mh_policies *s, struct mh_entry *e, struct verdict *v)
{
    const struct mh_shadow *h = &e->shadow;
    if (e->rollout == MH_ROLLOUT_SHADOW) {
        v->reason = "PolicyInShadow";
        say(v, "runs in the shadow and decides nothing");
        if (h->told)
            say(v, "%u decision%s and %u failed so far, the last: %.300s", h->differ,
                h->differ == 1 ? " differs" : "s differ", h->failed, h->last);
    } else {
        v->reason = "PolicyWaits";
        say(v, "waits until annotation " MH_POLICY_APPROVE " names %s",
            e->latest ? e->latest->hash : "it");
    }
    say_instead(s, e, v);
}

static void
judge(struct mh_policies *s, struct mh_entry *e, struct verdict *v)
{
    *v = (struct verdict){ .state = MH_RECEIVED };
    mh_entry_state(s, e, &v->state);
    switch (v->state) {
    case MH_RECEIVED:
        say(v, "is being checked");
        break;
    case MH_ROLLED_BACK:
        v->reason = "PolicyRolledBack";
        say(v, "%.600s", e->fallen);
        if (e->active)
            say_instead(s, e, v);
        else
            say(v, "the next claim or the built-in policy decides until the text is edited");
        break;
    case MH_REJECTED:
        v->reason = "PolicyRejected";
        say(v, "%.600s",
            e->refusal ? e->refusal
                       : "annotation " MH_POLICY_ROLLOUT ": want auto, manual or shadow");
        say_instead(s, e, v);
        break;
    case MH_ACTIVE:
        judge_active(s, e, v);
        break;
    case MH_REPLAYED:
    case MH_POLICY_STATES:
        if (e->ready) {
            judge_waiting(s, e, v);
            break;
        }
        v->reason = "PolicyShadowed";
        v->rival = mh_entry_rival(s, e, NULL);
        say(v, "%s/%s is older and decides %s", v->rival ? v->rival->map->name : "?",
            v->rival ? v->rival->key : "?", e->active ? e->active->point : "?");
        break;
    }
}

/* --- texts -------------------------------------------------------------------------------------- */

/* The buffer's memory is the caller's; NULL: no room or memory. */
static char *
text_of(struct mh_buf *b)
{
    if (!b->failed)
        return b->data;
    mh_buf_release(b);
    return NULL;
}

static char *
annotation_of(struct mh_policies *s, struct mh_map_of *m)
{
    struct mh_buf b;
    struct verdict v;
    mh_buf_init(&b, TEXT_MAX);
    (void)mh_buf_char(&b, '{');
    for (struct mh_entry *e = m->entries; e; e = e->next) {
        judge(s, e, &v);
        const struct mh_version *known = e->latest ? e->latest : e->active;
        if (e != m->entries)
            (void)mh_buf_char(&b, ',');
        (void)mh_json_quote(&b, e->key, strlen(e->key));
        (void)mh_buf_printf(&b, ":{\"state\":\"%s\",\"hash\":\"%s\",", mh_policy_states[v.state],
                            e->latest ? e->latest->hash : "");
        if (known && known->point[0])
            (void)mh_buf_printf(&b, "\"point\":\"%s\",", known->point);
        (void)mh_buf_str(&b, "\"message\":");
        (void)mh_json_quote(&b, v.message, strlen(v.message));
        (void)mh_buf_char(&b, '}');
    }
    (void)mh_buf_char(&b, '}');
    return text_of(&b);
}

/* Of the keys that were edited in this life; NULL: none was. */
static char *
report_of(const struct mh_map_of *m)
{
    struct mh_buf b;
    bool any = false;
    mh_buf_init(&b, TEXT_MAX);
    for (const struct mh_entry *e = m->entries; e; e = e->next) {
        if (!e->report)
            continue;
        (void)mh_buf_char(&b, any ? ',' : '{');
        (void)mh_json_quote(&b, e->key, strlen(e->key));
        (void)mh_buf_printf(&b, ":%s", e->report);
        any = true;
    }
    (void)mh_buf_char(&b, '}');
    if (any)
        return text_of(&b);
    mh_buf_release(&b);
    return NULL;
}

/* --- news --------------------------------------------------------------------------------------- */

void
mh_loud_free(struct mh_loud *l)
{
    mh_free(l->ns);
    mh_free(l->name);
    mh_free(l->uid);
    mh_free(l);
}

void
mh_policies_say(struct mh_policies *s, const struct mh_map_of *m, const char *reason,
                const char *note)
{
    struct mh_loud *l = mh_calloc(1, sizeof(*l)), **at = &s->loud;
    if (!l)
        return;
    l->ns = mh_strdup(m->ns);
    l->name = mh_strdup(m->name);
    l->uid = m->uid ? mh_strdup(m->uid) : NULL;
    l->reason = reason;
    mh_str_copy(l->note, sizeof(l->note), note);
    if (!l->ns || !l->name) {
        mh_loud_free(l);
        return;
    }
    while (*at)
        at = &(*at)->next;
    *at = l;
    mh_policies_wake(s);
}

static void
tell_loud(struct mh_policies *s)
{
    while (s->loud) {
        struct mh_loud *l = s->loud;
        s->loud = l->next;
        struct mh_policy_news news = { .namespace = l->ns,
                                       .name = l->name,
                                       .uid = l->uid,
                                       .event_type = "Warning",
                                       .reason = l->reason,
                                       .note = l->note };
        s->news(s->arg, &news);
        mh_loud_free(l);
    }
}

/* An event when state, text or rival of a key is another than in the last one. */
static bool
event_of(struct mh_policies *s, struct mh_entry *e, bool quiet, struct mh_policy_news *news,
         char *note, size_t size)
{
    struct verdict v;
    char told[sizeof(e->told)];
    judge(s, e, &v);
    (void)snprintf(told, sizeof(told), "%d %s %.40s %.40s", (int)v.state,
                   e->latest ? e->latest->id : "", v.reason ? v.reason : "",
                   v.rival ? v.rival->key : "");
    if (v.state == MH_RECEIVED || strcmp(told, e->told) == 0)
        return false;
    mh_str_copy(e->told, sizeof(e->told), told);
    (void)snprintf(note, size, "%.100s: %.880s", e->key, v.message);
    news->event_type = v.state == MH_REJECTED || v.state == MH_ROLLED_BACK ? "Warning" : "Normal";
    news->reason = v.reason;
    news->note = note;
    return !quiet;
}

/* One event each; the annotations come with the last news. */
static void
tell_map(struct mh_policies *s, struct mh_map_of *m)
{
    char note[1024];
    char *text = annotation_of(s, m);
    bool changed = text && !mh_str_eq(text, m->annotation ? m->annotation : "{}");
    for (struct mh_entry *e = m->entries; e; e = e->next) {
        struct mh_policy_news news = { .namespace = m->ns, .name = m->name, .uid = m->uid };
        /* What the object says already was told by us, before a restart. */
        if (event_of(s, e, !changed, &news, note, sizeof(note)))
            s->news(s->arg, &news);
    }
    if (changed) {
        char *report = report_of(m);
        struct mh_policy_news news = {
            .namespace = m->ns, .name = m->name, .uid = m->uid, .annotation = text, .report = report
        };
        mh_free(m->annotation);
        m->annotation = text;
        text = NULL;
        s->news(s->arg, &news);
        mh_free(report);
    }
    mh_free(text);
    (void)mh_policies_tell_record(s, m);
}

void
mh_policies_hold(struct mh_policies *s, bool held)
{
    s->held = held;
    mh_policies_wake(s);
}

void
mh_policies_tell(struct mh_policies *s)
{
    if (s->held)
        return;
    tell_loud(s);
    for (struct mh_map_of *m = s->maps; m; m = m->next) {
        bool busy = false;
        for (const struct mh_entry *e = m->entries; e; e = e->next)
            busy = busy || e->check;
        if (!busy)
            tell_map(s, m);
    }
}
