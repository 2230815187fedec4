#include "agent_helper.h"

#include <event2/event.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "harness/test.h"
#include "instance/paths.h"
#include "instance/pglog.h"
#include "instance/status.h"
#include "kube/event.h"
#include "net/crypto.h"
#include "net/http_client.h"

static struct event_base *base;
static struct ta *current; /* peers' questions carry no argument of ours */

/* --- PostgreSQL ------------------------------------------------------------------------------ */

static const char *
lsn(struct ta *t, uint64_t n)
{
    char *text = mh_arena_alloc(&t->tw->arena, MH_LSN_TEXT);
    mh_lsn_text(text, n);
    return text;
}

static const char *
number(struct ta *t, const char *fmt, unsigned n)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return mh_arena_printf(&t->tw->arena, fmt, n);
#pragma GCC diagnostic pop
}

/* The value of a setting in the file that the manager wrote. */
static const char *
setting(struct ta *t, const char *file, const char *name)
{
    char path[MH_PATH];
    (void)snprintf(path, sizeof(path), TA_DATA "/%s", file);
    const char *text = tw_file_text(t->tw, path);
    const char *at = text ? strstr(text, name) : NULL;
    const char *from = at ? strchr(at, '\'') : NULL;
    const char *line = at ? strchr(at, '\n') : NULL;
    if (!from || (line && from > line))
        return "";
    size_t n = (size_t)((line ? line : from + strlen(from)) - from) - 2;
    return mh_arena_strndup(&t->tw->arena, from + 1, n);
}

static void
answer_question(struct ta *t, struct tw_rows *rows)
{
    static const char *v[20];
    struct ta_pg *p = &t->pg;
    bool alone = !*setting(t, "override.conf", "primary_conninfo");
    bool receives = p->recovers && p->receiving && !alone;
    v[0] = p->recovers ? "true" : "false";
    v[1] = lsn(t, p->flush);
    v[2] = v[3] = p->recovers ? lsn(t, p->flush) : "";
    v[4] = number(t, "%u", p->control_timeline);
    v[5] = "0";
    v[6] = "7000000000000000001";
    v[7] = p->recovers ? "" : number(t, "%08X", p->timeline);
    v[8] = receives ? "streaming" : "";
    v[9] = receives ? number(t, "%u", p->timeline) : "0";
    v[10] = receives ? number(t, "%u", (unsigned)(t->tw->now_ns / MH_NS_PER_S)) : "";
    v[11] = v[12] = "false";
    v[13] = "";
    v[14] = setting(t, "custom.conf", "synchronous_standby_names");
    v[15] = p->recovers && !receives ? number(t, "%08X", p->timeline) : "";
    v[13] = p->config_hash;
    v[16] = alone ? "true" : "false";
    v[17] = receives ? "true" : "false";
    v[18] = "true";
    v[19] = receives ? lsn(t, p->flush + p->lag) : "0/0";
    rows->rows = 1;
    rows->cols = 20;
    rows->values = v;
}

static void
answer_replicas(struct ta *t, struct tw_rows *rows)
{
    static const char *v[4 * 8];
    struct ta_pg *p = &t->pg;
    for (int i = 0; i < p->nreplicas; i++) {
        const struct ta_replica *r = &p->replicas[i];
        const char *at = lsn(t, r->flush);
        const char *row[8] = { r->name, r->streaming ? "streaming" : "catchup", at, at, at, at,
                               "async", number(t, "%u", (unsigned)r->priority) };
        memcpy(v + (size_t)i * 8, row, sizeof(row));
    }
    rows->rows = p->nreplicas;
    rows->cols = 8;
    rows->values = v;
}

static bool
on_statement(struct tw *tw, void *arg, const struct mh_pg_call *call, struct tw_rows *rows)
{
    struct ta *t = arg;
    struct ta_pg *p = &t->pg;
    static const char *one[1];
    const struct tw_process *x = tw_process(tw, "postgres -D");
    if (!x || !x->running || p->refuses) {
        rows->code = MH_E_UNREACHABLE;
        rows->message = "no connection";
        return true;
    }
    if (t->also && t->also(t, call, rows))
        return true;
    if (strstr(call->sql, "select v.rec::text")) {
        answer_question(t, rows);
    } else if (strstr(call->sql, "from pg_stat_replication")) {
        answer_replicas(t, rows);
    } else if (strstr(call->sql, "pg_promote")) {
        p->recovers = false;
        p->timeline++;
        p->flush += 0x100;
        (void)tw->world.fs.remove(tw->world.fs.self, TA_DATA "/standby.signal", NULL);
    } else if (strstr(call->sql, "pg_logical_emit_message")) {
        p->flush += 0x50;
    } else if (strstr(call->sql, "pg_current_wal_flush_lsn()::text")) {
        one[0] = lsn(t, p->flush);
        rows->rows = rows->cols = 1;
        rows->values = one;
    } else if (strcmp(call->sql, "checkpoint") == 0) {
        p->control_timeline = p->timeline;
    }
    return true;
}

