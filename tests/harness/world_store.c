/* The small API server of the test world: objects in memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "harness/world_impl.h"

struct object {
    struct tw_path path; /* without sub */
    yyjson_doc *doc;
};

static bool
same_path(const struct tw_path *a, const struct tw_path *b)
{
    return strcmp(a->prefix, b->prefix) == 0 && strcmp(a->plural, b->plural) == 0 &&
           strcmp(a->ns, b->ns) == 0 && strcmp(a->name, b->name) == 0;
}

static struct object *
find(struct tw *tw, const struct tw_path *p)
{
    for (int i = 0; i < tw->state->objects.len; i++) {
        struct object *o = tw->state->objects.items[i];
        if (same_path(&o->path, p))
            return o;
    }
    return NULL;
}

static void
full_path(char out[1024], const struct tw_path *p)
{
    (void)snprintf(out, 1024, "%s%s%s/%s/%s", p->prefix, *p->ns ? "/namespaces/" : "", p->ns,
                   p->plural, p->name);
}

static bool
refuse(struct tw *tw, struct tw_answer *a, int status, const char *reason, const char *what)
{
    char text[1500];
    (void)snprintf(
        text, sizeof(text),
        "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"%s\",\"message\":\"%s: "
        "%s\",\"code\":%d}",
        reason, what, reason, status);
    a->status = status;
    a->json = tw_text(tw, text);
    return true;
}

static bool
answer_with(struct tw *tw, struct tw_answer *a, int status, yyjson_val *v)
{
    char *text = yyjson_val_write(v, 0, NULL);
    tw_add(&tw->state->texts, text);
    a->status = status;
    a->json = text;
    return true;
}

static void
set_str(yyjson_mut_doc *d, yyjson_mut_val *o, const char *key, const char *value)
{
    (void)yyjson_mut_obj_put(o, yyjson_mut_strcpy(d, key), yyjson_mut_strcpy(d, value));
}

static yyjson_mut_val *
metadata(yyjson_mut_doc *d, yyjson_mut_val *o)
{
    yyjson_mut_val *m = yyjson_mut_obj_get(o, "metadata");
    return m ? m : yyjson_mut_obj_add_obj(d, o, "metadata");
}

static void
new_version(struct tw *tw, yyjson_mut_doc *d, yyjson_mut_val *o)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)++tw->state->version);
    set_str(d, metadata(d, o), "resourceVersion", text);
}

/* name, namespace, uid, creationTimestamp, generation, where they are not there. */
static void
complete(struct tw *tw, yyjson_mut_doc *d, yyjson_mut_val *o, const struct tw_path *p)
{
    char text[64];
    yyjson_mut_val *m = metadata(d, o);
    set_str(d, m, "name", p->name);
    if (*p->ns)
        set_str(d, m, "namespace", p->ns);
    if (!yyjson_mut_obj_get(m, "uid")) {
        (void)snprintf(text, sizeof(text), "00000000-0000-4000-8000-%012llx",
                       (unsigned long long)++tw->state->serial);
        set_str(d, m, "uid", text);
    }
    if (!yyjson_mut_obj_get(m, "creationTimestamp")) {
        mh_time_rfc3339(text, tw->wall_us / 1000000);
        set_str(d, m, "creationTimestamp", text);
    }
    if (!yyjson_mut_obj_get(m, "generation"))
        (void)yyjson_mut_obj_add_int(d, m, "generation", 1);
}

/* Keeps what d holds and tells the watches. */
static struct object *
keep(struct tw *tw, const struct tw_path *p, yyjson_mut_doc *d)
{
    char path[1024];
    struct object *o = find(tw, p);
    enum mh_watch_kind kind = o ? MH_WATCH_MODIFIED : MH_WATCH_ADDED;
    new_version(tw, d, yyjson_mut_doc_get_root(d));
    yyjson_doc *doc = yyjson_mut_doc_imut_copy(d, NULL);
    if (!o) {
        o = tw_alloc(sizeof(*o));
        o->path = *p;
        tw_add(&tw->state->objects, o);
    } else {
        tw_add(&tw->state->docs, o->doc);
    }
    o->doc = doc;
    full_path(path, p);
    tw_watch_object(tw, path, kind, yyjson_doc_get_root(doc));
    return o;
}

