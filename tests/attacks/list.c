#include "attacks/list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define FILE_MAX ((size_t)1 << 20)

struct list {
    struct mh_attack *a;
    int n;
};

static void
add(struct list *l, const char *name, const char *text, size_t len)
{
    if (l->n == MH_ATTACKS_MAX)
        abort();
    struct mh_attack *a = &l->a[l->n++];
    const char *flags = strstr(name, " | ");
    size_t n = flags ? (size_t)(flags - name) : strlen(name);
    *a = (struct mh_attack){ .text = mh_malloc(len + 1), .len = len };
    if (!a->text)
        abort();
    (void)snprintf(a->name, sizeof(a->name), "%.*s", (int)n, name);
    (void)snprintf(a->flags, sizeof(a->flags), "%.39s", flags ? flags : "");
    a->decide = flags && strstr(flags, "decide");
    a->harmless = flags && strstr(flags, "harmless");
    memcpy(a->text, text, len);
    a->text[len] = 0;
}

/* before, n times unit (%d in it is a number from 1 on), after */
static void
add_long(struct list *l, const char *name, const char *before, const char *unit, int n,
         const char *after)
{
    const char *number = strstr(unit, "%d");
    size_t size = strlen(before) + (size_t)n * (strlen(unit) + 8) + strlen(after) + 1;
    char *text = mh_malloc(size);
    if (!text)
        abort();
    size_t at = (size_t)snprintf(text, size, "%s", before);
    for (int i = 1; i <= n; i++) {
        if (number)
            at += (size_t)snprintf(text + at, size - at, "%.*s%d%s", (int)(number - unit), unit, i,
                                   number + 2);
        else
            at += (size_t)snprintf(text + at, size - at, "%s", unit);
    }
    at += (size_t)snprintf(text + at, size - at, "%s", after);
    add(l, name, text, at);
    mh_free(text);
}

static void
add_nested(struct list *l)
{
    add_long(l, "a long chain of fields", "local T = {} T.x = T return T", ".x", 20000, ".y.z");
    add_long(l, "an endless chain of fields", "local T = {} T.x = T return T", ".x", 200000,
             ".y.z");
    add_long(l, "a long chain of calls", "local function f() return f end return f", "()", 20000,
             "");
    add_long(l, "a long chain of methods", "local T = {} function T:m() return self end return T",
             ":m()", 10000, "");
    add_long(l, "nested functions", "return ", "function() return ", 150, "1");
    add_long(l, "nested functions with ends", "return ", "function() return (", 190, "1");
    add_long(l, "nested blocks", "", "do ", 300, "");
    add_long(l, "nested loops", "", "while true do ", 300, "");
    add_long(l, "nested conditions", "", "if true then ", 300, "");
    add_long(l, "nested tables", "return ", "{", 300, "");
    add_long(l, "nested parentheses", "return ", "(", 300, "1");
    add_long(l, "nested indexes", "local t = {} return t", "[t", 5000, "");
    add_long(l, "nested calls", "local f return ", "f(", 5000, "");
    add_long(l, "unary operators", "return ", "-", 5000, "1");
    add_long(l, "not not", "return ", "not ", 5000, "1");
    add_long(l, "powers", "return 1", "^1", 5000, "");
    add_long(l, "concatenations to the right", "return 'a'", "..'a'", 12000, "");
}

