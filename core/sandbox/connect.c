#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/connect_in.h"

static struct connect_any *all;

void
mh_sb_connect_add(struct connect_any *c, void (*end)(struct connect_any *))
{
    c->end = end;
    c->next = all;
    c->at = &all;
    if (c->next)
        c->next->at = &c->next;
    all = c;
}

void
mh_sb_connect_remove(struct connect_any *c)
{
    if (c->next)
        c->next->at = c->at;
    *c->at = c->next;
}

void
mh_sb_connect_stop(void)
{
    while (all)
        all->end(all);
}

/* --- the query ---------------------------------------------------------------------------------------------- */

static int
hex_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static char *
decoded(struct mh_arena *a, const char *p, size_t n)
{
    char *out = mh_arena_alloc(a, n + 1);
    size_t k = 0;
    for (size_t i = 0; out && i < n; i++) {
        int hi = p[i] == '%' && i + 2 < n ? hex_of(p[i + 1]) : -1;
        int lo = hi >= 0 ? hex_of(p[i + 2]) : -1;
        if (lo >= 0) {
            out[k++] = (char)(hi << 4 | lo);
            i += 2;
        } else {
            out[k++] = p[i];
            if (p[i] == '+')
                out[k - 1] = ' ';
        }
    }
    return out;
}

const char *
mh_sb_connect_query(struct connect_ask *k, const char *name, int i)
{
    const char *p = strchr(k->req->path, '?');
    size_t n = strlen(name);
    while (p && *p) {
        p++;
        size_t len = strcspn(p, "&");
        bool same = len >= n && strncmp(p, name, n) == 0 && (len == n || p[n] == '=');
        if (same && i-- == 0)
            return len > n ? decoded(k->req->arena, p + n + 1, len - n - 1) : "";
        p += len;
    }
    return NULL;
}

bool
mh_sb_connect_flag(struct connect_ask *k, const char *name)
{
    const char *s = mh_sb_connect_query(k, name, 0);
    return mh_str_eq(s, "true") || mh_str_eq(s, "1");
}

/* --- answers ------------------------------------------------------------------------------------------------ */

void
mh_sb_connect_refuse(struct connect_ask *k, int status, const char *reason, const char *text)
{
    mh_sb_refuse(k->req, status, reason, text ? text : "no memory");
    k->req->done(k->req);
}

void
mh_sb_connect_error(struct connect_ask *k, const struct mh_err *err)
{
    const char *text = mh_arena_strdup(k->req->arena, err->msg);
    if (err->code == MH_E_NOTFOUND)
        mh_sb_connect_refuse(k, 404, "NotFound", text);
    else if (err->code == MH_E_UNAVAILABLE || err->code == MH_E_INVALID)
        mh_sb_connect_refuse(k, 400, "BadRequest", text);
    else
        mh_sb_connect_refuse(k, 500, "InternalError", text);
}

/* --- which container ------------------------------------------------------------------------------------------ */

static const char *const lists[] = { "containers", "initContainers", "ephemeralContainers" };

static bool
has_container(yyjson_val *pod, const char *name)
{
    for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
        size_t i, n;
        yyjson_val *c;
        yyjson_arr_foreach(mh_json_get(pod, "spec", lists[l], NULL), i, n, c)
        {
            if (mh_str_eq(mh_json_str(c, "name", NULL), name))
                return true;
        }
    }
    return false;
}

static const char *
names_of(struct connect_ask *k)
{
    const char *text = "";
    size_t i, n;
    yyjson_val *c;
    yyjson_arr_foreach(mh_json_get(k->pod, "spec", "containers", NULL), i, n, c)
    {
        text = mh_arena_printf(k->req->arena, "%s%s%s", text, i ? " " : "",
                               mh_json_str(c, "name", NULL));
        if (!text)
            return "";
    }
    return text;
}

const char *
mh_sb_connect_container(struct connect_ask *k)
{
    struct mh_arena *a = k->req->arena;
    yyjson_val *list = mh_json_get(k->pod, "spec", "containers", NULL);
    const char *marked = mh_json_str(k->pod, "metadata", "annotations",
                                     "kubectl.kubernetes.io/default-container", NULL);
    const char *name = k->container;
    if (name && *name) {
        if (has_container(k->pod, name))
            return name;
        mh_sb_connect_refuse(
            k, 400, "BadRequest",
            mh_arena_printf(a, "container %s is not valid for pod %s", name, k->at->name));
        return NULL;
    }
    if (marked && has_container(k->pod, marked))
        return marked;
    if (yyjson_arr_size(list) == 1)
        return mh_json_str(yyjson_arr_get(list, 0), "name", NULL);
    mh_sb_connect_refuse(
        k, 400, "BadRequest",
        mh_arena_printf(a, "a container name must be specified for pod %s, choose one of: [%s]",
                        k->at->name, names_of(k)));
    return NULL;
}

/* --- the hook --------------------------------------------------------------------------------------------------- */

void
mh_sb_connect(const struct mh_sb_connect_env *env, struct mh_sb_req *req,
              const struct mh_sb_attrs *at, yyjson_val *object)
{
    struct connect_ask k = { env, req, at, object, NULL };
    const char *sub = at->subresource;
    k.container = mh_sb_connect_query(&k, "container", 0);
    if (!env->nodes)
        mh_sb_connect_refuse(&k, 503, "ServiceUnavailable", "this sandbox has no nodes");
    else if (!mh_sb_door_http(req))
        mh_sb_connect_refuse(&k, 400, "BadRequest", "only over a connection of its own");
    else if (!mh_str_eq(at->resource, "pods"))
        mh_sb_connect_refuse(&k, 501, "NotImplemented", "the sandbox has no proxy");
    else if (mh_str_eq(sub, "log"))
        mh_sb_logs(&k);
    else if (mh_str_eq(sub, "exec") || mh_str_eq(sub, "attach"))
        mh_sb_exec(&k, *sub == 'a');
    else if (mh_str_eq(sub, "portforward"))
        mh_sb_portforward(&k);
    else
        mh_sb_connect_refuse(&k, 501, "NotImplemented", "the sandbox has no proxy");
}
