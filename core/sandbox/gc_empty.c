/* The end of namespaces and CRDs: what is in them goes first. */
#include <string.h>

#include "base/str.h"
#include "sandbox/gc.h"

#define KEY_MAX 512

/* Asks for the removal of what is not yet being removed; the number that is still there. */
static size_t
remove_all(struct mh_sb_api *api, struct mh_sb_resource *r, const char *ns)
{
    size_t left = 0;
    size_t n = ns ? strlen(ns) : 0;
    struct mh_arena a;
    mh_arena_init(&a, (size_t)64 << 20);
    for (size_t i = ns ? mh_sb_table_seek(r->table, ns) : 0; i < r->table->len; i++) {
        const struct mh_sb_obj *o = r->table->items[i];
        if (ns && strncmp(o->key, ns, n) != 0)
            break;
        if (ns && o->key[n] != '/')
            continue;
        left++;
        char *path = o->deleting ? NULL : mh_sb_gc_path(&a, r, o->key, "");
        if (path)
            mh_sb_gc_ask(api, "DELETE", NULL, path,
                         "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\","
                         "\"propagationPolicy\":\"Background\"}");
    }
    mh_arena_release(&a);
    return left;
}

static void
finalize(struct mh_sb_api *api, const char *name)
{
    struct mh_arena a;
    mh_arena_init(&a, (size_t)32 << 20);
    char *path = mh_arena_printf(&a, "/api/v1/namespaces/%s/finalize", name);
    yyjson_val *ns = mh_sb_get(api, &a, "", "namespaces", NULL, name);
    yyjson_mut_doc *doc = mh_json_doc(&a);
    yyjson_mut_val *next = doc && ns ? yyjson_val_mut_copy(doc, ns) : NULL;
    yyjson_mut_val *spec = next ? mh_sb_mobj(doc, next, "spec") : NULL;
    mh_sb_mdel(spec, "finalizers");
    char *body = spec ? mh_json_mut_text(&a, next, NULL) : NULL;
    if (path && body)
        mh_sb_gc_ask(api, "PUT", NULL, path, body);
    mh_arena_release(&a);
}

/* Pods with grace hold a namespace; the others go at once. True: not yet empty. */
static bool
empty_namespace(struct mh_sb_api *api, const char *name)
{
    size_t left = 0;
    for (int i = 0; i < api->kinds.len; i++) {
        struct mh_sb_resource *r = api->kinds.items[i];
        if (!r->gone && r->namespaced && !(r->twin && *r->group) && strcmp(r->kind, "Event") != 0)
            left += remove_all(api, r, name);
    }
    if (left)
        return true;
    struct mh_sb_resource *events = mh_sb_kinds_find(&api->kinds, "", "events");
    if (events && remove_all(api, events, name))
        return true;
    finalize(api, name);
    return true; /* until it is gone */
}

static bool
empty_crd(struct mh_sb_api *api, struct mh_sb_resource *crds, const struct mh_sb_obj *o)
{
    char plural[KEY_MAX];
    const char *dot = strchr(o->key, '.');
    if (!dot || (size_t)(dot - o->key) >= sizeof(plural))
        return false;
    memcpy(plural, o->key, (size_t)(dot - o->key));
    plural[dot - o->key] = '\0';
    struct mh_sb_resource *r = mh_sb_kinds_find(&api->kinds, dot + 1, plural);
    if (r && r->custom && remove_all(api, r, NULL))
        return true;
    if (memmem(o->text, o->len, MH_SB_CRD_FINALIZER, strlen(MH_SB_CRD_FINALIZER)))
        mh_sb_gc_drop_finalizer(api, crds, o, MH_SB_CRD_FINALIZER);
    return true;
}

void
mh_sb_gc_empty(struct mh_sb_api *api)
{
    struct mh_sb_gc *gc = api->gc;
    struct mh_sb_gc_item *i = gc->empty.first;
    struct mh_sb_gc_item *kept = NULL;
    if (gc->running) { /* what was asked for is under way */
        return;
    }
    gc->empty.first = NULL;
    while (i) {
        struct mh_sb_gc_item *next = i->next;
        const struct mh_sb_obj *o = mh_sb_table_get(i->r->table, i->key);
        bool more = o && o->deleting &&
                    (strcmp(i->r->kind, "Namespace") == 0 ? empty_namespace(api, i->key)
                                                          : empty_crd(api, i->r, o));
        if (more) {
            i->next = kept;
            kept = i;
        } else {
            mh_free(i);
        }
        i = next;
    }
    gc->empty.first = kept;
}

/* --- what may be created ----------------------------------------------------------------------- */

bool
mh_sb_namespace_open(struct mh_sb_api *api, struct mh_sb_req *req, const struct mh_sb_resource *r,
                     const char *ns, const char *name)
{
    static const char uncreatable[] = "unable to create new content in namespace %s because it is "
                                      "being terminated";
    if (!r->namespaced)
        return true;
    struct mh_sb_resource *spaces = mh_sb_kinds_find(&api->kinds, "", "namespaces");
    struct mh_sb_obj *o = mh_sb_table_get(spaces->table, ns);
    if (!o) {
        mh_sb_not_found(req, spaces, ns);
        return false;
    }
    if (!o->deleting)
        return true;
    yyjson_mut_doc *doc = mh_json_doc(req->arena);
    yyjson_mut_val *d = doc ? yyjson_mut_obj(doc) : NULL;
    if (!d) {
        mh_sb_no_memory(req);
        return false;
    }
    char *why = mh_arena_printf(req->arena, uncreatable, ns);
    yyjson_mut_obj_add_str(doc, d, "name", name);
    if (*r->group)
        yyjson_mut_obj_add_str(doc, d, "group", r->group);
    yyjson_mut_obj_add_str(doc, d, "kind", r->plural);
    yyjson_mut_val *c = yyjson_mut_arr_add_obj(doc, yyjson_mut_obj_add_arr(doc, d, "causes"));
    yyjson_mut_obj_add_str(doc, c, "reason", "NamespaceTerminating");
    yyjson_mut_obj_add_str(doc, c, "message",
                           mh_arena_printf(req->arena, "namespace %s is being terminated", ns));
    yyjson_mut_obj_add_str(doc, c, "field", "metadata.namespace");
    mh_sb_status(req, 403, "Forbidden",
                 mh_arena_printf(req->arena, "%s \"%s\" is forbidden: %s",
                                 mh_sb_resource_text(req->arena, r), name, why ? why : ""),
                 d, doc);
    return false;
}