static void
drop(struct tw *tw, struct object *o)
{
    char path[1024];
    full_path(path, &o->path);
    yyjson_mut_doc *d = yyjson_doc_mut_copy(o->doc, NULL);
    new_version(tw, d, yyjson_mut_doc_get_root(d));
    yyjson_doc *last = yyjson_mut_doc_imut_copy(d, NULL);
    yyjson_mut_doc_free(d);
    tw_add(&tw->state->docs, last);
    tw_add(&tw->state->docs, o->doc);
    tw_watch_object(tw, path, MH_WATCH_DELETED, yyjson_doc_get_root(last));
    for (int i = 0; i < tw->state->objects.len; i++) {
        if (tw->state->objects.items[i] == o) {
            tw_drop(&tw->state->objects, i);
            break;
        }
    }
    free(o);
}

/* --- requests -------------------------------------------------------------------------------- */

static bool
list(struct tw *tw, const struct tw_path *p, const struct tw_request *r, struct tw_answer *a)
{
    yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(d);
    yyjson_mut_val *items = yyjson_mut_arr(d);
    char version[32];
    yyjson_mut_doc_set_root(d, root);
    (void)snprintf(version, sizeof(version), "%llu", (unsigned long long)tw->state->version);
    set_str(d, root, "kind", "List");
    set_str(d, metadata(d, root), "resourceVersion", version);
    (void)yyjson_mut_obj_add_val(d, root, "items", items);
    for (int i = 0; i < tw->state->objects.len; i++) {
        struct object *o = tw->state->objects.items[i];
        yyjson_val *v = yyjson_doc_get_root(o->doc);
        if (strcmp(o->path.prefix, p->prefix) == 0 && strcmp(o->path.plural, p->plural) == 0 &&
            (!*p->ns || strcmp(o->path.ns, p->ns) == 0) && tw_labels_match(r->query, v))
            (void)yyjson_mut_arr_append(items, yyjson_val_mut_copy(d, v));
    }
    char *text = yyjson_mut_write(d, 0, NULL);
    yyjson_mut_doc_free(d);
    tw_add(&tw->state->texts, text);
    a->json = text;
    return true;
}

static bool
create(struct tw *tw, struct tw_path *p, const struct tw_request *r, struct tw_answer *a)
{
    const char *name = mh_json_str(r->body, "metadata", "name", NULL);
    const char *base = mh_json_str(r->body, "metadata", "generateName", NULL);
    if (!yyjson_is_obj(r->body) || (!name && !base))
        return refuse(tw, a, 422, "Invalid", r->path);
    if (name)
        mh_str_copy(p->name, sizeof(p->name), name);
    else
        (void)snprintf(p->name, sizeof(p->name), "%.240s%05llx", base,
                       (unsigned long long)++tw->state->serial);
    if (find(tw, p))
        return refuse(tw, a, 409, "AlreadyExists", p->name);
    yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *o = yyjson_val_mut_copy(d, r->body);
    yyjson_mut_doc_set_root(d, o);
    (void)yyjson_mut_obj_remove_key(o, "status");
    complete(tw, d, o, p);
    struct object *kept = keep(tw, p, d);
    yyjson_mut_doc_free(d);
    return answer_with(tw, a, 201, yyjson_doc_get_root(kept->doc));
}

/* Does the body name another object or version than the one there? */
static bool
stale(const struct object *o, yyjson_val *meta)
{
    yyjson_val *have = mh_json_get(yyjson_doc_get_root(o->doc), "metadata", NULL);
    const char *uid = mh_json_str(meta, "uid", NULL);
    const char *version = mh_json_str(meta, "resourceVersion", NULL);
    return (uid && !mh_str_eq(uid, mh_json_str(have, "uid", NULL))) ||
           (version && *version && !mh_str_eq(version, mh_json_str(have, "resourceVersion", NULL)));
}

