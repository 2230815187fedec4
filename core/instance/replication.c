/* replication.c - on a primary: who streams and how far, the HA slots, and small local statements. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "instance/agent.h"
#include "instance/params.h"

#define SLOTS_NS (2 * MH_NS_PER_S)

struct ask {
    struct mh_pg_call call;
    struct mh_arena arena;
    struct mh_agent *g;
    void (*done)(struct mh_agent *g, bool ok);
};

static struct ask *
ask_new(struct mh_agent *g, size_t limit, void (*fn)(struct mh_pg_call *))
{
    struct ask *k = mh_calloc(1, sizeof(*k));
    if (!k)
        return NULL;
    mh_arena_init(&k->arena, limit);
    k->g = g;
    k->call = (struct mh_pg_call){
        .conninfo = mh_local_conninfo(g), .arena = &k->arena, .done = fn, .arg = k
    };
    return k;
}

static void
ask_free(struct ask *k)
{
    mh_arena_release(&k->arena);
    mh_free(k);
}

/* --- statements ------------------------------------------------------------------------------ */

static void
on_statement(struct mh_pg_call *c)
{
    struct ask *k = c->arg;
    struct mh_agent *g = k->g;
    void (*done)(struct mh_agent *, bool) = k->done;
    bool ok = c->err.code == MH_OK;
    if (!ok)
        mh_log_err(MH_LOG_WARNING, "postgres", "a statement of the manager failed", &c->err,
                   "sqlstate", c->sqlstate);
    ask_free(k);
    if (done)
        done(g, ok);
}

static void
run_sql(struct mh_agent *g, const char *conninfo, int timeout_ms, const char *sql,
        void (*done)(struct mh_agent *g, bool ok))
{
    struct ask *k = ask_new(g, 256 << 10, on_statement);
    if (!k) {
        if (done)
            done(g, false);
        return;
    }
    k->call.sql = mh_arena_strdup(&k->arena, sql);
    k->call.conninfo = conninfo;
    k->call.timeout_ms = timeout_ms;
    k->done = done;
    g->w.pg.start(g->w.pg.self, &k->call);
}

void
mh_local_sql(struct mh_agent *g, const char *sql, void (*done)(struct mh_agent *g, bool ok))
{
    run_sql(g, mh_local_conninfo(g), 30000, sql, done);
}

void
mh_slow_sql(struct mh_agent *g, const char *sql, void (*done)(struct mh_agent *g, bool ok))
{
    run_sql(g, mh_slow_conninfo(g), 600000, sql, done);
}

/* --- pg_stat_replication --------------------------------------------------------------------- */

static int
atoi_small(const char *s)
{
    int64_t n = 0;
    return mh_str_int(s, 0, 1000, &n) ? (int)n : 0;
}

static void
on_replicas(struct mh_pg_call *c)
{
    struct ask *k = c->arg;
    struct mh_agent *g = k->g;
    struct mh_primary *p = &g->primary;
    p->asking = false;
    if (c->err.code == MH_OK && c->cols == 8) {
        int before = p->nreplicas;
        p->nreplicas = 0;
        for (int i = 0; i < c->rows && p->nreplicas < MH_HA_MEMBERS_MAX; i++) {
            const char *const *row = c->values + (size_t)i * 8;
            struct mh_replica *r = &p->replicas[p->nreplicas++];
            *r = (struct mh_replica){ .streaming = mh_str_eq(row[1], "streaming"),
                                      .sync_priority = row[7] ? atoi_small(row[7]) : 0 };
            mh_str_copy(r->name, sizeof(r->name), row[0]);
            mh_str_copy(r->state, sizeof(r->state), row[1]);
            (void)mh_lsn_parse(row[2], &r->flush_lsn);
            (void)mh_lsn_parse(row[3], &r->sent_lsn);
            (void)mh_lsn_parse(row[4], &r->write_lsn);
            (void)mh_lsn_parse(row[5], &r->replay_lsn);
            mh_str_copy(r->sync_state, sizeof(r->sync_state), row[6]);
        }
        p->replication_ns = mh_agent_now(g);
        p->replication_from_ns = p->asked_ns;
        if (before != p->nreplicas)
            mh_status_changed(g);
    }
    ask_free(k);
    mh_agent_wake(g);
}

