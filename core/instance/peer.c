/* peer.c - questions to other instance managers, over TLS with the replication certificate. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "instance/standby.h"
#include "net/http_client.h"

#define ASK_NS (300 * MH_NS_PER_MS)
#define POLL_NS (1 * MH_NS_PER_S)
#define PORT 8000

static void
on_done(struct mh_http_call *call)
{
    struct mh_question *q = call->arg;
    yyjson_val *reply = NULL;
    if (call->err.code == MH_OK && call->status == 200)
        (void)mh_json_parse(&q->arena, call->body_text, call->body_text_len, &reply, NULL);
    q->answered(q, reply);
    mh_agent_wake(q->g);
    mh_arena_release(&q->arena);
    mh_free(q);
}

bool
mh_peer_question(struct mh_agent *g, const char *address, const char *path, const char *instance,
                 int timeout_ms, mh_answered answered)
{
    struct mh_question *q = mh_calloc(1, sizeof(*q));
    if (!q)
        return false;
    mh_arena_init(&q->arena, 1 << 20);
    q->g = g;
    q->answered = answered;
    q->began_ns = mh_agent_now(g);
    mh_str_copy(q->instance, sizeof(q->instance), instance);
    q->tls = (struct mh_http_tls){ .ca_pem = mh_arena_strdup(&q->arena, g->know.server_ca),
                                   .cert_pem = mh_arena_strdup(&q->arena, g->know.repl_cert),
                                   .key_pem = mh_arena_strdup(&q->arena, g->know.repl_key),
                                   .any_name = true };
    q->call = (struct mh_http_call){ .method = "GET",
                                     .tls = &q->tls,
                                     .lane = MH_HTTP_PEERS,
                                     .connect_timeout_ms = timeout_ms,
                                     .timeout_ms = timeout_ms,
                                     .body_max = 64 << 10,
                                     .arena = &q->arena,
                                     .done = on_done,
                                     .arg = q };
    q->call.url = mh_arena_printf(&q->arena, "https://%s:%d/moonherd/v1/%s", address, PORT, path);
    if (!q->call.url || !q->tls.ca_pem || !q->tls.cert_pem || !q->tls.key_pem) {
        mh_arena_release(&q->arena);
        mh_free(q);
        return false;
    }
    g->ask(g->http, &q->call);
    return true;
}

static bool
ask(struct mh_agent *g, const char *address, const char *instance, int timeout_ms,
    mh_answered answered)
{
    char path[200];
    (void)snprintf(path, sizeof(path), "peer?from=%s&term=%llu", g->id.name,
                   (unsigned long long)g->own.term);
    return mh_peer_question(g, address, path, instance, timeout_ms, answered);
}

static void
on_primary(struct mh_question *q, yyjson_val *reply)
{
    struct mh_standby *s = &q->g->standby;
    s->asking = false;
    if (!mh_str_starts(q->call.url + strlen("https://"), s->peer.of) ||
        q->call.url[strlen("https://") + strlen(s->peer.of)] != ':')
        return; /* the answer of an earlier holder */
    s->peer.valid = reply != NULL;
    if (!reply)
        return;
    s->peer.timeline = (uint32_t)mh_json_int(reply, 0, "timeline", NULL);
    s->peer.control_timeline = (uint32_t)mh_json_int(reply, 0, "controlTimeline", NULL);
    s->peer.serving = mh_json_bool(reply, false, "serving", NULL);
    s->peer.at_ns = mh_agent_now(q->g);
    s->peer.made = (uint64_t)mh_json_int(reply, 0, "timelineTerm", NULL);
    s->peer.nhistory = mh_ha_history_read(mh_json_get(reply, "history", NULL), s->peer.history);
    mh_ha_makers_read(mh_json_get(reply, "timelines", NULL), &s->peer.makers);
}

struct mh_ha_line
mh_peer_line(const struct mh_peer_info *p)
{
    return (struct mh_ha_line){
        .timeline = p->timeline, .made = p->made, .history = p->history, .nhistory = p->nhistory
    };
}

void
mh_peer_ask(struct mh_agent *g, const char *address)
{
    struct mh_standby *s = &g->standby;
    int64_t now = mh_agent_now(g);
    if (!address || s->asking || now < s->next_ask_ns)
        return;
    if (strcmp(s->peer.of, address) != 0) {
        s->peer = (struct mh_peer_info){ 0 }; /* another holder */
        mh_str_copy(s->peer.of, sizeof(s->peer.of), address);
    }
    s->next_ask_ns = now + ASK_NS;
    s->asking = ask(g, address, "", 2000, on_primary);
}

/* --- rule 5 ---------------------------------------------------------------------------------- */

static struct mh_confirmed *
confirmed_of(struct mh_agent *g, const char *instance)
{
    for (int i = 0; i < g->primary.nconfirmed; i++) {
        if (strcmp(g->primary.confirmed[i].name, instance) == 0)
            return &g->primary.confirmed[i];
    }
    if (g->primary.nconfirmed == MH_HA_MEMBERS_MAX)
        return NULL;
    struct mh_confirmed *c = &g->primary.confirmed[g->primary.nconfirmed++];
    mh_str_copy(c->name, sizeof(c->name), instance);
    c->at_ns = 0;
    return c;
}

/* Counted from the start of the question: the answer can only be younger. */
static void
on_confirmation(struct mh_question *q, yyjson_val *reply)
{
    struct mh_agent *g = q->g;
    bool follows = mh_json_bool(reply, false, "confirms", NULL) &&
                   mh_json_int(reply, INT64_MAX, "promise", NULL) <= (int64_t)g->own.term;
    struct mh_confirmed *c = confirmed_of(g, q->instance);
    if (follows && c)
        c->at_ns = q->began_ns;
}

void
mh_peers_poll(struct mh_agent *g)
{
    int64_t now = mh_agent_now(g);
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    yyjson_val *peers = mh_json_get(g->know.cluster, "status", "instancesReportedState", NULL);
    if (now < g->primary.next_poll_ns)
        return;
    g->primary.next_poll_ns = now + POLL_NS;
    yyjson_obj_foreach(peers, i, max, key, item)
    {
        const char *ip = mh_json_str(item, "ip", NULL);
        if (ip && *ip && strcmp(yyjson_get_str(key), g->id.name) != 0)
            (void)ask(g, ip, yyjson_get_str(key), 900, on_confirmation);
    }
}

bool
mh_peers_confirmed(const struct mh_agent *g, int64_t since_ns)
{
    yyjson_val *names = mh_json_get(g->know.cluster, "status", "instanceNames", NULL);
    size_t i;
    size_t max;
    yyjson_val *item;
    int others = 0;
    yyjson_arr_foreach(names, i, max, item)
    {
        const char *name = yyjson_get_str(item);
        bool found = false;
        if (!name || strcmp(name, g->id.name) == 0)
            continue;
        others++;
        for (int c = 0; c < g->primary.nconfirmed; c++)
            found = found || (strcmp(g->primary.confirmed[c].name, name) == 0 &&
                              g->primary.confirmed[c].at_ns >= since_ns);
        if (!found)
            return false;
    }
    return others > 0;
}
