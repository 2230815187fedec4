#include "base/str.h"
#include "base/time.h"
#include "harness/test.h"
#include "harness/world.h"
#include "kube/cache.h"

#define PODS "/api/v1/namespaces/n/pods"

static struct mh_kinds kinds;
static const struct mh_kind *pod;
static struct mh_cache *cache;
static char log_[1024];

static void
on_change(void *arg, const struct mh_kind *kind, const char *ns, const char *name, yyjson_val *old,
          yyjson_val *now)
{
    size_t n = strlen(log_);
    (void)arg;
    (void)kind;
    (void)ns;
    (void)snprintf(log_ + n, sizeof(log_) - n, "%c%s ", old && now ? '~' : now ? '+' : '-', name);
}

static bool
trim(void *arg, yyjson_mut_doc *doc, yyjson_mut_val *o)
{
    (void)arg;
    (void)doc;
    (void)yyjson_mut_obj_remove_key(o, "secret");
    return true;
}

static struct tw *
begin(const char *selector)
{
    struct tw *tw = tw_new(3);
    tw_store(tw);
    log_[0] = '\0';
    CHECK(mh_kinds_init(&kinds));
    pod = mh_kind_find(&kinds, "Pod");
    cache = mh_cache_new(tw->world.api, on_change, NULL);
    struct mh_cache_source s = {
        .kind = pod, .name_space = "n", .selector = selector, .trim = trim
    };
    CHECK(mh_cache_add(cache, &s));
    return tw;
}

static void
end(struct tw *tw)
{
    mh_cache_free(cache);
    mh_kinds_release(&kinds);
    tw_free(tw);
}

static yyjson_val *
get(struct tw *tw, const char *name)
{
    return mh_cache_get(cache, &tw->arena, pod, "n", name, NULL);
}

TEST(objects_are_kept_whole_but_for_managed_fields_and_what_trim_takes)
{
    struct tw *tw = begin(NULL);
    tw_put(tw, PODS "/a",
           "{\"metadata\":{\"managedFields\":[{\"x\":1}],\"labels\":{\"cnpg.io/cluster\":\"c\"}},"
           "\"secret\":1,\"unknown\":{\"big\":9223372036854775807,\"u\":18446744073709551615}}");
    CHECK(!mh_cache_synced(cache, NULL));
    tw_settle(tw);
    CHECK(mh_cache_synced(cache, NULL) && mh_cache_synced(cache, pod));
    yyjson_val *v = get(tw, "a");
    CHECK_STR(mh_json_str(v, "kind", NULL), "Pod");
    CHECK_STR(mh_json_str(v, "apiVersion", NULL), "v1");
    CHECK(mh_json_get(v, "metadata", "managedFields", NULL) == NULL);
    CHECK(mh_json_get(v, "secret", NULL) == NULL);
    CHECK(mh_json_int(v, 0, "unknown", "big", NULL) == INT64_MAX);
    CHECK(yyjson_get_uint(mh_json_get(v, "unknown", "u", NULL)) == UINT64_MAX);
    struct mh_err err;
    CHECK(!mh_cache_get(cache, &tw->arena, pod, "n", "b", &err) && err.code == MH_E_NOTFOUND);
    end(tw);
}

