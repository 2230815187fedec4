#include "instance/hba.h"

#include <arpa/inet.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "instance/sql.h" /* of plugins */

#define TEXT_MAX ((size_t)2 << 20)
#define SELECTOR_MAX 100

static char *
take_text(struct mh_arena *a, struct mh_buf *b)
{
    char *text = b->failed ? NULL : mh_arena_strndup(a, mh_buf_text(b), b->len);
    mh_buf_release(b);
    return text;
}

/* --- users' lines ----------------------------------------------------------------------------- */

static yyjson_val *
selector_ips(yyjson_val *cluster, const char *name, size_t n)
{
    yyjson_val *list = mh_json_get(cluster, "status", "podSelectorRefs", NULL);
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        yyjson_val *one = yyjson_arr_get(list, i);
        const char *its = mh_json_str(one, "name", NULL);
        if (its && strlen(its) == n && strncmp(its, name, n) == 0)
            return mh_json_get(one, "ips", NULL);
    }
    return NULL;
}

static bool
selector_known(yyjson_val *cluster, const char *name, size_t n)
{
    yyjson_val *list = mh_json_get(cluster, "spec", "podSelectorRefs", NULL);
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        const char *its = mh_json_str(yyjson_arr_get(list, i), "name", NULL);
        if (its && strlen(its) == n && strncmp(its, name, n) == 0)
            return true;
    }
    return selector_ips(cluster, name, n) != NULL;
}

static void
expand(struct mh_buf *b, yyjson_val *cluster, const char *line, const char *at)
{
    static const char open[] = "${podselector:";
    const char *name = at + sizeof(open) - 1;
    size_t n = strcspn(name, "}");
    unsigned char bin[16];
    if (name[n] != '}' || n == 0 || n > SELECTOR_MAX || strstr(name + n, open)) {
        mh_buf_printf(b, "# %s\n# error: not one well-formed ${podselector:NAME}\n", line);
        return;
    }
    if (!selector_known(cluster, name, n)) {
        mh_buf_printf(b, "# %s\n# error: podSelectorRefs has no \"%.*s\"\n", line, (int)n, name);
        return;
    }
    yyjson_val *ips = selector_ips(cluster, name, n);
    for (size_t i = 0; i < yyjson_arr_size(ips); i++) {
        const char *ip = yyjson_get_str(yyjson_arr_get(ips, i));
        int bits = !ip                                 ? 0
                   : inet_pton(AF_INET, ip, bin) == 1  ? 32
                   : inet_pton(AF_INET6, ip, bin) == 1 ? 128
                                                       : 0;
        if (bits)
            mh_buf_printf(b, "%.*s%s/%d%s\n", (int)(at - line), line, ip, bits, name + n + 1);
    }
}

static void
user_lines(struct mh_buf *b, yyjson_val *cluster)
{
    yyjson_val *list = mh_json_get(cluster, "spec", "postgresql", "pg_hba", NULL);
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        const char *line = yyjson_get_str(yyjson_arr_get(list, i));
        const char *at = line ? strstr(line, "${podselector:") : NULL;
        if (!line)
            continue;
        if (strpbrk(line, "\r\n"))
            mh_buf_str(b, "# error: a line of spec.postgresql.pg_hba has a line break\n");
        else if (at)
            expand(b, cluster, line, at);
        else
            mh_buf_printf(b, "%s\n", line);
    }
}

/* --- LDAP ------------------------------------------------------------------------------------- */

/* key="value", quotes doubled; nothing for an empty one. */
static void
option(struct mh_buf *b, const char *key, const char *value)
{
    if (!value || !*value || strpbrk(value, "\r\n"))
        return;
    mh_buf_printf(b, " %s=\"", key);
    for (; *value; value++) {
        if (*value == '"')
            mh_buf_char(b, '"');
        mh_buf_char(b, *value);
    }
    mh_buf_char(b, '"');
}

