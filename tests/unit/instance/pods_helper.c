#include "pods_helper.h"

#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "harness/test.h"
#include "instance/agent.h"
#include "io/child.h"
#include "io/file.h"
#include "io/loop.h"
#include "net/crypto.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/pg.h"
#include "net/x509.h"

#define BIN "/usr/lib/postgresql/15/bin"
#define LOG_MAX ((size_t)64 << 20)

static bool
as_root(void)
{
    return geteuid() == 0;
}

static const char *
at(struct pods *p, const char *name)
{
    return mh_arena_printf(&p->arena, "%s/%s", p->dir, name);
}

/* --- the API server --------------------------------------------------------------------------- */

struct relay {
    struct mh_api_call call;
    struct mh_arena arena;
    struct mh_request *req;
};

static void
on_reply(struct mh_api_call *call)
{
    struct relay *r = call->arg;
    size_t len = 0;
    char *text = call->reply ? mh_json_text(&r->arena, call->reply, &len) : NULL;
    mh_reply(r->req, call->status ? call->status : 500, "application/json", text ? text : "{}",
             text ? len : 2);
    mh_arena_release(&r->arena);
    free(r);
}

struct follower {
    struct pods *p;
    struct mh_stream *out;
    struct mh_watch *watch;
};

static void
on_event(void *arg, enum mh_watch_kind kind, yyjson_val *object)
{
    struct follower *f = arg;
    struct mh_arena a;
    const char *type = kind == MH_WATCH_ADDED      ? "ADDED"
                       : kind == MH_WATCH_MODIFIED ? "MODIFIED"
                       : kind == MH_WATCH_DELETED  ? "DELETED"
                                                   : NULL;
    if (!type || !f->out)
        return;
    mh_arena_init(&a, 16 << 20);
    char *text = mh_json_text(&a, object, NULL);
    char *line = mh_arena_printf(&a, "{\"type\":\"%s\",\"object\":%s}\n", type, text ? text : "{}");
    if (line)
        (void)mh_stream_send(f->out, line, strlen(line));
    mh_arena_release(&a);
}

static void
on_gone(void *arg)
{
    struct follower *f = arg;
    f->out = NULL;
    f->p->tw->world.api.unwatch(f->p->tw->world.api.self, f->watch);
    free(f);
}

static const char *
method_name(enum mh_method m)
{
    return m == MH_GET     ? "GET"
           : m == MH_POST  ? "POST"
           : m == MH_PUT   ? "PUT"
           : m == MH_PATCH ? "PATCH"
                           : "DELETE";
}

static void
serve(struct mh_request *req, void *arg)
{
    struct pods *p = arg;
    struct mh_api *api = &p->tw->world.api;
    if (mh_request_query(req, "watch")) {
        struct follower *f = calloc(1, sizeof(*f));
        struct mh_watch_spec spec = { .path = req->path, .on_event = on_event, .arg = f };
        f->p = p;
        f->watch = api->watch(api->self, &spec);
        f->out = mh_stream_start(req, "application/json");
        if (f->out)
            mh_stream_on_close(f->out, on_gone, f);
        return;
    }
    struct relay *r = calloc(1, sizeof(*r));
    mh_arena_init(&r->arena, 16 << 20);
    r->req = req;
    const char *type = mh_request_header(req, "Content-Type");
    r->call =
        (struct mh_api_call){ .method = method_name(req->method),
                              .path = mh_arena_strdup(&r->arena, req->path),
                              .content_type = mh_arena_strdup(&r->arena, type),
                              .body = req->body_len ? mh_arena_strdup(&r->arena, req->body) : NULL,
                              .body_len = req->body_len,
                              .arena = &r->arena,
                              .done = on_reply,
                              .arg = r };
    api->start(api->self, &r->call);
}

static void
on_beat(evutil_socket_t fd, short what, void *arg)
{
    struct pods *p = arg;
    int64_t now = p->w.clock.mono_ns(p->w.clock.self);
    (void)fd, (void)what;
    tw_advance(p->tw, now - p->beat_ns);
    p->beat_ns = now;
}

