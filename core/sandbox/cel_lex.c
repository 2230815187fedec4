/* cel_lex.c - text to tokens. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/cel_parse.h"

enum mh_code
mh_sb_cel_complain(struct mh_arena *a, const char *text, size_t pos, struct mh_err *err,
                   const char *why)
{
    size_t line = 1;
    size_t start = 0;
    for (size_t i = 0; i < pos && text[i]; i++) {
        if (text[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    size_t len = strcspn(text + start, "\n");
    char *dots = mh_arena_alloc(a, pos - start + 1);
    if (!dots)
        return mh_fail(err, MH_E_NOMEM, "no memory for an expression");
    memset(dots, '.', pos - start);
    return mh_fail(err, MH_E_INVALID, "ERROR: <input>:%zu:%zu: %s\n | %.*s\n | %s^", line,
                   pos - start + 1, why, (int)(len > 120 ? 120 : len), text + start, dots);
}

struct mh_sb_cel_node *
mh_sb_cel_bad_at(struct mh_sb_cel_parser *p, size_t pos, const char *why)
{
    if (!p->failed)
        mh_sb_cel_complain(p->arena, p->text, pos, p->err, why);
    p->failed = true;
    return NULL;
}

static bool
word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static size_t
put_rune(char *out, uint32_t r)
{
    if (r < 0x80) {
        out[0] = (char)r;
        return 1;
    }
    size_t n = r < 0x800 ? 2 : r < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (r & 0x3f));
        r >>= 6;
    }
    out[0] = (char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | r);
    return n;
}

/* An escape behind a backslash; *s is moved. 0: none such. */
static size_t
unescape(const char **s, char *out, bool bytes)
{
    static const char plain[] = "abfnrtv\\'\"`?";
    static const char values[] = "\a\b\f\n\r\t\v\\'\"`?";
    char c = *(*s)++;
    const char *known = c ? strchr(plain, c) : NULL;
    int digits = c == 'x' || c == 'X' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    char hex[9] = { 0 };
    char *end = NULL;
    if (known) {
        *out = values[known - plain];
        return 1;
    }
    if (c >= '0' && c <= '3') {
        if ((*s)[0] < '0' || (*s)[0] > '7' || (*s)[1] < '0' || (*s)[1] > '7')
            return 0;
        uint32_t r = (uint32_t)((c - '0') * 64 + ((*s)[0] - '0') * 8 + ((*s)[1] - '0'));
        *s += 2;
        if (!bytes)
            return put_rune(out, r);
        *out = (char)r;
        return 1;
    }
    for (int i = 0; i < digits; i++) {
        if (!(*s)[i])
            return 0;
        hex[i] = (*s)[i];
    }
    unsigned long r = strtoul(hex, &end, 16);
    if (!digits || *end || end == hex || r > 0x10ffff || (r >= 0xd800 && r < 0xe000))
        return 0;
    *s += digits;
    if (bytes && digits == 2) {
        *out = (char)r;
        return 1;
    }
    return put_rune(out, (uint32_t)r);
}

/* At the opening quote. */
static bool
lex_string(struct mh_sb_cel_parser *p, bool raw, bool bytes)
{
    const char *s = p->s;
    char quote = *s;
    size_t width = s[1] == quote && s[2] == quote ? 3 : 1;
    char *out = mh_arena_alloc(p->arena, strlen(s) * 2 + 4);
    size_t n = 0;
    if (!out) {
        p->failed = true;
        mh_fail(p->err, MH_E_NOMEM, "no memory for an expression");
        return false;
    }
    for (s += width;;) {
        if (!*s || (width == 1 && *s == '\n'))
            return false;
        if (*s == quote && (width == 1 || (s[1] == quote && s[2] == quote)))
            break;
        if (*s != '\\' || raw) {
            out[n++] = *s++;
            continue;
        }
        s++;
        size_t w = unescape(&s, out + n, bytes);
        if (!w)
            return false;
        n += w;
    }
    p->s = s + width;
    p->word = out;
    p->len = n;
    p->token = bytes ? T_BYTES : T_STRING;
    return true;
}

