#include "base/time.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void
split(int64_t unix_s, struct tm *tm)
{
    time_t t = (time_t)unix_s;
    memset(tm, 0, sizeof(*tm));
    (void)gmtime_r(&t, tm);
}

void
mh_time_rfc3339(char out[MH_TIME_TEXT], int64_t unix_s)
{
    struct tm tm;
    split(unix_s, &tm);
    (void)strftime(out, MH_TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void
mh_time_rfc3339_micro(char out[MH_TIME_TEXT], int64_t unix_us)
{
    struct tm tm;
    char head[MH_TIME_TEXT - 9];
    split(unix_us / 1000000, &tm);
    (void)strftime(head, sizeof(head), "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(out, MH_TIME_TEXT, "%s.%06dZ", head, (int)(unix_us % 1000000));
}

void
mh_time_go(char out[MH_TIME_TEXT], int64_t unix_s)
{
    struct tm tm;
    split(unix_s, &tm);
    (void)strftime(out, MH_TIME_TEXT, "%Y-%m-%d %H:%M:%S +0000 UTC", &tm);
}

bool
mh_time_parse(const char *s, int64_t *unix_us)
{
    struct tm tm = { 0 };
    int n = 0;
    if (!s ||
        sscanf(s, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 6 ||
        n < 19)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int64_t us = 0;
    s += n;
    if (*s == '.') {
        int64_t unit = 100000;
        for (s++; isdigit((unsigned char)*s); s++, unit /= 10)
            us += (*s - '0') * unit;
    }
    int64_t offset = 0;
    if (*s == '+' || *s == '-') {
        int h = 0;
        int m = 0;
        if (sscanf(s + 1, "%2d:%2d", &h, &m) != 2)
            return false;
        offset = (*s == '+' ? 1 : -1) * (int64_t)(h * 3600 + m * 60);
    } else if (*s != 'Z' && *s != 'z') {
        return false;
    }
    *unix_us = ((int64_t)timegm(&tm) - offset) * 1000000 + us;
    return true;
}
