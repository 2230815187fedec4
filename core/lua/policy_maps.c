/* policy_maps.c - ConfigMaps come, change and go. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/str.h"
#include "lua/policy_entry.h"

#define KEYS_MAX 20
#define MAPS_MAX 1000
#define LATER_S 5 /* the count of a shadow is told so often */

bool
mh_text_set(char **slot, const char *s)
{
    char *copy = s ? mh_strdup(s) : NULL;
    if (s && !copy)
        return false;
    mh_free(*slot);
    *slot = copy;
    return true;
}

/* --- keys ------------------------------------------------------------------------------------- */

static struct mh_entry *
find_entry(struct mh_map_of *m, const char *key)
{
    for (struct mh_entry *e = m->entries; e; e = e->next) {
        if (strcmp(e->key, key) == 0)
            return e;
    }
    return NULL;
}

static struct mh_entry *
add_entry(struct mh_map_of *m, const char *key)
{
    struct mh_entry *e = mh_calloc(1, sizeof(*e));
    struct mh_entry **at = &m->entries;
    if (!e || !(e->key = mh_strdup(key))) {
        mh_free(e);
        return NULL;
    }
    while (*at && strcmp((*at)->key, key) < 0)
        at = &(*at)->next;
    e->map = m;
    e->next = *at;
    *at = e;
    return e;
}

/* The text of NAME.params.yaml for NAME.lua. */
static yyjson_val *
params_of(yyjson_val *data, const char *key)
{
    char name[300];
    int stem = (int)strlen(key) - 4;
    int n = snprintf(name, sizeof(name), "%.*s.params.yaml", stem, key);
    return n > 0 && (size_t)n < sizeof(name) ? yyjson_obj_get(data, name) : NULL;
}

static bool
same_text(const struct mh_version *v, const char *script, size_t len, yyjson_val *params)
{
    const char *p = yyjson_get_str(params);
    return v->script_len == len && memcmp(v->script, script, len) == 0 && !v->params == !p &&
           (!p ||
            (v->params_len == yyjson_get_len(params) && memcmp(v->params, p, v->params_len) == 0));
}

static bool
update_entry(struct mh_policies *s, struct mh_map_of *m, const char *key, yyjson_val *text,
             yyjson_val *params)
{
    struct mh_entry *e = find_entry(m, key);
    if (!e)
        e = add_entry(m, key);
    if (!e)
        return false;
    e->seen = true;
    if (e->latest && same_text(e->latest, yyjson_get_str(text), yyjson_get_len(text), params))
        return true;
    struct mh_version *v = mh_version_new(key, yyjson_get_str(text), yyjson_get_len(text),
                                          yyjson_get_str(params), yyjson_get_len(params));
    if (!v)
        return false;
    mh_entry_forget_check(s, e);
    mh_shadows_forget(s, e);
    mh_version_unref(e->latest);
    e->latest = v;
    mh_version_set(&e->ready, NULL);
    (void)mh_text_set(&e->refusal, NULL);
    (void)mh_text_set(&e->fallen, NULL);
    (void)mh_text_set(&e->report, NULL);
    e->received_us = mh_policies_mono_us(s);
    return mh_entry_check(s, e, v);
}

/* What the annotations say about a key. */
static void
settle_entry(struct mh_policies *s, struct mh_map_of *m, struct mh_entry *e)
{
    e->rollout = mh_rollout_of(m->rollout, e->key);
    e->approved = m->approve && e->latest && strstr(m->approve, e->latest->hash) != NULL;
    mh_entry_settle(s, e);
}

/* A key goes, loudly: it says who decides from now on. */
static void
say_removed(struct mh_policies *s, const struct mh_map_of *m, const char *key, const char *point)
{
    char note[600];
    const struct mh_entry *next = mh_policies_claim(s, m->ns, point);
    if (!next)
        next = mh_policies_claim(s, s->operator_namespace, point);
    (void)snprintf(note, sizeof(note), "%.200s is gone: %.100s%s%.100s decides %s now", key,
                   next ? next->map->name : "the built-in policy", next ? "/" : "",
                   next ? next->key : "", point);
    mh_warn("policy", "policy removed", "namespace", m->ns, "name", m->name, "note", note);
    mh_policies_say(s, m, "PolicyRemoved", note);
}

static void
drop_unseen(struct mh_policies *s, struct mh_map_of *m)
{
    struct mh_entry **at = &m->entries;
    while (*at) {
        struct mh_entry *e = *at;
        if (e->seen) {
            at = &e->next;
            continue;
        }
        *at = e->next;
        mh_policies_drop_kept(s, m, e->key);
        if (e->active)
            say_removed(s, m, e->key, e->active->point);
        mh_entry_free(s, e);
    }
}

