/* ldap.c - the password with which PostgreSQL searches the directory: in pg_hba.conf, so it is read here
 * and looked at again every minute. Nobody else knows of this secret. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "instance/agent.h"
#include "instance/secret.h"

#define AGAIN_NS (60 * MH_NS_PER_S)
#define FAILED_NS (5 * MH_NS_PER_S)

static yyjson_val *
selector(const struct mh_agent *g)
{
    return mh_json_get(g->know.cluster, "spec", "postgresql", "ldap", "bindSearchAuth",
                       "bindPassword", NULL);
}

static void
take(struct mh_agent *g, const char *password)
{
    if (mh_str_eq(password, g->ldap_password))
        return;
    char *copy = password ? mh_strdup(password) : NULL;
    if (password && !copy)
        return;
    mh_free(g->ldap_password);
    g->ldap_password = copy;
    g->conf_dirty = true;
    mh_agent_wake(g);
}

static void
on_secret(struct mh_agent *g, void *arg, yyjson_val *secret, struct mh_arena *a)
{
    const char *key = mh_json_str(selector(g), "key", NULL);
    const char *password = key && secret ? mh_secret_value(a, secret, key) : NULL;
    (void)arg;
    g->ldap_next_ns = mh_agent_now(g) + (password ? AGAIN_NS : FAILED_NS);
    if (secret && !password)
        mh_warn("ldap", "the secret has no such key", "key", key);
    if (password)
        take(g, password);
}

void
mh_ldap_tick(struct mh_agent *g)
{
    const char *name = mh_json_str(selector(g), "name", NULL);
    int64_t now = mh_agent_now(g);
    if (!name || !*name) {
        take(g, NULL);
        g->ldap_next_ns = 0;
        return;
    }
    char of[sizeof(g->ldap_of)];
    const char *key = mh_json_str(selector(g), "key", NULL);
    (void)snprintf(of, sizeof(of), "%s/%s", name, key ? key : "");
    if (now < g->ldap_next_ns && strcmp(of, g->ldap_of) == 0)
        return;
    mh_str_copy(g->ldap_of, sizeof(g->ldap_of), of);
    g->ldap_next_ns = now + AGAIN_NS;
    if (!mh_secret_read(g, name, on_secret, NULL))
        g->ldap_next_ns = now + FAILED_NS;
}
