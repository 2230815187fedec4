/* The executor: each op against a small API server, failures by class, compare-and-swap. */
#include "base/time.h"
#include "harness/test.h"
#include "harness/world.h"
#include "operator/actions.h"

#define CLUSTER "/apis/postgresql.cnpg.io/v1/namespaces/ns/clusters/c"
#define SECRETS "/api/v1/namespaces/ns/secrets"
#define LEASE "/apis/coordination.k8s.io/v1/namespaces/ns/leases/c"
#define PODS "/api/v1/namespaces/ns/pods"

static struct {
    struct tw *tw;
    struct mh_kinds kinds;
    struct mh_cache *cache;
    struct mh_act_env env;
    struct mh_act act;
    struct mh_arena arena;
    int done;
    int died;
    char order[512];
    int orders;
} q;

static void
on_done(struct mh_act *act)
{
    (void)act;
    q.done++;
}

static void
post(void *self, const struct mh_instance_order *order)
{
    (void)self;
    q.orders++;
    snprintf(q.order, sizeof(q.order), "%s/%s %s", order->ns, order->pod, order->body);
}

static void
die(void)
{
    q.died++;
}

static void
begin(void)
{
    memset(&q, 0, sizeof(q));
    q.tw = tw_new(1);
    tw_store(q.tw);
    CHECK(mh_kinds_init(&q.kinds));
    const struct mh_kind *cluster =
        mh_kinds_add(&q.kinds, "postgresql.cnpg.io", "v1", "Cluster", "clusters", true);
    q.cache = mh_cache_new(q.tw->world.api, NULL, NULL);
    struct mh_cache_source sources[] = {
        { .kind = cluster },
        { .kind = mh_kind_find(&q.kinds, "Pod") },
        { .kind = mh_kind_find(&q.kinds, "Service") },
    };
    for (size_t i = 0; i < 3; i++)
        CHECK(mh_cache_add(q.cache, &sources[i]));
    tw_put(q.tw, CLUSTER,
           "{\"apiVersion\":\"postgresql.cnpg.io/v1\",\"kind\":\"Cluster\",\"metadata\":"
           "{\"name\":\"c\",\"namespace\":\"ns\",\"uid\":\"U\"},\"spec\":{}}");
    tw_settle(q.tw);
    q.env = (struct mh_act_env){ .clock = q.tw->world.clock,
                                 .rand = q.tw->world.rand,
                                 .api = q.tw->world.api,
                                 .kinds = &q.kinds,
                                 .cache = q.cache,
                                 .applied = mh_applied_new(),
                                 .instance = { post, NULL } };
    mh_crash_init(&q.env.crash, NULL);
    mh_arena_init(&q.arena, (size_t)8 << 20);
}

static void
finish(void)
{
    mh_applied_free(q.env.applied);
    mh_arena_release(&q.arena);
    mh_cache_free(q.cache);
    mh_kinds_release(&q.kinds);
    tw_free(q.tw);
}

/* Starts the actions of a JSON array, written with ' for ". */
static void
start(const char *text)
{
    struct mh_err err;
    yyjson_val *actions = NULL;
    char *copy = mh_arena_strdup(&q.arena, text);
    for (char *p = copy; *p; p++)
        if (*p == '\'')
            *p = '"';
    if (mh_json_parse(&q.arena, copy, strlen(copy), &actions, &err) != MH_OK)
        printf("# bad JSON in a test: %s\n", err.msg);
    q.done = 0;
    q.act =
        (struct mh_act){ .env = &q.env,
                         .arena = &q.arena,
                         .object = mh_cache_get(q.cache, &q.arena,
                                                mh_kind_find(&q.kinds, "Cluster"), "ns", "c", NULL),
                         .actions = actions,
                         .done = on_done };
    CHECK(q.act.object != NULL);
    mh_act_start(&q.act);
    CHECK_INT(q.done, 0);
}

static enum mh_code
carry_out(const char *text)
{
    start(text);
    tw_advance(q.tw, 100 * MH_NS_PER_MS);
    CHECK_INT(q.done, 1);
    if (q.act.err.code != MH_OK)
        printf("# (%s: %s)\n", mh_code_name(q.act.err.code), q.act.err.msg);
    return q.act.err.code;
}

#define SERVICE(port)                                                                              \
    "[{'op':'apply','object':{'apiVersion':'v1','kind':'Service','metadata':{'name':'s',"          \
    "'namespace':'ns'},'spec':{'port':" #port "}}}]"
#define CREATE_POD                                                                                 \
    "[{'op':'create','object':{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p',"             \
    "'namespace':'ns'}}}]"

