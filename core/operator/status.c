#include "operator/status.h"

#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "kube/event.h"

#define FAILURE_TYPE "Reconciled"
#define MESSAGE_MAX 1024

static bool
negative(yyjson_val *v)
{
    return yyjson_is_sint(v) && yyjson_get_sint(v) < 0;
}

static bool
same_number(yyjson_val *a, yyjson_val *b)
{
    if (yyjson_is_int(a) && yyjson_is_int(b))
        return negative(a) == negative(b) && yyjson_get_uint(a) == yyjson_get_uint(b);
    double x = yyjson_get_num(a), y = yyjson_get_num(b);
    return !(x < y) && !(x > y);
}

static bool
same_array(yyjson_val *a, yyjson_val *b)
{
    if (yyjson_arr_size(a) != yyjson_arr_size(b))
        return false;
    yyjson_arr_iter i = yyjson_arr_iter_with(a), j = yyjson_arr_iter_with(b);
    yyjson_val *x;
    while ((x = yyjson_arr_iter_next(&i)))
        if (!mh_json_same(x, yyjson_arr_iter_next(&j)))
            return false;
    return true;
}

bool
mh_json_same(yyjson_val *a, yyjson_val *b)
{
    if (!a || !b)
        return a == b;
    if (yyjson_is_num(a) && yyjson_is_num(b))
        return same_number(a, b);
    if (yyjson_get_type(a) != yyjson_get_type(b))
        return false;
    if (yyjson_is_arr(a))
        return same_array(a, b);
    if (!yyjson_is_obj(a))
        return yyjson_equals(a, b);
    if (yyjson_obj_size(a) != yyjson_obj_size(b))
        return false;
    yyjson_obj_iter i = yyjson_obj_iter_with(a);
    yyjson_val *k;
    while ((k = yyjson_obj_iter_next(&i))) {
        yyjson_val *y = yyjson_obj_getn(b, yyjson_get_str(k), yyjson_get_len(k));
        if (!y || !mh_json_same(yyjson_obj_iter_get_val(k), y))
            return false;
    }
    return true;
}

static void
put(yyjson_mut_doc *doc, yyjson_mut_val *obj, yyjson_val *key, yyjson_mut_val *value)
{
    yyjson_mut_obj_add(obj, yyjson_val_mut_copy(doc, key), value);
}

/* Adds to out what turns old into wanted; whole: keys that wanted does not name are removed. */
static void
diff(yyjson_mut_doc *doc, yyjson_mut_val *out, yyjson_val *old, yyjson_val *wanted, bool whole)
{
    yyjson_obj_iter i = yyjson_obj_iter_with(wanted);
    yyjson_val *k;
    while ((k = yyjson_obj_iter_next(&i))) {
        yyjson_val *v = yyjson_obj_iter_get_val(k);
        yyjson_val *was = yyjson_obj_getn(old, yyjson_get_str(k), yyjson_get_len(k));
        if (yyjson_is_null(v)) {
            if (was && !yyjson_is_null(was))
                put(doc, out, k, yyjson_mut_null(doc));
        } else if (yyjson_is_obj(v) && yyjson_is_obj(was)) {
            yyjson_mut_val *sub = yyjson_mut_obj(doc);
            diff(doc, sub, was, v, true);
            if (yyjson_mut_obj_size(sub))
                put(doc, out, k, sub);
        } else if (!mh_json_same(v, was)) {
            put(doc, out, k, yyjson_val_mut_copy(doc, v));
        }
    }
    if (!whole)
        return;
    i = yyjson_obj_iter_with(old);
    while ((k = yyjson_obj_iter_next(&i)))
        if (!yyjson_obj_getn(wanted, yyjson_get_str(k), yyjson_get_len(k)))
            put(doc, out, k, yyjson_mut_null(doc));
}

static yyjson_val *
find_condition(yyjson_val *list, const char *type)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(list);
    yyjson_val *c;
    while ((c = yyjson_arr_iter_next(&i)))
        if (mh_str_eq(mh_json_str(c, "type", NULL), type))
            return c;
    return NULL;
}

static yyjson_mut_val *
one_condition(yyjson_mut_doc *doc, yyjson_val *was, yyjson_val *c, const char *now)
{
    bool kept = was && mh_json_same(yyjson_obj_get(was, "status"), yyjson_obj_get(c, "status"));
    const char *since = kept ? mh_json_str(was, "lastTransitionTime", NULL) : NULL;
    yyjson_mut_val *m = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_strcpy(doc, m, "lastTransitionTime", since ? since : now);
    yyjson_obj_iter i = yyjson_obj_iter_with(c);
    yyjson_val *k;
    while ((k = yyjson_obj_iter_next(&i))) {
        if (!yyjson_equals_str(k, "lastTransitionTime"))
            put(doc, m, k, yyjson_val_mut_copy(doc, yyjson_obj_iter_get_val(k)));
    }
    if (!yyjson_obj_get(c, "message"))
        yyjson_mut_obj_add_str(doc, m, "message", "");
    return m;
}

