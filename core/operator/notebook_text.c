#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "net/crypto.h"
#include "operator/notebook_in.h"

#define INPUT_SHOWN ((size_t)2 << 10)
#define ANSWER_SHOWN ((size_t)8 << 10)
#define HASH_LEN 12
#define ROOM ((size_t)4 << 10) /* for metadata */

char *
mh_notebook_decision_text(struct mh_arena *a, const struct mh_decision *d, int64_t wall_us)
{
    char at[MH_TIME_TEXT], hash[MH_SHA256_HEX];
    struct mh_buf b;
    mh_time_rfc3339_micro(at, wall_us);
    mh_sha256_hex(hash, d->input, d->input_len);
    hash[HASH_LEN] = '\0';
    mh_buf_init(&b, 2 * (INPUT_SHOWN + ANSWER_SHOWN));
    mh_buf_printf(&b, "{\"at\":\"%s\",\"point\":", at);
    mh_json_quote(&b, d->point, strlen(d->point));
    mh_buf_str(&b, ",\"by\":");
    mh_json_quote(&b, d->by ? d->by : "", d->by ? strlen(d->by) : 0);
    if (d->answer && d->answer_len <= ANSWER_SHOWN)
        mh_buf_printf(&b, ",\"answer\":%s", d->answer);
    if (d->error_text) {
        mh_buf_str(&b, ",\"error\":");
        mh_json_quote(&b, d->error_text, strnlen(d->error_text, 1024));
    }
    if (d->input_len <= INPUT_SHOWN)
        mh_buf_printf(&b, ",\"input\":%s", d->input);
    mh_buf_printf(&b, ",\"inputHash\":\"%s\"}", hash);
    char *out = b.failed ? NULL : mh_arena_strndup(a, mh_buf_text(&b), b.len);
    mh_buf_release(&b);
    return out;
}

/* The last decision of the same point says the same. */
static bool
is_known(yyjson_mut_val *list, yyjson_mut_val *one)
{
    static const char *const parts[] = { "by", "answer", "error" };
    const char *point = yyjson_mut_get_str(yyjson_mut_obj_get(one, "point"));
    yyjson_mut_val *last = NULL, *v;
    yyjson_mut_arr_iter i = yyjson_mut_arr_iter_with(list);
    while ((v = yyjson_mut_arr_iter_next(&i)))
        if (mh_str_eq(yyjson_mut_get_str(yyjson_mut_obj_get(v, "point")), point))
            last = v;
    for (size_t k = 0; last && k < sizeof(parts) / sizeof(parts[0]); k++) {
        yyjson_mut_val *x = yyjson_mut_obj_get(last, parts[k]);
        yyjson_mut_val *y = yyjson_mut_obj_get(one, parts[k]);
        if ((x || y) && (!x || !y || !yyjson_mut_equals(x, y)))
            return false;
    }
    return last != NULL;
}

/* Drops the oldest until it is short enough. */
static void
shorten(struct mh_arena *a, yyjson_mut_val *list)
{
    size_t len = 0;
    while (yyjson_mut_arr_size(list) > MH_NOTEBOOK_DECISIONS)
        yyjson_mut_arr_remove_first(list);
    while (yyjson_mut_arr_size(list) > 1 &&
           (!mh_json_mut_text(a, list, &len) || len > MH_NOTEBOOK_BYTES - ROOM))
        yyjson_mut_arr_remove_first(list);
}

yyjson_mut_val *
mh_notebook_decisions(struct mh_arena *a, yyjson_mut_doc *doc, yyjson_val *record,
                      char *const *texts, size_t n)
{
    yyjson_val *old = mh_json_get(record, "record", "decisions", NULL);
    yyjson_mut_val *out = yyjson_mut_obj(doc), *list = yyjson_mut_arr(doc);
    bool any = false;
    yyjson_arr_iter i = yyjson_arr_iter_with(old);
    yyjson_val *v;
    while ((v = yyjson_arr_iter_next(&i)))
        if (yyjson_is_obj(v))
            yyjson_mut_arr_append(list, yyjson_val_mut_copy(doc, v));
    for (size_t k = 0; k < n; k++) {
        v = NULL;
        if (mh_json_parse(a, texts[k], strlen(texts[k]), &v, NULL) != MH_OK)
            return NULL;
        yyjson_mut_val *one = yyjson_val_mut_copy(doc, v);
        if (!one || is_known(list, one))
            continue;
        any = yyjson_mut_arr_append(list, one) || any;
    }
    if (!any || !out || !list)
        return NULL;
    shorten(a, list);
    return yyjson_mut_obj_add_val(doc, out, "decisions", list) ? out : NULL;
}

char *
mh_notebook_body(struct mh_arena *a, yyjson_mut_doc *doc, const struct mh_notebook_page *page,
                 yyjson_mut_val *record)
{
    size_t len;
    const struct mh_event_ref *owner = page->owner;
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    if (!root || !record)
        return NULL;
    yyjson_mut_obj_add_str(doc, root, "apiVersion", "moonherd.io/v1alpha1");
    yyjson_mut_obj_add_str(doc, root, "kind", "ClusterRecord");
    yyjson_mut_val *meta = yyjson_mut_obj_add_obj(doc, root, "metadata");
    yyjson_mut_obj_add_str(doc, meta, "name", page->name);
    yyjson_mut_obj_add_str(doc, meta, "namespace", page->ns);
    yyjson_mut_val *labels = yyjson_mut_obj_add_obj(doc, meta, "labels");
    yyjson_mut_obj_add_str(doc, labels, MH_RECORD_LABEL, page->type);
    if (owner->uid) {
        yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, meta, "ownerReferences");
        yyjson_mut_val *ref = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_str(doc, ref, "apiVersion", owner->api_version);
        yyjson_mut_obj_add_str(doc, ref, "kind", owner->kind);
        yyjson_mut_obj_add_str(doc, ref, "name", owner->name);
        yyjson_mut_obj_add_str(doc, ref, "uid", owner->uid);
    }
    if (!yyjson_mut_obj_add_val(doc, root, "record", record))
        return NULL;
    char *text = mh_json_mut_text(a, root, &len);
    return text && len <= MH_NOTEBOOK_BYTES ? text : NULL;
}
