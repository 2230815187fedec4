/* rewind.c - an old primary becomes a standby again: pg_rewind, and a new copy where that fails.
 *
 * A marker file stands from before the first change until the end of the last (F17, I12): a PGDATA
 * that is half rewound is never started. */
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "instance/paths.h"
#include "instance/standby.h"

#define RETRY_NS (1 * MH_NS_PER_S)
#define REWINDS_MAX 3

static void
marker(const struct mh_agent *g, char out[MH_PATH])
{
    (void)snprintf(out, MH_PATH, "%s/rewinding", g->id.state_dir);
}

bool
mh_rewind_is_marked(struct mh_agent *g)
{
    char path[MH_PATH];
    marker(g, path);
    return g->w.fs.exists(g->w.fs.self, path);
}

bool
mh_rewind_mark(struct mh_agent *g)
{
    struct mh_err err;
    char path[MH_PATH];
    marker(g, path);
    if (g->w.fs.write(g->w.fs.self, path, "rewinding\n", 10, 0600, true, NULL, &err) == MH_OK)
        return true;
    mh_log_err(MH_LOG_ERROR, "pg_rewind", "the marker cannot be written", &err);
    mh_agent_fail(g, err.msg);
    return false;
}

static void
on_line(struct mh_child *c, int fd, const char *line, size_t len)
{
    char text[1024];
    (void)snprintf(text, sizeof(text), "%.*s", (int)(len < 1000 ? len : 1000), line);
    mh_log_at(MH_LOG_INFO, c->name, "record", "pipe", fd == 1 ? "stdout" : "stderr", "source", text,
              NULL);
}

/* --- the old folder -------------------------------------------------------------------------- */

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void
side_path(const struct mh_agent *g, const char *suffix, char out[MH_PATH])
{
    (void)snprintf(out, MH_PATH, "%s.%s", g->id.pgdata, suffix);
}

