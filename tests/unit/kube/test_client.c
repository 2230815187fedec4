#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"
#include "base/time.h"
#include "fake_server.h"
#include "harness/test.h"
#include "io/loop.h"
#include "kube/client_impl.h"

static struct event_base *base;
static struct mh_http *http;
static struct mh_kube *kube;
static struct mh_kube_config config;
static struct fake fake;
static struct mh_arena arena;
static int dones;
static struct mh_api_call call;

static void
begin(void (*answer)(struct fake *, struct evhttp_request *, const char *))
{
    base = mh_loop_new();
    fake_open(&fake, base, answer);
    config = (struct mh_kube_config){ .server = fake.url };
    mh_arena_init(&config.arena, 1 << 16);
    mh_arena_init(&arena, 64 << 20);
    http = mh_http_new(base);
    kube = mh_kube_new(base, http, &config);
    dones = 0;
}

static void
end(void)
{
    mh_kube_free(kube);
    mh_http_free(http);
    fake_close(&fake);
    mh_arena_release(&arena);
    mh_free(config.file_token);
    event_base_free(base);
}

static void
done(struct mh_api_call *c)
{
    (void)c;
    dones++;
}

static struct mh_api_call *
go(const char *method, const char *path, const char *body, int timeout_ms)
{
    struct mh_api api = mh_kube_api(kube);
    dones = 0;
    call = (struct mh_api_call){ .method = method,
                                 .path = path,
                                 .body = body,
                                 .body_len = body ? strlen(body) : 0,
                                 .timeout_ms = timeout_ms,
                                 .arena = &arena,
                                 .done = done };
    api.start(api.self, &call);
    CHECK(dones == 0);
    CHECK(fake_wait(&fake, &dones, 1, 3000));
    return &call;
}

/* The path says how it is to be answered: /STATUS/REASON. */
static void
as_path_says(struct fake *f, struct evhttp_request *r, const char *uri)
{
    char body[256];
    char reason[64] = "";
    int status = 200;
    (void)f;
    (void)sscanf(uri, "/%d/%63s", &status, reason);
    (void)snprintf(body, sizeof(body), "{\"kind\":\"Status\",\"reason\":\"%s\",\"message\":\"%s\"}",
                   reason, "because");
    fake_reply(r, status, status == 429 ? "Retry-After: 1" : NULL, body);
}

TEST(answers_become_the_codes_of_the_contract)
{
    static const struct {
        const char *path;
        enum mh_code code;
    } cases[] = {
        { "/200/", MH_OK },
        { "/201/", MH_OK },
        { "/409/AlreadyExists", MH_E_EXISTS },
        { "/409/Conflict", MH_E_CONFLICT },
        { "/422/Invalid", MH_E_INVALID },
        { "/400/BadRequest", MH_E_INVALID },
        { "/401/Unauthorized", MH_E_DENIED },
        { "/403/Forbidden", MH_E_DENIED },
        { "/404/NotFound", MH_E_NOTFOUND },
        { "/410/Expired", MH_E_GONE },
        { "/500/InternalError", MH_E_UNAVAILABLE },
        { "/503/ServiceUnavailable", MH_E_UNAVAILABLE },
        { "/504/Timeout", MH_E_UNAVAILABLE },
    };
    begin(as_path_says);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        go("POST", cases[i].path, "{}", 0);
        CHECK_INT(call.err.code, cases[i].code);
        CHECK(call.err.code == MH_OK || strstr(call.err.msg, "because"));
        CHECK_STR(mh_json_str(call.reply, "message", NULL), "because");
    }
    CHECK(mh_http_connections(http) == 1);
    end();
}

static int second_done;

static void
done_second(struct mh_api_call *c)
{
    (void)c;
    second_done++;
}

