/* up_control.c - what `sandbox status`, `fault` and `down` ask of the running sandbox. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "base/time.h"
#include "sandbox/up.h"

#define PREFIX "/moonherd/v1/sandbox/"
#define ARGS_MAX 4
#define NAME_TEXT 320

struct ask {
    struct mh_sb_up *up;
    struct mh_sb_req *req;
    yyjson_val *body;
    const char *ns;
    const char *args[ARGS_MAX];
    int nargs;
    struct mh_err err;
    const char *said; /* the sentence of the answer */
};

static const char *say(struct ask *k, const char *fmt, ...) MH_PRINTF(2, 3);

static const char *
say(struct ask *k, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    k->said = mh_arena_vprintf(k->req->arena, fmt, ap);
    va_end(ap);
    return k->said;
}

/* --- names ---------------------------------------------------------------------------------------------- */

/* A pod by name, or the primary of a cluster: "primary:first". NULL: *err says why. */
static const char *
pod_of(struct ask *k, const char *name)
{
    static const char primary[] = "primary:";
    if (!name)
        (void)mh_fail(&k->err, MH_E_INVALID, "which pod? HINT: a name, or primary:CLUSTER");
    if (!name || !mh_str_starts(name, primary))
        return name;
    yyjson_val *o = mh_sb_get(k->up->api, k->req->arena, "postgresql.cnpg.io", "clusters", k->ns,
                              name + sizeof(primary) - 1);
    const char *pod = mh_json_str(o, "status", "currentPrimary", NULL);
    if (!pod)
        (void)mh_fail(&k->err, MH_E_NOTFOUND, "cluster %s/%s has no primary", k->ns,
                      name + sizeof(primary) - 1);
    return pod;
}

/* Who is meant by one end of a cut: "NS/POD", "node:X", "api", "*". */
static const char *
end_of(struct ask *k, const char *name)
{
    if (!name || mh_str_eq(name, "api") || mh_str_eq(name, "*") || mh_str_starts(name, "node:") ||
        (strchr(name, '/') && !mh_str_starts(name, "primary:")))
        return name;
    const char *pod = pod_of(k, name);
    return pod ? mh_arena_printf(k->req->arena, "%s/%s", k->ns, pod) : NULL;
}

static int
signal_of(const char *name)
{
    static const struct {
        const char *name;
        int sig;
    } known[] = { { "KILL", SIGKILL }, { "TERM", SIGTERM }, { "INT", SIGINT },
                  { "QUIT", SIGQUIT }, { "ABRT", SIGABRT }, { "SEGV", SIGSEGV },
                  { "STOP", SIGSTOP }, { "CONT", SIGCONT }, { "HUP", SIGHUP } };
    if (!name)
        return SIGKILL;
    if (mh_str_starts(name, "SIG"))
        name += 3;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (mh_str_eq(known[i].name, name))
            return known[i].sig;
    return 0;
}

/* --- faults of pods and nodes ------------------------------------------------------------------------------ */

static void
fault_kill(struct ask *k)
{
    const char *pod = pod_of(k, k->args[0]);
    const char *process = mh_json_str(k->body, "process", NULL);
    const char *container = mh_json_str(k->body, "container", NULL);
    int sig = signal_of(mh_json_str(k->body, "signal", NULL));
    if (!pod)
        return;
    if (!sig) {
        (void)mh_fail(&k->err, MH_E_INVALID,
                      "no such signal. HINT: KILL, TERM, INT, QUIT, ABRT, "
                      "SEGV, STOP, CONT or HUP");
        return;
    }
    if (mh_sb_node_kill(k->up->nodes, k->ns, pod, container, process, sig, &k->err) == MH_OK)
        (void)say(k, "%s of pod %s/%s got %s", process ? process : "the first process", k->ns, pod,
                  strsignal(sig));
}

static void
fault_freeze(struct ask *k, bool frozen)
{
    const char *pod = pod_of(k, k->args[0]);
    if (pod && mh_sb_node_freeze(k->up->nodes, k->ns, pod, frozen, &k->err) == MH_OK)
        (void)say(k, "every process of pod %s/%s %s", k->ns, pod,
                  frozen ? "stands still" : "goes on");
}

