/* fields.c - who owns what after an update or an apply. */
#include "sandbox/fields.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/fields_managers.h"

#define NAME_MAX_BYTES 128
#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

char *
mh_sb_fields_manager(struct mh_arena *a, const char *asked, const char *user_agent)
{
    char name[NAME_MAX_BYTES + 1];
    size_t n = 0;
    if (asked && *asked)
        return mh_arena_strdup(a, asked);
    for (const char *s = user_agent ? user_agent : ""; *s && *s != '/' && n < NAME_MAX_BYTES; s++) {
        if ((unsigned char)*s >= 0x20 && *s != 0x7f)
            name[n++] = *s;
    }
    name[n] = 0;
    return mh_arena_strdup(a, n ? name : "unknown");
}

static void
begin(struct mh_sb_fields *f, const struct mh_sb_write *w)
{
    *f = (struct mh_sb_fields){ .arena = w->arena, .doc = w->doc };
    mh_sb_texts_init(&f->errors, w->arena);
}

static enum mh_code
no_memory(struct mh_err *err)
{
    return mh_fail(err, MH_E_NOMEM, "no memory for the owners of fields");
}

/* --- values ---------------------------------------------------------------------------------- */

/* A copy without metadata.managedFields, which are never part of what they describe. */
static yyjson_val *
without_managed(struct mh_sb_fields *f, yyjson_mut_val *v)
{
    yyjson_mut_val *meta = yyjson_mut_obj_get(v, "metadata");
    yyjson_mut_obj_remove_key(meta, "managedFields");
    yyjson_val *out = v ? mh_sb_freeze(f->arena, v) : NULL;
    if (!out)
        f->failed = true;
    return out;
}

/* Lists and the like that a Go struct has as null when nothing is in them. */
static void
add_nulls(struct mh_sb_fields *f, const struct mh_sb_schema *schema, yyjson_mut_val *v, int depth)
{
    const struct mh_sb_schema *s = mh_sb_shape(schema);
    if (!s || !yyjson_mut_is_obj(v) || depth > MH_SB_SCHEMA_DEPTH_MAX)
        return;
    for (size_t i = 0; i < s->required.count; i++) {
        if (!yyjson_mut_obj_get(v, s->required.items[i]) &&
            !yyjson_mut_obj_add_null(f->doc, v, s->required.items[i]))
            f->failed = true;
    }
    for (size_t i = 0; i < s->nprops; i++)
        add_nulls(f, s->props[i].schema, yyjson_mut_obj_get(v, s->props[i].name), depth + 1);
}

/* What a new object is compared with: for built-in kinds an empty struct. */
static yyjson_val *
nothing(struct mh_sb_fields *f, const struct mh_sb_write *w)
{
    yyjson_mut_val *v = yyjson_mut_obj(f->doc);
    const struct mh_sb_schema *s = mh_sb_shape(w->schema);
    if (!v || !yyjson_mut_obj_add_strcpy(f->doc, v, "apiVersion", w->api_version) ||
        !yyjson_mut_obj_add_strcpy(f->doc, v, "kind", w->kind)) {
        f->failed = true;
        return NULL;
    }
    if (s && s->native) {
        if (!mh_sb_schema_native(s, f->doc, v))
            f->failed = true;
        add_nulls(f, s, v, 0);
    }
    return without_managed(f, v);
}

static yyjson_val *
live_of(struct mh_sb_fields *f, const struct mh_sb_write *w)
{
    if (!w->live)
        return nothing(f, w);
    yyjson_mut_val *copy = yyjson_val_mut_copy(f->doc, w->live);
    return without_managed(f, copy);
}

/* --- sets ------------------------------------------------------------------------------------ */

static void
insert_path(struct mh_sb_fields *f, struct mh_sb_set *s, const char *dotted)
{
    struct mh_sb_pe path[8];
    size_t n = 0;
    while (n < 8) {
        size_t len = strcspn(dotted, ".");
        char *name = mh_arena_strndup(f->arena, dotted, len);
        if (!name) {
            f->failed = true;
            return;
        }
        path[n++] = (struct mh_sb_pe){ .kind = MH_SB_PE_FIELD, .name = name };
        if (!dotted[len])
            break;
        dotted += len + 1;
    }
    mh_sb_set_insert(f, s, path, n);
}