/* --- ConfigMaps ------------------------------------------------------------------------------- */

static struct mh_map_of **
find_map(struct mh_policies *s, const char *ns, const char *name)
{
    struct mh_map_of **at = &s->maps;
    while (*at && (strcmp((*at)->ns, ns) != 0 || strcmp((*at)->name, name) != 0))
        at = &(*at)->next;
    return at;
}

static void
free_map(struct mh_policies *s, struct mh_map_of *m)
{
    while (m->entries) {
        struct mh_entry *e = m->entries;
        m->entries = e->next;
        mh_entry_free(s, e);
    }
    mh_free(m->ns);
    mh_free(m->name);
    mh_free(m->uid);
    mh_free(m->created);
    mh_free(m->annotation);
    mh_free(m->selector);
    mh_free(m->rollout);
    mh_free(m->approve);
    mh_free(m);
}

static struct mh_map_of *
add_map(struct mh_policies *s, struct mh_map_of **at, const char *ns, const char *name)
{
    struct mh_map_of *m = mh_calloc(1, sizeof(*m));
    int n = 0;
    for (const struct mh_map_of *o = s->maps; o; o = o->next)
        n++;
    if (!m || n >= MAPS_MAX) {
        mh_free(m);
        return NULL;
    }
    m->ns = mh_strdup(ns);
    m->name = mh_strdup(name);
    if (!m->ns || !m->name) {
        free_map(s, m);
        return NULL;
    }
    *at = m;
    return m;
}

static bool
read_annotations(struct mh_map_of *m, yyjson_val *object)
{
    yyjson_val *notes = mh_json_get(object, "metadata", "annotations", NULL);
    const char *selector = mh_json_str(notes, MH_POLICY_SELECTOR, NULL);
    return mh_text_set(&m->annotation, mh_json_str(notes, MH_POLICY_STATUS, NULL)) &&
           mh_text_set(&m->selector, selector && *selector ? selector : NULL) &&
           mh_text_set(&m->rollout, mh_json_str(notes, MH_POLICY_ROLLOUT, NULL)) &&
           mh_text_set(&m->approve, mh_json_str(notes, MH_POLICY_APPROVE, NULL));
}

enum mh_code
mh_policies_update(struct mh_policies *s, yyjson_val *object, struct mh_err *err)
{
    const char *ns = mh_json_str(object, "metadata", "namespace", NULL);
    const char *name = mh_json_str(object, "metadata", "name", NULL);
    const char *created = mh_json_str(object, "metadata", "creationTimestamp", NULL);
    if (!ns || !name)
        return mh_fail(err, MH_E_INVALID, "a ConfigMap without namespace or name");
    if (!mh_json_get(object, "metadata", "labels", MH_POLICY_LABEL, NULL)) {
        mh_policies_remove(s, ns, name);
        return MH_OK;
    }
    struct mh_map_of **at = find_map(s, ns, name);
    struct mh_map_of *m = *at ? *at : add_map(s, at, ns, name);
    bool ok = m && mh_text_set(&m->uid, mh_json_str(object, "metadata", "uid", NULL)) &&
              mh_text_set(&m->created, created ? created : "") && read_annotations(m, object);
    if (!ok)
        return mh_fail(err, MH_E_NOMEM, "no memory for ConfigMap %s/%s", ns, name);
    size_t i;
    size_t max;
    size_t n = 0;
    yyjson_val *key;
    yyjson_val *text;
    yyjson_val *data = yyjson_obj_get(object, "data");
    for (struct mh_entry *e = m->entries; e; e = e->next)
        e->seen = false;
    yyjson_obj_foreach(data, i, max, key, text)
    {
        const char *k = yyjson_get_str(key);
        if (mh_str_ends(k, ".lua") && yyjson_is_str(text) && n++ < KEYS_MAX)
            ok = update_entry(s, m, k, text, params_of(data, k)) && ok;
    }
    drop_unseen(s, m);
    for (struct mh_entry *e = m->entries; e; e = e->next)
        settle_entry(s, m, e);
    mh_policies_wake(s);
    return ok ? MH_OK : mh_fail(err, MH_E_NOMEM, "no memory for ConfigMap %s/%s", ns, name);
}