static void
fault_net(struct ask *k, const char *verb)
{
    const char *a = end_of(k, k->args[0]), *b = end_of(k, k->args[1]);
    int64_t ms = 0;
    bool heal = mh_str_eq(verb, "heal");
    if (k->err.code != MH_OK)
        return;
    if (!heal && (!a || !b)) {
        (void)mh_fail(&k->err, MH_E_INVALID,
                      "%s needs two ends. HINT: a pod, primary:CLUSTER, "
                      "node:NAME, api or '*'",
                      verb);
        return;
    }
    if (mh_str_eq(verb, "cut")) {
        if (mh_sb_node_cut(k->up->nodes, a, b, &k->err) == MH_OK)
            (void)say(k, "nothing passes between %s and %s any more", a, b);
    } else if (heal) {
        if (mh_sb_node_heal(k->up->nodes, a, b, &k->err) == MH_OK)
            (void)say(k, "%s%s%s is healed", a ? a : "every pair", b ? " with " : "", b ? b : "");
    } else if (!k->args[2] || !mh_str_int(k->args[2], 0, 600000, &ms)) {
        (void)mh_fail(&k->err, MH_E_INVALID, "slow needs milliseconds: slow A B 200");
    } else if (mh_sb_node_slow(k->up->nodes, a, b, (int)ms, &k->err) == MH_OK) {
        (void)say(k, "bytes between %s and %s take %lld ms more", a, b, (long long)ms);
    }
}

static void
fault_power(struct ask *k, bool on)
{
    const char *node = k->args[0];
    if (node && mh_str_starts(node, "node:"))
        node += 5;
    if (!node)
        (void)mh_fail(&k->err, MH_E_INVALID, "which node?");
    else if (mh_sb_node_power(k->up->nodes, node, on, &k->err) == MH_OK)
        (void)say(k, "%s is %s", node, on ? "on" : "off");
}

static void
fault_fill(struct ask *k, bool fill)
{
    int64_t left = mh_json_int(k->body, 0, "free", NULL);
    if (!k->args[0])
        (void)mh_fail(&k->err, MH_E_INVALID, "which claim?");
    else if (mh_sb_node_fill(k->up->nodes, k->ns, k->args[0], fill ? left : -1, &k->err) == MH_OK)
        (void)say(k, fill ? "claim %s/%s has %lld bytes left" : "claim %s/%s has its space again",
                  k->ns, k->args[0], (long long)left);
}

/* --- faults of the API server -------------------------------------------------------------------------------- */

static void
fault_api(struct ask *k)
{
    const char *user = mh_json_str(k->body, "user", NULL);
    const char *resource = mh_json_str(k->body, "resource", NULL);
    int64_t seconds = mh_json_int(k->body, 0, "seconds", NULL), ms = 1000;
    int64_t percent = mh_json_int(k->body, 100, "percent", NULL);
    struct mh_sb_fault f = { .kind = mh_sb_fault_kind_of(k->args[0]) };
    if (!f.kind) {
        (void)mh_fail(&k->err, MH_E_INVALID,
                      "which fault of the API? HINT: down, slow MS, conflict, "
                      "throttle, error, lose or stale");
        return;
    }
    if (f.kind == MH_SB_FAULT_SLOW && (!k->args[1] || !mh_str_int(k->args[1], 1, 600000, &ms))) {
        (void)mh_fail(&k->err, MH_E_INVALID, "slow needs milliseconds: api slow 200");
        return;
    }
    if (percent < 1 || percent > 100) {
        (void)mh_fail(&k->err, MH_E_INVALID, "a fault meets 1 to 100 percent of the requests");
        return;
    }
    f.ms = (int)ms;
    f.percent = (int)percent;
    mh_str_copy(f.user, sizeof(f.user), user ? user : "");
    mh_str_copy(f.resource, sizeof(f.resource), resource ? resource : "");
    if (seconds > 0)
        f.until_ns = k->up->clock.mono_ns(k->up->clock.self) + seconds * MH_NS_PER_S;
    int id = mh_sb_faults_add(&k->up->faults, &f);
    if (!id)
        (void)mh_fail(&k->err, MH_E_LIMIT, "too many faults at once");
    else
        (void)say(k, "the API server's fault %d is on: %s", id, k->args[0]);
}