TEST(an_empty_list_ends_from_the_loop)
{
    begin();
    CHECK_INT(carry_out("[]"), MH_OK);
    CHECK_INT(q.act.at, 0);
    finish();
}

TEST(apply_is_sent_once_until_text_or_object_changes)
{
    begin();
    CHECK_INT(carry_out(SERVICE(1)), MH_OK);
    CHECK_INT(tw_api_count(q.tw, "PATCH", "/services/s"), 1);
    const struct tw_request *r = tw_api_last(q.tw, "PATCH", "/services/s");
    CHECK_STR(r->content_type, MH_PATCH_APPLY);
    CHECK(strstr(r->query, "fieldManager=moonherd") && strstr(r->query, "force=true"));
    CHECK_INT(carry_out(SERVICE(1)), MH_OK);
    CHECK_INT(tw_api_count(q.tw, "PATCH", "/services/s"), 1);
    CHECK_INT(carry_out(SERVICE(2)), MH_OK);
    CHECK_INT(tw_api_count(q.tw, "PATCH", "/services/s"), 2);
    /* somebody else changes it */
    tw_put(q.tw, "/api/v1/namespaces/ns/services/s",
           "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"s\",\"namespace\":"
           "\"ns\"},\"spec\":{\"port\":9}}");
    tw_settle(q.tw);
    CHECK_INT(carry_out(SERVICE(2)), MH_OK);
    CHECK_INT(tw_api_count(q.tw, "PATCH", "/services/s"), 3);
    finish();
}

TEST(create_takes_exists_for_success)
{
    begin();
    CHECK_INT(carry_out(CREATE_POD), MH_OK);
    CHECK_INT(carry_out(CREATE_POD), MH_OK);
    CHECK_INT(tw_objects(q.tw, PODS), 1);
    CHECK_INT(tw_api_count(q.tw, "POST", "/pods"), 2);
    finish();
}

TEST(own_writes_are_in_the_cache_when_the_pass_ends)
{
    begin();
    start(CREATE_POD);
    while (!q.done)
        tw_advance(q.tw, MH_NS_PER_MS / 4);
    CHECK(mh_cache_get(q.cache, &q.arena, mh_kind_find(&q.kinds, "Pod"), "ns", "p", NULL) != NULL);
    CHECK_INT(carry_out("[{'op':'delete','kind':'Pod','namespace':'ns','name':'p','uid':'wrong'}]"),
              MH_E_CONFLICT);
    finish();
}

TEST(delete_needs_the_uid_and_takes_gone_for_success)
{
    begin();
    CHECK_INT(carry_out("[{'op':'delete','kind':'Pod','namespace':'ns','name':'p'}]"), MH_E_SCRIPT);
    CHECK_INT(tw_api_count(q.tw, "DELETE", NULL), 0);
    CHECK_INT(carry_out("[{'op':'delete','kind':'Pod','namespace':'ns','name':'p','uid':'x'}]"),
              MH_OK);
    tw_put(
        q.tw, PODS "/p",
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\","
        "\"uid\":\"x\"}}");
    tw_settle(q.tw);
    CHECK_INT(carry_out("[{'op':'delete','kind':'Pod','namespace':'ns','name':'p','uid':'x',"
                        "'grace_s':0,'propagation':'Background'}]"),
              MH_OK);
    CHECK_INT(tw_objects(q.tw, PODS), 0);
    CHECK(strstr(tw_api_last(q.tw, "DELETE", NULL)->body_text, "\"gracePeriodSeconds\":0"));
    finish();
}

TEST(the_list_ends_at_the_first_failure)
{
    begin();
    CHECK_INT(carry_out("[{'op':'label','kind':'Pod','namespace':'ns','name':'gone','labels':"
                        "{'a':'b'}},{'op':'create','object':{'apiVersion':'v1','kind':'Pod',"
                        "'metadata':{'name':'p','namespace':'ns'}}}]"),
              MH_E_NOTFOUND);
    CHECK_INT(q.act.at, 0);
    CHECK_INT(tw_objects(q.tw, PODS), 0);
    finish();
}

TEST(bad_actions_are_the_scripts_fault)
{
    begin();
    CHECK_INT(carry_out("[{'op':'format-disk'}]"), MH_E_SCRIPT);
    CHECK_INT(carry_out("[1]"), MH_E_SCRIPT);
    CHECK_INT(carry_out("[{'op':'create','object':{'kind':'Nothing'}}]"), MH_E_INVALID);
    CHECK_INT(carry_out("[{'op':'create','object':{'apiVersion':'v1','kind':'Pod','metadata':"
                        "{'name':'p'}}}]"),
              MH_E_INVALID);
    CHECK_INT(carry_out("[{'op':'label','kind':'Pod','name':'../../x','labels':{}}]"),
              MH_E_INVALID);
    CHECK_INT(carry_out("[{'op':'patch','kind':'Pod','name':'p','body':3}]"), MH_E_SCRIPT);
    finish();
}