/* Fields that nobody ever owns. */
static struct mh_sb_set *
unowned(struct mh_sb_fields *f)
{
    static const char *const top[] = { "apiVersion", "kind", "metadata" };
    static const char *const meta[] = {
        "clusterName",     "creationTimestamp", "generation", "managedFields", "name", "namespace",
        "resourceVersion", "selfLink",          "uid"
    };
    struct mh_sb_set *s = mh_sb_set_new(f);
    for (size_t i = 0; i < sizeof(top) / sizeof(top[0]) && !f->failed; i++)
        mh_sb_set_insert(f, s, &(struct mh_sb_pe){ .kind = MH_SB_PE_FIELD, .name = top[i] }, 1);
    for (size_t i = 0; i < sizeof(meta) / sizeof(meta[0]) && !f->failed; i++) {
        struct mh_sb_pe path[] = { { .kind = MH_SB_PE_FIELD, .name = "metadata" },
                                   { .kind = MH_SB_PE_FIELD, .name = meta[i] } };
        mh_sb_set_insert(f, s, path, 2);
    }
    return s;
}

static struct mh_sb_set *
without_reset(struct mh_sb_fields *f, const struct mh_sb_write *w, struct mh_sb_set *s)
{
    struct mh_sb_set *reset = mh_sb_set_new(f);
    if (!w->reset)
        return s;
    for (size_t i = 0; w->reset[i] && !f->failed; i++)
        insert_path(f, reset, w->reset[i]);
    return mh_sb_set_without(f, s, reset);
}

static struct mh_sb_comparison
compare(struct mh_sb_fields *f, const struct mh_sb_write *w, yyjson_val *live, yyjson_val *next)
{
    struct mh_sb_comparison c = mh_sb_typed_compare(f, mh_sb_typing_of(w->schema), live, next);
    c.removed = without_reset(f, w, c.removed);
    c.modified = without_reset(f, w, c.modified);
    c.added = without_reset(f, w, c.added);
    return c;
}

/* All others lose what changed or went. */
static void
take_from_others(struct mh_sb_fields *f, struct mh_sb_managers *m, const struct mh_sb_manager *self,
                 const struct mh_sb_comparison *c)
{
    struct mh_sb_set *changed = mh_sb_set_union(f, c->modified, c->added);
    struct mh_sb_set *gone = mh_sb_set_union(f, changed, c->removed);
    for (size_t i = 0; i < m->n && !f->failed; i++) {
        if (&m->items[i] != self)
            m->items[i].set = mh_sb_set_minus(f, m->items[i].set, gone);
    }
}

/* --- update ---------------------------------------------------------------------------------- */

static bool
is_reset(yyjson_val *list)
{
    size_t n = yyjson_arr_size(list);
    if (!yyjson_is_arr(list) || n > 1)
        return false;
    return n == 0 || yyjson_obj_size(yyjson_arr_get_first(list)) == 0;
}

/* The owners before this write: those that the client sent where they count, else the stored. */
static void
owners_before(struct mh_sb_fields *f, const struct mh_sb_write *w, yyjson_val *sent,
              struct mh_sb_managers *out)
{
    yyjson_val *stored = mh_json_get(w->live, "metadata", "managedFields", NULL);
    *out = (struct mh_sb_managers){ 0 };
    if (!*w->subresource) {
        if (sent && is_reset(sent))
            return;
        if (mh_sb_managers_read(f, sent, out) && out->n)
            return;
    }
    mh_sb_managers_read(f, stored, out);
}

/* Does anybody own a part of this? A Scale that nobody owned before stays so. */
static bool
owns_any(struct mh_sb_fields *f, const struct mh_sb_managers *m, const struct mh_sb_set *set)
{
    for (size_t i = 0; i < m->n && !f->failed; i++) {
        const struct mh_sb_set *rest = mh_sb_set_minus(f, m->items[i].set, set);
        if (!mh_sb_set_empty(mh_sb_set_minus(f, m->items[i].set, rest)))
            return true;
    }
    return false;
}

