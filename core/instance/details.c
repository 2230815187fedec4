/* details.c - what GET /pg/status says beyond what decisions need: replication with its lags, slots, copies
 * under way, the archiver. PostgreSQL is asked when somebody asks, in a session of its own, once for all
 * who wait; who comes when too many wait, or when PostgreSQL does not answer in time, gets the rest. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "instance/agent.h"
#include "instance/status.h"
#include "net/http_server.h"

#define TIMEOUT_MS 2000

struct question {
    struct mh_pg_call call;
    struct mh_arena arena;
    struct mh_agent *g;
    const char *params[1];
};

/* Names and types are those that tools of the contract decode: numbers as texts but where said. */
#define REPLICATION                                                                                \
    "'replicationInfo', (select coalesce(json_agg(json_build_object("                              \
    "'applicationName', application_name, 'state', coalesce(state, ''), "                          \
    "'receivedLsn', coalesce(sent_lsn::text, ''), 'writeLsn', coalesce(write_lsn::text, ''), "     \
    "'flushLsn', coalesce(flush_lsn::text, ''), 'replayLsn', coalesce(replay_lsn::text, ''), "     \
    "'writeLag', coalesce(write_lag, '0')::text, 'flushLag', coalesce(flush_lag, '0')::text, "     \
    "'replayLag', coalesce(replay_lag, '0')::text, 'syncState', coalesce(sync_state, ''), "        \
    "'syncPriority', coalesce(sync_priority, 0)::text) order by application_name), '[]') "         \
    "from pg_stat_replication where application_name ~ $1 and usename = 'streaming_replica')"
#define SLOTS                                                                                      \
    "'replicationSlotsInfo', (select coalesce(json_agg(json_build_object("                         \
    "'slotName', slot_name, 'plugin', coalesce(plugin, ''), 'slotType', slot_type, "               \
    "'datoid', coalesce(datoid::text, ''), 'database', coalesce(database, ''), "                   \
    "'xmin', coalesce(xmin::text, ''), 'catalogXmin', coalesce(catalog_xmin::text, ''), "          \
    "'restartLsn', coalesce(restart_lsn::text, ''), 'walStatus', coalesce(wal_status, ''), "       \
    "'safeWalSize', safe_wal_size, 'active', active) order by slot_name), '[]') "                  \
    "from pg_replication_slots)"
#define COPIES                                                                                     \
    "'pgStatBasebackupsInfo', (select coalesce(json_agg(json_build_object("                        \
    "'usename', r.usename, 'application_name', r.application_name, "                               \
    "'backend_start', r.backend_start::text, 'phase', b.phase, "                                   \
    "'backup_total', coalesce(b.backup_total, 0), 'backup_streamed', b.backup_streamed, "          \
    "'backup_total_pretty', pg_size_pretty(coalesce(b.backup_total, 0)), "                         \
    "'backup_streamed_pretty', pg_size_pretty(b.backup_streamed), "                                \
    "'tablespaces_total', b.tablespaces_total, "                                                   \
    "'tablespaces_streamed', b.tablespaces_streamed) order by r.application_name), '[]') "         \
    "from pg_stat_progress_basebackup b join pg_stat_replication r using (pid) "                   \
    "where r.application_name ~ '-join$')"
#define WHEN(column)                                                                               \
    "coalesce(to_char(" column " at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), '')"
#define ARCHIVER                                                                                   \
    "'isArchivingWAL', coalesce(last_archived_time, '-infinity') > "                               \
    "coalesce(last_failed_time, '-infinity'), "                                                    \
    "'lastArchivedWAL', coalesce(last_archived_wal, ''), "                                         \
    "'lastArchivedWALTime', " WHEN(                                                                \
        "last_archived_time") ", "                                                                 \
                              "'lastFailedWAL', coalesce(last_failed_wal, ''), "                   \
                              "'lastFailedWALTime', " WHEN("last_failed_time")
#define FILES                                                                                      \
    "'currentWAL', case when pg_is_in_recovery() then '' else "                                    \
    "pg_walfile_name(pg_current_wal_lsn()) end, "                                                  \
    "'readyWalFiles', (select count(*) from pg_ls_archive_statusdir() where name ~ '\\.ready$')"

static const char details_sql[] = "select json_build_object(" REPLICATION ", " SLOTS ", " COPIES
                                  ", " ARCHIVER ", " FILES ")::text from pg_stat_archiver";

static const char *
conninfo_of(const struct mh_agent *g)
{
    static char text[MH_PATH + 200];
    if (!text[0])
        (void)snprintf(text, sizeof(text),
                       "host=%s port=5432 user=postgres dbname=postgres "
                       "application_name=moonherd-status",
                       g->id.run_dir);
    return text;
}

static void
reply(struct mh_agent *g, struct mh_request *req, yyjson_val *details)
{
    char *text = mh_status_text(g, req->arena, details);
    if (text)
        mh_reply(req, 200, "application/json", text, strlen(text));
    else
        mh_reply_text(req, 500, "no memory for the status\n");
}

static void
on_details(struct mh_pg_call *c)
{
    struct question *q = c->arg;
    struct mh_agent *g = q->g;
    struct mh_details *d = &g->details;
    yyjson_val *details = NULL;
    const char *text = c->err.code == MH_OK && c->rows == 1 && c->cols == 1 ? c->values[0] : NULL;
    if (!text || mh_json_parse(&q->arena, text, strlen(text), &details, &c->err))
        mh_log_err(MH_LOG_WARNING, "status", "PostgreSQL did not tell the details", &c->err);
    g->w.pg.disconnect(g->w.pg.self, c->conninfo);
    d->asking = false;
    int n = d->nwaiting;
    d->nwaiting = 0;
    for (int i = 0; i < n; i++)
        reply(g, d->waiting[i], details);
    mh_arena_release(&q->arena);
    mh_free(q);
}

static bool
ask(struct mh_agent *g)
{
    struct question *q = mh_calloc(1, sizeof(*q));
    if (!q)
        return false;
    mh_arena_init(&q->arena, 4u << 20);
    q->g = g;
    q->params[0] = mh_arena_printf(&q->arena, "^%s-[0-9]+$", g->id.cluster);
    if (!q->params[0]) {
        mh_arena_release(&q->arena);
        mh_free(q);
        return false;
    }
    q->call = (struct mh_pg_call){ .conninfo = conninfo_of(g),
                                   .sql = details_sql,
                                   .params = q->params,
                                   .nparams = 1,
                                   .timeout_ms = TIMEOUT_MS,
                                   .arena = &q->arena,
                                   .done = on_details,
                                   .arg = q };
    g->details.asking = true;
    g->w.pg.start(g->w.pg.self, &q->call);
    return true;
}

void
mh_details_serve(struct mh_agent *g, struct mh_request *req)
{
    struct mh_details *d = &g->details;
    if (!mh_agent_pg_up(g) || d->nwaiting == MH_DETAILS_WAITING || (!d->asking && !ask(g)))
        reply(g, req, NULL);
    else
        d->waiting[d->nwaiting++] = req;
}