/* --- time ------------------------------------------------------------------------------------- */

void
pods_pause(struct pods *p, int ms)
{
    struct timeval t = { ms / 1000, ms % 1000 * 1000 };
    (void)event_base_loopexit(p->base, &t);
    (void)event_base_dispatch(p->base);
}

static void
loop_until(struct pods *p, const bool *done)
{
    while (!*done)
        (void)event_base_loop(p->base, EVLOOP_ONCE);
}

/* --- questions -------------------------------------------------------------------------------- */

static void
on_query(struct mh_pg_call *c)
{
    bool *done = c->arg;
    *done = true;
}

const char *
pods_ask(struct pods *p, const char *conninfo, const char *sql)
{
    bool done = false;
    struct mh_pg_call c = {
        .conninfo = conninfo, .sql = sql, .arena = &p->arena, .done = on_query, .arg = &done
    };
    p->w.pg.start(p->w.pg.self, &c);
    loop_until(p, &done);
    if (c.err.code)
        return mh_arena_strdup(&p->arena, c.err.msg);
    return c.rows && c.values[0] ? c.values[0] : "";
}

const char *
pods_local(struct pods *p, int n, const char *sql)
{
    const char *host = mh_arena_printf(&p->arena, "%s/%s/run", p->dir, p->pod[n - 1].name);
    /* The socket lets in who runs it. */
    const struct passwd *pw = as_root() ? getpwnam("postgres") : NULL;
    CHECK(!pw || seteuid(pw->pw_uid) == 0);
    const char *answer =
        pods_ask(p, mh_arena_printf(&p->arena, "host=%s user=postgres dbname=postgres", host), sql);
    CHECK(!pw || seteuid(0) == 0);
    return answer;
}

const char *
pods_app(struct pods *p, int n, const char *password, const char *sql)
{
    const char *conninfo =
        mh_arena_printf(&p->arena, "host=%s user=app dbname=app sslmode=require password='%s'",
                        p->pod[n - 1].address, password);
    const char *answer = pods_ask(p, conninfo, sql);
    p->w.pg.disconnect(p->w.pg.self, conninfo);
    return answer;
}

const char *
pods_wait_local(struct pods *p, int n, const char *sql, const char *want, int seconds)
{
    const char *got = "";
    for (int i = 0; i < seconds * 10; i++) {
        got = pods_local(p, n, sql);
        if (strcmp(got, want) == 0)
            return got;
        pods_pause(p, 100);
    }
    return got;
}

static void
on_http(struct mh_http_call *c)
{
    bool *done = c->arg;
    *done = true;
}

static int
http(struct pods *p, enum pods_who who, const char *url, const char *body, yyjson_val **reply)
{
    bool done = false;
    struct mh_http_tls tls = { .ca_pem = p->ca, .any_name = true };
    if (who == PODS_OPERATOR) {
        tls.cert_pem = p->operator_cert;
        tls.key_pem = p->operator_key;
    } else if (who == PODS_REPLICA) {
        tls.cert_pem = p->client_cert;
        tls.key_pem = p->client_key;
    }
    struct mh_http_call c = { .method = body ? "POST" : "GET",
                              .url = url,
                              .body = body,
                              .body_len = body ? strlen(body) : 0,
                              .content_type = body ? "application/json" : NULL,
                              .tls = &tls,
                              .connect_timeout_ms = 2000,
                              .timeout_ms = 5000,
                              .arena = &p->arena,
                              .done = on_http,
                              .arg = &done };
    mh_http_start(p->http, &c);
    loop_until(p, &done);
    if (reply)
        *reply = NULL;
    if (c.err.code == MH_OK && reply)
        (void)mh_json_parse(&p->arena, c.body_text, c.body_text_len, reply, NULL);
    return c.err.code == MH_OK ? c.status : 0;
}

