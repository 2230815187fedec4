/* login.c - rule 4: before the gate opens, one login over TCP to this pod's own address with the
 * replication certificate. What clients and standbys need is there then: the address, TLS, the access
 * rules, and a server that has left recovery. It runs while the gate waits for standbys anyway. */
#include <stdio.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "instance/standby.h"

#define AGAIN_NS (200 * MH_NS_PER_MS)
#define LOG_NS (5 * MH_NS_PER_S)
/* A cluster of one is not kept closed by, say, an expired certificate that only standbys would need. */
#define ALONE_NS (30 * MH_NS_PER_S)

struct ask {
    struct mh_pg_call call;
    struct mh_arena arena;
    struct mh_agent *g;
    uint64_t of; /* which question this is */
};

static void
on_login(struct mh_pg_call *c)
{
    struct ask *k = c->arg;
    struct mh_agent *g = k->g;
    struct mh_login *l = &g->primary.login;
    int64_t now = mh_agent_now(g);
    bool recovers = c->rows == 1 && mh_str_eq(c->values[0], "true");
    if (l->asked == k->of) {
        l->asking = false;
        l->done = c->err.code == MH_OK && !recovers;
        l->next_ns = now + AGAIN_NS;
        if (!l->done && now >= l->log_ns) {
            l->log_ns = now + LOG_NS;
            mh_warn("gate", "it stays closed: no login over TCP at this pod's address", "address",
                    g->id.address, "error", recovers ? "still in recovery" : c->err.msg);
        }
    }
    g->w.pg.disconnect(g->w.pg.self, k->call.conninfo);
    mh_arena_release(&k->arena);
    mh_free(k);
    mh_agent_wake(g);
}

bool
mh_login_done(struct mh_agent *g)
{
    struct mh_login *l = &g->primary.login;
    int64_t now = mh_agent_now(g);
    if (l->done || l->asking || now < l->next_ns)
        return l->done;
    if (!l->since_ns)
        l->since_ns = now;
    if (mh_agent_instances(g) <= 1 && now - l->since_ns > ALONE_NS) {
        mh_error("gate", "a cluster of one is opened without a login over TCP");
        l->done = true;
        return true;
    }
    struct ask *k = mh_calloc(1, sizeof(*k));
    if (!k)
        return false;
    mh_arena_init(&k->arena, 65536);
    k->g = g;
    k->of = ++l->asked;
    k->call = (struct mh_pg_call){ .conninfo = mh_conf_conninfo(g, &k->arena, g->id.address,
                                                                "moonherd-gate"),
                                   .sql = "select pg_is_in_recovery()::text",
                                   .timeout_ms = 2000,
                                   .arena = &k->arena,
                                   .done = on_login,
                                   .arg = k };
    if (!k->call.conninfo) {
        mh_arena_release(&k->arena);
        mh_free(k);
        return false;
    }
    l->asking = true;
    g->w.pg.start(g->w.pg.self, &k->call);
    return false;
}

void
mh_login_forget(struct mh_agent *g)
{
    struct mh_login *l = &g->primary.login;
    *l = (struct mh_login){ .asked = l->asked + 1, .log_ns = l->log_ns };
}