TEST(after_a_429_others_wait_as_long_as_it_says_but_a_lease_does_not)
{
    begin(as_path_says);
    struct mh_api api = mh_kube_api(kube);
    go("GET", "/429/TooManyRequests", NULL, 0);
    CHECK(call.err.code == MH_E_THROTTLED && call.retry_after_ms == 1000);
    struct mh_api_call waits = {
        .method = "GET", .path = "/200/", .arena = &arena, .done = done_second
    };
    int64_t from = kube->clock.mono_ns(kube->clock.self);
    second_done = 0;
    api.start(api.self, &waits);
    go("GET", "/200/leases/x", NULL, 0);
    CHECK(call.err.code == MH_OK && second_done == 0);
    CHECK(kube->clock.mono_ns(kube->clock.self) - from < 500 * MH_NS_PER_MS);
    CHECK(fake_wait(&fake, &second_done, 1, 2000));
    CHECK(kube->clock.mono_ns(kube->clock.self) - from >= 900 * MH_NS_PER_MS);
    CHECK(mh_http_connections(http) == 2); /* urgent ones have their own */
    CHECK(mh_kube_stats(kube).throttled == 1);
    end();
}

TEST(the_bucket_lets_a_burst_through_and_then_so_many_a_second)
{
    begin(as_path_says);
    mh_kube_set_rate(kube, 50, 5);
    struct mh_api api = mh_kube_api(kube);
    static struct mh_api_call many[15];
    int64_t from = kube->clock.mono_ns(kube->clock.self);
    second_done = 0;
    for (int i = 0; i < 15; i++) {
        many[i] = (struct mh_api_call){
            .method = "GET", .path = "/200/", .arena = &arena, .done = done_second
        };
        api.start(api.self, &many[i]);
    }
    CHECK(mh_kube_stats(kube).waiting == 10);
    api.cancel(api.self, &many[14]);
    CHECK(fake_wait(&fake, &second_done, 14, 2000));
    CHECK(kube->clock.mono_ns(kube->clock.self) - from >= 150 * MH_NS_PER_MS);
    CHECK_INT(fake.requests, 14);
    end();
}

static char token_path[] = "/tmp/mh-token-XXXXXX";

static void
write_token(const char *s)
{
    FILE *f = fopen(token_path, "w");
    CHECK(f && fputs(s, f) >= 0 && fclose(f) == 0);
}

static void
only_new_token(struct fake *f, struct evhttp_request *r, const char *uri)
{
    (void)uri;
    bool good = strcmp(f->auth, "Bearer new") == 0;
    fake_reply(r, good ? 200 : 401, NULL, good ? "{}" : "{\"reason\":\"Unauthorized\"}");
}

TEST(a_rotated_token_is_read_again_after_a_401)
{
    begin(only_new_token);
    close(mkstemp(token_path));
    config.token_file = token_path;
    write_token("old\n");
    CHECK(go("POST", "/x", "{}", 0)->err.code == MH_E_DENIED);
    CHECK_INT(fake.requests, 2); /* it tried again, the file was still the old one */
    write_token("new\n");
    CHECK(go("POST", "/x", "{}", 0)->err.code == MH_OK);
    CHECK_INT(fake.requests, 4);
    CHECK(go("POST", "/x", "{}", 0)->err.code == MH_OK);
    CHECK_INT(fake.requests, 5);
    unlink(token_path);
    CHECK(go("POST", "/x", "{}", 0)->err.code == MH_OK); /* the former token stays */
    end();
}

static void
by_name(struct fake *f, struct evhttp_request *r, const char *uri)
{
    if (strcmp(uri, "/hold") == 0)
        fake_hold(f, r);
    else if (strcmp(uri, "/cut") == 0)
        evhttp_connection_free(evhttp_request_get_connection(r));
    else if (strcmp(uri, "/garbage") == 0)
        fake_reply(r, 200, NULL, "{\"a\":");
    else
        fake_reply(r, 200, NULL, "{\"n\":9007199254740993}");
}

TEST(no_answer_to_a_write_is_an_unknown_outcome_and_the_next_call_uses_a_new_connection)
{
    begin(by_name);
    CHECK(go("GET", "/ok", NULL, 0)->err.code == MH_OK);
    CHECK(mh_json_int(call.reply, 0, "n", NULL) == 9007199254740993LL);
    CHECK(go("PATCH", "/hold", "{}", 100)->err.code == MH_E_TIMEOUT && call.status == 0);
    unsigned long n = mh_http_connections(http);
    CHECK(go("GET", "/ok", NULL, 0)->err.code == MH_OK);
    CHECK(mh_http_connections(http) == n + 1);
    CHECK(go("GET", "/hold", NULL, 100)->err.code == MH_E_TIMEOUT);
    CHECK(go("POST", "/garbage", "{}", 0)->err.code == MH_E_TIMEOUT);
    CHECK(go("GET", "/garbage", NULL, 0)->err.code == MH_E_INVALID);
    CHECK(go("GET", "/cut", NULL, 0)->err.code == MH_E_UNREACHABLE);
    CHECK(go("POST", "/cut", "{}", 0)->err.code == MH_E_TIMEOUT);
    char nobody[] = "http://127.0.0.1:1";
    config.server = nobody;
    CHECK(go("POST", "/x", "{}", 0)->err.code == MH_E_UNREACHABLE);
    end();
}

