/* The life of a plugin beside a world that fails: its text in a real child, the API server in memory. */
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "harness/test.h"
#include "harness/world.h"
#include "operator/plugin_in.h"

#define CRD "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.things.example.dev"
#define TEXT(n)                                                                                    \
    "-- " n "\nreturn controller 'Thing' { api = 'things.example.dev/v1',\n"                       \
    " plan = function(seen) return ready(array {}, { n = 1 }) end }"

static struct {
    struct tw *tw;
    struct event_base *base;
    struct mh_kinds kinds;
    struct mh_plugins all;
    bool away; /* the API server does not answer about kinds */
} q;

static bool
answer(struct tw *tw, void *arg, const struct tw_request *r, struct tw_answer *a)
{
    (void)tw, (void)arg;
    if (strcmp(r->path, CRD) != 0)
        return false;
    if (q.away)
        a->code = MH_E_UNREACHABLE;
    a->json =
        "{\"metadata\":{\"annotations\":{\"moonherd.io/plugin-of\":\"moonherd-system/it/t.lua\"}},"
        "\"status\":{\"conditions\":[{\"type\":\"Established\",\"status\":\"True\"}]}}";
    return true;
}

static void
begin(void)
{
    static const char *const argv[] = { MH_TEST_WORKER, "plugin-worker", NULL };
    struct mh_err err;
    memset(&q, 0, sizeof(q));
    mh_log_set_level(MH_LOG_ERROR);
    q.tw = tw_new(1);
    tw_store(q.tw);
    tw_api_on(q.tw, answer, NULL);
    q.base = event_base_new();
    CHECK(mh_kinds_init(&q.kinds));
    q.all = (struct mh_plugins){ .base = q.base,
                                 .clock = q.tw->world.clock,
                                 .rand = q.tw->world.rand,
                                 .api = q.tw->world.api,
                                 .kinds = &q.kinds,
                                 .trusting = true,
                                 .name_space = "moonherd-system",
                                 .child_argv = argv };
    CHECK_INT(mh_plugins_init(&q.all, &err), MH_OK);
}

static void
end(void)
{
    mh_plugins_release(&q.all);
    mh_kinds_release(&q.kinds);
    event_base_free(q.base);
    tw_abandon(q.tw);
    tw_free(q.tw);
    mh_log_set_level(MH_LOG_INFO);
}

/* A ConfigMap with this text comes. */
static struct mh_plugin *
write_text(const char *ns, const char *text, const char *notes)
{
    struct mh_buf b;
    yyjson_val *v = NULL;
    mh_buf_init(&b, 65536);
    (void)mh_buf_printf(
        &b,
        "{\"metadata\":{\"name\":\"it\",\"namespace\":\"%s\",\"uid\":\"u\",\"labels\":{"
        "\"moonherd.io/plugin\":\"\"},\"annotations\":{%s}},\"data\":{\"t.lua\":",
        ns, notes);
    (void)mh_json_quote(&b, text, strlen(text));
    (void)mh_buf_str(&b, "}}");
    CHECK_INT(mh_json_parse(&q.tw->arena, mh_buf_text(&b), b.len, &v, NULL), MH_OK);
    mh_buf_release(&b);
    mh_plugins_update(&q.all, v);
    CHECK(q.all.first != NULL);
    return q.all.first;
}

/* Up to ten seconds of children, and as many of the world as there are turns. */
static bool
until(bool (*is)(const struct mh_plugin *p), int64_t step_ns)
{
    for (int i = 0; i < 5000; i++) {
        (void)event_base_loop(q.base, EVLOOP_NONBLOCK);
        tw_settle(q.tw);
        if (is(q.all.first))
            return true;
        tw_advance(q.tw, step_ns);
        (void)usleep(2000);
    }
    return false;
}

static bool
is_active(const struct mh_plugin *p)
{
    return p->active && p->active == p->latest;
}

static bool
waits(const struct mh_plugin *p)
{
    return p->trial && p->trial->waits;
}

static bool
is_rejected(const struct mh_plugin *p)
{
    return p->state == MH_PLUGIN_REJECTED && !p->trial;
}

