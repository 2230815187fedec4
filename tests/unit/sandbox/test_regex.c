#include "sandbox/regex.h"
#include "shape_help.h"

static struct mh_err err;

/* "from-to" of the match, "none", or the error. */
static const char *
find(const char *pattern, const char *text)
{
    struct mh_sb_regex *re = NULL;
    size_t from = 0;
    size_t to = 0;
    if (mh_sb_regex_compile(&arena, pattern, strlen(pattern), &re, &err) != MH_OK)
        return err.msg;
    bool yes = mh_sb_regex_find(re, text, strlen(text), 0, NULL, NULL);
    CHECK_INT(mh_sb_regex_find(re, text, strlen(text), 0, &from, &to), yes);
    return yes ? mh_arena_printf(&arena, "%zu-%zu", from, to) : "none";
}

ARENA_TEST(matches_are_leftmost_and_prefer_earlier_alternatives)
{
    CHECK_STR(find("a", "bab"), "1-2");
    CHECK_STR(find("", "x"), "0-0");
    CHECK_STR(find("a|ab", "ab"), "0-1");
    CHECK_STR(find("ab|a", "ab"), "0-2");
    CHECK_STR(find("(?:a|ab)(?:c|bcd)(?:d*)", "abcd"), "0-4");
    CHECK_STR(find("a+?", "aaa"), "0-1");
    CHECK_STR(find("a*?b", "aaab"), "0-4");
    CHECK_STR(find("x*", "aaa"), "0-0");
    CHECK_STR(find("(a*)*", "b"), "0-0");
    CHECK_STR(find("(a|b|c|d)*z", "abcdz"), "0-5");
    CHECK_STR(find("foo|bar|baz", "a baz"), "2-5");
}

ARENA_TEST(repetition_is_counted)
{
    CHECK_STR(find("^a{2,3}$", "aa"), "0-2");
    CHECK_STR(find("^a{2,3}$", "aaaa"), "none");
    CHECK_STR(find("^(ab){2}$", "abab"), "0-4");
    CHECK_STR(find("^a{2,}$", "aaaaa"), "0-5");
    CHECK_STR(find("^a{0}$", ""), "0-0");
    CHECK_STR(find("a{0,2}", "aaa"), "0-2");
    CHECK_STR(find("a{0,2}?b", "aab"), "0-3");
    CHECK_STR(find("a{,2}", "a{,2}"), "0-5");
    CHECK_STR(find("a{x", "a{x"), "0-3");
    CHECK_STR(find("a{1001}", ""), "error parsing regexp: invalid repeat count: `{1001}`");
    CHECK_STR(find("a{3,2}", ""), "error parsing regexp: invalid repeat count: `{3,2}`");
    CHECK_STR(find("(a{1000}){1000}", ""), "error parsing regexp: expression too large");
}

ARENA_TEST(classes_escapes_and_flags)
{
    CHECK_STR(find("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "abc-1"), "0-5");
    CHECK_STR(find("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "abc-"), "none");
    CHECK_STR(find("[^a]", "aab"), "2-3");
    CHECK_STR(find("[]a]+", "]a"), "0-2");
    CHECK_STR(find("[a\\]b-]+", "a]-"), "0-3");
    CHECK_STR(find("[[:digit:][:upper:]]+", "xA1"), "1-3");
    CHECK_STR(find("\\d+\\s\\w", "a12 b"), "1-5");
    CHECK_STR(find("[^\\d]", "1a"), "1-2");
    CHECK_STR(find("\\x41\\x{e9}\\t", "A\xc3\xa9\t"), "0-4");
    CHECK_STR(find(".", "\n"), "none");
    CHECK_STR(find("(?s).", "\n"), "0-1");
    CHECK_STR(find("(?i)StraSSe", "STRASSE"), "0-7");
    CHECK_STR(find("(?i:a)b", "Ab"), "0-2");
    CHECK_STR(find("(?i:a)b", "AB"), "none");
    CHECK_STR(find("(?m)^b$", "a\nb\nc"), "2-3");
    CHECK_STR(find("^b$", "a\nb\nc"), "none");
    CHECK_STR(find("\\bfoo\\b", "a foo b"), "2-5");
    CHECK_STR(find("\\Boo", "foo"), "1-3");
    CHECK_STR(find("a\\z", "aa"), "1-2");
    CHECK_STR(find("^.$", "\xc3\xa9"), "0-2");
    CHECK_STR(find("\\Qa.b\\E+", "a.bb"), "0-4");
    CHECK_STR(find("(?P<x>a)(?<y>b)", "ab"), "0-2");
    CHECK_STR(find("^[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
                   "1.5Gi"),
              "0-5");
}

ARENA_TEST(bad_patterns_are_refused_in_gos_words)
{
    CHECK_STR(find("a(b", ""), "error parsing regexp: missing closing ): `a(b`");
    CHECK_STR(find("a)b", ""), "error parsing regexp: unexpected ): `a)b`");
    CHECK_STR(find("a[b", ""), "error parsing regexp: missing closing ]: `[b`");
    CHECK_STR(find("*a", ""), "error parsing regexp: missing argument to repetition operator: `*`");
    CHECK_STR(find("a**", ""), "error parsing regexp: invalid nested repetition operator: `**`");
    CHECK_STR(find("[z-a]", ""), "error parsing regexp: invalid character class range: `z-a`");
    CHECK_STR(find("\\y", ""), "error parsing regexp: invalid escape sequence: `\\y`");
    CHECK_STR(find("a\\", ""), "error parsing regexp: trailing backslash at end of expression: ``");
    CHECK_STR(find("(?=a)", ""), "error parsing regexp: invalid or unsupported Perl syntax: `(?=`");
}

ARENA_TEST(hostile_patterns_take_linear_time)
{
    char text[2001];
    memset(text, 'a', 2000);
    text[2000] = 0;
    CHECK_STR(find("(a*)*b", text), "none");
    CHECK_STR(find("(a|aa)+$", text), "0-2000");
    CHECK_STR(find("(.*)(.*)(.*)(.*)(.*)x", text), "none");
}

ARENA_TEST(one_expression_serves_many_texts_of_any_length)
{
    static const char *const texts[] = { "Unique", "NotFound", "a", "", "ab", "x1_:y", "9" };
    static const bool match[] = { true, true, true, false, true, true, false };
    static const char pattern[] = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$";
    struct mh_sb_regex *re = NULL;
    CHECK(mh_sb_regex_compile(&arena, pattern, strlen(pattern), &re, &err) == MH_OK);
    for (int round = 0; re && round < 50; round++) {
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
            CHECK_INT(mh_sb_regex_find(re, texts[i], strlen(texts[i]), 0, NULL, NULL), match[i]);
    }
}
