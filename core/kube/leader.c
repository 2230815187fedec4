#include "kube/leader.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "kube/kinds.h"

#define LEASE_MS 15000
#define RENEW_MS 10000
#define RETRY_MS 2000
#define ARENA_MAX ((size_t)1 << 20)

/* Each round reads the Lease and, where it is ours or free, writes it under its resourceVersion.
 * While we lead and our last write's version is still right, the read is left out. */
struct mh_leader {
    struct mh_api api;
    struct mh_clock clock;
    struct mh_leader_spec spec;
    char *texts; /* of the spec */
    struct mh_api_call call;
    struct mh_arena arena; /* of the call under way */
    struct mh_timer *timer;
    struct mh_timer *deadline; /* while we lead: then we do not any more */
    bool busy;
    bool leads;
    bool resigning;
    char version[64]; /* resourceVersion of our last write, "" unknown */
    char seen[64];    /* resourceVersion that another holder's record had */
    int64_t seen_at;  /* since when */
    int64_t transitions;
    int64_t acquired_us;
    int64_t asked_at; /* when the write under way was started */
    void (*resigned)(void *arg);
    void *resigned_arg;
};

static void round_begins(void *arg);
static void read_done(struct mh_api_call *call);
static void write_done(struct mh_api_call *call);
static void write_lease(struct mh_leader *l, const char *version, bool free_it);

static int64_t
now_ns(const struct mh_leader *l)
{
    return l->clock.mono_ns(l->clock.self);
}

static void
again_after(struct mh_leader *l, int64_t ns)
{
    l->clock.cancel(l->clock.self, l->timer);
    l->timer = l->clock.after(l->clock.self, ns, round_begins, l);
    if (!l->timer) /* without a timer our deadline still ends our time */
        mh_warn("leader", "no memory for a timer");
}

static void
lose(struct mh_leader *l, const char *why)
{
    l->clock.cancel(l->clock.self, l->deadline);
    l->deadline = NULL;
    l->version[0] = '\0';
    if (!l->leads)
        return;
    l->leads = false;
    mh_warn("leader", "lease lost", "lease", l->spec.name, "why", why);
    l->spec.on_lost(l->spec.arg);
}

static void
on_deadline(void *arg)
{
    struct mh_leader *l = arg;
    l->deadline = NULL;
    lose(l, "not renewed in time");
}

/* Our write arrived; the lease counts from when it was started. False: no memory to end it. */
static bool
extend(struct mh_leader *l)
{
    int64_t until = l->asked_at + l->spec.renew_ms * MH_NS_PER_MS;
    struct mh_timer *t = l->clock.after(l->clock.self, until - now_ns(l), on_deadline, l);
    if (!t)
        return false;
    l->clock.cancel(l->clock.self, l->deadline);
    l->deadline = t;
    return true;
}

static void
request(struct mh_leader *l, const char *method, const char *body, size_t len,
        void (*done)(struct mh_api_call *))
{
    struct mh_arena *a = &l->arena;
    static const struct mh_kind lease = { "Lease", "coordination.k8s.io", "v1", "Lease", "leases",
                                          true };
    bool create = strcmp(method, "POST") == 0;
    char *path = mh_kube_path(a, &lease, l->spec.name_space, create ? NULL : l->spec.name, NULL);
    if (!path) {
        again_after(l, l->spec.retry_ms * MH_NS_PER_MS);
        return;
    }
    l->call = (struct mh_api_call){ .method = method,
                                    .path = path,
                                    .body = body,
                                    .body_len = len,
                                    .timeout_ms = l->spec.retry_ms,
                                    .arena = a,
                                    .done = done,
                                    .arg = l };
    l->busy = true;
    l->asked_at = now_ns(l);
    l->api.start(l->api.self, &l->call);
}

static void
round_begins(void *arg)
{
    struct mh_leader *l = arg;
    l->timer = NULL;
    mh_arena_release(&l->arena);
    if (l->leads && l->version[0])
        write_lease(l, l->version, false);
    else
        request(l, "GET", NULL, 0, read_done);
}

