/* cel_time.c - parts of times and durations. */
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "base/time.h"
#include "sandbox/cel_in.h"

typedef struct mh_sb_cel_call call;

#define US_PER_S 1000000

/* "+01:30", "-08:00", "UTC" as seconds; false: a zone that is not known here. */
static bool
zone(const char *s, size_t n, int64_t *out)
{
    *out = 0;
    if (n == 3 && memcmp(s, "UTC", 3) == 0)
        return true;
    bool sign = n > 0 && (*s == '+' || *s == '-');
    if (n != 5u + sign || s[2 + sign] != ':')
        return false;
    for (size_t i = sign; i < n; i++) {
        if (i != 2u + sign && (s[i] < '0' || s[i] > '9'))
            return false;
    }
    const char *d = s + sign;
    *out = ((d[0] - '0') * 10 + d[1] - '0') * 3600 + ((d[3] - '0') * 10 + d[4] - '0') * 60;
    if (*s == '-')
        *out = -*out;
    return true;
}

static bool
of_timestamp(call *c, int64_t *out)
{
    struct tm tm;
    int64_t us = c->args[0].i;
    int64_t offset = 0;
    if (c->nargs == 2 &&
        (c->args[1].type != MH_SB_CEL_STRING || !zone(c->args[1].s, c->args[1].n, &offset)))
        return mh_sb_cel_fail(c->e, "unknown time zone");
    int64_t s = us >= 0 ? us / US_PER_S : -((US_PER_S - 1 - us) / US_PER_S);
    int64_t part = us - s * US_PER_S;
    time_t t = (time_t)(s + offset);
    if (!gmtime_r(&t, &tm))
        return mh_sb_cel_fail(c->e, "timestamp overflow");
    const struct {
        const char *name;
        int64_t value;
    } parts[] = { { "getFullYear", tm.tm_year + 1900 }, { "getMonth", tm.tm_mon },
                  { "getDayOfMonth", tm.tm_mday - 1 },  { "getDate", tm.tm_mday },
                  { "getDayOfWeek", tm.tm_wday },       { "getDayOfYear", tm.tm_yday },
                  { "getHours", tm.tm_hour },           { "getMinutes", tm.tm_min },
                  { "getSeconds", tm.tm_sec },          { "getMilliseconds", part / 1000 } };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strcmp(parts[i].name, c->name) == 0) {
            *out = parts[i].value;
            return true;
        }
    }
    return mh_sb_cel_no_overload(c->e);
}

static bool
of_duration(call *c, int64_t *out)
{
    int64_t ns = c->args[0].i;
    int64_t s = ns / MH_NS_PER_S;
    if (strcmp(c->name, "getHours") == 0)
        *out = s / 3600;
    else if (strcmp(c->name, "getMinutes") == 0)
        *out = s / 60;
    else if (strcmp(c->name, "getSeconds") == 0)
        *out = s;
    else if (strcmp(c->name, "getMilliseconds") == 0)
        *out = ns / MH_NS_PER_MS;
    else
        return mh_sb_cel_no_overload(c->e);
    return true;
}

bool
mh_sb_cel_lib_time(call *c, bool *ok)
{
    int64_t n = 0;
    if (!c->method || !mh_str_starts(c->name, "get"))
        return false;
    if (c->args[0].type == MH_SB_CEL_TIMESTAMP && c->nargs <= 2)
        *ok = of_timestamp(c, &n);
    else if (c->args[0].type == MH_SB_CEL_DURATION && c->nargs == 1)
        *ok = of_duration(c, &n);
    else
        return false;
    *c->out = mh_sb_cel_of_int(n);
    return true;
}
