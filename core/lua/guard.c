#include "lua/guard.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "lua/shape.h"

/* --- what several have in common -------------------------------------------------------------- */

yyjson_val *
mh_guard_find(const struct mh_guard *g, const char *list, const char *field, const char *text)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    yyjson_arr_foreach(yyjson_obj_get(g->input, list), i, max, item)
    {
        const char *got = field ? mh_json_str(item, field, NULL) : yyjson_get_str(item);
        if (mh_str_eq(got, text))
            return item;
    }
    return NULL;
}

struct name {
    const char *text; /* NULL: the element has none */
    size_t len;
    bool taken;
};

/* The names of the elements of a list; NULL: no memory. */
static struct name *
names_of(yyjson_val *list)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    struct name *out = mh_calloc(yyjson_arr_size(list) + 1, sizeof(*out));
    yyjson_arr_foreach(list, i, max, item)
    {
        yyjson_val *name = out ? yyjson_obj_getn(item, "name", 4) : NULL;
        if (name && yyjson_is_str(name))
            out[i] = (struct name){ .text = yyjson_get_str(name), .len = yyjson_get_len(name) };
    }
    return out;
}

static struct name *
find_name(struct name *names, size_t n, yyjson_val *text)
{
    const char *s = yyjson_get_str(text);
    size_t len = yyjson_get_len(text);
    for (size_t i = 0; s && i < n; i++) {
        if (names[i].len == len && names[i].text && memcmp(names[i].text, s, len) == 0)
            return &names[i];
    }
    return NULL;
}

enum mh_code
mh_guard_names(const struct mh_guard *g, const char *path, const char *list, const char *what)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    yyjson_val *of = yyjson_obj_get(g->input, list);
    struct name *names = names_of(of);
    enum mh_code code = names ? MH_OK : mh_fail(g->err, MH_E_NOMEM, "no memory for names");
    yyjson_arr_foreach(yyjson_obj_get(g->answer, path), i, max, item)
    {
        if (code != MH_OK)
            break;
        struct name *n = find_name(names, yyjson_arr_size(of), item);
        const char *text = yyjson_get_str(item);
        if (!n)
            code = mh_fail(g->err, MH_E_REFUSED, "decision.%s[%zu]: '%.60s' is no %s", path, i + 1,
                           text ? text : "?", what);
        else if (n->taken)
            code = mh_fail(g->err, MH_E_REFUSED, "decision.%s[%zu]: '%.60s' is there twice", path,
                           i + 1, text);
        else
            n->taken = true;
    }
    mh_free(names);
    return code;
}

enum mh_code
mh_guard_wait(const struct mh_guard *g, int64_t from)
{
    int64_t now = mh_json_int(g->input, 0, "now", NULL);
    int64_t at = mh_json_int(g->answer, 0, "at", NULL);
    int64_t last = from + g->wait_max_s;
    if (at <= now)
        return mh_fail(g->err, MH_E_REFUSED, "decision.at: want a time after now");
    if (at > last && last > now)
        return mh_fail(g->err, MH_E_REFUSED,
                       "decision.at: want %lld seconds from now at most, not %lld",
                       (long long)(last - now), (long long)(at - now));
    if (last <= now)
        return mh_fail(g->err, MH_E_REFUSED, "decision.action: it was put off for %lld seconds",
                       (long long)(now - from));
    return MH_OK;
}

/* --- failover/v1 ------------------------------------------------------------------------------ */

static enum mh_code
failover(const struct mh_guard *g)
{
    yyjson_val *list = yyjson_obj_get(g->answer, "order");
    if (list) {
        enum mh_code code = mh_guard_names(g, "order", "candidates", "candidate");
        const char *target = mh_json_str(g->answer, "target", NULL);
        if (code == MH_OK && !mh_str_eq(target, yyjson_get_str(yyjson_arr_get_first(list))))
            return mh_fail(g->err, MH_E_REFUSED, "decision.target: want the first of the order");
        return code;
    }
    int64_t s = mh_json_int(g->answer, -1, "until_s", NULL);
    int64_t now = mh_json_int(g->input, 0, "now", NULL);
    if (s < 0 || s > MH_HOLD_MAX_S)
        return mh_fail(g->err, MH_E_REFUSED, "decision.until_s: want 0 to %d seconds",
                       MH_HOLD_MAX_S);
    if (yyjson_obj_get(g->answer, "at") && mh_json_int(g->answer, -1, "at", NULL) != now + s)
        return mh_fail(g->err, MH_E_REFUSED, "decision.at: want now + until_s");
    return MH_OK;
}

/* --- placement/v1 ----------------------------------------------------------------------------- */

static enum mh_code
terms(const struct mh_guard *g, const char *name)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    yyjson_arr_foreach(yyjson_obj_get(g->answer, name), i, max, item)
    {
        const char *op = mh_json_str(item, "node", "op", NULL);
        size_t n = yyjson_arr_size(mh_json_get(item, "node", "values", NULL));
        bool none = op && (strcmp(op, "Exists") == 0 || strcmp(op, "DoesNotExist") == 0);
        bool one = op && (strcmp(op, "Gt") == 0 || strcmp(op, "Lt") == 0);
        if ((none && n != 0) || (one && n != 1) || (!none && n == 0))
            return mh_fail(g->err, MH_E_REFUSED,
                           "decision.%s[%zu].node.values: wrong number of values for %s", name,
                           i + 1, op ? op : "?");
    }
    return MH_OK;
}

static enum mh_code
placement(const struct mh_guard *g)
{
    enum mh_code code = terms(g, "required");
    return code == MH_OK ? terms(g, "preferred") : code;
}

/* --- all -------------------------------------------------------------------------------------- */

enum mh_code
mh_guard_answer(const char *point, yyjson_val *input, yyjson_val *answer, struct mh_err *err)
{
    static const struct {
        const char *point;
        enum mh_code (*check)(const struct mh_guard *g);
    } guards[] = {
        { "failover/v1", failover },
        { "placement/v1", placement },
        { "retention/v1", mh_guard_retention },
        { "rollout/v1", mh_guard_rollout },
        { "sync/v1", mh_guard_sync },
        { "instance/v1", mh_guard_instance },
        { "backup/v1", mh_guard_backup },
        { "heal/v1", mh_guard_heal },
        { "notify/v1", mh_guard_notify },
    };
    const struct mh_point *p = mh_point_find(point);
    if (!p)
        return mh_fail(err, MH_E_REFUSED, "there is no decision point '%.60s'", point);
    enum mh_code code = mh_shape_answer(p, answer, err);
    struct mh_guard g = {
        .input = input, .answer = answer, .wait_max_s = p->wait_max_s, .err = err
    };
    for (size_t i = 0; code == MH_OK && i < sizeof(guards) / sizeof(*guards); i++) {
        if (strcmp(guards[i].point, point) == 0)
            return guards[i].check(&g);
    }
    return code != MH_OK ? code : mh_fail(err, MH_E_REFUSED, "'%.60s' has no guard", point);
}
