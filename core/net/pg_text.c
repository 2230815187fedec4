#include "net/pg_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Strict UTF-8: no overlong forms, surrogates or values past U+10FFFF. */
static bool
utf8_ok(const char *s)
{
    const unsigned char *p = (const unsigned char *)s;
    while (*p) {
        unsigned c = *p++;
        int n = c < 0x80 ? 0 : c >> 5 == 6 ? 1 : c >> 4 == 14 ? 2 : c >> 3 == 30 ? 3 : -1;
        if (n < 0)
            return false;
        unsigned v = n == 0 ? c : c & (0x3fu >> n);
        for (int i = 0; i < n; i++) {
            if (*p >> 6 != 2)
                return false;
            v = v << 6 | (*p++ & 0x3fu);
        }
        static const unsigned least[] = { 0, 0x80, 0x800, 0x10000 };
        if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
            return false;
    }
    return true;
}

/* head, s with every byte of `special` preceded by escape (0: doubled), tail. */
static char *
quoted(struct mh_arena *a, const char *head, const char *s, const char *special, char escape,
       const char *tail)
{
    if (!s || !utf8_ok(s))
        return NULL;
    size_t n = strlen(s);
    if (n > SIZE_MAX / 4)
        return NULL;
    char *out = mh_arena_alloc(a, 2 * n + strlen(head) + strlen(tail) + 1);
    if (!out)
        return NULL;
    size_t k = strlen(head);
    memcpy(out, head, k);
    for (size_t i = 0; i < n; i++) {
        if (strchr(special, s[i]))
            out[k++] = escape ? escape : s[i];
        out[k++] = s[i];
    }
    memcpy(out + k, tail, strlen(tail) + 1);
    return out;
}

char *
mh_pg_ident(struct mh_arena *a, const char *s)
{
    return quoted(a, "\"", s, "\"", 0, "\"");
}

char *
mh_pg_literal(struct mh_arena *a, const char *s)
{
    bool escape = s && strchr(s, '\\');
    return quoted(a, escape ? " E'" : "'", s, "'\\", 0, "'");
}

char *
mh_pg_conninfo_value(struct mh_arena *a, const char *s)
{
    return quoted(a, "'", s, "'\\", '\\', "'");
}

char *
mh_pg_conf_value(struct mh_arena *a, const char *s)
{
    if (s && strpbrk(s, "\r\n"))
        return NULL;
    return quoted(a, "'", s, "'\\", 0, "'");
}