int
pods_get(struct pods *p, const char *address, const char *path, yyjson_val **body)
{
    return http(p, PODS_OPERATOR, mh_arena_printf(&p->arena, "https://%s:8000%s", address, path),
                NULL, body);
}

const char *
pods_metrics(struct pods *p, int n)
{
    bool done = false;
    struct mh_http_call c = { .method = "GET",
                              .url = mh_arena_printf(&p->arena, "http://%s:9187/metrics",
                                                     p->pod[n - 1].address),
                              .timeout_ms = 5000,
                              .arena = &p->arena,
                              .done = on_http,
                              .arg = &done };
    mh_http_start(p->http, &c);
    loop_until(p, &done);
    return c.err.code == MH_OK && c.status == 200 && c.body_text ? c.body_text : "";
}

int
pods_ask_as(struct pods *p, enum pods_who who, int n, const char *path, const char *body)
{
    return http(p, who,
                mh_arena_printf(&p->arena, "https://%s:8000%s", p->pod[n - 1].address, path), body,
                NULL);
}

int
pods_command(struct pods *p, int n, const char *command)
{
    return pods_ask_as(
        p, PODS_OPERATOR, n, "/moonherd/v1/command",
        mh_arena_printf(&p->arena, "{\"clusterUID\":\"uid-demo\",\"command\":\"%s\"}", command));
}

/* --- objects ---------------------------------------------------------------------------------- */

static void
on_patched(struct mh_api_call *c)
{
    bool *done = c->arg;
    *done = true;
}

void
pods_patch(struct pods *p, const char *path, const char *json)
{
    bool done = false;
    struct mh_api_call c = { .method = "PATCH",
                             .path = path,
                             .content_type = MH_PATCH_MERGE,
                             .body = json,
                             .body_len = strlen(json),
                             .arena = &p->arena,
                             .done = on_patched,
                             .arg = &done };
    p->tw->world.api.start(p->tw->world.api.self, &c);
    loop_until(p, &done);
    CHECK_INT(c.status, 200);
}

static const char *
b64(struct pods *p, const char *text)
{
    return mh_base64_encode(&p->arena, text, strlen(text));
}

static void
put_secret(struct pods *p, const char *name, const char *a, const char *av, const char *b,
           const char *bv)
{
    tw_put(p->tw, mh_arena_printf(&p->arena, "/api/v1/namespaces/" PODS_NS "/secrets/%s", name),
           mh_arena_printf(&p->arena, "{\"data\":{\"%s\":\"%s\",\"%s\":\"%s\"}}", a, b64(p, av), b,
                           b64(p, bv)));
}

void
pods_secret(struct pods *p, const char *name, const char *user, const char *password)
{
    put_secret(p, name, "username", user, "password", password);
}

static void
certificates(struct pods *p)
{
    const char *ca_key = NULL;
    int64_t now = (int64_t)time(NULL);
    struct mh_x509_ca_spec spec = { "demo", "space", now - 300, now + 3600, NULL };
    CHECK_INT(mh_x509_make_ca(&p->arena, &spec, &p->ca, &ca_key, NULL), MH_OK);
    struct mh_x509_spec leaf = { .ca_cert_pem = p->ca,
                                 .ca_key_pem = ca_key,
                                 .cn = "demo-rw",
                                 .not_before = now - 300,
                                 .not_after = now + 3600 };
    CHECK_INT(mh_x509_issue(&p->arena, &leaf, &p->server_cert, &p->server_key, NULL), MH_OK);
    leaf.usage = MH_X509_CLIENT;
    leaf.cn = "streaming_replica";
    CHECK_INT(mh_x509_issue(&p->arena, &leaf, &p->client_cert, &p->client_key, NULL), MH_OK);
    leaf.cn = "operator";
    CHECK_INT(mh_x509_issue(&p->arena, &leaf, &p->operator_cert, &p->operator_key, NULL), MH_OK);
}

