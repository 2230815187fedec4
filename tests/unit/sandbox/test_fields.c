#include "sandbox/fields.h"
#include "shape_help.h"

static struct mh_err err;
static struct mh_sb_causes conflicts;
static const struct mh_sb_schema *schema;

/* A custom resource with a list map, a set, a granular and an atomic map. */
static const char crd_text[] =
    "{'type':'object','properties':{'spec':{'type':'object','properties':{"
    "'replicas':{'type':'integer'},'image':{'type':'string'},"
    "'ports':{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':"
    "['port','protocol'],'items':{'type':'object','properties':{'port':{'type':'integer'},"
    "'protocol':{'type':'string','default':'TCP'},'name':{'type':'string'}}}},"
    "'tags':{'type':'array','x-kubernetes-list-type':'set','items':{'type':'string'}},"
    "'args':{'type':'array','items':{'type':'string'}},"
    "'labels':{'type':'object','additionalProperties':{'type':'string'}},"
    "'ref':{'type':'object','x-kubernetes-map-type':'atomic','properties':{'a':{'type':'string'},"
    "'b':{'type':'string'}}}}},'status':{'type':'object','properties':{'ready':{'type':"
    "'integer'}}}}}";

static void
setup(void)
{
    CHECK_INT(mh_sb_schema_crd(&arena, J(crd_text), NULL, &schema, &err), MH_OK);
}

static struct mh_sb_write
a_write(const char *manager, yyjson_val *live)
{
    static const char *const reset[] = { "status", NULL };
    return (struct mh_sb_write){ .arena = &arena,
                                 .doc = mh_json_doc(&arena),
                                 .schema = schema,
                                 .api_version = "t/v1",
                                 .kind = "K",
                                 .manager = manager,
                                 .subresource = "",
                                 .now = "2026-01-01T00:00:00Z",
                                 .live = live,
                                 .reset = reset };
}

/* An object of this spec, with the metadata of stored ones. */
static yyjson_val *
object(const char *spec)
{
    return J(mh_arena_printf(&arena,
                             "{'apiVersion':'t/v1','kind':'K','metadata':{'name':'x'},"
                             "'spec':%s}",
                             spec));
}

/* The same with the owners of another. */
static yyjson_val *
update(const char *manager, yyjson_val *live, const char *spec)
{
    struct mh_sb_write w = a_write(manager, live);
    yyjson_mut_val *next = yyjson_val_mut_copy(w.doc, object(spec));
    CHECK_INT(mh_sb_fields_update(&w, next, &err), MH_OK);
    return mh_sb_freeze(&arena, next);
}

static yyjson_val *
apply_force(const char *manager, yyjson_val *live, const char *spec, bool force)
{
    struct mh_sb_write w = a_write(manager, live);
    yyjson_mut_val *out = NULL;
    w.force = force;
    err = (struct mh_err){ 0 };
    mh_sb_causes_init(&conflicts, &arena);
    if (mh_sb_fields_apply(&w, object(spec), &out, NULL, &conflicts, &err) != MH_OK)
        return NULL;
    return mh_sb_freeze(&arena, out);
}

static yyjson_val *
apply(const char *manager, yyjson_val *live, const char *spec)
{
    return apply_force(manager, live, spec, false);
}

static const char *
spec_of(yyjson_val *v)
{
    return T(yyjson_obj_get(v, "spec"));
}

/* "a Apply {set}; b Update {set}" */
static const char *
owners(yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *e;
    const char *out = "";
    yyjson_arr_foreach(mh_json_get(v, "metadata", "managedFields", NULL), i, max, e)
    {
        out = mh_arena_printf(&arena, "%s%s%s %s %s", out, i ? "; " : "",
                              mh_json_str(e, "manager", NULL), mh_json_str(e, "operation", NULL),
                              T(yyjson_obj_get(e, "fieldsV1")));
    }
    return out;
}

