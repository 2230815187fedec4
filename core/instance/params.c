#include "instance/params.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "instance/params_in.h"
#include "net/crypto.h"
#include "net/pg_text.h"

#define TEXT_MAX ((size_t)4 << 20)

void
mh_params_set(struct mh_params_build *b, const char *name, const char *value)
{
    if (!name || !value) {
        b->failed = true;
        return;
    }
    for (int i = 0; i < b->out.len; i++) {
        if (strcasecmp(b->out.items[i].name, name) == 0) {
            b->out.items[i] = (struct mh_param){ name, value };
            return;
        }
    }
    if (b->out.len >= MH_PARAMS_MAX)
        b->failed = true;
    else
        b->out.items[b->out.len++] = (struct mh_param){ name, value };
}

static void
add_rules(struct mh_params_build *b, enum mh_param_class cls)
{
    for (int i = 0; i < mh_param_rules_len; i++) {
        const struct mh_param_rule *r = &mh_param_rules[i];
        if (r->cls == cls && r->value && r->from <= b->in->major && b->in->major <= r->to)
            mh_params_set(b, r->name, r->value);
    }
}

/* The operator's or nobody's; the directives of the file format are no parameters either. */
static bool
is_reserved(const char *name)
{
    static const char *const directives[] = { "include", "include_dir", "include_if_exists" };
    for (size_t i = 0; i < sizeof(directives) / sizeof(directives[0]); i++) {
        if (strcasecmp(directives[i], name) == 0)
            return true;
    }
    for (int i = 0; i < mh_param_rules_len; i++) {
        const struct mh_param_rule *r = &mh_param_rules[i];
        if (r->cls > MH_PARAM_IMPLIED && strcasecmp(r->name, name) == 0)
            return true;
    }
    return strncasecmp(name, "cnpg.", 5) == 0;
}

/* A word, or two with a dot between. */
static bool
is_name(const char *s)
{
    int words = 1;
    bool first = true;
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (first ? !(isalpha(c) || c == '_') : !(isalnum(c) || c == '_' || c == '$' || c == '.'))
            return false;
        first = c == '.';
        words += first;
    }
    return !first && words <= 2;
}

bool
mh_params_is_free(const char *name)
{
    return is_name(name) && !is_reserved(name);
}

static void
add_users(struct mh_params_build *b)
{
    yyjson_val *given = mh_json_get(b->in->cluster, "spec", "postgresql", "parameters", NULL);
    yyjson_obj_iter it;
    if (!yyjson_is_obj(given) || !yyjson_obj_iter_init(given, &it))
        return;
    yyjson_val *k;
    while ((k = yyjson_obj_iter_next(&it))) {
        const char *name = yyjson_get_str(k);
        const char *value = yyjson_get_str(yyjson_obj_iter_get_val(k));
        if (!value || !mh_params_is_free(name))
            continue;
        if (strpbrk(value, "\r\n")) { /* JSON's texts are valid UTF-8 */
            mh_warn("params", "parameter left out: its value cannot be written", "name", name);
            continue;
        }
        mh_params_set(b, name, value);
    }
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const struct mh_param *)a)->name, ((const struct mh_param *)b)->name);
}

enum mh_code
mh_params_effective(struct mh_arena *a, const struct mh_params_in *in, struct mh_params *out,
                    struct mh_err *err)
{
    struct mh_params_build b = { .a = a, .in = in };
    b.out.items = mh_arena_alloc(a, MH_PARAMS_MAX * sizeof(*b.out.items));
    if (!b.out.items)
        return mh_fail(err, MH_E_NOMEM, "parameters: no memory");
    add_rules(&b, MH_PARAM_DEFAULT);
    add_rules(&b, MH_PARAM_IMPLIED);
    add_users(&b);
    add_rules(&b, MH_PARAM_MANDATORY);
    mh_params_of_cluster(&b);
    mh_params_of_instance(&b);
    mh_params_set(&b, "synchronous_standby_names", in->sync_names ? in->sync_names : "");
    for (int i = 0; i < in->nextra; i++)
        mh_params_set(&b, in->extra[i].name, in->extra[i].value);
    if (b.failed)
        return mh_fail(err, MH_E_NOMEM, "parameters: no memory, or more than %d", MH_PARAMS_MAX);
    qsort(b.out.items, (size_t)b.out.len, sizeof(*b.out.items), by_name);
    *out = b.out;
    return MH_OK;
}

const char *
mh_params_get(const struct mh_params *p, const char *name)
{
    for (int i = 0; i < p->len; i++) {
        if (strcasecmp(p->items[i].name, name) == 0)
            return p->items[i].value;
    }
    return NULL;
}

