#include "operator/fill.h"

#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "net/crypto.h"
#include "net/x509.h"

#define DAY_S 86400LL
#define DURATION_S (90 * DAY_S)
#define BACKDATE_S 300
#define NAMES_MAX 256

bool
mh_fill_source(yyjson_val *fill, struct mh_fill_source *out)
{
    const char *type = mh_json_str(fill, "type", NULL);
    *out = (struct mh_fill_source){ 0 };
    if (mh_str_eq(type, "certificate")) {
        out->name = mh_json_str(fill, "ca", NULL);
    } else if (mh_str_eq(type, "copy")) {
        out->ns = mh_json_str(fill, "namespace", NULL);
        out->name = mh_json_str(fill, "name", NULL);
    }
    return out->name != NULL;
}

const char *
mh_fill_decode(struct mh_arena *a, yyjson_val *secret, const char *key)
{
    const char *text = mh_json_str(secret, "data", key, NULL);
    size_t len;
    const char *out = text ? mh_base64_decode(a, text, strlen(text), &len) : NULL;
    return out && strlen(out) == len ? out : NULL;
}

static bool
add(struct mh_arena *a, const struct mh_fill_out *out, const char *key, const char *value)
{
    const char *text = value ? mh_base64_encode(a, value, strlen(value)) : NULL;
    return text && yyjson_mut_obj_put(out->data, yyjson_mut_strcpy(out->doc, key),
                                      yyjson_mut_strcpy(out->doc, text));
}

/* Percent-encodes all but unreserved characters and those of `keep`. */
static const char *
encoded(struct mh_arena *a, const char *s, const char *keep)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    static const char hex[] = "0123456789ABCDEF";
    char *out = mh_arena_alloc(a, 3 * strlen(s) + 1), *o = out;
    for (; out && *s; s++) {
        if (strchr(plain, *s) || strchr(keep, *s)) {
            *o++ = *s;
            continue;
        }
        *o++ = '%';
        *o++ = hex[(unsigned char)*s >> 4];
        *o++ = hex[(unsigned char)*s & 15];
    }
    return out;
}

/* As .pgpass wants it: ':' and '\' behind a backslash. */
static const char *
escaped(struct mh_arena *a, const char *s)
{
    char *out = mh_arena_alloc(a, 2 * strlen(s) + 1), *o = out;
    for (; out && *s; s++) {
        if (*s == ':' || *s == '\\')
            *o++ = '\\';
        *o++ = *s;
    }
    return out;
}

struct login {
    const char *user, *password, *db, *host, *port, *ns, *domain;
};

static bool
add_uris(struct mh_arena *a, const struct login *l, const struct mh_fill_out *out)
{
    const char *user = encoded(a, l->user, ""), *db = encoded(a, l->db, "*");
    const char *near = mh_arena_printf(a, "%s.%s", l->host, l->ns);
    const char *far = mh_arena_printf(a, "%s.%s.svc.%s", l->host, l->ns, l->domain);
    const char *hosts[] = { near, far };
    static const char *const keys[][2] = { { "uri", "jdbc-uri" }, { "fqdn-uri", "fqdn-jdbc-uri" } };
    if (!user || !db || !near || !far)
        return false;
    for (size_t i = 0; i < 2; i++) {
        const char *uri = mh_arena_printf(a, "postgresql://%s:%s@%s:%s/%s", user, l->password,
                                          hosts[i], l->port, db);
        const char *jdbc = mh_arena_printf(a, "jdbc:postgresql://%s:%s/%s?password=%s&user=%s",
                                           hosts[i], l->port, db, l->password, user);
        if (!add(a, out, keys[i][0], uri) || !add(a, out, keys[i][1], jdbc))
            return false;
    }
    return true;
}

static const char *
text_or(yyjson_val *fill, const char *key, const char *absent)
{
    const char *s = mh_json_str(fill, key, NULL);
    return s ? s : absent;
}

static enum mh_code
make_password(struct mh_arena *a, const struct mh_fill_env *env, yyjson_val *fill,
              const struct mh_fill_out *out, struct mh_err *err)
{
    struct login l = { .user = mh_json_str(fill, "username", NULL),
                       .db = text_or(fill, "dbname", "*"),
                       .host = mh_json_str(fill, "host", NULL),
                       .ns = mh_json_str(fill, "namespace", NULL),
                       .domain = text_or(fill, "cluster_domain", "cluster.local") };
    l.port = mh_arena_printf(a, "%lld", (long long)mh_json_int(fill, 5432, "port", NULL));
    if (!l.user || !l.host || !l.ns)
        return mh_fail(err, MH_E_INVALID, "fill of a password needs username, host and namespace");
    if (mh_password(a, env->rand, &l.password, err) != MH_OK)
        return err->code;
    const char *db = escaped(a, l.db), *user = escaped(a, l.user);
    const char *pgpass = db && user && l.port ? mh_arena_printf(a, "%s:%s:%s:%s:%s\n", l.host,
                                                                l.port, db, user, l.password)
                                              : NULL;
    if (!pgpass || !add(a, out, "username", l.user) || !add(a, out, "user", l.user) ||
        !add(a, out, "password", l.password) || !add(a, out, "dbname", l.db) ||
        !add(a, out, "host", l.host) || !add(a, out, "port", l.port) ||
        !add(a, out, "pgpass", pgpass) || !add_uris(a, &l, out))
        return mh_fail(err, MH_E_NOMEM, "no memory for a secret");
    return MH_OK;
}

