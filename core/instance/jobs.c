#include "instance/jobs.h"

#include <event2/event.h>
#include <string.h>

#include "base/log.h"
#include "base/world.h"
#include "instance/bootstrap.h"
#include "instance/initdb.h"
#include "instance/join.h"
#include "instance/run.h"
#include "io/child.h"
#include "io/file.h"
#include "io/loop.h"
#include "kube/client.h"
#include "net/http_client.h"
#include "net/pg.h"

struct job {
    struct event_base *base;
    int exit_code;
};

static void
on_done(void *arg, int exit_code, const struct mh_err *err)
{
    struct job *j = arg;
    j->exit_code = exit_code;
    if (exit_code)
        mh_log_err(MH_LOG_ERROR, "job", "failed", err);
    else
        mh_info("job", "done");
    (void)event_base_loopbreak(j->base);
}

static enum mh_code
start(struct mh_world *w, struct job *j, int argc, char **argv, struct mh_err *err)
{
    static struct mh_initdb_spec init;
    static struct mh_join_spec join;
    if (strcmp(argv[0], "init") == 0) {
        mh_job_defaults(&init.id);
        if (mh_initdb_args(&init, argc - 1, argv + 1, err))
            return err->code;
        mh_log_set_pod(init.id.instance);
        return mh_initdb_start(w, &init, on_done, j, err);
    }
    mh_job_defaults(&join.id);
    if (mh_join_args(&join, argc - 1, argv + 1, err))
        return err->code;
    mh_log_set_pod(join.id.instance);
    return mh_join_start(w, &join, on_done, j, err);
}

int
mh_job_main(int argc, char **argv)
{
    static struct mh_kube_config config;
    struct mh_err err = { 0 };
    struct job j = { .base = mh_loop_new(), .exit_code = 1 };
    if (!j.base)
        return 1;
    struct mh_world w = { .clock = mh_clock_real(j.base),
                          .proc = mh_proc_real(j.base),
                          .fs = mh_fs_real(),
                          .rand = mh_rand_real(),
                          .pg = mh_pg_real(j.base) };
    struct mh_http *http = mh_http_new(j.base);
    struct mh_kube *kube = NULL;
    if (http && mh_kube_config_load(&config, NULL, &err) == MH_OK)
        kube = mh_kube_new(j.base, http, &config);
    if (!kube) {
        mh_log_err(MH_LOG_ERROR, "job", "no API client", &err);
        return 1;
    }
    w.api = mh_kube_api(kube);
    mh_child_reap_orphans(&w.proc, NULL, NULL);
    if (start(&w, &j, argc, argv, &err)) {
        mh_log_err(MH_LOG_ERROR, "job", "cannot start", &err);
        return err.code == MH_E_INVALID ? 2 : 1;
    }
    (void)event_base_dispatch(j.base);
    return j.exit_code;
}

int
mh_bootstrap_main(int argc, char **argv)
{
    struct mh_err err;
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        mh_error("bootstrap", "usage: moonherd bootstrap DEST");
        return 2;
    }
    if (mh_bootstrap(argv[1], &err)) {
        mh_log_err(MH_LOG_ERROR, "bootstrap", "the manager cannot be copied", &err);
        return err.code == MH_E_DISKFULL ? 4 : 1;
    }
    mh_info("bootstrap", "the manager is in place", "path", argv[1]);
    return 0;
}