static bool
lex_number(struct mh_sb_cel_parser *p)
{
    const char *s = p->s;
    char *end = NULL;
    bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
    size_t n = strspn(s, "0123456789");
    bool real =
        !hex && ((s[n] == '.' && s[n + 1] >= '0' && s[n + 1] <= '9') || s[n] == 'e' || s[n] == 'E');
    if (real) {
        p->d = strtod(s, &end);
        p->token = T_FLOAT;
    } else {
        __int128 v = 0;
        end = (char *)(uintptr_t)(hex ? s + 2 : s);
        for (; v <= UINT64_MAX; end++) {
            int digit = *end >= '0' && *end <= '9'   ? *end - '0'
                        : *end >= 'a' && *end <= 'f' ? *end - 'a' + 10
                        : *end >= 'A' && *end <= 'F' ? *end - 'A' + 10
                                                     : 99;
            if (digit >= (hex ? 16 : 10))
                break;
            v = v * (hex ? 16 : 10) + digit;
        }
        bool is_unsigned = *end == 'u' || *end == 'U';
        end += is_unsigned;
        /* the smallest integer is written as minus one more than the largest */
        if (v > (is_unsigned ? (__int128)UINT64_MAX : (__int128)INT64_MAX + 1))
            return false;
        p->token = is_unsigned ? T_UINT : T_INT;
        p->u = (uint64_t)v;
        p->i = (int64_t)p->u;
    }
    p->s = end;
    return !word_char(*end);
}

static void
skip_blanks(struct mh_sb_cel_parser *p)
{
    for (;;) {
        p->s += strspn(p->s, " \t\r\n\f");
        if (p->s[0] != '/' || p->s[1] != '/')
            return;
        p->s += strcspn(p->s, "\n");
    }
}

static bool
lex_word(struct mh_sb_cel_parser *p)
{
    const char *s = p->s;
    size_t n = 0;
    while (n < 3 && s[n] && strchr("rRbB", s[n]))
        n++;
    if (n <= 2 && n && (s[n] == '"' || s[n] == '\'')) {
        bool raw = memchr(s, 'r', n) || memchr(s, 'R', n);
        bool bytes = memchr(s, 'b', n) || memchr(s, 'B', n);
        p->s += n;
        return lex_string(p, raw, bytes);
    }
    for (n = 0; word_char(s[n]); n++)
        continue;
    p->word = mh_arena_strndup(p->arena, s, n);
    p->len = n;
    p->token = T_IDENT;
    p->s += n;
    return p->word != NULL;
}

void
mh_sb_cel_next(struct mh_sb_cel_parser *p)
{
    static const char *const ops[] = { "&&", "||", "==", "!=", "<=", ">=", ".?", "[?" };
    bool ok = true;
    skip_blanks(p);
    const char *s = p->s;
    p->pos = (size_t)(s - p->text);
    p->quoted = false;
    if (!*s) {
        p->token = T_END;
        return;
    }
    if (*s == '"' || *s == '\'') {
        ok = lex_string(p, false, false);
    } else if ((*s >= '0' && *s <= '9') || (*s == '.' && s[1] >= '0' && s[1] <= '9')) {
        ok = lex_number(p);
    } else if (word_char(*s)) {
        ok = lex_word(p);
    } else if (*s == '`') {
        size_t n = strcspn(s + 1, "`");
        p->word = mh_arena_strndup(p->arena, s + 1, n);
        p->len = n;
        p->token = T_IDENT;
        p->quoted = true;
        ok = n && s[n + 1] == '`' && p->word;
        p->s += n + 2;
    } else {
        size_t n = 1;
        for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
            if (mh_str_starts(s, ops[i]))
                n = 2;
        }
        ok = strchr("&|=!<>.?[](){}+-*/%,:", *s) != NULL;
        p->word = mh_arena_strndup(p->arena, s, n);
        p->len = n;
        p->token = T_OP;
        p->s += n;
        ok = ok && p->word;
    }
    if (!ok) {
        p->token = T_BAD;
        char *why = mh_arena_printf(p->arena, "Syntax error: token recognition error at: '%.20s'",
                                    p->text + p->pos);
        mh_sb_cel_bad_at(p, p->pos, why ? why : "no memory");
    }
}
