/* format.c - the formats of OpenAPI strings, as the API server checks them. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "sandbox/quantity.h"

/* Takes n digits that make a number in [min, max]. */
static bool
digits(const char **s, int n, int min, int max)
{
    int v = 0;
    for (int i = 0; i < n; i++) {
        if (!isdigit((unsigned char)(*s)[i]))
            return false;
        v = v * 10 + ((*s)[i] - '0');
    }
    *s += n;
    return v >= min && v <= max;
}

static bool
date_at(const char **s)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int year = (int)strtol(*s, NULL, 10);
    if (!digits(s, 4, 0, 9999) || *(*s)++ != '-')
        return false;
    int month = (int)strtol(*s, NULL, 10);
    if (!digits(s, 2, 1, 12) || *(*s)++ != '-')
        return false;
    bool leap = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return digits(s, 2, 1, days[month - 1] + leap);
}

static bool
is_date(const char *s)
{
    return date_at(&s) && !*s;
}

static bool
is_date_time(const char *s)
{
    if (!date_at(&s) || (*s != 'T' && *s != 't' && *s != ' '))
        return false;
    s++;
    if (!digits(&s, 2, 0, 23) || *s++ != ':' || !digits(&s, 2, 0, 59) || *s++ != ':' ||
        !digits(&s, 2, 0, 60))
        return false;
    if (*s == '.') {
        size_t n = strspn(++s, "0123456789");
        if (!n)
            return false;
        s += n;
    }
    if (*s == 'Z' || *s == 'z')
        return !s[1];
    if (*s != '+' && *s != '-')
        return false;
    s++;
    return digits(&s, 2, 0, 23) && *s++ == ':' && digits(&s, 2, 0, 59) && !*s;
}

bool
mh_sb_duration_parse(const char *s, int64_t *ns)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = { { "ns", 1 },
                  { "us", 1000 },
                  { "\xc2\xb5s", 1000 },
                  { "\xce\xbcs", 1000 },
                  { "ms", MH_NS_PER_MS },
                  { "s", MH_NS_PER_S },
                  { "m", 60 * MH_NS_PER_S },
                  { "h", 3600 * MH_NS_PER_S } };
    bool negative = *s == '-';
    __int128 total = 0;
    s += *s == '-' || *s == '+';
    if (strcmp(s, "0") == 0) {
        *ns = 0;
        return true;
    }
    if (!*s)
        return false;
    while (*s) {
        size_t whole = strspn(s, "0123456789");
        size_t part = s[whole] == '.' ? strspn(s + whole + 1, "0123456789") : 0;
        const char *unit = s + whole + (s[whole] == '.') + part;
        size_t n = strcspn(unit, "0123456789.");
        int64_t factor = 0;
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
            if (strlen(units[i].name) == n && memcmp(units[i].name, unit, n) == 0)
                factor = units[i].ns;
        }
        if (!factor || (!whole && !part) || whole > 19)
            return false;
        __int128 v = 0;
        for (size_t i = 0; i < whole; i++)
            v = v * 10 + (s[i] - '0');
        total += v * factor;
        __int128 scale = factor;
        for (size_t i = 0; i < part && scale; i++) {
            total += scale * (s[whole + 1 + i] - '0') / 10;
            scale /= 10;
        }
        if (total > INT64_MAX)
            return false;
        s = unit + n;
    }
    *ns = (int64_t)(negative ? -total : total);
    return true;
}

/* Go's, or Scala's: "3 days". */
static bool
is_duration(const char *s)
{
    static const char *const units[] = { "ns",    "us",  "ms",     "s",    "m",
                                         "h",     "d",   "w",      "nano", "micro",
                                         "milli", "sec", "second", "min",  "minute",
                                         "hour",  "hr",  "day",    "week", "wk" };
    int64_t ns = 0;
    char word[16];
    if (mh_sb_duration_parse(s, &ns))
        return true;
    size_t n = strspn(s, "0123456789");
    if (!n)
        return false;
    s += n;
    s += strspn(s, " ");
    mh_str_copy(word, sizeof(word), s);
    for (char *c = word; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t len = strlen(units[i]);
        if (strncmp(word, units[i], len) == 0 && (!word[len] || strcmp(word + len, "s") == 0))
            return true;
    }
    return false;
}

static bool
is_byte(const char *s)
{
    size_t n = strlen(s);
    size_t body = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    size_t pad = strspn(s + body, "=");
    return n > 0 && n % 4 == 0 && pad <= 2 && body + pad == n;
}

static bool
is_uuid_of(const char *s, char version)
{
    int n = 0;
    for (; *s; s++) {
        if (*s == '-' && (n == 8 || n == 12 || n == 16 || n == 20) && s[1] != '-')
            continue;
        if (!isxdigit((unsigned char)*s) || (version && n == 12 && *s != version))
            return false;
        if (version > '3' && n == 16 && !strchr("89abAB", *s))
            return false;
        n++;
    }
    return n == 32;
}

static bool
is_uuid(const char *s)
{
    return is_uuid_of(s, 0);
}

static bool
is_uuid3(const char *s)
{
    return is_uuid_of(s, '3');
}

static bool
is_uuid4(const char *s)
{
    return is_uuid_of(s, '4');
}

static bool
is_uuid5(const char *s)
{
    return is_uuid_of(s, '5');
}