TEST(lists_are_sorted_and_follow_cluster_owner_and_label)
{
    struct tw *tw = begin(NULL);
    for (int i = 9; i > 0; i--) {
        char path[64];
        char json[256];
        (void)snprintf(path, sizeof(path), PODS "/p%d", i);
        (void)snprintf(json, sizeof(json),
                       "{\"metadata\":{\"labels\":{\"cnpg.io/cluster\":\"c%d\",\"r\":\"%d\"},"
                       "\"ownerReferences\":[{\"uid\":\"u%d\"},{\"uid\":\"w\"}]}}",
                       i % 3, i % 2, i % 4);
        tw_put(tw, path, json);
    }
    tw_settle(tw);
    yyjson_val **out;
    CHECK_INT(mh_cache_list(cache, &tw->arena, &(struct mh_cache_query){ .kind = pod }, &out), 9);
    CHECK_STR(mh_json_str(out[0], "metadata", "name", NULL), "p1");
    CHECK_STR(mh_json_str(out[8], "metadata", "name", NULL), "p9");
    struct mh_cache_query q = { .kind = pod, .cluster = "c1" };
    CHECK_INT(mh_cache_list(cache, &tw->arena, &q, &out), 3);
    CHECK_STR(mh_json_str(out[1], "metadata", "name", NULL), "p4");
    q = (struct mh_cache_query){ .owner_uid = "u1" };
    CHECK_INT(mh_cache_list(cache, &tw->arena, &q, &out), 3);
    q = (struct mh_cache_query){ .owner_uid = "w", .label = "r", .value = "0" };
    CHECK_INT(mh_cache_list(cache, &tw->arena, &q, &out), 4);
    q = (struct mh_cache_query){ .name_space = "other" };
    CHECK_INT(mh_cache_list(cache, &tw->arena, &q, &out), 0);
    tw_remove(tw, PODS "/p4");
    tw_put(tw, PODS "/p1", "{}"); /* loses its labels */
    tw_settle(tw);
    q = (struct mh_cache_query){ .cluster = "c1" };
    CHECK_INT(mh_cache_list(cache, &tw->arena, &q, &out), 1);
    CHECK_INT(mh_cache_count(cache, NULL), 8);
    end(tw);
}

TEST(a_relist_reports_what_was_missed_and_nothing_else)
{
    struct tw *tw = begin(NULL);
    tw_put(tw, PODS "/a", "{}");
    tw_put(tw, PODS "/b", "{}");
    tw_put(tw, PODS "/c", "{}");
    tw_settle(tw);
    CHECK_STR(log_, "+a +b +c ");
    log_[0] = '\0';
    tw_watch_break(tw, MH_NS_PER_S);
    tw_remove(tw, PODS "/b");
    tw_put(tw, PODS "/c", "{\"x\":1}");
    tw_put(tw, PODS "/d", "{}");
    tw_advance(tw, 500 * MH_NS_PER_MS);
    CHECK_STR(log_, "");
    CHECK(get(tw, "b") != NULL); /* the old state stays until the new one is complete */
    tw_advance(tw, MH_NS_PER_S);
    CHECK_STR(log_, "~c +d -b ");
    CHECK(get(tw, "b") == NULL && get(tw, "d") != NULL);
    end(tw);
}

static yyjson_val *
object(struct tw *tw, const char *uid, int version, int x)
{
    yyjson_val *v = NULL;
    char *text = mh_arena_printf(&tw->arena,
                                 "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"%s\","
                                 "\"resourceVersion\":\"%d\"},\"x\":%d}",
                                 uid, version, x);
    CHECK(mh_json_parse(&tw->arena, text, strlen(text), &v, NULL) == MH_OK);
    return v;
}

static void
event(struct tw *tw, enum mh_watch_kind kind, const char *uid, int version, int x)
{
    char *text = mh_json_text(&tw->arena, object(tw, uid, version, x), NULL);
    tw_watch_event(tw, "/api/v1", kind, text);
    tw_settle(tw);
}

static int
x_of(struct tw *tw)
{
    return (int)mh_json_int(get(tw, "a"), -1, "x", NULL);
}