/* What a record of an earlier life says: this text was in charge. */
static void
restore(const char *text)
{
    struct mh_record_of of = { .namespace = "moonherd-system", .name = "it", .uid = "u" };
    struct mh_buf b;
    yyjson_val *v = NULL;
    mh_buf_init(&b, 65536);
    (void)mh_buf_str(&b, "{\"t.lua\":{\"plugin\":true,\"script\":");
    (void)mh_json_quote(&b, text, strlen(text));
    (void)mh_buf_str(&b, "}}");
    CHECK_INT(mh_json_parse(&q.tw->arena, mh_buf_text(&b), b.len, &v, NULL), MH_OK);
    mh_buf_release(&b);
    mh_plugins_restore(&q.all, &of, v);
}

static bool
kept_is_back(const struct mh_plugin *p)
{
    return p->active && p->active != p->latest && waits(p);
}

#define MANUAL "\"moonherd.io/rollout\":\"manual\""

TEST(a_version_of_an_earlier_life_comes_back_when_the_api_server_does)
{
    begin();
    q.away = true;
    restore(TEXT("old"));
    struct mh_plugin *p = write_text("moonherd-system", TEXT("new"), MANUAL);
    mh_plugins_lead(&q.all, true);
    CHECK(until(is_rejected, 0) || p->kept); /* it was tried, to no end */
    for (int i = 0; i < 20 && !p->active; i++) {
        (void)event_base_loop(q.base, EVLOOP_NONBLOCK);
        tw_advance(q.tw, MH_NS_PER_S);
        (void)usleep(2000);
    }
    CHECK(!p->active);
    q.away = false;
    CHECK(until(kept_is_back, MH_NS_PER_S));
    end();
}

TEST(only_who_was_approved_last_comes_into_charge_without_an_approval)
{
    char note[100];
    begin();
    restore(TEXT("one"));
    struct mh_plugin *p = write_text("moonherd-system", TEXT("one"), MANUAL);
    mh_plugins_lead(&q.all, true);
    CHECK(until(is_active, 0)); /* as before */
    (void)write_text("moonherd-system", TEXT("two"), MANUAL);
    CHECK(until(waits, 0));
    (void)snprintf(note, sizeof(note), MANUAL ",\"moonherd.io/approve\":\"%s\"", p->latest->hash);
    (void)write_text("moonherd-system", TEXT("two"), note);
    CHECK(until(is_active, 0));
    (void)write_text("moonherd-system", TEXT("one"), note);
    CHECK(until(waits, 0)); /* nobody approved to go back */
    end();
}

TEST(a_plugin_that_waits_for_its_kind_takes_no_more_memory_each_time)
{
    static const char text[] =
        "return controller 'Thing' { api = 'things.example.dev/v1', needs = { api = { { group = "
        "'things.example.dev', resource = 'things', verbs = { 'get', 'list', 'watch' } },\n"
        "{ group = 'things.example.dev', resource = 'things/status', verbs = { 'patch' } } } },\n"
        "plan = function(seen) return ready({}, {}) end }";
    size_t used[6] = { 0 };
    begin();
    q.away = true;
    struct mh_plugin *p = write_text("shop", text, "");
    mh_plugins_lead(&q.all, true);
    for (int i = 0; i < 6; i++) {
        CHECK(until(is_rejected, 0));
        used[i] = p->latest->arena.used;
        CHECK(strstr(p->message, "CustomResourceDefinition") != NULL);
        tw_advance(q.tw, 11 * MH_NS_PER_S);
    }
    CHECK(used[1] > 0);
    CHECK_INT(used[5], used[1]);
    end();
}

TEST(who_was_in_charge_and_runs_out_of_time_is_tried_again)
{
    struct mh_err late = { .code = MH_OK }, wrong = { .code = MH_OK };
    (void)mh_fail(&late, MH_E_LIMIT, "the plugin did not answer in time and was killed");
    (void)mh_fail(&wrong, MH_E_SCRIPT, "t.lua:2: oh");
    for (int known = 0; known < 2; known++) {
        begin();
        if (known)
            restore(TEXT("one"));
        struct mh_plugin *p = write_text("moonherd-system", TEXT("one"), "");
        mh_plugins_lead(&q.all, true);
        mh_plugin_turn_down(p->trial, &late); /* the machine is slow */
        CHECK_INT(p->state, MH_PLUGIN_REJECTED);
        CHECK_INT(p->timer != NULL, known);
        if (known)
            CHECK(until(is_active, MH_NS_PER_S));
        end();
    }
    begin();
    restore(TEXT("one"));
    struct mh_plugin *p = write_text("moonherd-system", TEXT("one"), "");
    mh_plugins_lead(&q.all, true);
    mh_plugin_turn_down(p->trial, &wrong);
    CHECK(!p->timer);
    end();
}

