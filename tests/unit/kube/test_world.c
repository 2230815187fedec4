/* Of the world that unit tests drive: others rely on it. */
#include <signal.h>

#include "base/str.h"
#include "base/time.h"
#include "harness/test.h"
#include "harness/world.h"

static int dones;
static char seen[512];

static void
done(struct mh_api_call *c)
{
    (void)c;
    dones++;
}

static struct mh_api_call call;
static struct mh_arena arena;

static struct mh_api_call *
run(struct tw *tw, const char *method, const char *path, const char *type, const char *body)
{
    mh_arena_release(&arena);
    mh_arena_init(&arena, 1 << 20);
    call = (struct mh_api_call){ .method = method,
                                 .path = path,
                                 .content_type = type,
                                 .body = body,
                                 .body_len = body ? strlen(body) : 0,
                                 .arena = &arena,
                                 .done = done };
    dones = 0;
    tw->world.api.start(tw->world.api.self, &call);
    CHECK(dones == 0);
    tw_settle(tw);
    CHECK(dones == 1);
    return &call;
}

static void
on_event(void *arg, enum mh_watch_kind kind, yyjson_val *object)
{
    static const char letters[] = "RAMDSL";
    size_t n = strlen(seen);
    const char *name = mh_json_str(object, "metadata", "name", NULL);
    (void)arg;
    (void)snprintf(seen + n, sizeof(seen) - n, "%c%s ", letters[kind], name ? name : "");
}

#define PODS "/api/v1/namespaces/n/pods"

TEST(the_store_creates_patches_lists_and_deletes_as_an_api_server)
{
    struct tw *tw = tw_new(1);
    tw_store(tw);
    CHECK_INT(run(tw, "POST", PODS, NULL,
                  "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"1\"}},"
                  "\"spec\":{\"v\":1},\"status\":{\"no\":1}}")
                  ->status,
              201);
    CHECK(mh_json_get(call.reply, "status", NULL) == NULL);
    CHECK_STR(mh_json_str(call.reply, "metadata", "resourceVersion", NULL), "1");
    CHECK(run(tw, "POST", PODS, NULL, "{\"metadata\":{\"name\":\"a\"}}")->err.code == MH_E_EXISTS);
    CHECK(run(tw, "GET", PODS "/b", NULL, NULL)->err.code == MH_E_NOTFOUND);
    run(tw, "PATCH", PODS "/a/status", MH_PATCH_MERGE,
        "{\"spec\":{\"v\":2},\"status\":{\"phase\":\"Running\"}}");
    CHECK_STR(mh_json_str(call.reply, "status", "phase", NULL), "Running");
    CHECK_INT(mh_json_int(call.reply, 0, "spec", "v", NULL), 1);
    run(tw, "PATCH", PODS "/a?fieldManager=m", MH_PATCH_APPLY,
        "{\"spec\":{\"v\":3},\"status\":null}");
    CHECK_STR(mh_json_str(call.reply, "status", "phase", NULL), "Running");
    CHECK_INT(mh_json_int(call.reply, 0, "metadata", "generation", NULL), 2);
    CHECK(run(tw, "PATCH", PODS "/a", MH_PATCH_MERGE, "{\"metadata\":{\"resourceVersion\":\"1\"}}")
              ->err.code == MH_E_CONFLICT);
    CHECK(run(tw, "PATCH", PODS "/c", MH_PATCH_APPLY, "{\"metadata\":{\"name\":\"c\"}}")->status ==
          201);
    CHECK(yyjson_arr_size(
              mh_json_get(run(tw, "GET", "/api/v1/pods", NULL, NULL)->reply, "items", NULL)) == 2);
    CHECK(yyjson_arr_size(mh_json_get(
              run(tw, "GET", PODS "?labelSelector=x%3D1", NULL, NULL)->reply, "items", NULL)) == 1);
    CHECK(run(tw, "DELETE", PODS "/a", NULL, "{\"preconditions\":{\"uid\":\"other\"}}")->err.code ==
          MH_E_CONFLICT);
    CHECK(run(tw, "DELETE", PODS "/a", NULL, NULL)->err.code == MH_OK);
    CHECK_INT(tw_objects(tw, PODS), 1);
    CHECK_INT(tw_api_count(tw, "PATCH", "/pods/a"), 3);
    mh_arena_release(&arena);
    tw_free(tw);
}