static enum mh_code
make_ca(struct mh_arena *a, const struct mh_fill_env *env, yyjson_val *fill,
        const struct mh_fill_have *have, const struct mh_fill_out *out, struct mh_err *err)
{
    int64_t days = env->duration_s > 0 ? env->duration_s : DURATION_S;
    int64_t from = env->now_s - BACKDATE_S;
    const char *cert, *key;
    struct mh_x509_ca_spec spec = { .cn = mh_json_str(fill, "cn", NULL),
                                    .ou = mh_json_str(fill, "ou", NULL),
                                    .not_before = from,
                                    .not_after = from + mh_json_int(fill, days, "duration_s", NULL),
                                    .key_pem = have->key };
    if (!spec.cn)
        return mh_fail(err, MH_E_INVALID, "fill of a ca needs cn");
    if (mh_x509_make_ca(a, &spec, &cert, &key, err) != MH_OK)
        return err->code;
    if (!add(a, out, "ca.crt", cert) || !add(a, out, "ca.key", key))
        return mh_fail(err, MH_E_NOMEM, "no memory for a secret");
    return MH_OK;
}

static const char **
names_of(struct mh_arena *a, yyjson_val *list)
{
    size_t n = yyjson_arr_size(list), at = 0;
    if (n > NAMES_MAX)
        return NULL;
    const char **out = mh_arena_alloc(a, (n + 1) * sizeof(*out));
    yyjson_arr_iter i = yyjson_arr_iter_with(list);
    yyjson_val *v;
    while (out && (v = yyjson_arr_iter_next(&i)))
        if (yyjson_is_str(v))
            out[at++] = yyjson_get_str(v);
    return out;
}

static enum mh_code
make_certificate(struct mh_arena *a, const struct mh_fill_env *env, yyjson_val *fill,
                 const struct mh_fill_have *have, const struct mh_fill_out *out, struct mh_err *err)
{
    int64_t days = env->duration_s > 0 ? env->duration_s : DURATION_S;
    int64_t from = env->now_s - BACKDATE_S;
    const char *cert, *key, *usage = text_or(fill, "usage", "server");
    struct mh_x509_spec spec = { .ca_cert_pem = have->ca_cert,
                                 .ca_key_pem = have->ca_key,
                                 .key_pem = have->key,
                                 .cn = mh_json_str(fill, "cn", NULL),
                                 .dns_names = names_of(a, mh_json_get(fill, "dns_names", NULL)),
                                 .usage =
                                     strcmp(usage, "client") == 0 ? MH_X509_CLIENT : MH_X509_SERVER,
                                 .not_before = from,
                                 .not_after = from + mh_json_int(fill, days, "duration_s", NULL) };
    if (!spec.cn || !spec.dns_names)
        return mh_fail(err, MH_E_INVALID, "fill of a certificate needs cn (and at most %d names)",
                       NAMES_MAX);
    if (!have->ca_cert || !have->ca_key)
        return mh_fail(err, MH_E_INVALID,
                       "secret %s has no ca.crt and ca.key, it cannot sign. HINT: give the "
                       "certificates too, or a CA with its key",
                       text_or(fill, "ca", "?"));
    if (mh_x509_issue(a, &spec, &cert, &key, err) != MH_OK)
        return err->code;
    if (!add(a, out, "tls.crt", cert) || !add(a, out, "tls.key", key))
        return mh_fail(err, MH_E_NOMEM, "no memory for a secret");
    return MH_OK;
}

static enum mh_code
make_copy(const struct mh_fill_have *have, const struct mh_fill_out *out, struct mh_err *err)
{
    yyjson_val *data = yyjson_obj_get(have->source, "data");
    yyjson_obj_iter i = yyjson_obj_iter_with(data);
    yyjson_val *k;
    if (!have->source)
        return mh_fail(err, MH_E_INVALID,
                       "fill of a copy needs the namespace and name of a secret");
    while ((k = yyjson_obj_iter_next(&i)))
        if (!yyjson_mut_obj_put(out->data, yyjson_val_mut_copy(out->doc, k),
                                yyjson_val_mut_copy(out->doc, yyjson_obj_iter_get_val(k))))
            return mh_fail(err, MH_E_NOMEM, "no memory for a secret");
    return MH_OK;
}

enum mh_code
mh_fill_make(struct mh_arena *a, const struct mh_fill_env *env, yyjson_val *fill,
             const struct mh_fill_have *have, const struct mh_fill_out *out, struct mh_err *err)
{
    const char *type = text_or(fill, "type", "");
    if (strcmp(type, "password") == 0)
        return make_password(a, env, fill, out, err);
    if (strcmp(type, "ca") == 0)
        return make_ca(a, env, fill, have, out, err);
    if (strcmp(type, "certificate") == 0)
        return make_certificate(a, env, fill, have, out, err);
    if (strcmp(type, "copy") == 0)
        return make_copy(have, out, err);
    return mh_fail(err, MH_E_INVALID, "unknown fill type \"%s\"", type);
}
