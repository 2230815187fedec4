/* postmaster.c - starts, watches, reloads and stops PostgreSQL.
 *
 * The manager outlives PostgreSQL (rule 6): an unexpected end is answered by a restart in place, or,
 * after three within a minute, by asking for a hand-over. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "instance/agent.h"
#include "instance/paths.h"
#include "instance/pglog.h"

#define CRASH_WINDOW_NS (60 * MH_NS_PER_S)
#define SWEEP_NS (5 * MH_NS_PER_MS)
#define RELOAD_NS (20 * MH_NS_PER_MS)

static void
on_line(struct mh_child *c, int fd, const char *line, size_t len)
{
    (void)c;
    char text[4096];
    (void)snprintf(text, sizeof(text), "%.*s", (int)(len < 4000 ? len : 4000), line);
    mh_info("postgres", "record", "pipe", fd == 1 ? "stdout" : "stderr", "source", text);
}

/* pg_controldata without a child: state and last checkpoint out of global/pg_control would depend on
 * the version, so the postmaster's own word counts: a fast stop that ended with code 0 wrote the
 * shutdown checkpoint. Where it lies is asked from pg_controldata by control.c. */
static void
note_crash(struct mh_agent *g)
{
    struct mh_postmaster *p = &g->pm;
    int64_t now = mh_agent_now(g);
    p->crashes++;
    p->crash_ns[2] = p->crash_ns[1];
    p->crash_ns[1] = p->crash_ns[0];
    p->crash_ns[0] = now;
    bool loop = p->crashes >= 3 && now - p->crash_ns[2] < CRASH_WINDOW_NS;
    if (loop && g->primary.gate != MH_GATE_NONE && mh_agent_instances(g) > 1 && !p->hand_over) {
        mh_agent_give_up(g);
        mh_error("postmaster", "PostgreSQL ended three times within a minute: hand-over wanted");
    }
    p->retry_ns = now + (loop ? 5 * MH_NS_PER_S : 0);
}

/* The postmaster is gone; PostgreSQL has ended when none of its processes lives: an orphaned backend
 * could still acknowledge. */
static void
ended(void *arg)
{
    struct mh_agent *g = arg;
    struct mh_postmaster *p = &g->pm;
    char code[16];
    p->timer = NULL;
    if (!mh_postmaster_sweep(g)) {
        p->timer = g->w.clock.after(g->w.clock.self, SWEEP_NS, ended, g);
        if (p->timer)
            return;
    }
    (void)snprintf(code, sizeof(code), "%d", p->exit_code);
    p->sweeping = false;
    p->clean = p->wanted_stop && p->exit_code == 0;
    p->state = MH_PG_DOWN;
    g->pg.valid = false;
    g->pg.receiving = false;
    g->pg.settled = 0;
    g->standby.fenced = false;
    g->primary.promoting = false;
    g->monitoring = false;
    if (p->wanted_stop) {
        mh_info("postmaster", "PostgreSQL stopped", "=exit_code", code);
    } else {
        mh_warn("postmaster", "PostgreSQL ended by itself", "=exit_code", code);
        note_crash(g);
    }
    mh_primary_reset(g);
    mh_paths_look(g);
    if (p->clean)
        mh_control_read(g);
    mh_status_changed(g);
    mh_agent_wake(g);
}

static void
on_exit_(struct mh_child *c)
{
    struct mh_agent *g = c->arg;
    struct mh_postmaster *p = &g->pm;
    g->w.clock.cancel(g->w.clock.self, p->timer);
    p->timer = NULL;
    p->exit_code = c->exit_code;
    p->state = MH_PG_STOPPING;
    p->sweeping = true;
    g->w.pg.disconnect(g->w.pg.self, NULL);
    ended(g);
}

static void
remove_leftovers(struct mh_agent *g)
{
    char path[MH_PATH];
    (void)snprintf(path, sizeof(path), "%s/postmaster.pid", g->id.pgdata);
    (void)g->w.fs.remove(g->w.fs.self, path, NULL);
    (void)snprintf(path, sizeof(path), "%s/.s.PGSQL.5432.lock", g->id.run_dir);
    (void)g->w.fs.remove(g->w.fs.self, path, NULL);
    (void)snprintf(path, sizeof(path), "%s/.s.PGSQL.5432", g->id.run_dir);
    (void)g->w.fs.remove(g->w.fs.self, path, NULL);
}

