/* The API client, the cache, leader election and events against a real kube-apiserver; see run. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "harness/test.h"
#include "io/loop.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "kube/event.h"
#include "kube/leader.h"

#define NS "/api/v1/namespaces/here"
#define MAPS NS "/configmaps"
#define LEASE "/apis/coordination.k8s.io/v1/namespaces/here/leases"

static struct event_base *base;
static struct mh_http *http;
static struct mh_kube *kube;
static struct mh_kube_config config;
static struct mh_clock clk;
static struct mh_kinds kinds;
static struct mh_arena arena;
static struct mh_api api;
static struct mh_api_call call;
static int dones;

static void
begin(const char *kubeconfig)
{
    char path[256];
    struct mh_err err;
    (void)snprintf(path, sizeof(path), "%s/%s", getenv("MH_API_DIR"), kubeconfig);
    base = mh_loop_new();
    clk = mh_clock_real(base);
    mh_arena_init(&arena, 64 << 20);
    CHECK(mh_kube_config_load(&config, path, &err) == MH_OK);
    CHECK_STR(config.name_space, "here");
    CHECK(mh_kinds_init(&kinds));
    http = mh_http_new(base);
    kube = mh_kube_new(base, http, &config);
    api = mh_kube_api(kube);
}

static void
end(void)
{
    mh_kube_free(kube);
    mh_http_free(http);
    mh_kube_config_release(&config);
    mh_kinds_release(&kinds);
    mh_clock_release(&clk);
    mh_arena_release(&arena);
    event_base_free(base);
}

static void
ring(void *arg)
{
    *(bool *)arg = true;
}

/* Runs the loop until cond() or for ms. */
static bool
wait_for(bool (*cond)(void), int ms)
{
    bool late = false;
    struct mh_timer *t = clk.after(clk.self, ms * MH_NS_PER_MS, ring, &late);
    while (!late && !cond())
        event_base_loop(base, EVLOOP_ONCE);
    if (!late)
        clk.cancel(clk.self, t);
    return cond();
}

static void
done(struct mh_api_call *c)
{
    (void)c;
    dones++;
}

static bool
is_done(void)
{
    return dones > 0;
}

static struct mh_api_call *
go_as(const char *method, const char *path, const char *type, const char *body)
{
    dones = 0;
    call = (struct mh_api_call){ .method = method,
                                 .path = path,
                                 .content_type = type,
                                 .body = body,
                                 .body_len = body ? strlen(body) : 0,
                                 .arena = &arena,
                                 .done = done };
    api.start(api.self, &call);
    CHECK(wait_for(is_done, 12000));
    return &call;
}

static struct mh_api_call *
go(const char *method, const char *path, const char *body)
{
    return go_as(method, path, NULL, body);
}

#define CHECK_OK(c)                                                                                \
    do {                                                                                           \
        struct mh_api_call *c_ = (c);                                                              \
        if (c_->err.code != MH_OK)                                                                 \
            printf("# %s\n", c_->err.msg);                                                         \
        CHECK(c_->err.code == MH_OK);                                                              \
    } while (0)

static const char *
version_of(const struct mh_api_call *c)
{
    return mh_json_str(c->reply, "metadata", "resourceVersion", NULL);
}

static void
compacted(struct mh_http_call *c)
{
    (void)c;
    dones++;
}

/* Asks etcd itself to forget what was before this revision. */
static bool
compact(const char *revision)
{
    char url[256];
    struct mh_http_call h = { .method = "POST",
                              .content_type = "application/json",
                              .arena = &arena };
    (void)snprintf(url, sizeof(url), "%s/v3/kv/compaction", getenv("MH_API_ETCD"));
    char *body = mh_arena_printf(&arena, "{\"revision\":\"%s\",\"physical\":true}", revision);
    h.url = url;
    h.body = body;
    h.body_len = strlen(body);
    h.done = compacted;
    dones = 0;
    mh_http_start(http, &h);
    return wait_for(is_done, 5000) && h.err.code == MH_OK && h.status == 200;
}