TEST(our_own_write_is_seen_at_once_and_late_events_do_not_take_it_back)
{
    struct tw *tw = begin(NULL);
    tw_settle(tw);
    event(tw, MH_WATCH_ADDED, "u", 5, 1);
    mh_cache_wrote(cache, pod, object(tw, "u", 9, 2));
    CHECK_INT(x_of(tw), 2);
    CHECK_STR(log_, "+a ~a ");
    event(tw, MH_WATCH_MODIFIED, "u", 7, 3); /* on its way before ours */
    CHECK_INT(x_of(tw), 2);
    event(tw, MH_WATCH_MODIFIED, "u", 9, 2); /* ours, nothing new */
    CHECK_STR(log_, "+a ~a ");
    event(tw, MH_WATCH_MODIFIED, "u", 10, 4);
    CHECK_INT(x_of(tw), 4);
    mh_cache_wrote(cache, pod, object(tw, "u", 9, 2)); /* a reply that comes late */
    CHECK_INT(x_of(tw), 4);
    event(tw, MH_WATCH_DELETED, "other", 11, 0);
    CHECK_INT(x_of(tw), 4);
    event(tw, MH_WATCH_DELETED, "u", 12, 0);
    CHECK(get(tw, "a") == NULL);
    event(tw, MH_WATCH_ADDED, "v", 3, 7); /* recreated, on a server that went back in time */
    CHECK_INT(x_of(tw), 7);
    mh_cache_wrote(cache, pod, object(tw, "w", 20, 8)); /* we created it anew */
    event(tw, MH_WATCH_MODIFIED, "v", 15, 9);
    event(tw, MH_WATCH_DELETED, "v", 16, 9);
    CHECK_INT(x_of(tw), 8);
    mh_cache_gone(cache, pod, "n", "a", "v");
    CHECK_INT(x_of(tw), 8);
    mh_cache_gone(cache, pod, "n", "a", "w");
    CHECK(get(tw, "a") == NULL);
    end(tw);
}

TEST(a_reply_after_the_news_of_the_end_brings_nobody_back)
{
    struct tw *tw = begin(NULL);
    tw_settle(tw);
    event(tw, MH_WATCH_ADDED, "u", 5, 1);
    event(tw, MH_WATCH_DELETED, "u", 9, 1);
    mh_cache_wrote(cache, pod, object(tw, "u", 8, 2)); /* marked for deletion; then it went */
    CHECK(get(tw, "a") == NULL);
    mh_cache_wrote(cache, pod, object(tw, "u", 12, 3)); /* a selector takes it in again */
    CHECK_INT(x_of(tw), 3);
    event(tw, MH_WATCH_DELETED, "u", 13, 3);
    mh_cache_wrote(cache, pod, object(tw, "v", 11, 4)); /* another one of that name */
    CHECK_INT(x_of(tw), 4);
    end(tw);
}

/* An API whose watch events are played by hand, in the middle of a list too. */
static struct mh_watch_spec played;

static struct mh_watch *
play_watch(void *self, const struct mh_watch_spec *spec)
{
    played = *spec;
    return self;
}

static void
play_unwatch(void *self, struct mh_watch *w)
{
    (void)self;
    (void)w;
}

TEST(a_write_during_a_relist_is_not_taken_back_by_it)
{
    struct tw *tw = begin(NULL);
    struct mh_cache *first = cache;
    struct mh_api api = { NULL, NULL, play_watch, play_unwatch, tw };
    struct mh_cache_source s = { .kind = pod, .name_space = "n" };
    cache = mh_cache_new(api, on_change, NULL);
    CHECK(mh_cache_add(cache, &s));
    played.on_event(played.arg, MH_WATCH_RELIST, NULL);
    played.on_event(played.arg, MH_WATCH_SYNCED, NULL);
    played.on_event(played.arg, MH_WATCH_RELIST, NULL);
    mh_cache_wrote(cache, pod, object(tw, "u", 9, 2));
    played.on_event(played.arg, MH_WATCH_SYNCED, NULL); /* the list is older than our write */
    CHECK_INT(x_of(tw), 2);
    played.on_event(played.arg, MH_WATCH_RELIST, NULL);
    mh_cache_wrote(cache, pod, object(tw, "u", 12, 3));
    played.on_event(played.arg, MH_WATCH_ADDED, object(tw, "u", 10, 1));
    played.on_event(played.arg, MH_WATCH_SYNCED, NULL);
    CHECK_INT(x_of(tw), 3);
    played.on_event(played.arg, MH_WATCH_RELIST, NULL);
    played.on_event(played.arg, MH_WATCH_SYNCED, NULL); /* began after it: so it is gone */
    CHECK(get(tw, "a") == NULL);
    mh_cache_free(cache);
    cache = first;
    end(tw);
}

