/* policy_bind.c - who decides for one cluster: claims, selectors, annotations of the Cluster. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "lua/policy_entry.h"
#include "lua/yaml.h"

#define NAME_ROOM 400

/* --- claims ------------------------------------------------------------------------------------- */

/* Does a's claim come before b's? */
static bool
is_older(const struct mh_entry *a, const struct mh_entry *b)
{
    int c = strcmp(a->map->created, b->map->created);
    if (c == 0)
        c = strcmp(a->map->name, b->map->name);
    if (c == 0)
        c = strcmp(a->key, b->key);
    return c < 0;
}

bool
mh_map_serves(const struct mh_policies *s, const struct mh_map_of *m, const char *ns,
              yyjson_val *labels)
{
    if (strcmp(m->ns, ns) != 0 && strcmp(m->ns, s->operator_namespace) != 0)
        return false;
    return !m->selector || (s->match && s->match(m->selector, labels));
}

/* The oldest active claim among those of one namespace; labels NULL: those without a selector. */
static struct mh_entry *
oldest(struct mh_policies *s, const char *ns, const char *point, yyjson_val *labels, bool any)
{
    struct mh_entry *best = NULL;
    for (struct mh_map_of *m = s->maps; m; m = m->next) {
        if (strcmp(m->ns, ns) != 0 || (m->selector && !any) ||
            (any && !mh_map_serves(s, m, ns, labels)))
            continue;
        for (struct mh_entry *e = m->entries; e; e = e->next)
            if (e->active && strcmp(e->active->point, point) == 0 && (!best || is_older(e, best)))
                best = e;
    }
    return best;
}

struct mh_entry *
mh_policies_claim(struct mh_policies *s, const char *ns, const char *point)
{
    return oldest(s, ns, point, NULL, false);
}

struct mh_entry *
mh_entry_rival(struct mh_policies *s, const struct mh_entry *e, struct mh_entry **younger)
{
    struct mh_entry *first = NULL;
    if (younger)
        *younger = NULL;
    for (struct mh_map_of *m = e->active ? s->maps : NULL; m; m = m->next) {
        bool same = mh_str_eq(m->selector, e->map->selector);
        if (strcmp(m->ns, e->map->ns) != 0)
            continue;
        for (struct mh_entry *o = m->entries; o; o = o->next) {
            if (o == e || !o->active || strcmp(o->active->point, e->active->point) != 0)
                continue;
            if (is_older(o, e) && (same || !m->selector) && (!first || is_older(o, first)))
                first = o;
            else if (!is_older(o, e) && (same || !e->map->selector) && younger &&
                     (!*younger || is_older(o, *younger)))
                *younger = o;
        }
    }
    return first;
}

/* --- what the Cluster says ---------------------------------------------------------------------- */

/* Is word[0..n) the point "failover/v1", or its short name? */
static bool
is_point(const char *word, size_t n, const char *point)
{
    size_t whole = strlen(point), stem = strcspn(point, "/");
    return (n == whole || n == stem) && memcmp(word, point, n) == 0;
}

/* "failover=who-first/failover.lua,placement=built-in": copies what stands for the point. */
static bool
named_for(const char *text, const char *point, char out[NAME_ROOM])
{
    while (text && *text) {
        text += strspn(text, ", \t\n");
        size_t n = strcspn(text, ","), key = strcspn(text, "=,");
        if (key < n && is_point(text, key, point)) {
            size_t len = n - key - 1;
            while (len && (text[key + len] == ' ' || text[key + len] == '\n'))
                len--;
            if (len >= NAME_ROOM)
                len = NAME_ROOM - 1;
            memcpy(out, text + key + 1, len);
            out[len] = '\0';
            return true;
        }
        text += n;
    }
    return false;
}

