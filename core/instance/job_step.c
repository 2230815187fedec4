/* Steps that the jobs share: requests with patience, children, room for new data. */
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "instance/job.h"
#include "net/crypto.h"

#define ARENA_MAX ((size_t)64 << 20)
#define TRIES_MAX 300

void
mh_job_init(struct mh_job *j, struct mh_world *w, const struct mh_job_ident *id, void *arg)
{
    *j = (struct mh_job){ .w = w, .id = id, .arg = arg };
    mh_arena_init(&j->arena, ARENA_MAX);
}

void
mh_job_release(struct mh_job *j)
{
    if (j->path)
        j->w->api.cancel(j->w->api.self, &j->call);
    j->path = NULL;
    mh_arena_release(&j->arena);
}

/* --- requests --------------------------------------------------------------------------------- */

static void send_get(void *job);

static void
on_reply(struct mh_api_call *call)
{
    struct mh_job *j = call->arg;
    j->path = NULL;
    if (call->err.code == MH_OK) {
        j->got(j->arg, call->reply);
        return;
    }
    bool passes = mh_class_of(call->err.code) == MH_RETRY || call->err.code == MH_E_NOTFOUND;
    j->err = call->err;
    if (!passes || ++j->tries >= TRIES_MAX) {
        j->got(j->arg, NULL);
        return;
    }
    if (j->tries == 1 || j->tries % 30 == 0)
        mh_log_err(MH_LOG_WARNING, "job", "waiting for the API server", &call->err, "path",
                   call->path);
    if (!j->w->clock.after(j->w->clock.self, 1000000000, send_get, j))
        j->got(j->arg, NULL);
}

static void
send_get(void *job)
{
    struct mh_job *j = job;
    j->path = j->call.path;
    j->w->api.start(j->w->api.self, &j->call);
}

void
mh_job_get(struct mh_job *j, const char *path, void (*got)(void *arg, yyjson_val *object))
{
    if (!path) {
        (void)mh_fail(&j->err, MH_E_NOMEM, "job: no memory");
        got(j->arg, NULL);
        return;
    }
    j->got = got;
    j->tries = 0;
    j->call = (struct mh_api_call){
        .method = "GET", .path = path, .arena = &j->arena, .done = on_reply, .arg = j
    };
    send_get(j);
}

void
mh_job_get_cluster(struct mh_job *j, void (*got)(void *arg, yyjson_val *object))
{
    mh_job_get(j,
               mh_arena_printf(&j->arena, "/apis/%s/v1/namespaces/%s/clusters/%s", j->id->group,
                               j->id->ns, j->id->cluster),
               got);
}

void
mh_job_get_secret(struct mh_job *j, const char *name, void (*got)(void *arg, yyjson_val *object))
{
    mh_job_get(j, mh_arena_printf(&j->arena, "/api/v1/namespaces/%s/secrets/%s", j->id->ns, name),
               got);
}

const char *
mh_job_secret_value(struct mh_job *j, yyjson_val *secret, const char *key)
{
    const char *text = mh_json_str(secret, "data", key, NULL);
    size_t len = 0;
    char *value = text ? mh_base64_decode(&j->arena, text, strlen(text), &len) : NULL;
    return value && strlen(value) == len ? value : NULL;
}

/* --- children --------------------------------------------------------------------------------- */

static void
on_exit_(struct mh_child *c)
{
    struct mh_job *j = c->arg;
    j->ended(j->arg, c->exit_code);
}

void
mh_job_log_line(struct mh_child *c, int fd, const char *line, size_t len)
{
    char text[4096];
    size_t n = len < sizeof(text) - 1 ? len : sizeof(text) - 1;
    memcpy(text, line, n);
    text[n] = '\0';
    if (text[strspn(text, " \t\r")])
        mh_log_at(MH_LOG_INFO, c->name, text, "pipe", fd == 1 ? "stdout" : "stderr", NULL);
}

bool
mh_job_exec(struct mh_job *j, void (*on_line)(struct mh_child *, int, const char *, size_t),
            void (*ended)(void *arg, int exit_code))
{
    const char *name = j->argv[0];
    j->argv[0] = mh_job_bin(&j->arena, j->id, name);
    if (!j->argv[0]) {
        (void)mh_fail(&j->err, MH_E_NOTFOUND, "%s: no such program in PATH", name);
        return false;
    }
    j->ended = ended;
    j->child = (struct mh_child){ .argv = j->argv,
                                  .name = name,
                                  .on_line = on_line ? on_line : mh_job_log_line,
                                  .on_exit = on_exit_,
                                  .arg = j };
    mh_info("job", "program started", "program", name);
    return j->w->proc.start(j->w->proc.self, &j->child, &j->err) == MH_OK;
}

/* --- room ------------------------------------------------------------------------------------- */

static void
on_rm_exit(struct mh_child *c)
{
    struct mh_job *j = c->arg;
    if (c->exit_code)
        (void)mh_fail(&j->err, MH_E_IO, "old data cannot be removed: rm ended with %d",
                      c->exit_code);
    j->room(j->arg);
}

static bool
put_aside(struct mh_job *j, const char *dir)
{
    const char *to = mh_job_aside(&j->arena, j->w, dir);
    if (!to) {
        (void)mh_fail(&j->err, MH_E_NOMEM, "old data: no memory");
        return false;
    }
    mh_warn("job", "data that was there is put aside", "from", dir, "to", to);
    return j->w->fs.rename(j->w->fs.self, dir, to, &j->err) == MH_OK;
}

void
mh_job_make_room(struct mh_job *j, const char *half, bool discard, void (*room)(void *arg))
{
    const char *pgdata = j->id->pgdata;
    const char *wal = j->id->wal_dir;
    bool has_wal = wal && j->w->fs.exists(j->w->fs.self, wal);
    enum mh_job_old old = mh_job_look(j->w, pgdata);
    int n = 0;
    j->room = room;
    j->argv[n++] = "/bin/rm";
    j->argv[n++] = "-rf";
    j->argv[n++] = "--";
    if (j->w->fs.exists(j->w->fs.self, half))
        j->argv[n++] = half;
    if (old == MH_OLD_VALID && !discard) {
        if (!put_aside(j, pgdata) || (has_wal && !put_aside(j, wal))) {
            room(j->arg);
            return;
        }
    } else {
        if (old != MH_OLD_NONE)
            j->argv[n++] = pgdata;
        if (has_wal)
            j->argv[n++] = wal;
    }
    j->argv[n] = NULL;
    if (n == 3) {
        room(j->arg);
        return;
    }
    for (int i = 3; i < n; i++)
        mh_warn("job", "unfinished or unwanted data is removed", "folder", j->argv[i]);
    j->child = (struct mh_child){
        .argv = j->argv, .name = "rm", .on_line = mh_job_log_line, .on_exit = on_rm_exit, .arg = j
    };
    if (j->w->proc.start(j->w->proc.self, &j->child, &j->err) != MH_OK)
        room(j->arg);
}
