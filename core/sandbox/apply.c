#include "sandbox/apply.h"

#include <string.h>

#include "base/str.h"
#include "base/time.h"

#define ARENA_MAX ((size_t)32 << 20)
#define AGAIN_NS (50 * MH_NS_PER_MS)
#define PATIENCE_MS 10000

static void next(struct mh_sb_apply *ap);

static void
finish(struct mh_sb_apply *ap, const struct mh_err *err)
{
    static const struct mh_err none;
    struct mh_err copy = err ? *err : none;
    mh_arena_release(&ap->arena);
    ap->on_done(ap, &copy);
}

static void
fail(struct mh_sb_apply *ap, struct mh_err *err)
{
    (void)mh_wrap(err, "%s", ap->what ? ap->what : "an object");
    finish(ap, err);
}

static void
again(void *arg)
{
    struct mh_sb_apply *ap = arg;
    ap->timer = NULL;
    next(ap);
}

/* Later, or never when the patience is at its end. */
static void
retry(struct mh_sb_apply *ap)
{
    int64_t patience = ap->patience_ms ? ap->patience_ms : PATIENCE_MS;
    struct mh_err err = ap->call.err;
    if (ap->clock.mono_ns(ap->clock.self) - ap->since_ns > patience * MH_NS_PER_MS) {
        fail(ap, &err);
        return;
    }
    ap->timer = ap->clock.after(ap->clock.self, AGAIN_NS, again, ap);
    if (!ap->timer)
        fail(ap, &err);
}

static bool
may_come(enum mh_code code)
{
    return code == MH_E_NOTFOUND || mh_class_of(code) == MH_RETRY || code == MH_E_CONFLICT;
}

static void
on_written(struct mh_api_call *call)
{
    struct mh_sb_apply *ap = call->arg;
    ap->busy = false;
    bool there = ap->create_only && call->err.code == MH_E_EXISTS;
    if (call->err.code == MH_OK || there) {
        ap->at++;
        ap->since_ns = 0;
        next(ap);
    } else if (may_come(call->err.code)) {
        retry(ap);
    } else {
        fail(ap, &call->err);
    }
}

static const char *
name_of(yyjson_val *o)
{
    const char *s = mh_json_str(o, "metadata", "name", NULL);
    return s ? s : "";
}

/* The object with its namespace put in, as text. */
static char *
body_of(struct mh_sb_apply *ap, yyjson_val *o, const char *ns, size_t *len)
{
    yyjson_mut_doc *d = mh_json_doc(&ap->arena);
    yyjson_mut_val *copy = d ? yyjson_val_mut_copy(d, o) : NULL;
    yyjson_mut_val *meta = yyjson_mut_obj_get(copy, "metadata");
    if (ns && meta && !yyjson_mut_obj_get(meta, "namespace"))
        (void)yyjson_mut_obj_add_str(d, meta, "namespace", ns);
    return copy ? mh_json_mut_text(&ap->arena, copy, len) : NULL;
}

static void
write_object(struct mh_sb_apply *ap, const char *plural, bool namespaced)
{
    yyjson_val *o = ap->objects[ap->at];
    struct mh_arena *a = &ap->arena;
    const char *version = mh_json_str(o, "apiVersion", NULL);
    const char *ns = mh_json_str(o, "metadata", "namespace", NULL);
    ns = !namespaced ? NULL : ns ? ns : ap->ns ? ap->ns : "default";
    const char *root = strchr(version, '/') ? "apis" : "api";
    char *path = ns ? mh_arena_printf(a, "/%s/%s/namespaces/%s/%s", root, version, ns, plural)
                    : mh_arena_printf(a, "/%s/%s/%s", root, version, plural);
    if (path && !ap->create_only)
        path =
            mh_arena_printf(a, "%s/%s?fieldManager=" MH_SB_MANAGER "&force=true", path, name_of(o));
    else if (path)
        path = mh_arena_printf(a, "%s?fieldManager=" MH_SB_MANAGER, path);
    ap->what = mh_arena_printf(a, "%s %s%s%s", mh_json_str(o, "kind", NULL), ns ? ns : "",
                               ns ? "/" : "", name_of(o));
    ap->call = (struct mh_api_call){ .method = ap->create_only ? "POST" : "PATCH",
                                     .path = path,
                                     .content_type = ap->create_only ? NULL : MH_PATCH_APPLY,
                                     .timeout_ms = 60000,
                                     .arena = a,
                                     .done = on_written,
                                     .arg = ap };
    ap->call.body = body_of(ap, o, ns, &ap->call.body_len);
    if (!path || !ap->call.body) {
        struct mh_err err;
        (void)mh_fail(&err, MH_E_NOMEM, "no memory for a manifest");
        fail(ap, &err);
        return;
    }
    ap->busy = true;
    ap->api.start(ap->api.self, &ap->call);
}

