#include "lua/guard.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define TERMS_MAX 32
#define VALUES_MAX 64

struct guard {
    yyjson_val *input;
    struct mh_err *err;
};

static bool
is_one_of(const char *s, const char *const *list)
{
    for (; s && *list; list++) {
        if (strcmp(s, *list) == 0)
            return true;
    }
    return false;
}

static enum mh_code
only_keys(struct guard *g, const char *path, yyjson_val *v, const char *const *allowed)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    if (!yyjson_is_obj(v))
        return mh_fail(g->err, MH_E_REFUSED, "%s: want a table with named fields", path);
    yyjson_obj_foreach(v, i, max, key, item)
    {
        (void)item;
        if (!is_one_of(yyjson_get_str(key), allowed))
            return mh_fail(g->err, MH_E_REFUSED, "%s: unknown key '%.60s'", path,
                           yyjson_get_str(key));
    }
    return MH_OK;
}

/* Text of 1..max bytes without control characters; absent is allowed unless it is required. */
static enum mh_code
text(struct guard *g, const char *path, yyjson_val *v, size_t max, bool required)
{
    if (!v && !required)
        return MH_OK;
    const char *s = yyjson_get_str(v);
    size_t n = yyjson_get_len(v);
    if (!s || n == 0 || n > max)
        return mh_fail(g->err, MH_E_REFUSED, "%s: want a text of 1 to %zu bytes", path, max);
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return mh_fail(g->err, MH_E_REFUSED, "%s: has a control character", path);
    }
    return MH_OK;
}

/* "NoEligibleReplica": as Kubernetes writes reasons. */
static enum mh_code
reason(struct guard *g, yyjson_val *v)
{
    const char *s = yyjson_get_str(v);
    size_t n = s ? strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") : 0;
    if (!s || n != yyjson_get_len(v) || n == 0 || n > 64 || *s < 'A' || *s > 'Z')
        return mh_fail(
            g->err, MH_E_REFUSED,
            "decision.reason: want one word that begins with a capital, at most 64 letters");
    return MH_OK;
}

/* --- failover/v1 ------------------------------------------------------------------------------ */

static bool
is_candidate(yyjson_val *input, const char *name)
{
    size_t i;
    size_t max;
    yyjson_val *c;
    yyjson_arr_foreach(yyjson_obj_get(input, "candidates"), i, max, c)
    {
        if (mh_str_eq(mh_json_str(c, "name", NULL), name))
            return true;
    }
    return false;
}

static enum mh_code
order(struct guard *g, yyjson_val *list)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    yyjson_val *earlier;
    if (!yyjson_is_arr(list)) /* an empty one is no preference */
        return mh_fail(g->err, MH_E_REFUSED, "decision.order: want a list of names");
    yyjson_arr_foreach(list, i, max, item)
    {
        const char *name = yyjson_get_str(item);
        if (!name || !is_candidate(g->input, name))
            return mh_fail(g->err, MH_E_REFUSED, "decision.order[%zu]: '%.60s' is no candidate",
                           i + 1, name ? name : "?");
        size_t j;
        size_t n;
        yyjson_arr_foreach(list, j, n, earlier)
        {
            if (j >= i)
                break;
            if (mh_str_eq(yyjson_get_str(earlier), name))
                return mh_fail(g->err, MH_E_REFUSED, "decision.order[%zu]: '%.60s' is there twice",
                               i + 1, name);
        }
    }
    return MH_OK;
}

static enum mh_code
promote(struct guard *g, yyjson_val *answer)
{
    static const char *const keys[] = { "action", "target", "order", "message", NULL };
    yyjson_val *list = yyjson_obj_get(answer, "order");
    enum mh_code code = only_keys(g, "decision", answer, keys);
    if (code == MH_OK)
        code = order(g, list);
    if (code == MH_OK)
        code = text(g, "decision.message", yyjson_obj_get(answer, "message"), 256, false);
    if (code != MH_OK)
        return code;
    const char *target = mh_json_str(answer, "target", NULL);
    if (!mh_str_eq(target, yyjson_get_str(yyjson_arr_get_first(list))))
        return mh_fail(g->err, MH_E_REFUSED, "decision.target: want the first of the order");
    return MH_OK;
}

