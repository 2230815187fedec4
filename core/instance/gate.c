/* gate.c - rule 4: clients are let in only when what they could see is durable and the term is still
 * ours. Closed is a pg_hba.conf that admits the manager and streaming_replica; it is written before
 * PostgreSQL starts or is promoted. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "instance/agent.h"

/* How long a new primary waits for standbys that it could do without. */
#define PREFERRED_NS (5 * MH_NS_PER_S)

bool
mh_gate_is_open(const struct mh_agent *g)
{
    return g->primary.gate == MH_GATE_OPEN;
}

void
mh_gate_close(struct mh_agent *g)
{
    struct mh_err err;
    bool changed = false;
    if (g->primary.gate == MH_GATE_CLOSED)
        return;
    bool was_open = g->primary.gate == MH_GATE_OPEN;
    g->primary.gate = MH_GATE_CLOSED;
    g->primary.published = false;
    mh_login_forget(g);
    if (was_open && g->know.certs_ready && mh_conf_write(g, &changed, &err) == MH_OK)
        mh_postmaster_reload(g);
    mh_status_changed(g);
}

/* What the manager needs on every primary; harmless to repeat. Written without waiting for standbys:
 * the connection has synchronous_commit = local. */
static const char roles[] =
    "do $moonherd$ begin "
    "if not exists (select 1 from pg_roles where rolname = 'streaming_replica') then "
    "create role streaming_replica login replication; end if; "
    "if not exists (select 1 from pg_roles where rolname = 'cnpg_metrics_exporter') then "
    "create role cnpg_metrics_exporter login; grant pg_monitor to cnpg_metrics_exporter; end if; "
    "if not has_function_privilege('streaming_replica', "
    "'pg_read_binary_file(text,bigint,bigint,boolean)', "
    "'execute') then "
    "grant execute on function pg_ls_dir(text, boolean, boolean) to streaming_replica; "
    "grant execute on function pg_stat_file(text, boolean) to streaming_replica; "
    "grant execute on function pg_read_binary_file(text) to streaming_replica; "
    "grant execute on function pg_read_binary_file(text, bigint, bigint, boolean) to "
    "streaming_replica; "
    "end if; end $moonherd$";

static void
roles_done(struct mh_agent *g, bool ok)
{
    g->primary.roles_done = ok;
    g->primary.roles_asked = false;
    mh_agent_wake(g);
}

/* --- marker ---------------------------------------------------------------------------------- */

struct ask {
    struct mh_pg_call call;
    struct mh_arena arena;
    struct mh_agent *g;
};

static void
on_marker(struct mh_pg_call *c)
{
    struct ask *k = c->arg;
    struct mh_agent *g = k->g;
    uint64_t lsn = 0;
    bool ok = c->err.code == MH_OK && c->rows == 1 && mh_lsn_parse(c->values[0], &lsn);
    if (g->primary.gate == MH_GATE_MARK) {
        g->primary.gate = ok ? MH_GATE_WAIT : MH_GATE_CLOSED;
        g->primary.marker = lsn;
        g->primary.replication_ns = 0;
    }
    mh_arena_release(&k->arena);
    mh_free(k);
    mh_agent_wake(g);
}

static void
read_marker(struct mh_agent *g, bool ok)
{
    struct ask *k = ok ? mh_calloc(1, sizeof(*k)) : NULL;
    if (!k) {
        if (g->primary.gate == MH_GATE_MARK)
            g->primary.gate = MH_GATE_CLOSED;
        return;
    }
    mh_arena_init(&k->arena, 65536);
    k->g = g;
    k->call = (struct mh_pg_call){ .conninfo = mh_local_conninfo(g),
                                   .sql = "select pg_current_wal_flush_lsn()::text",
                                   .arena = &k->arena,
                                   .done = on_marker,
                                   .arg = k };
    g->w.pg.start(g->w.pg.self, &k->call);
}

/* A returned COMMIT is no proof: the record is written, and its standbys' own reports are read. */
static void
write_marker(struct mh_agent *g)
{
    g->primary.gate = MH_GATE_MARK;
    g->primary.gate_term = g->order.term;
    mh_local_sql(g, "select pg_logical_emit_message(true, 'moonherd', 'gate')", read_marker);
}

/* --- opening --------------------------------------------------------------------------------- */