static bool
on_process(struct tw *tw, void *arg, const struct mh_child *child, struct tw_fate *fate)
{
    struct ta *t = arg;
    if (strcmp(child->name, "pg_controldata") == 0) {
        fate->ends = true;
        fate->out = t->control ? t->control : "";
    } else if (strcmp(child->name, "postgres") == 0)
        t->pg.recovers = tw->world.fs.exists(tw->world.fs.self, TA_DATA "/standby.signal");
    return true;
}

/* --- other instances ------------------------------------------------------------------------- */

static void
answer_peer(void *arg)
{
    struct mh_http_call *call = arg;
    struct ta *t = current;
    for (int i = 0; i < t->ncalls; i++) {
        if (t->calls[i] == call)
            t->calls[i] = t->calls[--t->ncalls];
    }
    call->err = (struct mh_err){ 0 };
    call->status = t->peer.json ? 200 : 0;
    if (t->peer.json) {
        call->body_text = mh_arena_strdup(call->arena, t->peer.json);
        call->body_text_len = strlen(t->peer.json);
    } else {
        (void)mh_fail(&call->err, MH_E_UNREACHABLE, "no answer");
    }
    call->done(call);
}

static void
ask_peer(struct mh_http *http, struct mh_http_call *call)
{
    struct ta *t = current;
    (void)http;
    t->peer.asked++;
    mh_str_copy(t->peer.url, sizeof(t->peer.url), call->url);
    if (t->ncalls < 16)
        t->calls[t->ncalls++] = call;
    (void)t->tw->world.clock.after(t->tw->world.clock.self, MH_NS_PER_MS, answer_peer, call);
}

/* --- objects and files ----------------------------------------------------------------------- */

static void
put_secret(struct ta *t, const char *name, const char *a, const char *b)
{
    char path[200];
    char json[300];
    const char *v = mh_base64_encode(&t->tw->arena, "text", 4);
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/" TA_NS "/secrets/%s", name);
    (void)snprintf(json, sizeof(json), "{\"data\":{\"%s\":\"%s\",\"%s\":\"%s\"}}", a, v, b, v);
    tw_put(t->tw, path, json);
}

static void
put_cluster(struct ta *t, int instances, const char *durability)
{
    struct mh_arena *a = &t->tw->arena;
    const char *sync = durability ? mh_arena_printf(a,
                                                    ",\"postgresql\":{\"synchronous\":{\"method\":"
                                                    "\"any\",\"number\":1,\"dataDurability\":"
                                                    "\"%s\"}}",
                                                    durability)
                                  : "";
    char *names = mh_arena_printf(a, "\"db-1\"%s%s", instances > 1 ? ",\"db-2\"" : "",
                                  instances > 2 ? ",\"db-3\"" : "");
    tw_put(t->tw, TA_CLUSTER,
           mh_arena_printf(a,
                           "{\"metadata\":{\"name\":\"db\",\"uid\":\"uid-db\"},\"spec\":{"
                           "\"instances\":%d%s},\"status\":{\"instanceNames\":[%s],"
                           "\"instancesReportedState\":{\"db-1\":{\"ip\":\"10.0.0.1\"},\"db-2\":{"
                           "\"ip\":\"10.0.0.2\"}}}}",
                           instances, sync, names));
}

void
ta_lease(struct ta *t, const char *holder, int term, const char *phase, const char *incarnation,
         const char *configs)
{
    struct mh_arena *a = &t->tw->arena;
    char *quoted = configs ? mh_arena_strdup(a, configs) : NULL;
    yyjson_mut_doc *d = mh_json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(d);
    yyjson_mut_val *meta = yyjson_mut_obj_add_obj(d, root, "metadata");
    yyjson_mut_val *notes = yyjson_mut_obj_add_obj(d, meta, "annotations");
    yyjson_mut_val *spec = yyjson_mut_obj_add_obj(d, root, "spec");
    (void)yyjson_mut_obj_add_str(d, meta, "name", "db");
    (void)yyjson_mut_obj_add_str(d, notes, "moonherd.io/phase", phase);
    (void)yyjson_mut_obj_add_str(d, notes, "moonherd.io/incarnation", incarnation);
    (void)yyjson_mut_obj_add_str(d, notes, "moonherd.io/address",
                                 mh_arena_printf(a, "10.0.0.%c", holder[strlen(holder) - 1]));
    if (quoted)
        (void)yyjson_mut_obj_add_str(d, notes, "moonherd.io/configs", quoted);
    (void)yyjson_mut_obj_add_str(d, spec, "holderIdentity", holder);
    (void)yyjson_mut_obj_add_int(d, spec, "leaseTransitions", term);
    tw_put(t->tw, TA_LEASE, mh_json_mut_text(a, root, NULL));
}

void
ta_data(struct ta *t, bool standby)
{
    tw_file(t->tw, TA_DATA "/PG_VERSION", "15\n");
    tw_file(t->tw, TA_DATA "/global/pg_control", "x");
    tw_file(t->tw, TA_DATA "/postgresql.conf", "");
    if (standby)
        tw_file(t->tw, TA_DATA "/standby.signal", "");
}