static enum mh_code
hold(struct guard *g, yyjson_val *answer)
{
    static const char *const keys[] = { "action", "reason", "message", "until_s", "at", NULL };
    enum mh_code code = only_keys(g, "decision", answer, keys);
    if (code == MH_OK)
        code = reason(g, yyjson_obj_get(answer, "reason"));
    if (code == MH_OK)
        code = text(g, "decision.message", yyjson_obj_get(answer, "message"), 256, false);
    if (code != MH_OK)
        return code;
    int64_t s = mh_json_int(answer, -1, "until_s", NULL);
    if (s < 0 || s > MH_HOLD_MAX_S)
        return mh_fail(g->err, MH_E_REFUSED, "decision.until_s: want 0 to %d seconds",
                       MH_HOLD_MAX_S);
    int64_t now = mh_json_int(g->input, 0, "now", NULL);
    if (yyjson_obj_get(answer, "at") && mh_json_int(answer, -1, "at", NULL) != now + s)
        return mh_fail(g->err, MH_E_REFUSED, "decision.at: want now + until_s");
    return MH_OK;
}

static enum mh_code
failover(struct guard *g, yyjson_val *answer)
{
    const char *action = mh_json_str(answer, "action", NULL);
    if (mh_str_eq(action, "promote"))
        return promote(g, answer);
    if (mh_str_eq(action, "hold"))
        return hold(g, answer);
    return mh_fail(g->err, MH_E_REFUSED, "decision.action: want promote(...) or hold(...)");
}

/* --- placement/v1 ----------------------------------------------------------------------------- */

static enum mh_code
node_term(struct guard *g, const char *path, yyjson_val *node)
{
    static const char *const keys[] = { "key", "op", "values", NULL };
    static const char *const ops[] = { "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", NULL };
    enum mh_code code = only_keys(g, path, node, keys);
    if (code == MH_OK)
        code = text(g, path, yyjson_obj_get(node, "key"), 317, true);
    if (code != MH_OK)
        return code;
    const char *op = mh_json_str(node, "op", NULL);
    if (!is_one_of(op, ops))
        return mh_fail(g->err, MH_E_REFUSED,
                       "%s.op: want In, NotIn, Exists, DoesNotExist, Gt or Lt", path);
    yyjson_val *values = yyjson_obj_get(node, "values");
    size_t n = yyjson_arr_size(values);
    bool none = strcmp(op, "Exists") == 0 || strcmp(op, "DoesNotExist") == 0;
    bool one = strcmp(op, "Gt") == 0 || strcmp(op, "Lt") == 0;
    if ((values && !yyjson_is_arr(values)) || n > VALUES_MAX || (none && n != 0) ||
        (one && n != 1) || (!none && n == 0))
        return mh_fail(g->err, MH_E_REFUSED, "%s.values: wrong number of values for %s", path, op);
    size_t i;
    size_t max;
    yyjson_val *item;
    yyjson_arr_foreach(values, i, max, item)
    {
        if (!yyjson_is_str(item) || yyjson_get_len(item) > 63)
            return mh_fail(g->err, MH_E_REFUSED, "%s.values[%zu]: want a text of at most 63 bytes",
                           path, i + 1);
    }
    return MH_OK;
}

static enum mh_code
terms(struct guard *g, const char *name, yyjson_val *list, bool weighted)
{
    static const char *const keys[] = { "node", NULL };
    static const char *const weighted_keys[] = { "node", "weight", NULL };
    size_t i;
    size_t max;
    yyjson_val *item;
    if (list && (!yyjson_is_arr(list) || yyjson_arr_size(list) > TERMS_MAX))
        return mh_fail(g->err, MH_E_REFUSED, "decision.%s: want a list of at most %d", name,
                       TERMS_MAX);
    yyjson_arr_foreach(list, i, max, item)
    {
        char path[80];
        (void)snprintf(path, sizeof(path), "decision.%s[%zu]", name, i + 1);
        enum mh_code code = only_keys(g, path, item, weighted ? weighted_keys : keys);
        if (code != MH_OK)
            return code;
        int64_t weight = mh_json_int(item, -1, "weight", NULL);
        if (weighted && (weight < 1 || weight > 100))
            return mh_fail(g->err, MH_E_REFUSED, "%s.weight: want 1 to 100", path);
        (void)snprintf(path, sizeof(path), "decision.%s[%zu].node", name, i + 1);
        code = node_term(g, path, yyjson_obj_get(item, "node"));
        if (code != MH_OK)
            return code;
    }
    return MH_OK;
}

