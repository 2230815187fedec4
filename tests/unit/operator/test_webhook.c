/* Admission reviews: bytes in, bytes out, hostile ones too. */
#include "base/log.h"
#include "base/modules.h"
#include "harness/test.h"
#include "net/crypto.h"
#include "operator/webhook.h"

static struct mh_arena arena;

static yyjson_val *
parse(const char *text)
{
    yyjson_val *v = NULL;
    CHECK(text != NULL);
    if (text)
        CHECK_INT(mh_json_parse(&arena, text, strlen(text), &v, NULL), MH_OK);
    return v;
}

#define REVIEW(more)                                                                               \
    "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"request\":{"           \
    "\"uid\":\"u\",\"operation\":\"CREATE\"" more "}}"
#define CLUSTER(spec)                                                                              \
    ",\"object\":{\"apiVersion\":\"postgresql.cnpg.io/v1\",\"kind\":\"Cluster\",\"metadata\":{"    \
    "\"name\":\"c\",\"namespace\":\"ns\"},\"spec\":" spec "}"

static struct mh_webhook *
begin(void)
{
    static const char *const groups[] = { "postgresql.cnpg.io", NULL };
    static const char *const names[] = { "cluster", NULL };
    static const struct mh_webhook_conf conf = { .groups = groups,
                                                 .names = names,
                                                 .env = "{\"default_image\":\"img:15\"}" };
    struct mh_webhook *w = NULL;
    struct mh_err err = { .code = MH_OK };
    mh_log_set_fd(-1);
    mh_arena_init(&arena, (size_t)16 << 20);
    CHECK_INT(mh_webhook_new(&conf, &w, &err), MH_OK);
    if (!w)
        printf("# %s\n", err.msg);
    return w;
}

static void
finish(struct mh_webhook *w)
{
    mh_webhook_free(w);
    mh_arena_release(&arena);
}

static yyjson_val *
answer(struct mh_webhook *w, const char *text, bool mutate)
{
    struct mh_review review;
    struct mh_err err;
    bool allowed;
    CHECK_INT(mh_review_parse(&arena, text, strlen(text), &review, &err), MH_OK);
    yyjson_val *v = parse(mh_webhook_review(w, &arena, "cluster", mutate, &review, &allowed));
    yyjson_val *response = mh_json_get(v, "response", NULL);
    CHECK_STR(mh_json_str(response, "uid", NULL), "u");
    CHECK(mh_json_bool(response, !allowed, "allowed", NULL) == allowed);
    return response;
}

TEST(a_mutation_answers_with_a_patch)
{
    struct mh_webhook *w = begin();
    yyjson_val *r =
        answer(w, REVIEW(CLUSTER("{\"instances\":1,\"storage\":{\"size\":\"1Gi\"}}")), true);
    CHECK_STR(mh_json_str(r, "patchType", NULL), "JSONPatch");
    const char *b64 = mh_json_str(r, "patch", NULL);
    CHECK(b64 != NULL);
    char *text = mh_base64_decode(&arena, b64, strlen(b64), NULL);
    CHECK(yyjson_is_arr(parse(text)));
    CHECK(strstr(text, "img:15"));
    finish(w);
}

TEST(a_bad_cluster_is_refused_with_the_paths)
{
    struct mh_webhook *w = begin();
    yyjson_val *r =
        answer(w, REVIEW(CLUSTER("{\"instances\":0,\"storage\":{\"size\":\"-1Gi\"}}")), false);
    const char *message = mh_json_str(r, "status", "message", NULL);
    CHECK(!mh_json_bool(r, true, "allowed", NULL));
    CHECK(message && strstr(message, "spec.instances") && strstr(message, "spec.storage.size"));
    finish(w);
}

static void
wants_team(const struct mh_object *now, const struct mh_object *old, struct mh_faults *f)
{
    CHECK(old == NULL);
    if (!mh_object_text(now, "/metadata/labels/team"))
        mh_fault(f, "metadata.labels.team", "want the name of a %s", "team");
}

TEST(what_a_native_module_finds_is_refused_too)
{
    static const struct mh_module_check checks[] = { { "Cluster", wants_team, NULL },
                                                     { NULL, NULL, NULL } };
    static const struct mh_module module = { MH_MODULE_VERSION, "house", NULL, NULL, checks };
    static const struct mh_module *const list[] = { &module, NULL };
    static const struct mh_module *const nothing[] = { NULL };
    const char *review = REVIEW(CLUSTER("{\"instances\":1,\"storage\":{\"size\":\"-1Gi\"}}"));
    struct mh_webhook *w = begin();
    CHECK_INT(mh_modules_set(list, NULL), MH_OK);
    const char *message = mh_json_str(answer(w, review, false), "status", "message", NULL);
    CHECK(message && strstr(message, "spec.storage.size") &&
          strstr(message, "metadata.labels.team: want the name of a team"));
    CHECK_INT(mh_modules_set(nothing, NULL), MH_OK);
    message = mh_json_str(answer(w, review, false), "status", "message", NULL);
    CHECK(message && !strstr(message, "team"));
    finish(w);
}