void
ta_term(struct ta *t, int promise, int term, const char *incarnation)
{
    tw_file(t->tw, "/data/moonherd/term",
            mh_arena_printf(&t->tw->arena,
                            "{\"promise\":%d,\"term\":%d,\"incarnation\":\"%s\",\"cluster\":"
                            "\"uid-db\"}\n",
                            promise, term, incarnation));
}

/* --- life ------------------------------------------------------------------------------------ */

static void
on_end(struct mh_agent *g)
{
    g->ready = false;
}

struct ta *
ta_new(const char *name, int instances, const char *durability)
{
    struct ta *t = calloc(1, sizeof(*t));
    struct mh_agent *g = calloc(1, sizeof(*g));
    struct mh_err err;
    if (!base)
        base = event_base_new();
    current = t;
    t->g = g;
    t->tw = tw_new(1);
    (void)snprintf(t->dir, sizeof(t->dir), "/tmp/mh-agent-XXXXXX");
    CHECK(mkdtemp(t->dir) != NULL);
    tw_store(t->tw);
    tw_pg_on(t->tw, on_statement, t);
    tw_proc_on(t->tw, on_process, t);
    t->pg = (struct ta_pg){ .timeline = 1, .control_timeline = 1, .flush = 0x3000000 };
    g->w = t->tw->world;
    g->api_urgent = t->tw->world.api;
    g->ask = ask_peer;
    g->base = base;
    g->end = on_end;
    g->id = (struct mh_ident){ .name = name,
                               .ns = TA_NS,
                               .cluster = "db",
                               .group = "postgresql.cnpg.io",
                               .pod_uid = "pod-uid",
                               .address = mh_arena_printf(&t->tw->arena, "10.0.0.%s", name + 3),
                               .pgdata = TA_DATA,
                               .state_dir = "/data/moonherd",
                               .run_dir = "/run/pg",
                               .cert_dir = "/run/certs",
                               .log_dir = t->dir };
    mh_arena_init(&g->primary.sync_arena, 65536);
    mh_arena_init(&g->primary.next_arena, 65536);
    g->pglog = mh_pglog_new(base, t->dir, &err);
    CHECK(g->pglog != NULL);
    CHECK(mh_status_init(g));
    put_secret(t, "db-server", "tls.crt", "tls.key");
    put_secret(t, "db-replication", "tls.crt", "tls.key");
    put_secret(t, "db-ca", "ca.crt", "ca.key");
    put_cluster(t, instances, durability);
    return t;
}

void
ta_start(struct ta *t)
{
    struct mh_err err;
    CHECK(mh_know_start(t->g));
    CHECK_INT(mh_term_load(t->g, &err), MH_OK);
    mh_agent_begin(t->g);
    tw_advance(t->tw, 50 * MH_NS_PER_MS);
}

void
ta_operated(struct ta *t)
{
    t->g->operator_ns = INT64_MAX / 2; /* it will be here for ever */
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

void
ta_end(struct ta *t)
{
    struct mh_agent *g = t->g;
    g->know.cluster = NULL;
    g->ready = false;
    g->w.clock.cancel(g->w.clock.self, g->tick_timer);
    g->w.clock.cancel(g->w.clock.self, g->pm.timer);
    g->w.api.unwatch(g->w.api.self, g->know.cluster_watch);
    g->w.api.unwatch(g->w.api.self, g->know.lease_watch);
    tw_advance(t->tw, 15 * MH_NS_PER_S); /* what is under way ends */
    char **const texts[] = { &g->know.server_cert, &g->know.server_key, &g->know.client_ca,
                             &g->know.server_ca,   &g->know.repl_cert,  &g->know.repl_key };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        mh_free(*texts[i]);
    mh_arena_release(&g->know.cluster_arena);
    mh_arena_release(&g->know.lease_arena);
    mh_arena_release(&g->primary.sync_arena);
    mh_arena_release(&g->primary.next_arena);
    mh_pglog_free(g->pglog);
    mh_deputy_release(g);
    mh_events_free(g->events);
    mh_free(g->ldap_password);
    mh_free(g->status);
    (void)nftw(t->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    tw_abandon(t->tw);
    tw_free(t->tw);
    free(g);
    free(t);
}

static yyjson_val *
parsed(struct ta *t, char *text)
{
    yyjson_val *v = NULL;
    CHECK(text != NULL);
    if (text)
        CHECK_INT(mh_json_parse(&t->tw->arena, text, strlen(text), &v, NULL), MH_OK);
    return v;
}

yyjson_val *
ta_status(struct ta *t)
{
    return mh_json_get(parsed(t, mh_status_line(t->g, &t->tw->arena)), "moonherd", NULL);
}

yyjson_val *
ta_answer(struct ta *t, const char *from, uint64_t term)
{
    return parsed(t, mh_peer_text(t->g, &t->tw->arena, from, term));
}

struct ta *
ta_elected(int instances, const char *durability)
{
    struct ta *t = ta_new("db-2", instances, durability);
    ta_data(t, true);
    ta_term(t, 2, 1, "vol-2");
    ta_lease(t, "db-2", 2, "promoting", "vol-2", durability ? TA_SET_OF_1 : "[]");
    ta_start(t);
    return t;
}