TEST(a_lease_changes_by_compare_and_swap_only)
{
    begin();
    tw_put(q.tw, LEASE,
           "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{\"name\":"
           "\"c\",\"namespace\":\"ns\"},\"spec\":{\"holderIdentity\":\"c-1\"}}");
    CHECK_INT(carry_out("[{'op':'lease','namespace':'ns','name':'c','to':{'leaseTransitions':2}}]"),
              MH_E_SCRIPT);
    CHECK_INT(carry_out("[{'op':'lease','namespace':'ns','name':'c','from':{'resourceVersion':"
                        "'1'},'to':{'leaseTransitions':2}}]"),
              MH_E_CONFLICT);
    char text[300];
    snprintf(text, sizeof(text),
             "[{'op':'lease','namespace':'ns','name':'c','from':{'resourceVersion':'%s'},'to':"
             "{'leaseTransitions':2,'renewTime':true,'annotations':{'moonherd.io/phase':"
             "'fencing'}}}]",
             mh_json_str(tw_object(q.tw, LEASE), "metadata", "resourceVersion", NULL));
    CHECK_INT(carry_out(text), MH_OK);
    yyjson_val *lease = tw_object(q.tw, LEASE);
    CHECK_INT(mh_json_int(lease, 0, "spec", "leaseTransitions", NULL), 2);
    CHECK_STR(mh_json_str(lease, "spec", "holderIdentity", NULL), "c-1");
    CHECK(mh_json_str(lease, "spec", "renewTime", NULL) != NULL);
    CHECK_STR(mh_json_str(lease, "metadata", "annotations", "moonherd.io/phase", NULL), "fencing");
    CHECK_INT(carry_out(text), MH_E_CONFLICT); /* the same swap again */
    finish();
}

TEST(status_is_written_only_when_it_changes_and_never_over_another_writer)
{
    begin();
    CHECK_INT(carry_out("[{'op':'status','status':{'phase':'x'}}]"), MH_OK);
    CHECK_INT(carry_out("[{'op':'status','status':{'phase':'x'}}]"), MH_OK);
    CHECK_INT(tw_api_count(q.tw, "PATCH", "/clusters/c/status"), 1);
    start("[{'op':'status','status':{'phase':'y'}}]");
    tw_put(q.tw, CLUSTER,
           "{\"apiVersion\":\"postgresql.cnpg.io/v1\",\"kind\":\"Cluster\",\"metadata\":"
           "{\"name\":\"c\",\"namespace\":\"ns\",\"uid\":\"U\"},\"spec\":{\"n\":2}}");
    tw_settle(q.tw);
    CHECK_INT(q.act.err.code, MH_E_CONFLICT);
    finish();
}

/* A4, A8: else the next pass would do the same, and the next. */
TEST(what_a_watch_lost_is_read_when_a_write_is_refused_for_it)
{
    const struct mh_kind *pod;
    begin();
    pod = mh_kind_find(&q.kinds, "Pod");
    CHECK_INT(carry_out(CREATE_POD), MH_OK);
    tw_settle(q.tw);
    tw_watch_mute(q.tw, true);
    tw_put(q.tw, CLUSTER,
           "{\"apiVersion\":\"postgresql.cnpg.io/v1\",\"kind\":\"Cluster\",\"metadata\":"
           "{\"name\":\"c\",\"namespace\":\"ns\",\"uid\":\"U\"},\"spec\":{\"n\":2}}");
    CHECK_INT(carry_out("[{'op':'status','status':{'phase':'x'}}]"), MH_E_CONFLICT);
    CHECK_INT(carry_out("[{'op':'status','status':{'phase':'x'}}]"), MH_OK);
    tw_remove(q.tw, PODS "/p");
    CHECK(mh_cache_get(q.cache, &q.arena, pod, "ns", "p", NULL) != NULL);
    CHECK_INT(carry_out("[{'op':'label','kind':'Pod','namespace':'ns','name':'p','labels':{'a':"
                        "'b'}}]"),
              MH_E_NOTFOUND);
    CHECK(mh_cache_get(q.cache, &q.arena, pod, "ns", "p", NULL) == NULL);
    finish();
}