ARENA_TEST(a_creator_owns_what_it_created)
{
    setup();
    CHECK_STR(
        owners(update("me", NULL,
                      "{'replicas':1,'ports':[{'port':1}],'tags':['x'],'args':['y'],"
                      "'labels':{'k':'v'},'ref':{'a':'1'}}")),
        "me Update {'f:spec':{'.':{},'f:args':{},'f:labels':{'.':{},'f:k':{}},'f:ports':"
        "{'.':{},'k:{\\'port\\':1,\\'protocol\\':\\'TCP\\'}':{'.':{},'f:port':{}}},'f:ref':{},"
        "'f:replicas':{},'f:tags':{'.':{},'v:\\'x\\'':{}}}}");
}

ARENA_TEST(updates_take_what_they_change)
{
    setup();
    yyjson_val *v = update("a", NULL, "{'replicas':1,'image':'i'}");
    v = update("b", v, "{'replicas':2,'image':'i'}");
    CHECK_STR(owners(v), "a Update {'f:spec':{'.':{},'f:image':{}}}; "
                         "b Update {'f:spec':{'f:replicas':{}}}");
    v = update("b", v, "{'replicas':2}");
    CHECK_STR(owners(v), "a Update {'f:spec':{}}; b Update {'f:spec':{'f:replicas':{}}}");
    yyjson_val *same = update("c", v, "{'replicas':2}");
    CHECK_STR(owners(same), owners(v));
    CHECK(mh_sb_fields_same(&arena, v, same));
}

ARENA_TEST(apply_owns_what_it_names)
{
    setup();
    yyjson_val *v = apply("a", NULL, "{'replicas':1,'ports':[{'port':1,'name':'n'}]}");
    CHECK_STR(owners(v),
              "a Apply {'f:spec':{'f:ports':{'k:{\\'port\\':1,\\'protocol\\':\\'TCP\\'}':"
              "{'.':{},'f:name':{},'f:port':{}}},'f:replicas':{}}}");
    v = apply("b", v, "{'image':'i'}");
    CHECK_STR(spec_of(v), "{'image':'i','ports':[{'name':'n','port':1}],'replicas':1}");
    /* what is applied no longer goes, unless another owns it */
    v = apply("a", v, "{'image':'i'}");
    CHECK_STR(spec_of(v), "{'image':'i'}");
    v = apply("b", v, "{'replicas':3}");
    CHECK_STR(spec_of(v), "{'image':'i','replicas':3}");
    CHECK_STR(owners(v), "a Apply {'f:spec':{'f:image':{}}}; b Apply {'f:spec':{'f:replicas':{}}}");
}

ARENA_TEST(conflicts_are_named_as_the_real_server_names_them)
{
    setup();
    yyjson_val *v = apply("a", NULL, "{'replicas':1,'image':'i'}");
    CHECK(!apply("b", v, "{'replicas':2}"));
    CHECK_INT(err.code, MH_E_CONFLICT);
    CHECK_STR(mh_sb_fields_conflict_text(&conflicts),
              "Apply failed with 1 conflict: conflict with \"a\": .spec.replicas");
    CHECK_STR(conflicts.first->message, "conflict with \"a\"");
    CHECK_STR(conflicts.first->field, ".spec.replicas");
    v = update("u", v, "{'replicas':5,'image':'i'}");
    CHECK(!apply("b", v, "{'replicas':2,'image':'j'}"));
    CHECK_STR(mh_sb_fields_conflict_text(&conflicts),
              "Apply failed with 2 conflicts: conflicts with \"a\":\n- .spec.image\n"
              "conflicts with \"u\" using t/v1:\n- .spec.replicas");
    v = apply_force("b", v, "{'replicas':2,'image':'j'}", true);
    CHECK_STR(owners(v), "b Apply {'f:spec':{'f:image':{},'f:replicas':{}}}");
}