/* Four numbers, leading zeros allowed. */
static bool
is_ipv4(const char *s)
{
    for (int i = 0; i < 4; i++) {
        size_t n = strspn(s, "0123456789");
        if (!n || n > 10 || strtol(s, NULL, 10) > 255)
            return false;
        s += n;
        if (i < 3 && *s++ != '.')
            return false;
    }
    return !*s;
}

static bool
is_ipv6(const char *s)
{
    unsigned char out[16];
    return strchr(s, ':') && inet_pton(AF_INET6, s, out) == 1;
}

static bool
is_cidr(const char *s)
{
    const char *slash = strchr(s, '/');
    char host[64];
    int64_t bits = 0;
    if (!slash || (size_t)(slash - s) >= sizeof(host))
        return false;
    mh_str_copy(host, (size_t)(slash - s) + 1, s);
    bool four = is_ipv4(host);
    return (four || is_ipv6(host)) && isdigit((unsigned char)slash[1]) &&
           mh_str_int(slash + 1, 0, four ? 32 : 128, &bits);
}

static bool
is_mac(const char *s)
{
    size_t n = strlen(s);
    size_t group = n && s[n > 4 ? 4 : 0] == '.' ? 4 : 2;
    char sep = n > group ? s[group] : 0;
    size_t bytes = 0;
    if (!strchr(":-.", sep) || !sep || (group == 4 && sep != '.') || (group == 2 && sep == '.'))
        return false;
    for (size_t i = 0; i < n; i++) {
        bool at_sep = i % (group + 1) == group;
        if (at_sep ? s[i] != sep : !isxdigit((unsigned char)s[i]))
            return false;
        bytes += !at_sep;
    }
    bytes /= 2;
    return n % (group + 1) == group && (bytes == 6 || bytes == 8 || bytes == 20);
}

static bool
is_hostname(const char *s)
{
    size_t len = strlen(s);
    size_t label = 0;
    if (!len || len > 255)
        return false;
    for (size_t i = 0; i <= len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '.' || !c) {
            if (!label || label > 63 || s[i - 1] == '-')
                return false;
            label = 0;
        } else if (isalnum(c) || c >= 0x80 || (c == '-' && label)) {
            label++;
        } else {
            return false;
        }
    }
    const char *dot = strrchr(s, '.');
    /* a name with dots ends in a word of two letters or more */
    return !dot || (strlen(dot + 1) >= 2 && strspn(dot + 1, "0123456789-") == 0);
}

static bool
is_uri(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    for (const char *c = s; *c; c++) {
        if ((unsigned char)*c <= 0x20 || *c == 0x7f)
            return false;
        if (*c == '%' && (!isxdigit((unsigned char)c[1]) || !isxdigit((unsigned char)c[2])))
            return false;
    }
    return *s == '/' || (n > 0 && isalpha((unsigned char)*s) && s[n] == ':' && s[n + 1]);
}

static bool
is_email(const char *s)
{
    const char *at = strrchr(s, '@');
    if (!at || at == s || !at[1] || strpbrk(s, " \t\r\n,;<>()\"") || *s == '.' || at[-1] == '.')
        return false;
    return !strstr(s, "..") && at[1] != '.' && s[strlen(s) - 1] != '.' && strchr(s, '@') == at;
}

static bool
is_hexcolor(const char *s)
{
    s += *s == '#';
    size_t n = strspn(s, "0123456789abcdefABCDEF");
    return !s[n] && (n == 3 || n == 6);
}

static bool
is_password(const char *s)
{
    (void)s;
    return true;
}

static bool
is_long_name(const char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++) {
        bool edge = i == 0 || i + 1 == n || s[i - 1] == '.' || s[i + 1] == '.';
        bool word = (s[i] >= 'a' && s[i] <= 'z') || isdigit((unsigned char)s[i]);
        if (!word && (edge || (s[i] != '-' && s[i] != '.')))
            return false;
    }
    return n > 0 && n <= 253;
}

static bool
is_short_name(const char *s)
{
    return strlen(s) <= 63 && !strchr(s, '.') && is_long_name(s);
}

static const struct {
    const char *name; /* without dashes */
    bool (*ok)(const char *);
} formats[] = {
    { "datetime", is_date_time },
    { "date", is_date },
    { "duration", is_duration },
    { "byte", is_byte },
    { "uuid", is_uuid },
    { "uuid3", is_uuid3 },
    { "uuid4", is_uuid4 },
    { "uuid5", is_uuid5 },
    { "ipv4", is_ipv4 },
    { "ipv6", is_ipv6 },
    { "cidr", is_cidr },
    { "mac", is_mac },
    { "hostname", is_hostname },
    { "uri", is_uri },
    { "email", is_email },
    { "hexcolor", is_hexcolor },
    { "password", is_password },
    { "k8sshortname", is_short_name },
    { "k8slongname", is_long_name },
};

static bool (*checker(const char *format))(const char *)
{
    char name[32];
    size_t n = 0;
    for (; *format && n + 1 < sizeof(name); format++) {
        if (*format != '-')
            name[n++] = *format;
    }
    name[n] = 0;
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (strcmp(formats[i].name, name) == 0)
            return formats[i].ok;
    }
    return NULL;
}

bool
mh_sb_format_known(const char *format)
{
    return checker(format) != NULL;
}

bool
mh_sb_format_ok(const char *format, const char *text)
{
    bool (*ok)(const char *) = checker(format);
    return !ok || ok(text);
}
