/* What may be a name, a label, a key. */
#include <ctype.h>
#include <string.h>

#include "sandbox/rest_check.h"

#define LABEL "[a-z0-9]([-a-z0-9]*[a-z0-9])?"

static bool
is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool
is_label(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!is_lower(s[i]) && !is_digit(s[i]) && (s[i] != '-' || i == 0 || i == n - 1))
            return false;
    }
    return n > 0;
}

static const char *
too_long(struct mh_arena *a, const char *s, size_t max)
{
    if (strlen(s) <= max)
        return NULL;
    const char *text = mh_arena_printf(a, "must be no more than %zu characters", max);
    return text ? text : "too long";
}

static bool
is_subdomain(const char *s)
{
    for (;;) {
        size_t n = strcspn(s, ".");
        if (!is_label(s, n))
            return false;
        if (!s[n])
            return true;
        s += n + 1;
    }
}

const char *
mh_sb_name_subdomain(struct mh_arena *a, const char *s)
{
    const char *longer = too_long(a, s, 253);
    if (longer || is_subdomain(s))
        return longer;
    return "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' "
           "or '.', and must start and end with an alphanumeric character (e.g. 'example.com', "
           "regex used for validation is '" LABEL "(\\." LABEL ")*')";
}

const char *
mh_sb_name_label(struct mh_arena *a, const char *s)
{
    const char *longer = too_long(a, s, 63);
    if (longer || is_label(s, strlen(s)))
        return longer;
    return "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
           "and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', "
           "regex used for validation is '" LABEL "')";
}

const char *
mh_sb_name_1035(struct mh_arena *a, const char *s)
{
    const char *longer = too_long(a, s, 63);
    if (longer || (is_label(s, strlen(s)) && is_lower(s[0])))
        return longer;
    return "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with "
           "an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or "
           "'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
}

const char *
mh_sb_name_segment(struct mh_arena *a, const char *s)
{
    (void)a;
    if (strcmp(s, ".") == 0)
        return "may not be '.'";
    if (strcmp(s, "..") == 0)
        return "may not be '..'";
    if (strchr(s, '/'))
        return "may not contain '/'";
    return strchr(s, '%') ? "may not contain '%'" : NULL;
}

/* Letters, digits and -_. inside. */
static bool
is_token(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool alnum = isalnum((unsigned char)s[i]) && (unsigned char)s[i] < 0x80;
        if (!alnum && (!strchr("-_.", s[i]) || i == 0 || i == n - 1))
            return false;
    }
    return n > 0;
}

const char *
mh_sb_name_qualified(struct mh_arena *a, const char *s)
{
    static const char form[] =
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
        "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
        "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    const char *slash = strchr(s, '/');
    const char *name = slash ? slash + 1 : s;
    const char *text = NULL;
    if (slash && strchr(name, '/')) {
        text = mh_arena_printf(a,
                               "a qualified name %s with an optional DNS subdomain prefix and '/' "
                               "(e.g. 'example.com/MyName')",
                               form);
        return text ? text : "not qualified";
    }
    if (slash) {
        char *prefix = mh_arena_strndup(a, s, (size_t)(slash - s));
        if (prefix && !*prefix)
            return "prefix part must be non-empty";
        const char *why = prefix ? mh_sb_name_subdomain(a, prefix) : NULL;
        if (why) {
            text = mh_arena_printf(a, "prefix part %s", why);
            return text ? text : why;
        }
    }
    if (!*name)
        return "name part must be non-empty";
    if (strlen(name) > 63)
        return "name part must be no more than 63 characters";
    if (is_token(name, strlen(name)))
        return NULL;
    text = mh_arena_printf(a, "name part %s", form);
    return text ? text : form;
}

const char *
mh_sb_name_label_value(struct mh_arena *a, const char *s)
{
    const char *longer = too_long(a, s, 63);
    if (longer || !*s || is_token(s, strlen(s)))
        return longer;
    return "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' "
           "or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or "
           "'my_value',  or '12345', regex used for validation is "
           "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
}

const char *
mh_sb_name_config_key(struct mh_arena *a, const char *s)
{
    const char *longer = too_long(a, s, 253);
    bool ok = *s != '\0';
    for (const char *p = s; *p; p++)
        ok = ok && ((isalnum((unsigned char)*p) && (unsigned char)*p < 0x80) || strchr("-_.", *p));
    if (longer)
        return longer;
    if (!ok)
        return "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
               "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
               "'[-._a-zA-Z0-9]+')";
    if (strcmp(s, ".") == 0)
        return "must not be '.'";
    if (strncmp(s, "..", 2) == 0)
        return s[2] ? "must not start with '..'" : "must not be '..'";
    return NULL;
}