TEST(a_cancelled_call_is_gone_on_the_wire_too)
{
    begin(by_name);
    struct mh_api api = mh_kube_api(kube);
    call = (struct mh_api_call){ .method = "GET", .path = "/hold", .arena = &arena, .done = done };
    api.start(api.self, &call);
    CHECK(fake_wait(&fake, &fake.requests, 1, 1000));
    api.cancel(api.self, &call);
    memset(&call, 0xff, sizeof(call)); /* it is the caller's again */
    CHECK(fake_wait(&fake, &fake.closed, 1, 1000));
    CHECK_INT(dones, 0);
    end();
}

TEST(every_failed_allocation_ends_in_one_done)
{
    for (int n = 0; n < 30; n++) {
        begin(by_name);
        struct mh_api api = mh_kube_api(kube);
        call =
            (struct mh_api_call){ .method = "GET", .path = "/ok", .arena = &arena, .done = done };
        mh_mem_fail_after(n);
        api.start(api.self, &call);
        CHECK(fake_wait(&fake, &dones, 1, 1000));
        mh_mem_fail_after(-1);
        CHECK(call.err.code == MH_OK || mh_class_of(call.err.code) == MH_RETRY);
        end();
    }
}

/* --- watches --------------------------------------------------------------------------------- */

static char events[2048];
static int nevents;
static struct mh_watch *watch;
static bool unwatch_inside;

static void
on_event(void *arg, enum mh_watch_kind kind, yyjson_val *object)
{
    static const char letters[] = "RAMDSL";
    size_t n = strlen(events);
    const char *name = mh_json_str(object, "metadata", "name", NULL);
    (void)arg;
    nevents++;
    (void)snprintf(events + n, sizeof(events) - n, "%c%s ", letters[kind], name ? name : "");
    if (unwatch_inside && kind == MH_WATCH_MODIFIED) {
        struct mh_api api = mh_kube_api(kube);
        api.unwatch(api.self, watch);
        watch = NULL;
    }
}

static void
start_watch(void)
{
    struct mh_api api = mh_kube_api(kube);
    struct mh_watch_spec spec = { "/api/v1/pods?labelSelector=a", on_event, NULL };
    events[0] = '\0';
    nevents = 0;
    unwatch_inside = false;
    watch = api.watch(api.self, &spec);
}

#define OBJECT(name, version)                                                                      \
    "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"}}"
#define EVENT(type, name, version) "{\"type\":\"" type "\",\"object\":" OBJECT(name, version) "}\n"

static int lists;
static int streams;
static const char *list_fails; /* a status for the second page */

static void
pods(struct fake *f, struct evhttp_request *r, const char *uri)
{
    if (strstr(uri, "watch=true")) {
        streams++;
        fake_stream(f, r, "");
    } else if (strstr(uri, "continue=")) {
        if (list_fails) {
            fake_reply(r, 410, NULL, "{\"reason\":\"Expired\"}");
            list_fails = NULL;
            return;
        }
        lists++;
        fake_reply(r, 200, NULL,
                   "{\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[" OBJECT("b", "4") "]}");
    } else {
        fake_reply(
            r, 200, NULL,
            "{\"metadata\":{\"resourceVersion\":\"10\",\"continue\":\"a/+=\"},\"items\":[" OBJECT(
                "a", "3") "]}");
    }
}

static void
begin_pods(void)
{
    lists = streams = 0;
    list_fails = NULL;
    begin(pods);
    start_watch();
    CHECK(fake_wait(&fake, &streams, 1, 2000));
}