TEST(a_shrinking_volume_is_refused_on_update_only)
{
    struct mh_webhook *w = begin();
    yyjson_val *r = answer(
        w,
        REVIEW(CLUSTER(
            "{\"instances\":1,\"storage\":{\"size\":\"1Gi\"}}") ",\"oldObject\":{\"apiVersion\":"
                                                                "\"postgresql.cnpg.io/v1\","
                                                                "\"kind\":\"Cluster\",\"metadata\":"
                                                                "{\"name\":\"c\"},\"spec\":{"
                                                                "\"instances\":1,\"storage\":{"
                                                                "\"size\":\"2Gi\"}}}"),
        false);
    CHECK(!mh_json_bool(r, true, "allowed", NULL));
    r = answer(w, REVIEW(CLUSTER("{\"instances\":1,\"storage\":{\"size\":\"1Gi\"}}")), false);
    CHECK(mh_json_bool(r, false, "allowed", NULL));
    finish(w);
}

TEST(an_update_that_leaves_the_spec_alone_is_let_through)
{
    /* Nobody could take a finalizer off an object that newer checks find wrong. */
    struct mh_webhook *w = begin();
#define WRONG "{\"metadata\":{\"name\":\"c\",\"labels\":{\"a\":\"%s\"}},\"spec\":{\"instances\":0}}"
#define OTHER                                                                                      \
    "{\"metadata\":{\"name\":\"c\",\"annotations\":{\"a\":\"b\"}},\"spec\":{\"instances\":0}}"
    yyjson_val *r = answer(w, REVIEW(",\"object\":" WRONG ",\"oldObject\":" WRONG), false);
    CHECK(mh_json_bool(r, false, "allowed", NULL));
    r = answer(w, REVIEW(",\"object\":" OTHER ",\"oldObject\":" WRONG), false);
    CHECK(!mh_json_bool(r, true, "allowed", NULL));
    finish(w);
}

TEST(warnings_reach_the_answer)
{
    struct mh_webhook *w = begin();
    yyjson_val *r =
        answer(w,
               REVIEW(CLUSTER("{\"instances\":1,\"imageName\":\"img:15\",\"storage\":{\"size\":"
                              "\"1Gi\"},\"monitoring\":{\"enablePodMonitor\":true}}")),
               false);
    CHECK(mh_json_bool(r, false, "allowed", NULL));
    CHECK_INT(yyjson_arr_size(yyjson_obj_get(r, "warnings")), 1);
    finish(w);
}

TEST(a_kind_that_no_script_reviews_is_let_through_with_a_warning)
{
    struct mh_webhook *w = begin();
    struct mh_review review;
    struct mh_err err;
    bool allowed = false;
    static const char text[] = REVIEW(CLUSTER("{}"));
    CHECK_INT(mh_review_parse(&arena, text, strlen(text), &review, &err), MH_OK);
    yyjson_val *v = parse(mh_webhook_review(w, &arena, "pooler", true, &review, &allowed));
    CHECK(allowed);
    CHECK_INT(yyjson_arr_size(mh_json_get(v, "response", "warnings", NULL)), 1);
    finish(w);
}

TEST(a_deletion_is_let_through)
{
    struct mh_webhook *w = begin();
    yyjson_val *r = answer(w, REVIEW(",\"object\":null,\"oldObject\":{}"), false);
    CHECK(mh_json_bool(r, false, "allowed", NULL));
    finish(w);
}

TEST(odd_objects_never_break_the_webhook)
{
    static const char *const odd[] = {
        REVIEW(",\"object\":{}"),
        REVIEW(",\"object\":{\"spec\":7}"),
        REVIEW(",\"object\":{\"spec\":[]}"),
        REVIEW(",\"object\":{\"metadata\":[],\"spec\":{\"storage\":\"x\",\"instances\":\"3\"}}"),
        REVIEW(",\"object\":{\"metadata\":{\"name\":7,\"annotations\":[1]},\"spec\":{\"bootstrap\":"
               "[],\"postgresql\":{\"parameters\":[1,2]},\"tablespaces\":{\"a\":1}}}"),
        REVIEW(CLUSTER("{\"instances\":18446744073709551615,\"storage\":{\"size\":{}}}")),
        REVIEW(CLUSTER("{\"affinity\":null,\"bootstrap\":null,\"postgresql\":null}")),
        REVIEW(CLUSTER("{\"instances\":1,\"storage\":{\"size\":\"1Gi\"}}") ",\"oldObject\":[]"),
    };
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        struct mh_webhook *w = begin();
        answer(w, odd[i], true);
        answer(w, odd[i], false);
        finish(w);
    }
}