static void
fault_clear(struct ask *k)
{
    int64_t id = 0;
    if (k->args[0] && !mh_str_int(k->args[0], 1, 1000000, &id)) {
        (void)mh_fail(&k->err, MH_E_INVALID, "clear takes the number of a fault of the API server");
        return;
    }
    int n = mh_sb_faults_remove(&k->up->faults, (int)id);
    if (id == 0 && k->up->nodes)
        (void)mh_sb_node_heal(k->up->nodes, NULL, NULL, &k->err);
    (void)say(k, "%d faults of the API server taken away%s", n,
              id == 0 ? ", every pair healed" : "");
}

static void
fault(struct ask *k)
{
    const char *verb = mh_json_str(k->body, "verb", NULL);
    if (mh_str_eq(verb, "api")) {
        fault_api(k);
        return;
    }
    if (mh_str_eq(verb, "clear")) {
        fault_clear(k);
        return;
    }
    if (!k->up->nodes) {
        (void)mh_fail(&k->err, MH_E_UNAVAILABLE, "this sandbox has no nodes");
        return;
    }
    if (mh_str_eq(verb, "kill"))
        fault_kill(k);
    else if (mh_str_eq(verb, "freeze") || mh_str_eq(verb, "thaw"))
        fault_freeze(k, mh_str_eq(verb, "freeze"));
    else if (mh_str_eq(verb, "cut") || mh_str_eq(verb, "slow") || mh_str_eq(verb, "heal"))
        fault_net(k, verb);
    else if (mh_str_eq(verb, "off") || mh_str_eq(verb, "on"))
        fault_power(k, mh_str_eq(verb, "on"));
    else if (mh_str_eq(verb, "fill") || mh_str_eq(verb, "unfill"))
        fault_fill(k, mh_str_eq(verb, "fill"));
    else
        (void)mh_fail(&k->err, MH_E_INVALID,
                      "no fault is called '%s'. HINT: moonherd sandbox fault "
                      "--help",
                      verb ? verb : "");
}

/* --- status ---------------------------------------------------------------------------------------------------- */

static void
add_faults(struct ask *k, yyjson_mut_doc *d, yyjson_mut_val *root)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(d, root, "faults");
    const char **texts = NULL;
    int n = k->up->nodes ? mh_sb_node_faults(k->up->nodes, k->req->arena, &texts) : 0;
    for (int i = 0; i < n; i++)
        (void)yyjson_mut_arr_add_str(d, list, texts[i]);
    for (int i = 0; i < k->up->faults.len; i++) {
        const struct mh_sb_fault *f = &k->up->faults.items[i];
        char ms[24] = "";
        if (f->kind == MH_SB_FAULT_SLOW)
            (void)snprintf(ms, sizeof(ms), " %d", f->ms);
        const char *text =
            mh_arena_printf(k->req->arena, "api %s%s (number %d, %d%% of %s%s%s, met %lu times)",
                            mh_sb_fault_name(f->kind), ms, f->id, f->percent,
                            f->resource[0] ? f->resource : "all requests", f->user[0] ? " by " : "",
                            f->user, f->hits);
        if (text)
            (void)yyjson_mut_arr_add_str(d, list, text);
    }
}