static void
objects(struct pods *p)
{
    struct mh_x509_info info;
    CHECK_INT(mh_x509_read(&p->arena, p->operator_cert, &info, NULL), MH_OK);
    put_secret(p, "demo-server", "tls.crt", p->server_cert, "tls.key", p->server_key);
    put_secret(p, "demo-replication", "tls.crt", p->client_cert, "tls.key", p->client_key);
    put_secret(p, "demo-ca", "ca.crt", p->ca, "ca.key", "none");
    pods_secret(p, "demo-app", "app", "first");
    tw_put(p->tw, PODS_LEASE, "{\"metadata\":{\"name\":\"demo\"},\"spec\":{}}");
    for (int i = 0; i < PODS_MAX; i++)
        tw_put(p->tw,
               mh_arena_printf(&p->arena, "/api/v1/namespaces/" PODS_NS "/pods/%s", p->pod[i].name),
               "{\"metadata\":{}}");
    tw_put(p->tw, PODS_CLUSTER,
           mh_arena_printf(
               &p->arena,
               "{\"metadata\":{\"name\":\"demo\",\"uid\":\"uid-demo\"},\"spec\":{\"instances\":2,"
               "\"bootstrap\":{\"initdb\":{\"database\":\"app\",\"owner\":\"app\"}},"
               "\"replicationSlots\":{\"updateInterval\":1,\"synchronizeReplicas\":{\"enabled\":"
               "true,\"excludePatterns\":[\"^tmp_\"]}},"
               "\"postgresql\":{\"parameters\":{\"fsync\":\"off\",\"log_statement\":\"all\","
               "\"log_min_duration_statement\":\"0\",\"pg_stat_statements.track_utility\":\"on\","
               "\"max_connections\":\"100\"}}},"
               "\"status\":{\"instanceNames\":[\"demo-1\",\"demo-2\",\"demo-3\"],"
               "\"operatorCertificateFingerprint\":\"%s\"}}",
               info.spki_sha256));
}

/* --- processes -------------------------------------------------------------------------------- */

static void
on_line(struct mh_child *c, int fd, const char *line, size_t len)
{
    struct pod *pod = c->arg;
    (void)fd;
    (void)mh_buf_add(&pod->log, line, len);
    (void)mh_buf_char(&pod->log, '\n');
    if (getenv("MH_TEST_LOG"))
        printf("# %s: %.*s\n", pod->name, (int)len, line);
}

static void
on_exit_(struct mh_child *c)
{
    struct pod *pod = c->arg;
    pod->ended = true;
}

static void
launch(struct pods *p, int n, bool own_pids, const char *const *arguments)
{
    struct pod *pod = &p->pod[n - 1];
    struct mh_arena *a = &p->arena;
    int k = 0;
    if (own_pids) {
        pod->argv[k++] = "/usr/bin/setpriv";
        pod->argv[k++] = "--pdeathsig";
        pod->argv[k++] = "KILL";
    }
    pod->argv[k++] = "/usr/bin/unshare";
    if (!as_root()) {
        pod->argv[k++] = "--map-current-user";
        pod->argv[k++] = "--keep-caps";
    }
    pod->argv[k++] = "--mount";
    if (own_pids) {
        pod->argv[k++] = "--pid";
        pod->argv[k++] = "--kill-child";
        pod->argv[k++] = "--mount-proc";
    }
    pod->argv[k++] = "/bin/sh";
    pod->argv[k++] = "tests/unit/instance/enter";
    pod->argv[k++] = at(p, pod->name);
    pod->argv[k++] = as_root() ? "postgres" : "-";
    pod->argv[k++] = "/controller/manager";
    pod->argv[k++] = "instance";
    for (int i = 0; arguments[i]; i++)
        pod->argv[k++] = arguments[i];
    pod->argv[k] = NULL;
    k = 0;
    pod->env[k++] = "PATH=" BIN ":/usr/sbin:/usr/bin:/sbin:/bin";
    pod->env[k++] = mh_arena_printf(a, "POD_NAME=%s", pod->name);
    pod->env[k++] = "NAMESPACE=" PODS_NS;
    pod->env[k++] = "CLUSTER_NAME=demo";
    pod->env[k++] = mh_arena_printf(a, "PGDATA=%s/%s-data/pgdata", p->dir, pod->name);
    pod->env[k++] = "PGHOST=/controller/run";
    pod->env[k++] = "TMPDIR=/controller/tmp";
    pod->env[k++] = mh_arena_printf(a, "MOONHERD_POD_IP=%s", pod->address);
    pod->env[k++] = mh_arena_printf(a, "MOONHERD_POD_UID=uid-%s", pod->name);
    pod->env[k++] = "KUBECONFIG=/controller/kubeconfig";
    pod->env[k++] = "ASAN_OPTIONS=detect_leaks=0"; /* a process that ends frees nothing */
    pod->env[k] = NULL;
    pod->child = (struct mh_child){ .argv = pod->argv,
                                    .env = pod->env,
                                    .name = pod->name,
                                    .on_line = on_line,
                                    .on_exit = on_exit_,
                                    .arg = pod };
    pod->ended = false;
    pod->own_pids = own_pids;
    pod->running = p->w.proc.start(p->w.proc.self, &pod->child, NULL) == MH_OK;
    CHECK(pod->running);
}

