/* monitor.c - asks the local PostgreSQL how it is, every 200 ms or faster while something changes. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "instance/agent.h"

enum {
    C_RECOVERY,
    C_FLUSH,
    C_RECEIVE,
    C_REPLAY,
    C_CONTROL_TLI,
    C_MIN_TLI,
    C_SYSTEM,
    C_WAL_TLI,
    C_STATUS,
    C_RECEIVED_TLI,
    C_RECEIPT,
    C_PAUSED,
    C_PENDING,
    C_HASH,
    C_SYNC,
    C_SEGMENT_TLI,
    C_ALONE,
    C_RECEIVER,
    C_AT_END,
    C_UPSTREAM,
    C_COUNT
};

/* The newest timeline on disk counts for a standby without a receiver: pg_control may still name an
 * older one. */
static const char question[] =
    "select v.rec::text, "
    "case when v.rec then greatest(coalesce(pg_last_wal_receive_lsn(),'0/0'),"
    "coalesce(pg_last_wal_replay_lsn(),'0/0')) else pg_current_wal_flush_lsn() end::text, "
    "coalesce(pg_last_wal_receive_lsn()::text,''), coalesce(pg_last_wal_replay_lsn()::text,''), "
    "(select timeline_id from pg_control_checkpoint())::text, "
    "(select min_recovery_end_timeline from pg_control_recovery())::text, "
    "(select system_identifier from pg_control_system())::text, "
    "case when v.rec then '' else substr(pg_walfile_name(pg_current_wal_flush_lsn()),1,8) end, "
    "coalesce(r.status,''), coalesce(r.received_tli,0)::text, "
    "coalesce(r.last_msg_receipt_time::text,''), "
    "case when v.rec then pg_is_wal_replay_paused() else false end::text, "
    /* pg_file_settings reads the files: only where something waits for a restart. */
    "case when exists(select 1 from pg_settings where pending_restart) then case when exists("
    "select 1 from pg_settings s where s.pending_restart and s.name in ('max_connections',"
    "'max_worker_processes','max_wal_senders','max_prepared_transactions',"
    "'max_locks_per_transaction') and s.setting::bigint > (select max(case when n ~ '^[0-9]{1,9}$' "
    "then n::bigint else s.setting::bigint end) from (select coalesce((select f.setting from "
    "pg_file_settings f where f.name = s.name order by f.seqno desc limit 1), s.boot_val)) w(n))) "
    "then 'decrease' else 'true' end else 'false' end, "
    "coalesce(current_setting('cnpg.config_sha256',true),''), "
    "current_setting('synchronous_standby_names'), "
    "case when v.rec and r.status is null then (select max(substr(name,1,8)) from pg_ls_waldir() "
    "where name ~ '^[0-9A-F]{24}$') else '' end, "
    "(current_setting('primary_conninfo')='')::text, "
    /* pg_stat_wal_receiver hides one that connects; and only a startup process that has read all
     * there is waits for more. */
    "exists(select 1 from pg_stat_activity where backend_type='walreceiver')::text, "
    "exists(select 1 from pg_stat_activity where backend_type='startup' and wait_event in "
    "('RecoveryRetrieveRetryInterval','RecoveryWalStream'))::text, "
    "coalesce(r.latest_end_lsn,'0/0')::text "
    "from (select pg_is_in_recovery() as rec) v left join pg_stat_wal_receiver r on true";

struct asking {
    struct mh_pg_call call;
    struct mh_arena arena;
    struct mh_agent *g;
};

static const char *
cell(const struct mh_pg_call *c, int col)
{
    const char *s = c->values[col];
    return s ? s : "";
}

static bool
truth(const struct mh_pg_call *c, int col)
{
    return strcmp(cell(c, col), "true") == 0;
}

static uint32_t
number(const char *s, const char *fmt)
{
    unsigned v = 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)sscanf(s, fmt, &v);
#pragma GCC diagnostic pop
    return v;
}

static uint32_t
timeline_of(const struct mh_pg_call *c, bool in_recovery)
{
    if (!in_recovery)
        return number(cell(c, C_WAL_TLI), "%8X");
    uint32_t best = number(cell(c, C_CONTROL_TLI), "%u");
    const uint32_t others[] = { number(cell(c, C_MIN_TLI), "%u"),
                                number(cell(c, C_RECEIVED_TLI), "%u"),
                                number(cell(c, C_SEGMENT_TLI), "%8X") };
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        best = others[i] > best ? others[i] : best;
    return best;
}

/* pg_wal/0000000N.history: "parent<TAB>end<TAB>why" a line. */
static void
read_history(struct mh_agent *g)
{
    struct mh_pgview *p = &g->pg;
    struct mh_arena a;
    char path[MH_PATH];
    char *text = NULL;
    size_t len = 0;
    if (p->history_of == p->timeline)
        return;
    mh_arena_init(&a, 256 << 10);
    (void)snprintf(path, sizeof(path), "%s/pg_wal/%08X.history", g->id.pgdata, p->timeline);
    if (p->timeline == 1 ||
        g->w.fs.read(g->w.fs.self, &a, path, 64 << 10, &text, &len, NULL) == MH_OK) {
        p->nhistory = 0;
        for (char *line = text; line && *line && p->nhistory < MH_HA_HISTORY_MAX;) {
            unsigned tli;
            unsigned hi;
            unsigned lo;
            if (sscanf(line, "%u %X/%X", &tli, &hi, &lo) == 3)
                p->history[p->nhistory++] =
                    (struct mh_ha_history){ .timeline = tli, .end = (uint64_t)hi << 32 | lo };
            line = strchr(line, '\n');
            line += line != NULL;
        }
        p->history_of = p->timeline;
    }
    mh_arena_release(&a);
}

