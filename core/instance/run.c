/* run.c - wires the manager: who we are, the loop, the world, and its parts. */
#include "instance/run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "instance/agent.h"
#include "instance/cli.h"
#include "instance/jobs.h"
#include "instance/paths.h"
#include "instance/pglog.h"
#include "instance/status.h"
#include "io/child.h"
#include "io/file.h"
#include "io/loop.h"
#include "kube/client.h"
#include "kube/config.h"
#include "kube/event.h"
#include "net/crypto.h"
#include "net/http_client.h"
#include "net/pg.h"

/* --- who we are ------------------------------------------------------------------------------ */

static const char *
env_or(const char *name, const char *absent)
{
    const char *s = getenv(name);
    return s && *s ? s : absent;
}

/* The first IPv4 address that is not loopback. */
static const char *
own_address(void)
{
    static char text[INET_ADDRSTRLEN];
    struct ifaddrs *list = NULL;
    const char *given = getenv("MOONHERD_POD_IP");
    if (given && *given)
        return given;
    if (getifaddrs(&list) != 0)
        return "";
    for (const struct ifaddrs *i = list; i && !text[0]; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET)
            continue;
        struct sockaddr_in in;
        memcpy(&in, i->ifa_addr, sizeof(in));
        if ((ntohl(in.sin_addr.s_addr) >> 24) != 127)
            (void)inet_ntop(AF_INET, &in.sin_addr, text, sizeof(text));
    }
    freeifaddrs(list);
    return text;
}

static const char *
folder_of(const char *path, const char *below)
{
    char text[MH_PATH];
    mh_str_copy(text, sizeof(text), path);
    char *slash = strrchr(text, '/');
    if (slash)
        *slash = '\0';
    size_t n = strlen(text) + strlen(below) + 2;
    char *out = mh_malloc(n);
    if (out)
        (void)snprintf(out, n, "%s/%s", text, below);
    return out;
}

static void
read_line(const struct mh_fs *fs, const char *path, char *out, size_t size)
{
    struct mh_arena a;
    char *text = NULL;
    size_t len = 0;
    mh_arena_init(&a, 8192);
    if (fs->read(fs->self, &a, path, 4096, &text, &len, NULL) == MH_OK) {
        text[strcspn(text, "\n")] = '\0';
        mh_str_copy(out, size, text);
    }
    mh_arena_release(&a);
}

/* What the kubelet reports of a container that has ended is the content of this file: so its word can
 * be told from one about an earlier life. Without the file there is no such proof. */
static void
leave_session(const char *session)
{
    const char *path = getenv("MOONHERD_TERMINATION_LOG");
    int fd = open(path && *path ? path : "/dev/termination-log", O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, session, strlen(session)) < 0)
        mh_warn("agent", "the termination log cannot be written: a failover may take longer");
    (void)close(fd);
}

/* The pod's UID stands in the source of what the kubelet mounts: ".../pods/UID/etc-hosts". The name
 * alone is no identity (D14). */
static const char *
pod_uid(const struct mh_fs *fs)
{
    static char uid[37];
    struct mh_arena a;
    char *text = NULL;
    size_t len = 0;
    const char *given = getenv("MOONHERD_POD_UID");
    if (given && *given)
        return given;
    mh_arena_init(&a, 1 << 20);
    if (fs->read(fs->self, &a, "/proc/self/mountinfo", 512 << 10, &text, &len, NULL) == MH_OK) {
        for (const char *at = strstr(text, "/pods/"); at; at = strstr(at + 1, "/pods/")) {
            size_t n = strspn(at + 6, "0123456789abcdef-");
            if (n == sizeof(uid) - 1 && at[6 + n] == '/') {
                mh_str_copy(uid, sizeof(uid), at + 6);
                break;
            }
        }
    }
    mh_arena_release(&a);
    return uid;
}