TEST(create_get_list_patch_and_delete)
{
    begin("token.kubeconfig");
    CHECK_OK(go("POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"here\"}}"));
    CHECK_OK(go("POST", MAPS,
                "{\"metadata\":{\"name\":\"a\",\"annotations\":{\"n\":\"9007199254740993\"}},"
                "\"data\":{\"k\":\"1\"}}"));
    CHECK(call.status == 201);
    char *uid = mh_arena_strdup(&arena, mh_json_str(call.reply, "metadata", "uid", NULL));
    char *first = mh_arena_strdup(&arena, version_of(&call));
    CHECK(go("POST", MAPS, "{\"metadata\":{\"name\":\"a\"}}")->err.code == MH_E_EXISTS);
    CHECK(go("GET", MAPS "/b", NULL)->err.code == MH_E_NOTFOUND);
    CHECK(strstr(call.err.msg, "\"b\" not found"));
    CHECK(go("POST", MAPS, "{\"metadata\":{\"name\":\"A_B\"}}")->err.code == MH_E_INVALID);
    CHECK_OK(go_as("PATCH", MAPS "/a", MH_PATCH_MERGE, "{\"data\":{\"k\":\"2\"}}"));
    CHECK_STR(mh_json_str(call.reply, "data", "k", NULL), "2");
    char *stale = mh_arena_printf(
        &arena, "{\"metadata\":{\"resourceVersion\":\"%s\"},\"data\":{\"k\":\"3\"}}", first);
    CHECK(go_as("PATCH", MAPS "/a", MH_PATCH_MERGE, stale)->err.code == MH_E_CONFLICT);
    CHECK_OK(go_as("PATCH", MAPS "/a", MH_PATCH_JSON,
                   "[{\"op\":\"replace\",\"path\":\"/data/k\",\"value\":\"4\"}]"));
    CHECK_OK(go("GET", MAPS "?limit=1", NULL));
    CHECK(go("DELETE", MAPS "/a",
             "{\"preconditions\":{\"uid\":\"00000000-0000-0000-0000-000000000000\"}}")
              ->err.code == MH_E_CONFLICT);
    CHECK_OK(go("DELETE", MAPS "/a",
                mh_arena_printf(&arena, "{\"preconditions\":{\"uid\":\"%s\"}}", uid)));
    CHECK(go("DELETE", MAPS "/a", NULL)->err.code == MH_E_NOTFOUND);
    CHECK(mh_http_connections(http) == 1);
    end();
}

TEST(a_client_certificate_works_and_who_has_no_rights_is_denied)
{
    begin("certificate.kubeconfig");
    CHECK_OK(go("GET", NS, NULL));
    end();
    begin("nobody.kubeconfig");
    CHECK(go("GET", NS, NULL)->err.code == MH_E_DENIED && call.status == 403);
    end();
    begin("token.kubeconfig");
    char wrong[] = "wrong";
    config.token = wrong;
    CHECK(go("GET", NS, NULL)->err.code == MH_E_DENIED && call.status == 401);
    end();
    begin("token.kubeconfig");
    config.tls.ca_file = NULL; /* the system's list does not know this CA */
    CHECK(go("GET", NS, NULL)->err.code == MH_E_UNREACHABLE);
    end();
}

TEST(server_side_apply_owns_its_fields_and_status_is_written_under_a_resource_version)
{
    begin("token.kubeconfig");
    static const char pod[] =
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\"spec\":{"
        "\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}";
    CHECK_OK(go_as("PATCH", NS "/pods/p?fieldManager=moonherd&force=true", MH_PATCH_APPLY, pod));
    CHECK(call.status == 201);
    CHECK_OK(go_as("PATCH", NS "/pods/p?fieldManager=moonherd&force=true", MH_PATCH_APPLY, pod));
    char *version = mh_arena_strdup(&arena, version_of(&call));
    char *status = mh_arena_printf(&arena,
                                   "{\"metadata\":{\"resourceVersion\":\"%s\"},\"status\":{"
                                   "\"phase\":\"Running\",\"message\":\"m\"}}",
                                   version);
    CHECK_OK(go_as("PATCH", NS "/pods/p/status", MH_PATCH_MERGE, status));
    CHECK_STR(mh_json_str(call.reply, "status", "phase", NULL), "Running");
    CHECK(go_as("PATCH", NS "/pods/p/status", MH_PATCH_MERGE, status)->err.code == MH_E_CONFLICT);
    CHECK(mh_http_connections(http) == 1); /* pods' patches: the urgent lane alone */
    CHECK_OK(go("DELETE", NS "/pods/p?gracePeriodSeconds=0", NULL));
    CHECK(mh_http_connections(http) == 2);
    end();
}

static int won;

static void
count_win(struct mh_api_call *c)
{
    won += c->err.code == MH_OK;
    CHECK(c->err.code == MH_OK || c->err.code == MH_E_CONFLICT);
    dones++;
}

static bool
eight_done(void)
{
    return dones == 8;
}

