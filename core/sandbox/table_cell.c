/* Cells that many kinds have. */
#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "sandbox/jsonpath.h"
#include "sandbox/table.h"

#define TEXT_MAX ((size_t)64 << 10)

yyjson_mut_val *
mh_sb_cell_string(const struct mh_sb_row *row, const char *text)
{
    return yyjson_mut_strcpy(row->doc, text ? text : "");
}

yyjson_val *
mh_sb_row_at(yyjson_val *v, const char *path)
{
    while (v && *path && *path != '|') {
        size_t n = strcspn(path, ".|");
        v = yyjson_obj_getn(v, path, n);
        path += n + (path[n] == '.');
    }
    return v;
}

const char *
mh_sb_row_text(const struct mh_sb_row *row, const char *path)
{
    yyjson_val *v = mh_sb_row_at(row->obj, path);
    if (yyjson_is_int(v))
        return mh_arena_printf(row->a, "%lld", (long long)yyjson_get_sint(v));
    return yyjson_get_str(v);
}

yyjson_mut_val *
mh_sb_cell_text(const struct mh_sb_row *row, const char *arg)
{
    const char *text = mh_sb_row_text(row, arg);
    const char *bar = strchr(arg, '|');
    if ((!text || !*text) && bar)
        text = bar + 1;
    return mh_sb_cell_string(row, text);
}

yyjson_mut_val *
mh_sb_cell_number(const struct mh_sb_row *row, const char *arg)
{
    return yyjson_mut_sint(row->doc, yyjson_get_sint(mh_sb_row_at(row->obj, arg)));
}

yyjson_mut_val *
mh_sb_cell_flag(const struct mh_sb_row *row, const char *arg)
{
    return yyjson_mut_bool(row->doc, yyjson_is_true(mh_sb_row_at(row->obj, arg)));
}

yyjson_mut_val *
mh_sb_cell_said(const struct mh_sb_row *row, const char *arg)
{
    return yyjson_mut_str(row->doc, yyjson_is_true(mh_sb_row_at(row->obj, arg)) ? "True" : "False");
}

/* What a bound claim holds. */
yyjson_mut_val *
mh_sb_cell_capacity(const struct mh_sb_row *row, const char *arg)
{
    const char *volume = mh_json_str(row->obj, "spec", "volumeName", NULL);
    const char *size = yyjson_get_str(mh_sb_row_at(row->obj, arg));
    return yyjson_mut_str(row->doc, !volume || !*volume ? "" : size ? size : "0");
}

yyjson_mut_val *
mh_sb_cell_bound_modes(const struct mh_sb_row *row, const char *arg)
{
    const char *volume = mh_json_str(row->obj, "spec", "volumeName", NULL);
    return volume && *volume ? mh_sb_cell_modes(row, arg) : yyjson_mut_str(row->doc, "");
}

/* "apps/v1/Deployment" */
yyjson_mut_val *
mh_sb_cell_param(const struct mh_sb_row *row, const char *arg)
{
    yyjson_val *kind = mh_sb_row_at(row->obj, arg);
    char *text = kind ? mh_arena_printf(row->a, "%s/%s", mh_json_str(kind, "apiVersion", NULL),
                                        mh_json_str(kind, "kind", NULL))
                      : NULL;
    return yyjson_mut_strcpy(row->doc, text ? text : "<unset>");
}

/* "cpu: 1/2, pods: 3/4" of a quota: what of its hard limits is used. arg "limit": those whose names
 * begin with limits, else the others. */
yyjson_mut_val *
mh_sb_cell_quota(const struct mh_sb_row *row, const char *arg)
{
    yyjson_val *hard = mh_sb_row_at(row->obj, "status.hard");
    bool limits = strcmp(arg, "limit") == 0;
    size_t n = yyjson_obj_size(hard);
    const char *last = "";
    char *out = mh_arena_strdup(row->a, "");
    for (size_t k = 0; out && k < n; k++) {
        const char *next = NULL;
        yyjson_obj_iter it = yyjson_obj_iter_with(hard);
        yyjson_val *key;
        while ((key = yyjson_obj_iter_next(&it))) {
            const char *s = yyjson_get_str(key);
            if (strcmp(s, last) > 0 && (!next || strcmp(s, next) < 0))
                next = s;
        }
        if (!next)
            break;
        last = next;
        if (mh_str_starts(next, "limits") != limits)
            continue;
        const char *used = mh_json_str(row->obj, "status", "used", next, NULL);
        out = mh_arena_printf(row->a, "%s%s%s: %s/%s", out, *out ? ", " : "", next,
                              used ? used : "0", mh_json_str(hard, next, NULL));
    }
    return yyjson_mut_strcpy(row->doc, out ? out : "");
}