static void
add_wide(struct list *l)
{
    add_long(l, "a large constructor", "return {", "1,", 30000, "}");
    add_long(l, "a large constructor over the limit", "return {", "1,", 500000, "}");
    add_long(l, "a constructor of many names", "return {", "k%d=1,", 6000, "}");
    add_long(l, "many operands", "local a = 'x' return a", "..a", 10000, "");
    add_long(l, "many sums", "local a = 1 return a", "+a", 20000, "");
    add_long(l, "locals", "", "local a ", 300, "");
    add_long(l, "two hundred constants that close", "", "local a%d <const> = 1 ", 199, "");
    add_long(l, "upvalues", "local t = {} return function() return ", "t.a%d,", 300, "1 end");
    add_long(l, "gotos", "", "goto a ", 5000, "::a::");
    add_long(l, "labels", "", "::a%d::", 6000, "");
    add_long(l, "gotos and labels", "", "goto a%d ", 3000, "::a1::");
    add_long(l, "comments", "", "--[[ ]] ", 5000, "");
    add_long(l, "long brackets", "return [", "=", 50000, "[x]]");
    add_long(l, "a long name", "local a", "a", 60000, " = 1");
    add_long(l, "a number of many digits", "return 1", "7", 60000, "");
    add_long(l, "a fraction of many digits", "return 0x.", "f", 60000, "p-9999999");
    add_long(l, "an exponent of many digits", "return 1e", "9", 60000, "");
    add_long(l, "escapes", "return '", "\\u{10FFFF}", 5000, "'");
    add_long(l, "escapes over the limit of Unicode", "return '", "\\u{7FFFFFFF}", 4000, "'");
    add_long(l, "line ends", "", "\r\n", 30000, "return 1 +");
    add_long(l, "a megabyte of nothing", "", " ", 1 << 20, "return 1");
    add_long(l, "functions of one line", "", "local function f() end ", 180, "");
    add_long(l, "constants", "return {", "'%d',", 7000, "}");
    add_long(l, "assignments at once", "local a ", "a,", 260, "a = 1");
}

static void
add_bytes(struct list *l)
{
    add(l, "bytecode", "\x1bLua\x54\x00\x19\x93\r\n\x1a\n", 13);
    add(l, "bytecode after a mark", "\xef\xbb\xbf\x1bLua", 7);
    add(l, "bytecode after a first line", "#!/bin/sh\n\x1bLua", 14);
    add(l, "zeros", "return 1\0\0\0", 11);
    add(l, "a zero in a text", "return 'a\0b'", 12);
    add(l, "nothing", "", 0);
    add(l, "half a character", "return '\xe2\x82'", 11);
    add(l, "characters of another code", "return '\xe4\xf6\xfc'", 12);
}

static void
read_file(struct list *l, const char *path)
{
    char *all = mh_calloc(1, FILE_MAX);
    FILE *f = fopen(path, "re");
    size_t n = f && all ? fread(all, 1, FILE_MAX - 1, f) : 0;
    if (f)
        (void)fclose(f);
    for (char *at = n ? strstr(all, "\n--@ ") : NULL; at;) {
        char *line = at + 5;
        char *end = strchr(line, '\n');
        char *next = end ? strstr(end, "\n--@ ") : NULL;
        if (!end)
            break;
        *end = 0;
        add(l, line, end + 1, next ? (size_t)(next - end - 1) : strlen(end + 1));
        at = next;
    }
    mh_free(all);
}

int
mh_attacks_read(struct mh_attack a[MH_ATTACKS_MAX])
{
    struct list l = { .a = a };
    read_file(&l, "tests/attacks/attacks.txt");
    if (!l.n)
        return 0;
    add_nested(&l);
    add_wide(&l);
    add_bytes(&l);
    return l.n;
}

int
mh_attacks_read_from(const char *path, struct mh_attack a[MH_ATTACKS_MAX])
{
    struct list l = { .a = a };
    read_file(&l, path);
    return l.n;
}

void
mh_attacks_free(struct mh_attack *a, int n)
{
    for (int i = 0; i < n; i++)
        mh_free(a[i].text);
}

char *
mh_attack_wrap(const struct mh_attack *a, const char *before, const char *after, size_t *len)
{
    size_t b = strlen(before);
    size_t e = strlen(after);
    char *out = mh_malloc(b + a->len + e + 1);
    if (!out)
        abort();
    memcpy(out, before, b);
    memcpy(out + b, a->text, a->len);
    memcpy(out + b + a->len, after, e + 1);
    *len = b + a->len + e;
    return out;
}