static bool
identify(struct mh_agent *g)
{
    struct mh_ident *id = &g->id;
    *id = (struct mh_ident){
        .name = env_or("POD_NAME", ""),
        .ns = env_or("NAMESPACE", ""),
        .cluster = env_or("CLUSTER_NAME", ""),
        .group = env_or("MOONHERD_API_GROUP", "postgresql.cnpg.io"),
        .pod_uid = pod_uid(&g->w.fs),
        .node = env_or("MOONHERD_NODE", ""),
        .address = own_address(),
        .bind = env_or("MOONHERD_POD_IP", NULL),
        .pgdata = env_or("PGDATA", "/var/lib/postgresql/data/pgdata"),
        .run_dir = env_or("PGHOST", "/controller/run"),
        .cert_dir = env_or("MOONHERD_CERT_DIR", "/controller/certificates"),
        .log_dir = env_or("MOONHERD_LOG_DIR", "/controller/log"),
    };
    id->state_dir = folder_of(id->pgdata, "moonherd");
    read_line(&g->w.fs, "/proc/sys/kernel/random/boot_id", id->boot, sizeof(id->boot));
    read_line(&g->w.fs, "/proc/sys/kernel/random/uuid", id->session, sizeof(id->session));
    return *id->name && *id->ns && *id->cluster && *id->address && id->state_dir;
}

/* So that `status` can say which build runs; read once, the file is a few megabytes. */
static void
hash_executable(struct mh_agent *g)
{
    struct mh_arena a;
    char *text = NULL;
    size_t len = 0;
    mh_arena_init(&a, (size_t)128 << 20);
    if (g->w.fs.read(g->w.fs.self, &a, "/proc/self/exe", (size_t)100 << 20, &text, &len, NULL) ==
        MH_OK)
        mh_sha256_hex(g->id.executable_hash, text, len);
    mh_arena_release(&a);
}

/* --- the volume ------------------------------------------------------------------------------ */

/* Two pods on one volume (E9): the later one waits until the kernel says that the other is gone. */
static bool
lock_volume(const struct mh_agent *g)
{
    static int fd = -1;
    char path[MH_PATH];
    if (fd < 0) {
        (void)snprintf(path, sizeof(path), "%s/lock", g->id.state_dir);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    }
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static enum mh_code
prepare_folders(struct mh_agent *g, struct mh_err *err)
{
    const char *const dirs[] = { g->id.state_dir, g->id.run_dir, g->id.cert_dir, g->id.log_dir };
    for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
        if (g->w.fs.mkdir(g->w.fs.self, dirs[i], 0700, err))
            return err->code;
    }
    if (g->w.fs.mkdir(g->w.fs.self, "/controller/tmp", 0777, err))
        return err->code;
    return MH_OK;
}

/* --- life ------------------------------------------------------------------------------------ */

static void
on_signal(void *arg, int sig)
{
    struct mh_agent *g = arg;
    (void)sig;
    if (g->terminating)
        return;
    mh_info("agent", "told to end");
    g->terminating = true;
    mh_status_changed(g);
    mh_agent_wake(g);
}

static void
on_end(struct mh_agent *g)
{
    (void)event_base_loopbreak(g->base);
}

static void
on_volume(void *arg)
{
    struct mh_agent *g = arg;
    struct mh_err err;
    if (!lock_volume(g)) {
        mh_agent_fail(g, "another process still holds this volume");
        (void)g->w.clock.after(g->w.clock.self, 100 * MH_NS_PER_MS, on_volume, g);
        return;
    }
    if (mh_term_load(g, &err)) {
        mh_log_err(MH_LOG_ERROR, "term", "the volume cannot be used", &err);
        mh_agent_fail(g, err.msg);
        return;
    }
    g->failure[0] = '\0';
    mh_agent_begin(g);
}

/* The certificates decide when port 8000 opens; they change live. */
static void
on_certificates(void *arg)
{
    struct mh_agent *g = arg;
    struct mh_err err;
    static int served;
    bool failed = false;
    if (g->know.certs_version != served) {
        served = g->know.certs_version;
        failed = mh_http_serve(g, &err) != MH_OK;
        if (failed) {
            mh_log_err(MH_LOG_ERROR, "http", "port 8000 cannot be served", &err);
            served = 0;
        }
    }
    (void)g->w.clock.after(g->w.clock.self, (served || failed ? 500 : 5) * MH_NS_PER_MS,
                           on_certificates, g);
}

