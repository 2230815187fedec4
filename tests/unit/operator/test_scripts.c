/* The text of a plugin, unchanged, as a controller of the image: the same declaration, ctx, words and
 * results. And a controller of the image that reaches for more than it declares. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "harness/test.h"
#include "harness/world.h"
#include "operator/scripts.h"

#define CLUSTERS "/apis/postgresql.cnpg.io/v1/namespaces/shop/clusters"

static struct {
    struct tw *tw;
    struct mh_kinds kinds;
    struct mh_cache *cache;
    struct mh_scripts_env env;
    struct mh_planner planner;
    struct mh_planner_call call;
    struct mh_arena arena;
    struct mh_err err;
    bool done;
    char dir[64], file[200];
} q;

/* As scripts/controllers/NAME.lua: a file that is there, or a text. */
static void
place(const char *name, const char *from, const char *text)
{
    char folder[96], whole[400];
    (void)snprintf(q.dir, sizeof(q.dir), "/tmp/mh-scripts.XXXXXX");
    CHECK(mkdtemp(q.dir) != NULL);
    (void)snprintf(folder, sizeof(folder), "%s/controllers", q.dir);
    CHECK_INT(mkdir(folder, 0700), 0);
    (void)snprintf(q.file, sizeof(q.file), "%s/%s.lua", folder, name);
    if (from) {
        char *here = getcwd(whole, sizeof(whole) - 100);
        (void)snprintf(whole + strlen(here), 100, "/%s", from);
        CHECK_INT(symlink(whole, q.file), 0);
    } else {
        FILE *f = fopen(q.file, "w");
        CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
    }
    (void)setenv("MOONHERD_SCRIPTS", q.dir, 1);
}

static void
clear(void)
{
    char folder[96];
    (void)unsetenv("MOONHERD_SCRIPTS");
    (void)unlink(q.file);
    (void)snprintf(folder, sizeof(folder), "%s/controllers", q.dir);
    (void)rmdir(folder);
    (void)rmdir(q.dir);
}

static void
begin(const char *name, const char *from, const char *text)
{
    memset(&q, 0, sizeof(q));
    mh_log_set_fd(-1);
    q.tw = tw_new(1);
    tw_store(q.tw);
    mh_arena_init(&q.arena, (size_t)16 << 20);
    CHECK(mh_kinds_init(&q.kinds));
    CHECK(mh_kinds_add(&q.kinds, "postgresql.cnpg.io", "v1", "Cluster", "clusters", true));
    CHECK(mh_kinds_add(&q.kinds, "hours.example.dev", "v1", "OfficeHours", "officehours", true));
    q.cache = mh_cache_new(q.tw->world.api, NULL, NULL);
    struct mh_cache_source source = { .kind = mh_kind_find(&q.kinds, "Cluster") };
    CHECK(mh_cache_add(q.cache, &source));
    source.kind = mh_kind_find(&q.kinds, "Secret");
    CHECK(mh_cache_add(q.cache, &source));
    tw_settle(q.tw);
    q.env = (struct mh_scripts_env){ .clock = q.tw->world.clock,
                                     .api = q.tw->world.api,
                                     .kinds = &q.kinds,
                                     .cache = q.cache,
                                     .settings = "{\"namespace\":\"moonherd-system\"}" };
    place(name, from, text);
    CHECK_INT(mh_scripts_load(&q.env, name, &q.err), MH_OK);
    clear();
    if (q.err.code != MH_OK)
        printf("# %s\n", q.err.msg);
    q.planner = mh_scripts_planner(&q.env);
}

static void
end(void)
{
    mh_scripts_release(&q.env);
    mh_cache_free(q.cache);
    mh_kinds_release(&q.kinds);
    mh_arena_release(&q.arena);
    tw_free(q.tw);
}

static void
on_done(struct mh_planner_call *call)
{
    (void)call;
    q.done = true;
}

/* The plan of a pass, or the error, as text. */
static const char *
pass(const char *kind, const char *object)
{
    q.done = false;
    q.call = (struct mh_planner_call){
        .kind = kind, .ns = "shop", .name = "a", .arena = &q.arena, .done = on_done
    };
    CHECK_INT(mh_json_parse(&q.arena, object, strlen(object), &q.call.object, &q.err), MH_OK);
    q.planner.start(q.planner.self, &q.call);
    tw_settle(q.tw);
    CHECK(q.done);
    return q.call.err.code == MH_OK ? q.call.plan : q.call.err.msg;
}