void
mh_policies_remove(struct mh_policies *s, const char *ns, const char *name)
{
    struct mh_map_of **at = find_map(s, ns, name);
    struct mh_map_of *m = *at;
    if (!m)
        return;
    *at = m->next; /* others may move up */
    mh_policies_drop_kept(s, m, NULL);
    for (const struct mh_entry *e = m->entries; e; e = e->next)
        if (e->active)
            say_removed(s, m, e->key, e->active->point);
    free_map(s, m);
    mh_policies_wake(s);
}

void
mh_policies_untold(struct mh_policies *s, const char *ns, const char *name)
{
    struct mh_map_of *m = *find_map(s, ns, name);
    if (!m)
        return;
    (void)mh_text_set(&m->annotation, NULL);
    mh_policies_wake_later(s);
}

/* --- life ------------------------------------------------------------------------------------- */

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct mh_policies *s = arg;
    (void)fd;
    (void)what;
    mh_policies_tell(s);
    mh_policies_answer(s);
}

void
mh_policies_wake(struct mh_policies *s)
{
    static const struct timeval now = { 0, 0 };
    (void)evtimer_add(s->wake, &now);
}

static void
on_later(evutil_socket_t fd, short what, void *arg)
{
    struct mh_policies *s = arg;
    (void)fd;
    (void)what;
    for (struct mh_map_of *m = s->maps; m; m = m->next)
        for (struct mh_entry *e = m->entries; e; e = e->next)
            e->shadow.told = e->shadow.differ + e->shadow.failed;
    mh_policies_tell(s);
}

void
mh_policies_wake_later(struct mh_policies *s)
{
    static const struct timeval later = { LATER_S, 0 };
    if (!evtimer_pending(s->later, NULL))
        (void)evtimer_add(s->later, &later);
}

static int64_t
clock_us(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
mh_policies_mono_us(const struct mh_policies *s)
{
    return s->clock.mono_ns ? s->clock.mono_ns(s->clock.self) / 1000 : clock_us(CLOCK_MONOTONIC);
}

int64_t
mh_policies_wall_us(const struct mh_policies *s)
{
    return s->clock.wall_us ? s->clock.wall_us(s->clock.self) : clock_us(CLOCK_REALTIME);
}

void
mh_policies_set_clock(struct mh_policies *s, const struct mh_clock *clock)
{
    s->clock = *clock;
}

void
mh_policies_set_match(struct mh_policies *s, bool (*match)(const char *, yyjson_val *))
{
    s->match = match;
}

void
mh_policies_on_active(struct mh_policies *s, void (*fn)(void *, int64_t))
{
    s->on_active = fn;
}

const char *
mh_policies_home(const struct mh_policies *s)
{
    return s->operator_namespace;
}

struct mh_ring *
mh_policies_ring(struct mh_policies *s)
{
    return s->ring;
}

void
mh_policies_figures(struct mh_policies *s, struct mh_policy_figures *out)
{
    enum mh_policy_state state;
    *out = s->figures;
    out->ring_bytes = mh_ring_bytes(s->ring);
    for (const struct mh_map_of *m = s->maps; m; m = m->next)
        for (const struct mh_entry *e = m->entries; e; e = e->next) {
            mh_entry_state(s, e, &state);
            out->states[state]++;
        }
}

struct mh_policies *
mh_policies_new(struct event_base *base, struct mh_pool *pool, const char *operator_namespace,
                mh_policy_news_fn news, void *arg)
{
    struct mh_policies *s = mh_calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    *s = (struct mh_policies){ .base = base, .pool = pool, .news = news, .arg = arg };
    s->operator_namespace = mh_strdup(operator_namespace);
    s->wake = evtimer_new(base, on_wake, s);
    s->later = evtimer_new(base, on_later, s);
    s->ring = mh_ring_new();
    if (!s->operator_namespace || !s->wake || !s->later || !s->ring) {
        mh_policies_free(s);
        return NULL;
    }
    return s;
}

void
mh_policies_free(struct mh_policies *s)
{
    if (!s)
        return;
    while (s->maps) {
        struct mh_map_of *m = s->maps;
        s->maps = m->next;
        free_map(s, m);
    }
    mh_policies_free_kept(s);
    mh_shadows_forget(s, NULL);
    mh_replays_forget(s);
    mh_ring_free(s->ring);
    while (s->loud) {
        struct mh_loud *l = s->loud;
        s->loud = l->next;
        mh_loud_free(l);
    }
    if (s->wake)
        event_free(s->wake);
    if (s->later)
        event_free(s->later);
    mh_free(s->operator_namespace);
    mh_free(s);
}
