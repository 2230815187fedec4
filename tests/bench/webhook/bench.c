/* bench.c - microseconds per admission review: the review alone, and through the HTTPS server.
 *
 *     bench_webhook N DIR POLICIES
 *
 * DIR holds reviews as an API server sends them: mutate-*.json and validate-*.json; POLICIES has
 * folders of policies, of which each becomes the review of a ConfigMap with it. The server runs
 * in a process of its own, on loopback, as in the operator; the client keeps one connection. First
 * each review is done in this process ("inside"), then each goes N times over the wire, all in
 * turn. One line for each: name, bytes, inside, p50, p99, mean of the wire. A policy is checked by a
 * worker, with its own cases and the fixtures of its decision point; all policies are one line.
 * "policy-worker" is what the server starts itself as. */
#include <curl/curl.h>
#include <dirent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "io/file.h"
#include "io/loop.h"
#include "lua/pool.h"
#include "lua/worker.h"
#include "net/x509.h"
#include "operator/config.h"
#include "operator/webhook.h"

#define BODIES_MAX 96
#define BODY_MAX ((size_t)1 << 20)
#define WARM_UP 50
#define BATCHES 21

struct mh_body {
    char name[64];
    char *text;
    size_t len;
    bool mutate;
    bool policy;
    double inside_us;
    int64_t *took_ns;
};

static struct mh_body bodies[BODIES_MAX];
static size_t nbodies;

static int64_t
now_ns(void *self)
{
    (void)self;
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * MH_NS_PER_S + t.tv_nsec;
}

_Noreturn static void
die(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench_webhook: %s: %s\n", what, why);
    exit(1);
}

/* --- reviews ----------------------------------------------------------------------------------- */

static int
by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int
wanted(const struct dirent *e)
{
    return (mh_str_starts(e->d_name, "mutate-") || mh_str_starts(e->d_name, "validate-")) &&
           mh_str_ends(e->d_name, ".json");
}

static void
read_bodies(struct mh_arena *a, const char *dir, long n)
{
    struct dirent **list;
    struct mh_err err;
    struct mh_fs fs = mh_fs_real();
    int found = scandir(dir, &list, wanted, by_name);
    if (found <= 0 || found > BODIES_MAX)
        die(dir, "no reviews, or too many");
    for (int i = 0; i < found; i++) {
        struct mh_body *b = &bodies[nbodies++];
        const char *path = mh_arena_printf(a, "%s/%s", dir, list[i]->d_name);
        if (!path || fs.read(fs.self, a, path, BODY_MAX, &b->text, &b->len, &err) != MH_OK)
            die(list[i]->d_name, "not read");
        mh_str_copy(b->name, sizeof(b->name), list[i]->d_name);
        b->name[strlen(b->name) - 5] = '\0';
        b->mutate = mh_str_starts(b->name, "mutate-");
        b->took_ns = mh_calloc((size_t)n, sizeof(*b->took_ns));
        if (!b->took_ns)
            die("memory", "none left");
        free(list[i]);
    }
    free(list);
}

/* DIR/POINT/NAME.lua as the review of a new ConfigMap. */
static void
add_policy(struct mh_arena *a, const char *dir, const char *name, long n)
{
    struct mh_fs fs = mh_fs_real();
    struct mh_body *b = &bodies[nbodies];
    struct mh_buf out;
    struct mh_err err;
    char *text = NULL, *params = NULL;
    size_t len = 0, params_len = 0;
    const char *stem = mh_arena_printf(a, "%s/%.*s", dir, (int)(strlen(name) - 4), name);
    const char *beside = stem ? mh_arena_printf(a, "%s.params.yaml", stem) : NULL;
    if (nbodies == BODIES_MAX || !beside ||
        fs.read(fs.self, a, mh_arena_printf(a, "%s.lua", stem), BODY_MAX, &text, &len, &err) !=
            MH_OK)
        die(name, "not read, or too many");
    if (fs.read(fs.self, a, beside, BODY_MAX, &params, &params_len, &err) != MH_OK)
        params = NULL;
    mh_buf_init(&out, BODY_MAX);
    (void)mh_buf_str(&out,
                     "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\","
                     "\"request\":{\"uid\":\"1\",\"operation\":\"CREATE\",\"object\":{\"metadata\":"
                     "{\"name\":\"p\",\"namespace\":\"bench\",\"labels\":{\"" MH_POLICY_LABEL
                     "\":\"\"}},\"data\":{\"policy.lua\":");
    (void)mh_json_quote(&out, text, len);
    if (params) {
        (void)mh_buf_str(&out, ",\"policy.params.yaml\":");
        (void)mh_json_quote(&out, params, params_len);
    }
    (void)mh_buf_str(&out, "}}}}");
    mh_str_copy(b->name, sizeof(b->name), name);
    b->policy = true;
    b->text = mh_arena_strndup(a, mh_buf_text(&out), out.len);
    b->len = out.len;
    b->took_ns = mh_calloc((size_t)n, sizeof(*b->took_ns));
    mh_buf_release(&out);
    if (!b->text || !b->took_ns)
        die("memory", "none left");
    nbodies++;
}