void
mh_replication_look(struct mh_agent *g, int64_t max_age_ns)
{
    struct mh_primary *p = &g->primary;
    if (p->asking || (p->replication_ns && mh_agent_now(g) - p->replication_ns < max_age_ns))
        return;
    struct ask *k = ask_new(g, 256 << 10, on_replicas);
    if (!k)
        return;
    k->call.sql =
        "select application_name, state, flush_lsn::text, sent_lsn::text, write_lsn::text, "
        "replay_lsn::text, sync_state, sync_priority::text from pg_stat_replication "
        "where usename = 'streaming_replica'";
    p->asking = true;
    p->asked_ns = mh_agent_now(g);
    g->w.pg.start(g->w.pg.self, &k->call);
}

int
mh_replication_past(const struct mh_agent *g, const struct mh_ha_config *c, uint64_t lsn)
{
    int n = 0;
    for (int i = 0; i < g->primary.nreplicas; i++) {
        const struct mh_replica *r = &g->primary.replicas[i];
        n += r->streaming && r->flush_lsn >= lsn && mh_ha_config_has(c, r->name);
    }
    return n;
}

int
mh_replication_sync_past(const struct mh_agent *g, const struct mh_ha_config *c, uint64_t lsn)
{
    int n = 0;
    for (int i = 0; i < g->primary.nreplicas; i++) {
        const struct mh_replica *r = &g->primary.replicas[i];
        n += r->streaming && r->sync_priority > 0 && r->flush_lsn >= lsn &&
             mh_ha_config_has(c, r->name);
    }
    return n;
}

int
mh_replication_streaming(const struct mh_agent *g, const struct mh_ha_config *c)
{
    return mh_replication_past(g, c, 0);
}

/* --- HA slots -------------------------------------------------------------------------------- */

/* One statement makes what is missing and drops what nobody uses any more; names are parameters. */
static const char slots_sql[] =
    "with want as (select unnest(string_to_array($1, ',')) as name), "
    "made as (select pg_create_physical_replication_slot(name, true) from want where name not in "
    "(select slot_name from pg_replication_slots)), "
    "gone as (select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_type "
    "= "
    "'physical' and not temporary and not active and left(slot_name, length($2)) = $2 and "
    "slot_name not in "
    "(select name from want)) "
    "select (select count(*) from made), (select count(*) from gone)";

void
mh_slots_tick(struct mh_agent *g)
{
    int64_t now = mh_agent_now(g);
    yyjson_val *names = mh_json_get(g->know.cluster, "status", "instanceNames", NULL);
    if (now < g->primary.next_slots_ns || !names)
        return;
    struct ask *k = ask_new(g, 256 << 10, on_statement);
    const char **params = k ? mh_arena_alloc(&k->arena, 2 * sizeof(*params)) : NULL;
    char *list = k ? mh_arena_alloc(&k->arena, 65 * (yyjson_arr_size(names) + 1)) : NULL;
    if (!params || !list) {
        if (k)
            ask_free(k);
        return;
    }
    size_t i;
    size_t max;
    yyjson_val *item;
    yyjson_arr_foreach(names, i, max, item)
    {
        if (!yyjson_is_str(item) || mh_str_eq(yyjson_get_str(item), g->id.name))
            continue;
        const char *name = mh_params_slot(&k->arena, g->know.cluster, yyjson_get_str(item));
        size_t at = strlen(list);
        if (name && *name)
            (void)snprintf(list + at, 65, "%s%.63s", at ? "," : "", name);
    }
    const char *prefix = mh_json_str(g->know.cluster, "spec", "replicationSlots",
                                     "highAvailability", "slotPrefix", NULL);
    params[0] = list;
    params[1] = mh_arena_strdup(&k->arena, prefix && *prefix ? prefix : "_cnpg_");
    k->call.sql = slots_sql;
    k->call.params = params;
    k->call.nparams = 2;
    g->primary.next_slots_ns = now + SLOTS_NS;
    g->w.pg.start(g->w.pg.self, &k->call);
}