static void
open_now(struct mh_agent *g)
{
    struct mh_err err;
    bool changed = false;
    g->primary.gate = MH_GATE_OPEN;
    g->primary.opened_ns = mh_agent_now(g);
    g->primary.strict_health = true;
    g->primary.adopting = false;
    if (mh_conf_write(g, &changed, &err)) {
        mh_agent_fail(g, err.msg);
        g->primary.gate = MH_GATE_CLOSED;
        return;
    }
    mh_postmaster_reload(g);
    mh_primary_publish(g);
    mh_info("gate", "open: clients are let in");
    mh_status_changed(g);
}

/* The swap of the Lease is the quorum read: it succeeds only on the version that was read, with our
 * name and term in it. */
static void
on_term_confirmed(struct mh_agent *g, bool ok)
{
    if (g->primary.gate != MH_GATE_READ)
        return;
    if (!ok || g->know.lease.term != g->primary.gate_term || g->order.order != MH_HA_SERVE) {
        g->primary.gate = MH_GATE_WAIT;
        return;
    }
    open_now(g);
}

const char mh_end_sessions_sql[] =
    "select count(pg_terminate_backend(pid)) from pg_stat_activity where backend_type = 'client "
    "backend' and pid <> pg_backend_pid() and application_name not like 'moonherd%'";

static void
sessions_ended(struct mh_agent *g, bool ok)
{
    if (g->primary.gate != MH_GATE_READ)
        return;
    struct mh_ha_config possible[MH_HA_CONFIGS_MAX + 1];
    int n = mh_sync_possible(g, possible);
    if (!ok || !mh_primary_swap(g, possible, n, on_term_confirmed))
        g->primary.gate = MH_GATE_WAIT;
}

/* Behind the closed gate nothing was acknowledged yet, so the set may still change: what the Cluster
 * asks for now is taken, and published by the swap that opens the gate. */
static void
refresh(struct mh_agent *g)
{
    struct mh_primary *p = &g->primary;
    struct mh_arena a;
    struct mh_ha_config wanted;
    struct mh_err err;
    const char *text = "";
    bool changed = false;
    mh_arena_init(&a, 1 << 20);
    bool differs = mh_conf_sync_wanted(g, &a, &wanted, &text) &&
                   (!mh_ha_config_equal(&p->sync, &wanted) || strcmp(text, p->sync_text) != 0);
    mh_arena_release(&a);
    if (!differs)
        return;
    mh_sync_adopt(g);
    if (mh_conf_write(g, &changed, &err) == MH_OK && changed)
        mh_postmaster_reload(g);
}

/* dataDurability: preferred does not wait for ever for standbys that do not come. */
static void
relax(struct mh_agent *g)
{
    struct mh_primary *p = &g->primary;
    struct mh_err err;
    bool changed = false;
    int64_t now = mh_agent_now(g);
    if (!p->wait_ns)
        p->wait_ns = now;
    if (!p->preferred || p->strict_health || now - p->wait_ns < PREFERRED_NS)
        return;
    p->strict_health = true;
    mh_sync_adopt(g);
    if (mh_conf_write(g, &changed, &err) == MH_OK)
        mh_postmaster_reload(g);
}

void
mh_gate_tick(struct mh_agent *g)
{
    struct mh_primary *p = &g->primary;
    if (g->order.order != MH_HA_SERVE)
        return;
    if (p->gate == MH_GATE_OPEN && p->gate_term != g->order.term && g->order.adopt) {
        p->gate = MH_GATE_WAIT; /* same log, new term: it must be confirmed */
        p->adopting = true;
    }
    switch (p->gate) {
    case MH_GATE_NONE:
        mh_gate_close(g);
        return;
    case MH_GATE_CLOSED:
        if (p->roles_done) {
            write_marker(g);
        } else if (!p->roles_asked) {
            p->roles_asked = true;
            mh_local_sql(g, roles, roles_done);
        }
        return;
    case MH_GATE_MARK:
        return;
    case MH_GATE_WAIT: {
        p->gate_term = g->order.term;
        if (!p->adopting)
            refresh(g);
        bool reachable = mh_login_done(g);
        if (p->sync.number > 0 && mh_replication_past(g, &p->sync, p->marker) < p->sync.number) {
            mh_replication_look(g, 30 * MH_NS_PER_MS);
            mh_slots_tick(g);
            relax(g);
            return;
        }
        if (!reachable || !mh_primary_may_swap(g))
            return;
        p->wait_ns = 0;
        p->gate = MH_GATE_READ;
        mh_local_sql(g, mh_end_sessions_sql, sessions_ended);
        return;
    }
    case MH_GATE_READ:
    case MH_GATE_OPEN:
        return;
    }
}
