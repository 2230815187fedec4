/* plugin_keep.c - versions that outlive the process: in the record of their ConfigMap (notebook.h). */
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "operator/plugin_in.h"

struct mh_plugin_kept {
    struct mh_plugin_kept *next;
    char *ns, *name, *uid, *key;
    struct mh_plugin_text *text; /* was in charge; NULL: none */
    char fallen[13];             /* hash of a text that was rolled back; "": none */
    char why[400];
};

static void
free_kept(struct mh_plugin_kept *k)
{
    mh_plugin_text_unref(k->text);
    mh_free(k->ns);
    mh_free(k->name);
    mh_free(k->uid);
    mh_free(k->key);
    mh_free(k);
}

/* --- writing -------------------------------------------------------------------------------------- */

/* Who is in charge, or was in an earlier life and has not been refused since; NULL: nobody. */
static const struct mh_plugin_text *
in_charge(const struct mh_plugin *p)
{
    if (p->active || p->kept)
        return p->active ? p->active : p->kept;
    return p->latest && strcmp(p->settled, p->latest->hash) == 0 ? p->latest : NULL;
}

static void
add_plugin(struct mh_buf *b, const struct mh_plugin *p, bool whole)
{
    const struct mh_plugin_text *t = in_charge(p);
    (void)mh_buf_char(b, b->len ? ',' : '{');
    (void)mh_json_quote(b, p->key, strlen(p->key));
    (void)mh_buf_str(b, ":{\"plugin\":true");
    if (t && whole) {
        (void)mh_buf_str(b, ",\"script\":");
        (void)mh_json_quote(b, t->script, t->len);
    }
    if (p->fallen[0]) {
        (void)mh_buf_printf(b, ",\"rolledBack\":{\"id\":\"%s\",\"why\":", p->fallen);
        (void)mh_json_quote(b, p->last_error, strlen(p->last_error));
        (void)mh_buf_char(b, '}');
    }
    (void)mh_buf_char(b, '}');
}

void
mh_plugin_tell_record(const struct mh_plugin *p)
{
    struct mh_buf b;
    mh_buf_init(&b, (size_t)1 << 20);
    for (const struct mh_plugin *q = p->all->first; q; q = q->next) {
        const struct mh_plugin_text *t = in_charge(q);
        if (mh_str_eq(q->ns, p->ns) && mh_str_eq(q->name, p->name))
            add_plugin(&b, q, !t || b.len + t->len * 5 / 4 < MH_POLICY_RECORD_MAX);
    }
    (void)mh_buf_str(&b, b.len ? "}" : "{}");
    struct mh_policy_news news = { .namespace = p->ns,
                                   .name = p->name,
                                   .uid = *p->uid ? p->uid : NULL,
                                   .record = mh_buf_text(&b) };
    if (!b.failed && p->all->writer)
        mh_policy_writer_news(p->all->writer, &news);
    mh_buf_release(&b);
}

/* --- reading -------------------------------------------------------------------------------------- */

bool
mh_plugins_is_record(yyjson_val *policies)
{
    yyjson_obj_iter i = yyjson_obj_iter_with(policies);
    yyjson_val *k;
    while ((k = yyjson_obj_iter_next(&i)))
        if (mh_json_bool(yyjson_obj_iter_get_val(k), false, "plugin", NULL))
            return true;
    return false;
}

static bool
keep(struct mh_plugins *all, const struct mh_record_of *of, const char *key, yyjson_val *v)
{
    struct mh_plugin_kept *k = mh_calloc(1, sizeof(*k));
    const char *why = mh_json_str(v, "rolledBack", "why", NULL);
    const char *id = mh_json_str(v, "rolledBack", "id", NULL);
    yyjson_val *script = yyjson_obj_get(v, "script");
    if (!k)
        return false;
    k->ns = mh_strdup(of->namespace);
    k->name = mh_strdup(of->name);
    k->uid = mh_strdup(of->uid ? of->uid : "");
    k->key = mh_strdup(key);
    k->text = yyjson_is_str(script) ? mh_plugin_text_new(script) : NULL;
    mh_str_copy(k->fallen, sizeof(k->fallen), id ? id : "");
    mh_str_copy(k->why, sizeof(k->why), why ? why : "");
    if (!k->ns || !k->name || !k->uid || !k->key) {
        free_kept(k);
        return false;
    }
    k->next = all->kept;
    all->kept = k;
    return true;
}

void
mh_plugins_restore(struct mh_plugins *all, const struct mh_record_of *of, yyjson_val *policies)
{
    yyjson_obj_iter i = yyjson_obj_iter_with(policies);
    yyjson_val *key;
    size_t n = 0;
    while ((key = yyjson_obj_iter_next(&i)) && n++ < MH_PLUGINS_MAX)
        if (!keep(all, of, yyjson_get_str(key), yyjson_obj_iter_get_val(key)))
            mh_warn("plugin", "no memory for a version of an earlier life", "name", of->name);
    for (struct mh_plugin *p = all->first; p; p = p->next)
        mh_plugin_recall(p);
}

void
mh_plugin_recall(struct mh_plugin *p)
{
    struct mh_plugin_kept **at = &p->all->kept;
    while (*at && (!mh_str_eq((*at)->ns, p->ns) || !mh_str_eq((*at)->name, p->name) ||
                   !mh_str_eq((*at)->key, p->key)))
        at = &(*at)->next;
    struct mh_plugin_kept *k = *at;
    if (!k)
        return;
    *at = k->next;
    bool same_object = !*k->uid || !*p->uid || strcmp(k->uid, p->uid) == 0;
    if (same_object && !p->active) {
        mh_str_copy(p->fallen, sizeof(p->fallen), k->fallen);
        mh_str_copy(p->last_error, sizeof(p->last_error), k->why);
        mh_str_copy(p->settled, sizeof(p->settled), k->text ? k->text->hash : "");
        bool other = k->text && p->latest && strcmp(k->text->hash, p->latest->hash) != 0;
        mh_plugin_text_unref(p->kept); /* of a record that was read before */
        p->kept = other ? mh_plugin_text_ref(k->text) : NULL;
        p->kept_tries = 0;
        if (p->all->leading)
            mh_plugin_try(p);
    }
    free_kept(k);
}

void
mh_plugins_free_kept(struct mh_plugins *all)
{
    while (all->kept) {
        struct mh_plugin_kept *k = all->kept;
        all->kept = k->next;
        free_kept(k);
    }
}
