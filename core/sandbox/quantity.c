/* quantity.c - resource quantities. */
#include "sandbox/quantity.h"

#include <stdlib.h>
#include <string.h>

#define NANO ((__int128)1000000000)
#define MAX_NANO ((__int128)INT64_MAX * NANO)

/* Decimal: a power of ten; binary: a power of two, negative for none. */
static bool
suffix_of(const char *s, int *ten, int *two, enum mh_sb_quantity_form *form)
{
    static const struct {
        const char *text;
        int ten;
        int two;
    } all[] = { { "n", -9, 0 },  { "u", -6, 0 },  { "m", -3, 0 },  { "", 0, 0 },
                { "k", 3, 0 },   { "M", 6, 0 },   { "G", 9, 0 },   { "T", 12, 0 },
                { "P", 15, 0 },  { "E", 18, 0 },  { "Ki", 0, 10 }, { "Mi", 0, 20 },
                { "Gi", 0, 30 }, { "Ti", 0, 40 }, { "Pi", 0, 50 }, { "Ei", 0, 60 } };
    char *end = NULL;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(s, all[i].text) == 0) {
            *ten = all[i].ten;
            *two = all[i].two;
            *form = all[i].two ? MH_SB_BINARY_SI : MH_SB_DECIMAL_SI;
            return true;
        }
    }
    if ((*s != 'e' && *s != 'E') || !strchr("+-0123456789", s[1]) || !s[1])
        return false;
    long e = strtol(s + 1, &end, 10);
    if (*end || end == s + 1 || e > 1000 || e < -1000)
        return false;
    *ten = (int)e;
    *two = 0;
    *form = MH_SB_DECIMAL_EXPONENT;
    return true;
}

static __int128
times(__int128 v, int factor)
{
    return v > MAX_NANO / factor ? MAX_NANO + 1 : v * factor;
}

/* What is lost below nano rounds away from zero. */
static __int128
scale(__int128 v, int ten, int two)
{
    for (; ten > 0 && v && v <= MAX_NANO; ten--)
        v = times(v, 10);
    for (; two > 0 && v && v <= MAX_NANO; two--)
        v = times(v, 2);
    for (; ten < 0 && v; ten++)
        v = v / 10 + (v % 10 ? 1 : 0);
    return v > MAX_NANO ? MAX_NANO : v;
}

bool
mh_sb_quantity_parse(const char *text, struct mh_sb_quantity *out)
{
    const char *s = text;
    bool negative = *s == '-';
    bool digits = false;
    int ten = 0;
    int two = 0;
    int places = 0;
    __int128 v = 0;
    s += *s == '-' || *s == '+';
    for (bool point = false; (*s >= '0' && *s <= '9') || (*s == '.' && !point); s++) {
        if (*s == '.') {
            point = true;
            continue;
        }
        digits = true;
        if (v > MAX_NANO / 10) { /* more digits than count */
            places += point ? 0 : -1;
            continue;
        }
        v = v * 10 + (*s - '0');
        places += point;
    }
    struct mh_sb_quantity q = { 0 };
    if (!digits || !suffix_of(s, &ten, &two, &q.form))
        return false;
    /* places and the factor 10^9 first meet in one exponent, so that nothing is lost between */
    int exponent = ten - places + 9;
    q.nano = two ? scale(v, 0, two) : v;
    q.nano = scale(q.nano, exponent, 0);
    if (negative)
        q.nano = -q.nano;
    *out = q;
    return true;
}

int
mh_sb_quantity_cmp(const struct mh_sb_quantity *a, const struct mh_sb_quantity *b)
{
    return a->nano < b->nano ? -1 : a->nano > b->nano;
}

static int64_t
rounded_up(__int128 nano, __int128 unit)
{
    __int128 v = nano / unit;
    if (nano % unit > 0)
        v++;
    else if (nano % unit < 0)
        v--; /* away from zero, as the real one */
    return v > INT64_MAX ? INT64_MAX : v < INT64_MIN ? INT64_MIN : (int64_t)v;
}

int64_t
mh_sb_quantity_value(const struct mh_sb_quantity *q)
{
    return rounded_up(q->nano, NANO);
}

int64_t
mh_sb_quantity_milli(const struct mh_sb_quantity *q)
{
    return rounded_up(q->nano, NANO / 1000);
}

static char *
decimal(struct mh_arena *a, __int128 nano, bool exponent)
{
    static const char *const suffixes[] = { "n", "u", "m", "", "k", "M", "G", "T", "P", "E" };
    const char *sign = nano < 0 ? "-" : "";
    unsigned __int128 v = (unsigned __int128)(nano < 0 ? -nano : nano);
    int step = 0;
    if (v == 0)
        return mh_arena_strdup(a, "0");
    while (v % 1000 == 0 && step < 9) {
        v /= 1000;
        step++;
    }
    if (exponent && step != 3)
        return mh_arena_printf(a, "%s%llue%d", sign, (unsigned long long)v, (step - 3) * 3);
    return mh_arena_printf(a, "%s%llu%s", sign, (unsigned long long)v, suffixes[step]);
}

char *
mh_sb_quantity_text(struct mh_arena *a, const struct mh_sb_quantity *q)
{
    static const char *const suffixes[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
    __int128 v = q->nano / NANO;
    bool small = v > -1024 && v < 1024;
    if (q->form != MH_SB_BINARY_SI || q->nano % NANO || small)
        return decimal(a, q->nano, q->form == MH_SB_DECIMAL_EXPONENT);
    int step = 0;
    while (v && v % 1024 == 0 && step < 6) {
        v /= 1024;
        step++;
    }
    return mh_arena_printf(a, "%lld%s", (long long)v, suffixes[step]);
}