TEST(a_status_after_a_write_to_the_object_uses_its_new_version)
{
    begin();
    CHECK_INT(carry_out("[{'op':'label','kind':'Cluster','name':'c','labels':{'a':'b'}},"
                        "{'op':'status','status':{'phase':'x'}}]"),
              MH_OK);
    CHECK_STR(mh_json_str(tw_object(q.tw, CLUSTER), "status", "phase", NULL), "x");
    finish();
}

TEST(passwords_are_made_here_and_never_made_twice)
{
    begin();
    const char *text = "[{'op':'create','object':{'apiVersion':'v1','kind':'Secret','metadata':"
                       "{'name':'c-app','namespace':'ns'}},'fill':{'type':'password','username':"
                       "'app','dbname':'app','host':'c-rw','namespace':'ns'}}]";
    CHECK_INT(carry_out(text), MH_OK);
    const char *one = mh_json_str(tw_object(q.tw, SECRETS "/c-app"), "data", "password", NULL);
    CHECK(one && strlen(one) == 88); /* 64 bytes in base64 */
    CHECK_INT(carry_out(text), MH_OK);
    CHECK_STR(mh_json_str(tw_object(q.tw, SECRETS "/c-app"), "data", "password", NULL), one);
    finish();
}

#define CA                                                                                         \
    "{'op':'create','object':{'apiVersion':'v1','kind':'Secret','metadata':{'name':'c-ca',"        \
    "'namespace':'ns'}},'fill':{'type':'ca','cn':'c','ou':'ns'}}"
#define SERVER_FILL "'fill':{'type':'certificate','ca':'c-ca','cn':'c-rw','dns_names':['c-rw']}"

TEST(certificates_are_signed_by_the_ca_and_keep_their_key_when_renewed)
{
    begin();
    CHECK_INT(carry_out("[" CA ",{'op':'create','object':{'apiVersion':'v1','kind':'Secret',"
                        "'metadata':{'name':'c-server','namespace':'ns'}}," SERVER_FILL "}]"),
              MH_OK);
    const char *key = mh_json_str(tw_object(q.tw, SECRETS "/c-server"), "data", "tls.key", NULL);
    const char *crt = mh_json_str(tw_object(q.tw, SECRETS "/c-server"), "data", "tls.crt", NULL);
    CHECK(key && crt);
    CHECK_INT(carry_out("[{'op':'renew','namespace':'ns','name':'c-server'," SERVER_FILL "}]"),
              MH_OK);
    CHECK_STR(mh_json_str(tw_object(q.tw, SECRETS "/c-server"), "data", "tls.key", NULL), key);
    const char *again = mh_json_str(tw_object(q.tw, SECRETS "/c-server"), "data", "tls.crt", NULL);
    CHECK(again && strcmp(again, crt) != 0);
    finish();
}

TEST(a_copied_secret_follows_its_source)
{
#define SOURCE "/api/v1/namespaces/other/secrets/pull"
#define COPY_FILL "'fill':{'type':'copy','namespace':'other','name':'pull'}"
    begin();
    tw_put(q.tw, SOURCE,
           "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"pull\","
           "\"namespace\":\"other\"},\"data\":{\"a\":\"YQ==\",\"b\":\"Yg==\"}}");
    CHECK_INT(carry_out("[{'op':'create','object':{'apiVersion':'v1','kind':'Secret','metadata':"
                        "{'name':'c-pull','namespace':'ns'}}," COPY_FILL "}]"),
              MH_OK);
    CHECK_STR(mh_json_str(tw_object(q.tw, SECRETS "/c-pull"), "data", "b", NULL), "Yg==");
    tw_put(q.tw, SOURCE,
           "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"pull\","
           "\"namespace\":\"other\"},\"data\":{\"a\":\"Yw==\"}}");
    CHECK_INT(carry_out("[{'op':'renew','namespace':'ns','name':'c-pull'," COPY_FILL "}]"), MH_OK);
    yyjson_val *copy = tw_object(q.tw, SECRETS "/c-pull");
    CHECK_STR(mh_json_str(copy, "data", "a", NULL), "Yw==");
    CHECK(mh_json_str(copy, "data", "b", NULL) == NULL);
    finish();
}

TEST(a_ca_without_its_key_is_a_terminal_failure)
{
    begin();
    tw_put(q.tw, SECRETS "/c-ca",
           "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"c-ca\","
           "\"namespace\":\"ns\"},\"data\":{\"ca.crt\":\"YQ==\"}}");
    enum mh_code code =
        carry_out("[{'op':'create','object':{'apiVersion':'v1','kind':'Secret',"
                  "'metadata':{'name':'c-server','namespace':'ns'}}," SERVER_FILL "}]");
    CHECK_INT(code, MH_E_INVALID);
    CHECK_INT(mh_class_of(code), MH_TERMINAL);
    finish();
}

