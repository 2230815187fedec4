/* Garbage collection, and the end of namespaces. */
#include <string.h>

#include "sandbox/rest_in.h"

void
mh_sb_gc_note(struct mh_sb_api *api, struct mh_sb_resource *r, struct mh_sb_obj *before,
              struct mh_sb_obj *now, bool removed)
{
    (void)api, (void)r, (void)before, (void)now, (void)removed;
}

void
mh_sb_gc_run(struct mh_sb_api *api)
{
    (void)api;
}

bool
mh_sb_gc_init(struct mh_sb_api *api)
{
    (void)api;
    return true;
}

void
mh_sb_gc_free(struct mh_sb_api *api)
{
    (void)api;
}

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