/* Members of the object or list; "a+b" of both. */
yyjson_mut_val *
mh_sb_cell_count(const struct mh_sb_row *row, const char *arg)
{
    size_t count = 0;
    while (*arg) {
        size_t n = strcspn(arg, "+");
        char *path = mh_arena_strndup(row->a, arg, n);
        yyjson_val *v = path ? mh_sb_row_at(row->obj, path) : NULL;
        count += yyjson_is_arr(v) ? yyjson_arr_size(v) : yyjson_obj_size(v);
        arg += n + (arg[n] == '+');
    }
    return yyjson_mut_uint(row->doc, count);
}

yyjson_mut_val *
mh_sb_cell_age(const struct mh_sb_row *row, const char *arg)
{
    int64_t us = 0;
    const char *text = mh_sb_row_text(row, arg);
    if (!text || !mh_time_parse(text, &us))
        return mh_sb_cell_string(row, strcmp(arg, "metadata.creationTimestamp") ? "<none>"
                                                                                : "<unknown>");
    return mh_sb_cell_string(row, mh_sb_human_duration(row->a, row->now - us / 1000000));
}

/* --- labels and selectors -------------------------------------------------------------------- */

static void
put_labels(struct mh_buf *b, yyjson_val *labels)
{
    size_t i;
    size_t max;
    yyjson_val *k;
    yyjson_val *v;
    yyjson_obj_foreach(labels, i, max, k, v)
    {
        const char *text = yyjson_get_str(v);
        mh_buf_printf(b, "%s%s=%s", b->len ? "," : "", yyjson_get_str(k), text ? text : "");
    }
}

static yyjson_mut_val *
finish(const struct mh_sb_row *row, struct mh_buf *b, const char *none)
{
    yyjson_mut_val *v = mh_sb_cell_string(row, b->len ? mh_buf_text(b) : none);
    mh_buf_release(b);
    return v;
}

yyjson_mut_val *
mh_sb_cell_labels(const struct mh_sb_row *row, const char *arg)
{
    struct mh_buf b;
    mh_buf_init(&b, TEXT_MAX);
    put_labels(&b, mh_sb_row_at(row->obj, arg));
    return finish(row, &b, "<none>");
}

static void
put_expression(struct mh_buf *b, yyjson_val *e)
{
    const char *key = mh_json_str(e, "key", NULL);
    const char *op = mh_json_str(e, "operator", NULL);
    yyjson_val *values = yyjson_obj_get(e, "values");
    if (b->len)
        mh_buf_char(b, ',');
    if (mh_str_eq(op, "DoesNotExist"))
        mh_buf_char(b, '!');
    mh_buf_str(b, key ? key : "");
    if (!mh_str_eq(op, "In") && !mh_str_eq(op, "NotIn"))
        return;
    mh_buf_str(b, mh_str_eq(op, "In") ? " in (" : " notin (");
    for (size_t i = 0; i < yyjson_arr_size(values); i++) {
        const char *text = yyjson_get_str(yyjson_arr_get(values, i));
        mh_buf_printf(b, "%s%s", i ? "," : "", text ? text : "");
    }
    mh_buf_char(b, ')');
}

yyjson_mut_val *
mh_sb_cell_selector(const struct mh_sb_row *row, const char *arg)
{
    struct mh_buf b;
    yyjson_val *s = mh_sb_row_at(row->obj, arg);
    yyjson_val *list = yyjson_obj_get(s, "matchExpressions");
    mh_buf_init(&b, TEXT_MAX);
    put_labels(&b, yyjson_obj_get(s, "matchLabels"));
    for (size_t i = 0; i < yyjson_arr_size(list); i++)
        put_expression(&b, yyjson_arr_get(list, i));
    return finish(row, &b, "<none>");
}

/* --- lists ----------------------------------------------------------------------------------- */

