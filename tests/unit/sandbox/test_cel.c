#include "sandbox/cel.h"
#include "shape_help.h"

static struct mh_err err;

/* The value of an expression as JSON, or "ERR why". x: a variable. */
static const char *
value_with(const char *text, const char *x, const struct mh_sb_schema *schema)
{
    static const char *const names[] = { "x", NULL };
    struct mh_sb_cel *c = NULL;
    yyjson_mut_val *out = NULL;
    struct mh_sb_cel_var var = { .name = "x", .json = x ? J(x) : NULL, .schema = schema };
    struct mh_sb_cel_run run = { .arena = &arena, .vars = &var, .cost = MH_SB_CEL_COST };
    if (mh_sb_cel_compile(&arena, text, names, &c, &err) != MH_OK ||
        mh_sb_cel_json(c, &run, mh_json_doc(&arena), &out, &err) != MH_OK)
        return mh_arena_printf(&arena, "ERR %s", err.msg);
    return MT(out);
}

static const char *
V(const char *text)
{
    return value_with(text, NULL, NULL);
}

/* Expressions that are true. */
static void
all_true(const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *got = V(texts[i]);
        if (strcmp(got, "true") != 0) {
            printf("# %s: %s\n", texts[i], got);
            CHECK(false);
        }
    }
}

#define ALL_TRUE(...)                                                                              \
    do {                                                                                           \
        static const char *const texts_[] = { __VA_ARGS__ };                                       \
        all_true(texts_, sizeof(texts_) / sizeof(texts_[0]));                                      \
    } while (0)

ARENA_TEST(literals_and_operators)
{
    CHECK_STR(V("1 + 2 * 3 - 4 / 2 % 3"), "5");
    CHECK_STR(V("-9223372036854775808"), "-9223372036854775808");
    CHECK_STR(V("0x1F + 1"), "32");
    CHECK_STR(V("5u + 2u"), "7");
    CHECK_STR(V("1.5e3"), "1500");
    CHECK_STR(V("'a' + \"b\" + r'\\n' + '''x'y'''"), "'ab\\\\nx'y'");
    CHECK_STR(V("'\\x41\\u00e9\\n'"), "'A\xc3\xa9\\n'");
    CHECK_STR(V("[1, 2] + [3]"), "[1,2,3]");
    CHECK_STR(V("{'a': 1, 'b': [true, null]}"), "{'a':1,'b':[true,null]}");
    CHECK_STR(V("true ? 'y' : 'n'"), "'y'");
    ALL_TRUE("1 < 2 && 2 <= 2 && 3 > 2.5 && 'a' < 'b' && !(1 == 2)", "1 == 1.0 && 1u == 1",
             "2 in [1, 2] && 'a' in {'a': 1} && !('b' in {'a': 1})", "[1, [2]] == [1, [2]]",
             "{'a': 1, 'b': 2} == {'b': 2, 'a': 1}", "1 != '1'", "null == null", "!false",
             "true || false && false", "b'abc' == b'abc'", "// a comment\n true");
}

ARENA_TEST(errors_are_worded_as_the_real_ones)
{
    CHECK_STR(V("{'a': 1}.b"), "ERR no such key: b");
    CHECK_STR(V("[1][3]"), "ERR index out of bounds: 3");
    CHECK_STR(V("1 / 0"), "ERR division by zero");
    CHECK_STR(V("1 % 0"), "ERR modulus by zero");
    CHECK_STR(V("9223372036854775807 + 1"), "ERR integer overflow");
    CHECK_STR(V("'a' + 1"), "ERR no such overload");
    CHECK_STR(V("1 + 1.0"), "ERR no such overload");
    CHECK_STR(V("y + 1"), "ERR compilation failed: ERROR: <input>:1:1: undeclared reference to 'y' "
                          "(in container '')\n | y + 1\n | ^");
    CHECK_STR(V("foo(1)"), "ERR compilation failed: ERROR: <input>:1:1: undeclared reference to "
                           "'foo' (in container '')\n | foo(1)\n | ^");
    CHECK(strstr(V("1 +"), "Syntax error") != NULL);
    CHECK(strstr(V("(1"), "Syntax error") != NULL);
    CHECK(strstr(V("'abc"), "token recognition error") != NULL);
    CHECK(strstr(V("1 2"), "Syntax error") != NULL);
}

