/* fields_managers.c - reading, ordering and writing metadata.managedFields. */
#include "sandbox/fields_managers.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/time.h"

#define UPDATERS_MAX 10

static bool
read_entry(struct mh_sb_fields *f, yyjson_val *v, struct mh_sb_manager *m)
{
    const char *op = mh_json_str(v, "operation", NULL);
    const char *name = mh_json_str(v, "manager", NULL);
    const char *sub = mh_json_str(v, "subresource", NULL);
    m->version = mh_json_str(v, "apiVersion", NULL);
    m->time = mh_json_str(v, "time", NULL);
    m->name = name ? name : "";
    m->subresource = sub ? sub : "";
    m->applied = mh_str_eq(op, "Apply");
    if ((!m->applied && !mh_str_eq(op, "Update")) || !m->version || !*m->version ||
        !mh_str_eq(mh_json_str(v, "fieldsType", NULL), "FieldsV1"))
        return false;
    m->set = mh_sb_set_read(f, yyjson_obj_get(v, "fieldsV1"));
    return m->set != NULL;
}

bool
mh_sb_managers_read(struct mh_sb_fields *f, yyjson_val *list, struct mh_sb_managers *out)
{
    size_t i;
    size_t max;
    yyjson_val *v;
    *out = (struct mh_sb_managers){ 0 };
    yyjson_arr_foreach(list, i, max, v)
    {
        struct mh_sb_manager m = { 0 };
        if (!read_entry(f, v, &m)) {
            *out = (struct mh_sb_managers){ 0 };
            return false;
        }
        mh_sb_managers_put(f, out, &m);
    }
    return !f->failed;
}

static bool
same_owner(const struct mh_sb_manager *a, const struct mh_sb_manager *b)
{
    return a->applied == b->applied && strcmp(a->name, b->name) == 0 &&
           strcmp(a->subresource, b->subresource) == 0 &&
           (a->applied || strcmp(a->version, b->version) == 0);
}

struct mh_sb_manager *
mh_sb_managers_find(struct mh_sb_managers *m, const struct mh_sb_manager *who)
{
    for (size_t i = 0; i < m->n; i++) {
        if (same_owner(&m->items[i], who))
            return &m->items[i];
    }
    return NULL;
}

void
mh_sb_managers_put(struct mh_sb_fields *f, struct mh_sb_managers *m,
                   const struct mh_sb_manager *who)
{
    struct mh_sb_manager *old = mh_sb_managers_find(m, who);
    if (old) {
        *old = *who;
        return;
    }
    if (m->n == m->size) {
        size_t size = m->size ? m->size * 2 : 8;
        struct mh_sb_manager *items = mh_arena_alloc(f->arena, size * sizeof(*items));
        if (!items) {
            f->failed = true;
            return;
        }
        if (m->n)
            memcpy(items, m->items, m->n * sizeof(*items));
        m->items = items;
        m->size = size;
    }
    m->items[m->n++] = *who;
}

void
mh_sb_managers_drop_empty(struct mh_sb_managers *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (!mh_sb_set_empty(m->items[i].set))
            m->items[n++] = m->items[i];
    }
    m->n = n;
}

static int64_t
seconds(const struct mh_sb_manager *m)
{
    int64_t us = 0;
    return m->time && mh_time_parse(m->time, &us) ? us / 1000000 : 0;
}

/* Apply before Update, then by time, manager, version and subresource. */
static int
by_order(const void *x, const void *y)
{
    const struct mh_sb_manager *a = x;
    const struct mh_sb_manager *b = y;
    if (a->applied != b->applied)
        return a->applied ? -1 : 1;
    int64_t ta = seconds(a);
    int64_t tb = seconds(b);
    if (ta != tb)
        return ta < tb ? -1 : 1;
    int c = strcmp(a->name, b->name);
    if (!c)
        c = strcmp(a->version, b->version);
    return c ? c : strcmp(a->subresource, b->subresource);
}

static void
add_text(struct mh_sb_fields *f, yyjson_mut_val *obj, const char *key, const char *text)
{
    if (text && *text && !yyjson_mut_obj_add_strcpy(f->doc, obj, key, text))
        f->failed = true;
}