static void
update_owners(struct mh_sb_fields *f, const struct mh_sb_write *w, yyjson_val *live,
              yyjson_val *next, const char *manager, struct mh_sb_managers *m)
{
    struct mh_sb_comparison c = compare(f, w, live, next);
    bool scale = strcmp(w->subresource, "scale") == 0;
    bool owned = !scale || w->applied || owns_any(f, m, mh_sb_set_union(f, c.modified, c.added));
    struct mh_sb_manager self = {
        .name = manager, .subresource = w->subresource, .version = w->api_version, .time = w->now
    };
    if (scale) { /* as the real server */
        self.time = NULL;
        self.applied = w->applied;
    }
    take_from_others(f, m, NULL, &c);
    mh_sb_managers_drop_empty(m);
    self.set = mh_sb_set_minus(f, mh_sb_set_union(f, c.modified, c.added), unowned(f));
    if (!mh_sb_set_empty(self.set) && owned) {
        struct mh_sb_manager *old = mh_sb_managers_find(m, &self);
        if (old)
            self.set = mh_sb_set_union(f, self.set, old->set);
        mh_sb_managers_put(f, m, &self);
    }
    mh_sb_managers_cap(f, m);
}

static enum mh_code
set_owners(struct mh_sb_fields *f, yyjson_mut_val *obj, struct mh_sb_managers *m,
           struct mh_err *err)
{
    yyjson_mut_val *meta = yyjson_mut_obj_get(obj, "metadata");
    if (!meta)
        meta = yyjson_mut_obj_add_obj(f->doc, obj, "metadata");
    if (!yyjson_mut_is_obj(meta))
        return f->failed ? no_memory(err) : MH_OK; /* nobody's: validation will say why */
    yyjson_mut_val *list = mh_sb_managers_json(f, m);
    yyjson_mut_obj_remove_key(meta, "managedFields");
    if (f->failed || (list && !yyjson_mut_obj_add_val(f->doc, meta, "managedFields", list)))
        return no_memory(err);
    return MH_OK;
}

enum mh_code
mh_sb_fields_update(const struct mh_sb_write *w, yyjson_mut_val *obj, struct mh_err *err)
{
    struct mh_sb_fields f;
    struct mh_sb_managers m;
    begin(&f, w);
    yyjson_mut_val *sent = yyjson_mut_obj_get(yyjson_mut_obj_get(obj, "metadata"), "managedFields");
    owners_before(&f, w, sent ? mh_sb_freeze(w->arena, sent) : NULL, &m);
    yyjson_val *next = without_managed(&f, obj);
    yyjson_val *live = live_of(&f, w);
    if (f.failed)
        return no_memory(err);
    /* an object that nobody's fields are known of is tracked from its creation or its first apply */
    if (m.n || !w->live || w->applied) {
        mh_sb_typed_check(&f, mh_sb_typing_of(w->schema), next, true);
        if (f.errors.count)
            m.n = 0; /* as the real server: better none than wrong ones */
        else
            update_owners(&f, w, live, next, *w->manager ? w->manager : "unknown", &m);
    }
    return set_owners(&f, obj, &m, err);
}

/* --- apply ----------------------------------------------------------------------------------- */

struct apply {
    struct mh_sb_fields f;
    const struct mh_sb_write *w;
    struct mh_sb_typing type;
    struct mh_sb_managers m;
    struct mh_sb_manager self;
    struct mh_sb_set *last; /* what this manager applied before; NULL: nothing */
    yyjson_val *live;
    yyjson_val *next;
};

static struct mh_sb_set *
all_owned(struct apply *a)
{
    struct mh_sb_set *s = a->self.set;
    for (size_t i = 0; i < a->m.n; i++)
        s = mh_sb_set_union(&a->f, s, a->m.items[i].set);
    return s;
}

static struct mh_sb_set *
ensured(struct apply *a, const struct mh_sb_set *s)
{
    return mh_sb_typed_ensure(&a->f, a->type, s);
}

/* Removes what this manager applied before, does not apply now, and nobody else owns. */
static void
prune(struct apply *a)
{
    struct mh_sb_fields *f = &a->f;
    yyjson_val *merged = a->next;
    if (!a->last || mh_sb_set_empty(a->last))
        return;
    struct mh_sb_set *last = ensured(a, a->last);
    yyjson_val *pruned = mh_sb_typed_remove(f, a->type, merged, last);
    struct mh_sb_set *merged_set = ensured(a, mh_sb_typed_set(f, a->type, merged));
    struct mh_sb_set *kept = mh_sb_set_union(f, ensured(a, mh_sb_typed_set(f, a->type, pruned)),
                                             ensured(a, all_owned(a)));
    pruned = mh_sb_typed_remove(f, a->type, merged, mh_sb_set_minus(f, merged_set, kept));
    /* what went although this manager never applied it comes back */
    struct mh_sb_set *pruned_set = ensured(a, mh_sb_typed_set(f, a->type, pruned));
    struct mh_sb_set *gone = mh_sb_set_common(f, mh_sb_set_minus(f, merged_set, pruned_set), last);
    a->next = mh_sb_typed_remove(f, a->type, merged, gone);
}

