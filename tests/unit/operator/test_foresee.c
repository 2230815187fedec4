/* What an edit would do: rounds on the loop, their result, and every way that they end. */
#include <event2/event.h>

#include "base/log.h"
#include "harness/test.h"
#include "io/loop.h"
#include "operator/foresee.h"

#define CLUSTER                                                                                    \
    "{\"apiVersion\":\"postgresql.cnpg.io/v1\",\"kind\":\"Cluster\",\"metadata\":{\"name\":"       \
    "\"pg\",\"namespace\":\"web\"},\"spec\":{\"instances\":2,\"imageName\":\"x/postgresql:15.4\"," \
    "\"storage\":{\"size\":\"1Gi\"}},\"status\":{}}"
#define SEEN(verdict)                                                                              \
    "{\"now\":1785578400,\"operator\":{\"namespace\":\"moonherd-system\",\"image\":\"i\","         \
    "\"fingerprint\":\"f\",\"default_image\":\"x/postgresql:15.4\",\"api_groups\":["               \
    "\"postgresql.cnpg.io\"],\"cluster_domain\":\"cluster.local\"},\"cluster\":" CLUSTER           \
    ",\"rivals\":[],\"foreign\":{},\"pods\":[],\"volumes\":[],\"jobs\":[],\"services\":{},"        \
    "\"budgets\":{},\"secrets\":{},\"nodes\":{},\"reports\":{},\"verdict\":{\"state\":\"" verdict  \
    "\",\"reason\":\"because\",\"steps\":[],\"candidates\":[]}}"

static struct event_base *base;
static struct mh_arena arena;
static const char *seen;
static enum mh_code planner_says, planner_left_out;
static bool done;

static void
start(void *self, struct mh_planner_call *call)
{
    (void)self;
    CHECK(call->dry);
    CHECK_STR(call->name, "pg");
    if (planner_says != MH_OK)
        mh_fail(&call->err, planner_says, "no");
    if (planner_left_out != MH_OK)
        mh_fail(&call->left_out, planner_left_out, "not that");
    call->seen = seen;
    call->seen_len = strlen(seen);
    call->done(call);
}

static void
cancel(void *self, struct mh_planner_call *call)
{
    (void)self, (void)call;
}

static void
on_done(struct mh_foresee *f)
{
    (void)f;
    done = true;
}

static void
begin(struct mh_foresee *f, const char *text)
{
    mh_log_set_fd(-1);
    base = mh_loop_new();
    mh_arena_init(&arena, (size_t)16 << 20);
    seen = text;
    planner_says = planner_left_out = MH_OK;
    done = false;
    *f = (struct mh_foresee){ .planner = { start, cancel, NULL },
                              .clock = mh_clock_real(base),
                              .kind = "Cluster",
                              .arena = &arena,
                              .done = on_done };
    CHECK_INT(mh_json_parse(&arena, CLUSTER, strlen(CLUSTER), &f->object, NULL), MH_OK);
}

static void
end(struct mh_foresee *f)
{
    mh_clock_release(&f->clock);
    mh_arena_release(&arena);
    event_base_free(base);
}

static void
run(struct mh_foresee *f)
{
    mh_foresee_start(f);
    for (int i = 0; i < 1000 && !done; i++)
        (void)event_base_loop(base, EVLOOP_ONCE);
    CHECK(done);
}

TEST(a_new_cluster_is_foreseen_to_its_end)
{
    struct mh_foresee f;
    yyjson_val *v = NULL;
    begin(&f, SEEN("bootstrapping"));
    run(&f);
    CHECK_STR(f.err.code == MH_OK ? "" : f.err.msg, "");
    CHECK(f.result && mh_json_parse(&arena, f.result, strlen(f.result), &v, NULL) == MH_OK);
    CHECK_STR(mh_json_str(v, "rest", "phase", NULL), "Cluster in healthy state");
    yyjson_val *steps = yyjson_obj_get(v, "steps");
    CHECK(yyjson_arr_size(steps) > 15);
    CHECK_STR(mh_json_str(yyjson_arr_get_first(steps), "verb", NULL), "create");
    CHECK(f.result && strstr(f.result, "\"kind\":\"Pod\",\"name\":\"pg-2\",\"verb\":\"create\""));
    end(&f);
}

TEST(a_cluster_that_is_not_at_rest_has_no_steps)
{
    struct mh_foresee f;
    begin(&f, SEEN("promoting"));
    run(&f);
    CHECK_STR(f.result,
              "{\"steps\":[],\"rest\":{\"phase\":\"not at rest\",\"reason\":\"because\"}}");
    end(&f);
}

TEST(what_cannot_be_foreseen_says_why)
{
    struct mh_foresee f;
    begin(&f, SEEN("healthy"));
    planner_says = MH_E_UNREACHABLE;
    run(&f);
    CHECK_INT(f.err.code, MH_E_UNREACHABLE);
    end(&f);
    begin(&f, "{\"cluster\":{}}"); /* no observation that a controller makes */
    run(&f);
    CHECK_INT(f.err.code, MH_E_SCRIPT);
    end(&f);
    begin(&f, SEEN("healthy"));
    f.kind = "Nothing.example.org";
    run(&f);
    CHECK(f.err.code != MH_OK && !f.result);
    end(&f);
}

TEST(where_something_of_a_plan_would_be_left_out_nothing_is_foreseen)
{
    struct mh_foresee f;
    begin(&f, SEEN("healthy"));
    planner_left_out = MH_E_REFUSED;
    run(&f);
    CHECK_INT(f.err.code, MH_E_REFUSED);
    CHECK_STR(f.err.msg, "not that");
    CHECK(!f.result);
    end(&f);
}

TEST(a_cancelled_one_says_nothing)
{
    struct mh_foresee f;
    begin(&f, SEEN("bootstrapping"));
    mh_foresee_start(&f);
    (void)event_base_loop(base, EVLOOP_ONCE);
    CHECK(!done);
    mh_foresee_cancel(&f);
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
    CHECK(!done);
    end(&f);
}

TEST(it_gets_over_any_failed_allocation)
{
    bool failed = true;
    for (int n = 0; failed && n < 400000; n += n < 60 ? 1 : 3001) {
        struct mh_foresee f;
        begin(&f, SEEN("bootstrapping"));
        mh_mem_fail_after(n);
        run(&f);
        failed = mh_mem_failed();
        mh_mem_fail_after(-1);
        CHECK(f.err.code != MH_OK || f.result);
        end(&f);
    }
    CHECK(!failed);
}
