#include "sandbox/jsonpath.h"
#include "shape_help.h"

static struct mh_err err;

static const char *
find(const char *path, const char *obj)
{
    struct mh_sb_jsonpath *p = NULL;
    size_t n = 0;
    if (mh_sb_jsonpath_compile(&arena, path, &p, &err) != MH_OK)
        return "bad";
    yyjson_val **all = mh_sb_jsonpath_all(p, &arena, J(obj), &n);
    const char *out = "";
    for (size_t i = 0; i < n; i++)
        out = mh_arena_printf(&arena, "%s%s%s", out, i ? " " : "", T(all[i]));
    return out;
}

ARENA_TEST(paths_find_fields_and_items)
{
    CHECK_STR(find(".a.b", "{'a':{'b':1}}"), "1");
    CHECK_STR(find(".a['b.c'].d", "{'a':{'b.c':{'d':2}}}"), "2");
    CHECK_STR(find(".a.b\\.c", "{'a':{'b.c':3}}"), "3");
    CHECK_STR(find(".a[0]", "{'a':[1,2]}"), "1");
    CHECK_STR(find(".a[-1]", "{'a':[1,2]}"), "2");
    CHECK_STR(find(".a[1:3]", "{'a':[1,2,3,4]}"), "2 3");
    CHECK_STR(find(".a[*].b", "{'a':[{'b':1},{'c':2},{'b':3}]}"), "1 3");
    CHECK_STR(find(".a.*", "{'a':{'x':1,'y':2}}"), "1 2");
    CHECK_STR(find("..b", "{'a':{'b':1,'c':[{'b':2}]}}"), "1 2");
    CHECK_STR(find(".a.x", "{'a':[1]}"), "");
    CHECK_STR(find(".a[?(@.type==\"Ready\")].status",
                   "{'a':[{'type':'X','status':1},{'type':'Ready','status':2}]}"),
              "2");
    CHECK_STR(find(".a[?(@.n > 1)].n", "{'a':[{'n':1},{'n':2},{'n':3}]}"), "2 3");
    CHECK_STR(find(".a[?(@.n)].n", "{'a':[{'n':1},{'m':2}]}"), "1");
    CHECK_STR(find(".a[", "{}"), "bad");
    CHECK_STR(find(".a[?(@.x==)]", "{}"), "bad");
    CHECK_STR(find("a b", "{}"), "bad");
}

static const char *
cell(const char *path, const char *type, const char *obj)
{
    struct mh_sb_jsonpath *p = NULL;
    CHECK_INT(mh_sb_jsonpath_compile(&arena, path, &p, &err), MH_OK);
    return MT(mh_sb_jsonpath_cell(p, type, &arena, mh_json_doc(&arena), J(obj), 1767225600));
}

ARENA_TEST(cells_have_the_type_of_their_column)
{
    CHECK_STR(cell(".a", "string", "{'a':'x'}"), "'x'");
    CHECK_STR(cell(".a", "string", "{'a':1}"), "'1'");
    CHECK_STR(cell(".a", "string", "{}"), "null");
    CHECK_STR(cell(".a", "integer", "{'a':3}"), "3");
    CHECK_STR(cell(".a", "integer", "{'a':'3'}"), "null");
    CHECK_STR(cell(".a", "boolean", "{'a':true}"), "true");
    CHECK_STR(cell(".a", "date", "{'a':'2025-12-31T23:55:00Z'}"), "'5m'");
    CHECK_STR(cell(".a", "date", "{'a':'x'}"), "'\\u003cinvalid\\u003e'");
}

ARENA_TEST(durations_are_short)
{
    CHECK_STR(mh_sb_human_duration(&arena, 0), "0s");
    CHECK_STR(mh_sb_human_duration(&arena, 119), "119s");
    CHECK_STR(mh_sb_human_duration(&arena, 121), "2m1s");
    CHECK_STR(mh_sb_human_duration(&arena, 3600), "60m");
    CHECK_STR(mh_sb_human_duration(&arena, 4 * 3600 + 60), "4h1m");
    CHECK_STR(mh_sb_human_duration(&arena, 86400 * 3 + 3600), "3d1h");
    CHECK_STR(mh_sb_human_duration(&arena, 86400 * 400), "400d");
    CHECK_STR(mh_sb_human_duration(&arena, 86400 * 800), "2y70d");
}