yyjson_mut_val *
mh_sb_managers_json(struct mh_sb_fields *f, struct mh_sb_managers *m)
{
    yyjson_mut_val *list = yyjson_mut_arr(f->doc);
    if (!m->n)
        return NULL;
    qsort(m->items, m->n, sizeof(*m->items), by_order);
    for (size_t i = 0; i < m->n; i++) {
        const struct mh_sb_manager *x = &m->items[i];
        yyjson_mut_val *e = yyjson_mut_obj(f->doc);
        add_text(f, e, "manager", x->name);
        add_text(f, e, "operation", x->applied ? "Apply" : "Update");
        add_text(f, e, "apiVersion", x->version);
        if (x->time)
            add_text(f, e, "time", x->time);
        add_text(f, e, "fieldsType", "FieldsV1");
        yyjson_mut_val *set = mh_sb_set_json(f, x->set);
        if (f->failed || !yyjson_mut_obj_add_val(f->doc, e, "fieldsV1", set))
            f->failed = true;
        add_text(f, e, "subresource", x->subresource);
        if (!yyjson_mut_arr_append(list, e))
            f->failed = true;
    }
    return list;
}

static int
by_age(const void *x, const void *y)
{
    const struct mh_sb_manager *a = x;
    const struct mh_sb_manager *b = y;
    int64_t ta = seconds(a);
    int64_t tb = seconds(b);
    if (ta != tb)
        return ta < tb ? -1 : 1;
    int c = strcmp(a->name, b->name);
    if (!c)
        c = strcmp(a->version, b->version);
    return c ? c : strcmp(a->subresource, b->subresource);
}

/* Where updater i goes: the bucket of its version, or the oldest of that version, which becomes the
 * bucket. i itself: it is that oldest. */
static size_t
bucket_for(const struct mh_sb_manager *all, size_t n, size_t i)
{
    for (size_t k = 0; k < n; k++) {
        if (all[k].set && strcmp(all[k].name, "ancient-changes") == 0 && !*all[k].subresource &&
            strcmp(all[k].version, all[i].version) == 0)
            return k;
    }
    for (size_t k = 0; k < i; k++) {
        if (all[k].set && strcmp(all[k].version, all[i].version) == 0)
            return k;
    }
    return i;
}

static bool
seen_version(const struct mh_sb_manager *all, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (strcmp(all[k].version, all[i].version) == 0)
            return true;
    }
    return false;
}

void
mh_sb_managers_cap(struct mh_sb_fields *f, struct mh_sb_managers *m)
{
    struct mh_sb_manager *updaters = mh_arena_alloc(f->arena, (m->n + 1) * sizeof(*updaters));
    size_t n = 0;
    if (!updaters) {
        f->failed = true;
        return;
    }
    for (size_t i = 0; i < m->n; i++) {
        if (!m->items[i].applied)
            updaters[n++] = m->items[i];
    }
    if (n <= UPDATERS_MAX)
        return;
    qsort(updaters, n, sizeof(*updaters), by_age);
    size_t left = n;
    for (size_t i = 0; i < n && left > UPDATERS_MAX; i++) {
        size_t to = bucket_for(updaters, n, i);
        if (to == i || !seen_version(updaters, i)) /* the first of a version stays by itself */
            continue;
        updaters[to].name = "ancient-changes";
        updaters[to].subresource = "";
        updaters[to].set = mh_sb_set_union(f, updaters[i].set, updaters[to].set);
        updaters[to].time = updaters[i].time;
        updaters[i].set = NULL;
        left--;
    }
    size_t kept = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (m->items[i].applied)
            m->items[kept++] = m->items[i];
    }
    m->n = kept;
    for (size_t i = 0; i < n; i++) {
        if (updaters[i].set)
            mh_sb_managers_put(f, m, &updaters[i]);
    }
}

char *
mh_sb_manager_id(struct mh_sb_fields *f, const struct mh_sb_manager *m)
{
    yyjson_mut_val *e = yyjson_mut_obj(f->doc);
    add_text(f, e, "manager", m->name);
    add_text(f, e, "operation", m->applied ? "Apply" : "Update");
    add_text(f, e, "apiVersion", m->applied ? NULL : m->version);
    add_text(f, e, "subresource", m->subresource);
    char *out = mh_json_mut_text(f->arena, e, NULL);
    if (!out)
        f->failed = true;
    return out;
}

char *
mh_sb_manager_text(struct mh_sb_fields *f, const struct mh_sb_manager *m)
{
    char *name = mh_sb_go_quote(f->arena, m->name);
    char *sub = *m->subresource ? mh_arena_printf(f->arena, " with subresource %s",
                                                  mh_sb_go_quote(f->arena, m->subresource))
                                : mh_arena_strdup(f->arena, "");
    char *out = m->applied ? mh_arena_printf(f->arena, "%s%s", name, sub)
                           : mh_arena_printf(f->arena, "%s%s using %s", name, sub, m->version);
    if (!name || !sub || !out)
        f->failed = true;
    return out;
}
