/* model_role.c - a modelled manager's decisions: core/ha says what to do, here it happens in no time.
 *
 * As the real manager, without PostgreSQL: the promise comes before the act, the Lease changes by
 * compare-and-swap only, a primary renews it, a standby's log is the primary's. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "sandbox/model_in.h"

#define RENEW_NS (2 * MH_NS_PER_S)
#define LINGER_NS (10 * MH_NS_PER_S)
#define STEP 0x1000 /* what a primary writes in a second */

/* --- the Lease ------------------------------------------------------------------------------- */

static void
publish(struct mh_sb_model_member *x)
{
    struct mh_sb_model_cluster *c = x->cluster;
    const char *roles[2][2] = { { x->name, "primary" }, { c->current, "replica" } };
    char path[900], body[900], now[MH_TIME_TEXT];
    bool moved = strcmp(c->current, x->name) != 0;
    x->published = true;
    for (int i = 0; i < (moved && c->current[0] ? 2 : 1); i++) {
        (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/pods/%s", x->ns, roles[i][0]);
        (void)snprintf(
            body, sizeof(body),
            "{\"metadata\":{\"labels\":{\"cnpg.io/instanceRole\":\"%s\",\"role\":\"%s\"}}}",
            roles[i][1], roles[i][1]);
        (void)mh_sb_model_ask(x, "PATCH", path, MH_PATCH_MERGE, body, NULL);
    }
    if (!moved && strcmp(c->target, x->name) == 0)
        return;
    mh_time_rfc3339_micro(now, x->m->clock.wall_us(x->m->clock.self));
    (void)snprintf(path, sizeof(path),
                   "/apis/postgresql.cnpg.io/v1/namespaces/%s/clusters/%s/status", c->ns, c->name);
    (void)snprintf(body, sizeof(body),
                   "{\"status\":{\"currentPrimary\":\"%s\",\"currentPrimaryTimestamp\":\"%s\","
                   "\"targetPrimary\":\"%s\",\"targetPrimaryTimestamp\":\"%s\"}}",
                   x->name, now, x->name, now);
    (void)mh_sb_model_ask(x, "PATCH", path, MH_PATCH_MERGE, body, NULL);
}

static void
on_swapped(struct mh_sb_model_member *x, struct mh_api_call *call)
{
    struct mh_sb_model_cluster *c = x->cluster;
    x->swapping = false;
    if (call->err.code != MH_OK || !call->reply) {
        mh_sb_model_decide(x); /* the watch brings what is there now */
        return;
    }
    mh_sb_model_lease(c, call->reply);
    bool ours = mh_str_eq(c->lease.holder, x->name) && c->lease.phase == MH_HA_STABLE;
    if (ours && x->up && x->role == MH_HA_PRIMARY && !x->gate &&
        c->lease.term == x->volume->own.term) {
        x->gate = true;
        publish(x);
        mh_sb_model_changed(x);
    }
}

/* The Lease with our name and `term` in it, on the version that was read. */
static void
swap(struct mh_sb_model_member *x, uint64_t term, bool claims)
{
    struct mh_sb_model_cluster *c = x->cluster;
    const struct mh_ha_lease *l = &c->lease;
    char path[400], body[1600], now[MH_TIME_TEXT], acquired[80] = "";
    if (x->swapping || !l->exists || !l->resource_version)
        return;
    mh_time_rfc3339_micro(now, x->m->clock.wall_us(x->m->clock.self));
    if (l->term != term || l->phase != MH_HA_STABLE)
        (void)snprintf(acquired, sizeof(acquired), "\"acquireTime\":\"%s\",", now);
    (void)snprintf(path, sizeof(path), "/apis/coordination.k8s.io/v1/namespaces/%s/leases/%s",
                   c->ns, c->name);
    (void)snprintf(body, sizeof(body),
                   "{\"metadata\":{\"resourceVersion\":\"%s\",\"annotations\":{\"moonherd.io/"
                   "served\":\"%llu\","
                   "\"moonherd.io/phase\":\"stable\",\"moonherd.io/incarnation\":\"%s\","
                   "\"moonherd.io/address\":\"%s\",\"moonherd.io/holder-uid\":\"%s\","
                   "\"moonherd.io/holder-boot\":\"modelled\",\"moonherd.io/session\":\"%s\","
                   "\"moonherd.io/candidate\":null%s}},\"spec\":{\"holderIdentity\":\"%s\","
                   "\"leaseTransitions\":%llu,\"leaseDurationSeconds\":%d,%s\"renewTime\":\"%s\"}}",
                   l->resource_version, (unsigned long long)term, x->volume->own.incarnation, x->ip,
                   x->uid, x->session, claims ? ",\"moonherd.io/configs\":\"[]\"" : "", x->name,
                   (unsigned long long)term, c->lease_s, acquired, now);
    x->swapping = mh_sb_model_ask(x, "PATCH", path, MH_PATCH_MERGE, body, on_swapped);
    x->renew_ns = mh_sb_model_now(x->m) +
                  (x->m->config.renew_ms ? x->m->config.renew_ms * MH_NS_PER_MS : RENEW_NS);
}

void
mh_sb_model_lease(struct mh_sb_model_cluster *c, yyjson_val *object)
{
    struct mh_err err;
    int64_t old = 0, version = 0;
    const char *text = mh_json_str(object, "metadata", "resourceVersion", NULL);
    if (c->lease_known && c->lease.exists && text &&
        mh_str_int(c->lease.resource_version, 0, INT64_MAX, &old) &&
        mh_str_int(text, 0, INT64_MAX, &version) && version <= old)
        return;
    struct mh_arena fresh;
    mh_arena_init(&fresh, (size_t)1 << 20);
    size_t len = 0;
    yyjson_val *copy = NULL;
    char *json = object ? mh_json_text(&fresh, object, &len) : NULL;
    if (object && (!json || mh_json_parse(&fresh, json, len, &copy, NULL) != MH_OK)) {
        mh_arena_release(&fresh);
        return;
    }
    mh_arena_release(&c->lease_arena);
    c->lease_arena = fresh;
    c->lease_known = true;
    c->lease_bad = mh_ha_lease_read(&c->lease_arena, copy, &c->lease, &err) != MH_OK;
    for (struct mh_sb_model_member *x = c->members, *next; x; x = next) {
        next = x->next;
        mh_sb_model_decide(x);
    }
}

/* --- PostgreSQL ------------------------------------------------------------------------------ */

/* A clean shutdown waits until its last record has arrived. */
static void
flush_standbys(const struct mh_sb_model_member *x)
{
    for (struct mh_sb_model_member *y = x->cluster->members; y; y = y->next) {
        if (y->receiving && y->volume) {
            y->volume->lsn = x->volume->lsn;
            mh_sb_model_changed(y);
        }
    }
}

void
mh_sb_model_stop_pg(struct mh_sb_model_member *x, bool clean)
{
    x->m->clock.cancel(x->m->clock.self, x->change);
    x->change = NULL;
    if (x->role == MH_HA_NONE)
        return;
    if (clean && x->role == MH_HA_PRIMARY)
        flush_standbys(x);
    x->role = MH_HA_NONE;
    x->up = x->gate = x->receiving = x->fenced = x->promoting = x->published = false;
    x->stopped_clean = clean;
    mh_sb_model_changed(x);
    mh_sb_model_tell(x);
}

static void
on_started(void *arg)
{
    struct mh_sb_model_member *x = arg;
    x->change = NULL;
    x->up = true;
    x->stopped_clean = false;
    mh_sb_model_changed(x);
    mh_sb_model_tell(x);
    mh_sb_model_decide(x);
}

static void
start_pg(struct mh_sb_model_member *x, bool as_primary)
{
    if (x->change || x->role != MH_HA_NONE)
        return;
    x->role = as_primary ? MH_HA_PRIMARY : MH_HA_STANDBY;
    x->change = x->m->clock.after(x->m->clock.self, 0, on_started, x);
    mh_sb_model_changed(x);
}

static void
on_promoted(void *arg)
{
    struct mh_sb_model_member *x = arg;
    struct mh_sb_model_volume *v = x->volume;
    x->change = NULL;
    x->promoting = false;
    if (x->order.order != MH_HA_SERVE || x->role != MH_HA_STANDBY) {
        mh_sb_model_decide(x);
        return;
    }
    if (v->nhistory < MH_HA_HISTORY_MAX)
        v->history[v->nhistory++] =
            (struct mh_ha_history){ .timeline = v->timeline, .end = v->lsn };
    v->timeline++;
    v->data_primary = true;
    x->role = MH_HA_PRIMARY;
    x->receiving = x->fenced = false;
    mh_sb_model_changed(x);
    mh_sb_model_decide(x);
}

/* --- orders ---------------------------------------------------------------------------------- */

static void
promise(struct mh_sb_model_member *x, uint64_t term)
{
    struct mh_ha_term *own = &x->volume->own;
    if (term > own->promise)
        own->promise = term;
    if (!own->incarnation[0])
        mh_sb_model_uuid(x->m, own->incarnation);
    if (!own->cluster_uid[0])
        mh_str_copy(own->cluster_uid, sizeof(own->cluster_uid), x->cluster->uid);
}

static void
serve(struct mh_sb_model_member *x)
{
    struct mh_sb_model_volume *v = x->volume;
    const struct mh_ha_lease *l = &x->cluster->lease;
    if (x->role == MH_HA_NONE) {
        bool stale = !mh_str_eq(l->address, x->ip) || !mh_str_eq(l->holder_uid, x->uid) ||
                     !mh_str_eq(l->session, x->session);
        if (l->phase == MH_HA_STABLE && stale)
            swap(x, l->term, false);
        else
            start_pg(x, v->data_primary);
        return;
    }
    if (!x->up)
        return;
    if (x->role == MH_HA_STANDBY) {
        if (!x->promoting) {
            x->promoting = true;
            x->change = x->m->clock.after(x->m->clock.self, x->m->config.promote_ms * MH_NS_PER_MS,
                                          on_promoted, x);
        }
        return;
    }
    if (v->own.term < x->order.term) {
        v->own.term = x->order.term;
        x->gate = false;
        mh_sb_model_changed(x);
    }
    if (!x->gate)
        swap(x, l->term, false);
    else if (!x->published)
        publish(x);
}

/* The primary whose log this standby has, if it serves. */
static struct mh_sb_model_member *
upstream(const struct mh_sb_model_member *x)
{
    struct mh_sb_model_member *p =
        x->order.follow ? mh_sb_model_find(x->cluster, x->order.follow) : NULL;
    return p && p != x && p->up && p->role == MH_HA_PRIMARY ? p : NULL;
}

static void
receive(struct mh_sb_model_member *x, const struct mh_sb_model_member *from)
{
    struct mh_sb_model_volume *v = x->volume;
    bool was = x->receiving, moved = from && v->timeline != from->volume->timeline;
    x->receiving = from != NULL;
    if (from) {
        v->timeline = from->volume->timeline;
        v->lsn = from->volume->lsn;
        v->nhistory = from->volume->nhistory;
        memcpy(v->history, from->volume->history, sizeof(v->history));
        x->hand_over = false;
    }
    if (from && v->own.term < x->order.term) {
        v->own.term = x->order.term;
        moved = true;
    }
    if (was != x->receiving || moved)
        mh_sb_model_changed(x);
}

static void
follow(struct mh_sb_model_member *x)
{
    struct mh_sb_model_volume *v = x->volume;
    const struct mh_sb_model_member *from = upstream(x);
    if (!v->has_data)
        return;
    x->fenced = false;
    if (x->role == MH_HA_NONE) {
        if (v->data_primary && !from)
            return; /* it is rewound to a primary that serves */
        v->data_primary = false;
        start_pg(x, false);
        return;
    }
    if (x->up)
        receive(x, from);
}

static void
fence(struct mh_sb_model_member *x)
{
    struct mh_sb_model_volume *v = x->volume;
    if (!v->has_data || (x->role == MH_HA_NONE && v->data_primary))
        return;
    if (x->role == MH_HA_NONE) {
        start_pg(x, false);
        return;
    }
    if (x->up && !x->fenced) {
        x->receiving = false;
        x->fenced = true;
        mh_sb_model_changed(x);
    }
}

static void
carry_out(struct mh_sb_model_member *x)
{
    uint64_t before = x->volume->own.promise;
    switch (x->order.order) {
    case MH_HA_WAIT:
        break;
    case MH_HA_HALT:
        mh_sb_model_stop_pg(x, false);
        break;
    case MH_HA_CLAIM:
        promise(x, 1);
        swap(x, 1, true);
        break;
    case MH_HA_SERVE:
        promise(x, x->order.term);
        serve(x);
        break;
    case MH_HA_FOLLOW:
        promise(x, x->order.term);
        follow(x);
        break;
    case MH_HA_FENCE:
        promise(x, x->order.term);
        fence(x);
        break;
    case MH_HA_STEPDOWN:
    case MH_HA_QUIT:
        promise(x, x->order.term);
        mh_sb_model_stop_pg(x, x->order.order == MH_HA_STEPDOWN);
        break;
    }
    if (x->volume->own.promise != before)
        mh_sb_model_changed(x);
}

void
mh_sb_model_decide(struct mh_sb_model_member *x)
{
    struct mh_sb_model_cluster *c = x->cluster;
    if (!x->alive || x->is_job || x->ending || !x->volume || !c || !c->uid[0] ||
        (!x->server && x->m->loop))
        return;
    struct mh_ha_self_in in = {
        .name = x->name,
        .pod_uid = x->uid,
        .cluster_uid = c->uid,
        .lease = c->lease_known && !c->lease_bad ? &c->lease : NULL,
        .own = x->volume->own,
        .has_data = x->volume->has_data,
        .data_primary = x->volume->data_primary,
        .running = x->role != MH_HA_NONE,
        .role = x->role,
    };
    struct mh_ha_self_out out;
    mh_ha_self(&in, &out);
    if (out.order != x->order.order || out.term != x->order.term)
        mh_sb_model_changed(x);
    x->order = out; /* its texts are the Lease's: used until the next one */
    carry_out(x);
}

/* --- time ------------------------------------------------------------------------------------ */

void
mh_sb_model_terminate(struct mh_sb_model_member *x)
{
    if (x->up && x->role == MH_HA_PRIMARY && x->cluster->instances > 1)
        x->hand_over = true;
    mh_sb_model_stop_pg(x, true);
    mh_sb_model_turn(x);
}

/* It lingers until somebody else holds the Lease, or nobody will. */
static void
linger(struct mh_sb_model_member *x)
{
    const struct mh_ha_lease *l = &x->cluster->lease;
    bool heir_wanted = x->hand_over && mh_str_eq(l->holder, x->name) && x->cluster->uid[0] &&
                       mh_sb_model_now(x->m) - x->end_ns < LINGER_NS;
    if (heir_wanted && l->term > x->volume->own.promise) {
        x->volume->own.promise = l->term;
        mh_sb_model_changed(x);
    }
    if (heir_wanted)
        mh_sb_model_heartbeat(x);
    else
        mh_sb_model_end(x);
}

void
mh_sb_model_turn(struct mh_sb_model_member *x)
{
    struct mh_sb_model_cluster *c = x->cluster;
    if (x->ending) {
        if (c && x->volume)
            linger(x);
        else
            mh_sb_model_end(x);
        return;
    }
    if (!c) {
        mh_sb_model_tell(x);
        return;
    }
    if (x->up && x->role == MH_HA_PRIMARY)
        x->volume->lsn += STEP;
    mh_sb_model_decide(x);
    if (!x->server)
        mh_sb_model_serve(x);
    if (x->gate && mh_sb_model_now(x->m) >= x->renew_ns && mh_str_eq(c->lease.holder, x->name) &&
        c->lease.phase == MH_HA_STABLE && c->lease.term == x->volume->own.term)
        swap(x, c->lease.term, false);
    mh_sb_model_tell(x);
    mh_sb_model_heartbeat(x);
}
