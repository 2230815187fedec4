#include "operator/needs_record.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "operator/notebook_in.h"

#define NAME_DIGITS 40
#define BY_MAX 253

const char *
mh_needs_record_name(struct mh_arena *a, const char *name_space, const char *name)
{
    char hex[MH_SHA256_HEX];
    const char *both = mh_arena_printf(a, "%s/%s", name_space, name);
    if (!both)
        return NULL;
    mh_sha256_hex(hex, both, strlen(both));
    return mh_arena_printf(a, "needs.%.*s", NAME_DIGITS, hex);
}

/* --- reading ------------------------------------------------------------------------------------ */

static bool
is_of(yyjson_val *object, const char *name_space, const char *name, const char *uid)
{
    yyjson_val *of = mh_json_get(object, "record", "configmap", NULL);
    return uid && *uid && mh_str_eq(mh_json_str(of, "namespace", NULL), name_space) &&
           mh_str_eq(mh_json_str(of, "name", NULL), name) &&
           mh_str_eq(mh_json_str(of, "uid", NULL), uid);
}

static bool
says(yyjson_val *one, const char *sha, const char *needs, struct mh_arena *a)
{
    yyjson_val *v = yyjson_obj_get(one, "needs");
    const char *text = yyjson_is_obj(v) ? mh_json_canonical(a, v, NULL) : NULL;
    return text && mh_str_eq(text, needs) && mh_str_eq(mh_json_str(one, "sha256", NULL), sha);
}

enum mh_needs_found
mh_needs_record_find(yyjson_val *object, const struct mh_needs_text *t, const char *sha,
                     const char *needs, struct mh_arena *a)
{
    yyjson_val *one = mh_json_get(object, "record", "scripts", t->key, NULL);
    if (!one || !is_of(object, t->name_space, t->name, t->uid))
        return MH_NEEDS_ABSENT;
    bool seen = mh_json_bool(one, false, "seen", NULL);
    if (says(one, sha, needs, a))
        return seen || t->kept ? MH_NEEDS_KNOWN : MH_NEEDS_NEW;
    if ((t->kept || !seen) && says(yyjson_obj_get(one, "before"), sha, needs, a))
        return MH_NEEDS_KNOWN;
    return MH_NEEDS_OTHER;
}

int64_t
mh_needs_record_time(yyjson_val *object)
{
    yyjson_obj_iter i = yyjson_obj_iter_with(mh_json_get(object, "record", "scripts", NULL));
    yyjson_val *k;
    int64_t newest = 0, at;
    while ((k = yyjson_obj_iter_next(&i))) {
        const char *text = mh_json_str(yyjson_obj_iter_get_val(k), "at", NULL);
        if (text && mh_time_parse(text, &at) && at > newest)
            newest = at;
    }
    return newest;
}

/* --- writing ------------------------------------------------------------------------------------ */

struct writer {
    struct mh_arena *a;
    yyjson_mut_doc *doc;
    const struct mh_needs_page *page;
    yyjson_mut_val *scripts;
    bool ok;
};

static void
put(struct writer *w, yyjson_mut_val *to, const char *key, const char *text)
{
    w->ok = yyjson_mut_obj_add_strcpy(w->doc, to, key, text ? text : "") && w->ok;
}

/* The needs of a text, as they were declared. */
static void
put_needs(struct writer *w, yyjson_mut_val *to, const char *text)
{
    yyjson_val *v = NULL;
    w->ok = w->ok && mh_json_parse(w->a, text, strlen(text), &v, NULL) == MH_OK &&
            yyjson_mut_obj_add_val(w->doc, to, "needs", yyjson_val_mut_copy(w->doc, v));
}

/* The text that the ConfigMap has, if it was granted something: it stays in charge if the edit fails. */
static yyjson_val *
before_of(yyjson_val *old, const struct mh_needs_given *g, struct mh_arena *a)
{
    yyjson_val *before = yyjson_obj_get(old, "before");
    if (old && says(old, g->sha, g->set.text, a)) /* the same again */
        return before;
    if (before && g->stored[0] && mh_str_eq(mh_json_str(before, "sha256", NULL), g->stored))
        return before;
    return old;
}

