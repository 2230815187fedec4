#include <stdlib.h>

#include "harness/test.h"
#include "kube/yaml.h"

static struct mh_arena arena;

/* All documents as JSON, one a line. */
static const char *
read_all(const char *text)
{
    struct mh_err err = { 0 };
    yyjson_val **docs;
    size_t n;
    const char *out = "";
    mh_arena_release(&arena);
    mh_arena_init(&arena, 64u << 20);
    if (mh_kube_yaml(&arena, text, strlen(text), &docs, &n, &err) != MH_OK)
        return mh_arena_printf(&arena, "%s", err.msg);
    for (size_t i = 0; i < n; i++)
        out = mh_arena_printf(&arena, "%s%s%s", out, i ? "\n" : "",
                              mh_json_text(&arena, docs[i], NULL));
    return out;
}

TEST(documents_become_json_in_their_order)
{
    CHECK_STR(read_all("a: 1\n---\n# nothing\n---\nb: [x, \"2\", 'y']\n...\n---\nc:\n- d: {}\n"),
              "{\"a\":1}\n{\"b\":[\"x\",\"2\",\"y\"]}\n{\"c\":[{\"d\":{}}]}");
    CHECK_STR(read_all(""), "");
    CHECK_STR(read_all("{\"a\": {\"b\": [1, null, true]}}"), "{\"a\":{\"b\":[1,null,true]}}");
}

TEST(plain_words_are_what_kubectl_makes_of_them)
{
    CHECK_STR(read_all("[yes, No, on, OFF, ~, null, true]"),
              "[true,false,true,false,null,null,true]");
    CHECK_STR(
        read_all("[0755, 0x1F, 0o17, 1_000, -3, 1.5, 1e3, 1.10.2, 10Gi, 5m, 18446744073709551615]"),
        "[493,31,15,1000,-3,1.5,1000,\"1.10.2\",\"10Gi\",\"5m\",18446744073709551615]");
    CHECK_STR(read_all("[\"yes\", '1', 2026-11-21, 089, -, +]"),
              "[\"yes\",\"1\",\"2026-11-21\",89,\"-\",\"+\"]");
    CHECK_STR(read_all("a: |\n  x\n  y\nb: >-\n  x\n  y\n"), "{\"a\":\"x\\ny\\n\",\"b\":\"x y\"}");
}

TEST(anchors_and_merge_keys_are_followed)
{
    CHECK_STR(read_all("a: &x {k: 1, l: 2}\nb: *x\nc:\n  l: 3\n  <<: *x\n"),
              "{\"a\":{\"k\":1,\"l\":2},\"b\":{\"k\":1,\"l\":2},\"c\":{\"l\":3,\"k\":1}}");
}

TEST(what_is_wrong_is_told_with_its_line)
{
    CHECK_STR(read_all("a: 1\nb: 2\na: 3\n"), "line 3: the same key is there twice");
    CHECK(strncmp(read_all("a: [1\n"), "line 2: ", 8) == 0);
    CHECK(strstr(read_all("? {a: 1}\n: 2\n"), "a key must be a text") != NULL);
}

TEST(aliases_cannot_blow_up)
{
    char text[1200] = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
    for (int i = 1; i < 9; i++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof(text) - n,
                 "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1,
                 i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    }
    CHECK(strstr(read_all(text), "too large") || strstr(read_all(text), "no memory"));
    CHECK(strstr(read_all("a: &a [*a]\n"), "line 1") != NULL);
    mh_arena_release(&arena);
}
