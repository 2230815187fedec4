#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "net/crypto.h"
#include "operator/notebook_in.h"

#define INPUT_SHOWN ((size_t)6 << 10)
#define ANSWER_SHOWN ((size_t)8 << 10)
#define HASH_LEN 12
#define ROOM ((size_t)4 << 10) /* for metadata */
#define PASSES_BYTES ((size_t)16 << 10)
#define SAID_SHOWN ((size_t)500)

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

char *
mh_notebook_pass_text(struct mh_arena *a, const struct mh_pass_said *said, int64_t wall_us)
{
    char at[MH_TIME_TEXT], again[MH_TIME_TEXT];
    struct mh_buf b;
    mh_time_rfc3339_micro(at, wall_us);
    mh_time_rfc3339(again, (wall_us / 1000 + said->again_ms) / 1000);
    mh_buf_init(&b, (size_t)16 << 10);
    mh_buf_printf(&b, "{\"at\":\"%s\",\"reason\":", at);
    mh_json_quote(&b, said->reason, strnlen(said->reason, SAID_SHOWN));
    mh_buf_str(&b, ",\"result\":");
    mh_json_quote(&b, said->result, strnlen(said->result, SAID_SHOWN));
    if (said->again_ms)
        mh_buf_printf(&b, ",\"again\":\"%s\",\"again_s\":%lld", again,
                      (long long)(said->again_ms / 1000));
    if (said->by) {
        mh_buf_str(&b, ",\"by\":");
        mh_json_quote(&b, said->by, strlen(said->by));
        mh_notebook_saw(a, &b, said->seen);
    }
    if (strlen(said->actions) <= 4 * SAID_SHOWN)
        mh_buf_printf(&b, ",\"actions\":%s", said->actions);
    mh_buf_char(&b, '}');
    char *out = b.failed ? NULL : mh_arena_strndup(a, mh_buf_text(&b), b.len);
    mh_buf_release(&b);
    return out;
}

/* The same wait for some seconds, told at every look with another end. */
static bool
waits_on(yyjson_mut_val *old, yyjson_mut_val *now)
{
    static const char *const parts[] = { "action", "reason", "message" };
    int64_t a = yyjson_mut_get_sint(yyjson_mut_obj_get(old, "at"));
    int64_t b = yyjson_mut_get_sint(yyjson_mut_obj_get(now, "at"));
    if (!a || !b || b - a >= 60 || a - b >= 60)
        return false;
    for (size_t k = 0; k < sizeof(parts) / sizeof(parts[0]); k++) {
        yyjson_mut_val *x = yyjson_mut_obj_get(old, parts[k]);
        yyjson_mut_val *y = yyjson_mut_obj_get(now, parts[k]);
        if ((x || y) && (!x || !y || !yyjson_mut_equals(x, y)))
            return false;
    }
    return true;
}

/* The last of the same decision point says the same; passes have none, and are all of one kind. */
static bool
is_known(yyjson_mut_val *list, yyjson_mut_val *one)
{
    static const char *const parts[] = { "by", "answer", "error", "reason", "result", "actions" };
    const size_t nparts = sizeof(parts) / sizeof(parts[0]) - !yyjson_mut_obj_get(one, "saw");
    const char *point = yyjson_mut_get_str(yyjson_mut_obj_get(one, "point"));
    yyjson_mut_val *last = NULL, *v;
    yyjson_mut_arr_iter i = yyjson_mut_arr_iter_with(list);
    while ((v = yyjson_mut_arr_iter_next(&i)))
        if (mh_str_eq(yyjson_mut_get_str(yyjson_mut_obj_get(v, "point")), point))
            last = v;
    for (size_t k = 0; last && k < nparts; k++) {
        yyjson_mut_val *x = yyjson_mut_obj_get(last, parts[k]);
        yyjson_mut_val *y = yyjson_mut_obj_get(one, parts[k]);
        bool same = (!x && !y) || (x && y && (yyjson_mut_equals(x, y) || waits_on(x, y)));
        if (!same)
            return false;
    }
    return last != NULL;
}

/* Drops the oldest until it is short enough. */
static void
shorten(struct mh_arena *a, yyjson_mut_val *list, size_t most, size_t bytes)
{
    size_t len = 0;
    while (yyjson_mut_arr_size(list) > most)
        yyjson_mut_arr_remove_first(list);
    while (yyjson_mut_arr_size(list) > 1 && (!mh_json_mut_text(a, list, &len) || len > bytes))
        yyjson_mut_arr_remove_first(list);
}

static yyjson_mut_val *
list_of(yyjson_mut_doc *doc, yyjson_val *old)
{
    yyjson_mut_val *list = yyjson_mut_arr(doc);
    yyjson_arr_iter i = yyjson_arr_iter_with(old);
    yyjson_val *v;
    while ((v = yyjson_arr_iter_next(&i)))
        if (yyjson_is_obj(v))
            yyjson_mut_arr_append(list, yyjson_val_mut_copy(doc, v));
    return list;
}

yyjson_mut_val *
mh_notebook_decisions(struct mh_arena *a, yyjson_mut_doc *doc, yyjson_val *record,
                      char *const *texts, size_t n)
{
    yyjson_mut_val *out = yyjson_mut_obj(doc);
    yyjson_mut_val *decisions = list_of(doc, mh_json_get(record, "record", "decisions", NULL));
    yyjson_mut_val *passes = list_of(doc, mh_json_get(record, "record", "passes", NULL));
    bool any = false;
    for (size_t k = 0; k < n; k++) {
        yyjson_val *v = NULL;
        if (mh_json_parse(a, texts[k], strlen(texts[k]), &v, NULL) != MH_OK)
            return NULL;
        yyjson_mut_val *one = yyjson_val_mut_copy(doc, v);
        yyjson_mut_val *list = yyjson_obj_get(v, "point") ? decisions : passes;
        if (!one || is_known(list, one))
            continue;
        any = yyjson_mut_arr_append(list, one) || any;
    }
    if (!any || !out || !decisions || !passes)
        return NULL;
    shorten(a, passes, MH_NOTEBOOK_PASSES, PASSES_BYTES);
    shorten(a, decisions, MH_NOTEBOOK_DECISIONS, MH_NOTEBOOK_BYTES - PASSES_BYTES - ROOM);
    bool ok = yyjson_mut_obj_add_val(doc, out, "decisions", decisions);
    if (yyjson_mut_arr_size(passes))
        ok = yyjson_mut_obj_add_val(doc, out, "passes", passes) && ok;
    return ok ? out : NULL;
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
