#include "sandbox/patch.h"
#include "shape_help.h"

static struct mh_err err;

static const char *
json_patch(const char *obj, const char *patch)
{
    yyjson_mut_val *out = NULL;
    err = (struct mh_err){ 0 };
    if (mh_sb_patch_json(mh_json_doc(&arena), J(obj), J(patch), &out, &err) != MH_OK)
        return err.msg;
    return MT(out);
}

static const char *
merge_patch(const char *obj, const char *patch)
{
    yyjson_mut_val *out = NULL;
    err = (struct mh_err){ 0 };
    if (mh_sb_patch_merge(mh_json_doc(&arena), J(obj), J(patch), &out, &err) != MH_OK)
        return err.msg;
    return MT(out);
}

ARENA_TEST(json_patch_adds_to_objects_and_lists)
{
    CHECK_STR(json_patch("{'a':1}", "[{'op':'add','path':'/b','value':{'c':[]}}]"),
              "{'a':1,'b':{'c':[]}}");
    CHECK_STR(json_patch("{'a':[1,2]}", "[{'op':'add','path':'/a/0','value':0}]"), "{'a':[0,1,2]}");
    CHECK_STR(json_patch("{'a':[1,2]}", "[{'op':'add','path':'/a/-','value':3}]"), "{'a':[1,2,3]}");
    CHECK_STR(json_patch("{'a':[1,2]}", "[{'op':'add','path':'/a/2','value':3}]"), "{'a':[1,2,3]}");
    CHECK_STR(json_patch("{'a':[1,2]}", "[{'op':'add','path':'/a/-1','value':3}]"),
              "{'a':[1,2,3]}");
    CHECK_STR(json_patch("{}", "[{'op':'add','path':'/a~1b~0c~01','value':1}]"), "{'a/b~c~1':1}");
    CHECK_STR(json_patch("{'a':1}", "[{'op':'add','path':'/b'}]"), "{'a':1,'b':null}");
}

ARENA_TEST(json_patch_says_why_it_does_not_apply)
{
    CHECK_STR(json_patch("{'a':1}", "[{'op':'remove','path':'/b'}]"),
              "error in remove for path: '/b': Unable to remove nonexistent key: b: missing value");
    CHECK_INT(err.code, MH_E_REFUSED);
    CHECK_STR(json_patch("{'a':1}", "[{'op':'add','path':'/b/c','value':1}]"),
              "add operation does not apply: doc is missing path: \"/b/c\": missing value");
    CHECK_STR(json_patch("{'a':1}", "[{'op':'add','path':'','value':1}]"),
              "add operation does not apply: doc is missing path: \"\": missing value");
    CHECK_STR(json_patch("{'a':[]}", "[{'op':'add','path':'/a/5','value':1}]"),
              "error in add for path: '/a/5': Unable to access invalid index: 5: invalid index "
              "referenced");
    CHECK_STR(json_patch("{'a':[]}", "[{'op':'add','path':'/a/x','value':1}]"),
              "error in add for path: '/a/x': value was not a proper array index: 'x': "
              "strconv.Atoi: parsing \"x\": invalid syntax");
    CHECK_STR(json_patch("{'a':1}", "[{'op':'test','path':'/a','value':2}]"),
              "testing value /a failed: test failed");
    CHECK_STR(json_patch("{'a':1}", "[{'op':'burn','path':'/a'}]"), "Unexpected kind: burn");
    CHECK_STR(json_patch("{'a':1}", "[{'op':'copy','path':'/a'}]"),
              "copy operation failed to decode from: operation, missing from field: missing value");
    CHECK_STR(json_patch("{'a':1}", "{'op':'add'}"),
              "error decoding patch: json: cannot unmarshal object into Go value of type "
              "[]handlers.jsonPatchOp");
    CHECK_INT(err.code, MH_E_INVALID);
}