static const char *
status_text(struct ask *k, size_t *n)
{
    struct mh_sb_up *up = k->up;
    struct mh_sb_stats stats;
    yyjson_mut_doc *d = mh_json_doc(k->req->arena);
    yyjson_mut_val *root = d ? yyjson_mut_obj(d) : NULL;
    mh_sb_stats_get(up->api, &stats);
    (void)yyjson_mut_obj_add_str(d, root, "version", MH_VERSION);
    (void)yyjson_mut_obj_add_int(d, root, "pid", getpid());
    (void)yyjson_mut_obj_add_str(d, root, "server", up->place.server);
    (void)yyjson_mut_obj_add_str(d, root, "directory", up->place.dir);
    (void)yyjson_mut_obj_add_bool(d, root, "kept", !up->place.temporary);
    (void)yyjson_mut_obj_add_int(d, root, "nodes", up->nodes ? up->options.nodes : 0);
    (void)yyjson_mut_obj_add_bool(d, root, "operatorReady", up->operator_ready);
    (void)yyjson_mut_obj_add_bool(d, root, "ready", up->phase > 3);
    (void)yyjson_mut_obj_add_int(
        d, root, "uptimeMs", (up->clock.mono_ns(up->clock.self) - up->started_ns) / MH_NS_PER_MS);
    yyjson_mut_val *s = yyjson_mut_obj_add_obj(d, root, "stats");
    (void)yyjson_mut_obj_add_uint(d, s, "resourceVersion", stats.version);
    (void)yyjson_mut_obj_add_uint(d, s, "objects", stats.objects);
    (void)yyjson_mut_obj_add_uint(d, s, "bytes", stats.bytes);
    (void)yyjson_mut_obj_add_uint(d, s, "watches", stats.watches);
    (void)yyjson_mut_obj_add_uint(d, s, "requests", stats.requests);
    (void)yyjson_mut_obj_add_uint(d, s, "lines", stats.lines);
    add_faults(k, d, root);
    return root ? mh_json_mut_text(k->req->arena, root, n) : NULL;
}

/* --- requests ---------------------------------------------------------------------------------------------------- */

static int
status_of(enum mh_code code)
{
    switch (code) {
    case MH_E_INVALID:
        return 400;
    case MH_E_NOTFOUND:
        return 404;
    case MH_E_UNAVAILABLE:
        return 503;
    case MH_E_LIMIT:
        return 429;
    default:
        return 500;
    }
}

static void
answer(struct ask *k)
{
    size_t n = 0;
    const char *text = NULL;
    if (k->err.code == MH_OK && k->said) {
        struct mh_buf b;
        mh_buf_init(&b, 64u << 10);
        (void)mh_buf_str(&b, "{\"done\":");
        (void)mh_json_quote(&b, k->said, strlen(k->said));
        (void)mh_buf_str(&b, "}");
        text = mh_arena_strndup(k->req->arena, mh_buf_text(&b), b.len);
        n = b.len;
        mh_buf_release(&b);
    } else if (k->err.code == MH_OK) {
        text = status_text(k, &n);
    }
    if (text)
        mh_sb_answer(k->req, 200, text, n);
    else if (k->err.code != MH_OK)
        mh_sb_refuse(k->req, status_of(k->err.code), NULL, k->err.msg);
    else
        mh_sb_refuse(k->req, 500, "InternalError", "no memory");
    k->req->done(k->req);
}

static void
on_stop(void *arg)
{
    struct mh_sb_up *up = arg;
    event_base_loopbreak(up->base);
}

static void
read_args(struct ask *k)
{
    const char *ns = mh_json_str(k->body, "namespace", NULL);
    yyjson_arr_iter i = yyjson_arr_iter_with(yyjson_obj_get(k->body, "args"));
    yyjson_val *v;
    while (k->nargs < ARGS_MAX && (v = yyjson_arr_iter_next(&i)))
        k->args[k->nargs++] = yyjson_get_str(v);
    k->ns = ns && *ns ? ns : "default";
}

void
mh_sb_up_control(void *arg, struct mh_sb_req *req)
{
    struct ask k = { .up = arg, .req = req };
    const char *what = req->path + sizeof(PREFIX) - 1;
    bool post = mh_str_eq(req->method, "POST");
    if (post && req->body_len &&
        mh_json_parse(req->arena, req->body, req->body_len, &k.body, &k.err) != MH_OK) {
        answer(&k);
        return;
    }
    read_args(&k);
    if (!post && mh_str_eq(what, "status")) {
        answer(&k);
    } else if (post && mh_str_eq(what, "fault")) {
        fault(&k);
        answer(&k);
    } else if (post && mh_str_eq(what, "stop")) {
        (void)k.up->clock.after(k.up->clock.self, 50 * MH_NS_PER_MS, on_stop, k.up);
        (void)say(&k, "the sandbox ends");
        answer(&k);
    } else {
        mh_sb_refuse(req, 404, "NotFound", "the sandbox has no such path");
        req->done(req);
    }
}