/* CONFIGMAP/KEY, in the cluster's namespace, then in the operator's. */
static struct mh_entry *
find_named(struct mh_policies *s, const char *ns, const char *name, const char *point)
{
    const char *slash = strchr(name, '/');
    size_t n = slash ? (size_t)(slash - name) : strlen(name);
    const char *spaces[] = { ns, s->operator_namespace };
    for (size_t i = 0; i < 2; i++) {
        for (struct mh_map_of *m = s->maps; m; m = m->next) {
            if (strcmp(m->ns, spaces[i]) != 0 || strlen(m->name) != n ||
                memcmp(m->name, name, n) != 0)
                continue;
            for (struct mh_entry *e = m->entries; e; e = e->next)
                if (e->active && strcmp(e->active->point, point) == 0 &&
                    (!slash || strcmp(e->key, slash + 1) == 0))
                    return e;
        }
    }
    return NULL;
}

/* The version's parameters with those that the Cluster's annotation sets, as JSON (which is YAML). */
static void
overlay(struct mh_arena *a, const char *text, const char *point, struct mh_claim *c)
{
    int line = 0;
    struct mh_err err;
    yyjson_val *all = NULL, *own = NULL, *base = NULL, *k, *v;
    size_t i, max, len;
    const struct mh_version *version = c->entry->active;
    if (mh_yaml_parse(a, text, strlen(text), &all, &line, &err) != MH_OK) {
        c->fault =
            mh_arena_printf(a, MH_POLICY_PARAMS " of the Cluster, line %d: %s", line, err.msg);
        return;
    }
    yyjson_obj_foreach(all, i, max, k, v)
    {
        if (is_point(yyjson_get_str(k), yyjson_get_len(k), point))
            own = v;
    }
    if (!own)
        return;
    if (!yyjson_is_obj(own)) {
        c->fault = MH_POLICY_PARAMS " of the Cluster: want names and values below each point";
        return;
    }
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *out = doc ? yyjson_mut_obj(doc) : NULL;
    if (!out)
        return;
    if (version->params)
        (void)mh_yaml_parse(a, version->params, version->params_len, &base, &line, &err);
    yyjson_obj_foreach(base, i, max, k, v)
    {
        if (!yyjson_obj_get(own, yyjson_get_str(k)))
            (void)yyjson_mut_obj_add(out, yyjson_val_mut_copy(doc, k), yyjson_val_mut_copy(doc, v));
    }
    yyjson_obj_foreach(own, i, max, k, v)
    {
        (void)yyjson_mut_obj_add(out, yyjson_val_mut_copy(doc, k), yyjson_val_mut_copy(doc, v));
    }
    c->params = mh_json_mut_text(a, out, &len);
    c->params_len = c->params ? len : 0;
    c->own_params = c->params != NULL;
}

void
mh_policies_resolve(struct mh_policies *s, const struct mh_decision *d, struct mh_claim *out)
{
    char name[NAME_ROOM];
    yyjson_val *labels = mh_json_get(d->object, "metadata", "labels", NULL);
    const char *names = mh_json_str(d->object, "metadata", "annotations", MH_POLICY_NAMED, NULL);
    const char *params = mh_json_str(d->object, "metadata", "annotations", MH_POLICY_PARAMS, NULL);
    *out = (struct mh_claim){ .entry = NULL };
    if (named_for(names, d->point, name)) {
        if (strcmp(name, "built-in") == 0)
            return;
        out->entry = find_named(s, d->namespace, name, d->point);
        if (!out->entry)
            out->fault = mh_arena_printf(d->arena,
                                         MH_POLICY_NAMED " of the Cluster names %.200s, which is "
                                                         "no active policy of %s",
                                         name, d->point);
    } else {
        out->entry = oldest(s, d->namespace, d->point, labels, true);
        if (!out->entry)
            out->entry = oldest(s, s->operator_namespace, d->point, labels, true);
    }
    if (out->entry && params)
        overlay(d->arena, params, d->point, out);
    if (out->fault)
        out->entry = NULL;
}