yyjson_mut_val *
mh_sb_cell_modes(const struct mh_sb_row *row, const char *arg)
{
    static const char *const names[][2] = { { "ReadWriteOnce", "RWO" },
                                            { "ReadOnlyMany", "ROX" },
                                            { "ReadWriteMany", "RWX" },
                                            { "ReadWriteOncePod", "RWOP" } };
    struct mh_buf b;
    yyjson_val *list = mh_sb_row_at(row->obj, arg);
    mh_buf_init(&b, TEXT_MAX);
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        for (size_t j = 0; j < 4; j++) {
            if (yyjson_equals_str(yyjson_arr_get(list, i), names[j][0]))
                mh_buf_printf(&b, "%s%s", b.len ? "," : "", names[j][1]);
        }
    }
    return finish(row, &b, "");
}

static yyjson_mut_val *
of_containers(const struct mh_sb_row *row, const char *path, const char *member)
{
    struct mh_buf b;
    yyjson_val *list = yyjson_obj_get(mh_sb_row_at(row->obj, path), "containers");
    mh_buf_init(&b, TEXT_MAX);
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        const char *text = mh_json_str(yyjson_arr_get(list, i), member, NULL);
        mh_buf_printf(&b, "%s%s", b.len ? "," : "", text ? text : "");
    }
    return finish(row, &b, "");
}

yyjson_mut_val *
mh_sb_cell_containers(const struct mh_sb_row *row, const char *arg)
{
    return of_containers(row, arg, "name");
}

yyjson_mut_val *
mh_sb_cell_images(const struct mh_sb_row *row, const char *arg)
{
    return of_containers(row, arg, "image");
}

yyjson_mut_val *
mh_sb_cell_role(const struct mh_sb_row *row, const char *arg)
{
    const char *kind = mh_json_str(row->obj, "roleRef", "kind", NULL);
    const char *name = mh_json_str(row->obj, "roleRef", "name", NULL);
    (void)arg;
    return mh_sb_cell_string(row,
                             mh_arena_printf(row->a, "%s/%s", kind ? kind : "", name ? name : ""));
}

yyjson_mut_val *
mh_sb_cell_subjects(const struct mh_sb_row *row, const char *arg)
{
    struct mh_buf b;
    yyjson_val *list = yyjson_obj_get(row->obj, "subjects");
    mh_buf_init(&b, TEXT_MAX);
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        yyjson_val *s = yyjson_arr_get(list, i);
        const char *ns = mh_json_str(s, "namespace", NULL);
        const char *name = mh_json_str(s, "name", NULL);
        if (!mh_str_eq(mh_json_str(s, "kind", NULL), arg))
            continue;
        bool account = strcmp(arg, "ServiceAccount") == 0;
        mh_buf_printf(&b, "%s%s%s%s", b.len ? ", " : "", account && ns ? ns : "",
                      account ? "/" : "", name ? name : "");
    }
    return finish(row, &b, "");
}

/* The phase, Terminating while it is being removed; "claim": namespace/name of a volume's claim. */
yyjson_mut_val *
mh_sb_cell_claim(const struct mh_sb_row *row, const char *arg)
{
    if (strcmp(arg, "claim") == 0) {
        const char *ns = mh_json_str(row->obj, "spec", "claimRef", "namespace", NULL);
        const char *name = mh_json_str(row->obj, "spec", "claimRef", "name", NULL);
        return mh_sb_cell_string(row, ns && name ? mh_arena_printf(row->a, "%s/%s", ns, name) : "");
    }
    if (mh_json_get(row->obj, "metadata", "deletionTimestamp", NULL))
        return mh_sb_cell_string(row, "Terminating");
    return mh_sb_cell_text(row, arg);
}

yyjson_mut_val *
mh_sb_cell_default(const struct mh_sb_row *row, const char *arg)
{
    const char *name = mh_json_str(row->obj, "metadata", "name", NULL);
    yyjson_val *notes = mh_json_get(row->obj, "metadata", "annotations", NULL);
    (void)arg;
    if (yyjson_equals_str(yyjson_obj_get(notes, "storageclass.kubernetes.io/is-default-class"),
                          "true"))
        return mh_sb_cell_string(row, mh_arena_printf(row->a, "%s (default)", name ? name : ""));
    return mh_sb_cell_string(row, name);
}