#define THING "/apis/things.example.dev/v1/namespaces/shop/things/a"
#define OBJECT(more)                                                                               \
    "{\"apiVersion\":\"things.example.dev/v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"a\","   \
    "\"namespace\":\"shop\",\"uid\":\"T\",\"finalizers\":[\"other.example.dev/x\",\"moonherd.io/"  \
    "plugin\"]" more "}}"

static bool
is_let_go(const struct mh_plugin *p)
{
    (void)p;
    yyjson_val *list = mh_json_get(tw_object(q.tw, THING), "metadata", "finalizers", NULL);
    return yyjson_arr_size(list) == 1 &&
           yyjson_equals_str(yyjson_arr_get_first(list), "other.example.dev/x");
}

static bool
is_away(struct tw *tw, void *arg, const struct tw_request *r, struct tw_answer *a)
{
    int *left = arg;
    (void)tw;
    if (strcmp(r->path, THING) != 0 || *left == 0)
        return false;
    --*left;
    a->code = MH_E_UNREACHABLE;
    return true;
}

TEST(no_object_keeps_the_finalizer_of_a_plugin_that_is_gone)
{
    int away = 0;
    begin();
    tw_api_on(q.tw, is_away, &away);
    tw_put(q.tw, THING, OBJECT(""));
    (void)write_text("moonherd-system", TEXT("one"), "");
    mh_plugins_lead(&q.all, true);
    CHECK(until(is_active, 0));
    tw_advance(q.tw, MH_NS_PER_S);
    tw_watch_mute(q.tw, true); /* what is known of it is old */
    tw_put(q.tw, THING, OBJECT(",\"labels\":{\"a\":\"b\"}"));
    tw_settle(q.tw);
    away = 2;
    mh_plugins_remove(&q.all, "moonherd-system", "it");
    CHECK(!q.all.first);
    CHECK(until(is_let_go, MH_NS_PER_S));
    CHECK_STR(mh_json_str(tw_object(q.tw, THING), "metadata", "labels", "a", NULL), "b");
    CHECK(!q.all.leaving);
    end();
    begin(); /* and whoever ends meanwhile leaves nothing behind */
    away = 1000;
    tw_api_on(q.tw, is_away, &away);
    tw_put(q.tw, THING, OBJECT(""));
    (void)write_text("moonherd-system", TEXT("one"), "");
    mh_plugins_lead(&q.all, true);
    CHECK(until(is_active, 0));
    tw_advance(q.tw, MH_NS_PER_S);
    mh_plugins_remove(&q.all, "moonherd-system", "it");
    tw_advance(q.tw, MH_NS_PER_S);
    CHECK(q.all.leaving != NULL);
    (void)write_text("moonherd-system", TEXT("one"), ""); /* the finalizer is this one's now */
    CHECK(until(is_active, MH_NS_PER_S));
    tw_advance(q.tw, 60 * MH_NS_PER_S);
    CHECK(!q.all.leaving && !is_let_go(NULL));
    away = 1000;
    mh_plugins_remove(&q.all, "moonherd-system", "it");
    CHECK(q.all.leaving != NULL);
    end();
}

static struct mh_plugin_replay replay;
static bool replayed;

static void
on_replayed(struct mh_plugin_replay *r)
{
    CHECK(r == &replay);
    replayed = true;
}

static bool
is_replayed(const struct mh_plugin *p)
{
    (void)p;
    return replayed;
}

TEST(a_recorded_plan_is_compared_although_passes_go_on_meanwhile)
{
    static const char plan[] =
        "{\"actions\":[],\"ready\":true,\"reason\":\"Synced\",\"status\":{\"n\":1}}";
    begin();
    struct mh_plugin *p = write_text("moonherd-system", TEXT("one"), "");
    mh_plugin_remember(p, "{}", plan);
    replay = (struct mh_plugin_replay){
        .plugin = p, .text = p->latest, .arena = &q.tw->arena, .done = on_replayed
    };
    replayed = false;
    mh_plugin_replay_next(&replay);
    mh_plugin_forget_seen(p); /* its place is taken by a later one of the version in charge */
    mh_plugin_remember(p, "{\"n\":1}", "{\"actions\":[],\"reason\":\"Other\"}");
    CHECK(until(is_replayed, 0));
    CHECK_INT(replay.replayed, 1);
    CHECK_INT(replay.differ, 0);
    end();
}