ARENA_TEST(logic_forgives_errors_that_do_not_decide)
{
    ALL_TRUE("true || 1 / 0 == 1", "1 / 0 == 1 || true", "!(1 / 0 == 1 && false)",
             "[0, 1].exists(i, 1 / i == 1)", "![0, 2].all(i, 1 / i == 1)");
    CHECK_STR(V("false || 1 / 0 == 1"), "ERR division by zero");
    CHECK_STR(V("[0].exists(i, 1 / i == 1)"), "ERR division by zero");
}

ARENA_TEST(macros_go_through_lists_and_maps)
{
    ALL_TRUE("[1, 2].all(i, i > 0)", "[1, 2].exists(i, i == 2)", "[1, 2, 2].exists_one(i, i == 1)",
             "[1, 2].map(i, i * 2) == [2, 4]", "[1, 2, 3].map(i, i > 1, i * 2) == [4, 6]",
             "[1, 2].filter(i, i > 1) == [2]", "{'a': 1}.all(k, k == 'a')",
             "{'a': 1, 'b': 2}.map(k, k).size() == 2", "has({'a': 1}.a) && !has({'a': 1}.b)",
             "[[1], [2]].all(l, l.all(i, i > 0))", "[3, 4].all(i, v, v == i + 3)",
             "{'a': 1}.exists(k, v, k == 'a' && v == 1)",
             "[1, 2].transformList(i, v, i + v) == [1, 3]",
             "{'a': 1}.transformMap(k, v, v + 1) == {'a': 2}");
}

ARENA_TEST(optionals)
{
    const char *x = "{'a':{'b':1},'l':[1]}";
    CHECK_STR(value_with("x.?a.?b.orValue(5)", x, NULL), "1");
    CHECK_STR(value_with("x.?a.?c.orValue(5)", x, NULL), "5");
    CHECK_STR(value_with("x.?q.b.orValue({})", x, NULL), "{}");
    CHECK_STR(value_with("x.l[?3].hasValue()", x, NULL), "false");
    CHECK_STR(value_with("x.?a.b.value()", x, NULL), "1");
    CHECK_STR(value_with("optional.none().value()", x, NULL), "ERR optional.none() dereference");
    CHECK_STR(value_with("optional.of(1).optMap(v, v + 1).or(optional.of(9)).value()", x, NULL),
              "2");
    CHECK_STR(value_with("[?x.?a.b, ?x.?z, 7]", x, NULL), "[1,7]");
    CHECK_STR(value_with("{?'k': x.?a.b, ?'m': x.?z}", x, NULL), "{'k':1}");
    CHECK_STR(value_with("[?optional.none()]", x, NULL), "[]");
}

ARENA_TEST(strings)
{
    ALL_TRUE("'abc'.contains('b') && 'abc'.startsWith('a') && 'abc'.endsWith('c')",
             "'abc'.matches('^[a-c]+$') && matches('x1', '[0-9]')", "size('h\xc3\xa9') == 2",
             "'h\xc3\xa9llo'.charAt(1) == '\xc3\xa9'", "'hello'.indexOf('l') == 2",
             "'hello'.indexOf('l', 3) == 3", "'hello'.lastIndexOf('l') == 3",
             "'AbC'.lowerAscii() == 'abc' && 'AbC'.upperAscii() == 'ABC'",
             "'hello hello'.replace('he', 'we') == 'wello wello'",
             "'hello hello'.replace('he', 'we', 1) == 'wello hello'",
             "'a,b,c'.split(',') == ['a', 'b', 'c']", "'a,b,c'.split(',', 2) == ['a', 'b,c']",
             "'abc'.split('') == ['a', 'b', 'c']", "'tacocat'.substring(4) == 'cat'",
             "'tacocat'.substring(0, 4) == 'taco'", "'  x '.trim() == 'x'",
             "['a', 'b'].join('-') == 'a-b' && ['a', 'b'].join() == 'ab'",
             "'abc 123'.find('[0-9]+') == '123' && 'abc'.find('[0-9]') == ''",
             "'1a22b3'.findAll('[0-9]+') == ['1', '22', '3']",
             "'1a22b3'.findAll('[0-9]+', 2) == ['1', '22']",
             "'%s is %d (%.2f) %x %b'.format(['a', 5, 1.5, 255, 5]) == 'a is 5 (1.50) ff 101'",
             "'%s'.format([[1, 'a', {'k': true}]]) == '[1, \"a\", {\"k\": true}]'",
             "'abc'.reverse() == 'cba'", "strings.quote('a\"b') == '\"a\\\\\"b\"'");
    CHECK_STR(V("'abc'.charAt(9)"), "ERR index out of range: 9");
    CHECK_STR(V("'abc'.substring(2, 1)"), "ERR invalid substring range. start: 2, end: 1");
}

