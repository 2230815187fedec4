/* guard_more.c - the safe sets of what is decided beside failover and placement. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "lua/guard.h"
#include "lua/shape.h"

static bool
is_action(const struct mh_guard *g, const char *name)
{
    return mh_str_eq(mh_json_str(g->answer, "action", NULL), name);
}

static int64_t
now_of(const struct mh_guard *g)
{
    return mh_json_int(g->input, 0, "now", NULL);
}

/* --- retention/v1 ----------------------------------------------------------------------------- */

/* A word of 64 bits for each id, so that ten thousand of them are no square. */
struct id {
    const char *text;
    yyjson_val *backup; /* NULL: the end */
    bool keeps;
    bool expires;
};

static int
by_text(const void *a, const void *b)
{
    return strcmp(((const struct id *)a)->text, ((const struct id *)b)->text);
}

static struct id *
find_id(struct id *ids, size_t n, const char *text)
{
    struct id key = { .text = text };
    return text && n ? bsearch(&key, ids, n, sizeof(*ids), by_text) : NULL;
}

static enum mh_code
mark(const struct mh_guard *g, struct id *ids, size_t n)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    yyjson_obj_foreach(yyjson_obj_get(g->answer, "keep"), i, max, key, item)
    {
        (void)item;
        struct id *id = find_id(ids, n, yyjson_get_str(key));
        if (!id)
            return mh_fail(g->err, MH_E_REFUSED, "decision.keep: '%.60s' is no backup",
                           yyjson_get_str(key));
        id->keeps = true;
    }
    yyjson_arr_foreach(yyjson_obj_get(g->answer, "expire"), i, max, item)
    {
        struct id *id = find_id(ids, n, yyjson_get_str(item));
        if (!id)
            return mh_fail(g->err, MH_E_REFUSED, "decision.expire[%zu]: '%.60s' is no backup",
                           i + 1, yyjson_get_str(item));
        if (id->keeps || id->expires)
            return mh_fail(g->err, MH_E_REFUSED, "decision.expire[%zu]: '%.60s' is there twice",
                           i + 1, id->text);
        id->expires = true;
    }
    return MH_OK;
}

/* Is everything that this one needs kept? */
static enum mh_code
chain_kept(const struct mh_guard *g, struct id *ids, size_t n, const struct id *of)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    yyjson_arr_foreach(yyjson_obj_get(of->backup, "chain"), i, max, item)
    {
        const struct id *id = find_id(ids, n, yyjson_get_str(item));
        if (id && id->expires)
            return mh_fail(g->err, MH_E_REFUSED, "decision.expire: '%.60s' needs '%.60s'", of->text,
                           id->text);
    }
    return MH_OK;
}

static enum mh_code
check_ids(const struct mh_guard *g, struct id *ids, size_t n)
{
    size_t gone = 0;
    enum mh_code code = mark(g, ids, n);
    for (size_t i = 0; code == MH_OK && i < n; i++) {
        gone += ids[i].expires;
        if (!ids[i].keeps && !ids[i].expires)
            code = mh_fail(g->err, MH_E_REFUSED, "decision: '%.60s' is neither kept nor expires",
                           ids[i].text);
        else if (ids[i].expires && mh_json_bool(ids[i].backup, false, "pinned", NULL))
            code = mh_fail(g->err, MH_E_REFUSED, "decision.expire: '%.60s' is pinned", ids[i].text);
        else if (ids[i].keeps)
            code = chain_kept(g, ids, n, &ids[i]);
    }
    if (code == MH_OK && gone > n / 2)
        code = mh_fail(g->err, MH_E_REFUSED,
                       "decision.expire: %zu of %zu at once, want half at most", gone, n);
    return code;
}

enum mh_code
mh_guard_retention(const struct mh_guard *g)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    yyjson_val *backups = yyjson_obj_get(g->input, "backups");
    size_t n = yyjson_arr_size(backups);
    struct id *ids = mh_calloc(n + 1, sizeof(*ids));
    if (!ids)
        return mh_fail(g->err, MH_E_NOMEM, "no memory");
    yyjson_arr_foreach(backups, i, max, item)
    {
        const char *id = mh_json_str(item, "id", NULL);
        ids[i] = (struct id){ .text = id ? id : "", .backup = item };
    }
    qsort(ids, n, sizeof(*ids), by_text);
    enum mh_code code = check_ids(g, ids, n);
    const struct id *newest =
        find_id(ids, n, mh_json_str(yyjson_arr_get_first(backups), "id", NULL));
    if (code == MH_OK && newest && newest->expires)
        code = mh_fail(g->err, MH_E_REFUSED, "decision.expire: '%.60s' is the newest one",
                       newest->text);
    mh_free(ids);
    return code;
}

