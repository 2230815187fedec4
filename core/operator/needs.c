/* needs.c - whether a text that is about to run was granted what it needs; and records that go. */
#include "operator/needs.h"

#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "kube/client.h"
#include "operator/needs_record.h"

#define ARENA ((size_t)1 << 20)
#define CALLS_MAX 200
#define YOUNG_US (120 * 1000000LL) /* so long a record may be there before its ConfigMap */

/* A write that nobody waits for. */
struct mh_needs_call {
    struct mh_needs *needs;
    struct mh_needs_call *next;
    struct mh_arena arena;
    struct mh_api_call call;
};

void
mh_needs_init(struct mh_needs *n)
{
    n->calls = NULL;
}

static void
drop(struct mh_needs_call *c)
{
    struct mh_needs_call **at = &c->needs->calls;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    mh_arena_release(&c->arena);
    mh_free(c);
}

void
mh_needs_release(struct mh_needs *n)
{
    while (n->calls) {
        n->api.cancel(n->api.self, &n->calls->call);
        drop(n->calls);
    }
}

/* --- writes ------------------------------------------------------------------------------------- */

static void
on_written(struct mh_api_call *call)
{
    struct mh_needs_call *c = call->arg;
    enum mh_code code = call->err.code;
    if (code == MH_OK && !mh_str_eq(call->method, "DELETE"))
        mh_cache_wrote(c->needs->cache, c->needs->kind, call->reply);
    /* Somebody was quicker: then there is a newer record, of which we hear. */
    if (code != MH_OK && code != MH_E_NOTFOUND && code != MH_E_CONFLICT)
        mh_warn("needs", "record of granted needs not written", "error", call->err.msg);
    drop(c);
}

static bool
may_write(const struct mh_needs *n)
{
    return !n->may_write || n->may_write(n->arg);
}

/* method: DELETE or PATCH of a record; body is made by make on the arena of the call. */
static void
send_write(struct mh_needs *n, const char *method, yyjson_val *record, const char *key)
{
    const char *name = mh_json_str(record, "metadata", "name", NULL);
    const char *rv = mh_json_str(record, "metadata", "resourceVersion", NULL);
    size_t open = 0;
    struct mh_buf b;
    for (const struct mh_needs_call *c = n->calls; c; c = c->next)
        open++;
    struct mh_needs_call *c =
        name && rv && open < CALLS_MAX && may_write(n) ? mh_calloc(1, sizeof(*c)) : NULL;
    if (!c)
        return;
    mh_arena_init(&c->arena, ARENA);
    mh_buf_init(&b, 4096);
    (void)mh_buf_str(&b, key ? "{\"metadata\":{\"resourceVersion\":"
                             : "{\"preconditions\":{\"resourceVersion\":");
    (void)mh_json_quote(&b, rv, strlen(rv));
    if (key) {
        (void)mh_buf_str(&b, "},\"record\":{\"scripts\":{");
        (void)mh_json_quote(&b, key, strlen(key));
        (void)mh_buf_str(&b, ":{\"seen\":true}}");
    }
    (void)mh_buf_str(&b, "}}");
    const char *body = b.failed ? NULL : mh_arena_strndup(&c->arena, mh_buf_text(&b), b.len);
    mh_buf_release(&b);
    c->needs = n;
    c->next = n->calls;
    n->calls = c;
    c->call = (struct mh_api_call){
        .method = method,
        .path = mh_kube_path(&c->arena, n->kind, n->name_space, name, NULL),
        .content_type = key ? MH_PATCH_MERGE : NULL,
        .body = body,
        .body_len = body ? strlen(body) : 0,
        .arena = &c->arena,
        .done = on_written,
        .arg = c,
    };
    if (c->call.path && body)
        n->api.start(n->api.self, &c->call);
    else
        drop(c);
}

/* --- granted? ----------------------------------------------------------------------------------- */

/* The declared needs as a set, in the text's own namespace. */
static enum mh_code
read_set(const struct mh_needs *n, const struct mh_needs_text *t, yyjson_val *declared,
         struct mh_arena *a, struct mh_needs_set *out, struct mh_err *err)
{
    bool home = mh_str_eq(t->name_space, n->name_space);
    return mh_needs_parse(a, declared, home ? NULL : t->name_space, out, err);
}

/* Whether this record grants it; one that is met for the first time is marked as seen. */
static bool
grants(struct mh_needs *n, yyjson_val *record, const struct mh_needs_text *t,
       const struct mh_needs_set *set, struct mh_arena *a)
{
    char sha[MH_SHA256_HEX];
    mh_sha256_hex(sha, t->script, t->script_len);
    enum mh_needs_found found = mh_needs_record_find(record, t, sha, set->text, a);
    if (found == MH_NEEDS_NEW)
        send_write(n, "PATCH", record, t->key);
    return found == MH_NEEDS_NEW || found == MH_NEEDS_KNOWN;
}

bool
mh_needs_granted(struct mh_needs *n, const struct mh_needs_text *t, yyjson_val *declared,
                 struct mh_arena *a, struct mh_needs_set *out)
{
    struct mh_err err;
    bool ok = read_set(n, t, declared, a, out, &err) == MH_OK;
    const char *name = ok ? mh_needs_record_name(a, t->name_space, t->name) : NULL;
    yyjson_val *record = name && !mh_needs_empty(out)
                             ? mh_cache_get(n->cache, a, n->kind, n->name_space, name, NULL)
                             : NULL;
    ok = ok && (mh_needs_empty(out) || (record && grants(n, record, t, out, a)));
    if (!ok)
        *out = (struct mh_needs_set){ .text = "{}" };
    return ok;
}

/* --- the same, with a look at the API server ---------------------------------------------------- */

