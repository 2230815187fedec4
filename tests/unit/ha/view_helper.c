#include "view_helper.h"

#include <string.h>

const char *const th_names[5] = { "a", "b", "c", "d", "e" };

void
th_config(struct mh_ha_view *v, int which, int number, const int *names)
{
    struct mh_ha_config *c = &v->lease.configs[which];
    *c = (struct mh_ha_config){ .number = number };
    for (; *names >= 0; names++)
        c->names[c->nnames++] = th_names[*names];
    v->lease.nconfigs = which + 1;
    v->lease.configs_known = true;
}

static void
standby(struct mh_ha_member *m)
{
    m->role = MH_HA_STANDBY;
    m->receiving = true;
    m->quiet_ms = 10;
}

struct mh_ha_view
th_healthy(void)
{
    struct mh_ha_view v = { .cluster = "db",
                            .nmembers = 3,
                            .lease_unchanged_ms = 1000,
                            .switchover_delay_ms = 3600000,
                            .lease_ms = 8000 };
    v.lease = (struct mh_ha_lease){ .exists = true,
                                    .resource_version = "7",
                                    .holder = "a",
                                    .term = 4,
                                    .phase = MH_HA_STABLE,
                                    .incarnation = "vol-a",
                                    .address = "10.0.0.1" };
    static const char *const volumes[] = { "vol-a", "vol-b", "vol-c", "vol-d", "vol-e" };
    static const char *const addresses[] = { "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4",
                                             "10.0.0.5" };
    for (int i = 0; i < 5; i++) {
        v.members[i] = (struct mh_ha_member){ .name = th_names[i],
                                              .address = addresses[i],
                                              .incarnation = volumes[i],
                                              .connected = true,
                                              .known = true,
                                              .pg_up = true,
                                              .promise = 4,
                                              .term = 4,
                                              .timeline = 1,
                                              .flush_lsn = 100 };
        standby(&v.members[i]);
    }
    v.members[A].role = MH_HA_PRIMARY;
    v.members[A].receiving = false;
    v.members[A].quiet_ms = -1;
    th_config(&v, 0, 1, (const int[]){ B, C, -1 });
    return v;
}

void
th_lose(struct mh_ha_view *v, int i, int64_t ms)
{
    v->members[i].connected = false;
    v->members[i].lost_ms = ms;
}

struct mh_ha_view
th_primary_lost(int64_t ms)
{
    struct mh_ha_view v = th_healthy();
    th_lose(&v, A, ms);
    for (int i = B; i <= E; i++) {
        v.members[i].receiving = false;
        v.members[i].quiet_ms = -1;
    }
    return v;
}

struct mh_ha_view
th_fencing(void)
{
    struct mh_ha_view v = th_primary_lost(2000);
    v.lease.term = 5;
    v.lease.phase = MH_HA_FENCING;
    v.lease_unchanged_ms = 100;
    return v;
}

struct mh_ha_view
th_switching(void)
{
    struct mh_ha_view v = th_healthy();
    v.lease.term = 5;
    v.lease.phase = MH_HA_SWITCHING;
    v.lease.candidate = "b";
    v.lease_unchanged_ms = 100;
    v.target = "b";
    return v;
}

void
th_fence(struct mh_ha_view *v, int i, uint64_t flush_lsn)
{
    struct mh_ha_member *m = &v->members[i];
    m->promise = v->lease.term;
    m->fenced = true;
    m->receiving = false;
    m->quiet_ms = -1;
    m->flush_lsn = flush_lsn;
}

void
th_stop(struct mh_ha_view *v, int i, bool clean)
{
    struct mh_ha_member *m = &v->members[i];
    m->connected = true;
    m->lost_ms = 0;
    m->promise = v->lease.term;
    m->pg_up = false;
    m->role = MH_HA_NONE;
    m->stopped_clean = clean;
    m->shutdown_lsn = clean ? m->flush_lsn : 0;
}

struct mh_ha_verdict
th_assess(const struct mh_ha_view *v)
{
    struct mh_ha_verdict d;
    mh_ha_assess(v, &d);
    return d;
}

bool
th_elects(const struct mh_ha_verdict *d, const char *name)
{
    return d->swap && d->to.phase == MH_HA_PROMOTING && d->to.holder &&
           strcmp(d->to.holder, name) == 0;
}

bool
th_raises(const struct mh_ha_verdict *d, uint64_t term)
{
    return d->swap && d->to.phase == MH_HA_FENCING && d->to.term == term && !d->to.holder;
}