static bool
time_out(struct tw *tw, void *arg, const struct tw_request *request, struct tw_answer *answer)
{
    (void)tw, (void)arg;
    if (strcmp(request->method, "POST") != 0)
        return false;
    answer->code = MH_E_TIMEOUT;
    return true;
}

TEST(a_write_without_answer_is_read_back)
{
    begin();
    tw_api_on(q.tw, time_out, NULL);
    CHECK_INT(carry_out(CREATE_POD), MH_E_TIMEOUT);
    CHECK_INT(tw_api_count(q.tw, "GET", "/pods/p"), 1);
    CHECK(!mh_cache_is_behind(q.cache, mh_kind_find(&q.kinds, "Pod"), "ns", "p"));
    finish();
}

static bool
silent(struct tw *tw, void *arg, const struct tw_request *request, struct tw_answer *answer)
{
    (void)tw, (void)arg;
    answer->silent = true;
    return strcmp(request->method, "POST") == 0;
}

TEST(preemption_drops_the_rest_and_waits_2_s_at_most)
{
    begin();
    start("[{'op':'apply','object':{'apiVersion':'v1','kind':'Service','metadata':{'name':'s',"
          "'namespace':'ns'}}},{'op':'create','object':{'apiVersion':'v1','kind':'Pod','metadata':"
          "{'name':'p','namespace':'ns'}}}]");
    tw_advance(q.tw, MH_NS_PER_MS / 2);
    mh_act_preempt(&q.act);
    tw_settle(q.tw);
    CHECK_INT(q.done, 1);
    CHECK_INT(q.act.err.code, MH_E_CANCELLED);
    CHECK_INT(q.act.at, 1);
    CHECK_INT(tw_objects(q.tw, PODS), 0);
    tw_api_on(q.tw, silent, NULL);
    start(CREATE_POD);
    tw_advance(q.tw, 10 * MH_NS_PER_MS);
    mh_act_preempt(&q.act);
    tw_advance(q.tw, 1900 * MH_NS_PER_MS);
    CHECK_INT(q.done, 0);
    tw_advance(q.tw, 200 * MH_NS_PER_MS);
    CHECK_INT(q.done, 1);
    CHECK_INT(q.act.err.code, MH_E_CANCELLED);
    finish();
}

TEST(an_order_to_an_instance_carries_the_uid_and_holds_nothing_up)
{
    begin();
    CHECK_INT(carry_out("[{'op':'instance','pod':'c-2','command':'lease','term':3},"
                        "{'op':'instance','pod':'c-3','command':'lease','term':3}]"),
              MH_OK);
    CHECK_INT(q.orders, 2);
    CHECK_STR(q.order, "ns/c-3 {\"command\":\"lease\",\"term\":3,\"clusterUID\":\"U\"}");
    CHECK_INT(carry_out("[{'op':'instance','pod':'c-2'}]"), MH_E_SCRIPT);
    finish();
}

TEST(crash_points_count_calls_of_their_kind)
{
    begin();
    CHECK(mh_crash_init(&q.env.crash, "create:Pod:2:before"));
    q.env.crash.die = die;
    CHECK_INT(carry_out(CREATE_POD), MH_OK);
    CHECK_INT(q.died, 0);
    CHECK_INT(carry_out(SERVICE(1)), MH_OK);
    CHECK_INT(q.died, 0);
    CHECK_INT(carry_out(CREATE_POD), MH_OK);
    CHECK_INT(q.died, 1);
    CHECK(mh_crash_init(&q.env.crash, "apply:*:1"));
    CHECK(!q.env.crash.before);
    CHECK(!mh_crash_init(&q.env.crash, "apply:*"));
    CHECK(!mh_crash_init(&q.env.crash, "apply:*:0"));
    CHECK(!mh_crash_init(&q.env.crash, "apply:*:1:later"));
    finish();
}

TEST(no_list_is_endless)
{
    begin();
    struct mh_buf b;
    mh_buf_init(&b, 1 << 20);
    mh_buf_char(&b, '[');
    for (int i = 0; i <= MH_ACTIONS_MAX; i++)
        mh_buf_str(&b, i ? ",{}" : "{}");
    mh_buf_char(&b, ']');
    CHECK_INT(carry_out(mh_buf_text(&b)), MH_E_LIMIT);
    mh_buf_release(&b);
    finish();
}