struct conflict_sink {
    struct mh_sb_causes *causes;
    const char *who;
};

static void
add_conflict(void *arg, const char *path)
{
    struct conflict_sink *s = arg;
    mh_sb_cause_add(s->causes, "FieldManagerConflict", path, "conflict with %s", s->who);
}

static int
by_id(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* Those who own what is about to change, in order of their ids. */
static void
find_conflicts(struct apply *a, const struct mh_sb_comparison *c, struct mh_sb_causes *out)
{
    struct mh_sb_set *changed = mh_sb_set_union(&a->f, c->modified, c->added);
    const char **ids = mh_arena_alloc(a->f.arena, (a->m.n + 1) * sizeof(*ids));
    size_t n = 0;
    for (size_t i = 0; ids && i < a->m.n && !a->f.failed; i++) {
        ids[n] = mh_sb_manager_id(&a->f, &a->m.items[i]);
        n += ids[n] != NULL;
    }
    if (!ids || a->f.failed) {
        a->f.failed = true;
        return;
    }
    qsort(ids, n, sizeof(*ids), by_id);
    for (size_t k = 0; k < n; k++) {
        for (size_t i = 0; i < a->m.n && !a->f.failed; i++) {
            const char *id = mh_sb_manager_id(&a->f, &a->m.items[i]);
            if (!id || strcmp(id, ids[k]) != 0)
                continue;
            struct conflict_sink sink = { out, mh_sb_manager_text(&a->f, &a->m.items[i]) };
            if (sink.who)
                mh_sb_set_each(&a->f, mh_sb_set_common(&a->f, a->m.items[i].set, changed),
                               add_conflict, &sink);
        }
    }
}

char *
mh_sb_fields_conflict_text(const struct mh_sb_causes *conflicts)
{
    struct mh_buf b;
    const char *who = "";
    mh_buf_init(&b, (size_t)4 << 20);
    const struct mh_sb_cause *c = conflicts->first;
    if (conflicts->count == 1)
        mh_buf_printf(&b, "Apply failed with 1 conflict: %s: %s", c->message, c->field);
    else
        mh_buf_printf(&b, "Apply failed with %zu conflicts: ", conflicts->count);
    for (; c && conflicts->count != 1; c = c->next) {
        if (strcmp(who, c->message) != 0)
            mh_buf_printf(&b, "%sconflicts with %s:", *who ? "\n" : "",
                          c->message + strlen("conflict with "));
        mh_buf_printf(&b, "\n- %s", c->field);
        who = c->message;
    }
    char *out = b.failed ? NULL : mh_arena_strdup(conflicts->arena, mh_buf_text(&b));
    mh_buf_release(&b);
    return out;
}

static const char *
described(struct apply *a, yyjson_val *v)
{
    const char *ns = mh_json_str(v, "metadata", "namespace", NULL);
    const char *name = mh_json_str(v, "metadata", "name", NULL);
    const char *version = mh_json_str(v, "apiVersion", NULL);
    const char *kind = mh_json_str(v, "kind", NULL);
    const char *slash = strchr(version ? version : "", '/');
    return mh_arena_printf(a->f.arena, "%s/%s; %s%s, Kind=%s", ns ? ns : "", name ? name : "",
                           slash ? "" : "/", version ? version : "", kind ? kind : "");
}

static enum mh_code
check_config(struct apply *a, yyjson_val *applied, struct mh_err *err)
{
    const char *version = mh_json_str(applied, "apiVersion", NULL);
    const char *kind = mh_json_str(applied, "kind", NULL);
    if (!mh_str_eq(version, a->w->api_version) || !mh_str_eq(kind, a->w->kind))
        return mh_fail(err, MH_E_INVALID, "invalid object type: %s%s, Kind=%s",
                       strchr(version ? version : "", '/') ? "" : "/", version ? version : "",
                       kind ? kind : "");
    if (yyjson_is_arr(mh_json_get(applied, "metadata", "managedFields", NULL)))
        return mh_fail(err, MH_E_INVALID, "metadata.managedFields must be nil");
    mh_sb_typed_check(&a->f, a->type, applied, false);
    if (a->f.failed || a->f.errors.failed)
        return no_memory(err);
    if (!a->f.errors.count)
        return MH_OK;
    struct mh_buf b;
    mh_buf_init(&b, MH_ERR_MSG_MAX);
    if (a->f.errors.count > 1)
        mh_buf_str(&b, "errors:");
    for (size_t i = 0; i < a->f.errors.count; i++)
        mh_buf_printf(&b, "%s%s", a->f.errors.count > 1 ? "\n  " : "", a->f.errors.items[i]);
    enum mh_code c = mh_fail(err, MH_E_INTERNAL, "failed to create typed patch object (%s): %s",
                             described(a, applied), mh_buf_text(&b));
    mh_buf_release(&b);
    return c;
}

/* Takes this manager out of the others. */
static void
split_self(struct apply *a)
{
    struct mh_sb_manager *old = mh_sb_managers_find(&a->m, &a->self);
    if (!old)
        return;
    a->last = old->set;
    a->self.time = old->time;
    *old = a->m.items[--a->m.n];
}

/* Fields of an object that nobody owns so far get an owner before the first apply. */
static void
before_first_apply(struct apply *a)
{
    struct mh_sb_write w = *a->w;
    w.live = NULL;
    if (!a->m.n && a->w->live)
        update_owners(&a->f, &w, nothing(&a->f, &w), a->live, "before-first-apply", &a->m);
}

/* kubectl keeps what it applied last in an annotation as well. */
static void
keep_annotation(struct apply *a, yyjson_val *applied)
{
    if (strcmp(a->w->manager, "kubectl") != 0 ||
        !mh_json_str(a->next, "metadata", "annotations", LAST_APPLIED, NULL))
        return;
    yyjson_mut_val *copy = yyjson_val_mut_copy(a->f.doc, applied);
    yyjson_mut_val *next = yyjson_val_mut_copy(a->f.doc, a->next);
    yyjson_mut_val *meta = yyjson_mut_obj_get(copy, "metadata");
    yyjson_mut_obj_remove_key(yyjson_mut_obj_get(meta, "annotations"), LAST_APPLIED);
    if (yyjson_mut_obj_size(yyjson_mut_obj_get(meta, "annotations")) == 0)
        yyjson_mut_obj_remove_key(meta, "annotations");
    yyjson_val *frozen = copy ? mh_sb_freeze(a->f.arena, copy) : NULL;
    char *text = frozen ? mh_sb_go_json(a->f.arena, frozen) : NULL;
    text = text ? mh_arena_printf(a->f.arena, "%s\n", text) : NULL;
    yyjson_mut_val *notes = yyjson_mut_obj_get(yyjson_mut_obj_get(next, "metadata"), "annotations");
    yyjson_mut_val *k = yyjson_mut_str(a->f.doc, LAST_APPLIED);
    yyjson_mut_val *v = text ? yyjson_mut_strcpy(a->f.doc, text) : NULL;
    if (!k || !v || !yyjson_mut_obj_put(notes, k, v))
        a->f.failed = true;
    else
        a->next = mh_sb_freeze(a->f.arena, next);
}

/* Where only the annotation of kubectl's other apply stands against it, there is no conflict. */
static bool
allowed_by_annotation(struct apply *a, const struct mh_sb_comparison *c)
{
    yyjson_val *was = NULL;
    const char *text = mh_json_str(a->live, "metadata", "annotations", LAST_APPLIED, NULL);
    if (strcmp(a->w->manager, "kubectl") != 0 || !text || !*text ||
        mh_json_parse(a->f.arena, text, strlen(text), &was, NULL) ||
        !mh_str_eq(mh_json_str(was, "apiVersion", NULL), a->w->api_version))
        return false;
    struct mh_sb_set *own = mh_sb_typed_set(&a->f, a->type, was);
    struct mh_sb_comparison d = mh_sb_typed_compare(&a->f, a->type, was, a->live);
    own = mh_sb_set_minus(&a->f, own, d.modified);
    own = mh_sb_set_minus(&a->f, own, d.added);
    own = mh_sb_set_minus(&a->f, own, d.removed);
    struct mh_sb_set *changed = mh_sb_set_union(&a->f, c->modified, c->added);
    for (size_t i = 0; i < a->m.n && !a->f.failed; i++) {
        struct mh_sb_set *conflict = mh_sb_set_common(&a->f, a->m.items[i].set, changed);
        if (!mh_sb_set_empty(mh_sb_set_minus(&a->f, conflict, own)))
            return false;
    }
    return !a->f.failed;
}

static enum mh_code
merge(struct apply *a, yyjson_val *applied, struct mh_sb_causes *conflicts, struct mh_err *err)
{
    struct mh_sb_fields *f = &a->f;
    a->self.set = without_reset(f, a->w, mh_sb_typed_set(f, a->type, applied));
    a->next = mh_sb_typed_merge(f, a->type, a->live, applied);
    prune(a);
    struct mh_sb_comparison c = compare(f, a->w, a->live, a->next);
    if (!a->w->force && !allowed_by_annotation(a, &c))
        find_conflicts(a, &c, conflicts);
    if (f->failed || conflicts->failed)
        return no_memory(err);
    if (conflicts->count) {
        char *text = mh_sb_fields_conflict_text(conflicts);
        return mh_fail(err, MH_E_CONFLICT, "%s", text ? text : "Apply failed with conflicts");
    }
    take_from_others(f, &a->m, NULL, &c);
    mh_sb_managers_drop_empty(&a->m);
    a->self.set = mh_sb_set_minus(f, a->self.set, unowned(f));
    if (!mh_sb_equal(a->live, a->next))
        a->self.time = a->w->now;
    if (!mh_sb_set_empty(a->self.set))
        mh_sb_managers_put(f, &a->m, &a->self);
    keep_annotation(a, applied);
    return f->failed ? no_memory(err) : MH_OK;
}

enum mh_code
mh_sb_fields_apply(const struct mh_sb_write *w, yyjson_val *applied, yyjson_mut_val **out,
                   bool *changed, struct mh_sb_causes *conflicts, struct mh_err *err)
{
    struct apply a = { .w = w, .type = mh_sb_typing_of(w->schema) };
    begin(&a.f, w);
    enum mh_code c = check_config(&a, applied, err);
    if (c)
        return c;
    if (!mh_sb_managers_read(&a.f, mh_json_get(w->live, "metadata", "managedFields", NULL), &a.m))
        return a.f.failed ? no_memory(err)
                          : mh_fail(err, MH_E_INTERNAL, "failed to decode managed fields");
    a.live = live_of(&a.f, w);
    if (a.f.failed)
        return no_memory(err);
    a.self = (struct mh_sb_manager){ .name = w->manager,
                                     .subresource = w->subresource,
                                     .version = w->api_version,
                                     .applied = true };
    before_first_apply(&a);
    split_self(&a);
    c = merge(&a, applied, conflicts, err);
    if (c)
        return c;
    *out = yyjson_val_mut_copy(w->doc, a.next);
    c = *out ? set_owners(&a.f, *out, &a.m, err) : no_memory(err);
    if (!c && changed) {
        yyjson_val *done = mh_sb_freeze(w->arena, *out);
        if (!done)
            return no_memory(err);
        *changed = !w->live || !mh_sb_fields_same(w->arena, w->live, done);
    }
    return c;
}

/* --- nothing to write ------------------------------------------------------------------------ */

static yyjson_val *
without_times(struct mh_arena *arena, yyjson_val *obj)
{
    yyjson_mut_doc *doc = mh_json_doc(arena);
    yyjson_mut_val *v = doc ? yyjson_val_mut_copy(doc, obj) : NULL;
    yyjson_mut_val *list = yyjson_mut_obj_get(yyjson_mut_obj_get(v, "metadata"), "managedFields");
    size_t i;
    size_t max;
    yyjson_mut_val *e;
    yyjson_mut_arr_foreach(list, i, max, e)
    {
        yyjson_mut_obj_remove_key(e, "time");
    }
    return v ? mh_sb_freeze(arena, v) : NULL;
}

bool
mh_sb_fields_same(struct mh_arena *a, yyjson_val *live, yyjson_val *next)
{
    yyjson_val *x = without_times(a, live);
    yyjson_val *y = without_times(a, next);
    return x && y && mh_sb_equal(x, y);
}