TEST(what_is_no_review_is_refused)
{
    static const char *const bad[] = {
        "",
        "garbage",
        "[]",
        "{}",
        "null",
        "{\"apiVersion\":\"admission.k8s.io/v1\"}",
        "{\"apiVersion\":\"admission.k8s.io/v1\",\"request\":{\"uid\":3,\"operation\":\"X\"}}",
        "{\"apiVersion\":\"admission.k8s.io/v1beta1\",\"request\":{\"uid\":\"u\",\"operation\":"
        "\"CREATE\"}}",
        "{\"apiVersion\":\"admission.k8s.io/v1\",\"request\":{\"uid\":\"u\"}}",
        REVIEW("") "x",
    };
    mh_arena_init(&arena, (size_t)16 << 20);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct mh_review review;
        struct mh_err err = { .code = MH_OK };
        CHECK_INT(mh_review_parse(&arena, bad[i], strlen(bad[i]), &review, &err), MH_E_INVALID);
    }
    mh_arena_release(&arena);
}

TEST(a_deep_or_large_review_is_refused)
{
    struct mh_buf b;
    struct mh_review review;
    struct mh_err err;
    mh_arena_init(&arena, (size_t)64 << 20);
    mh_buf_init(&b, (size_t)8 << 20);
    mh_buf_str(&b, "{\"apiVersion\":\"admission.k8s.io/v1\",\"request\":{\"object\":");
    for (int i = 0; i < 100000; i++)
        mh_buf_char(&b, '[');
    CHECK(mh_review_parse(&arena, b.data, b.len, &review, &err) != MH_OK);
    mh_buf_reset(&b);
    for (int i = 0; i < 5 << 20; i++)
        mh_buf_char(&b, ' ');
    CHECK(mh_review_parse(&arena, b.data, b.len, &review, &err) != MH_OK);
    mh_buf_release(&b);
    mh_arena_release(&arena);
}

TEST(messages_are_valid_text_of_bounded_length)
{
    struct mh_review review = { .uid = "u" };
    static char longest[100000];
    mh_arena_init(&arena, (size_t)16 << 20);
    memset(longest, '\xff', sizeof(longest) - 1);
    struct mh_review_verdict verdict = { .message = longest };
    char *text = mh_review_answer(&arena, &review, &verdict);
    CHECK(text && strlen(text) < 64000);
    parse(text);
    mh_arena_release(&arena);
}

/* One review from bytes to bytes: the answer, NULL without memory. */
static char *
one_review(struct mh_webhook *w, struct mh_arena *a, const char *text, bool mutate)
{
    struct mh_review review;
    struct mh_err err;
    bool allowed;
    if (mh_review_parse(a, text, strlen(text), &review, &err) != MH_OK)
        return NULL;
    return mh_webhook_review(w, a, "cluster", mutate, &review, &allowed);
}

/* Whether a sweep that began with this n met its failure. */
static bool
review_with_failure(struct mh_webhook *w, const char *text, bool mutate, int n)
{
    struct mh_arena a;
    yyjson_val *v = NULL;
    mh_arena_init(&a, (size_t)16 << 20);
    mh_mem_fail_after(n);
    char *answer = one_review(w, &a, text, mutate);
    bool failed = mh_mem_failed();
    mh_mem_fail_after(-1);
    if (answer) {
        CHECK_INT(mh_json_parse(&a, answer, strlen(answer), &v, NULL), MH_OK);
        CHECK(mh_json_str(v, "response", "uid", NULL) != NULL);
    }
    mh_arena_release(&a);
    return failed;
}

TEST(after_any_failed_allocation_the_next_review_is_right)
{
    static const char *const texts[] = {
        REVIEW(
            CLUSTER("{\"instances\":1,\"imageName\":\"img:15\",\"storage\":{\"size\":\"1Gi\"}}")),
        REVIEW(CLUSTER("{\"instances\":0,\"storage\":{\"size\":\"-1Gi\"}}")),
    };
    struct mh_webhook *w = begin();
    for (int kind = 0; kind < 4; kind++) {
        const char *text = texts[kind / 2];
        struct mh_arena a;
        mh_arena_init(&a, (size_t)16 << 20);
        char *right = mh_strdup(one_review(w, &a, text, kind % 2));
        mh_arena_release(&a);
        for (int n = 0; review_with_failure(w, text, kind % 2, n) && n < 50000;
             n += n < 200 ? 1 : 23) {
            mh_arena_init(&a, (size_t)16 << 20);
            CHECK_STR(one_review(w, &a, text, kind % 2), right);
            mh_arena_release(&a);
        }
        mh_free(right);
    }
    finish(w);
}

TEST(webhooks_load_or_say_that_there_is_no_memory)
{
    static const char *const groups[] = { "postgresql.cnpg.io", NULL };
    static const char *const names[] = { "cluster", NULL };
    static const struct mh_webhook_conf conf = { .groups = groups, .names = names, .env = "{}" };
    bool failed = true;
    mh_log_set_fd(-1);
    for (int n = 0; failed && n < 200000; n += n < 100 ? 1 : 211) {
        struct mh_webhook *w = NULL;
        struct mh_err err = { .code = MH_OK };
        mh_mem_fail_after(n);
        enum mh_code code = mh_webhook_new(&conf, &w, &err);
        failed = mh_mem_failed();
        mh_mem_fail_after(-1);
        CHECK((code == MH_OK) == (w != NULL));
        mh_webhook_free(w);
    }
    CHECK(!failed);
}