TEST(of_eight_swaps_of_a_lease_under_one_version_one_wins)
{
    begin("token.kubeconfig");
    struct mh_api_call calls[8];
    CHECK_OK(go("POST", LEASE,
                "{\"metadata\":{\"name\":\"l\"},\"spec\":{\"holderIdentity\":\"x\","
                "\"leaseTransitions\":1}}"));
    char *version = mh_arena_strdup(&arena, version_of(&call));
    won = dones = 0;
    for (int i = 0; i < 8; i++) {
        char *body = mh_arena_printf(&arena,
                                     "{\"metadata\":{\"resourceVersion\":\"%s\"},\"spec\":{"
                                     "\"holderIdentity\":\"%d\",\"leaseTransitions\":2}}",
                                     version, i);
        calls[i] = (struct mh_api_call){ .method = "PATCH",
                                         .path = LEASE "/l",
                                         .content_type = MH_PATCH_MERGE,
                                         .body = body,
                                         .body_len = strlen(body),
                                         .arena = &arena,
                                         .done = count_win };
        api.start(api.self, &calls[i]);
    }
    CHECK(wait_for(eight_done, 5000));
    CHECK_INT(won, 1);
    CHECK(mh_http_connections(http) == 1); /* HTTP/2: all on one */
    end();
}

/* --- cache ----------------------------------------------------------------------------------- */

static struct mh_cache *cache;
static const struct mh_kind *map_kind;
static char seen[4096];
static const char *expected;

static void
on_change(void *arg, const struct mh_kind *kind, const char *ns, const char *name, yyjson_val *old,
          yyjson_val *now)
{
    size_t n = strlen(seen);
    (void)arg;
    (void)kind;
    if (strcmp(ns, "here") == 0 && strcmp(name, "kube-root-ca.crt") != 0)
        (void)snprintf(seen + n, sizeof(seen) - n, "%c%s ",
                       old && now ? '~'
                       : now      ? '+'
                                  : '-',
                       name);
}

static bool
is_synced(void)
{
    return mh_cache_synced(cache, NULL);
}

static bool
is_seen(void)
{
    return strcmp(seen, expected) == 0;
}

static bool
see(const char *what, int ms)
{
    expected = what;
    bool yes = wait_for(is_seen, ms);
    if (!yes)
        printf("# seen: %s\n", seen);
    seen[0] = '\0';
    return yes;
}

static void
begin_cache(const char *selector)
{
    static const char *const keys[] = { "ConfigMap", "Secret", "Pod", "Service", "Job", "Lease" };
    begin("token.kubeconfig");
    seen[0] = '\0';
    map_kind = mh_kind_find(&kinds, "ConfigMap");
    cache = mh_cache_new(api, on_change, NULL);
    for (int i = 0; i < 6; i++) {
        struct mh_cache_source s = { .kind = mh_kind_find(&kinds, keys[i]),
                                     .selector = i ? NULL : selector };
        CHECK(mh_cache_add(cache, &s));
    }
    CHECK(wait_for(is_synced, 10000));
    seen[0] = '\0';
}

static void
end_cache(void)
{
    mh_cache_free(cache);
    end();
}

TEST(the_cache_follows_and_all_its_watches_share_one_connection)
{
    begin_cache("cnpg.io/cluster");
    CHECK_OK(go("POST", MAPS,
                "{\"metadata\":{\"name\":\"m1\",\"labels\":{\"cnpg.io/cluster\":\"c\"}}}"));
    CHECK_OK(go("POST", MAPS, "{\"metadata\":{\"name\":\"other\"}}"));
    CHECK_OK(go_as("PATCH", MAPS "/m1", MH_PATCH_MERGE, "{\"data\":{\"a\":\"b\"}}"));
    CHECK(see("+m1 ~m1 ", 3000));
    yyjson_val *v = mh_cache_get(cache, &arena, map_kind, "here", "m1", NULL);
    CHECK_STR(mh_json_str(v, "kind", NULL), "ConfigMap");
    CHECK(mh_json_get(v, "metadata", "managedFields", NULL) == NULL);
    /* Our own write, before the watch says so, and only once. */
    CHECK_OK(go_as("PATCH", MAPS "/m1", MH_PATCH_MERGE, "{\"data\":{\"a\":\"c\"}}"));
    mh_cache_wrote(cache, map_kind, call.reply);
    v = mh_cache_get(cache, &arena, map_kind, "here", "m1", NULL);
    CHECK_STR(mh_json_str(v, "data", "a", NULL), "c");
    CHECK_OK(go("DELETE", MAPS "/m1", NULL));
    CHECK_OK(go("DELETE", MAPS "/other", NULL));
    CHECK(see("~m1 -m1 ", 3000));
    CHECK_INT((int)mh_http_connections(http), 1);
    end_cache();
}

