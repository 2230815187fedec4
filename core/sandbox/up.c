#include "sandbox/up.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "io/file.h"
#include "sandbox/connect.h"
#include "sandbox/sandbox.h"
#include "sandbox/service.h"

#define PATH_TEXT (MH_SB_PATH_MAX + 32)

/* --- hooks ------------------------------------------------------------------------------------------ */

static bool
authorize(void *arg, struct mh_arena *a, const struct mh_sb_attrs *at, const char **reason)
{
    struct mh_sb_up *up = arg;
    (void)reason; /* it would end the sentence of a refusal */
    return mh_sb_rbac_may(&up->rbac, a, at, NULL);
}

static void
admit(void *arg, struct mh_sb_admit *ad)
{
    struct mh_sb_up *up = arg;
    mh_sb_admit_one(up->admitter, ad);
}

static void
review(void *arg, struct mh_sb_req *req, const struct mh_sb_attrs *at, yyjson_val *body)
{
    struct mh_sb_up *up = arg;
    mh_sb_reviews_answer(&up->reviews, req, at, body);
}

static void
connect_pod(void *arg, struct mh_sb_req *req, const struct mh_sb_attrs *at, yyjson_val *object)
{
    struct mh_sb_up *up = arg;
    struct mh_sb_connect_env env = { .base = up->base, .clock = up->clock, .nodes = up->nodes };
    mh_sb_connect(&env, req, at, object);
}

/* The old form of OpenAPI, without a single schema: kubectl asks for it when version 3 does not know a kind, and then
 * goes on to say so itself. */
static bool
openapi_v2(struct mh_sb_req *req)
{
    static const char json[] =
        "{\"swagger\":\"2.0\",\"info\":{\"title\":\"Kubernetes\",\"version\":\"v1\"},"
        "\"paths\":{},\"definitions\":{}}";
    /* swagger (1), info (2) with title (1) and version (2), paths (8), definitions (9) */
    static const char protobuf[] = "\n\0032.0\022\020\n\nKubernetes\022\002v1B\0J";
    bool wants_json = !req->accept || !strstr(req->accept, "protobuf");
    if (strcmp(req->path, "/openapi/v2") != 0 && !mh_str_starts(req->path, "/openapi/v2?"))
        return false;
    mh_sb_answer(req, 200, wants_json ? json : protobuf,
                 wants_json ? sizeof(json) - 1 : sizeof(protobuf));
    if (!wants_json)
        req->reply_type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    req->done(req);
    return true;
}

static bool
other(void *arg, struct mh_sb_req *req)
{
    (void)arg;
    static const char *const paths[] = { "/healthz", "/livez", "/readyz", NULL };
    for (const char *const *p = paths; *p; p++) {
        size_t n = strlen(*p);
        if (strncmp(req->path, *p, n) == 0 && (!req->path[n] || strchr("/?", req->path[n]))) {
            mh_sb_answer(req, 200, "ok", 2);
            req->reply_type = "text/plain; charset=utf-8";
            req->done(req);
            return true;
        }
    }
    return openapi_v2(req);
}

static bool
find_service(void *arg, const char *ns, const char *name, int port, char address[48], int *out_port)
{
    struct mh_sb_up *up = arg;
    struct mh_sb_target to;
    if (!up->control || !mh_sb_service_find(up->control, ns, name, port, &to))
        return false;
    mh_str_copy(address, 48, to.address);
    *out_port = to.port;
    return true;
}

static bool
route(void *arg, const char *address, int port, char out_address[48], int *out_port, bool *known)
{
    struct mh_sb_up *up = arg;
    struct mh_sb_target to;
    *known = false;
    if (!up->control || !mh_sb_service_route(up->control, address, port, &to, known))
        return false;
    mh_str_copy(out_address, 48, to.address);
    *out_port = to.port;
    return true;
}

static const char *
hosts(void *arg, struct mh_arena *a, const char *ns)
{
    struct mh_sb_up *up = arg;
    return up->control ? mh_sb_hosts(up->control, a, ns) : "";
}

static void
on_hosts(void *arg)
{
    struct mh_sb_up *up = arg;
    if (up->nodes)
        mh_sb_node_hosts_changed(up->nodes);
}

/* --- the end of the disk ---------------------------------------------------------------------------- */

static void
on_broken(void *arg, const char *why)
{
    struct mh_sb_up *up = arg;
    struct timeval soon = { .tv_usec = 200000 }; /* those who wait hear of it */
    (void)fprintf(stderr, "moonherd sandbox: %s\n", why);
    up->stopping = true;
    up->exit_code = 1;
    if (event_base_loopexit(up->base, &soon) != 0)
        event_base_loopbreak(up->base);
}

/* --- start ------------------------------------------------------------------------------------------- */