int
pods_run(struct pods *p, int n, const char *const *arguments)
{
    struct pod *pod = &p->pod[n - 1];
    launch(p, n, false, arguments);
    if (pod->running)
        loop_until(p, &pod->ended);
    pod->running = false;
    return pod->child.exit_code;
}

void
pods_start(struct pods *p, int n, bool own_pids)
{
    static const char *const run[] = { "run", "--status-port-tls", "--log-level=info", NULL };
    launch(p, n, own_pids, run);
}

/* unshare does not pass signals on: its only child is the manager. */
static void
tell(const struct pod *pod, int sig)
{
    char path[64];
    int child = 0;
    if (!pod->own_pids) {
        (void)kill(pod->child.pid, sig);
        return;
    }
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pod->child.pid,
                   (int)pod->child.pid);
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%d", &child) == 1)
        (void)kill(child, sig);
    if (f)
        (void)fclose(f);
}

void
pods_stop(struct pods *p, int n)
{
    struct pod *pod = &p->pod[n - 1];
    if (!pod->running)
        return;
    p->w.pg.disconnect(p->w.pg.self, NULL);
    tell(pod, SIGTERM);
    for (int i = 0; i < 200 && !pod->ended; i++)
        pods_pause(p, 100);
    CHECK(pod->ended);
    if (!pod->ended)
        p->w.proc.kill(p->w.proc.self, &pod->child, SIGKILL);
    loop_until(p, &pod->ended);
    pod->running = false;
}

/* --- life ------------------------------------------------------------------------------------- */

static bool
have(void)
{
    const char *why =
        access(BIN "/postgres", X_OK) != 0   ? "no PostgreSQL 15 in " BIN
        : as_root() && !getpwnam("postgres") ? "no user postgres"
        : access("/usr/bin/unshare", X_OK) != 0 || access("/usr/bin/setpriv", X_OK) != 0
            ? "no unshare and setpriv"
        : system("/usr/bin/unshare --mount --map-current-user --keep-caps "
                 "/bin/sh -c 'mount -t tmpfs x /mnt' 2>/dev/null") != 0 &&
                !as_root()
            ? "no user namespaces"
            : NULL;
    if (why)
        printf("# SKIPPED: %s\n", why);
    return !why;
}

static void
own(const char *path)
{
    const struct passwd *pw = as_root() ? getpwnam("postgres") : NULL;
    CHECK(!pw || chown(path, pw->pw_uid, pw->pw_gid) == 0);
}