TEST(a_list_of_many_pages_is_whole)
{
    begin("token.kubeconfig");
    for (int i = 0; i < 12; i++) {
        char body[128];
        (void)snprintf(body, sizeof(body),
                       "{\"metadata\":{\"name\":\"many%d\",\"labels\":{\"many\":\"y\"}}}", i);
        CHECK_OK(go("POST", MAPS, body));
    }
    /* Pages by hand, as the watch makes them with 500. */
    int n = 0;
    char *path = mh_kube_query(&arena, MAPS, "limit", "5");
    path = mh_kube_query(&arena, path, "labelSelector", "many=y");
    for (char *page = path; page;) {
        CHECK_OK(go("GET", page, NULL));
        n += (int)yyjson_arr_size(mh_json_get(call.reply, "items", NULL));
        const char *token = mh_json_str(call.reply, "metadata", "continue", NULL);
        page = token && *token ? mh_kube_query(&arena, path, "continue", token) : NULL;
    }
    CHECK_INT(n, 12);
    CHECK_OK(go("DELETE", MAPS "?labelSelector=many%3Dy", NULL));
    end();
}

static bool
is_relisted(void)
{
    return mh_kube_stats(kube).relists >= 2;
}

TEST(after_a_compaction_an_old_version_is_410_and_the_watch_lists_again)
{
    begin("token.kubeconfig");
    mh_kube_set_watch_times(kube, 300, 600000); /* the stream is left and resumed all the time */
    seen[0] = '\0';
    map_kind = mh_kind_find(&kinds, "ConfigMap");
    cache = mh_cache_new(api, on_change, NULL);
    struct mh_cache_source s = { .kind = map_kind };
    CHECK_OK(go("POST", MAPS, "{\"metadata\":{\"name\":\"old\"}}"));
    char *old = mh_arena_strdup(&arena, version_of(&call));
    CHECK(mh_cache_add(cache, &s));
    CHECK(wait_for(is_synced, 5000));
    CHECK(see("+old ", 1000));
    for (int i = 0; i < 5; i++)
        CHECK_OK(go("POST", NS "/secrets", "{\"metadata\":{\"generateName\":\"s-\"}}"));
    CHECK(compact(version_of(&call)));
    char *path =
        mh_arena_printf(&arena, MAPS "?resourceVersion=%s&resourceVersionMatch=Exact", old);
    CHECK(go("GET", path, NULL)->err.code == MH_E_GONE);
    CHECK(wait_for(is_relisted, 5000));
    CHECK_OK(go("DELETE", MAPS "/old", NULL));
    CHECK(see("-old ", 3000));
    end_cache();
}

TEST(client_and_watch_get_over_a_server_that_stands_still)
{
    pid_t server = (pid_t)strtol(getenv("MH_API_SERVER_PID"), NULL, 10);
    begin("token.kubeconfig");
    mh_kube_set_watch_times(kube, 1500, 600000);
    seen[0] = '\0';
    cache = mh_cache_new(api, on_change, NULL);
    struct mh_cache_source s = { .kind = map_kind = mh_kind_find(&kinds, "ConfigMap"),
                                 .selector = "x=y" };
    CHECK(mh_cache_add(cache, &s));
    CHECK(wait_for(is_synced, 5000));
    kill(server, SIGSTOP);
    dones = 0;
    call =
        (struct mh_api_call){ .method = "POST",
                              .path = MAPS,
                              .body = "{\"metadata\":{\"name\":\"slow\",\"labels\":{\"x\":\"y\"}}}",
                              .timeout_ms = 500,
                              .arena = &arena,
                              .done = done };
    call.body_len = strlen(call.body);
    api.start(api.self, &call);
    CHECK(wait_for(is_done, 3000));
    /* unknown: it may still come to be; on a new connection it was never sent */
    CHECK(call.err.code == MH_E_TIMEOUT || call.err.code == MH_E_UNREACHABLE);
    mh_cache_unknown(cache, map_kind, "here", "slow");
    kill(server, SIGCONT);
    CHECK(mh_cache_is_behind(cache, map_kind, "here", "slow"));
    CHECK_OK(go("GET", NS, NULL));
    (void)go("POST", MAPS, "{\"metadata\":{\"name\":\"slow\",\"labels\":{\"x\":\"y\"}}}");
    CHECK(call.err.code == MH_OK || call.err.code == MH_E_EXISTS);
    CHECK(see("+slow ", 5000));
    CHECK(!mh_cache_is_behind(cache, map_kind, "here", "slow"));
    CHECK_OK(go("DELETE", MAPS "/slow", NULL));
    CHECK(see("-slow ", 5000));
    end_cache();
}