static void
read_policies(struct mh_arena *a, const char *dir, long n)
{
    struct dirent **points, **files;
    int npoints = scandir(dir, &points, NULL, by_name);
    for (int i = 0; i < npoints; i++) {
        const char *sub = mh_arena_printf(a, "%s/%s", dir, points[i]->d_name);
        int nfiles = points[i]->d_name[0] == '.' || !sub ? 0 : scandir(sub, &files, NULL, by_name);
        for (int k = 0; k < nfiles; k++) {
            if (mh_str_ends(files[k]->d_name, ".lua"))
                add_policy(a, sub, files[k]->d_name, n);
            free(files[k]);
        }
        if (nfiles > 0)
            free(files);
        free(points[i]);
    }
    if (npoints < 0)
        die(dir, "no policies");
    free(points);
}

static void
review(struct mh_webhook *w, const struct mh_body *b, bool show)
{
    struct mh_arena a;
    struct mh_review review;
    struct mh_err err;
    bool allowed = false;
    mh_arena_init(&a, (size_t)16 << 20);
    if (mh_review_parse(&a, b->text, b->len, &review, &err) != MH_OK)
        die(b->name, err.msg);
    const char *text = mh_webhook_review(w, &a, "cluster", b->mutate, &review, &allowed);
    if (!text || !allowed)
        die(b->name, text ? text : "no memory");
    if (show)
        printf("%s %s\n", b->name, text);
    mh_arena_release(&a);
}

static int
by_size(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return a < b ? -1 : a > b;
}

static int64_t
cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * MH_NS_PER_S + t.tv_nsec;
}

/* Time of the processor, the median of BATCHES means: collections count, other work of the machine
 * does not. */
static void
measure_inside(struct mh_webhook *w, long n)
{
    int64_t took[BATCHES];
    long each = n / BATCHES + 1;
    for (size_t i = 0; i < nbodies && !bodies[i].policy; i++) {
        for (int k = 0; k < WARM_UP; k++)
            review(w, &bodies[i], k == 0 && getenv("BENCH_SHOW"));
        for (int k = 0; k < BATCHES; k++) {
            int64_t began = cpu_ns();
            for (long m = 0; m < each; m++)
                review(w, &bodies[i], false);
            took[k] = cpu_ns() - began;
        }
        qsort(took, BATCHES, sizeof(*took), by_size);
        bodies[i].inside_us = (double)took[BATCHES / 2] / 1000.0 / (double)each;
    }
}

/* --- the server, in a child -------------------------------------------------------------------- */

_Noreturn static void
serve(struct mh_webhook_conf *conf, int out)
{
    struct mh_webhook *w = NULL;
    struct mh_arena a;
    struct mh_err err;
    struct mh_server_tls tls = { 0 };
    int64_t now = time(NULL);
    struct mh_x509_spec spec = {
        .cn = "bench", .usage = MH_X509_SERVER, .not_before = now - 300, .not_after = now + 86400
    };
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    mh_arena_init(&a, (size_t)1 << 20);
    struct event_base *base = mh_loop_new();
    if (!base || mh_x509_issue(&a, &spec, &tls.cert_pem, &tls.key_pem, &err) != MH_OK)
        die("certificate", err.msg);
    conf->policies = mh_policies_new(base, mh_pool_new(base, NULL), "moonherd-system", NULL, NULL);
    if (!conf->policies || mh_webhook_new(conf, &w, &err) != MH_OK)
        die("scripts", err.msg);
    struct mh_server *server = mh_server_new(base, "127.0.0.1", 0, &tls, &err);
    if (!server || !mh_webhook_route(w, server))
        die("server", err.msg);
    int port = mh_server_port(server);
    if (write(out, &port, sizeof(port)) != sizeof(port))
        die("pipe", "broken");
    event_base_dispatch(base);
    exit(0);
}

/* --- the client -------------------------------------------------------------------------------- */

/* arg: whether the answer was that it is allowed. */
static size_t
look(char *data, size_t size, size_t n, void *arg)
{
    if (memmem(data, size * n, "\"allowed\":true", 14))
        *(bool *)arg = true;
    return size * n;
}