ARENA_TEST(lists_and_sets)
{
    ALL_TRUE("[1, 2, 3].sum() == 6 && [1.5, 2.5].sum() == 4.0", "[3, 1].min() == 1",
             "[3, 1].max() == 3", "[1, 2, 2].isSorted() && !['b', 'a'].isSorted()",
             "[1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2 && [1].indexOf(5) == -1",
             "sets.contains([1, 2], [2]) && sets.intersects([1], [1, 2])",
             "sets.equivalent([1, 2], [2, 1, 1])", "[1, 2, 3].slice(1, 3) == [2, 3]",
             "[[1], [2]].flatten() == [1, 2]", "[2, 1, 2].distinct() == [2, 1]",
             "[2, 1].sort() == [1, 2]", "math.greatest(1, 3, 2) == 3 && math.least([4, 2]) == 2");
    CHECK_STR(V("[].max()"), "ERR max called on empty list");
}

ARENA_TEST(conversions_and_types)
{
    ALL_TRUE("int('42') == 42 && int(4.9) == 4 && int(5u) == 5", "uint(3) == 3u",
             "double('1.5') == 1.5 && double(2) == 2.0",
             "string(1) == '1' && string(true) == 'true'", "string(1.5) == '1.5'",
             "bool('true') && !bool('0')", "bytes('ab') == b'ab'",
             "type(1) == int && type('a') == string && type([]) == list && type({}) == map",
             "type(null) == null_type", "dyn(1) == 1",
             "type(timestamp('2020-01-01T00:00:00Z')) == google.protobuf.Timestamp");
    CHECK_STR(V("int('x')"), "ERR strconv.ParseInt: parsing \"x\": invalid syntax");
}

ARENA_TEST(times)
{
    ALL_TRUE("duration('1h30m') == duration('90m')", "duration('1h') > duration('59m')",
             "timestamp('2020-01-02T00:00:00Z') - timestamp('2020-01-01T00:00:00Z') == "
             "duration('24h')",
             "timestamp('2020-01-01T00:00:00Z') + duration('1s') == "
             "timestamp('2020-01-01T00:00:01Z')",
             "timestamp('2020-02-03T04:05:06Z').getFullYear() == 2020",
             "timestamp('2020-02-03T04:05:06Z').getMonth() == 1",
             "timestamp('2020-02-03T04:05:06Z').getDate() == 3",
             "timestamp('2020-02-03T04:05:06Z').getHours('+02:00') == 6",
             "duration('90m').getHours() == 1 && duration('90m').getMinutes() == 90",
             "string(duration('1.5s')) == '1.5s'",
             "string(timestamp('2020-01-01T00:00:00.5Z')) == '2020-01-01T00:00:00.5Z'",
             "timestamp(1) == timestamp('1970-01-01T00:00:01Z')");
}

ARENA_TEST(kubernetes_libraries)
{
    ALL_TRUE(
        "quantity('1Gi').isGreaterThan(quantity('1000Mi'))",
        "quantity('500m').compareTo(quantity('0.5')) == 0", "isQuantity('1Mi') && !isQuantity('x')",
        "quantity('1k').add(quantity('1')).asInteger() == 1001",
        "quantity('1.5').asApproximateFloat() == 1.5 && !quantity('1.5').isInteger()",
        "quantity('200M').sub(200000000).sign() == 0",
        "ip('10.0.0.1').family() == 4 && ip('::1').isLoopback()",
        "isIP('1.2.3.4') && !isIP('1.2.3') && !isIP('01.2.3.4')",
        "ip.isCanonical('::1') && !ip.isCanonical('0:0::1')",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP('11.0.0.1')",
        "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')",
        "cidr('10.1.0.0/8').masked() == cidr('10.0.0.0/8')",
        "cidr('10.0.0.0/8').prefixLength() == 8 && string(cidr('10.0.0.0/8').ip()) == '10.0.0.0'",
        "url('https://u@example.com:8080/p/q?a=b&c=d').getHostname() == 'example.com'",
        "url('https://example.com:8080/p?a=b').getPort() == '8080'",
        "url('https://example.com/p?a=b').getQuery() == {'a': ['b']}",
        "isURL('https://x') && !isURL('x y')", "!format.dns1123Label().validate('abc').hasValue()",
        "format.dns1123Label().validate('A').hasValue()",
        "format.named('dns1123Label').hasValue() && !format.named('zz').hasValue()");
}

