#include "instance/join.h"

#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/str.h"
#include "instance/params.h"

#define PROGRESS_NS 5000000000LL

struct join {
    struct mh_job job;
    struct mh_join_spec spec;
    void (*done)(void *arg, int exit_code, const struct mh_err *err);
    void *arg;
    yyjson_val *cluster;
    const char *half;
    int64_t progress_ns;
};

static void
finish(struct join *j)
{
    void (*done)(void *, int, const struct mh_err *) = j->done;
    void *arg = j->arg;
    struct mh_err err = j->job.err;
    int code = !err.code ? 0 : mh_class_of(err.code) == MH_TERMINAL ? 2 : 1;
    if (code)
        mh_log_err(MH_LOG_ERROR, "join", "the copy could not be made", &err);
    mh_job_release(&j->job);
    mh_free(j);
    done(arg, code, &err);
}

/* --- the copy --------------------------------------------------------------------------------- */

static enum mh_code
write_in(struct join *j, const char *name, const char *text)
{
    struct mh_world *w = j->job.w;
    const char *path = mh_arena_printf(&j->job.arena, "%s/%s", j->half, name);
    if (!path || !text)
        return mh_fail(&j->job.err, MH_E_NOMEM, "join: no memory");
    return w->fs.write(w->fs.self, path, text, strlen(text), 0600, true, NULL, &j->job.err);
}

/* Makes a standby of the copy and gives it its name. */
static enum mh_code
conclude(struct join *j)
{
    struct mh_world *w = j->job.w;
    struct mh_arena *a = &j->job.arena;
    const char *instance = j->spec.id.instance;
    const struct mh_override over = {
        .restore_command = MH_RESTORE_COMMAND,
        .primary_conninfo =
            mh_params_conninfo(a, j->spec.parent, instance, j->spec.id.cert_dir, NULL),
        .primary_slot_name = mh_params_slot(a, j->cluster, instance),
    };
    const char *stale = mh_arena_printf(a, "%s/.check-empty-wal-archive", j->half);
    if (!over.primary_conninfo || !over.primary_slot_name || !stale)
        return mh_fail(&j->job.err, MH_E_NOMEM, "join: no memory");
    enum mh_code code = w->fs.remove(w->fs.self, stale, &j->job.err);
    if (!code)
        code = mh_job_includes(w, j->half, &j->job.err);
    if (!code)
        code = write_in(j, "override.conf", mh_params_override(a, &over));
    if (!code)
        code = write_in(j, "standby.signal", "");
    if (!code)
        code = w->fs.rename(w->fs.self, j->half, j->spec.id.pgdata, &j->job.err);
    return code;
}

static void
on_copied(void *arg, int exit_code)
{
    struct join *j = arg;
    if (exit_code)
        (void)mh_fail(&j->job.err, MH_E_CHILD, "pg_basebackup ended with %d", exit_code);
    else if (conclude(j) == MH_OK)
        mh_info("join", "the copy is made");
    finish(j);
}

/* All lines but too frequent ones of progress ("1234/5678 kB (21%), 0/1 tablespace"). */
static void
on_line(struct mh_child *c, int fd, const char *line, size_t len)
{
    struct mh_job *job = c->arg;
    struct join *j = job->arg;
    struct mh_world *w = job->w;
    if (memmem(line, len, " kB (", 5) && !memmem(line, len, "(100%)", 6)) {
        int64_t now = w->clock.mono_ns(w->clock.self);
        if (j->progress_ns && now - j->progress_ns < PROGRESS_NS)
            return;
        j->progress_ns = now;
    }
    mh_job_log_line(c, fd, line, len);
}