static void
ldap_line(struct mh_buf *b, const struct mh_hba_in *in)
{
    yyjson_val *ldap = mh_json_get(in->cluster, "spec", "postgresql", "ldap", NULL);
    yyjson_val *bind = mh_json_get(ldap, "bindAsAuth", NULL);
    yyjson_val *search = mh_json_get(ldap, "bindSearchAuth", NULL);
    const char *server = mh_json_str(ldap, "server", NULL);
    int64_t port = mh_json_int(ldap, 0, "port", NULL);
    if (!server || !*server)
        return;
    mh_buf_str(b, "host all all 0.0.0.0/0 ldap");
    option(b, "ldapserver", server);
    if (port > 0 && port < 65536)
        mh_buf_printf(b, " ldapport=%lld", (long long)port);
    option(b, "ldapscheme", mh_json_str(ldap, "scheme", NULL));
    if (mh_json_bool(ldap, false, "tls", NULL))
        mh_buf_str(b, " ldaptls=1");
    if (bind) {
        option(b, "ldapprefix", mh_json_str(bind, "prefix", NULL));
        option(b, "ldapsuffix", mh_json_str(bind, "suffix", NULL));
    } else if (search) {
        option(b, "ldapbasedn", mh_json_str(search, "baseDN", NULL));
        option(b, "ldapbinddn", mh_json_str(search, "bindDN", NULL));
        option(b, "ldapbindpasswd", in->ldap_bind_password);
        option(b, "ldapsearchfilter", mh_json_str(search, "searchFilter", NULL));
        option(b, "ldapsearchattribute", mh_json_str(search, "searchAttribute", NULL));
    }
    mh_buf_char(b, '\n');
}

/* What is no address would be a name, or a word of the file. */
static void
replication_line(struct mh_buf *b, const char *from)
{
    size_t len = from ? strspn(from, "0123456789abcdefABCDEF:.") : 0;
    if (!from || !len || from[len] || len > 45)
        mh_buf_str(b, "hostssl replication streaming_replica all");
    else
        mh_buf_printf(b, "hostssl replication streaming_replica %s/%d", from,
                      strchr(from, ':') ? 128 : 32);
    mh_buf_str(b, " cert map=cnpg_streaming_replica\n");
}

/* --- the files -------------------------------------------------------------------------------- */

char *
mh_hba_text(struct mh_arena *a, const struct mh_hba_in *in)
{
    struct mh_buf b;
    mh_buf_init(&b, TEXT_MAX);
    if (in->gate_open)
        mh_buf_str(&b, "local all cnpg_metrics_exporter peer map=cnpg_metrics_exporter\n"
                       "local all all peer map=local\n");
    else
        mh_buf_str(&b, "# closed: no clients until this instance may serve them\n"
                       "local all postgres peer map=local\n");
    mh_buf_str(&b, "hostssl postgres streaming_replica all cert map=cnpg_streaming_replica\n");
    if (!in->no_replication)
        replication_line(&b, in->replication_from);
    if (in->gate_open) {
        mh_buf_str(&b, "hostssl all cnpg_pooler_pgbouncer all cert map=cnpg_pooler_pgbouncer\n");
        user_lines(&b, in->cluster);
        ldap_line(&b, in);
        mh_buf_printf(&b, "host all all all %s\n", in->major >= 14 ? "scram-sha-256" : "md5");
    }
    return take_text(a, &b);
}

/* For plugins' statements as the owner of the application's database: a login, so that nothing leads
 * back to the superuser. */
static void
owner_line(struct mh_buf *b, yyjson_val *cluster, const char *os_user)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    const char *owner = NULL, *database = NULL;
    (void)mh_accounts_application(cluster, &database, &owner);
    if (cluster && owner && !owner[strspn(owner, plain)] && strcmp(owner, "postgres") != 0)
        mh_buf_printf(b, "local \"%s\" \"%s\"\n", os_user, owner);
}

char *
mh_ident_text(struct mh_arena *a, yyjson_val *cluster, const char *os_user)
{
    yyjson_val *list = mh_json_get(cluster, "spec", "postgresql", "pg_ident", NULL);
    struct mh_buf b;
    mh_buf_init(&b, TEXT_MAX);
    mh_buf_printf(&b,
                  "local \"%s\" postgres\n"
                  "cnpg_streaming_replica streaming_replica streaming_replica\n"
                  "cnpg_pooler_pgbouncer cnpg_pooler_pgbouncer cnpg_pooler_pgbouncer\n"
                  "cnpg_metrics_exporter \"%s\" cnpg_metrics_exporter\n",
                  os_user, os_user);
    owner_line(&b, cluster, os_user);
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        const char *line = yyjson_get_str(yyjson_arr_get(list, i));
        if (line && !strpbrk(line, "\r\n"))
            mh_buf_printf(&b, "%s\n", line);
    }
    return take_text(a, &b);
}

char *
mh_ident_user(struct mh_arena *a)
{
    const struct passwd *p = getpwuid(geteuid());
    return p ? mh_arena_strdup(a, p->pw_name) : mh_arena_printf(a, "%u", (unsigned)geteuid());
}
