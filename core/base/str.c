#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool
mh_str_eq(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool
mh_str_starts(const char *s, const char *prefix)
{
    return s && strncmp(s, prefix, strlen(prefix)) == 0;
}

bool
mh_str_ends(const char *s, const char *suffix)
{
    if (!s)
        return false;
    size_t n = strlen(s);
    size_t m = strlen(suffix);
    return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

bool
mh_str_int(const char *s, int64_t min, int64_t max, int64_t *out)
{
    if (!s || (!isdigit((unsigned char)*s) && *s != '-'))
        return false;
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno || end == s || *end || v < min || v > max)
        return false;
    *out = v;
    return true;
}

bool
mh_lsn_parse(const char *s, uint64_t *out)
{
    unsigned high;
    unsigned low;
    int n = 0;
    if (!s || strlen(s) > 17 || s[strspn(s, "0123456789ABCDEFabcdef/")] != '\0' ||
        sscanf(s, "%8X/%8X%n", &high, &low, &n) != 2 || s[n] != '\0')
        return false;
    *out = (uint64_t)high << 32 | low;
    return true;
}

void
mh_lsn_text(char out[MH_LSN_TEXT], uint64_t lsn)
{
    (void)snprintf(out, MH_LSN_TEXT, "%X/%X", (unsigned)(lsn >> 32), (unsigned)(lsn & 0xffffffffu));
}

void
mh_str_copy(char *out, size_t size, const char *s)
{
    (void)snprintf(out, size, "%s", s ? s : "");
}
