#include "harness/test.h"
#include "sandbox/proto.h"

static struct mh_arena arena;

static const char *
json_of(const char *bytes, size_t n)
{
    struct mh_err err = { 0 };
    char *json;
    size_t len;
    mh_arena_release(&arena);
    mh_arena_init(&arena, 1 << 20);
    return mh_sb_proto_json(&arena, bytes, n, &json, &len, &err) == MH_OK
               ? json
               : mh_arena_printf(&arena, "%s", err.msg);
}

#define JSON_OF(text) json_of(text, sizeof(text) - 1)

TEST(what_kubectl_creates_becomes_json)
{
    CHECK_STR(
        JSON_OF("k8s\0\n\017\n\002v1\022\tConfigMap\022\033\n\021\n\001x\022\000\032\000\"\000*"
                "\0002\0008\000B\000\022\006\n\001a\022\001b\032\000\"\000"),
        "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"x\"},"
        "\"data\":{\"a\":\"b\"}}");
    /* DeleteOptions of any group; a pointer to zero is kept */
    CHECK_STR(JSON_OF("k8s\0\n\027\n\006foo/v1\022\rDeleteOptions\022\002\010\000"),
              "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"foo/v1\",\"gracePeriodSeconds\":0}");
}

TEST(rubbish_is_refused)
{
    CHECK(strstr(JSON_OF("{}"), "no object in protobuf") != NULL);
    CHECK(strstr(JSON_OF("k8s\0\n\017\n\002v1\022\tConfigMap\022\033\n\021"), "no object") != NULL);
    CHECK(strstr(JSON_OF("k8s\0\n\017\n\002v1\022\tConfigMap\022\002\n\021"), "no ConfigMap") !=
          NULL);
    CHECK(strstr(JSON_OF("k8s\0\n\017\n\002v1\022\tSomeThing\022\000"), "does not read") != NULL);
    mh_arena_release(&arena);
}
