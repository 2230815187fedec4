/* Watches, over mh_sb_watch_open and mh_sb_direct. */
#include "base/time.h"
#include "rest_help.h"

#define CMS "/api/v1/namespaces/default/configmaps"

static void
put(struct rig *rig, const char *name, const char *label)
{
    char body[256];
    char path[256];
    snprintf(body, sizeof(body), "{\"metadata\":{\"name\":\"%s\",\"labels\":{\"l\":\"%s\"}}}", name,
             label);
    snprintf(path, sizeof(path), CMS "/%s", name);
    ask(rig, "POST", CMS, body);
    if (rig->status == 409)
        ask(rig, "PUT", path, body);
}

TEST(a_watch_tells_what_is_there_and_what_changes)
{
    struct rig rig;
    struct lines l;
    rig_open(&rig, NULL);
    put(&rig, "a", "1");
    watch_open(&rig, &l, CMS "?watch=true");
    CHECK_STR(seen(&l), "ADDED a,");
    put(&rig, "b", "1");
    put(&rig, "a", "2");
    ask(&rig, "DELETE", CMS "/a", NULL);
    CHECK_STR(seen(&l), "ADDED b,MODIFIED a,DELETED a,");
    CHECK(strncmp(l.last, "{\"type\":\"DELETED\",\"object\":{\"kind\":\"ConfigMap\",", 44) == 0);
    CHECK(strstr(l.last, "\"resourceVersion\":\"8\"") != NULL);
    mh_sb_watch_close(l.watch);
    rig_close(&rig);
}

TEST(a_selector_makes_added_and_deleted_of_changes)
{
    struct rig rig;
    struct lines l;
    struct lines all;
    rig_open(&rig, NULL);
    watch_open(&rig, &l, CMS "?watch=1&labelSelector=l%3D1");
    watch_open(&rig, &all, "/api/v1/configmaps?watch=1");
    put(&rig, "a", "1");
    put(&rig, "a", "2");
    put(&rig, "a", "3");
    put(&rig, "a", "1");
    CHECK_STR(seen(&l), "ADDED a,DELETED a,ADDED a,");
    CHECK_STR(seen(&all), "ADDED a,MODIFIED a,MODIFIED a,MODIFIED a,");
    mh_sb_watch_close(l.watch);
    mh_sb_watch_close(all.watch);
    rig_close(&rig);
}

TEST(an_object_that_leaves_a_selection_is_told_as_it_was)
{
    struct rig rig;
    struct lines l;
    rig_open(&rig, NULL);
    put(&rig, "a", "1");
    watch_open(&rig, &l, CMS "?watch=1&labelSelector=l%3D1");
    (void)seen(&l);
    put(&rig, "a", "2");
    CHECK_STR(seen(&l), "DELETED a,");
    CHECK(strstr(l.last, "\"l\":\"1\"") != NULL);
    CHECK(strstr(l.last, "\"resourceVersion\":\"6\"") != NULL);
    mh_sb_watch_close(l.watch);
    rig_close(&rig);
}

TEST(a_watch_goes_on_from_a_version_or_is_told_that_it_is_too_old)
{
    struct rig rig;
    struct lines l;
    rig_open(&rig, NULL);
    put(&rig, "a", "1");
    put(&rig, "a", "2");
    watch_open(&rig, &l, CMS "?watch=1&resourceVersion=5");
    CHECK_STR(seen(&l), "MODIFIED a,");
    mh_sb_watch_close(l.watch);
    mh_sb_compact(rig.api);
    watch_open(&rig, &l, CMS "?watch=1&resourceVersion=5");
    CHECK_STR(seen(&l), "ERROR,");
    CHECK(strstr(l.last, "\"code\":410") != NULL);
    CHECK(l.ended);
    mh_sb_watch_close(l.watch);
    rig_close(&rig);
}