ARENA_TEST(applied_lists_are_merged_by_their_type)
{
    setup();
    yyjson_val *v = apply("a", NULL,
                          "{'ports':[{'port':1},{'port':2}],'tags':['x','y'],"
                          "'args':['1','2']}");
    v = apply("b", v, "{'ports':[{'port':3},{'port':2,'name':'n'}],'tags':['z','y']}");
    CHECK_STR(spec_of(v), "{'args':['1','2'],'ports':[{'port':1},{'port':3},{'name':'n','port':2}],"
                          "'tags':['x','z','y']}");
    CHECK(!apply("b", v, "{'args':['1']}"));
    v = apply("a", v, "{'ports':[{'port':1}],'tags':['x']}");
    CHECK_STR(spec_of(v),
              "{'ports':[{'port':1},{'port':3},{'name':'n','port':2}],'tags':['x','z','y']}");
    v = apply("b", v, "{}");
    CHECK_STR(spec_of(v), "{'ports':[{'port':1}],'tags':['x']}");
}

ARENA_TEST(applying_the_same_again_changes_nothing)
{
    setup();
    bool changed = true;
    yyjson_mut_val *out = NULL;
    yyjson_val *v = apply("a", NULL, "{'replicas':1}");
    struct mh_sb_write w = a_write("a", v);
    w.now = "2027-01-01T00:00:00Z";
    mh_sb_causes_init(&conflicts, &arena);
    CHECK_INT(mh_sb_fields_apply(&w, object("{'replicas':1}"), &out, &changed, &conflicts, &err),
              MH_OK);
    CHECK(!changed);
    CHECK_STR(MT(out), T(v));
    CHECK_INT(mh_sb_fields_apply(&w, object("{'replicas':1,'image':'x'}"), &out, &changed,
                                 &conflicts, &err),
              MH_OK);
    CHECK(changed);
}

ARENA_TEST(fields_nobody_owned_get_an_owner_before_the_first_apply)
{
    setup();
    yyjson_val *v = object("{'replicas':1}");
    CHECK_STR(owners(update("u", v, "{'replicas':2}")), "");
    CHECK(!apply("a", v, "{'replicas':2}"));
    CHECK_STR(mh_sb_fields_conflict_text(&conflicts),
              "Apply failed with 1 conflict: conflict with \"before-first-apply\" using t/v1: "
              ".spec.replicas");
    v = apply("a", v, "{'replicas':1}");
    CHECK_STR(owners(v), "a Apply {'f:spec':{'f:replicas':{}}}; before-first-apply Update "
                         "{'f:spec':{'.':{},'f:replicas':{}}}");
}

ARENA_TEST(clients_can_reset_the_owners)
{
    setup();
    yyjson_val *v = apply("a", NULL, "{'replicas':1}");
    struct mh_sb_write w = a_write("u", v);
    yyjson_mut_val *next = yyjson_val_mut_copy(
        w.doc, J("{'apiVersion':'t/v1','kind':'K','metadata':{'name':'x','managedFields':[{}]},"
                 "'spec':{'replicas':2}}"));
    CHECK_INT(mh_sb_fields_update(&w, next, &err), MH_OK);
    CHECK_STR(MT(next), "{'apiVersion':'t/v1','kind':'K','metadata':{'name':'x'},"
                        "'spec':{'replicas':2}}");
}

ARENA_TEST(status_has_owners_of_its_own)
{
    setup();
    static const char *const reset[] = { "spec", NULL };
    yyjson_val *v = apply("a", NULL, "{'replicas':1}");
    struct mh_sb_write w = a_write("a", v);
    w.subresource = "status";
    w.reset = reset;
    yyjson_mut_val *next = yyjson_val_mut_copy(w.doc, v);
    yyjson_mut_obj_add_val(w.doc, next, "status", yyjson_val_mut_copy(w.doc, J("{'ready':1}")));
    CHECK_INT(mh_sb_fields_update(&w, next, &err), MH_OK);
    v = mh_sb_freeze(&arena, next);
    CHECK_STR(owners(v), "a Apply {'f:spec':{'f:replicas':{}}}; "
                         "a Update {'f:status':{'.':{},'f:ready':{}}}");
    CHECK_STR(mh_json_str(yyjson_arr_get(mh_json_get(v, "metadata", "managedFields", NULL), 1),
                          "subresource", NULL),
              "status");
}

