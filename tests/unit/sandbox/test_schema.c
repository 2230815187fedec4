#include "sandbox/quantity.h"
#include "sandbox/schema.h"
#include "shape_help.h"

static struct mh_err err;

static const struct mh_sb_schema *
crd(const char *text)
{
    const struct mh_sb_schema *s = NULL;
    if (mh_sb_schema_crd(&arena, J(text), NULL, &s, &err) != MH_OK)
        printf("# %s\n", err.msg);
    return s;
}

static const char *
causes_of(const char *schema, const char *obj, const char *old)
{
    struct mh_sb_causes causes;
    struct mh_sb_validate v = { .arena = &arena, .causes = &causes };
    mh_sb_causes_init(&causes, &arena);
    CHECK(mh_sb_schema_validate(crd(schema), J(obj), old ? J(old) : NULL, "", &v));
    return causes.count ? mh_sb_causes_text(&causes) : "";
}

/* The same for the field spec.a with this schema and value. */
static const char *
field(const char *schema, const char *value)
{
    return causes_of(mh_arena_printf(&arena,
                                     "{'type':'object','properties':{'spec':{'type':'object',"
                                     "'properties':{'a':%s}}}}",
                                     schema),
                     mh_arena_printf(&arena, "{'spec':{'a':%s}}", value), NULL);
}

static const char *
pruned(const char *schema, const char *obj, const char **dropped)
{
    struct mh_sb_texts t;
    yyjson_mut_doc *doc = mh_json_doc(&arena);
    yyjson_mut_val *v = yyjson_val_mut_copy(doc, J(obj));
    mh_sb_texts_init(&t, &arena);
    mh_sb_schema_prune(crd(schema), v, &t);
    *dropped = "";
    for (size_t i = 0; i < t.count; i++)
        *dropped = mh_arena_printf(&arena, "%s%s%s", *dropped, i ? " " : "", t.items[i]);
    return MT(v);
}

static const char *
defaulted(const char *schema, const char *obj)
{
    yyjson_mut_doc *doc = mh_json_doc(&arena);
    yyjson_mut_val *v = yyjson_val_mut_copy(doc, J(obj));
    mh_sb_schema_drop_nulls(crd(schema), v);
    CHECK(mh_sb_schema_default(crd(schema), doc, v));
    return MT(v);
}

ARENA_TEST(pruning_drops_what_the_schema_does_not_know)
{
    const char *dropped = NULL;
    const char *s =
        "{'type':'object','properties':{'spec':{'type':'object','properties':{"
        "'a':{'type':'integer'},'l':{'type':'array','items':{'type':'object',"
        "'properties':{'x':{'type':'string'}}}},'m':{'type':'object',"
        "'additionalProperties':{'type':'object','properties':{'y':{'type':'string'}}}},"
        "'p':{'type':'object','x-kubernetes-preserve-unknown-fields':true,"
        "'properties':{'q':{'type':'object'}}},"
        "'e':{'type':'object','x-kubernetes-embedded-resource':true}}}}}";
    CHECK_STR(
        pruned(s,
               "{'apiVersion':'v','kind':'k','metadata':{'z':1},'zz':1,'spec':{'b':1,'a':2,"
               "'l':[{'x':'1','w':{'v':1}}],'m':{'k':{'y':'1','n':1}},'p':{'u':1,'q':{'r':1}},"
               "'e':{'kind':'x','metadata':{},'spec':{}}}}",
               &dropped),
        "{'apiVersion':'v','kind':'k','metadata':{'z':1},'spec':{'a':2,'e':{'kind':'x',"
        "'metadata':{}},'l':[{'x':'1'}],'m':{'k':{'y':'1'}},'p':{'q':{},'u':1}}}");
    CHECK_STR(dropped, "spec.b spec.e.spec spec.l[0].w spec.m.k.n spec.p.q.r zz");
    CHECK_STR(pruned("{'type':'object','x-kubernetes-preserve-unknown-fields':true}",
                     "{'a':[{'b':1}]}", &dropped),
              "{'a':[{'b':1}]}");
    CHECK_STR(dropped, "");
}