/* The list that results of old and wanted. */
static yyjson_mut_val *
conditions(yyjson_mut_doc *doc, yyjson_val *old, yyjson_val *wanted, const char *now)
{
    yyjson_mut_val *out = yyjson_mut_arr(doc);
    yyjson_arr_iter i = yyjson_arr_iter_with(old);
    yyjson_val *c;
    while ((c = yyjson_arr_iter_next(&i))) {
        const char *type = mh_json_str(c, "type", NULL);
        yyjson_val *to = type ? find_condition(wanted, type) : NULL;
        if (!to)
            yyjson_mut_arr_append(out, yyjson_val_mut_copy(doc, c));
        else if (yyjson_is_str(yyjson_obj_get(to, "status")))
            yyjson_mut_arr_append(out, one_condition(doc, c, to, now));
    }
    i = yyjson_arr_iter_with(wanted);
    while ((c = yyjson_arr_iter_next(&i))) {
        const char *type = mh_json_str(c, "type", NULL);
        if (type && !find_condition(old, type) && yyjson_is_str(yyjson_obj_get(c, "status")))
            yyjson_mut_arr_append(out, one_condition(doc, NULL, c, now));
    }
    return out;
}

/* Adds the condition of the failure to (or its removal from) the list that the plan wants. */
static yyjson_mut_val *
with_failure(struct mh_arena *a, yyjson_mut_doc *doc, yyjson_val *wanted,
             const struct mh_status_failure *failure)
{
    yyjson_mut_val *list =
        yyjson_is_arr(wanted) ? yyjson_val_mut_copy(doc, wanted) : yyjson_mut_arr(doc);
    if (failure->keep && !failure->reason)
        return list;
    yyjson_mut_val *c = yyjson_mut_obj(doc);
    const char *message = mh_kube_text(a, failure->message ? failure->message : "", MESSAGE_MAX);
    if (!message)
        return NULL;
    yyjson_mut_obj_add_str(doc, c, "type", FAILURE_TYPE);
    if (failure->reason) {
        yyjson_mut_obj_add_str(doc, c, "status", "False");
        yyjson_mut_obj_add_strcpy(doc, c, "reason", failure->reason);
        yyjson_mut_obj_add_str(doc, c, "message", message);
    } else {
        yyjson_mut_obj_add_null(doc, c, "status");
    }
    yyjson_mut_arr_append(list, c);
    return list;
}

/* A built value as an immutable one, on the arena. */
static yyjson_val *
frozen(struct mh_arena *a, yyjson_mut_val *v)
{
    yyjson_alc alc = mh_json_alc(a);
    yyjson_doc *doc = v ? yyjson_mut_val_imut_copy(v, &alc) : NULL;
    return yyjson_doc_get_root(doc);
}

/* plan().status with the conditions that come of it, as the object is to have them. */
static yyjson_val *
whole_status(struct mh_arena *a, yyjson_mut_doc *doc, const struct mh_status_in *in)
{
    char now[MH_TIME_TEXT];
    mh_time_rfc3339(now, in->now_s);
    yyjson_val *old = mh_json_get(in->object, "status", "conditions", NULL);
    yyjson_val *list = yyjson_obj_get(in->wanted, "conditions");
    yyjson_val *merged = frozen(a, with_failure(a, doc, list, &in->failure));
    merged = merged ? frozen(a, conditions(doc, old, merged, now)) : NULL;
    yyjson_mut_val *all = in->wanted ? yyjson_val_mut_copy(doc, in->wanted) : yyjson_mut_obj(doc);
    if (!merged || !all)
        return NULL;
    yyjson_mut_obj_remove_key(all, "conditions");
    if (yyjson_arr_size(merged) || old)
        yyjson_mut_obj_add_val(doc, all, "conditions", yyjson_val_mut_copy(doc, merged));
    return frozen(a, all);
}

enum mh_code
mh_status_patch(struct mh_arena *a, const struct mh_status_in *in, char **body, struct mh_err *err)
{
    *body = NULL;
    if (in->wanted && !yyjson_is_obj(in->wanted))
        return mh_fail(err, MH_E_INVALID, "the plan's status is no table");
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_val *whole = doc ? whole_status(a, doc, in) : NULL;
    yyjson_mut_val *out = yyjson_mut_obj(doc);
    if (!whole || !out)
        return mh_fail(err, MH_E_NOMEM, "no memory for a status");
    diff(doc, out, mh_json_get(in->object, "status", NULL), whole, false);
    if (!yyjson_mut_obj_size(out))
        return MH_OK;
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *meta = yyjson_mut_obj_add_obj(doc, root, "metadata");
    if (in->rv)
        yyjson_mut_obj_add_strcpy(doc, meta, "resourceVersion", in->rv);
    yyjson_mut_obj_add_val(doc, root, "status", out);
    *body = mh_json_mut_text(a, root, NULL);
    return *body ? MH_OK : mh_fail(err, MH_E_NOMEM, "no memory for a status");
}
