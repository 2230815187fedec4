/* The list of native modules, and their checks. */
#include <string.h>

#include "base/modules.h"
#include "harness/test.h"

static enum mh_code
set(const struct mh_module *a, const struct mh_module *b, struct mh_err *err)
{
    static const struct mh_module *list[3];
    list[0] = a;
    list[1] = b;
    list[2] = NULL;
    return mh_modules_set(list, err);
}

static struct mh_module
module_of(const char *name)
{
    return (struct mh_module){ .version = MH_MODULE_VERSION, .name = name };
}

TEST(a_module_of_another_version_or_with_a_bad_name_is_refused)
{
    static const char *const bad[] = { NULL,      "",        "Geo",
                                       "9geo",    "geo-net", "a23456789012345678901234567890123",
                                       "json",    "string",  "rank",
                                       "require", "policy" };
    struct mh_err err;
    struct mh_module good = module_of("geo"), other = module_of("house"), again = module_of("geo");
    CHECK_INT(set(&good, &other, &err), MH_OK);
    CHECK(mh_modules()[0] == &good && mh_modules()[1] == &other);
    CHECK_INT(set(&good, &again, &err), MH_E_INVALID);
    CHECK_STR(err.msg, "native module geo is there twice");
    good.version++;
    CHECK_INT(set(&good, NULL, &err), MH_E_INVALID);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct mh_module m = module_of(bad[i]);
        CHECK_INT(set(&m, NULL, &err), MH_E_INVALID);
    }
    CHECK_INT(set(NULL, NULL, &err), MH_OK);
    CHECK(mh_modules()[0] == NULL);
}

/* --- checks ------------------------------------------------------------------------------------ */

static void
look(const struct mh_object *now, const struct mh_object *old, struct mh_faults *f)
{
    int64_t n = -1, before = -1;
    bool flag = true;
    CHECK(mh_object_int(now, "/spec/instances", &n));
    CHECK(!mh_object_int(now, "/spec/name", &n) && !mh_object_int(now, "/spec/huge", &n));
    CHECK(mh_object_flag(now, "/spec/on", &flag) && !flag);
    CHECK(!mh_object_flag(now, "/spec/instances", &flag));
    CHECK_STR(mh_object_text(now, "/metadata/annotations/example.org~1owner"), "me");
    CHECK(mh_object_text(now, "/spec/instances") == NULL);
    CHECK(mh_object_text(now, "no pointer") == NULL && mh_object_text(now, NULL) == NULL);
    CHECK(mh_object_has(now, "/spec/list/1/a") && !mh_object_has(now, "/spec/list/2"));
    CHECK_INT(mh_object_count(now, "/spec/list"), 2);
    CHECK_INT(mh_object_count(now, "/spec/list/1"), 1);
    CHECK_INT(mh_object_count(now, "/spec/name"), 0);
    CHECK_STR(mh_object_key(now, "/spec", 1), "name");
    CHECK(mh_object_key(now, "/spec", 99) == NULL && mh_object_key(now, "/spec/list", 0) == NULL);
    if (old && mh_object_int(old, "/spec/instances", &before) && before > n)
        mh_fault(f, "spec.instances", "was %d", (int)before);
    for (int i = 0; n > 5 && i < 100; i++)
        mh_fault(f, "spec.instances", "%0600d", i);
}

static const struct mh_module_check checks[] = { { "Cluster", look, "looks" },
                                                 { NULL, NULL, NULL } };
static const struct mh_module looking = { MH_MODULE_VERSION, "looking", "a test", NULL, checks };

#define OBJECT(kind, n)                                                                            \
    "{\"kind\":\"" kind "\",\"metadata\":{\"annotations\":{\"example.org/owner\":\"me\"}},"        \
    "\"spec\":{\"instances\":" n ",\"name\":\"x\",\"on\":false,\"huge\":18446744073709551615,"     \
    "\"list\":[1,{\"a\":2}]}}"

static yyjson_val *
parse(struct mh_arena *a, const char *text)
{
    yyjson_val *v = NULL;
    CHECK_INT(mh_json_parse(a, text, strlen(text), &v, NULL), MH_OK);
    return v;
}

TEST(checks_see_the_object_and_the_one_before_it)
{
    struct mh_arena a;
    mh_arena_init(&a, (size_t)1 << 20);
    CHECK_INT(set(&looking, NULL, NULL), MH_OK);
    yyjson_val *now = parse(&a, OBJECT("Cluster", "1"));
    CHECK(mh_modules_check(&a, now, NULL) == NULL);
    yyjson_val *found = mh_modules_check(&a, now, parse(&a, OBJECT("Cluster", "3")));
    CHECK_STR(mh_json_text(&a, found, NULL),
              "[{\"path\":\"spec.instances\",\"message\":\"was 3\"}]");
    CHECK(mh_modules_check(&a, parse(&a, OBJECT("Pooler", "9")), NULL) == NULL);
    CHECK(mh_modules_check(&a, NULL, NULL) == NULL);
    (void)set(NULL, NULL, NULL);
    mh_arena_release(&a);
}

TEST(faults_are_bounded_and_want_of_memory_does_no_harm)
{
    struct mh_arena a;
    bool failed = true;
    CHECK_INT(set(&looking, NULL, NULL), MH_OK);
    for (int n = 0; failed && n < 1000; n++) {
        mh_arena_init(&a, (size_t)4 << 20);
        yyjson_val *now = parse(&a, OBJECT("Cluster", "9"));
        mh_mem_fail_after(n);
        yyjson_val *found = mh_modules_check(&a, now, NULL);
        failed = mh_mem_failed();
        mh_mem_fail_after(-1);
        CHECK(failed || yyjson_arr_size(found) == MH_MODULE_FAULTS);
        mh_arena_release(&a);
    }
    CHECK(!failed);
    (void)set(NULL, NULL, NULL);
}

TEST(the_version_tells_what_modules_add)
{
    struct mh_arena a;
    mh_arena_init(&a, (size_t)1 << 20);
    CHECK_INT(set(&looking, NULL, NULL), MH_OK);
    yyjson_mut_doc *doc = mh_json_doc(&a);
    yyjson_mut_val *out = yyjson_mut_obj(doc);
    CHECK(mh_modules_describe(doc, out));
    CHECK_STR(mh_json_mut_text(&a, out, NULL),
              "{\"interface\":1,\"modules\":[{\"name\":\"looking\",\"summary\":\"a test\","
              "\"functions\":[],\"checks\":[{\"kind\":\"Cluster\",\"summary\":\"looks\"}]}]}");
    (void)set(NULL, NULL, NULL);
    mh_arena_release(&a);
}