ARENA_TEST(values_are_typed_by_their_schema)
{
    const struct mh_sb_schema *s = NULL;
    CHECK_INT(mh_sb_schema_crd(
                  &arena,
                  J("{'type':'object','properties':{'d':{'type':'string','format':'duration'},"
                    "'t':{'type':'string','format':'date-time'},'n':{'type':'number'},"
                    "'i':{'type':'integer'},'a-b':{'type':'string'},'namespace':{'type':'string'},"
                    "'set':{'type':'array','x-kubernetes-list-type':'set','items':{'type':"
                    "'string'}},'m':{'type':'object','additionalProperties':{'type':'string'}}}}"),
                  NULL, &s, &err),
              MH_OK);
    const char *x = "{'d':'90m','t':'2020-01-01T00:00:00Z','n':2,'i':3.0,'a-b':'z','namespace':'n',"
                    "'set':['a','b'],'m':{'k-1':'v'}}";
    static const char *const texts[] = { "x.d == duration('1h30m')",
                                         "x.t.getFullYear() == 2020",
                                         "x.n / 4.0 == 0.5",
                                         "x.i + 1 == 4",
                                         "x.a__dash__b == 'z' && has(x.a__dash__b)",
                                         "x.__namespace__ == 'n'",
                                         "x.set == ['b', 'a']",
                                         "(x.set + ['b', 'c']).size() == 3",
                                         "x.m['k-1'] == 'v' && x.m.all(k, k.startsWith('k'))" };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const char *got = value_with(texts[i], x, s);
        if (strcmp(got, "true") != 0) {
            printf("# %s: %s\n", texts[i], got);
            CHECK(false);
        }
    }
}

ARENA_TEST(variables_are_evaluated_when_used)
{
    struct mh_sb_cel *a = NULL;
    struct mh_sb_cel *b = NULL;
    struct mh_sb_cel *c = NULL;
    bool yes = false;
    CHECK_INT(mh_sb_cel_compile(&arena, "object.n * 2", NULL, &a, &err), MH_OK);
    CHECK_INT(mh_sb_cel_compile(&arena, "1 / 0", NULL, &b, &err), MH_OK);
    CHECK_INT(
        mh_sb_cel_compile(&arena, "variables.twice == 6 || variables.bad == 1", NULL, &c, &err),
        MH_OK);
    struct mh_sb_cel_var bad = { .name = "bad", .expr = b };
    struct mh_sb_cel_var twice = { .name = "twice", .expr = a, .next = &bad };
    struct mh_sb_cel_var variables = { .name = "variables", .map = &twice };
    struct mh_sb_cel_var object = { .name = "object", .json = J("{'n':3}"), .next = &variables };
    struct mh_sb_cel_run run = { .arena = &arena, .vars = &object, .cost = MH_SB_CEL_COST };
    CHECK_INT(mh_sb_cel_bool(c, &run, &yes, &err), MH_OK);
    CHECK(yes);
    CHECK(mh_sb_cel_uses(a, "object") && !mh_sb_cel_uses(b, "object"));
}

ARENA_TEST(evaluation_has_a_cost_limit)
{
    struct mh_sb_cel *c = NULL;
    bool yes = false;
    const char *l = "[1,2,3,4,5,6,7,8,9,10]";
    const char *text = mh_arena_printf(
        &arena, "%s.all(a, %s.all(b, %s.all(c, %s.all(d, %s.all(e, %s.all(f, true))))))", l, l, l,
        l, l, l);
    CHECK_INT(mh_sb_cel_compile(&arena, text, NULL, &c, &err), MH_OK);
    struct mh_sb_cel_run run = { .arena = &arena, .cost = MH_SB_CEL_COST };
    CHECK_INT(mh_sb_cel_bool(c, &run, &yes, &err), MH_E_LIMIT);
    CHECK_STR(err.msg, "operation cancelled: actual cost limit exceeded");
}