/* --- leader and events ----------------------------------------------------------------------- */

static int leaders;
static int resigned;

static void
up(void *arg)
{
    (void)arg;
    leaders++;
}

static void
down(void *arg)
{
    (void)arg;
    leaders--;
}

static void
on_resigned(void *arg)
{
    (void)arg;
    resigned++;
}

static bool
one_leads(void)
{
    return leaders == 1;
}

static bool
has_resigned(void)
{
    return resigned == 1;
}

TEST(of_two_candidates_one_leads_and_the_other_takes_over_when_it_resigns)
{
    begin("token.kubeconfig");
    struct mh_leader_spec spec = { .name_space = "here",
                                   .name = "db9c8771.cnpg.io",
                                   .identity = "one",
                                   .retry_ms = 200,
                                   .on_started = up,
                                   .on_lost = down };
    leaders = resigned = 0;
    struct mh_leader *one = mh_leader_new(mh_kube_api_urgent(kube), clk, &spec);
    CHECK(wait_for(one_leads, 3000) && mh_leader_is(one));
    spec.identity = "two";
    struct mh_leader *two = mh_leader_new(mh_kube_api_urgent(kube), clk, &spec);
    (void)wait_for(has_resigned, 700);
    CHECK(mh_leader_is(one) && !mh_leader_is(two));
    mh_leader_resign(one, on_resigned, NULL);
    CHECK(leaders == 0);
    CHECK(wait_for(one_leads, 3000) && mh_leader_is(two));
    CHECK_OK(go("GET", LEASE "/db9c8771.cnpg.io", NULL));
    CHECK_STR(mh_json_str(call.reply, "spec", "holderIdentity", NULL), "two");
    CHECK_INT(mh_json_int(call.reply, -1, "spec", "leaseTransitions", NULL), 1);
    CHECK_OK(go("DELETE", LEASE "/db9c8771.cnpg.io", NULL));
    (void)wait_for(one_leads, 100);
    mh_leader_free(one);
    mh_leader_free(two);
    end();
}

static bool
never(void)
{
    return false;
}

TEST(events_are_recorded_and_the_same_again_is_counted)
{
    begin("token.kubeconfig");
    struct mh_events *ev = mh_events_new(api, clk, "moonherd", "pod-1");
    CHECK_OK(go("GET", NS, NULL));
    struct mh_event_ref ref = mh_event_ref_of(call.reply);
    ref.name_space = "here";
    for (int i = 0; i < 3; i++)
        mh_kube_event(ev, &ref, "Warning", "TestReason", "it is so");
    mh_kube_event(ev, &ref, "Normal", "Other", "it is otherwise");
    (void)wait_for(never, 700);
    CHECK_OK(go("GET", NS "/events?fieldSelector=reason%3DTestReason", NULL));
    yyjson_val *items = mh_json_get(call.reply, "items", NULL);
    CHECK_INT(yyjson_arr_size(items), 1);
    CHECK_INT(mh_json_int(yyjson_arr_get(items, 0), 0, "count", NULL), 3);
    CHECK_STR(mh_json_str(yyjson_arr_get(items, 0), "message", NULL), "it is so");
    CHECK(mh_events_dropped(ev) == 0);
    mh_events_free(ev);
    end();
}

TEST(the_resident_memory_of_a_client_with_six_watches_is_small)
{
    begin_cache(NULL);
    char text[256] = "";
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    long anonymous = 0;
    while (f && fgets(text, sizeof(text), f)) {
        if (strncmp(text, "Anonymous:", 10) == 0)
            anonymous = strtol(text + 10, NULL, 10);
    }
    if (f)
        (void)fclose(f);
    size_t bytes;
    size_t n = mh_cache_count(cache, &bytes);
    printf("# %ld kB anonymous; %zu objects of %zu bytes\n", anonymous, n, bytes);
#ifndef __SANITIZE_ADDRESS__
    CHECK(anonymous > 0 && anonymous < 8000);
#endif
    end_cache();
}