static enum mh_code
open_log(struct mh_sb_up *up, struct mh_err *err)
{
    char path[PATH_TEXT];
    if (up->options.verbose) {
        mh_log_set_fd(2);
        return MH_OK;
    }
    (void)snprintf(path, sizeof(path), "%s/sandbox.log", up->place.dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return mh_fail(err, MH_E_IO, "cannot write %s", path);
    mh_log_set_fd(fd);
    return MH_OK;
}

static enum mh_code
start_api(struct mh_sb_up *up, struct mh_err *err)
{
    struct mh_fs fs = mh_fs_real();
    char keys[PATH_TEXT], store[PATH_TEXT], api[24], service[24];
    (void)snprintf(keys, sizeof(keys), "%s/pki", up->place.dir);
    (void)snprintf(store, sizeof(store), "%s/store", up->place.dir);
    (void)snprintf(api, sizeof(api), "127.%d.0.1", up->place.n);
    (void)snprintf(service, sizeof(service), "127.%d.1.1", up->place.n);
    const char *const addresses[] = { api, service, NULL };
    enum mh_code code = fs.mkdir(fs.self, keys, 0700, err);
    if (code == MH_OK && up->options.data)
        code = fs.mkdir(fs.self, store, 0700, err);
    if (code == MH_OK)
        code = mh_sb_auth_init(&up->auth, keys, addresses, up->clock, up->rand, err);
    if (code != MH_OK)
        return code;
    struct mh_sb_config config = { .clock = up->clock,
                                   .rand = up->rand,
                                   .data_dir = up->options.data ? store : NULL,
                                   .address = up->place.server + strlen("https://"),
                                   .on_broken = on_broken,
                                   .arg = up };
    up->api = mh_sb_api_new(&config, err);
    if (!up->api)
        return err->code;
    up->auth.api = up->api;
    up->direct = mh_sb_direct(up->api, "system:apiserver");
    mh_sb_rbac_init(&up->rbac, up->api);
    mh_sb_faults_init(&up->faults, up->clock, up->rand);
    up->reviews = (struct mh_sb_reviews){ up->api, &up->auth, &up->rbac };
    struct mh_sb_admitter_config admitter = { .api = up->api,
                                              .rbac = &up->rbac,
                                              .http = up->http,
                                              .clock = up->clock,
                                              .rand = up->rand,
                                              .find = find_service,
                                              .arg = up };
    up->admitter = mh_sb_admitter_new(&admitter);
    if (!up->admitter || !up->direct.self)
        return mh_fail(err, MH_E_NOMEM, "no memory for the API server");
    *mh_sb_hooks(up->api) = (struct mh_sb_hooks){ .authorize = authorize,
                                                  .admit = admit,
                                                  .review = review,
                                                  .connect = connect_pod,
                                                  .other = other,
                                                  .arg = up };
    return MH_OK;
}

static enum mh_code
open_door(struct mh_sb_up *up, struct mh_err *err)
{
    char *address = mh_sb_api_address(&up->arena, up->place.n);
    struct mh_sb_door_config door = { .base = up->base,
                                      .api = up->api,
                                      .auth = &up->auth,
                                      .faults = &up->faults,
                                      .address = address,
                                      .port = up->place.port,
                                      .control = mh_sb_up_control,
                                      .arg = up };
    if (!address)
        return mh_fail(err, MH_E_NOMEM, "no memory for the API server");
    up->door = mh_sb_door_new(&door, err);
    if (!up->door)
        return err->code;
    char *text = mh_sb_auth_kubeconfig(&up->auth, &up->arena, up->place.server);
    if (!text)
        return mh_fail(err, MH_E_NOMEM, "no memory for the kubeconfig");
    return mh_sb_place_announce(&up->place, text, err);
}

static enum mh_code
start_control(struct mh_sb_up *up, struct mh_err *err)
{
    struct mh_sb_control_config config = { .n = up->place.n,
                                           .data = up->place.dir,
                                           .api_port = up->place.port,
                                           .ca_pem = up->auth.ca_pem,
                                           .on_hosts = on_hosts,
                                           .arg = up };
    struct mh_api api = mh_sb_direct(up->api, "system:kube-controller-manager");
    up->control = mh_sb_control_start(api, up->clock, up->base, &config, err);
    if (!up->control)
        return err->code;
    struct mh_sb_model_config model = { .n = up->place.n };
    api = mh_sb_direct(up->api, "system:node:modelled");
    up->model = mh_sb_model_start(api, up->clock, up->base, &model, err);
    return up->model ? MH_OK : err->code;
}

static enum mh_code
start_nodes(struct mh_sb_up *up, struct mh_err *err)
{
    struct mh_fs fs = mh_fs_real();
    char dir[PATH_TEXT], binary[PATH_TEXT];
    (void)snprintf(dir, sizeof(dir), "%s/run", up->place.dir);
    ssize_t n = readlink("/proc/self/exe", binary, sizeof(binary) - 1);
    if (n <= 0)
        return mh_fail(err, MH_E_IO, "/proc/self/exe cannot be read");
    binary[n] = '\0';
    if (fs.mkdir(fs.self, dir, 0711, err) != MH_OK)
        return err->code;
    struct mh_sb_nodes_spec spec = { .base = up->base,
                                     .clock = up->clock,
                                     .api = mh_sb_direct(up->api, "system:node"),
                                     .n = up->place.n,
                                     .nodes = up->options.nodes,
                                     .api_port = up->place.port,
                                     .dir = dir,
                                     .binary = binary,
                                     .operator_image = "localhost/moonherd:dev",
                                     .route = route,
                                     .hosts = hosts,
                                     .arg = up };
    up->nodes = mh_sb_node_start(&spec, err);
    return up->nodes ? MH_OK : err->code;
}

static void
on_signal(void *arg, int sig)
{
    struct mh_sb_up *up = arg;
    if (up->stopping) { /* twice: at once */
        mh_sb_place_leave(&up->place);
        _exit(128 + sig);
    }
    up->stopping = true;
    up->exit_code = sig == SIGINT ? 0 : up->exit_code;
    event_base_loopbreak(up->base);
}

static enum mh_code
start_loop(struct mh_sb_up *up, struct mh_err *err)
{
    static const int sigs[] = { SIGINT, SIGTERM, SIGHUP };
    up->base = mh_loop_new();
    if (!up->base)
        return mh_fail(err, MH_E_NOMEM, "no memory for the event loop");
    up->clock = mh_clock_real(up->base);
    up->rand = mh_rand_real();
    up->http = mh_http_new(up->base);
    if (!up->clock.self || !up->http)
        return mh_fail(err, MH_E_NOMEM, "no memory for the event loop");
    up->started_ns = up->clock.mono_ns(up->clock.self);
    for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
        up->signals[i] = mh_loop_on_signal(up->base, sigs[i], on_signal, up);
        if (!up->signals[i])
            return mh_fail(err, MH_E_NOMEM, "no memory for signals");
    }
    return MH_OK;
}

