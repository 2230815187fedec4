#include "kube/event.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "kube/kinds.h"

#define MEMORY 64 /* how many events are remembered for counting */
#define SAME_NS (600 * MH_NS_PER_S)
#define ARENA_MAX ((size_t)64 << 10)
#define REASON_MAX 128

static const struct mh_kind event_kind = { "Event", "", "v1", "Event", "events", true };

/* One that was sent: the same again is a patch of its count. */
struct sent {
    uint64_t key; /* hash of all that makes it the same; 0: free */
    int64_t at;
    int64_t first_us;
    int count;
    char name[96];
    char ns[64];
};

/* One that waits or is under way; everything is on its arena. */
struct pending {
    struct pending *next;
    struct mh_events *events;
    struct mh_api_call call;
    struct mh_arena arena;
    struct mh_event_ref ref;
    const char *type;
    const char *reason;
    const char *note;
    uint64_t key;
    int slot;
};

struct mh_events {
    struct mh_api api;
    struct mh_clock clock;
    char component[64];
    char host[256];
    struct sent sent[MEMORY];
    struct pending *first;
    struct pending *last;
    struct pending *active; /* one at a time: events are never urgent */
    struct mh_timer *timer;
    int npending;
    int64_t budget_ns; /* a bucket as time: one event costs a second */
    int64_t filled_at;
    unsigned long dropped;
    unsigned serial;
};

static uint64_t
mix(uint64_t h, const char *s)
{
    for (; s && *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211ULL;
    return (h ^ 0xff) * 1099511628211ULL;
}

static void pump(struct mh_events *ev);
static void tick(void *arg);

static void
free_pending(struct pending *p)
{
    struct mh_arena a = p->arena; /* p is on it */
    mh_arena_release(&a);
}

struct mh_event_ref
mh_event_ref_of(yyjson_val *o)
{
    return (struct mh_event_ref){
        .api_version = mh_json_str(o, "apiVersion", NULL),
        .kind = mh_json_str(o, "kind", NULL),
        .name_space = mh_json_str(o, "metadata", "namespace", NULL),
        .name = mh_json_str(o, "metadata", "name", NULL),
        .uid = mh_json_str(o, "metadata", "uid", NULL),
        .resource_version = mh_json_str(o, "metadata", "resourceVersion", NULL),
    };
}

char *
mh_kube_text(struct mh_arena *a, const char *s, size_t max)
{
    yyjson_val *v = NULL;
    struct mh_buf b;
    size_t n = strnlen(s, max + 1);
    mh_buf_init(&b, n * 6 + 2);
    (void)mh_json_quote(&b, s, n);
    if (!b.failed)
        (void)mh_json_parse(a, mh_buf_text(&b), b.len, &v, NULL);
    mh_buf_release(&b);
    const char *text = yyjson_get_str(v);
    n = yyjson_get_len(v);
    if (n > max) {
        n = max;
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
            n--;
    }
    return text ? mh_arena_strndup(a, text, n) : NULL;
}

static const char *
or_empty(const char *s)
{
    return s ? s : "";
}

static struct pending *
new_pending(struct mh_events *ev, const struct mh_event_ref *r, const char *type,
            const char *reason, const char *note)
{
    struct mh_arena a;
    mh_arena_init(&a, ARENA_MAX);
    struct pending *p = mh_arena_alloc(&a, sizeof(*p));
    if (!p)
        return NULL;
    const char *texts[] = { or_empty(r->api_version),
                            or_empty(r->kind),
                            r->name_space,
                            or_empty(r->name),
                            r->uid,
                            r->resource_version,
                            type,
                            reason };
    char *copies[8];
    bool ok = true;
    for (int i = 0; i < 8; i++) {
        copies[i] = mh_arena_strdup(&a, texts[i]);
        ok = ok && (copies[i] || !texts[i]);
    }
    p->note = mh_kube_text(&a, note, MH_EVENT_NOTE_MAX);
    if (!ok || !p->note) {
        mh_arena_release(&a);
        return NULL;
    }
    p->ref =
        (struct mh_event_ref){ copies[0], copies[1], copies[2], copies[3], copies[4], copies[5] };
    p->type = copies[6];
    p->reason = copies[7];
    p->events = ev;
    p->key = mix(14695981039346656037ULL, or_empty(r->uid));
    for (int i = 0; i < 8; i++) {
        if (i != 5) /* not the resourceVersion */
            p->key = mix(p->key, copies[i]);
    }
    p->key = mix(p->key, p->note) | 1;
    p->arena = a;
    return p;
}

static const char *
event_ns(const struct mh_event_ref *r)
{
    return r->name_space && *r->name_space ? r->name_space : "default";
}

/* The slot of the same event, or the oldest one to take. */
static int
slot_for(struct mh_events *ev, uint64_t key, int64_t now, bool *same)
{
    int oldest = 0;
    for (int i = 0; i < MEMORY; i++) {
        const struct sent *s = &ev->sent[i];
        if (s->key == key && now - s->at < SAME_NS) {
            *same = true;
            return i;
        }
        if (!s->key || (ev->sent[oldest].key && s->at < ev->sent[oldest].at))
            oldest = i;
    }
    *same = false;
    return oldest;
}

static bool
add_ref(yyjson_mut_doc *doc, yyjson_mut_val *event, const struct mh_event_ref *r)
{
    yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, event, "involvedObject");
    return o && yyjson_mut_obj_add_str(doc, o, "apiVersion", r->api_version) &&
           yyjson_mut_obj_add_str(doc, o, "kind", r->kind) &&
           yyjson_mut_obj_add_str(doc, o, "name", r->name) &&
           (!r->name_space || yyjson_mut_obj_add_str(doc, o, "namespace", r->name_space)) &&
           (!r->uid || yyjson_mut_obj_add_str(doc, o, "uid", r->uid)) &&
           (!r->resource_version ||
            yyjson_mut_obj_add_str(doc, o, "resourceVersion", r->resource_version));
}