TEST(pages_bookmarks_and_a_resumed_stream)
{
    begin_pods();
    CHECK_STR(events, "R Aa Ab S ");
    CHECK(strstr(fake.log, "GET /api/v1/pods?labelSelector=a&limit=500\n"));
    CHECK(strstr(fake.log, "limit=500&continue=a%2F%2B%3D\n"));
    CHECK(strstr(fake.log, "allowWatchBookmarks=true") && strstr(fake.log, "resourceVersion=10\n"));
    /* An event in two pieces, two in one piece. */
    fake_more(&fake, "{\"type\":\"ADDED\",\"obj");
    CHECK(!fake_wait(&fake, &nevents, 5, 50));
    fake_more(&fake, "ect\":" OBJECT("c", "11") "}\n" EVENT("MODIFIED", "c", "12")
                         EVENT("DELETED", "a", "13"));
    CHECK(fake_wait(&fake, &nevents, 7, 1000));
    fake_more(&fake, "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"77\"}}"
                     "}\n{\"type\":\"ADD");
    CHECK(!fake_wait(&fake, &nevents, 8, 50));
    fake_cut(&fake); /* in the middle of a line */
    CHECK(fake_wait(&fake, &streams, 2, 1000));
    CHECK_STR(events, "R Aa Ab S Ac Mc Da L ");
    CHECK(strstr(fake.log, "resourceVersion=77\n"));
    CHECK_INT(lists, 1);
    end();
}

TEST(a_410_lists_again_and_an_expired_list_begins_anew)
{
    begin_pods();
    list_fails = "410";
    fake_more(&fake, "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"message\":"
                     "\"too old\"}}\n");
    CHECK(fake_wait(&fake, &streams, 2, 2000));
    CHECK_STR(events, "R Aa Ab S R Aa R Aa Ab S ");
    CHECK_INT(lists, 2);
    end();
}

TEST(a_stalled_stream_is_left_and_resumed)
{
    begin_pods();
    end();
    lists = streams = 0;
    begin(pods);
    mh_kube_set_watch_times(kube, 150, 600000);
    start_watch();
    CHECK(fake_wait(&fake, &streams, 2, 2000));
    CHECK_STR(events, "R Aa Ab S L ");
    CHECK_INT(lists, 1);
    CHECK(mh_kube_stats(kube).lost == 1);
    end();
}

TEST(a_line_that_is_no_event_lists_again)
{
    begin_pods();
    fake_more(&fake, "{\"type\":\"ADDED\",\n");
    CHECK(fake_wait(&fake, &streams, 2, 2000));
    CHECK_STR(events, "R Aa Ab S R Aa Ab S ");
    fake_more(&fake, "{\"type\":\"NEWKIND\",\"object\":{}}\n\n" EVENT("ADDED", "z", "99"));
    CHECK(fake_wait(&fake, &nevents, 9, 1000));
    end();
}

TEST(an_ended_stream_goes_on_where_it_was_and_lists_now_and_then)
{
    begin_pods();
    fake_more(&fake, EVENT("ADDED", "c", "20"));
    CHECK(fake_wait(&fake, &nevents, 5, 1000));
    fake_end(&fake);
    CHECK(fake_wait(&fake, &streams, 2, 2000));
    CHECK(strstr(fake.log, "resourceVersion=20\n"));
    CHECK_STR(events, "R Aa Ab S Ac ");
    mh_kube_set_watch_times(kube, 75000, 1);
    fake_end(&fake);
    CHECK(fake_wait(&fake, &streams, 3, 2000));
    CHECK_STR(events, "R Aa Ab S Ac R Aa Ab S ");
    end();
}

TEST(a_watch_may_be_ended_inside_its_own_event)
{
    begin_pods();
    unwatch_inside = true;
    fake_more(&fake, EVENT("MODIFIED", "c", "20") EVENT("MODIFIED", "d", "21"));
    CHECK(fake_wait(&fake, &fake.closed, 1, 1000));
    CHECK_STR(events, "R Aa Ab S Mc ");
    end();
}

TEST(a_watch_gets_over_any_failed_allocation)
{
    for (int n = 0; n < 60; n += 3) {
        lists = streams = 0;
        list_fails = NULL;
        begin(pods);
        mh_mem_fail_after(n);
        start_watch();
        CHECK(watch || mh_mem_failed());
        if (watch)
            CHECK(fake_wait(&fake, &streams, 1, 3000));
        mh_mem_fail_after(-1);
        /* Whole in the end; between two pages it may have waited. */
        CHECK(!watch || strstr(events, "R Aa Ab S ") || strstr(events, "R Aa L Ab S "));
        end();
    }
}