TEST(a_watch_lists_then_follows_and_an_ended_one_hears_nothing)
{
    struct tw *tw = tw_new(1);
    seen[0] = '\0';
    tw_store(tw);
    tw_put(tw, PODS "/a", "{}");
    struct mh_watch_spec spec = { "/api/v1/pods", on_event, NULL };
    struct mh_watch *w = tw->world.api.watch(tw->world.api.self, &spec);
    tw_settle(tw);
    CHECK_STR(seen, "R Aa S ");
    seen[0] = '\0';
    tw_put(tw, PODS "/b", "{}");
    tw_put(tw, PODS "/a", "{\"x\":1}");
    tw_remove(tw, PODS "/b");
    tw_settle(tw);
    CHECK_STR(seen, "Ab Ma Db ");
    seen[0] = '\0';
    tw_watch_break(tw, MH_NS_PER_S);
    tw_advance(tw, 2 * MH_NS_PER_S);
    CHECK_STR(seen, "L R Aa S ");
    seen[0] = '\0';
    tw->world.api.unwatch(tw->world.api.self, w);
    tw_put(tw, PODS "/c", "{}");
    tw_settle(tw);
    CHECK_STR(seen, "");
    tw_free(tw);
}

static bool
silent(struct tw *tw, void *arg, const struct tw_request *r, struct tw_answer *a)
{
    (void)tw;
    (void)arg;
    a->silent = mh_str_ends(r->path, "/leases/l");
    return a->silent;
}

TEST(a_silent_server_ends_a_call_at_its_timeout_and_cancel_ends_it_at_once)
{
    struct tw *tw = tw_new(1);
    tw_api_on(tw, silent, NULL);
    mh_arena_init(&arena, 1 << 16);
    call = (struct mh_api_call){ .method = "GET",
                                 .path = "/apis/c/v1/namespaces/n/leases/l",
                                 .timeout_ms = 700,
                                 .arena = &arena,
                                 .done = done };
    dones = 0;
    tw->world.api.start(tw->world.api.self, &call);
    tw_advance(tw, 699 * MH_NS_PER_MS);
    CHECK(dones == 0);
    tw_advance(tw, MH_NS_PER_MS);
    CHECK(dones == 1 && call.err.code == MH_E_TIMEOUT);
    tw->world.api.start(tw->world.api.self, &call);
    tw->world.api.cancel(tw->world.api.self, &call);
    tw_advance(tw, MH_NS_PER_S);
    CHECK(dones == 1);
    mh_arena_release(&arena);
    tw_free(tw);
}

static int exits;

static void
on_exit_(struct mh_child *c)
{
    exits = c->exit_code;
}

TEST(files_survive_a_power_failure_only_if_durable_and_processes_end_by_signals)
{
    struct tw *tw = tw_new(1);
    struct mh_fs *fs = &tw->world.fs;
    struct mh_err err;
    bool changed;
    CHECK(fs->write(fs->self, "/d/term", "1", 1, 0600, true, &changed, &err) == MH_OK && changed);
    CHECK(fs->write(fs->self, "/d/term", "2", 1, 0600, false, &changed, &err) == MH_OK && changed);
    CHECK(!tw_file_durable(tw, "/d/term") && fs->exists(fs->self, "/d"));
    tw_fs_crash(tw);
    CHECK_STR(tw_file_text(tw, "/d/term"), "1");
    tw_fs_fail(tw, "write", "term", MH_E_DISKFULL, 1, 1);
    CHECK(fs->write(fs->self, "/d/term", "3", 1, 0600, true, NULL, &err) == MH_OK);
    CHECK(fs->write(fs->self, "/d/term", "4", 1, 0600, true, NULL, &err) == MH_E_DISKFULL);
    CHECK(fs->write(fs->self, "/d/term", "5", 1, 0600, true, NULL, &err) == MH_OK);
    struct mh_child c = { .argv = (const char *[]){ "/bin/pg", "-D", NULL }, .on_exit = on_exit_ };
    CHECK(tw->world.proc.start(tw->world.proc.self, &c, &err) == MH_OK && c.pid > 0);
    tw_advance(tw, MH_NS_PER_S);
    CHECK(tw_process(tw, "pg -D")->running);
    tw->world.proc.kill(tw->world.proc.self, &c, SIGQUIT);
    tw_settle(tw);
    CHECK_INT(exits, 128 + SIGQUIT);
    unsigned a = 0;
    unsigned b = 0;
    struct tw *other = tw_new(1);
    CHECK(tw->world.rand.fill(tw, &a, 4) && other->world.rand.fill(other, &b, 4) && a == b);
    tw_free(other);
    tw_free(tw);
}
