/* policy_keep.c - versions that outlive the process: what a record says, and what it said. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "lua/policy_entry.h"

#define KEPT_MAX 4000

static void
free_kept(struct mh_kept *k)
{
    if (!k)
        return;
    mh_free(k->ns);
    mh_free(k->name);
    mh_free(k->uid);
    mh_free(k->key);
    mh_version_unref(k->version);
    mh_version_unref(k->good);
    mh_free(k->fallen);
    mh_free(k);
}

static struct mh_kept **
find_kept(struct mh_policies *s, const struct mh_map_of *m, const char *key)
{
    struct mh_kept **at = &s->kept;
    while (*at && (strcmp((*at)->ns, m->ns) != 0 || strcmp((*at)->name, m->name) != 0 ||
                   (key && strcmp((*at)->key, key) != 0)))
        at = &(*at)->next;
    return at;
}

void
mh_policies_drop_kept(struct mh_policies *s, const struct mh_map_of *m, const char *key)
{
    struct mh_kept **at;
    while (*(at = find_kept(s, m, key))) {
        struct mh_kept *k = *at;
        *at = k->next;
        free_kept(k);
    }
}

void
mh_policies_free_kept(struct mh_policies *s)
{
    while (s->kept) {
        struct mh_kept *k = s->kept;
        s->kept = k->next;
        free_kept(k);
    }
}

struct mh_kept *
mh_policies_kept_of(struct mh_policies *s, const struct mh_entry *e)
{
    struct mh_kept *k = *find_kept(s, e->map, e->key);
    if (k && k->uid && e->map->uid && strcmp(k->uid, e->map->uid) != 0)
        return NULL; /* another object had that name */
    return k;
}

/* --- from a record ------------------------------------------------------------------------------ */

/* {"script","params"} as a version; NULL: none, or no memory. */
static struct mh_version *
version_from(const char *key, yyjson_val *v)
{
    yyjson_val *script = yyjson_obj_get(v, "script"), *params = yyjson_obj_get(v, "params");
    if (!yyjson_is_str(script))
        return NULL;
    return mh_version_new(key, yyjson_get_str(script), yyjson_get_len(script),
                          yyjson_get_str(params), yyjson_get_len(params));
}

static bool
keep(struct mh_policies *s, const struct mh_record_of *of, yyjson_val *key, yyjson_val *v)
{
    yyjson_val *script = yyjson_obj_get(v, "script"), *good = yyjson_obj_get(v, "before");
    const char *id = mh_json_str(v, "rolledBack", "id", NULL);
    const char *why = mh_json_str(v, "rolledBack", "why", NULL);
    const struct mh_map_of of_map = { .ns = (char *)(uintptr_t)of->namespace,
                                      .name = (char *)(uintptr_t)of->name };
    mh_policies_drop_kept(s, &of_map, yyjson_get_str(key)); /* of an earlier reading */
    struct mh_kept **at = &s->kept;
    int n = 0;
    for (; *at; at = &(*at)->next)
        n++;
    if ((!yyjson_is_str(script) && !(id && why)) || n >= KEPT_MAX)
        return true;
    struct mh_kept *k = mh_calloc(1, sizeof(*k));
    if (!k)
        return false;
    k->ns = mh_strdup(of->namespace);
    k->name = mh_strdup(of->name);
    k->uid = of->uid ? mh_strdup(of->uid) : NULL;
    k->key = mh_strdup(yyjson_get_str(key));
    k->version = version_from(yyjson_get_str(key), v);
    k->good = version_from(yyjson_get_str(key), good);
    if (id && why && (k->fallen = mh_strdup(why)))
        mh_str_copy(k->fallen_id, sizeof(k->fallen_id), id);
    if (!k->ns || !k->name || !k->key || (!k->version && yyjson_is_str(script))) {
        free_kept(k);
        return false;
    }
    *at = k;
    return true;
}

/* What a record says comes after the text was checked: as if it had been there before. */
static void
apply_kept(struct mh_policies *s, struct mh_entry *e)
{
    const struct mh_kept *k = mh_policies_kept_of(s, e);
    if (k && k->fallen && !e->check)
        mh_entry_mark_fallen(s, e, k->fallen_id, k->fallen);
    else if (k && e->active && !e->good && k->good && e->active == e->latest)
        mh_version_set(&e->good, k->good);
    mh_entry_settle(s, e);
}