static enum mh_code
spread(struct guard *g, yyjson_val *list)
{
    static const char *const keys[] = { "key", "max_skew", "when_unsatisfiable", NULL };
    static const char *const when[] = { "DoNotSchedule", "ScheduleAnyway", NULL };
    size_t i;
    size_t max;
    yyjson_val *item;
    if (list && (!yyjson_is_arr(list) || yyjson_arr_size(list) > TERMS_MAX))
        return mh_fail(g->err, MH_E_REFUSED, "decision.spread: want a list of at most %d",
                       TERMS_MAX);
    yyjson_arr_foreach(list, i, max, item)
    {
        char path[80];
        (void)snprintf(path, sizeof(path), "decision.spread[%zu]", i + 1);
        enum mh_code code = only_keys(g, path, item, keys);
        if (code == MH_OK)
            code = text(g, path, yyjson_obj_get(item, "key"), 317, true);
        if (code != MH_OK)
            return code;
        int64_t skew = mh_json_int(item, -1, "max_skew", NULL);
        if (skew < 1 || skew > 100)
            return mh_fail(g->err, MH_E_REFUSED, "%s.max_skew: want 1 to 100", path);
        if (!is_one_of(mh_json_str(item, "when_unsatisfiable", NULL), when))
            return mh_fail(g->err, MH_E_REFUSED,
                           "%s.when_unsatisfiable: want DoNotSchedule or ScheduleAnyway", path);
    }
    return MH_OK;
}

static enum mh_code
node_selector(struct guard *g, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    if (!v)
        return MH_OK;
    if (!yyjson_is_obj(v) || yyjson_obj_size(v) > TERMS_MAX)
        return mh_fail(g->err, MH_E_REFUSED, "decision.node_selector: want at most %d labels",
                       TERMS_MAX);
    yyjson_obj_foreach(v, i, max, key, item)
    {
        if (yyjson_get_len(key) == 0 || yyjson_get_len(key) > 317 || !yyjson_is_str(item) ||
            yyjson_get_len(item) > 63)
            return mh_fail(g->err, MH_E_REFUSED, "decision.node_selector: '%.60s' is no label",
                           yyjson_get_str(key));
    }
    return MH_OK;
}

static enum mh_code
placement(struct guard *g, yyjson_val *answer)
{
    static const char *const refusal[] = { "action", "reason", "message", NULL };
    static const char *const keys[] = { "node_selector", "required", "preferred", "spread", NULL };
    if (yyjson_is_obj(answer) && yyjson_obj_get(answer, "action")) {
        enum mh_code code = only_keys(g, "decision", answer, refusal);
        if (code == MH_OK && !mh_str_eq(mh_json_str(answer, "action", NULL), "reject"))
            code = mh_fail(g->err, MH_E_REFUSED, "decision.action: want reject(...) or none");
        if (code == MH_OK)
            code = reason(g, yyjson_obj_get(answer, "reason"));
        if (code == MH_OK)
            code = text(g, "decision.message", yyjson_obj_get(answer, "message"), 256, false);
        return code;
    }
    enum mh_code code = only_keys(g, "decision", answer, keys);
    if (code == MH_OK)
        code = node_selector(g, yyjson_obj_get(answer, "node_selector"));
    if (code == MH_OK)
        code = terms(g, "required", yyjson_obj_get(answer, "required"), false);
    if (code == MH_OK)
        code = terms(g, "preferred", yyjson_obj_get(answer, "preferred"), true);
    if (code == MH_OK)
        code = spread(g, yyjson_obj_get(answer, "spread"));
    return code;
}

enum mh_code
mh_guard_answer(const char *point, yyjson_val *input, yyjson_val *answer, struct mh_err *err)
{
    struct guard g = { .input = input, .err = err };
    if (strcmp(point, "failover/v1") == 0)
        return failover(&g, answer);
    if (strcmp(point, "placement/v1") == 0)
        return placement(&g, answer);
    return mh_fail(err, MH_E_REFUSED, "there is no decision point '%.60s'", point);
}