static enum mh_code
make_world(struct mh_agent *g, struct mh_kube_config *config, struct mh_err *err)
{
    g->base = mh_loop_new();
    if (!g->base)
        return mh_fail(err, MH_E_NOMEM, "no event loop");
    g->w.clock = mh_clock_real(g->base);
    g->w.proc = mh_proc_real(g->base);
    g->w.fs = mh_fs_real();
    g->w.rand = mh_rand_real();
    g->w.pg = mh_pg_real(g->base);
    g->http = mh_http_new(g->base);
    g->ask = mh_http_start;
    if (mh_kube_config_load(config, NULL, err))
        return err->code;
    struct mh_kube *kube = g->http ? mh_kube_new(g->base, g->http, config) : NULL;
    if (!kube || !g->w.clock.self || !g->w.proc.self || !g->w.pg.self)
        return mh_fail(err, MH_E_NOMEM, "no memory for the instance manager");
    g->w.api = mh_kube_api(kube);
    g->api_urgent = mh_kube_api_urgent(kube);
    g->events = mh_events_new(g->w.api, g->w.clock, "moonherd-instance", getenv("POD_NAME"));
    mh_child_reap_orphans(&g->w.proc, NULL, NULL);
    return MH_OK;
}

static int
run(void)
{
    static struct mh_agent agent;
    static struct mh_kube_config config;
    struct mh_agent *g = &agent;
    struct mh_err err;
    if (make_world(g, &config, &err)) {
        mh_log_err(MH_LOG_ERROR, "agent", "cannot start", &err);
        return 1;
    }
    if (!identify(g)) {
        mh_error("agent", "POD_NAME, NAMESPACE and CLUSTER_NAME must be set, and the pod must have "
                          "an address");
        return 1;
    }
    leave_session(g->id.session);
    mh_log_set_pod(g->id.name);
    hash_executable(g);
    g->end = on_end;
    mh_arena_init(&g->primary.sync_arena, 65536);
    if (prepare_folders(g, &err) || !(g->pglog = mh_pglog_new(g->base, g->id.log_dir, &err))) {
        mh_log_err(MH_LOG_ERROR, "agent", "the pod's folders cannot be used", &err);
        return err.code == MH_E_DISKFULL ? MH_EXIT_DISK_FULL : 1;
    }
    if (!mh_status_init(g) || !mh_loop_on_signal(g->base, SIGTERM, on_signal, g) ||
        !mh_loop_on_signal(g->base, SIGINT, on_signal, g) || !mh_know_start(g)) {
        mh_error("agent", "no memory for the instance manager");
        return 1;
    }
    mh_info("agent", "instance manager starts", "version", MH_VERSION, "address", g->id.address);
    on_volume(g);
    on_certificates(g);
    (void)event_base_dispatch(g->base);
    mh_pglog_drain(g->pglog);
    return g->exit_code;
}

/* libpq and others must not read the image's home folder or PG* variables of the pod. */
static void
clean_environment(void)
{
    static const char *const names[] = { "HOME",          "PGPASSFILE", "PGSERVICE",
                                         "PGSERVICEFILE", "PGSSLCERT",  "PGSSLKEY",
                                         "PGSSLROOTCERT", "PGOPTIONS",  "PGUSER",
                                         "PGDATABASE",    "PGPASSWORD" };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        (void)unsetenv(names[i]);
}

int
mh_instance_main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "--help";
    (void)umask(077);
    clean_environment();
    for (int i = 2; i < argc; i++) {
        int level = mh_str_starts(argv[i], "--log-level=") ? mh_log_level_of(argv[i] + 12) : -1;
        if (level >= 0)
            mh_log_set_level((enum mh_log_level)level);
    }
    if (argc > 2 && mh_cli_wants_help(argc - 2, argv + 2)) {
        (void)fputs(mh_cli_help(what), stdout);
        return 0;
    }
    if (strcmp(what, "run") == 0)
        return mh_cli_run_args(argc - 2, argv + 2) ? run() : 2;
    if (strcmp(what, "init") == 0 || strcmp(what, "join") == 0)
        return mh_job_main(argc - 1, argv + 1);
    if (strcmp(what, "status") == 0)
        return mh_cli_status(argc - 2, argv + 2);
    bool asked = strcmp(what, "--help") == 0 || strcmp(what, "-h") == 0;
    (void)fputs(mh_cli_help(NULL), asked ? stdout : stderr);
    return asked ? 0 : 2;
}