/* --- rollout/v1 ------------------------------------------------------------------------------- */

static bool
has_role(yyjson_val *list, const char *role)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    yyjson_arr_foreach(list, i, max, item)
    {
        if (mh_str_eq(mh_json_str(item, "role", NULL), role))
            return true;
    }
    return false;
}

static enum mh_code
update(const struct mh_guard *g)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    const char *target = mh_json_str(g->answer, "target", NULL);
    const char *method = mh_json_str(g->answer, "method", NULL);
    yyjson_val *of = mh_guard_find(g, "pending", "name", target);
    bool primary = mh_str_eq(mh_json_str(of, "role", NULL), "primary");
    if (!of)
        return mh_fail(g->err, MH_E_REFUSED, "decision.target: '%.60s' is not pending", target);
    if (!mh_json_bool(of, false, "safe", NULL))
        return mh_fail(g->err, MH_E_REFUSED, "decision.target: '%.60s' may not be restarted now",
                       target);
    if (primary && has_role(yyjson_obj_get(g->input, "pending"), "replica"))
        return mh_fail(g->err, MH_E_REFUSED,
                       "decision.target: want the replicas before the primary");
    if (!primary && mh_str_eq(method, "switchover"))
        return mh_fail(g->err, MH_E_REFUSED, "decision.method: only the primary can switch over");
    yyjson_arr_foreach(yyjson_obj_get(g->input, "updated"), i, max, item)
    {
        if (!mh_json_bool(item, false, "ready", NULL))
            return mh_fail(g->err, MH_E_REFUSED, "decision.action: '%.60s' is not well yet",
                           mh_json_str(item, "name", NULL));
    }
    return MH_OK;
}

enum mh_code
mh_guard_rollout(const struct mh_guard *g)
{
    if (is_action(g, "update"))
        return update(g);
    if (is_action(g, "wait"))
        return mh_guard_wait(g, now_of(g));
    if (is_action(g, "finish") && yyjson_arr_size(yyjson_obj_get(g->input, "pending")) > 0)
        return mh_fail(g->err, MH_E_REFUSED, "decision.action: there are instances pending");
    if (is_action(g, "rollback") && !mh_json_bool(g->input, false, "can_roll_back", NULL))
        return mh_fail(g->err, MH_E_REFUSED, "decision.action: this change cannot be taken back");
    return MH_OK;
}

/* --- sync/v1 ---------------------------------------------------------------------------------- */

enum mh_code
mh_guard_sync(const struct mh_guard *g)
{
    size_t i;
    size_t max;
    size_t members = 0;
    size_t staying = 0;
    yyjson_val *item;
    size_t n = yyjson_arr_size(yyjson_obj_get(g->input, "candidates"));
    size_t chosen = yyjson_arr_size(yyjson_obj_get(g->answer, "names"));
    int64_t required = mh_json_int(g->input, 0, "required", NULL);
    size_t least = required > 0 && (uint64_t)required < n ? (size_t)required : n;
    if (required <= 0)
        least = 0;
    enum mh_code code = mh_guard_names(g, "names", "candidates", "candidate");
    if (code == MH_OK && chosen < least)
        return mh_fail(g->err, MH_E_REFUSED, "decision.names: want %zu names at least", least);
    yyjson_arr_foreach(yyjson_obj_get(g->input, "candidates"), i, max, item) members +=
        mh_json_bool(item, false, "member", NULL);
    yyjson_arr_foreach(yyjson_obj_get(g->answer, "names"), i, max, item)
    {
        yyjson_val *c = mh_guard_find(g, "candidates", "name", yyjson_get_str(item));
        staying += mh_json_bool(c, false, "member", NULL);
    }
    if (code == MH_OK && members > 0 && staying == 0)
        return mh_fail(g->err, MH_E_REFUSED, "decision.names: want one of the present members");
    return code;
}

/* --- instance/v1 ------------------------------------------------------------------------------ */

bool
mh_guard_parameter(const char *name)
{
    for (const char *const *p = mh_instance_parameters; name && *p; p++) {
        if (strcmp(*p, name) == 0)
            return true;
    }
    return false;
}

/* A time of PostgreSQL in milliseconds; -1: it is none. */
static int64_t
delay_ms(const char *s)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = { { "", 1 },        { "ms", 1 },          { "s", 1000 },
                  { "min", 60000 }, { "h", 3600 * 1000 }, { "d", 86400 * (int64_t)1000 } };
    size_t n = strspn(s, "0123456789");
    int64_t number = 0;
    if (n == 0 || n > 12)
        return -1;
    for (size_t i = 0; i < n; i++)
        number = number * 10 + (s[i] - '0');
    const char *unit = s + n + strspn(s + n, " ");
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        if (strcmp(units[i].unit, unit) == 0)
            return number > INT64_MAX / units[i].ms ? INT64_MAX : number * units[i].ms;
    }
    return -1;
}