static const char *
rules(const char *schema, const char *obj, const char *old)
{
    const struct mh_sb_schema *s = NULL;
    struct mh_sb_causes causes;
    struct mh_sb_validate v = { .arena = &arena, .causes = &causes };
    mh_sb_causes_init(&causes, &arena);
    CHECK_INT(mh_sb_schema_crd(&arena, J(schema), NULL, &s, &err), MH_OK);
    CHECK(mh_sb_schema_validate(s, J(obj), old ? J(old) : NULL, "", &v));
    return causes.count ? mh_sb_causes_text(&causes) : "";
}

ARENA_TEST(rules_of_schemas_are_tried)
{
    CHECK_STR(rules("{'type':'object','properties':{'spec':{'type':'object',"
                    "'x-kubernetes-validations':[{'rule':'self.a <= self.b','message':"
                    "'a is too large'},{'rule':'self.b < 100'}],'properties':{'a':{'type':"
                    "'integer'},'b':{'type':'integer'}}}}}",
                    "{'spec':{'a':200,'b':150}}", NULL),
              "[spec: Invalid value: \"object\": a is too large, spec: Invalid value: \"object\": "
              "failed rule: self.b < 100]");
    const char *transition =
        "{'type':'object','properties':{'b':{'type':'integer','x-kubernetes-validations':[{'rule':"
        "'oldSelf <= self','messageExpression':'string(oldSelf)','reason':'FieldValueForbidden'}]},"
        "'l':{'type':'array','items':{'type':'integer','x-kubernetes-validations':[{'rule':"
        "'10 / self > 1'}]}}}}";
    CHECK_STR(rules(transition, "{'b':1}", NULL), "");
    CHECK_STR(rules(transition, "{'b':1}", "{'b':3}"), "b: Forbidden: 3");
    CHECK_STR(rules(transition, "{'l':[1,0]}", NULL),
              "l[1]: Invalid value: \"integer\": division by zero evaluating rule: 10 / self > 1");
    CHECK_STR(rules("{'type':'object','x-kubernetes-validations':[{'rule':'has(self.x)'}],"
                    "'properties':{'x':{'type':'integer'}}}",
                    "{}", NULL),
              "<nil>: Invalid value: \"object\": failed rule: has(self.x)");
    CHECK_STR(rules("{'type':'object','required':['y'],'x-kubernetes-validations':[{'rule':"
                    "'has(self.x)'}],'properties':{'x':{'type':'integer'},'y':{'type':'integer'}}}",
                    "{}", NULL),
              "[y: Required value, <nil>: Invalid value: null: some validation rules were not "
              "checked because the object was invalid; correct the existing errors to complete "
              "validation]");
    CHECK_STR(rules("{'type':'object','properties':{'a':{'type':'integer',"
                    "'x-kubernetes-validations':[{'rule':'oldSelf.orValue(5) == self',"
                    "'optionalOldSelf':true}]}}}",
                    "{'a':5}", NULL),
              "");
}

ARENA_TEST(expressions_survive_every_failed_allocation)
{
    yyjson_val *x = J("{'a':[1,2,{'b':'c'}],'d':'x'}");
    for (int n = 0; n < 300; n++) {
        struct mh_arena a;
        struct mh_sb_cel *c = NULL;
        yyjson_mut_val *out = NULL;
        mh_arena_init(&a, (size_t)1 << 20);
        yyjson_mut_doc *doc = mh_json_doc(&a);
        mh_mem_fail_after(n);
        enum mh_code code = mh_sb_cel_compile(
            &a, "x.a.map(i, [i, x.d + '%s'.format([x.a]), x.d.find('x+')]) + [x.?z.orValue({})]",
            NULL, &c, &err);
        struct mh_sb_cel_var var = { .name = "x", .json = x };
        struct mh_sb_cel_run run = { .arena = &a, .vars = &var, .cost = MH_SB_CEL_COST };
        if (!code)
            code = mh_sb_cel_json(c, &run, doc, &out, &err);
        bool failed = mh_mem_failed();
        mh_mem_fail_after(-1);
        CHECK(failed || !code);
        mh_arena_release(&a);
    }
}