static void
post(CURL *c, int port, struct mh_body *b, long at, bool first)
{
    char url[128];
    long code = 0, opened = 0;
    bool allowed = false;
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%d/%s", port,
                   b->policy   ? "validate-policy"
                   : b->mutate ? "mutate-postgresql-cnpg-io-v1-cluster"
                               : "validate-postgresql-cnpg-io-v1-cluster");
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &allowed);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, b->text);
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)b->len);
    int64_t began = now_ns(NULL);
    CURLcode rc = curl_easy_perform(c);
    int64_t took = now_ns(NULL) - began;
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_getinfo(c, CURLINFO_NUM_CONNECTS, &opened);
    if (rc != CURLE_OK || code != 200 || !allowed || (opened && !first))
        die(b->name,
            rc != CURLE_OK ? curl_easy_strerror(rc) : "another connection, not 200, or refused");
    if (at >= 0)
        b->took_ns[at] = took;
}

static void
measure_wire(int port, long n)
{
    CURL *c = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (!c || !headers)
        die("memory", "none left");
    headers = curl_slist_append(headers, "Expect:");
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, look);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, 20L);
    for (long k = -WARM_UP; k < n; k++)
        for (size_t i = 0; i < nbodies; i++)
            post(c, port, &bodies[i], k, k == -WARM_UP && i == 0);
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
}

static void
report(struct mh_body *b, long n)
{
    int64_t sum = 0;
    qsort(b->took_ns, (size_t)n, sizeof(*b->took_ns), by_size);
    for (long k = 0; k < n; k++)
        sum += b->took_ns[k];
    printf("%-18s %7zu %9.0f %9.0f %9.0f %9.0f\n", b->name, b->len, b->inside_us,
           (double)b->took_ns[n / 2] / 1000, (double)b->took_ns[(n * 99) / 100] / 1000,
           (double)sum / 1000 / (double)n);
}

/* All policies, each as often as the others. */
static void
report_policies(long n)
{
    size_t count = 0, slowest = 0;
    int64_t most = 0;
    int64_t *all = mh_calloc(nbodies * (size_t)n, sizeof(*all));
    for (size_t i = 0; all && i < nbodies; i++) {
        struct mh_body *b = &bodies[i];
        if (!b->policy)
            continue;
        memcpy(all + count * (size_t)n, b->took_ns, (size_t)n * sizeof(*all));
        qsort(b->took_ns, (size_t)n, sizeof(*b->took_ns), by_size);
        if (b->took_ns[n / 2] > most) {
            most = b->took_ns[n / 2];
            slowest = i;
        }
        count++;
    }
    size_t total = count * (size_t)n;
    if (!all || !total)
        die("policies", "none");
    qsort(all, total, sizeof(*all), by_size);
    double p99 = (double)all[total * 99 / 100] / 1e6;
    printf(
        "a policy, %zu of docs/policies (goal: p99 100 ms): p50 %.1f ms, p90 %.1f ms, p99 %.1f ms, "
        "most %.1f ms; %s\n",
        count, (double)all[total / 2] / 1e6, (double)all[total * 9 / 10] / 1e6, p99,
        (double)all[total - 1] / 1e6, p99 < 100 ? "met" : "NOT met");
    printf("# the slowest at its middle: %s, %.1f ms\n", bodies[slowest].name, (double)most / 1e6);
    mh_free(all);
}

int
main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "policy-worker") == 0)
        return mh_worker_main();
    static const char *const groups[] = { "postgresql.cnpg.io", NULL };
    static const char *const names[] = { "cluster", NULL };
    struct mh_config config;
    struct mh_err err = { .code = MH_OK };
    struct mh_webhook *w = NULL;
    int fds[2], port = 0;
    long n = argc == 4 ? strtol(argv[1], NULL, 10) : 0;
    if (n <= 0)
        die("usage", "bench_webhook N DIR POLICIES");
    mh_log_set_fd(2);
    if (mh_config_read(&config, 0, NULL, &err) != MH_OK)
        die("settings", err.msg);
    read_bodies(&config.arena, argv[2], n);
    read_policies(&config.arena, argv[3], n);
    struct mh_webhook_conf conf = { .groups = groups,
                                    .names = names,
                                    .env = mh_config_settings(&config, "0123"),
                                    .mono_ns = now_ns };
    if (!conf.env || mh_webhook_new(&conf, &w, &err) != MH_OK)
        die("scripts", err.msg);
    measure_inside(w, n);
    if (pipe(fds) != 0)
        die("pipe", "not made");
    pid_t child = fork();
    if (child == 0)
        serve(&conf, fds[1]);
    (void)close(fds[1]);
    if (child < 0 || read(fds[0], &port, sizeof(port)) != sizeof(port))
        die("server", "did not start");
    measure_wire(port, n);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    printf("%-18s %7s %9s %9s %9s %9s\n", "review (us)", "bytes", "inside", "wire p50", "wire p99",
           "mean");
    for (size_t i = 0; i < nbodies && !bodies[i].policy; i++)
        report(&bodies[i], n);
    report_policies(n);
    mh_webhook_free(w);
    mh_config_release(&config);
    return 0;
}