static void
put_given(struct writer *w, const struct mh_needs_given *g, yyjson_val *old)
{
    char at[MH_TIME_TEXT], by[BY_MAX + 1];
    yyjson_mut_val *one = yyjson_mut_obj(w->doc);
    yyjson_val *before = before_of(old, g, w->a);
    mh_time_rfc3339(at, w->page->wall_us / 1000000);
    mh_str_copy(by, sizeof(by), w->page->by ? w->page->by : "");
    put(w, one, "sha256", g->sha);
    put_needs(w, one, g->set.text);
    put(w, one, "by", by);
    put(w, one, "at", at);
    bool seen =
        old && says(old, g->sha, g->set.text, w->a) && mh_json_bool(old, false, "seen", NULL);
    w->ok = yyjson_mut_obj_add_bool(w->doc, one, "seen", seen) && w->ok;
    if (before) {
        yyjson_mut_val *b = yyjson_mut_obj_add_obj(w->doc, one, "before");
        put(w, b, "sha256", mh_json_str(before, "sha256", NULL));
        w->ok = w->ok && yyjson_mut_obj_add_val(
                             w->doc, b, "needs",
                             yyjson_val_mut_copy(w->doc, yyjson_obj_get(before, "needs")));
    }
    w->ok = w->ok && yyjson_mut_obj_add(w->scripts, yyjson_mut_strcpy(w->doc, g->key), one);
}

static const struct mh_needs_given *
given_for(const struct mh_needs_page *page, const char *key)
{
    for (size_t i = 0; i < page->ngiven; i++)
        if (mh_str_eq(page->given[i].key, key))
            return &page->given[i];
    return NULL;
}

/* What was granted to keys that this edit does not bring anew, as it is. */
static void
put_others(struct writer *w, yyjson_val *scripts)
{
    const struct mh_needs_page *page = w->page;
    yyjson_obj_iter i = yyjson_obj_iter_with(scripts);
    yyjson_val *k;
    while ((k = yyjson_obj_iter_next(&i))) {
        const char *key = yyjson_get_str(k);
        if (given_for(page, key) ||
            (!yyjson_obj_get(page->data, key) && !yyjson_obj_get(page->old_data, key)))
            continue;
        w->ok =
            w->ok && yyjson_mut_obj_add(w->scripts, yyjson_mut_strcpy(w->doc, key),
                                        yyjson_val_mut_copy(w->doc, yyjson_obj_iter_get_val(k)));
    }
}

static void
put_meta(struct writer *w, yyjson_mut_val *root, const char *home, yyjson_val *object)
{
    const struct mh_needs_page *page = w->page;
    const char *name = mh_needs_record_name(w->a, page->name_space, page->name);
    const char *rv = mh_json_str(object, "metadata", "resourceVersion", NULL);
    put(w, root, "apiVersion", "moonherd.io/v1alpha1");
    put(w, root, "kind", "ClusterRecord");
    yyjson_mut_val *meta = yyjson_mut_obj_add_obj(w->doc, root, "metadata");
    put(w, meta, "name", name);
    put(w, meta, "namespace", home);
    if (rv)
        put(w, meta, "resourceVersion", rv);
    put(w, yyjson_mut_obj_add_obj(w->doc, meta, "labels"), MH_RECORD_LABEL, MH_NEEDS_LABEL_VALUE);
    w->ok = w->ok && name;
}

const char *
mh_needs_record_body(struct mh_arena *a, const char *home, yyjson_val *object,
                     const struct mh_needs_page *page)
{
    struct writer w = { .a = a, .doc = mh_json_doc(a), .page = page, .ok = true };
    size_t len = 0;
    yyjson_mut_val *root = yyjson_mut_obj(w.doc);
    bool same = is_of(object, page->name_space, page->name, page->uid);
    yyjson_val *old = same ? mh_json_get(object, "record", "scripts", NULL) : NULL;
    if (!w.doc || !root)
        return NULL;
    put_meta(&w, root, home, object);
    yyjson_mut_val *record = yyjson_mut_obj_add_obj(w.doc, root, "record");
    yyjson_mut_val *map = yyjson_mut_obj_add_obj(w.doc, record, "configmap");
    put(&w, map, "namespace", page->name_space);
    put(&w, map, "name", page->name);
    put(&w, map, "uid", page->uid);
    w.scripts = yyjson_mut_obj_add_obj(w.doc, record, "scripts");
    put_others(&w, old);
    for (size_t i = 0; i < page->ngiven; i++)
        put_given(&w, &page->given[i], yyjson_obj_get(old, page->given[i].key));
    const char *text = w.ok ? mh_json_mut_text(a, root, &len) : NULL;
    return text && yyjson_mut_obj_size(w.scripts) <= MH_NEEDS_SCRIPTS_MAX &&
                   len <= MH_NOTEBOOK_BYTES
               ? text
               : NULL;
}