static bool
add_line(struct mh_arena *a, struct mh_buf *b, const char *name, const char *value)
{
    const char *quoted = mh_pg_conf_value(a, value);
    return quoted && mh_buf_printf(b, "%s = %s\n", name, quoted);
}

enum mh_code
mh_params_custom(struct mh_arena *a, const struct mh_params_in *in, const char **text,
                 char hash[65], struct mh_err *err)
{
    struct mh_params p;
    char own_hash[65];
    enum mh_code code = mh_params_effective(a, in, &p, err);
    if (code)
        return code;
    struct mh_buf b;
    mh_buf_init(&b, TEXT_MAX);
    bool ok = true;
    for (int i = 0; ok && i < p.len; i++)
        ok = add_line(a, &b, p.items[i].name, p.items[i].value);
    mh_sha256_hex(own_hash, mh_buf_text(&b), b.len);
    if (in->sync_metadata && *in->sync_metadata)
        ok = ok && add_line(a, &b, "cnpg.synchronous_standby_names_metadata", in->sync_metadata);
    ok = ok && add_line(a, &b, "cnpg.config_sha256", own_hash);
    *text = ok ? mh_arena_strndup(a, mh_buf_text(&b), b.len) : NULL;
    mh_buf_release(&b);
    if (!*text)
        return mh_fail(err, MH_E_NOMEM,
                       "custom.conf: no memory, or a value that cannot be written");
    if (hash)
        memcpy(hash, own_hash, sizeof(own_hash));
    return MH_OK;
}

const char *
mh_params_override(struct mh_arena *a, const struct mh_override *o)
{
    struct mh_buf b;
    mh_buf_init(&b, 64u << 10);
    bool ok = !o->restore_command || add_line(a, &b, "restore_command", o->restore_command);
    ok = ok && add_line(a, &b, "recovery_target_timeline", "latest");
    ok = ok && (!o->primary_conninfo || add_line(a, &b, "primary_conninfo", o->primary_conninfo));
    ok = ok && (!o->primary_slot_name || !*o->primary_slot_name ||
                add_line(a, &b, "primary_slot_name", o->primary_slot_name));
    const char *text = ok ? mh_arena_strndup(a, mh_buf_text(&b), b.len) : NULL;
    mh_buf_release(&b);
    return text;
}

/* Quoted only where it must be: the usual values stay as everybody writes them. */
static const char *
plain_or_quoted(struct mh_arena *a, const char *s)
{
    for (const char *c = s; *c; c++) {
        if (!isalnum((unsigned char)*c) && !strchr("._-:/", *c))
            return mh_pg_conninfo_value(a, s);
    }
    return *s ? s : "''";
}

const char *
mh_params_conninfo(struct mh_arena *a, const char *host, const char *instance, const char *cert_dir,
                   const char *further)
{
    const char *timeout = getenv("CNPG_STANDBY_TCP_USER_TIMEOUT");
    int64_t ms;
    if (!mh_str_int(timeout, 0, 3600000, &ms))
        ms = 5000;
    const char *h = plain_or_quoted(a, host);
    const char *name = plain_or_quoted(a, instance);
    if (!h || !name)
        return NULL;
    return mh_arena_printf(a,
                           "host=%s user=streaming_replica port=5432 "
                           "sslkey=%s/streaming_replica.key sslcert=%s/streaming_replica.crt "
                           "sslrootcert=%s/server-ca.crt application_name=%s sslmode=verify-ca "
                           "dbname=postgres tcp_user_timeout='%lld'%s%s",
                           h, cert_dir, cert_dir, cert_dir, name, (long long)ms, further ? " " : "",
                           further ? further : "");
}

const char *
mh_params_slot(struct mh_arena *a, yyjson_val *cluster, const char *instance)
{
    yyjson_val *ha = mh_json_get(cluster, "spec", "replicationSlots", "highAvailability", NULL);
    const char *prefix = mh_json_str(ha, "slotPrefix", NULL);
    if (!mh_json_bool(ha, true, "enabled", NULL))
        return "";
    char *name = mh_arena_printf(a, "%s%s", prefix && *prefix ? prefix : "_cnpg_", instance);
    if (!name)
        return NULL;
    size_t k = 0;
    bool gap = false;
    for (const char *c = name; *c; c++) {
        char low = (char)tolower((unsigned char)*c);
        bool good = (low >= 'a' && low <= 'z') || (low >= '0' && low <= '9') || low == '_';
        if (good || !gap)
            name[k++] = good ? low : '_';
        gap = !good;
    }
    name[k < 63 ? k : 63] = '\0';
    return name;
}