static bool
add_source(yyjson_mut_doc *doc, yyjson_mut_val *event, const struct mh_events *ev)
{
    yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, event, "source");
    return o && yyjson_mut_obj_add_str(doc, o, "component", ev->component) &&
           (!ev->host[0] || yyjson_mut_obj_add_str(doc, o, "host", ev->host)) &&
           yyjson_mut_obj_add_str(doc, event, "reportingComponent", ev->component) &&
           yyjson_mut_obj_add_str(doc, event, "reportingInstance", ev->host);
}

static bool
add_metadata(yyjson_mut_doc *doc, yyjson_mut_val *event, const struct sent *s)
{
    yyjson_mut_val *meta = yyjson_mut_obj_add_obj(doc, event, "metadata");
    return meta && yyjson_mut_obj_add_str(doc, meta, "name", s->name) &&
           yyjson_mut_obj_add_str(doc, meta, "namespace", s->ns);
}

static char *
new_event_body(struct pending *p, const struct sent *s, size_t *len)
{
    char *when = mh_arena_alloc(&p->arena, MH_TIME_TEXT);
    yyjson_mut_doc *doc = mh_json_doc(&p->arena);
    yyjson_mut_val *e = doc ? yyjson_mut_obj(doc) : NULL;
    if (!e || !when)
        return NULL;
    mh_time_rfc3339(when, s->first_us / 1000000);
    bool ok = yyjson_mut_obj_add_str(doc, e, "apiVersion", "v1") &&
              yyjson_mut_obj_add_str(doc, e, "kind", "Event") && add_metadata(doc, e, s) &&
              add_ref(doc, e, &p->ref) && add_source(doc, e, p->events) &&
              yyjson_mut_obj_add_str(doc, e, "type", p->type) &&
              yyjson_mut_obj_add_str(doc, e, "reason", p->reason) &&
              yyjson_mut_obj_add_str(doc, e, "message", p->note) &&
              yyjson_mut_obj_add_int(doc, e, "count", s->count) &&
              yyjson_mut_obj_add_str(doc, e, "firstTimestamp", when) &&
              yyjson_mut_obj_add_str(doc, e, "lastTimestamp", when);
    return ok ? mh_json_mut_text(&p->arena, e, len) : NULL;
}

static void
done(struct mh_api_call *call)
{
    struct pending *p = call->arg;
    struct mh_events *ev = p->events;
    struct sent *s = &ev->sent[p->slot];
    ev->active = NULL;
    if (call->err.code != MH_OK) {
        if (s->key == p->key)
            s->key = 0; /* the next one is made anew */
        ev->dropped++;
        mh_debug("event", "not recorded", "reason", p->reason, "error", call->err.msg);
    }
    free_pending(p);
    pump(ev);
}