TEST(who_does_not_lead_any_more_takes_nobody_into_charge)
{
    begin();
    struct mh_plugin *p = write_text("moonherd-system", TEXT("one"), "");
    mh_plugins_lead(&q.all, true);
    CHECK(until(is_active, 0));
    (void)write_text("moonherd-system", TEXT("two"), "");
    CHECK(until(is_active, 0));
    CHECK(p->good != NULL);
    for (int i = 0; i < MH_PLUGIN_ERRORS; i++)
        mh_plugin_failed(p, p->active, "oh");
    CHECK(p->fall != NULL); /* in the next turn of the loop */
    mh_plugins_lead(&q.all, false);
    tw_advance(q.tw, MH_NS_PER_S);
    CHECK(!p->work && !p->trial && !p->fall);
    mh_plugins_lead(&q.all, true);
    for (int i = 0; i < MH_PLUGIN_ERRORS; i++)
        mh_plugin_failed(p, p->active, "oh");
    tw_advance(q.tw, MH_NS_PER_S);
    CHECK_INT(p->state, MH_PLUGIN_ROLLED_BACK);
    CHECK(p->work != NULL);
    end();
}

#define RECORD "/clusterrecords/policy.it"

static struct mh_notebook notebook;
static struct mh_policy_writer writer;

static void
keep_records(void)
{
    notebook =
        (struct mh_notebook){ .api = q.tw->world.api,
                              .clock = q.tw->world.clock,
                              .kind = mh_kinds_add(&q.kinds, "moonherd.io", "v1alpha1",
                                                   "ClusterRecord", "clusterrecords", true) };
    writer = (struct mh_policy_writer){ .api = q.tw->world.api,
                                        .kind = mh_kind_find(&q.kinds, "ConfigMap"),
                                        .notebook = &notebook };
    mh_notebook_init(&notebook);
    mh_policy_writer_init(&writer);
    q.all.writer = &writer;
}

static void
end_records(void)
{
    q.all.writer = NULL;
    mh_policy_writer_release(&writer);
    mh_notebook_release(&notebook);
    end();
}

/* What the record says now, or will in a moment. */
static const char *
record(void)
{
    tw_advance(q.tw, 10 * MH_NS_PER_S);
    const struct tw_request *r = tw_api_last(q.tw, "PATCH", RECORD);
    return r ? r->body_text : "";
}

TEST(a_text_that_was_taken_away_does_not_come_back_with_the_next_operator)
{
    static const char none[] =
        "{\"metadata\":{\"name\":\"it\",\"namespace\":\"moonherd-system\",\"uid\":"
        "\"u\",\"labels\":{\"moonherd.io/plugin\":\"\"}},\"data\":{}}";
    yyjson_val *v = NULL;
    begin();
    keep_records();
    (void)write_text("moonherd-system", TEXT("one"), "");
    mh_plugins_lead(&q.all, true);
    CHECK(until(is_active, 0));
    CHECK(strstr(record(), "-- one"));
    CHECK_INT(mh_json_parse(&q.tw->arena, none, sizeof(none) - 1, &v, NULL), MH_OK);
    mh_plugins_update(&q.all, v);
    CHECK(!q.all.first);
    CHECK(!strstr(record(), "-- one"));
    int writes = tw_api_count(q.tw, "PATCH", RECORD);
    (void)write_text("moonherd-system", TEXT("two"), "");
    CHECK(until(is_active, 0));
    tw_advance(q.tw, 10 * MH_NS_PER_S);
    CHECK_INT(tw_api_count(q.tw, "PATCH", RECORD), writes + 1);
    mh_plugins_remove(&q.all, "moonherd-system", "it"); /* its record goes with it */
    tw_advance(q.tw, 10 * MH_NS_PER_S);
    CHECK_INT(tw_api_count(q.tw, "PATCH", RECORD), writes + 1);
    end_records();
}