ARENA_TEST(json_patch_replace_move_copy_and_test)
{
    CHECK_STR(json_patch("{'a':1}", "[{'op':'replace','path':'/b','value':2}]"), "{'a':1,'b':2}");
    CHECK_STR(json_patch("{'a':[1]}", "[{'op':'replace','path':'/a/1','value':2}]"),
              "replace operation does not apply: doc is missing key: /a/1: missing value");
    CHECK_STR(json_patch("{'a':{'x':1},'b':2}", "[{'op':'move','from':'/a','path':'/c'}]"),
              "{'b':2,'c':{'x':1}}");
    CHECK_STR(json_patch("{'a':{'x':1}}", "[{'op':'copy','from':'/a','path':'/c'},"
                                          "{'op':'replace','path':'/c/x','value':2}]"),
              "{'a':{'x':1},'c':{'x':2}}");
    CHECK_STR(json_patch("{'a':{'x':1,'y':[1,{'z':null}]}}",
                         "[{'op':'test','path':'/a','value':{'y':[1,{'z':null}],'x':1}}]"),
              "{'a':{'x':1,'y':[1,{'z':null}]}}");
    CHECK_STR(json_patch("{'a':1}", "[{'op':'test','path':'/b','value':null}]"), "{'a':1}");
    CHECK_STR(json_patch("{'a':1}", "[{'op':'replace','path':'','value':{'b':1}}]"), "{'b':1}");
}

ARENA_TEST(merge_patch_follows_rfc_7386)
{
    CHECK_STR(merge_patch("{'a':{'b':1,'c':2}}", "{'a':{'b':null,'d':3}}"), "{'a':{'c':2,'d':3}}");
    CHECK_STR(merge_patch("{'a':[1,2]}", "{'a':[3]}"), "{'a':[3]}");
    CHECK_STR(merge_patch("{'a':1}", "{'a':{'b':null,'c':1}}"), "{'a':{'c':1}}");
    CHECK_STR(merge_patch("{}", "{'a':{'b':{'c':null}}}"), "{'a':{'b':{}}}");
    CHECK_STR(merge_patch("{'a':null}", "{'a':{'b':null}}"), "{'a':{}}");
    CHECK_STR(merge_patch("{'a':'x'}", "{'a':null}"), "{}");
    CHECK_STR(merge_patch("{}", "[1]"),
              "error decoding patch: json: cannot unmarshal array into Go value of type "
              "map[string]interface {}");
    CHECK_INT(err.code, MH_E_INVALID);
}

ARENA_TEST(patches_survive_every_failed_allocation)
{
    yyjson_val *obj = J("{'a':{'b':[1,2,{'c':1}]},'d':'x'}");
    yyjson_val *ops = J("[{'op':'copy','from':'/a','path':'/e'},{'op':'move','from':'/d','path':"
                        "'/a/b/0'},{'op':'test','path':'/e/b/1','value':2}]");
    yyjson_val *merge = J("{'a':{'b':{'c':{'d':null}}},'f':[1,{'g':1}]}");
    for (int n = 0; n < 200; n++) {
        struct mh_arena a;
        yyjson_mut_val *out = NULL;
        mh_arena_init(&a, (size_t)1 << 20);
        yyjson_mut_doc *doc = mh_json_doc(&a);
        mh_mem_fail_after(n);
        enum mh_code c1 = mh_sb_patch_json(doc, obj, ops, &out, &err);
        enum mh_code c2 = mh_sb_patch_merge(doc, obj, merge, &out, &err);
        bool failed = mh_mem_failed();
        mh_mem_fail_after(-1);
        CHECK(failed || (!c1 && !c2));
        mh_arena_release(&a);
    }
}

ARENA_TEST(values_print_as_go_prints_them)
{
    CHECK_STR(mh_sb_go_float(&arena, 1.5), "1.5");
    CHECK_STR(mh_sb_go_float(&arena, 100000), "100000");
    CHECK_STR(mh_sb_go_float(&arena, 1e21), "1e+21");
    CHECK_STR(mh_sb_go_float(&arena, 0.00001), "1e-05");
    CHECK_STR(mh_sb_go_float(&arena, -0.25), "-0.25");
    CHECK_STR(mh_sb_go_float(&arena, 0.1), "0.1");
    CHECK_STR(mh_sb_go_quote(&arena, "a\"b\\c\n\x01"), "\"a\\\"b\\\\c\\n\\x01\"");
    CHECK_STR(T(J("{'b':1e-7,'a':'<x&y>','c':1e20,'d':[true,null]}")),
              "{'a':'\\u003cx\\u0026y\\u003e','b':1e-7,'c':100000000000000000000,'d':[true,null]}");
    CHECK(mh_sb_equal(J("{'a':1,'b':[1.0]}"), J("{'b':[1],'a':1}")));
    CHECK(!mh_sb_equal(J("[1,2]"), J("[2,1]")));
    CHECK(!mh_sb_equal(J("[18446744073709551615]"), J("[-1]")));
}