#define HOURS(more)                                                                                \
    "{\"apiVersion\":\"hours.example.dev/v1\",\"kind\":\"OfficeHours\",\"metadata\":{\"name\":"    \
    "\"a\",\"namespace\":\"shop\",\"uid\":\"u\",\"generation\":3" more "},\"spec\":{\"cluster\":"  \
    "\"web\",\"days\":[\"thu\"],\"from\":\"08:00\",\"to\":\"18:00\",\"utc_offset\":\"+10:00\","    \
    "\"busy\":3,\"quiet\":1}}"

TEST(the_text_of_a_plugin_is_a_controller_of_the_image_as_it_is)
{
    begin("office_hours", "scripts/plugins/office_hours.lua", NULL);
    CHECK(strstr(pass("OfficeHours", HOURS("")),
                 "\"reason\":\"NoCluster: there is no Cluster web\""));
    tw_put(q.tw, CLUSTERS "/web",
           "{\"apiVersion\":\"postgresql.cnpg.io/v1\",\"kind\":\"Cluster\",\"metadata\":{\"name\":"
           "\"web\",\"namespace\":\"shop\"},\"spec\":{\"instances\":1}}");
    tw_settle(q.tw);
    const char *plan = pass("OfficeHours", HOURS(""));
    CHECK(strstr(plan,
                 "{\"body\":{\"spec\":{\"instances\":3}},\"kind\":\"Cluster\",\"name\":\"web\","
                 "\"namespace\":\"shop\",\"op\":\"patch\",\"type\":\"merge\"}"));
    CHECK(strstr(plan, "\"status\":{\"busy\":true,\"conditions\":[{\"message\":\"\","
                       "\"observedGeneration\":3,\"reason\":\"Synced\",\"status\":\"True\","
                       "\"type\":\"Ready\"}],\"instances\":3,\"observedGeneration\":3}"));
    CHECK(strstr(pass("OfficeHours", HOURS(",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"")),
                 "{\"actions\":[],\"reason\":\"it is being deleted\"}"));
    end();
}

#define OWN(needs, observe, plan)                                                                  \
    "return controller 'OfficeHours' { api = 'hours.example.dev/v1', plural = 'officehours', "     \
    "needs = " needs ", observe = function(ctx, o) return " observe                                \
    " end, plan = function(seen) return " plan " end }"

TEST(its_reads_are_those_of_its_needs)
{
    begin("own", NULL,
          OWN("{ api = { { group = 'postgresql.cnpg.io', resource = 'clusters', verbs = { 'list' } "
              "} } }",
              "{ all = ctx.list('Cluster', { labels = 'a=b' }), some = ctx.list('Cluster', { "
              "labels = "
              "'a!=d,a' }), none = ctx.ha == nil and ctx.operator == nil, "
              "no = tostring(select(2, pcall(ctx.get, 'Cluster', 'web'))), "
              "sets = tostring(select(2, pcall(ctx.list, 'Cluster', { labels = 'a in (b)' }))), "
              "secret = tostring(select(2, pcall(ctx.get, 'Secret', 'web'))), "
              "out = tostring(select(2, pcall(ctx.list, 'Cluster', { namespace = 'b' }))) }",
              "ready({}, seen)"));
    static const char *const labels[] = { "b", "c", "d" };
    for (size_t i = 0; i < 3; i++)
        tw_put(q.tw, mh_arena_printf(&q.arena, CLUSTERS "/%s", labels[i]),
               mh_arena_printf(&q.arena,
                               "{\"apiVersion\":\"postgresql.cnpg.io/v1\",\"kind\":\"Cluster\","
                               "\"metadata\":{\"name\":\"%s\",\"namespace\":\"shop\",\"labels\":{"
                               "\"a\":\"%s\"}}}",
                               labels[i], labels[i]));
    tw_settle(q.tw);
    (void)pass("OfficeHours", HOURS(""));
    CHECK_STR(q.call.err.msg, "");
    yyjson_val *seen = NULL;
    CHECK_INT(mh_json_parse(&q.arena, q.call.seen, q.call.seen_len, &seen, NULL), MH_OK);
    CHECK_INT((int)yyjson_arr_size(yyjson_obj_get(seen, "all")), 1);
    CHECK_INT((int)yyjson_arr_size(yyjson_obj_get(seen, "some")), 2);
    CHECK(mh_json_bool(seen, false, "none", NULL));
    CHECK_STR(mh_json_str(seen, "no", NULL),
              "ctx.get: get clusters.postgresql.cnpg.io: none of the "
              "controller's needs covers it");
    CHECK(strstr(mh_json_str(seen, "sets", NULL), "labels: want a=b"));
    CHECK(strstr(mh_json_str(seen, "secret", NULL), "no \"digests\" in needs.core"));
    CHECK(
        strstr(mh_json_str(seen, "out", NULL), "in namespace b: its object is in namespace shop"));
    end();
}

TEST(a_plan_beyond_its_needs_is_not_carried_out)
{
    begin("own", NULL,
          OWN("{}", "{}", "ready({ delete { kind = 'Pod', name = 'a', uid = 'u' } })"));
    CHECK_STR(pass("OfficeHours", HOURS("")),
              "action delete: delete pods: none of the controller's needs covers it");
    CHECK_INT(q.call.err.code, MH_E_REFUSED);
    CHECK(!q.call.plan);
    end();
}

#define LEASE "{ op = 'lease', name = 'a', from = { resourceVersion = '1' }, to = {} }"
#define TELL "order { pod = 'a-1', command = 'lease', term = 2 }"
#define LEAD "label { kind = 'Pod', name = 'a-1', labels = { role = 'primary' } }"
#define DELETE(kind) "delete { kind = '" kind "', name = 'a', uid = 'u' }"
#define WANT(core, actions)                                                                        \
    OWN("{ core = { 'plans'" core " } }", "{}",                                                    \
        "outcome { actions = array { " actions " }, reason = 'why', requeue_s = 1 }")

/* B4, B6: a fault in a script holds up no failover; A15: a right that is missing is told of. */
TEST(a_gap_in_the_declared_needs_stops_no_failover)
{
    begin("own", NULL,
          WANT(", 'failover'", DELETE("Secret") ", " LEASE ", " TELL ", " LEAD ", " DELETE("Pod")));
    CHECK_STR(pass("OfficeHours", HOURS("")),
              "{\"actions\":[{\"from\":{\"resourceVersion\":\"1\"},\"name\":\"a\",\"op\":\"lease\","
              "\"to\":{}},{\"command\":\"lease\",\"op\":\"instance\",\"pod\":\"a-1\",\"term\":2},"
              "{\"kind\":\"Pod\",\"labels\":{\"role\":\"primary\"},\"name\":\"a-1\",\"op\":"
              "\"label\"}],\"reason\":\"why\",\"requeue_s\":1}");
    CHECK_INT(q.call.err.code, MH_OK);
    CHECK_INT(q.call.left_out.code, MH_E_REFUSED);
    CHECK_STR(q.call.left_out.msg,
              "action delete: delete secrets: none of the controller's needs covers it");
    end();
}

TEST(what_is_no_step_of_a_failover_ends_the_list_at_the_first_gap)
{
    begin("own", NULL,
          WANT(", 'failover'",
               "event('A', 'b', 'Normal'), " DELETE(
                   "Secret") ", event('C', 'd', "
                             "'Normal'), order { pod = 'a', command = 'restart' }, label { kind "
                             "= 'Pod', namespace = 'other', name = 'a', labels = {} }"));
    CHECK_STR(pass("OfficeHours", HOURS("")),
              "{\"actions\":[{\"note\":\"b\",\"op\":\"event\",\"reason\":\"A\",\"type\":"
              "\"Normal\"}],\"reason\":\"why\",\"requeue_s\":1}");
    CHECK_INT(q.call.left_out.code, MH_E_REFUSED);
    end();
    begin("own", NULL, WANT("", LEASE)); /* it has nothing to do with failovers */
    CHECK_STR(pass("OfficeHours", HOURS("")),
              "lease: the controller has no \"failover\" in needs.core");
    CHECK(!q.call.plan);
    end();
}

TEST(words_of_core_are_refused_to_whom_does_not_declare_them)
{
    begin("own", NULL, OWN("{}", "{}", "ready({ order { pod = 'a', command = 'restart' } })"));
    CHECK(strstr(pass("OfficeHours", HOURS("")),
                 "want op apply, create, patch, delete, event or sql"));
    end();
    begin(
        "own", NULL,
        OWN("{ core = { 'plans' } }", "{}",
            "outcome { actions = array { order { pod = 'a', command = 'x' } }, reason = 'why' }"));
    CHECK_STR(pass("OfficeHours", HOURS("")),
              "instance: the controller has no \"instances\" in needs.core");
    end();
    begin("own", NULL,
          OWN("{ core = { 'plans' } }", "{}", "outcome { actions = array {}, why = 1 }"));
    CHECK(strstr(pass("OfficeHours", HOURS("")), "outcome: why: want a field that it has"));
    end();
    begin("own", NULL,
          OWN("{ core = { 'plans' } }", "{}",
              "outcome { actions = array {}, reason = 'Because of this.' }"));
    CHECK_STR(pass("OfficeHours", HOURS("")), "{\"actions\":[],\"reason\":\"Because of this.\"}");
    end();
}
