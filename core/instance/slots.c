/* slots.c - on a standby: the primary's physical slots are kept here too, as far as the primary has let
 * them go, so that whoever streams from the next primary finds its log there.
 *
 * Every spec.replicationSlots.updateInterval the primary is asked for its slots, with the replication
 * certificate; then the local ones are made, dropped and moved. HA slots (by prefix) are those of all
 * instances but this one; the user's own slots come along unless a pattern excludes them. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "instance/params.h"
#include "instance/standby.h"

#define INTERVAL_S 30
#define FAILED_NS (5 * MH_NS_PER_S)

struct round {
    struct mh_pg_call call;
    struct mh_arena arena;
    struct mh_agent *g;
    const char *conninfo; /* of the primary */
    bool ha;              /* HA slots are wanted */
    bool users;           /* the user's slots are wanted */
    const char *prefix;
    const char *own;      /* our slot on the primary: not here */
    const char *excluded; /* JSON list of patterns */
    const char *slots;    /* JSON list of [name, restart_lsn or null] */
    const char *params[6];
};

/* --- texts ------------------------------------------------------------------------------------ */

static const char there_sql[] =
    "select coalesce(json_agg(json_build_array(slot_name, restart_lsn)), '[]')::text from "
    "(select slot_name, restart_lsn from pg_replication_slots where slot_type = 'physical' and "
    "not temporary order by slot_name limit 1000) s";

/* $1 slots there, $2 prefix, $3 own, $4 excluded patterns, $5 HA, $6 the user's. A slot that holds xmin
 * here would hold up vacuum after a promotion; a lost one is of no use. */
#define WANTED                                                                                     \
    "with there as (select e->>0 as name, (e->>1)::pg_lsn as lsn from "                            \
    "json_array_elements($1::json) e), "                                                           \
    "mine as (select slot_name, restart_lsn, active, xmin, coalesce(wal_status, '') as state "     \
    "from pg_replication_slots where "                                                             \
    "slot_type = 'physical' and not temporary), "                                                  \
    "kind as (select n as name, left(n, length($2)) = $2 as ha, exists(select 1 from "             \
    "json_array_elements_text($4::json) p where n ~ p) as excluded from (select name from there "  \
    "union select slot_name from mine) a(n)), "                                                    \
    "want as (select t.name, t.lsn from there t join kind k using (name) where t.name <> $3 and "  \
    "case when k.ha then $5::bool else $6::bool and not k.excluded end) "

static const char make_sql[] = WANTED
    ", gone as (select pg_drop_replication_slot(slot_name) from mine m join kind k on k.name = "
    "m.slot_name where not m.active and (k.ha or ($6::bool and not k.excluded)) and (m.xmin is not "
    "null or m.state = 'lost' or not exists(select 1 from want w where w.name = m.slot_name))), "
    "made as (select pg_create_physical_replication_slot(name, lsn is not null) from want where "
    "name not in (select slot_name from mine)) "
    "select (select count(*) from gone)::text, (select count(*) from made)::text";

/* Not past what is replayed here: PostgreSQL would not go farther anyway. */
static const char move_sql[] = WANTED
    "select count(pg_replication_slot_advance(m.slot_name, least(w.lsn, pg_last_wal_replay_lsn())))"
    "::text from mine m join want w on w.name = m.slot_name where not m.active and m.state <> "
    "'lost' and m.restart_lsn "
    "< least(w.lsn, pg_last_wal_replay_lsn())";

/* --- a round ---------------------------------------------------------------------------------- */

static void
end(struct round *r, bool ok)
{
    struct mh_agent *g = r->g;
    int64_t interval = mh_json_int(g->know.cluster, INTERVAL_S, "spec", "replicationSlots",
                                   "updateInterval", NULL);
    interval = interval < 1 ? 1 : interval;
    g->slots.asking = false;
    g->slots.next_ns =
        mh_agent_now(g) +
        (ok || interval * MH_NS_PER_S < FAILED_NS ? interval * MH_NS_PER_S : FAILED_NS);
    mh_arena_release(&r->arena);
    mh_free(r);
}