static void
on_room(void *arg)
{
    struct join *j = arg;
    struct mh_arena *a = &j->job.arena;
    int n = 0;
    const char *name = mh_arena_printf(a, "%s-join", j->spec.id.instance);
    const char *conninfo =
        name ? mh_params_conninfo(a, j->spec.parent, name, j->spec.id.cert_dir,
                                  "connect_timeout=5 options='-c wal_sender_timeout=0s'")
             : NULL;
    if (!conninfo && !j->job.err.code)
        (void)mh_fail(&j->job.err, MH_E_NOMEM, "join: no memory");
    if (j->job.err.code) {
        finish(j);
        return;
    }
    const char *args[] = { "pg_basebackup", "-D", j->half, "-v", "-P",    "--no-password", "-X",
                           "stream",        "-c", "fast",  "-d", conninfo };
    for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++)
        j->job.argv[n++] = args[i];
    if (j->spec.id.wal_dir) {
        j->job.argv[n++] = "--waldir";
        j->job.argv[n++] = j->spec.id.wal_dir;
    }
    j->job.argv[n] = NULL;
    (void)umask(077);
    if (!mh_job_exec(&j->job, on_line, on_copied))
        finish(j);
}

/* --- certificates ----------------------------------------------------------------------------- */

static bool
write_certificate(struct join *j, yyjson_val *secret, const char *key, const char *file)
{
    struct mh_world *w = j->job.w;
    const char *path = mh_arena_printf(&j->job.arena, "%s/%s", j->spec.id.cert_dir, file);
    const char *text = mh_job_secret_value(&j->job, secret, key);
    if (!path || !text) {
        /* may be made in this moment: worth another try */
        (void)mh_fail(&j->job.err, MH_E_NOTFOUND, "join: a certificate secret has no %s", key);
        return false;
    }
    return w->fs.mkdir(w->fs.self, j->spec.id.cert_dir, 0700, &j->job.err) == MH_OK &&
           w->fs.write(w->fs.self, path, text, strlen(text), 0600, false, NULL, &j->job.err) ==
               MH_OK;
}

static void
on_ca(void *arg, yyjson_val *secret)
{
    struct join *j = arg;
    if (secret)
        j->job.err = (struct mh_err){ 0 };
    if (!secret || !write_certificate(j, secret, "ca.crt", "server-ca.crt"))
        finish(j);
    else
        mh_job_make_room(&j->job, j->half, j->spec.discard_old, on_room);
}

static const char *
secret_name(struct join *j, const char *key, const char *suffix)
{
    const char *given = mh_json_str(j->cluster, "spec", "certificates", key, NULL);
    if (!given || !*given)
        given = mh_json_str(j->cluster, "status", "certificates", key, NULL);
    return given && *given ? given
                           : mh_arena_printf(&j->job.arena, "%s%s", j->spec.id.cluster, suffix);
}

static void
on_replication(void *arg, yyjson_val *secret)
{
    struct join *j = arg;
    if (secret)
        j->job.err = (struct mh_err){ 0 };
    if (!secret || !write_certificate(j, secret, "tls.crt", "streaming_replica.crt") ||
        !write_certificate(j, secret, "tls.key", "streaming_replica.key"))
        finish(j);
    else
        mh_job_get_secret(&j->job, secret_name(j, "serverCASecret", "-ca"), on_ca);
}

static void
on_cluster(void *arg, yyjson_val *cluster)
{
    struct join *j = arg;
    if (!cluster) {
        finish(j);
        return;
    }
    j->job.err = (struct mh_err){ 0 };
    j->cluster = cluster;
    if (j->spec.certs_ready)
        mh_job_make_room(&j->job, j->half, j->spec.discard_old, on_room);
    else
        mh_job_get_secret(&j->job, secret_name(j, "replicationTLSSecret", "-replication"),
                          on_replication);
}

enum mh_code
mh_join_start(struct mh_world *w, const struct mh_join_spec *spec,
              void (*done)(void *arg, int exit_code, const struct mh_err *err), void *arg,
              struct mh_err *err)
{
    struct join *j = mh_calloc(1, sizeof(*j));
    if (!j)
        return mh_fail(err, MH_E_NOMEM, "join: no memory");
    j->spec = *spec;
    j->done = done;
    j->arg = arg;
    mh_job_init(&j->job, w, &j->spec.id, j);
    j->half = mh_arena_printf(&j->job.arena, "%s.new", spec->id.pgdata);
    if (!j->half) {
        mh_job_release(&j->job);
        mh_free(j);
        return mh_fail(err, MH_E_NOMEM, "join: no memory");
    }
    mh_job_get_cluster(&j->job, on_cluster);
    return MH_OK;
}