static void
make_pod(struct pods *p, int n)
{
    struct pod *pod = &p->pod[n - 1];
    pod->pods = p;
    mh_buf_init(&pod->log, LOG_MAX);
    (void)snprintf(pod->name, sizeof(pod->name), "demo-%d", n);
    /* Tests of this machine's other users run at the same time. */
    unsigned of = (unsigned)getpid();
    (void)snprintf(pod->address, sizeof(pod->address), "127.%u.%u.%d", 64 + of % 128,
                   of / 128 % 256, n);
    const char *home = at(p, pod->name);
    const char *data = mh_arena_printf(&p->arena, "%s-data", home);
    const char *config = mh_arena_printf(&p->arena, "%s/kubeconfig", home);
    const char *text = mh_arena_printf(
        &p->arena,
        "{\"apiVersion\":\"v1\",\"kind\":\"Config\",\"current-context\":\"a\",\"contexts\":[{"
        "\"name\":\"a\",\"context\":{\"cluster\":\"a\",\"user\":\"a\"}}],\"clusters\":[{\"name\":"
        "\"a\",\"cluster\":{\"server\":\"http://127.0.0.1:%d\"}}],\"users\":[{\"name\":\"a\","
        "\"user\":{\"token\":\"none\"}}]}\n",
        mh_server_port(p->api));
    CHECK(mkdir(home, 0755) == 0 && mkdir(data, 0755) == 0);
    CHECK_INT(p->w.fs.write(p->w.fs.self, config, text, strlen(text), 0644, false, NULL, NULL),
              MH_OK);
    const char *copy = mh_arena_printf(&p->arena, "cp " MH_MANAGER " %s/manager", home);
    CHECK_INT(system(copy), 0);
    own(home);
    own(data);
    own(config);
}

struct pods *
pods_new(void)
{
    struct pods *p = have() ? calloc(1, sizeof(*p)) : NULL;
    struct timeval beat = { 0, 3000 };
    if (!p)
        return NULL;
    if (getenv("MH_TEST_LOG"))
        mh_log_set_level(MH_LOG_INFO);
    mh_arena_init(&p->arena, (size_t)256 << 20);
    (void)snprintf(p->dir, sizeof(p->dir), "/tmp/mh-pods-XXXXXX");
    CHECK(mkdtemp(p->dir) != NULL && chmod(p->dir, 0755) == 0);
    p->base = mh_loop_new();
    p->w = (struct mh_world){ .clock = mh_clock_real(p->base),
                              .proc = mh_proc_real(p->base),
                              .fs = mh_fs_real(),
                              .rand = mh_rand_real(),
                              .pg = mh_pg_real(p->base) };
    mh_child_reap_orphans(&p->w.proc, NULL, NULL);
    p->http = mh_http_new(p->base);
    p->tw = tw_new(7);
    tw_store(p->tw);
    p->api = mh_server_new(p->base, "127.0.0.1", 0, NULL, NULL);
    CHECK(p->api &&
          mh_server_route(p->api, MH_GET | MH_POST | MH_PUT | MH_PATCH | MH_DELETE, "/", serve, p));
    p->beat_ns = p->w.clock.mono_ns(p->w.clock.self);
    p->beat = event_new(p->base, -1, EV_PERSIST, on_beat, p);
    CHECK_INT(event_add(p->beat, &beat), 0);
    for (int n = 1; n <= PODS_MAX; n++)
        make_pod(p, n);
    certificates(p);
    objects(p);
    return p;
}

void
pods_free(struct pods *p)
{
    for (int n = PODS_MAX; n >= 1; n--)
        pods_stop(p, n);
    while (mh_sweep() > 0) /* whatever a manager has left */
        pods_pause(p, 20);
    mh_pg_real_free(&p->w.pg);
    mh_server_free(p->api);
    mh_http_free(p->http);
    event_free(p->beat);
    mh_proc_release(&p->w.proc);
    mh_clock_release(&p->w.clock);
    tw_abandon(p->tw);
    tw_free(p->tw);
    for (int n = 0; n < PODS_MAX; n++)
        mh_buf_release(&p->pod[n].log);
    CHECK_INT(system(mh_arena_printf(&p->arena, "rm -rf %s", p->dir)), 0);
    event_base_free(p->base);
    mh_arena_release(&p->arena);
    free(p);
}