static const struct mh_sb_schema *
pod_schema(void)
{
    const struct mh_sb_schema *s = NULL;
    CHECK_INT(mh_sb_schema_crd(
                  &arena,
                  J("{'type':'object','properties':{'containers':{'type':'array',"
                    "'x-kubernetes-patch-strategy':'merge','x-kubernetes-patch-merge-key':'name',"
                    "'items':{'type':'object','properties':{'name':{'type':'string'},"
                    "'env':{'type':'array','x-kubernetes-patch-strategy':'merge',"
                    "'x-kubernetes-patch-merge-key':'name','items':{'type':'object'}}}}},"
                    "'finalizers':{'type':'array','x-kubernetes-patch-strategy':'merge',"
                    "'items':{'type':'string'}},'args':{'type':'array','items':{'type':'string'}},"
                    "'strategy':{'type':'object','x-kubernetes-patch-strategy':'retainKeys'}}}"),
                  NULL, &s, &err),
              MH_OK);
    return s;
}

static const char *
smp(const char *obj, const char *patch)
{
    yyjson_mut_val *out = NULL;
    err = (struct mh_err){ 0 };
    if (mh_sb_patch_strategic(mh_json_doc(&arena), pod_schema(), J(obj), J(patch), &out, &err))
        return err.msg;
    return MT(out);
}

ARENA_TEST(strategic_patches_merge_lists_by_key)
{
    CHECK_STR(smp("{'containers':[{'name':'a','image':'1'},{'name':'b','image':'2'}]}",
                  "{'containers':[{'name':'b','image':'3','env':[{'name':'x'}]},{'name':'c'}]}"),
              "{'containers':[{'image':'1','name':'a'},{'env':[{'name':'x'}],'image':'3',"
              "'name':'b'},{'name':'c'}]}");
    CHECK_STR(smp("{'args':['a','b']}", "{'args':['c']}"), "{'args':['c']}");
    CHECK_STR(smp("{'finalizers':['a','b']}", "{'finalizers':['c','a']}"),
              "{'finalizers':['c','a','b']}");
    CHECK_STR(smp("{'a':1,'m':{'x':1,'y':2}}", "{'a':null,'m':{'x':null,'z':{'q':null}}}"),
              "{'m':{'y':2,'z':{}}}");
    CHECK_STR(smp("{'containers':[{'name':'a'}]}", "{'containers':[{'image':'x'}]}"),
              "map: map[image:x] does not contain declared merge key: name");
}

ARENA_TEST(strategic_patches_follow_directives)
{
    CHECK_STR(smp("{'containers':[{'name':'a'},{'name':'b'}]}",
                  "{'containers':[{'name':'a','$patch':'delete'}]}"),
              "{'containers':[{'name':'b'}]}");
    CHECK_STR(smp("{'containers':[{'name':'a'},{'name':'b'}]}",
                  "{'containers':[{'$patch':'replace'},{'name':'c'}]}"),
              "{'containers':[{'name':'c'}]}");
    CHECK_STR(smp("{'strategy':{'type':'R','rolling':{'x':1}}}",
                  "{'strategy':{'$retainKeys':['type'],'type':'S'}}"),
              "{'strategy':{'type':'S'}}");
    CHECK_STR(smp("{'strategy':{'type':'R'}}", "{'strategy':{'$patch':'replace','b':1}}"),
              "{'strategy':{'b':1}}");
    CHECK_STR(smp("{'strategy':{'type':'R'}}", "{'strategy':{'$patch':'delete'}}"),
              "{'strategy':{}}");
    CHECK_STR(smp("{'finalizers':['a','b','c']}", "{'$deleteFromPrimitiveList/finalizers':['b']}"),
              "{'finalizers':['a','c']}");
    CHECK_STR(smp("{'containers':[{'name':'a'},{'name':'b'}]}",
                  "{'$setElementOrder/containers':[{'name':'c'},{'name':'b'},{'name':'a'}],"
                  "'containers':[{'name':'c'}]}"),
              "{'containers':[{'name':'c'},{'name':'b'},{'name':'a'}]}");
    CHECK_STR(smp("{'a':{'b':1}}", "{'a':{'$patch':'explode'}}"),
              "unknown patch type: explode in map: map[$patch:explode]");
}
