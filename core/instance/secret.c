#include "instance/secret.h"

#include <string.h>

#include "base/log.h"
#include "net/crypto.h"

#define SECRET_MAX ((size_t)4 << 20)

struct read {
    struct mh_api_call call;
    struct mh_arena arena;
    struct mh_agent *g;
    mh_secret_fn done;
    void *arg;
};

static void
on_read(struct mh_api_call *call)
{
    struct read *r = call->arg;
    bool ok = call->err.code == MH_OK;
    if (!ok)
        mh_log_err(MH_LOG_WARNING, "secret", "cannot be read", &call->err, "path", call->path);
    r->done(r->g, r->arg, ok ? call->reply : NULL, &r->arena);
    mh_arena_release(&r->arena);
    mh_free(r);
}

bool
mh_secret_read(struct mh_agent *g, const char *name, mh_secret_fn done, void *arg)
{
    struct read *r = mh_calloc(1, sizeof(*r));
    if (!r)
        return false;
    mh_arena_init(&r->arena, SECRET_MAX);
    r->g = g;
    r->done = done;
    r->arg = arg;
    r->call =
        (struct mh_api_call){ .method = "GET", .arena = &r->arena, .done = on_read, .arg = r };
    r->call.path = mh_arena_printf(&r->arena, "/api/v1/namespaces/%s/secrets/%s", g->id.ns, name);
    if (!r->call.path) {
        mh_arena_release(&r->arena);
        mh_free(r);
        return false;
    }
    g->w.api.start(g->w.api.self, &r->call);
    return true;
}

char *
mh_secret_value(struct mh_arena *a, yyjson_val *secret, const char *key)
{
    const char *b64 = mh_json_str(secret, "data", key, NULL);
    size_t len = 0;
    char *text = b64 ? mh_base64_decode(a, b64, strlen(b64), &len) : NULL;
    return text && strlen(text) == len ? text : NULL;
}
