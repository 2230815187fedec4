/* Where messages may go, and what the settings may say. */
#include <stdlib.h>

#include "harness/test.h"
#include "operator/notify.h"

TEST(only_hosts_that_are_listed_are_posted_to)
{
    static const struct {
        const char *allowed;
        const char *url;
        bool yes;
    } rows[] = {
        { "hooks.example.com", "https://hooks.example.com/services/T0/B0/x", true },
        { "hooks.example.com", "https://HOOKS.example.com", true },
        { "hooks.example.com", "https://hooks.example.com:443/x", true },
        { "hooks.example.com", "https://hooks.example.com:8443/x", false },
        { "hooks.example.com", "http://hooks.example.com/x", false },
        { "hooks.example.com", "https://hooks.example.com.evil.org/x", false },
        { "hooks.example.com", "https://evil.org/hooks.example.com", false },
        { "hooks.example.com", "https://evil.org?hooks.example.com", false },
        { "hooks.example.com", "https://evil.org#@hooks.example.com", false },
        { "hooks.example.com", "https://hooks.example.com@evil.org/", false },
        { "hooks.example.com", "https://me:pw@hooks.example.com/", false },
        { "hooks.example.com", "https://evil.org\\@hooks.example.com/", false },
        { "hooks.example.com", "https://hooks.example.com/a b", false },
        { "hooks.example.com", "https://hooks.example.com/\r\nHost: x", false },
        { "hooks.example.com", "ftp://hooks.example.com/", false },
        { "hooks.example.com", "https:///x", false },
        { "hooks.example.com", "", false },
        { "", "https://hooks.example.com/", false },
        { "*.example.com", "https://a.example.com/", true },
        { "*.example.com", "https://a.b.example.com/", true },
        { "*.example.com", "https://example.com/", false },
        { "*.example.com", "https://aexample.com/", false },
        { "*.example.com", "https://a.example.com:8443/", false },
        { "*", "https://a.example.com/", false },
        { "a.org, http://127.0.0.1:8099", "http://127.0.0.1:8099/x", true },
        { "a.org, http://127.0.0.1:8099", "http://127.0.0.1:80991/x", false },
        { "a.org, http://127.0.0.1:8099", "https://a.org/x", true },
        { "https://a.org:8443", "https://a.org:8443/x", true },
        { "https://a.org:8443", "https://a.org/x", false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        bool got = mh_notify_allowed(rows[i].allowed, rows[i].url);
        if (got != rows[i].yes)
            printf("# %s against %s\n", rows[i].url, rows[i].allowed);
        CHECK_INT(got, rows[i].yes);
    }
}

static const char *
settings(const char *targets, const char *allowed, int *n)
{
    static struct mh_err err;
    struct mh_notify notify = { .ntargets = 0 };
    setenv("NOTIFY_TARGETS", targets, 1);
    setenv("NOTIFY_ALLOWED_HOSTS", allowed, 1);
    enum mh_code code = mh_notify_init(&notify, &err);
    *n = notify.ntargets;
    mh_notify_release(&notify);
    unsetenv("NOTIFY_TARGETS");
    unsetenv("NOTIFY_ALLOWED_HOSTS");
    return code == MH_OK ? "ok" : err.msg;
}

TEST(targets_are_names_with_an_address_or_a_secret)
{
    int n;
    CHECK_STR(settings("", "", &n), "ok");
    CHECK_INT(n, 0);
    CHECK_STR(settings("default=https://a.org/x?y=z, chat=secret:hooks/chat", "a.org", &n), "ok");
    CHECK_INT(n, 2);
    CHECK(strstr(settings("default=https://b.org/", "a.org", &n), "NOTIFY_ALLOWED_HOSTS") != NULL);
    CHECK(strstr(settings("chat=secret:hooks", "a.org", &n), "secret:SECRET/KEY") != NULL);
    CHECK(strstr(settings("Chat=https://a.org/", "a.org", &n), "NAME=URL") != NULL);
    CHECK(strstr(settings("https://a.org/", "a.org", &n), "NAME=URL") != NULL);
}