/* The copy is complete: it takes the place, the old folder goes last. */
static bool
swap_folders(struct mh_agent *g)
{
    struct mh_err err;
    char fresh[MH_PATH];
    char old[MH_PATH];
    side_path(g, "new", fresh);
    side_path(g, "old", old);
    if (g->has_data)
        (void)nftw(old, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* of an earlier try */
    if ((g->has_data && g->w.fs.rename(g->w.fs.self, g->id.pgdata, old, &err)) ||
        g->w.fs.rename(g->w.fs.self, fresh, g->id.pgdata, &err)) {
        mh_log_err(MH_LOG_ERROR, "pg_basebackup", "the new copy cannot take its place", &err);
        return false;
    }
    (void)nftw(old, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return true;
}

/* --- pg_rewind and pg_basebackup ------------------------------------------------------------- */

static void
finish(struct mh_agent *g, bool ok)
{
    struct mh_standby *s = &g->standby;
    struct mh_err err;
    bool changed = false;
    char path[MH_PATH];
    s->rewinding = false;
    s->retry_ns = mh_agent_now(g) + RETRY_NS;
    mh_paths_look(g);
    if (ok && (mh_conf_standby(g, g->order.address, &changed, &err) ||
               mh_conf_write(g, &changed, &err))) {
        mh_agent_fail(g, err.msg);
        ok = false;
    }
    if (ok && mh_term_adopt(g, &s->source, &err)) {
        mh_agent_fail(g, err.msg);
        ok = false;
    }
    if (ok) {
        marker(g, path);
        ok = g->w.fs.remove(g->w.fs.self, path, &err) == MH_OK;
    }
    if (ok)
        s->rewind_failures = 0;
    else
        s->rewind_failures++;
    mh_paths_look(g);
    mh_status_changed(g);
    mh_agent_wake(g);
}

static void
on_rewound(struct mh_child *c)
{
    struct mh_agent *g = c->arg;
    char code[12];
    (void)snprintf(code, sizeof(code), "%d", c->exit_code);
    mh_info("pg_rewind", "ended", "=exit_code", code);
    finish(g, c->exit_code == 0);
}

static void
on_copied(struct mh_child *c)
{
    struct mh_agent *g = c->arg;
    char code[12];
    (void)snprintf(code, sizeof(code), "%d", c->exit_code);
    mh_info("pg_basebackup", "ended", "=exit_code", code);
    finish(g, c->exit_code == 0 && swap_folders(g));
}

static void
start(struct mh_agent *g, const char *const *argv, const char *name,
      void (*done)(struct mh_child *))
{
    struct mh_err err;
    struct mh_standby *s = &g->standby;
    s->child = (struct mh_child){
        .argv = argv, .name = name, .on_line = on_line, .on_exit = done, .arg = g
    };
    s->rewinding = true;
    mh_status_changed(g);
    if (g->w.proc.start(g->w.proc.self, &s->child, &err)) {
        mh_log_err(MH_LOG_ERROR, "pg_rewind", "cannot be started", &err);
        s->rewinding = false;
        s->retry_ns = mh_agent_now(g) + 5 * RETRY_NS;
        s->rewind_failures++;
    }
}

static void
start_rewind(struct mh_agent *g, char *conninfo)
{
    static const char *argv[7];
    static char source[1200];
    static char target[MH_PATH + 20];
    (void)snprintf(source, sizeof(source), "--source-server=%s", conninfo);
    (void)snprintf(target, sizeof(target), "--target-pgdata=%s", g->id.pgdata);
    argv[0] = mh_paths_bin(g, "pg_rewind");
    argv[1] = "--progress";
    argv[2] = source;
    argv[3] = target;
    argv[4] = NULL;
    mh_info("pg_rewind", "begins", "source", g->order.follow);
    start(g, argv, "pg_rewind", on_rewound);
}

static void
start_copy(struct mh_agent *g, char *conninfo)
{
    static const char *argv[12];
    static char fresh[MH_PATH];
    static char source[1200];
    side_path(g, "new", fresh);
    (void)nftw(fresh, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    mh_str_copy(source, sizeof(source), conninfo);
    argv[0] = mh_paths_bin(g, "pg_basebackup");
    argv[1] = "-D";
    argv[2] = fresh;
    argv[3] = "-d";
    argv[4] = source;
    argv[5] = "-X";
    argv[6] = "stream";
    argv[7] = "-c";
    argv[8] = "fast";
    argv[9] = "-w";
    argv[10] = NULL;
    mh_warn("pg_basebackup", "a new copy is made", "source", g->order.follow);
    start(g, argv, "pg_basebackup", on_copied);
}

/* F14: a timeline of the same number that was begun by another promotion is no common history, and
 * pg_rewind would take it for one. */
static bool
is_foreign(struct mh_agent *g)
{
    const struct mh_peer_info *p = &g->standby.peer;
    uint32_t newest = mh_paths_newest_timeline(g);
    newest = newest > g->pg.timeline ? newest : g->pg.timeline; /* as it ran last */
    struct mh_ha_line line = mh_peer_line(p);
    return (g->data_primary && newest >= p->timeline) ||
           mh_ha_makers_conflict(&g->own.makers, newest, &line);
}

void
mh_rewind_tick(struct mh_agent *g)
{
    struct mh_standby *s = &g->standby;
    struct mh_arena a;
    int64_t now = mh_agent_now(g);
    if (s->rewinding || now < s->retry_ns || !g->order.address || !mh_postmaster_sweep(g))
        return;
    mh_peer_ask(g, g->order.address);
    /* Right after a promotion pg_control still names the old timeline, and pg_rewind would see
     * nothing to do. */
    if (!s->peer.valid || !s->peer.serving || strcmp(s->peer.of, g->order.address) != 0 ||
        now - s->peer.at_ns > 2 * MH_NS_PER_S || s->peer.control_timeline != s->peer.timeline)
        return;
    if (!mh_rewind_mark(g))
        return;
    mh_arena_init(&a, 65536);
    char *conninfo = mh_conf_conninfo(g, &a, g->order.address, g->id.name);
    /* A copy needs a folder of its own to write the WAL volume's into: only without one. */
    s->source = s->peer.makers;
    if (conninfo && s->rewind_failures < REWINDS_MAX && g->has_data && !is_foreign(g))
        start_rewind(g, conninfo);
    else if (conninfo)
        start_copy(g, conninfo);
    mh_arena_release(&a);
}