/* The same session says what waits for a restart, so that this is the word on that configuration. */
static bool
note_config(struct mh_agent *g)
{
    if (strcmp(g->pg.config_hash, g->conf_hash) != 0 || strcmp(g->conf_read, g->conf_of) == 0)
        return false;
    mh_str_copy(g->conf_read, sizeof(g->conf_read), g->conf_of);
    return true;
}

static bool
note(struct mh_agent *g, const struct mh_pg_call *c)
{
    struct mh_pgview *p = &g->pg;
    struct mh_pgview before = *p;
    int64_t now = mh_agent_now(g);
    p->in_recovery = truth(c, C_RECOVERY);
    (void)mh_lsn_parse(cell(c, C_FLUSH), &p->flush_lsn);
    (void)mh_lsn_parse(cell(c, C_RECEIVE), &p->receive_lsn);
    (void)mh_lsn_parse(cell(c, C_REPLAY), &p->replay_lsn);
    (void)mh_lsn_parse(cell(c, C_UPSTREAM), &p->upstream_lsn);
    if (!p->in_recovery)
        p->current_lsn = p->flush_lsn;
    p->control_timeline = number(cell(c, C_CONTROL_TLI), "%u");
    p->timeline = timeline_of(c, p->in_recovery);
    p->receiving = strcmp(cell(c, C_STATUS), "streaming") == 0;
    p->has_receiver = *cell(c, C_STATUS) != '\0' || truth(c, C_RECEIVER);
    p->follows_nobody = truth(c, C_ALONE);
    bool still = !p->has_receiver && p->follows_nobody && truth(c, C_AT_END);
    p->settled = still ? p->settled + 1 : 0;
    p->replay_paused = truth(c, C_PAUSED);
    p->pending_restart = strcmp(cell(c, C_PENDING), "false") != 0;
    p->pending_decrease = strcmp(cell(c, C_PENDING), "decrease") == 0;
    mh_str_copy(p->system_id, sizeof(p->system_id), cell(c, C_SYSTEM));
    mh_str_copy(p->config_hash, sizeof(p->config_hash), cell(c, C_HASH));
    mh_str_copy(p->sync_names, sizeof(p->sync_names), cell(c, C_SYNC));
    if (strcmp(p->receipt, cell(c, C_RECEIPT)) != 0) {
        mh_str_copy(p->receipt, sizeof(p->receipt), cell(c, C_RECEIPT));
        p->receipt_ns = now;
    }
    read_history(g);
    p->valid = true;
    p->at_ns = now;
    return before.valid != p->valid || before.in_recovery != p->in_recovery ||
           before.receiving != p->receiving || before.has_receiver != p->has_receiver ||
           before.timeline != p->timeline || before.replay_paused != p->replay_paused ||
           before.pending_restart != p->pending_restart ||
           before.pending_decrease != p->pending_decrease ||
           strcmp(before.config_hash, p->config_hash) != 0;
}

static void
on_answer(struct mh_pg_call *c)
{
    struct asking *a = c->arg;
    struct mh_agent *g = a->g;
    g->monitoring = false;
    bool running = g->pm.state == MH_PG_STARTING || g->pm.state == MH_PG_UP;
    if (running && c->err.code == MH_OK && c->rows == 1 && c->cols == C_COUNT) {
        bool changed = note(g, c);
        changed = note_config(g) || changed;
        if (g->pm.state == MH_PG_STARTING) {
            g->pm.state = MH_PG_UP;
            g->failure[0] = '\0';
            mh_info("monitor", "PostgreSQL accepts connections", "as",
                    g->pg.in_recovery ? "standby" : "primary");
            changed = true;
        }
        if (!g->pg.in_recovery)
            g->pm.as_primary = true;
        if (changed)
            mh_status_changed(g);
    } else if (running && g->pm.state == MH_PG_UP && c->err.code != MH_OK) {
        mh_log_err(MH_LOG_DEBUG, "monitor", "PostgreSQL did not answer", &c->err);
        if (mh_agent_now(g) - g->pg.at_ns > 5 * MH_NS_PER_S && g->pg.valid) {
            g->pg.valid = false;
            mh_status_changed(g);
        }
    }
    mh_arena_release(&a->arena);
    mh_free(a);
    mh_agent_wake(g);
}

void
mh_monitor_tick(struct mh_agent *g)
{
    if (g->monitoring || (g->pm.state != MH_PG_STARTING && g->pm.state != MH_PG_UP))
        return;
    struct asking *a = mh_calloc(1, sizeof(*a));
    if (!a)
        return;
    mh_arena_init(&a->arena, 1 << 20);
    a->g = g;
    a->call = (struct mh_pg_call){ .conninfo = mh_local_conninfo(g),
                                   .sql = question,
                                   .timeout_ms = 3000,
                                   .arena = &a->arena,
                                   .done = on_answer,
                                   .arg = a };
    g->monitoring = true;
    g->w.pg.start(g->w.pg.self, &a->call);
}

const char *
mh_slow_conninfo(const struct mh_agent *g)
{
    static char text[MH_PATH + 200];
    if (!text[0])
        (void)snprintf(text, sizeof(text),
                       "host=%s port=5432 user=postgres dbname=postgres "
                       "application_name=moonherd-slow options='-c synchronous_commit=local'",
                       g->id.run_dir);
    return text;
}

/* The manager's own commits wait for nobody: the gate is what protects them. */
const char *
mh_local_conninfo(const struct mh_agent *g)
{
    static char text[MH_PATH + 200];
    if (!text[0])
        (void)snprintf(text, sizeof(text),
                       "host=%s port=5432 user=postgres dbname=postgres application_name=moonherd "
                       "options='-c synchronous_commit=local -c statement_timeout=0'",
                       g->id.run_dir);
    return text;
}