/* The value of key in `from` takes the place of that in `to`. */
static void
take_key(yyjson_mut_doc *d, yyjson_mut_val *to, yyjson_val *from, const char *key)
{
    yyjson_val *v = yyjson_obj_get(from, key);
    (void)yyjson_mut_obj_remove_key(to, key);
    if (v)
        (void)yyjson_mut_obj_put(to, yyjson_mut_strcpy(d, key), yyjson_val_mut_copy(d, v));
}

static bool
change(struct tw *tw, const struct tw_path *p, const struct tw_request *r, struct tw_answer *a,
       bool whole)
{
    struct object *o = find(tw, p);
    if (!o)
        return refuse(tw, a, 404, "NotFound", p->name);
    if (!yyjson_is_obj(r->body))
        return refuse(tw, a, 400, "BadRequest", p->name);
    if (stale(o, mh_json_get(r->body, "metadata", NULL)))
        return refuse(tw, a, 409, "Conflict", p->name);
    yyjson_val *old = yyjson_doc_get_root(o->doc);
    yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *now =
        whole ? yyjson_val_mut_copy(d, r->body) : yyjson_merge_patch(d, old, r->body);
    yyjson_mut_doc_set_root(d, now);
    if (strcmp(p->sub, "status") == 0) {
        yyjson_doc *merged = yyjson_mut_doc_imut_copy(d, NULL);
        tw_add(&tw->state->docs, merged);
        now = yyjson_val_mut_copy(d, old);
        yyjson_mut_doc_set_root(d, now);
        take_key(d, now, yyjson_doc_get_root(merged), "status");
    } else {
        take_key(d, now, old, "status");
    }
    yyjson_val *meta = yyjson_obj_get(old, "metadata");
    static const char *const fixed[] = { "uid", "creationTimestamp", "resourceVersion",
                                         "generation", "deletionTimestamp" };
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        take_key(d, metadata(d, now), meta, fixed[i]);
    complete(tw, d, now, p);
    yyjson_doc *after = yyjson_mut_doc_imut_copy(d, NULL);
    yyjson_val *new = yyjson_doc_get_root(after);
    tw_add(&tw->state->docs, after);
    if (!yyjson_equals(old, new)) {
        if (!yyjson_equals(yyjson_obj_get(old, "spec"), yyjson_obj_get(new, "spec"))) {
            int64_t g = mh_json_int(old, 0, "metadata", "generation", NULL) + 1;
            (void)yyjson_mut_obj_put(metadata(d, now), yyjson_mut_str(d, "generation"),
                                     yyjson_mut_int(d, g));
        }
        o = keep(tw, p, d);
        yyjson_val *left = mh_json_get(new, "metadata", "finalizers", NULL);
        if (mh_json_get(new, "metadata", "deletionTimestamp", NULL) && !yyjson_arr_size(left)) {
            yyjson_mut_doc_free(d);
            (void)answer_with(tw, a, 200, yyjson_doc_get_root(o->doc));
            drop(tw, o);
            return true;
        }
    }
    yyjson_mut_doc_free(d);
    return answer_with(tw, a, 200, yyjson_doc_get_root(o->doc));
}

static bool
patch(struct tw *tw, struct tw_path *p, const struct tw_request *r, struct tw_answer *a)
{
    if (strcmp(r->content_type, MH_PATCH_JSON) == 0)
        return refuse(tw, a, 415, "UnsupportedMediaType", p->name);
    if (strcmp(r->content_type, MH_PATCH_APPLY) == 0 && !*p->sub && !find(tw, p))
        return create(tw, p, r, a);
    return change(tw, p, r, a, false);
}