ARENA_TEST(defaults_fill_what_is_absent_or_null)
{
    const char *s = "{'type':'object','properties':{'a':{'type':'object','default':{},'properties':"
                    "{'b':{'type':'integer','default':3},'c':{'type':'string'}}},"
                    "'n':{'type':'string','nullable':true,'default':'x'},"
                    "'d':{'type':'string','default':'y'},'o':{'type':'string'},"
                    "'l':{'type':'array','items':{'type':'object','properties':"
                    "{'z':{'type':'boolean','default':true}}}},"
                    "'m':{'type':'object','additionalProperties':{'type':'object','properties':"
                    "{'z':{'type':'boolean','default':false}}}}}}";
    CHECK_STR(defaulted(s, "{}"), "{'a':{'b':3},'d':'y','n':'x'}");
    CHECK_STR(defaulted(s, "{'n':null,'d':null,'o':null,'a':{'b':null,'c':null}}"),
              "{'a':{'b':3},'d':'y','n':null}");
    CHECK_STR(defaulted(s, "{'l':[{},{'z':false}],'m':{'k':{}}}"),
              "{'a':{'b':3},'d':'y','l':[{'z':true},{'z':false}],'m':{'k':{'z':false}},'n':'x'}");
}

ARENA_TEST(wrong_types_are_named_as_the_real_server_names_them)
{
    CHECK_STR(field("{'type':'integer'}", "'x'"),
              "spec.a: Invalid value: \"string\": spec.a in body must be of type integer: "
              "\"string\"");
    CHECK_STR(field("{'type':'string'}", "null"),
              "spec.a: Invalid value: \"null\": spec.a in body must be of type string: \"null\"");
    CHECK_STR(field("{'type':'string','nullable':true}", "null"), "");
    CHECK_STR(field("{'type':'integer'}", "1.0"), "");
    CHECK_STR(field("{'type':'integer'}", "1.5"),
              "spec.a: Invalid value: \"number\": spec.a in body must be of type integer: "
              "\"number\"");
    CHECK_STR(field("{'type':'number'}", "1"), "");
    CHECK_STR(field("{'x-kubernetes-int-or-string':true}", "true"),
              "spec.a: Invalid value: \"boolean\": spec.a in body must be of type "
              "integer,string: \"boolean\"");
    CHECK_STR(field("{'type':'array','items':{'type':'boolean'}}", "[true,1]"),
              "spec.a[1]: Invalid value: \"integer\": spec.a[1] in body must be of type boolean: "
              "\"integer\"");
}

ARENA_TEST(limits_are_checked_in_the_real_servers_words)
{
    CHECK_STR(field("{'type':'integer','minimum':1}", "0"),
              "spec.a: Invalid value: 0: spec.a in body should be greater than or equal to 1");
    CHECK_STR(field("{'type':'integer','maximum':1,'exclusiveMaximum':true}", "1"),
              "spec.a: Invalid value: 1: spec.a in body should be less than 1");
    CHECK_STR(field("{'type':'number','minimum':0.5}", "0.25"),
              "spec.a: Invalid value: 0.25: spec.a in body should be greater than or equal to 0.5");
    CHECK_STR(field("{'type':'integer','multipleOf':4}", "6"),
              "spec.a: Invalid value: 6: spec.a in body should be a multiple of 4");
    CHECK_STR(field("{'type':'string','maxLength':2}", "'abc'"),
              "spec.a: Too long: may not be more than 2 bytes");
    CHECK_STR(field("{'type':'string','minLength':2}", "'a'"),
              "spec.a: Invalid value: \"a\": spec.a in body should be at least 2 chars long");
    CHECK_STR(field("{'type':'string','pattern':'^[a-z]+$'}", "'A'"),
              "spec.a: Invalid value: \"A\": spec.a in body should match '^[a-z]+$'");
    CHECK_STR(field("{'type':'array','items':{'type':'integer'},'maxItems':1}", "[1,2]"),
              "spec.a: Too many: 2: must have at most 1 item");
    CHECK_STR(field("{'type':'array','items':{'type':'integer'},'minItems':1}", "[]"),
              "spec.a: Invalid value: 0: spec.a in body should have at least 1 items");
    CHECK_STR(field("{'type':'object','minProperties':1}", "{}"),
              "spec.a: Invalid value: 0: spec.a in body should have at least 1 properties");
    CHECK_STR(field("{'type':'object','maxProperties':0,'additionalProperties':{'type':'integer'}}",
                    "{'x':1}"),
              "spec.a: Too many: 1: must have at most 0 items");
    CHECK_STR(field("{'type':'object','required':['b']}", "{}"), "spec.a.b: Required value");
    CHECK_STR(field("{'type':'string','enum':['x','y']}", "'z'"),
              "spec.a: Unsupported value: \"z\": supported values: \"x\", \"y\"");
    CHECK_STR(field("{'type':'integer','enum':[1,2]}", "3"),
              "spec.a: Unsupported value: 3: supported values: \"1\", \"2\"");
    CHECK_STR(field("{'type':'string','format':'ipv4'}", "'x'"),
              "spec.a: Invalid value: \"x\": spec.a in body must be of type ipv4: \"x\"");
    CHECK_STR(field("{'type':'string','format':'wavelength'}", "'x'"), "");
}