enum mh_code
mh_policies_restore(struct mh_policies *s, const struct mh_record_of *of, yyjson_val *policies,
                    struct mh_err *err)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *v;
    bool ok = true;
    yyjson_obj_foreach(policies, i, max, key, v)
    {
        if (mh_str_ends(yyjson_get_str(key), ".lua"))
            ok = keep(s, of, key, v) && ok;
    }
    for (struct mh_map_of *m = s->maps; m; m = m->next) {
        for (struct mh_entry *e = m->entries; e; e = e->next)
            apply_kept(s, e);
    }
    mh_policies_wake(s);
    return ok ? MH_OK
              : mh_fail(err, MH_E_NOMEM, "no memory for the policies kept of %s/%s", of->namespace,
                        of->name);
}

void
mh_policies_restored(struct mh_policies *s)
{
    s->restored = true;
    mh_policies_wake(s);
}

/* --- to a record -------------------------------------------------------------------------------- */

static void
add_texts(struct mh_buf *out, const struct mh_version *v)
{
    (void)mh_buf_printf(out, "\"hash\":\"%s\",\"point\":\"%s\",\"script\":", v->hash, v->point);
    (void)mh_json_quote(out, v->script, v->script_len);
    if (v->params) {
        (void)mh_buf_str(out, ",\"params\":");
        (void)mh_json_quote(out, v->params, v->params_len);
    }
}

/* Appends one member; false if that does not fit, then out is as before. */
static bool
add_entry(struct mh_buf *out, const struct mh_entry *e, bool with_good, bool first)
{
    size_t before = out->len;
    if (!first)
        (void)mh_buf_char(out, ',');
    (void)mh_json_quote(out, e->key, strlen(e->key));
    (void)mh_buf_str(out, ":{");
    if (e->active)
        add_texts(out, e->active);
    if (e->good && with_good) {
        (void)mh_buf_str(out, e->active ? ",\"before\":{" : "\"before\":{");
        add_texts(out, e->good);
        (void)mh_buf_char(out, '}');
    }
    if (e->fallen) {
        (void)mh_buf_printf(out, "%s\"rolledBack\":{\"id\":\"%s\",\"why\":",
                            e->active || (e->good && with_good) ? "," : "", e->fallen_id);
        (void)mh_json_quote(out, e->fallen, strlen(e->fallen));
        (void)mh_buf_char(out, '}');
    }
    if (mh_buf_char(out, '}') && out->len < MH_POLICY_RECORD_MAX)
        return true;
    out->len = before;
    out->failed = false;
    return false;
}

/* The versions in charge and those before them, what fits. */
static bool
record_text(const struct mh_map_of *m, struct mh_buf *out)
{
    bool first = true;
    (void)mh_buf_char(out, '{');
    for (const struct mh_entry *e = m->entries; e; e = e->next) {
        if (!e->active && !e->fallen)
            continue;
        if (add_entry(out, e, true, first) || add_entry(out, e, false, first))
            first = false;
        else
            mh_warn("policy", "policy too large to be kept for a restart", "namespace", m->ns,
                    "name", m->name, "key", e->key);
    }
    return mh_buf_char(out, '}') && !out->failed;
}

bool
mh_policies_tell_record(struct mh_policies *s, struct mh_map_of *m)
{
    struct mh_buf b;
    char hash[MH_POLICY_HASH];
    bool changed = false;
    if (!s->restored)
        return false;
    mh_buf_init(&b, 2 * MH_POLICY_RECORD_MAX);
    if (record_text(m, &b)) {
        mh_policy_hash(hash, b.data, b.len);
        /* Nothing in charge and nothing told: nothing to keep. */
        changed = strcmp(hash, m->recorded) != 0 && (b.len > 2 || m->recorded[0]);
    }
    if (changed) {
        struct mh_policy_news news = {
            .namespace = m->ns, .name = m->name, .uid = m->uid, .record = mh_buf_text(&b)
        };
        mh_str_copy(m->recorded, sizeof(m->recorded), hash);
        s->news(s->arg, &news);
    }
    mh_buf_release(&b);
    return changed;
}
