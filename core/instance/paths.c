#include "instance/paths.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

/* The shutdown checkpoint's record is at least this long: header and CheckPoint. */
#define CHECKPOINT_RECORD_BYTES 106

#define BINS_MAX 16

const char *
mh_paths_bin(struct mh_agent *g, const char *name)
{
    static struct {
        char name[32];
        char path[MH_PATH];
    } found[BINS_MAX];
    (void)g;
    int i = 0;
    for (; i < BINS_MAX && found[i].name[0]; i++) {
        if (strcmp(found[i].name, name) == 0)
            return found[i].path;
    }
    const char *dirs = getenv("PATH");
    while (i < BINS_MAX && dirs && *dirs) {
        size_t n = strcspn(dirs, ":");
        (void)snprintf(found[i].path, MH_PATH, "%.*s/%s", (int)n, dirs, name);
        if (access(found[i].path, X_OK) == 0) {
            mh_str_copy(found[i].name, sizeof(found[i].name), name);
            return found[i].path;
        }
        dirs += n + (dirs[n] == ':');
    }
    return name;
}

static bool
holds(struct mh_agent *g, const char *name)
{
    char path[MH_PATH];
    (void)snprintf(path, sizeof(path), "%s/%s", g->id.pgdata, name);
    return g->w.fs.exists(g->w.fs.self, path);
}

void
mh_paths_look(struct mh_agent *g)
{
    g->has_data = holds(g, "PG_VERSION") && holds(g, "global/pg_control");
    g->data_primary = g->has_data && !holds(g, "standby.signal") && !holds(g, "recovery.signal");
    g->limits.known = false;
}

uint32_t
mh_paths_newest_timeline(struct mh_agent *g)
{
    char path[MH_PATH];
    uint32_t newest = 0;
    (void)snprintf(path, sizeof(path), "%s/pg_wal", g->id.pgdata);
    DIR *d = opendir(path);
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        unsigned tli = 0;
        if (strlen(e->d_name) == 24 && strspn(e->d_name, "0123456789ABCDEF") == 24 &&
            sscanf(e->d_name, "%8X", &tli) == 1 && tli > newest)
            newest = tli;
    }
    if (d)
        (void)closedir(d);
    return newest;
}

int
mh_paths_major(struct mh_agent *g)
{
    struct mh_arena a;
    char path[MH_PATH];
    char *text = NULL;
    size_t len = 0;
    int major = 0;
    mh_arena_init(&a, 4096);
    (void)snprintf(path, sizeof(path), "%s/PG_VERSION", g->id.pgdata);
    if (g->w.fs.read(g->w.fs.self, &a, path, 64, &text, &len, NULL) == MH_OK)
        (void)sscanf(text, "%d", &major);
    mh_arena_release(&a);
    return major;
}

/* --- pg_controldata -------------------------------------------------------------------------- */

struct control {
    struct mh_child child;
    struct mh_agent *g;
    const char *argv[4];
    char state[40];
    uint64_t checkpoint;
    bool of_stopped; /* it was begun after PostgreSQL had stopped */
    int64_t limits[MH_LIMITS];
    int nlimits;
};

static void
note_limit(struct control *k, const char *name, const char *value)
{
    int i = mh_params_limit_of(name);
    int64_t n;
    if (i >= 0 && mh_str_int(value, 0, INT32_MAX, &n)) {
        k->limits[i] = n;
        k->nlimits++;
    }
}

static void
on_line(struct mh_child *c, int fd, const char *line, size_t len)
{
    struct control *k = c->arg;
    char text[256];
    (void)fd;
    (void)snprintf(text, sizeof(text), "%.*s", (int)(len < 250 ? len : 250), line);
    char *value = strchr(text, ':');
    if (!value)
        return;
    *value++ = '\0';
    value += strspn(value, " ");
    if (strcmp(text, "Database cluster state") == 0)
        mh_str_copy(k->state, sizeof(k->state), value);
    else if (strcmp(text, "Latest checkpoint location") == 0)
        (void)mh_lsn_parse(value, &k->checkpoint);
    else
        note_limit(k, text, value);
}

static void
take_limits(struct mh_agent *g, const struct control *k)
{
    struct mh_limits *l = &g->limits;
    bool whole = k->nlimits == MH_LIMITS;
    bool changed = whole && memcmp(l->value, k->limits, sizeof(k->limits)) != 0;
    l->reading = false;
    l->confirmed = !changed;
    if (changed) {
        memcpy(l->value, k->limits, sizeof(k->limits));
        g->conf_dirty = true;
    }
    l->known = true; /* where it cannot be read, PostgreSQL says what is wrong */
}

static void
on_exit_(struct mh_child *c)
{
    struct control *k = c->arg;
    struct mh_agent *g = k->g;
    bool clean = strcmp(k->state, "shut down") == 0 && k->checkpoint > 0;
    if (g->pm.state == MH_PG_DOWN && k->of_stopped) {
        g->pm.clean = g->pm.clean && (clean || strcmp(k->state, "shut down in recovery") == 0);
        g->pm.shutdown_lsn = clean ? k->checkpoint + CHECKPOINT_RECORD_BYTES : 0;
    }
    mh_debug("pg_controldata", "data folder read", "state", k->state);
    take_limits(g, k);
    mh_free(k);
    mh_status_changed(g);
    mh_agent_wake(g);
}

void
mh_control_read(struct mh_agent *g)
{
    struct control *k = mh_calloc(1, sizeof(*k));
    struct mh_err err;
    g->pm.shutdown_lsn = 0;
    if (!k) {
        g->limits.reading = false;
        return;
    }
    g->limits.reading = true;
    g->limits.asked_ns = mh_agent_now(g);
    k->of_stopped = g->pm.state == MH_PG_DOWN;
    k->g = g;
    k->argv[0] = mh_paths_bin(g, "pg_controldata");
    k->argv[1] = "-D";
    k->argv[2] = g->id.pgdata;
    static const char *const env[] = { "LC_ALL=C", NULL };
    k->child = (struct mh_child){ .argv = k->argv,
                                  .env = env,
                                  .name = "pg_controldata",
                                  .on_line = on_line,
                                  .on_exit = on_exit_,
                                  .arg = k };
    if (g->w.proc.start(g->w.proc.self, &k->child, &err)) {
        mh_log_err(MH_LOG_ERROR, "pg_controldata", "cannot be started", &err);
        g->pm.clean = false;
        g->limits.reading = false;
        g->limits.known = true;
        mh_free(k);
    }
}