ARENA_TEST(combinations_report_the_best_alternative)
{
    CHECK_STR(field("{'type':'integer','anyOf':[{'minimum':5},{'minimum':7}]}", "6"), "");
    CHECK_STR(field("{'type':'integer','anyOf':[{'minimum':5},{'minimum':7}]}", "1"),
              "[<nil>: Invalid value: \"\": \"spec.a\" must validate at least one schema (anyOf), "
              "spec.a: Invalid value: 1: spec.a in body should be greater than or equal to 5]");
    CHECK_STR(
        field("{'type':'object','oneOf':[{'required':['x']},{'required':['y']}],"
              "'properties':{'x':{'type':'integer'},'y':{'type':'integer'}}}",
              "{'x':1,'y':1}"),
        "<nil>: Invalid value: \"\": \"spec.a\" must validate one and only one schema (oneOf)."
        " Found 2 valid alternatives");
    CHECK_STR(field("{'type':'integer','not':{'enum':[3]}}", "3"),
              "<nil>: Invalid value: \"\": \"spec.a\" must not validate the schema (not)");
    CHECK_STR(field("{'type':'integer','allOf':[{'minimum':5},{'maximum':7}]}", "8"),
              "[spec.a: Invalid value: 8: spec.a in body should be less than or equal to 7, "
              "<nil>: Invalid value: \"\": \"spec.a\" must validate all the schemas (allOf)]");
}

ARENA_TEST(lists_that_are_sets_or_maps_have_no_duplicates)
{
    CHECK_STR(field("{'type':'array','items':{'type':'string'},'x-kubernetes-list-type':'set'}",
                    "['a','b','a','a']"),
              "spec.a[2]: Duplicate value: \"a\"");
    CHECK_STR(field("{'type':'array','items':{'type':'object','properties':{'n':{'type':'string'},"
                    "'p':{'type':'integer'}}},'x-kubernetes-list-type':'map',"
                    "'x-kubernetes-list-map-keys':['n','p']}",
                    "[{'n':'x'},{'n':'x','p':1},{'p':1,'n':'x'}]"),
              "spec.a[2]: Duplicate value: {\"n\":\"x\",\"p\":1}");
}

ARENA_TEST(what_was_wrong_before_is_not_complained_about)
{
    const char *s = "{'type':'object','properties':{'spec':{'type':'object','properties':{"
                    "'a':{'type':'integer','minimum':5},'b':{'type':'integer'},"
                    "'l':{'type':'array','x-kubernetes-list-type':'map',"
                    "'x-kubernetes-list-map-keys':['n'],'items':{'type':'object','properties':"
                    "{'n':{'type':'string'},'v':{'type':'integer','minimum':5}}}}}}}}";
    CHECK_STR(causes_of(s, "{'spec':{'a':1,'b':2}}", "{'spec':{'a':1,'b':1}}"), "");
    CHECK_STR(causes_of(s, "{'spec':{'a':2}}", "{'spec':{'a':1}}"),
              "spec.a: Invalid value: 2: spec.a in body should be greater than or equal to 5");
    CHECK_STR(causes_of(s, "{'spec':{'l':[{'n':'y','v':7},{'n':'x','v':1}]}}",
                        "{'spec':{'l':[{'n':'x','v':1}]}}"),
              "");
}

ARENA_TEST(status_is_validated_alone)
{
    struct mh_sb_causes causes;
    struct mh_sb_validate v = { .arena = &arena, .causes = &causes };
    mh_sb_causes_init(&causes, &arena);
    const struct mh_sb_schema *s =
        crd("{'type':'object','required':['spec'],'properties':{'status':{'type':'object',"
            "'properties':{'p':{'type':'string'}}}}}");
    CHECK(mh_sb_schema_validate(s, J("{'status':{'p':1}}"), NULL, "status", &v));
    CHECK_STR(mh_sb_causes_text(&causes),
              "status.p: Invalid value: \"integer\": p in body must be of type string: "
              "\"integer\"");
}