/* A new object, or the count and time of the one that is there. */
static bool
prepare(struct pending *p)
{
    struct mh_events *ev = p->events;
    int64_t now = ev->clock.mono_ns(ev->clock.self);
    int64_t wall = ev->clock.wall_us(ev->clock.self);
    bool same;
    char when[MH_TIME_TEXT];
    p->slot = slot_for(ev, p->key, now, &same);
    struct sent *s = &ev->sent[p->slot];
    mh_time_rfc3339(when, wall / 1000000);
    if (!same) {
        *s = (struct sent){ .key = p->key, .first_us = wall };
        (void)snprintf(s->name, sizeof(s->name), "%.60s.%llx%x", p->ref.name,
                       (unsigned long long)wall, ++ev->serial & 0xfff);
        mh_str_copy(s->ns, sizeof(s->ns), event_ns(&p->ref));
    }
    s->at = now;
    s->count++;
    p->call = (struct mh_api_call){ .arena = &p->arena, .done = done, .arg = p };
    p->call.method = same ? "PATCH" : "POST";
    p->call.content_type = same ? MH_PATCH_MERGE : NULL;
    p->call.path = mh_kube_path(&p->arena, &event_kind, s->ns, same ? s->name : NULL, NULL);
    p->call.body =
        same ? mh_arena_printf(&p->arena, "{\"count\":%d,\"lastTimestamp\":\"%s\"}", s->count, when)
             : new_event_body(p, s, &p->call.body_len);
    if (same && p->call.body)
        p->call.body_len = strlen(p->call.body);
    return p->call.path && p->call.body;
}

static void
pump(struct mh_events *ev)
{
    while (!ev->active && ev->first && !ev->timer) {
        int64_t now = ev->clock.mono_ns(ev->clock.self);
        ev->budget_ns += now - ev->filled_at;
        ev->filled_at = now;
        if (ev->budget_ns > MH_EVENTS_BURST * MH_NS_PER_S)
            ev->budget_ns = MH_EVENTS_BURST * MH_NS_PER_S;
        struct pending *p = ev->first;
        if (ev->budget_ns < MH_NS_PER_S) {
            ev->timer = ev->clock.after(ev->clock.self, MH_NS_PER_S - ev->budget_ns, tick, ev);
            return;
        }
        ev->budget_ns -= MH_NS_PER_S;
        ev->first = p->next;
        if (!ev->first)
            ev->last = NULL;
        ev->npending--;
        if (!prepare(p)) {
            ev->dropped++;
            free_pending(p);
            continue;
        }
        ev->active = p;
        ev->api.start(ev->api.self, &p->call);
    }
}

/* The bucket has room for one more. */
static void
tick(void *arg)
{
    struct mh_events *ev = arg;
    ev->timer = NULL;
    pump(ev);
}

void
mh_kube_event(struct mh_events *ev, const struct mh_event_ref *regarding, const char *type,
              const char *reason, const char *note)
{
    struct pending *p = NULL;
    if (ev->npending < MH_EVENTS_PENDING && strlen(reason) <= REASON_MAX)
        p = new_pending(ev, regarding, type, reason, note);
    if (!p) {
        ev->dropped++;
        return;
    }
    if (ev->last)
        ev->last->next = p;
    else
        ev->first = p;
    ev->last = p;
    ev->npending++;
    pump(ev);
}

struct mh_events *
mh_events_new(struct mh_api api, struct mh_clock clock, const char *component, const char *host)
{
    struct mh_events *ev = mh_calloc(1, sizeof(*ev));
    if (!ev)
        return NULL;
    *ev = (struct mh_events){ .api = api, .clock = clock };
    mh_str_copy(ev->component, sizeof(ev->component), component);
    mh_str_copy(ev->host, sizeof(ev->host), or_empty(host));
    ev->budget_ns = MH_EVENTS_BURST * MH_NS_PER_S;
    ev->filled_at = clock.mono_ns(clock.self);
    return ev;
}

void
mh_events_free(struct mh_events *ev)
{
    if (!ev)
        return;
    if (ev->active) {
        ev->api.cancel(ev->api.self, &ev->active->call);
        free_pending(ev->active);
    }
    while (ev->first) {
        struct pending *p = ev->first;
        ev->first = p->next;
        free_pending(p);
    }
    ev->clock.cancel(ev->clock.self, ev->timer);
    mh_free(ev);
}

unsigned long
mh_events_dropped(const struct mh_events *ev)
{
    return ev->dropped;
}