static yyjson_mut_val *
lease_spec(struct mh_leader *l, yyjson_mut_doc *doc, bool free_it)
{
    char *acquired = mh_arena_alloc(&l->arena, MH_TIME_TEXT);
    char *renewed = mh_arena_alloc(&l->arena, MH_TIME_TEXT);
    yyjson_mut_val *spec = yyjson_mut_obj(doc);
    int64_t wall = l->clock.wall_us(l->clock.self);
    if (!acquired || !renewed || !spec)
        return NULL;
    mh_time_rfc3339_micro(acquired, l->acquired_us ? l->acquired_us : wall);
    mh_time_rfc3339_micro(renewed, wall);
    int seconds = free_it ? 1 : l->spec.lease_ms / 1000;
    bool ok =
        yyjson_mut_obj_add_str(doc, spec, "holderIdentity", free_it ? "" : l->spec.identity) &&
        yyjson_mut_obj_add_int(doc, spec, "leaseDurationSeconds", seconds > 0 ? seconds : 1) &&
        yyjson_mut_obj_add_int(doc, spec, "leaseTransitions", l->transitions) &&
        yyjson_mut_obj_add_str(doc, spec, "acquireTime", acquired) &&
        yyjson_mut_obj_add_str(doc, spec, "renewTime", renewed);
    return ok ? spec : NULL;
}

/* Creates the Lease, or replaces it under the version that was read. */
static void
write_lease(struct mh_leader *l, const char *version, bool free_it)
{
    yyjson_mut_doc *doc = mh_json_doc(&l->arena);
    yyjson_mut_val *o = doc ? yyjson_mut_obj(doc) : NULL;
    yyjson_mut_val *meta = o ? yyjson_mut_obj(doc) : NULL;
    yyjson_mut_val *spec = meta ? lease_spec(l, doc, free_it) : NULL;
    size_t len = 0;
    char *body = NULL;
    if (spec && yyjson_mut_obj_add_str(doc, o, "apiVersion", "coordination.k8s.io/v1") &&
        yyjson_mut_obj_add_str(doc, o, "kind", "Lease") &&
        yyjson_mut_obj_add_val(doc, o, "metadata", meta) &&
        yyjson_mut_obj_add_val(doc, o, "spec", spec) &&
        yyjson_mut_obj_add_str(doc, meta, "name", l->spec.name) &&
        yyjson_mut_obj_add_str(doc, meta, "namespace", l->spec.name_space) &&
        (!version || yyjson_mut_obj_add_str(doc, meta, "resourceVersion", version)))
        body = mh_json_mut_text(&l->arena, o, &len);
    if (!body) {
        again_after(l, l->spec.retry_ms * MH_NS_PER_MS);
        return;
    }
    request(l, version ? "PUT" : "POST", body, len, write_done);
}

static void
finish_resigning(struct mh_leader *l)
{
    void (*fn)(void *) = l->resigned;
    l->resigned = NULL;
    if (fn)
        fn(l->resigned_arg);
}

/* Somebody else's record: free when it did not change for its whole time, as seen here. */
static bool
has_run_out(struct mh_leader *l, yyjson_val *lease, const char *version)
{
    int64_t seconds = mh_json_int(lease, 0, "spec", "leaseDurationSeconds", NULL);
    int64_t ms = seconds > 0 && seconds < 3600 ? seconds * 1000 : l->spec.lease_ms;
    if (ms < l->spec.lease_ms)
        ms = l->spec.lease_ms;
    if (strcmp(l->seen, version) != 0) {
        mh_str_copy(l->seen, sizeof(l->seen), version);
        l->seen_at = now_ns(l);
        return false;
    }
    return now_ns(l) - l->seen_at >= ms * MH_NS_PER_MS;
}

