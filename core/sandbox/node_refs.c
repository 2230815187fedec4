/* node_refs.c - secrets, config maps, claims and volumes that pods here need. */
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "sandbox/node_in.h"

static const char *
path_of(struct mh_arena *a, const char *plural, const char *ns, const char *name)
{
    if (*ns)
        return mh_arena_printf(a, "/api/v1/namespaces/%s/%s/%s", ns, plural, name);
    return mh_arena_printf(a, "/api/v1/%s/%s", plural, name);
}

/* Everybody who may wait for it looks again; volumes are written again where they changed. */
static void
tell(struct mh_sb_nodes *n)
{
    for (struct mh_sb_pod *p = n->pods; p; p = p->next)
        mh_sb_pod_later(p, 0);
}

static void
set(struct mh_sb_ref *r, yyjson_val *object)
{
    struct mh_arena fresh;
    yyjson_val *copy = NULL;
    mh_arena_init(&fresh, 3 * MH_SB_OBJECT_MAX);
    size_t len = 0;
    char *text = object ? mh_json_text(&fresh, object, &len) : NULL;
    if (object && (!text || mh_json_parse(&fresh, text, len, &copy, NULL) != MH_OK)) {
        mh_arena_release(&fresh);
        return;
    }
    mh_arena_release(&r->arena);
    r->arena = fresh;
    r->object = copy;
    r->state = copy ? MH_SB_REF_THERE : MH_SB_REF_MISSING;
    tell(r->nodes);
}

static void
on_got(struct mh_api_call *call)
{
    struct mh_sb_ref *r = call->arg;
    r->calling = false;
    if (r->state == MH_SB_REF_ASKED) {
        if (call->err.code == MH_OK)
            set(r, call->reply);
        else
            set(r, NULL); /* a watch says when it is there */
    }
    mh_arena_release(&r->call_arena);
}

struct mh_sb_ref *
mh_sb_ref_get(struct mh_sb_nodes *n, const char *plural, const char *ns, const char *name)
{
    char key[700];
    (void)snprintf(key, sizeof(key), "%s/%s/%s", plural, ns, name);
    struct mh_sb_ref *r = mh_map_get(&n->refs, key);
    if (r)
        return r;
    r = mh_calloc(1, sizeof(*r));
    if (!r || !mh_map_put(&n->refs, key, r, NULL)) {
        mh_free(r);
        return NULL;
    }
    r->nodes = n;
    mh_arena_init(&r->arena, 1024);
    mh_arena_init(&r->call_arena, 3 * MH_SB_OBJECT_MAX);
    r->call = (struct mh_api_call){ .method = "GET",
                                    .path = path_of(&r->call_arena, plural, ns, name),
                                    .arena = &r->call_arena,
                                    .done = on_got,
                                    .arg = r };
    if (r->call.path) {
        r->calling = true;
        n->spec.api.start(n->spec.api.self, &r->call);
    }
    return r;
}

void
mh_sb_ref_heard(struct mh_sb_nodes *n, const char *plural, yyjson_val *object, bool gone)
{
    char key[700];
    const char *ns = mh_json_str(object, "metadata", "namespace", NULL);
    const char *name = mh_json_str(object, "metadata", "name", NULL);
    (void)snprintf(key, sizeof(key), "%s/%s/%s", plural, ns ? ns : "", name ? name : "");
    struct mh_sb_ref *r = mh_map_get(&n->refs, key);
    if (r)
        set(r, gone ? NULL : object);
}

void
mh_sb_refs_release(struct mh_sb_nodes *n)
{
    for (size_t i = 0; i < n->refs.len; i++) {
        struct mh_sb_ref *r = n->refs.entries[i].value;
        if (r->calling)
            n->spec.api.cancel(n->spec.api.self, &r->call);
        mh_arena_release(&r->call_arena);
        mh_arena_release(&r->arena);
        mh_free(r);
    }
    mh_map_release(&n->refs);
}