static enum mh_code
start(struct mh_sb_up *up, struct mh_err *err)
{
    char taken[64];
    enum mh_code code = up->options.bare ? MH_OK : mh_sb_node_enter(err);
    if (code == MH_OK)
        code = mh_sb_place_take(&up->place, &up->options, err);
    if (code == MH_OK)
        code = open_log(up, err);
    if (code == MH_OK)
        code = start_loop(up, err);
    if (code == MH_OK)
        code = start_api(up, err);
    if (code == MH_OK && !up->options.api_only)
        code = start_control(up, err);
    if (code == MH_OK)
        code = open_door(up, err);
    if (code != MH_OK)
        return code;
    mh_sb_say(up, "API server on %s", up->place.server);
    if (!up->options.bare && mh_sb_place_taken(&up->place, taken, sizeof(taken)))
        mh_sb_say(up,
                  "somebody listens on all addresses of this machine at port %s: pods that want to "
                  "listen there cannot. HINT: end it, or let it listen on 127.0.0.1 only",
                  taken);
    if (!up->options.bare && up->options.nodes > 0)
        code = start_nodes(up, err);
    return code;
}

/* --- end ----------------------------------------------------------------------------------------------- */

/* Who asks ends before who answers. */
static void
stop(struct mh_sb_up *up)
{
    mh_sb_boot_stop(up);
    mh_sb_connect_stop();
    mh_sb_door_free(up->door);
    up->door = NULL;
    mh_sb_node_stop(up->nodes);
    up->nodes = NULL;
    mh_sb_model_stop(up->model);
    mh_sb_control_stop(up->control);
    up->control = NULL;
    mh_sb_admitter_free(up->admitter);
    if (up->api) {
        *mh_sb_hooks(up->api) = (struct mh_sb_hooks){ 0 };
        mh_sb_rbac_release(&up->rbac);
        mh_sb_api_free(up->api);
    }
    mh_sb_auth_release(&up->auth);
    for (size_t i = 0; i < sizeof(up->signals) / sizeof(up->signals[0]); i++)
        mh_loop_off_signal(up->signals[i]);
    if (up->http)
        mh_http_free(up->http);
    if (up->clock.self)
        mh_clock_release(&up->clock);
    if (up->base)
        event_base_free(up->base);
    mh_sb_place_leave(&up->place);
    mh_map_release(&up->told);
    mh_arena_release(&up->arena);
}

int
mh_sb_up_main(const struct mh_sb_up_options *options)
{
    struct mh_err err = { 0 };
    struct mh_sb_up *up = mh_calloc(1, sizeof(*up));
    if (!up) {
        (void)fputs("moonherd sandbox: no memory\n", stderr);
        return 1;
    }
    up->options = *options;
    up->place.lock = up->place.number = -1;
    mh_arena_init(&up->arena, (size_t)256 << 20);
    mh_map_init(&up->told, 65536);
    (void)puts(
        "This is a sandbox, for trying and testing only: one process on this machine, reachable\n"
        "on its loopback addresses, without the guarantees of a real cluster.");
    (void)fflush(stdout);
    if (start(up, &err) == MH_OK) {
        mh_sb_boot_start(up);
        (void)event_base_dispatch(up->base);
        mh_sb_say(up, "ending");
    } else {
        (void)fprintf(stderr, "moonherd sandbox: %s\n", err.msg);
        up->exit_code = err.code == MH_E_EXISTS ? 3 : 1;
    }
    int code = up->exit_code;
    stop(up);
    mh_free(up);
    return code;
}