static void
on_discovered(struct mh_api_call *call)
{
    struct mh_sb_apply *ap = call->arg;
    yyjson_val *o = ap->objects[ap->at];
    const char *kind = mh_json_str(o, "kind", NULL);
    ap->busy = false;
    if (call->err.code != MH_OK && !may_come(call->err.code)) {
        fail(ap, &call->err);
        return;
    }
    yyjson_arr_iter i = yyjson_arr_iter_with(yyjson_obj_get(call->reply, "resources"));
    yyjson_val *v;
    while (call->err.code == MH_OK && (v = yyjson_arr_iter_next(&i))) {
        const char *plural = mh_json_str(v, "name", NULL);
        if (!plural || strchr(plural, '/') || !mh_str_eq(mh_json_str(v, "kind", NULL), kind))
            continue;
        write_object(ap, plural, mh_json_bool(v, false, "namespaced", NULL));
        return;
    }
    if (call->err.code == MH_OK)
        (void)mh_fail(&call->err, MH_E_NOTFOUND, "the API server has no kind %s in %s", kind,
                      mh_json_str(o, "apiVersion", NULL));
    retry(ap);
}

static void
next(struct mh_sb_apply *ap)
{
    struct mh_err err = { 0 };
    mh_arena_release(&ap->arena);
    mh_arena_init(&ap->arena, ARENA_MAX);
    if (ap->at == ap->n) {
        finish(ap, NULL);
        return;
    }
    yyjson_val *o = ap->objects[ap->at];
    const char *version = mh_json_str(o, "apiVersion", NULL);
    const char *kind = mh_json_str(o, "kind", NULL);
    if (!ap->since_ns)
        ap->since_ns = ap->clock.mono_ns(ap->clock.self);
    if (!version || !kind || !*name_of(o)) {
        ap->what = "a manifest";
        (void)mh_fail(&err, MH_E_INVALID, "apiVersion, kind or metadata.name is missing");
        fail(ap, &err);
        return;
    }
    ap->what = mh_arena_printf(&ap->arena, "%s %s", kind, name_of(o));
    ap->call = (struct mh_api_call){ .method = "GET",
                                     .path = mh_arena_printf(&ap->arena, "/%s/%s",
                                                             strchr(version, '/') ? "apis" : "api",
                                                             version),
                                     .arena = &ap->arena,
                                     .done = on_discovered,
                                     .arg = ap };
    ap->busy = true;
    ap->api.start(ap->api.self, &ap->call);
}

void
mh_sb_apply_start(struct mh_sb_apply *ap)
{
    mh_arena_init(&ap->arena, ARENA_MAX);
    ap->at = 0;
    ap->since_ns = 0;
    ap->timer = NULL;
    ap->timer = ap->clock.after(ap->clock.self, 0, again, ap);
    if (!ap->timer)
        next(ap);
}

void
mh_sb_apply_cancel(struct mh_sb_apply *ap)
{
    ap->clock.cancel(ap->clock.self, ap->timer);
    ap->timer = NULL;
    if (ap->busy)
        ap->api.cancel(ap->api.self, &ap->call);
    mh_arena_release(&ap->arena);
}