static bool delete (struct tw *tw, const struct tw_path *p, const struct tw_request *r,
                    struct tw_answer *a)
{
    struct object *o = find(tw, p);
    if (!o)
        return refuse(tw, a, 404, "NotFound", p->name);
    if (stale(o, mh_json_get(r->body, "preconditions", NULL)))
        return refuse(tw, a, 409, "Conflict", p->name);
    yyjson_val *v = yyjson_doc_get_root(o->doc);
    if (yyjson_arr_size(mh_json_get(v, "metadata", "finalizers", NULL)) > 0) {
        char when[MH_TIME_TEXT];
        yyjson_mut_doc *d = yyjson_doc_mut_copy(o->doc, NULL);
        yyjson_mut_val *m = metadata(d, yyjson_mut_doc_get_root(d));
        mh_time_rfc3339(when, tw->wall_us / 1000000);
        if (!yyjson_mut_obj_get(m, "deletionTimestamp")) {
            set_str(d, m, "deletionTimestamp", when);
            o = keep(tw, p, d);
        }
        yyjson_mut_doc_free(d);
        return answer_with(tw, a, 200, yyjson_doc_get_root(o->doc));
    }
    (void)answer_with(tw, a, 200, v);
    drop(tw, o);
    return true;
}

bool
tw_store_answer(struct tw *tw, const struct tw_request *r, struct tw_answer *a)
{
    struct tw_path p;
    if (!tw_path_parse(r->path, &p))
        return false;
    if (strcmp(r->method, "GET") == 0 && !*p.name)
        return list(tw, &p, r, a);
    if (strcmp(r->method, "GET") == 0) {
        struct object *o = find(tw, &p);
        return o ? answer_with(tw, a, 200, yyjson_doc_get_root(o->doc))
                 : refuse(tw, a, 404, "NotFound", p.name);
    }
    if (strcmp(r->method, "POST") == 0 && !*p.name)
        return create(tw, &p, r, a);
    if (strcmp(r->method, "POST") == 0)
        return answer_with(tw, a, 201, r->body);
    if (strcmp(r->method, "PUT") == 0)
        return change(tw, &p, r, a, true);
    if (strcmp(r->method, "PATCH") == 0)
        return patch(tw, &p, r, a);
    return strcmp(r->method, "DELETE") == 0 ? delete (tw, &p, r, a) : false;
}

/* --- what tests do --------------------------------------------------------------------------- */

void
tw_store(struct tw *tw)
{
    tw->state->store = true;
}

void
tw_put(struct tw *tw, const char *path, const char *json)
{
    struct tw_path p;
    yyjson_doc *in = yyjson_read(json, strlen(json), 0);
    if (!in || !tw_path_parse(path, &p) || !*p.name)
        abort();
    yyjson_mut_doc *d = yyjson_doc_mut_copy(in, NULL);
    yyjson_mut_val *o = yyjson_mut_doc_get_root(d);
    struct object *old = find(tw, &p);
    if (old && !yyjson_mut_obj_get(metadata(d, o), "uid"))
        take_key(d, metadata(d, o), mh_json_get(yyjson_doc_get_root(old->doc), "metadata", NULL),
                 "uid");
    complete(tw, d, o, &p);
    (void)keep(tw, &p, d);
    yyjson_mut_doc_free(d);
    yyjson_doc_free(in);
}

void
tw_remove(struct tw *tw, const char *path)
{
    struct tw_path p;
    struct object *o = tw_path_parse(path, &p) ? find(tw, &p) : NULL;
    if (o)
        drop(tw, o);
}

yyjson_val *
tw_object(struct tw *tw, const char *path)
{
    struct tw_path p;
    struct object *o = tw_path_parse(path, &p) ? find(tw, &p) : NULL;
    return o ? yyjson_doc_get_root(o->doc) : NULL;
}

int
tw_objects(struct tw *tw, const char *prefix)
{
    int n = 0;
    char path[1024];
    for (int i = 0; i < tw->state->objects.len; i++) {
        full_path(path, &((struct object *)tw->state->objects.items[i])->path);
        n += mh_str_starts(path, prefix);
    }
    return n;
}

void
tw_store_free(struct tw *tw)
{
    for (int i = 0; i < tw->state->objects.len; i++) {
        struct object *o = tw->state->objects.items[i];
        yyjson_doc_free(o->doc);
        free(o);
    }
    free(tw->state->objects.items);
}