TEST(bookmarks_come_and_the_stream_ends_in_time)
{
    struct rig rig;
    struct lines l;
    rig_open(&rig, NULL);
    put(&rig, "a", "1");
    watch_open(&rig, &l,
               CMS "?watch=1&allowWatchBookmarks=true&sendInitialEvents=true&"
                   "resourceVersionMatch=NotOlderThan&timeoutSeconds=100");
    CHECK_STR(seen(&l), "ADDED a,BOOKMARK,");
    CHECK(strstr(l.last, "initial-events-end") != NULL);
    tw_advance(rig.tw, 65 * MH_NS_PER_S);
    CHECK_STR(seen(&l), "BOOKMARK,");
    CHECK(!l.ended);
    tw_advance(rig.tw, 40 * MH_NS_PER_S);
    CHECK(l.ended);
    mh_sb_watch_close(l.watch);
    rig_close(&rig);
}

/* --- mh_sb_direct ---------------------------------------------------------------------------- */

struct counted {
    char seen[512];
    struct mh_api *api;
    struct mh_watch **end; /* unwatch this when something is ADDED */
};

static void
on_event(void *arg, enum mh_watch_kind kind, yyjson_val *object)
{
    static const char *const names[] = {
        "RELIST", "ADDED", "MODIFIED", "DELETED", "SYNCED", "LOST"
    };
    struct counted *c = arg;
    const char *name = mh_json_str(object, "metadata", "name", NULL);
    strcat(strcat(strcat(c->seen, names[kind]), name ? name : ""), ",");
    if (kind == MH_WATCH_ADDED && c->end && *c->end) {
        c->api->unwatch(c->api->self, *c->end);
        *c->end = NULL;
    }
}

static void
call_done(struct mh_api_call *call)
{
    (*(int *)call->arg)++;
}

TEST(the_direct_api_calls_and_watches)
{
    struct rig rig;
    struct counted c = { 0 };
    int done = 0;
    rig_open(&rig, NULL);
    struct mh_api api = mh_sb_direct(rig.api, "system:test");
    struct mh_watch *w = api.watch(api.self, &(struct mh_watch_spec){ CMS, on_event, &c });
    tw_settle(rig.tw);
    CHECK_STR(c.seen, "RELIST,SYNCED,");
    c.seen[0] = '\0';
    const char *body = "{\"metadata\":{\"name\":\"d\"}}";
    struct mh_api_call call = { .method = "POST",
                                .path = CMS,
                                .body = body,
                                .body_len = strlen(body),
                                .arena = &rig.arena,
                                .done = call_done,
                                .arg = &done };
    api.start(api.self, &call);
    CHECK_INT(done, 0);
    tw_settle(rig.tw);
    CHECK_INT(done, 1);
    CHECK_INT(call.status, 201);
    CHECK_STR(mh_json_str(call.reply, "metadata", "name", NULL), "d");
    CHECK_STR(c.seen, "ADDEDd,");
    api.start(api.self, &call);
    tw_settle(rig.tw);
    CHECK_INT(call.err.code, MH_E_EXISTS);
    api.start(api.self, &call);
    api.cancel(api.self, &call);
    tw_settle(rig.tw);
    CHECK_INT(done, 2);
    api.unwatch(api.self, w);
    ask(&rig, "DELETE", CMS "/d", NULL);
    tw_settle(rig.tw);
    CHECK_STR(c.seen, "ADDEDd,");
    rig_close(&rig);
}

TEST(a_direct_watch_may_end_inside_its_event)
{
    struct rig rig;
    struct counted c = { 0 };
    rig_open(&rig, NULL);
    struct mh_api api = mh_sb_direct(rig.api, "system:test");
    c.api = &api;
    struct mh_watch *w = api.watch(api.self, &(struct mh_watch_spec){ CMS, on_event, &c });
    c.end = &w;
    put(&rig, "a", "1");
    put(&rig, "b", "1");
    tw_settle(rig.tw);
    tw_settle(rig.tw);
    CHECK_STR(c.seen, "RELIST,ADDEDa,");
    rig_close(&rig);
}