static yyjson_val *components;

static yyjson_val *
lookup(void *arg, const char *name)
{
    (void)arg;
    return yyjson_obj_get(components, name);
}

ARENA_TEST(built_in_kinds_lose_what_encoding_leaves_out)
{
    const struct mh_sb_schema *s = NULL;
    components =
        J("{'Pod':{'type':'object','properties':{'kind':{'type':'string'},'spec':{'default':{},"
          "'allOf':[{'$ref':'#/components/schemas/Spec'}]},'status':{'default':{},'allOf':"
          "[{'$ref':'#/components/schemas/Status'}]}}},"
          "'Status':{'type':'object','properties':{'phase':{'type':'string'}}},"
          "'Spec':{'type':'object','required':['containers'],'properties':{"
          "'containers':{'type':'array','items':{'default':{},'allOf':[{'$ref':"
          "'#/components/schemas/Container'}]}},'replicas':{'type':'integer',"
          "'x-moonherd-pointer':true},'host':{'type':'boolean'},'sel':{'type':'object',"
          "'additionalProperties':{'type':'string'}},'sec':{'$ref':'#/components/schemas/Spec'}}},"
          "'Container':{'type':'object','properties':{'name':{'type':'string','default':''},"
          "'args':{'type':'array','items':{'type':'string'}},'raw':{'type':'object'}}}}");
    struct mh_sb_schema_set *set = mh_sb_schema_set_new(&arena, lookup, NULL);
    CHECK_INT(mh_sb_schema_component(set, "Pod", &s, &err), MH_OK);
    yyjson_mut_doc *doc = mh_json_doc(&arena);
    yyjson_mut_val *v = yyjson_val_mut_copy(
        doc, J("{'kind':'Pod','bad':1,'spec':{'containers':[{'args':[],'raw':{'x':null}}],"
               "'replicas':0,'host':false,'sel':{},'sec':{'containers':null}}}"));
    struct mh_sb_texts t;
    mh_sb_texts_init(&t, &arena);
    mh_sb_schema_prune(s, v, &t);
    CHECK(mh_sb_schema_native(s, doc, v));
    CHECK_STR(MT(v), "{'kind':'Pod','spec':{'containers':[{'name':'','raw':{'x':null}}],"
                     "'replicas':0,'sec':{}},'status':{}}");
    CHECK_INT(t.count, 1);
    CHECK_STR(t.items[0], "bad");
    CHECK_INT(mh_sb_schema_component(set, "None", &s, &err), MH_E_NOTFOUND);
}

ARENA_TEST(quantities_are_canonical)
{
    static const char *const pairs[][2] = { { "1000m", "1" },   { "1024Mi", "1Gi" },
                                            { "100m", "100m" }, { "0.5", "500m" },
                                            { "1e3", "1e3" },   { "1.5Gi", "1536Mi" },
                                            { "0", "0" },       { "1500Ki", "1500Ki" },
                                            { "-1k", "-1k" },   { "12345", "12345" },
                                            { "1000k", "1M" },  { "0.1Ki", "102400m" },
                                            { "1024", "1024" }, { "4294967296", "4294967296" } };
    struct mh_sb_quantity q;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        CHECK(mh_sb_quantity_parse(pairs[i][0], &q));
        CHECK_STR(mh_sb_quantity_text(&arena, &q), pairs[i][1]);
    }
    CHECK(!mh_sb_quantity_parse("", &q));
    CHECK(!mh_sb_quantity_parse("1x", &q));
    CHECK(!mh_sb_quantity_parse("Gi", &q));
    CHECK(!mh_sb_quantity_parse("1ee3", &q));
    CHECK(mh_sb_quantity_parse("1.0000001", &q));
    CHECK_INT(mh_sb_quantity_value(&q), 2);
    CHECK_INT(mh_sb_quantity_milli(&q), 1001);
    CHECK(mh_sb_quantity_parse("10Ei", &q));
    CHECK_INT(mh_sb_quantity_value(&q), INT64_MAX);
}