static enum mh_code
check_parameters(const struct mh_guard *g)
{
    static const int64_t most = 30 * 86400 * (int64_t)1000;
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *v;
    yyjson_val *all = yyjson_obj_get(g->answer, "parameters");
    if (!all)
        return MH_OK;
    yyjson_obj_foreach(all, i, max, key, v)
    {
        const char *name = yyjson_get_str(key);
        const char *text = yyjson_get_str(v);
        if (!mh_guard_parameter(name))
            return mh_fail(g->err, MH_E_REFUSED,
                           "decision.parameters.%.60s: may not differ between instances", name);
        if (strcmp(name, "recovery_min_apply_delay") != 0)
            continue;
        int64_t ms = text ? delay_ms(text) : yyjson_is_int(v) ? yyjson_get_sint(v) : -1;
        if (ms < 0 || ms > most)
            return mh_fail(g->err, MH_E_REFUSED,
                           "decision.parameters.%s: want a time of at most 30 days, as in \"4h\"",
                           name);
    }
    return MH_OK;
}

/* A quantity as a number; the shape has seen that it is one. */
static double
amount(yyjson_val *v)
{
    static const char *const suffixes[] = { "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti" };
    static const double factors[] = { 1e-3,      1e3,          1e6,
                                      1e9,       1e12,         1024.0,
                                      1048576.0, 1073741824.0, 1099511627776.0 };
    const char *s = yyjson_get_str(v);
    char *rest = NULL;
    double d = s ? strtod(s, &rest) : yyjson_get_num(v);
    for (size_t i = 0; s && i < sizeof(factors) / sizeof(*factors); i++) {
        if (strcmp(rest, suffixes[i]) == 0)
            return d * factors[i];
    }
    return d;
}

static enum mh_code
check_resources(const struct mh_guard *g)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *v;
    yyjson_val *limits = mh_json_get(g->answer, "resources", "limits", NULL);
    yyjson_val *requests = mh_json_get(g->answer, "resources", "requests", NULL);
    if (!requests)
        return MH_OK;
    yyjson_obj_foreach(requests, i, max, key, v)
    {
        yyjson_val *limit = yyjson_obj_get(limits, yyjson_get_str(key));
        if (limit && amount(limit) < amount(v))
            return mh_fail(g->err, MH_E_REFUSED,
                           "decision.resources.limits.%.60s: want at least what is requested",
                           yyjson_get_str(key));
    }
    return MH_OK;
}

enum mh_code
mh_guard_instance(const struct mh_guard *g)
{
    enum mh_code code = check_parameters(g);
    return code == MH_OK ? check_resources(g) : code;
}

/* --- backup/v1, heal/v1, notify/v1 ------------------------------------------------------------ */

enum mh_code
mh_guard_backup(const struct mh_guard *g)
{
    if (is_action(g, "wait"))
        return mh_guard_wait(g, mh_json_int(g->input, now_of(g), "due_at", NULL));
    const char *from = mh_json_str(g->answer, "from", NULL);
    yyjson_val *of = mh_guard_find(g, "instances", "name", from);
    if (!of || !mh_json_bool(of, false, "ready", NULL))
        return mh_fail(g->err, MH_E_REFUSED, "decision.from: '%.60s' is no instance that is well",
                       from);
    if (mh_json_int(g->input, 0, "running", NULL) > 0)
        return mh_fail(g->err, MH_E_REFUSED, "decision.action: another backup is under way");
    return MH_OK;
}

enum mh_code
mh_guard_heal(const struct mh_guard *g)
{
    if (is_action(g, "wait"))
        return mh_guard_wait(g, now_of(g));
    const char *step = mh_json_str(g->answer, "step", NULL);
    bool copies = mh_str_eq(step, "reclone") || mh_str_eq(step, "recreate");
    if (!mh_guard_find(g, "steps", NULL, step))
        return mh_fail(g->err, MH_E_REFUSED, "decision.step: '%.60s' is not among the safe steps",
                       step);
    if (copies && mh_json_int(g->input, 0, "healthy", NULL) < 1)
        return mh_fail(g->err, MH_E_REFUSED, "decision.step: this may be the last good copy");
    return MH_OK;
}

enum mh_code
mh_guard_notify(const struct mh_guard *g)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    yyjson_arr_foreach(yyjson_obj_get(g->answer, "messages"), i, max, item)
    {
        const char *target = mh_json_str(item, "target", NULL);
        if (!mh_guard_find(g, "targets", NULL, target))
            return mh_fail(g->err, MH_E_REFUSED,
                           "decision.messages[%zu].target: '%.60s' is no configured target", i + 1,
                           target);
    }
    return MH_OK;
}