TEST(a_record_keeps_who_is_not_back_in_charge_yet)
{
    begin();
    keep_records();
    q.away = true;
    restore(TEXT("old"));
    struct mh_plugin *p = write_text("moonherd-system", TEXT("new"), MANUAL);
    mh_plugins_lead(&q.all, true);
    mh_plugin_tell_record(p); /* another key of the same ConfigMap came into charge */
    CHECK(strstr(record(), "-- old"));
    end_records();
    begin();
    keep_records();
    q.away = true;
    restore(TEXT("same"));
    p = write_text("moonherd-system", TEXT("same"), MANUAL);
    mh_plugins_lead(&q.all, true);
    mh_plugin_tell_record(p);
    CHECK(strstr(record(), "-- same"));
    end_records();
    begin();
    keep_records();
    p = write_text("moonherd-system", TEXT("new"), MANUAL);
    mh_plugins_lead(&q.all, true);
    CHECK(until(waits, 0));
    mh_plugin_tell_record(p); /* nobody was */
    CHECK(strstr(record(), "t.lua") && !strstr(record(), "-- new"));
    end_records();
}

static bool
third_is_in_charge(const struct mh_plugin *p)
{
    return p->active && strstr(p->active->script, "-- third");
}

TEST(who_leads_next_takes_back_who_was_in_charge_last)
{
    begin();
    restore(TEXT("first"));
    struct mh_plugin *p = write_text("moonherd-system", TEXT("second"), MANUAL);
    CHECK(p->kept && strstr(p->kept->script, "-- first"));
    restore(TEXT("third")); /* the records are read again before we lead */
    CHECK(p->kept && strstr(p->kept->script, "-- third"));
    mh_plugins_lead(&q.all, true);
    CHECK(until(third_is_in_charge, 0));
    end();
}

#define CRDS "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

static struct {
    int made;    /* POST */
    bool theirs; /* somebody else was faster */
} kind;

/* There is no kind yet when it is asked for first. */
static bool
answer_absent(struct tw *tw, void *arg, const struct tw_request *r, struct tw_answer *a)
{
    (void)tw, (void)arg;
    if (strcmp(r->path, CRDS) == 0 && strcmp(r->method, "POST") == 0) {
        kind.made++;
        a->status = kind.theirs ? 409 : 201;
        a->json = "{\"kind\":\"Status\",\"reason\":\"AlreadyExists\"}";
        return true;
    }
    if (strcmp(r->path, CRD) != 0 || kind.made > 1)
        return false;
    if (kind.made == 0) {
        a->status = 404;
        a->json = "{\"kind\":\"Status\",\"reason\":\"NotFound\"}";
    } else if (kind.theirs) {
        a->json = "{\"metadata\":{\"annotations\":{\"moonherd.io/plugin-of\":\"x/y/z.lua\"}}}";
    }
    return kind.made == 0 || kind.theirs;
}

TEST(a_kind_that_somebody_else_made_meanwhile_is_not_taken_over)
{
    static const char text[] =
        "return controller 'Thing' { api = 'things.example.dev/v1', short = 'th',\n"
        " plan = function(seen) return ready() end }";
    for (int theirs = 0; theirs < 2; theirs++) {
        begin();
        memset(&kind, 0, sizeof(kind));
        kind.theirs = theirs;
        tw_api_on(q.tw, answer_absent, NULL);
        struct mh_plugin *p = write_text("moonherd-system", text, "");
        mh_plugins_lead(&q.all, true);
        CHECK(until(theirs ? is_rejected : is_active, 0));
        CHECK_INT(kind.made, 1);
        CHECK_INT(tw_api_count(q.tw, "PATCH", CRD), !theirs);
        CHECK(!theirs || strstr(p->message, "belongs to x/y/z.lua"));
        const struct tw_request *post = tw_api_last(q.tw, "POST", CRDS);
        CHECK(post && strstr(post->body_text, "moonherd-system/it/t.lua"));
        CHECK(post && !strstr(post->body_text, "shortNames")); /* what an edit may take away */
        const struct tw_request *patch = tw_api_last(q.tw, "PATCH", CRD);
        CHECK(theirs || (patch && strstr(patch->body_text, "shortNames")));
        end();
    }
}

#define KEPT_THING(name) "/apis/things.example.dev/v1/namespaces/shop/things/" name
#define KEPT_OBJECT(name, owner)                                                                   \
    "{\"apiVersion\":\"" owner                                                                     \
    ".example.dev/v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"" name                          \
    "\",\"namespace\":\"shop\",\"finalizers\":[\"moonherd.io/plugin\"]}}"