static void
read_done(struct mh_api_call *call)
{
    struct mh_leader *l = call->arg;
    yyjson_val *lease = call->reply;
    const char *holder = mh_json_str(lease, "spec", "holderIdentity", NULL);
    const char *version = mh_json_str(lease, "metadata", "resourceVersion", NULL);
    l->busy = false;
    if (call->err.code == MH_E_NOTFOUND && !l->resigning) {
        lose(l, "the lease was deleted");
        l->transitions = 0;
        l->acquired_us = 0;
        write_lease(l, NULL, false);
        return;
    }
    if (call->err.code != MH_OK || !version) {
        if (l->resigning)
            finish_resigning(l);
        else
            again_after(l, l->spec.retry_ms * MH_NS_PER_MS);
        return;
    }
    bool ours = mh_str_eq(holder, l->spec.identity);
    l->transitions = mh_json_int(lease, 0, "spec", "leaseTransitions", NULL);
    if (l->resigning) {
        if (ours)
            write_lease(l, version, true);
        else
            finish_resigning(l);
        return;
    }
    if (!ours) {
        lose(l, "somebody else holds it");
        if (holder && *holder && !has_run_out(l, lease, version)) {
            again_after(l, l->spec.retry_ms * MH_NS_PER_MS);
            return;
        }
        l->transitions++;
        l->acquired_us = l->clock.wall_us(l->clock.self);
    }
    write_lease(l, version, false);
}

static void
write_done(struct mh_api_call *call)
{
    struct mh_leader *l = call->arg;
    const char *version = mh_json_str(call->reply, "metadata", "resourceVersion", NULL);
    l->busy = false;
    if (l->resigning) {
        finish_resigning(l);
        return;
    }
    l->version[0] = '\0'; /* failed or unknown: the next round reads who holds it */
    if (call->err.code == MH_OK && extend(l)) {
        mh_str_copy(l->version, sizeof(l->version), version ? version : "");
        if (!l->leads) {
            l->leads = true;
            mh_info("leader", "lease taken", "lease", l->spec.name, "identity", l->spec.identity);
            again_after(l, l->spec.retry_ms * MH_NS_PER_MS);
            l->spec.on_started(l->spec.arg);
            return;
        }
    }
    again_after(l, l->spec.retry_ms * MH_NS_PER_MS);
}

bool
mh_leader_is(const struct mh_leader *l)
{
    return l->leads;
}

struct mh_leader *
mh_leader_new(struct mh_api api, struct mh_clock clock, const struct mh_leader_spec *spec)
{
    struct mh_leader *l = mh_calloc(1, sizeof(*l));
    size_t n1 = strlen(spec->name_space) + 1;
    size_t n2 = strlen(spec->name) + 1;
    size_t n3 = strlen(spec->identity) + 1;
    char *texts = mh_malloc(n1 + n2 + n3);
    if (!l || !texts) {
        mh_free(l);
        mh_free(texts);
        return NULL;
    }
    *l = (struct mh_leader){ .api = api, .clock = clock, .spec = *spec, .texts = texts };
    l->spec.name_space = memcpy(texts, spec->name_space, n1);
    l->spec.name = memcpy(texts + n1, spec->name, n2);
    l->spec.identity = memcpy(texts + n1 + n2, spec->identity, n3);
    l->spec.lease_ms = spec->lease_ms > 0 ? spec->lease_ms : LEASE_MS;
    l->spec.renew_ms = spec->renew_ms > 0 ? spec->renew_ms : RENEW_MS;
    l->spec.retry_ms = spec->retry_ms > 0 ? spec->retry_ms : RETRY_MS;
    mh_arena_init(&l->arena, ARENA_MAX);
    again_after(l, 0);
    if (!l->timer) {
        mh_leader_free(l);
        return NULL;
    }
    return l;
}

void
mh_leader_resign(struct mh_leader *l, void (*done)(void *arg), void *arg)
{
    l->resigned = done;
    l->resigned_arg = arg;
    l->resigning = true;
    bool held = l->leads;
    if (l->busy)
        l->api.cancel(l->api.self, &l->call);
    l->busy = false;
    lose(l, "given up");
    if (held)
        again_after(l, 0);
    if (!held || !l->timer) {
        l->clock.cancel(l->clock.self, l->timer);
        l->timer = NULL;
        finish_resigning(l);
    }
}

void
mh_leader_free(struct mh_leader *l)
{
    if (!l)
        return;
    if (l->busy)
        l->api.cancel(l->api.self, &l->call);
    l->clock.cancel(l->clock.self, l->timer);
    l->clock.cancel(l->clock.self, l->deadline);
    mh_arena_release(&l->arena);
    mh_free(l->texts);
    mh_free(l);
}