static void
refused(struct round *r, const char *msg)
{
    struct mh_agent *g = r->g;
    mh_log_at(MH_LOG_WARNING, "slots", msg, "error", r->call.err.msg, "sqlstate", r->call.sqlstate,
              NULL);
    if (r->conninfo)
        g->w.pg.disconnect(g->w.pg.self, r->conninfo);
    end(r, false);
}

static void
ask(struct round *r, const char *conninfo, const char *sql, int nparams,
    void (*done)(struct mh_pg_call *c))
{
    r->call = (struct mh_pg_call){ .conninfo = conninfo,
                                   .sql = sql,
                                   .params = nparams ? r->params : NULL,
                                   .nparams = nparams,
                                   .timeout_ms = 10000,
                                   .arena = &r->arena,
                                   .done = done,
                                   .arg = r };
    r->g->w.pg.start(r->g->w.pg.self, &r->call);
}

static void
on_moved(struct mh_pg_call *c)
{
    struct round *r = c->arg;
    if (c->err.code != MH_OK)
        refused(r, "slots cannot be moved on");
    else
        end(r, true);
}

static void
on_made(struct mh_pg_call *c)
{
    struct round *r = c->arg;
    if (c->err.code != MH_OK || c->rows != 1 || c->cols != 2) {
        refused(r, "slots cannot be made or dropped");
        return;
    }
    if (!mh_str_eq(c->values[0], "0") || !mh_str_eq(c->values[1], "0"))
        mh_info("slots", "slots follow the primary's", "=dropped", c->values[0], "=made",
                c->values[1]);
    ask(r, mh_local_conninfo(r->g), move_sql, 6, on_moved);
}

static void
on_there(struct mh_pg_call *c)
{
    struct round *r = c->arg;
    struct mh_agent *g = r->g;
    const char *slots = c->err.code == MH_OK && c->rows == 1 && c->cols == 1 ? c->values[0] : NULL;
    const char *conninfo = r->conninfo;
    if (!slots) {
        refused(r, "the primary does not tell its slots");
    } else if (g->order.order != MH_HA_FOLLOW || !mh_agent_pg_up(g) || !g->pg.in_recovery) {
        end(r, true); /* a primary has slots of its own */
    } else {
        r->params[0] = slots;
        r->params[1] = r->prefix;
        r->params[2] = r->own;
        r->params[3] = r->excluded;
        r->params[4] = r->ha ? "t" : "f";
        r->params[5] = r->users ? "t" : "f";
        r->conninfo = NULL;
        ask(r, mh_local_conninfo(g), make_sql, 6, on_made);
        g->w.pg.disconnect(g->w.pg.self, conninfo);
    }
}

static bool
prepare(struct round *r)
{
    struct mh_agent *g = r->g;
    struct mh_arena *a = &r->arena;
    yyjson_val *spec = mh_json_get(g->know.cluster, "spec", "replicationSlots", NULL);
    yyjson_val *patterns = mh_json_get(spec, "synchronizeReplicas", "excludePatterns", NULL);
    const char *prefix = mh_json_str(spec, "highAvailability", "slotPrefix", NULL);
    r->ha = mh_json_bool(spec, true, "highAvailability", "enabled", NULL);
    r->users = mh_json_bool(spec, true, "synchronizeReplicas", "enabled", NULL);
    r->prefix = prefix && *prefix ? prefix : "_cnpg_";
    r->prefix = mh_arena_strdup(a, r->prefix);
    r->own = mh_params_slot(a, g->know.cluster, g->id.name);
    r->excluded =
        yyjson_is_arr(patterns) ? mh_json_text(a, patterns, NULL) : mh_arena_strdup(a, "[]");
    r->conninfo = mh_conf_conninfo(g, a, g->order.address, "moonherd-slots");
    return r->prefix && r->own && r->excluded && r->conninfo;
}

void
mh_slots_follow(struct mh_agent *g)
{
    if (g->slots.asking || mh_agent_now(g) < g->slots.next_ns || !g->order.address)
        return;
    struct round *r = mh_calloc(1, sizeof(*r));
    if (!r)
        return;
    mh_arena_init(&r->arena, 1 << 20);
    r->g = g;
    g->slots.asking = true;
    if (!prepare(r)) {
        end(r, false);
        return;
    }
    ask(r, r->conninfo, there_sql, 0, on_there);
}