TEST(an_unknown_outcome_leaves_the_object_behind_until_it_is_heard_of)
{
    struct tw *tw = begin(NULL);
    tw_settle(tw);
    mh_cache_unknown(cache, pod, "n", "a");
    CHECK(mh_cache_is_behind(cache, pod, "n", "a") && !mh_cache_is_behind(cache, pod, "n", "b"));
    event(tw, MH_WATCH_ADDED, "u", 5, 1);
    CHECK(!mh_cache_is_behind(cache, pod, "n", "a"));
    mh_cache_unknown(cache, pod, "n", "a");
    mh_cache_wrote(cache, pod, object(tw, "u", 5, 1)); /* read back, the same */
    CHECK(!mh_cache_is_behind(cache, pod, "n", "a"));
    mh_cache_unknown(cache, pod, "n", "a");
    mh_cache_gone(cache, pod, "n", "a", NULL);
    CHECK(!mh_cache_is_behind(cache, pod, "n", "a"));
    end(tw);
}

static yyjson_val *
labels_of(struct tw *tw)
{
    static const char text[] = "{\"l\":{\"a\":\"1\",\"b\":\"\"}}";
    yyjson_val *v = NULL;
    CHECK(mh_json_parse(&tw->arena, text, strlen(text), &v, NULL) == MH_OK);
    return v;
}

TEST(what_the_selector_does_not_cover_is_not_kept)
{
    struct tw *tw = begin("cnpg.io/cluster");
    tw_settle(tw);
    mh_cache_wrote(cache, pod, object(tw, "u", 9, 2));
    CHECK(get(tw, "a") == NULL);
    yyjson_val *labels = mh_json_get(labels_of(tw), "l", NULL);
    CHECK(mh_selector_match("a=1,b", labels) && mh_selector_match("a==1,!c,a!=2", labels));
    CHECK(!mh_selector_match("a=2", labels) && !mh_selector_match("c", labels));
    CHECK(!mh_selector_match("!a", labels) && !mh_selector_match("a in (1)", labels));
    CHECK(mh_selector_match(NULL, NULL) && !mh_selector_match("a", NULL));
    end(tw);
}

TEST(after_any_failed_allocation_the_cache_becomes_right_again)
{
    for (int n = 0; n < 60; n++) {
        struct tw *tw = begin(NULL);
        tw_put(tw, PODS "/a", "{\"metadata\":{\"labels\":{\"cnpg.io/cluster\":\"c\"}}}");
        tw_put(tw, PODS "/b", "{}");
        mh_mem_fail_after(n);
        tw_settle(tw);
        tw_put(tw, PODS "/b", "{\"x\":1}");
        tw_settle(tw);
        tw_remove(tw, PODS "/a");
        tw_put(tw, PODS "/c", "{}");
        tw_settle(tw);
        mh_mem_fail_after(-1);
        (void)mh_cache_synced(cache, NULL); /* a reader begins the repair */
        tw_settle(tw);
        CHECK(mh_cache_synced(cache, NULL));
        CHECK(get(tw, "a") == NULL && get(tw, "c") != NULL);
        CHECK_INT(mh_json_int(get(tw, "b"), 0, "x", NULL), 1);
        CHECK_INT(mh_cache_count(cache, NULL), 2);
        end(tw);
    }
}