ARENA_TEST(bad_configurations_are_refused)
{
    setup();
    CHECK(!apply("a", NULL, "{'ports':[{'port':1},{'port':1}]}"));
    CHECK_STR(err.msg, "failed to create typed patch object (/x; t/v1, Kind=K): .spec.ports: "
                       "duplicate entries for key [port=1,protocol=\"TCP\"]");
    CHECK(!apply("a", NULL, "{'bad':1}"));
    CHECK_STR(err.msg, "failed to create typed patch object (/x; t/v1, Kind=K): .spec.bad: field "
                       "not declared in schema");
    CHECK(!apply("a", NULL, "{'replicas':'x'}"));
    CHECK_STR(err.msg, "failed to create typed patch object (/x; t/v1, Kind=K): .spec.replicas: "
                       "expected numeric (int or float), got string");
    CHECK(apply("a", NULL, "{'ports':[{'name':'x'}]}"));
}

ARENA_TEST(many_updaters_are_merged)
{
    setup();
    yyjson_val *v = update("m0", NULL, "{'labels':{'k0':'v'}}");
    const char *labels = "'k0':'v'";
    for (int i = 1; i < 13; i++) {
        labels = mh_arena_printf(&arena, "%s,'k%d':'v'", labels, i);
        v = update(mh_arena_printf(&arena, "m%d", i), v,
                   mh_arena_printf(&arena, "{'labels':{%s}}", labels));
    }
    CHECK_INT(yyjson_arr_size(mh_json_get(v, "metadata", "managedFields", NULL)), 10);
    CHECK_STR(mh_json_str(yyjson_arr_get_first(mh_json_get(v, "metadata", "managedFields", NULL)),
                          "manager", NULL),
              "ancient-changes");
}

ARENA_TEST(objects_without_a_schema_are_deduced)
{
    schema = NULL;
    yyjson_val *v = apply("a", NULL, "{'x':{'y':1},'l':[1,2]}");
    CHECK_STR(owners(v), "a Apply {'f:spec':{'.':{},'f:l':{},'f:x':{'.':{},'f:y':{}}}}");
}

ARENA_TEST(managers_are_named_by_user_agents)
{
    CHECK_STR(mh_sb_fields_manager(&arena, "x", "kubectl/v1"), "x");
    CHECK_STR(mh_sb_fields_manager(&arena, "", "kubectl/v1 (linux)"), "kubectl");
    CHECK_STR(mh_sb_fields_manager(&arena, NULL, NULL), "unknown");
}

ARENA_TEST(owners_survive_every_failed_allocation)
{
    setup();
    yyjson_val *v = apply("a", NULL, "{'ports':[{'port':1},{'port':2}],'tags':['x','y']}");
    for (int n = 0; n < 400; n++) {
        struct mh_arena a;
        yyjson_mut_val *out = NULL;
        mh_arena_init(&a, (size_t)4 << 20);
        mh_sb_causes_init(&conflicts, &a);
        struct mh_sb_write w = a_write("b", v);
        w.arena = &a;
        w.doc = mh_json_doc(&a);
        yyjson_val *obj = object("{'ports':[{'port':3},{'port':2,'name':'n'}],'tags':['z','y']}");
        mh_mem_fail_after(n);
        enum mh_code c = mh_sb_fields_apply(&w, obj, &out, NULL, &conflicts, &err);
        enum mh_code c2 = c ? c : mh_sb_fields_update(&w, out, &err);
        bool failed = mh_mem_failed();
        mh_mem_fail_after(-1);
        CHECK(failed || (!c && !c2));
        mh_arena_release(&a);
    }
}