#define KIND_OF(group, owner)                                                                      \
    "{\"apiVersion\":\"apiextensions.k8s.io/"                                                      \
    "v1\",\"kind\":\"CustomResourceDefinition\",\"metadata\":{"                                    \
    "\"name\":\"things." group ".example.dev\",\"labels\":{\"app.kubernetes.io/managed-by\":"      \
    "\"moonherd\"},\"annotations\":{\"moonherd.io/plugin-of\":\"" owner                            \
    "\"}},\"spec\":{\"group\":\"" group                                                            \
    ".example.dev\",\"scope\":\"Namespaced\",\"names\":{\"plural\":\"things\",\"kind\":"           \
    "\"Thing\"},\"versions\":[{\"name\":\"v1\",\"served\":true,\"storage\":true}]}}"

static void
on_deleted(struct mh_api_call *call)
{
    CHECK_INT(call->err.code, MH_OK);
}

/* Somebody deletes it: with a finalizer it is only being deleted. */
static void
delete_thing(const char *path)
{
    static struct mh_api_call call;
    call = (struct mh_api_call){
        .method = "DELETE", .path = path, .arena = &q.tw->arena, .done = on_deleted
    };
    q.tw->world.api.start(q.tw->world.api.self, &call);
    tw_advance(q.tw, 10 * MH_NS_PER_MS);
}

/* A kind of that owner with one object that is being deleted, one that is not. */
static void
put_things(const char *crd)
{
    tw_put(q.tw, CRDS "/x", crd);
    tw_put(q.tw, KEPT_THING("goes"), KEPT_OBJECT("goes", "things"));
    tw_put(q.tw, KEPT_THING("stays"), KEPT_OBJECT("stays", "things"));
    delete_thing(KEPT_THING("goes"));
    CHECK(tw_object(q.tw, KEPT_THING("goes")) != NULL);
}

TEST(objects_of_a_plugin_that_went_while_no_operator_ran_can_be_deleted)
{
    begin();
    put_things(KIND_OF("things", "moonherd-system/old/t.lua"));
    mh_plugins_lead(&q.all, true);
    tw_advance(q.tw, 2 * MH_NS_PER_S);
    CHECK(tw_object(q.tw, KEPT_THING("goes")) == NULL);
    yyjson_val *stays = tw_object(q.tw, KEPT_THING("stays"));
    CHECK(stays && mh_plugin_has_finalizer(stays)); /* its plugin may come back */
    delete_thing(KEPT_THING("stays"));
    tw_advance(q.tw, 61 * MH_NS_PER_S);
    CHECK(tw_object(q.tw, KEPT_THING("stays")) == NULL);
    tw_advance(q.tw, 61 * MH_NS_PER_S);
    CHECK(!q.all.sweep && !q.all.leaving);
    end();
}

TEST(objects_whose_plugin_may_be_there_keep_its_finalizer)
{
    static const char *const elsewhere[] = { "shop", NULL };
    for (int i = 0; i < 5; i++) {
        begin();
        put_things(i == 0   ? KIND_OF("things", "moonherd-system/it/t.lua") /* it is there */
                   : i == 1 ? KIND_OF("things", "other-system/old/t.lua")   /* another operator's */
                            : KIND_OF("things", "moonherd-system/old/t.lua"));
        if (i == 0 ||
            i == 2) /* a plugin of that namespace may serve the kind of somebody who is gone */
            (void)write_text(i ? "shop" : "moonherd-system", "no text of any plugin", "");
        if (i == 3) /* not all ConfigMaps are seen */
            q.all.namespaces = elsewhere;
        mh_plugins_lead(&q.all, i != 4); /* nor does who is no leader */
        tw_advance(q.tw, 2 * MH_NS_PER_S);
        CHECK(tw_object(q.tw, KEPT_THING("goes")) != NULL);
        end();
    }
}

TEST(a_plugin_of_which_no_version_was_in_charge_leaves_no_finalizer_behind)
{
    begin();
    put_things(KIND_OF("things", "moonherd-system/it/t.lua"));
    (void)write_text("moonherd-system", "no text of any plugin", "");
    mh_plugins_lead(&q.all, true);
    CHECK(until(is_rejected, 0));
    CHECK(tw_object(q.tw, KEPT_THING("goes")) != NULL);
    mh_plugins_remove(&q.all, "moonherd-system", "it");
    tw_advance(q.tw, 2 * MH_NS_PER_S);
    CHECK(tw_object(q.tw, KEPT_THING("goes")) == NULL);
    mh_plugins_lead(&q.all, false);
    CHECK(!q.all.sweep);
    end();
}