static void
answer(struct mh_needs_ask *q, bool granted, const char *why)
{
    q->granted = granted;
    q->why = granted ? NULL : why;
    if (!granted)
        q->set = (struct mh_needs_set){ .text = "{}" };
    q->done(q);
}

/* What the author can do. */
static const char *
advice(struct mh_needs_ask *q)
{
    const char *text = mh_arena_printf(
        q->arena,
        MH_NEEDS_REASON
        ": nobody with the rights that %.100s needs was seen to write this text: delete ConfigMap "
        "%.100s and apply it again, as a user who has them, while the operator's webhook answers",
        q->text.key, q->text.name);
    return text ? text : MH_NEEDS_REASON;
}

static void
on_read(struct mh_api_call *call)
{
    struct mh_needs_ask *q = call->arg;
    q->calling = false;
    if (call->err.code != MH_OK && call->err.code != MH_E_NOTFOUND) {
        const char *why = mh_arena_printf(
            q->arena, "whether its needs were checked cannot be read: %.300s", call->err.msg);
        answer(q, false, why ? why : "no memory");
        return;
    }
    if (call->err.code == MH_OK)
        mh_cache_wrote(q->needs->cache, q->needs->kind, call->reply);
    bool ok = call->err.code == MH_OK && grants(q->needs, call->reply, &q->text, &q->set, q->arena);
    answer(q, ok, ok ? NULL : advice(q));
}

void
mh_needs_ask(struct mh_needs *n, struct mh_needs_ask *q)
{
    struct mh_err err = { .code = MH_OK };
    q->needs = n;
    q->calling = false;
    if (mh_needs_granted(n, &q->text, q->declared, q->arena, &q->set)) {
        answer(q, true, NULL);
        return;
    }
    if (read_set(n, &q->text, q->declared, q->arena, &q->set, &err) != MH_OK) {
        const char *why = mh_arena_strdup(q->arena, err.msg);
        answer(q, false, why ? why : "no memory");
        return;
    }
    const char *name = mh_needs_record_name(q->arena, q->text.name_space, q->text.name);
    const char *path = name ? mh_kube_path(q->arena, n->kind, n->name_space, name, NULL) : NULL;
    if (!path) {
        answer(q, false, "no memory");
        return;
    }
    q->calling = true;
    q->call = (struct mh_api_call){
        .method = "GET", .path = path, .arena = q->arena, .done = on_read, .arg = q
    };
    n->api.start(n->api.self, &q->call);
}

void
mh_needs_ask_cancel(struct mh_needs_ask *q)
{
    if (q->calling)
        q->needs->api.cancel(q->needs->api.self, &q->call);
    q->calling = false;
}

/* --- records that go ---------------------------------------------------------------------------- */

static bool
is_labelled(yyjson_val *map)
{
    return mh_json_get(map, "metadata", "labels", MH_PLUGIN_LABEL, NULL) != NULL;
}

static void
map_gone(struct mh_needs *n, yyjson_val *map)
{
    const char *ns = mh_json_str(map, "metadata", "namespace", NULL);
    const char *name = mh_json_str(map, "metadata", "name", NULL);
    const char *uid = mh_json_str(map, "metadata", "uid", NULL);
    struct mh_arena a;
    mh_arena_init(&a, ARENA);
    const char *record_name = ns && name ? mh_needs_record_name(&a, ns, name) : NULL;
    yyjson_val *record =
        record_name ? mh_cache_get(n->cache, &a, n->kind, n->name_space, record_name, NULL) : NULL;
    if (record && mh_str_eq(mh_json_str(record, "record", "configmap", "uid", NULL), uid))
        send_write(n, "DELETE", record, NULL);
    mh_arena_release(&a);
}

void
mh_needs_changed(struct mh_needs *n, const struct mh_kind *kind, yyjson_val *old, yyjson_val *now)
{
    if (kind == n->map_kind && is_labelled(old) && !is_labelled(now))
        map_gone(n, old);
    if (kind != n->kind || !n->on_change)
        return;
    yyjson_val *of = mh_json_get(now ? now : old, "record", "configmap", NULL);
    const char *ns = mh_json_str(of, "namespace", NULL), *name = mh_json_str(of, "name", NULL);
    if (ns && name)
        n->on_change(n->arg, ns, name);
}

static bool
is_left_over(struct mh_needs *n, struct mh_arena *a, yyjson_val *record)
{
    yyjson_val *of = mh_json_get(record, "record", "configmap", NULL);
    const char *ns = mh_json_str(of, "namespace", NULL), *name = mh_json_str(of, "name", NULL);
    int64_t at = mh_needs_record_time(record);
    if (at + YOUNG_US > n->clock.wall_us(n->clock.self))
        return false;
    struct mh_err err = { .code = MH_E_NOTFOUND };
    yyjson_val *map = ns && name ? mh_cache_get(n->cache, a, n->map_kind, ns, name, &err) : NULL;
    if (!map)
        return err.code == MH_E_NOTFOUND; /* and not for want of memory */
    return !is_labelled(map) ||
           !mh_str_eq(mh_json_str(map, "metadata", "uid", NULL), mh_json_str(of, "uid", NULL));
}

void
mh_needs_sweep(struct mh_needs *n)
{
    struct mh_cache_query query = { .kind = n->kind, .name_space = n->name_space };
    struct mh_arena a;
    yyjson_val **items = NULL;
    if (!may_write(n) || !mh_cache_synced(n->cache, n->map_kind))
        return;
    mh_arena_init(&a, (size_t)64 << 20);
    int len = mh_cache_list(n->cache, &a, &query, &items);
    for (int i = 0; i < len; i++)
        if (is_left_over(n, &a, items[i]))
            send_write(n, "DELETE", items[i], NULL);
    mh_arena_release(&a);
}
