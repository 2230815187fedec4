/* policy_maps.c - ConfigMaps come, change and go; what is told about them. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "lua/policy_entry.h"

#define KEYS_MAX 20
#define MAPS_MAX 1000

static const char *const state_names[] = { "Received", "Checked", "Active", "Rejected" };

static bool
set_text(char **slot, const char *s)
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
    mh_version_unref(e->latest);
    e->latest = v;
    mh_free(e->refusal);
    e->refusal = NULL;
    return mh_entry_check(s, e, v);
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
        if (e->active)
            mh_warn("policy", "policy removed: the next claim or the built-in one decides",
                    "namespace", m->ns, "name", m->name, "key", e->key, "point", e->active->point);
        if (e->active && set_text(&m->removed, e->key))
            mh_str_copy(m->removed_point, sizeof(m->removed_point), e->active->point);
        mh_policies_drop_kept(s, m, e->key);
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
    mh_free(m->removed);
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
    bool ok = m && set_text(&m->uid, mh_json_str(object, "metadata", "uid", NULL)) &&
              set_text(&m->created, created ? created : "") &&
              set_text(&m->annotation,
                       mh_json_str(object, "metadata", "annotations", MH_POLICY_STATUS, NULL));
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
    for (const struct mh_entry *e = m->entries; e; e = e->next) {
        if (e->active)
            mh_warn("policy", "policy removed: the next claim or the built-in one decides",
                    "namespace", ns, "name", name, "key", e->key, "point", e->active->point);
    }
    *at = m->next;
    mh_policies_drop_kept(s, m, NULL);
    free_map(s, m);
    mh_policies_wake(s); /* others may move up */
}

/* --- news ------------------------------------------------------------------------------------- */

struct verdict {
    enum mh_policy_state state;
    char message[900];
};

static void
judge(struct mh_policies *s, struct mh_entry *e, struct verdict *v)
{
    const struct mh_entry *first =
        e->active ? mh_policies_claim(s, e->map->ns, e->active->point) : NULL;
    if (e->check) {
        v->state = MH_RECEIVED;
        (void)snprintf(v->message, sizeof(v->message), "is being checked");
    } else if (e->refusal) {
        v->state = MH_REJECTED;
        (void)snprintf(v->message, sizeof(v->message), "%.600s", e->refusal);
        if (e->active && first == e) {
            size_t n = strlen(v->message);
            (void)snprintf(v->message + n, sizeof(v->message) - n, "; version %s stays in charge",
                           e->active->hash);
        }
    } else if (first == e) {
        v->state = MH_ACTIVE;
        (void)snprintf(v->message, sizeof(v->message), "decides %s for %s", e->active->point,
                       mh_str_eq(e->map->ns, s->operator_namespace)
                           ? "all clusters"
                           : "the clusters of its namespace");
    } else {
        v->state = MH_CHECKED;
        (void)snprintf(v->message, sizeof(v->message), "%s/%s is older and decides %s",
                       first ? first->map->name : "?", first ? first->key : "?",
                       e->active ? e->active->point : "?");
    }
}

static char *
annotation_of(struct mh_policies *s, struct mh_map_of *m)
{
    struct mh_buf b;
    struct verdict v;
    mh_buf_init(&b, (size_t)64 << 10);
    (void)mh_buf_char(&b, '{');
    for (struct mh_entry *e = m->entries; e; e = e->next) {
        judge(s, e, &v);
        if (e != m->entries)
            (void)mh_buf_char(&b, ',');
        (void)mh_json_quote(&b, e->key, strlen(e->key));
        (void)mh_buf_printf(&b,
                            ":{\"state\":\"%s\",\"hash\":\"%s\",\"message\":", state_names[v.state],
                            e->latest ? e->latest->hash : "");
        (void)mh_json_quote(&b, v.message, strlen(v.message));
        (void)mh_buf_char(&b, '}');
    }
    (void)mh_buf_char(&b, '}');
    if (!b.failed)
        return b.data; /* its memory is now the caller's */
    mh_buf_release(&b);
    return NULL;
}

/* An event when the state or the text of a key is another than in the last one. */
static bool
event_of(struct mh_policies *s, struct mh_entry *e, bool quiet, struct mh_policy_news *news,
         char *note, size_t size)
{
    static const char *const reasons[] = { NULL, "PolicyShadowed", "PolicyActive",
                                           "PolicyRejected" };
    struct verdict v;
    judge(s, e, &v);
    const char *hash = e->latest ? e->latest->hash : "";
    if (v.state == MH_RECEIVED || (e->told == v.state && strcmp(e->told_hash, hash) == 0))
        return false;
    e->told = v.state;
    mh_str_copy(e->told_hash, sizeof(e->told_hash), hash);
    (void)snprintf(note, size, "%.100s: %.880s", e->key, v.message);
    news->event_type = v.state == MH_REJECTED ? "Warning" : "Normal";
    news->reason = reasons[v.state];
    news->note = note;
    return !quiet;
}

/* One event each; the annotation comes with the last news. */
static void
tell_map(struct mh_policies *s, struct mh_map_of *m)
{
    char note[1024];
    if (m->removed) {
        struct mh_policy_news news = { .namespace = m->ns,
                                       .name = m->name,
                                       .uid = m->uid,
                                       .event_type = "Warning",
                                       .reason = "PolicyRemoved",
                                       .note = note };
        (void)snprintf(note, sizeof(note), "%.200s is gone: it no longer decides %s", m->removed,
                       m->removed_point);
        mh_free(m->removed);
        m->removed = NULL;
        s->news(s->arg, &news);
    }
    char *text = annotation_of(s, m);
    bool changed = text && !mh_str_eq(text, m->annotation ? m->annotation : "{}");
    for (struct mh_entry *e = m->entries; e; e = e->next) {
        struct mh_policy_news news = { .namespace = m->ns, .name = m->name, .uid = m->uid };
        /* What the object says already was told by us, before a restart. */
        if (event_of(s, e, !changed, &news, note, sizeof(note)))
            s->news(s->arg, &news);
    }
    if (changed) {
        struct mh_policy_news news = {
            .namespace = m->ns, .name = m->name, .uid = m->uid, .annotation = text
        };
        mh_free(m->annotation);
        m->annotation = text;
        text = NULL;
        s->news(s->arg, &news);
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
    for (struct mh_map_of *m = s->maps; m; m = m->next) {
        bool busy = false;
        for (const struct mh_entry *e = m->entries; e; e = e->next)
            busy = busy || e->check;
        if (!busy)
            tell_map(s, m);
    }
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
    if (!s->operator_namespace || !s->wake) {
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
    if (s->wake)
        event_free(s->wake);
    mh_free(s->operator_namespace);
    mh_free(s);
}