ARENA_TEST(formats_are_checked)
{
    static const struct {
        const char *format;
        const char *good;
        const char *bad;
    } cases[] = {
        { "date-time", "2026-02-28T01:02:03.4Z", "2026-02-29T01:02:03Z" },
        { "date-time", "2026-02-28T01:02:03+01:00", "2026-02-28 " },
        { "date", "2024-02-29", "2023-02-29" },
        { "duration", "1h30m", "1x" },
        { "duration", "3 days", "days" },
        { "byte", "YWI=", "YWI" },
        { "uuid", "01234567-89ab-cdef-0123-456789ABCDEF", "01234567-89ab" },
        { "ipv4", "10.0.0.1", "10.0.0" },
        { "ipv6", "fe80::1", "10.0.0.1" },
        { "cidr", "10.0.0.0/8", "10.0.0.0/33" },
        { "mac", "00:11:22:aa:bb:cc", "00:11:22" },
        { "hostname", "a.example.com", "-a" },
        { "uri", "https://x/y", "x y" },
        { "email", "a@b.c", "a@" },
        { "k8s-short-name", "abc", "a.b" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK(mh_sb_format_ok(cases[i].format, cases[i].good));
        CHECK(!mh_sb_format_ok(cases[i].format, cases[i].bad));
    }
}

static const char *
checked(const char *schema)
{
    struct mh_sb_causes causes;
    mh_sb_causes_init(&causes, &arena);
    mh_sb_schema_check(J(schema), "s", &causes);
    CHECK(!causes.failed);
    return causes.count ? mh_sb_causes_text(&causes) : "";
}

ARENA_TEST(schemas_of_custom_resources_are_checked)
{
    CHECK_STR(checked("{'type':'object','properties':{'a':{'type':'integer','default':3}}}"), "");
    CHECK_STR(checked("{}"), "s.type: Required value: must not be empty at the root");
    CHECK_STR(checked("{'type':'object','properties':{'a':{}}}"),
              "s.properties[a].type: Required value: must not be empty for specified object "
              "fields");
    CHECK_STR(checked("{'type':'object','properties':{'a':{'type':'array'}}}"),
              "s.properties[a].items: Required value: must be specified");
    CHECK_STR(checked("{'type':'object','properties':{'a':{'type':'integer','default':'x'}}}"),
              "s.properties[a].default: Invalid value: \"string\":  in body must be of type "
              "integer: \"string\"");
    CHECK_STR(checked("{'type':'object','properties':{'a':{'type':'string','pattern':'('}}}"),
              "s.properties[a].pattern: Invalid value: \"(\": must be a valid regular expression, "
              "but isn't: error parsing regexp: missing closing ): `(`");
    CHECK_STR(checked("{'type':'object','anyOf':[{'type':'object'}]}"),
              "s.anyOf[0].type: Forbidden: must be empty to be structural");
    CHECK_STR(checked("{'type':'object','x-kubernetes-validations':[{'rule':'self.'}]}") ? "x" : "",
              "x");
    CHECK_STR(checked("{'type':'object','properties':{'l':{'type':'array','items':{'type':"
                      "'object','properties':{'k':{'type':'string'}}},'x-kubernetes-list-type':"
                      "'map','x-kubernetes-list-map-keys':['k']}}}"),
              "s.properties[l].items.properties[k].default: Required value: this property is in "
              "x-kubernetes-list-map-keys, so it must have a default or be a required property");
    CHECK_STR(checked("{'type':'object','properties':{'a':{'x-kubernetes-int-or-string':true,"
                      "'anyOf':[{'type':'integer'},{'type':'string'}]}}}"),
              "");
}

ARENA_TEST(of_fields_that_stand_twice_the_last_stays)
{
    struct mh_sb_texts found;
    mh_sb_texts_init(&found, &arena);
    yyjson_mut_val *v = yyjson_val_mut_copy(
        mh_json_doc(&arena), J("{'a':1,'b':{'c':1,'c':2},'a':3,'l':[{'d':1,'d':2,'d':3}]}"));
    mh_sb_drop_duplicates(v, &found);
    CHECK_STR(MT(v), "{'a':3,'b':{'c':2},'l':[{'d':3}]}");
    CHECK_INT(found.count, 4);
    CHECK_STR(found.items[0], "a");
    CHECK_STR(found.items[1], "b.c");
    CHECK_STR(found.items[2], "l[0].d");
}