TEST(a_path_comes_apart_as_it_was_put_together)
{
    static const struct {
        const char *path;
        struct mh_kube_parts want;
    } good[] = {
        { "/api/v1/pods", { "", NULL, "pods", NULL, NULL } },
        { "/api/v1/namespaces/n/pods/p/status?x=y", { "", "n", "pods", "p", "status" } },
        { "/api/v1/namespaces/n", { "", NULL, "namespaces", "n", NULL } },
        { "/apis/g.io/v1/namespaces/n/things/t", { "g.io", "n", "things", "t", NULL } },
        { "/apis/g.io/v1/things", { "g.io", NULL, "things", NULL, NULL } },
    };
    static const char *const bad[] = { "",
                                       "/",
                                       "/api/v1",
                                       "/apis/g.io/v1",
                                       "/version",
                                       "/api/v1/pods/p/status/more",
                                       "/healthz/x/y",
                                       "/apis/g/v1/namespaces/n/a/b/c/d/e/f" };
    char text[128];
    struct mh_kube_parts p;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        (void)snprintf(text, sizeof(text), "%s", good[i].path);
        CHECK(mh_kube_path_split(text, &p));
        CHECK_STR(p.group, good[i].want.group);
        CHECK_STR(p.ns ? p.ns : "-", good[i].want.ns ? good[i].want.ns : "-");
        CHECK_STR(p.plural, good[i].want.plural);
        CHECK_STR(p.name ? p.name : "-", good[i].want.name ? good[i].want.name : "-");
        CHECK_STR(p.sub ? p.sub : "-", good[i].want.sub ? good[i].want.sub : "-");
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(text, sizeof(text), "%s", bad[i]);
        CHECK(!mh_kube_path_split(text, &p));
    }
}

TEST(paths_of_all_kinds_and_no_way_out_of_them)
{
    struct mh_arena a;
    mh_arena_init(&a, 1 << 20);
    CHECK(mh_kinds_init(&kinds));
    const struct mh_kind *node = mh_kind_find(&kinds, "Node");
    const struct mh_kind *c1 =
        mh_kinds_add(&kinds, "postgresql.cnpg.io", "v1", "Cluster", "clusters", true);
    const struct mh_kind *c2 =
        mh_kinds_add(&kinds, "postgresql.k8s.enterprisedb.io", "v1", "Cluster", "clusters", true);
    CHECK_STR(c1->key, "Cluster");
    CHECK_STR(c2->key, "Cluster.postgresql.k8s.enterprisedb.io");
    CHECK(mh_kind_find(&kinds, "Cluster.postgresql.cnpg.io") == c1);
    CHECK(mh_kind_find(&kinds, c2->key) == c2 && mh_kind_find(&kinds, "Nothing") == NULL);
    CHECK(mh_kinds_add(&kinds, "postgresql.cnpg.io", "v1", "Cluster", "clusters", true) == c1);
    CHECK_STR(mh_kube_path(&a, mh_kind_find(&kinds, "Pod"), "n", "p", "status"),
              "/api/v1/namespaces/n/pods/p/status");
    CHECK_STR(mh_kube_path(&a, c2, "n", "p", NULL),
              "/apis/postgresql.k8s.enterprisedb.io/v1/namespaces/n/clusters/p");
    CHECK_STR(mh_kube_path(&a, node, "n", "x", NULL), "/api/v1/nodes/x");
    CHECK_STR(mh_kube_path(&a, c1, NULL, NULL, NULL), "/apis/postgresql.cnpg.io/v1/clusters");
    static const char *const bad[] = { "", ".", "..", "a/b", "a?b", "a%2f", "a#b", "a b", "a\n" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(mh_kube_path(&a, c1, "n", bad[i], NULL) == NULL);
    char name[255] = "";
    memset(name, 'a', 253);
    CHECK(mh_kube_path(&a, c1, "n", name, NULL) != NULL);
    name[253] = 'a';
    CHECK(mh_kube_path(&a, c1, "n", name, NULL) == NULL);
    /* by whatever name: what is served there */
    CHECK(mh_kind_is_secret(mh_kinds_add(&kinds, "", "v1", "Treasure", "secrets", true)));
    CHECK(!mh_kind_is_secret(mh_kinds_add(&kinds, "x.y", "v1", "Secret", "secrets", true)));
    CHECK_STR(mh_kube_query(&a, mh_kube_query(&a, "/x", "a", "b=c, d"), "e", "f"),
              "/x?a=b%3Dc%2C%20d&e=f");
    mh_arena_release(&a);
    mh_kinds_release(&kinds);
}