void
mh_postmaster_start(struct mh_agent *g, bool as_primary)
{
    struct mh_postmaster *p = &g->pm;
    struct mh_err err;
    static const char *argv[4];
    int64_t now = mh_agent_now(g);
    if (p->state != MH_PG_DOWN || now < p->retry_ns || (!as_primary && !mh_limits_ready(g)))
        return;
    if (!mh_postmaster_sweep(g)) {
        p->retry_ns = now + 20 * MH_NS_PER_MS;
        return;
    }
    if (p->disk_full || !mh_space_for_wal(g))
        return;
    remove_leftovers(g);
    mh_pglog_restarted(g->pglog);
    argv[0] = mh_paths_bin(g, "postgres");
    argv[1] = "-D";
    argv[2] = g->id.pgdata;
    argv[3] = NULL;
    p->child = (struct mh_child){
        .argv = argv, .name = "postgres", .on_line = on_line, .on_exit = on_exit_, .arg = g
    };
    p->wanted_stop = false;
    p->quitting = false;
    p->clean = false;
    p->as_primary = as_primary;
    p->started_ns = now;
    p->started_at = g->w.clock.wall_us(g->w.clock.self) / 1000000;
    if (g->w.proc.start(g->w.proc.self, &p->child, &err)) {
        mh_log_err(MH_LOG_ERROR, "postmaster", "PostgreSQL cannot be started", &err);
        mh_agent_fail(g, err.msg);
        p->retry_ns = now + 2 * MH_NS_PER_S;
        return;
    }
    p->state = MH_PG_STARTING;
    g->pg.valid = false;
    g->has_data = true;
    mh_info("postmaster", "PostgreSQL starts", "as", as_primary ? "primary" : "standby");
    mh_status_changed(g);
}

/* Second half of a stop that did not end in time. */
static void
kill_now(void *arg)
{
    struct mh_agent *g = arg;
    g->pm.timer = NULL;
    mh_warn("postmaster", "PostgreSQL did not stop in time: killed");
    g->w.proc.kill(g->w.proc.self, &g->pm.child, SIGKILL);
    (void)mh_postmaster_sweep(g);
}

static void
quit_now(void *arg)
{
    struct mh_agent *g = arg;
    g->pm.timer = NULL;
    mh_warn("postmaster", "fast shutdown did not end in time: immediate shutdown");
    mh_postmaster_stop(g, MH_STOP_IMMEDIATE, 0);
}

void
mh_postmaster_stop(struct mh_agent *g, enum mh_pg_stop how, int64_t timeout_ns)
{
    struct mh_postmaster *p = &g->pm;
    if (p->state == MH_PG_DOWN || p->sweeping)
        return;
    if (p->state == MH_PG_STOPPING && (how == MH_STOP_FAST || p->quitting))
        return;
    g->w.clock.cancel(g->w.clock.self, p->timer);
    p->quitting = how == MH_STOP_IMMEDIATE;
    p->wanted_stop = true;
    p->state = MH_PG_STOPPING;
    g->w.proc.kill(g->w.proc.self, &p->child, how == MH_STOP_FAST ? SIGINT : SIGQUIT);
    if (how == MH_STOP_FAST)
        p->timer = g->w.clock.after(g->w.clock.self, timeout_ns, quit_now, g);
    else /* rule 5: SIGQUIT, then SIGKILL to every process */
        p->timer = g->w.clock.after(g->w.clock.self, 500 * MH_NS_PER_MS, kill_now, g);
    mh_info("postmaster", "PostgreSQL is stopped", "how",
            how == MH_STOP_FAST ? "fast" : "immediate");
    mh_status_changed(g);
}

static void
reload_later(void *arg)
{
    struct mh_agent *g = arg;
    g->pm.reload_timer = NULL;
    mh_postmaster_reload(g);
}

/* A SIGHUP before the postmaster has its handlers would end it; it writes its file after that. */
static bool
listens(struct mh_agent *g)
{
    char path[MH_PATH];
    (void)snprintf(path, sizeof(path), "%s/postmaster.pid", g->id.pgdata);
    return g->w.fs.exists(g->w.fs.self, path);
}

void
mh_postmaster_reload(struct mh_agent *g)
{
    struct mh_postmaster *p = &g->pm;
    if (p->state == MH_PG_UP || (p->state == MH_PG_STARTING && listens(g)))
        g->w.proc.kill(g->w.proc.self, &p->child, SIGHUP);
    else if (p->state == MH_PG_STARTING && !p->reload_timer)
        p->reload_timer = g->w.clock.after(g->w.clock.self, RELOAD_NS, reload_later, g);
}

bool
mh_postmaster_sweep(struct mh_agent *g)
{
    (void)g;
    return mh_sweep() == 0;
}
