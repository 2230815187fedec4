/* base/world.h's API inside the process: calls and watches of controllers, nodes, simulation. */
#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "kube/client_impl.h"
#include "sandbox/rest_in.h"

#define CALL_MAX ((size_t)256 << 20)
#define RETRY_NS MH_NS_PER_S

struct call {
    struct call *next;
    struct mh_sb_direct_user *user;
    struct mh_api_call *call; /* NULL: cancelled */
    struct mh_sb_req req;
    struct mh_arena arena; /* of the request; the reply is made on the call's */
    bool running;
};

struct mh_watch {
    struct mh_watch *next;
    struct mh_sb_direct_user *user;
    struct mh_watch_spec spec;
    char *path;
    struct mh_sb_watch *watch;
    struct mh_timer *retry;
    bool busy;
    bool gone;
    bool lost; /* LOST was told */
    bool reopen;
};

struct mh_sb_direct_user {
    struct mh_sb_direct_user *next;
    struct mh_sb_api *api;
    char *name;
    const char *groups[4];
    struct call *first; /* not begun, in order */
    struct call **last;
    struct call *running;
    struct mh_watch *watches;
};

/* --- calls ----------------------------------------------------------------------------------- */

static void
free_call(struct call *c)
{
    mh_arena_release(&c->arena);
    mh_free(c);
}

static void
answered(struct mh_sb_req *req)
{
    struct call *c = req->arg;
    struct mh_api_call *call = c->call;
    struct call **p = &c->user->running;
    while (*p && *p != c)
        p = &(*p)->next;
    if (*p)
        *p = c->next;
    if (call) {
        call->impl = NULL;
        call->status = req->status;
        call->retry_after_ms = req->retry_after_s * 1000;
        call->reply = NULL;
        call->err = (struct mh_err){ 0 };
        bool json = req->reply_type && strcmp(req->reply_type, "application/json") == 0;
        struct mh_err err = { 0 };
        if (json && req->reply_len)
            (void)mh_json_parse(call->arena, req->reply, req->reply_len, &call->reply, &err);
        if (req->status >= 300)
            (void)mh_kube_error(req->status, call->reply, call->path, &call->err);
        else if (err.code != MH_OK)
            call->err = err;
        call->done(call);
    }
    free_call(c);
}

static void
begin(struct call *c)
{
    struct mh_api_call *call = c->call;
    c->next = c->user->running;
    c->user->running = c;
    c->running = true;
    struct mh_sb_req *r = &c->req;
    *r = (struct mh_sb_req){ .user = c->user->name,
                             .groups = c->user->groups,
                             .method = mh_arena_strdup(&c->arena, call->method),
                             .path = mh_arena_strdup(&c->arena, call->path),
                             .content_type = mh_arena_strdup(&c->arena, call->content_type),
                             .user_agent = c->user->name,
                             .body = mh_arena_strndup(&c->arena, call->body ? call->body : "",
                                                      call->body ? call->body_len : 0),
                             .body_len = call->body ? call->body_len : 0,
                             .trusted = true,
                             .arena = &c->arena,
                             .done = answered,
                             .arg = c };
    if (r->method && r->path && r->body) {
        mh_sb_serve(c->user->api, r);
        return;
    }
    mh_sb_no_memory(r);
    answered(r);
}

static void
start_call(void *self, struct mh_api_call *call)
{
    struct mh_sb_direct_user *u = self;
    struct call *c = mh_calloc(1, sizeof(*c));
    call->impl = c;
    call->status = 0;
    call->reply = NULL;
    if (!c) /* nobody could tell it later: the caller's own time limit does */
        return;
    c->user = u;
    c->call = call;
    mh_arena_init(&c->arena, CALL_MAX);
    *u->last = c;
    u->last = &c->next;
    mh_sb_wake(u->api);
}

static void
cancel_call(void *self, struct mh_api_call *call)
{
    struct mh_sb_direct_user *u = self;
    struct call *c = call->impl;
    call->impl = NULL;
    if (!c)
        return;
    if (c->running) { /* it goes on by itself, as on a server */
        c->call = NULL;
        return;
    }
    struct call **p = &u->first;
    while (*p && *p != c)
        p = &(*p)->next;
    if (*p)
        *p = c->next;
    if (u->last == &c->next)
        u->last = p;
    free_call(c);
}

/* --- watches --------------------------------------------------------------------------------- */

static void open_watch(struct mh_watch *w);

static void
free_watch(struct mh_watch *w)
{
    mh_sb_watch_close(w->watch);
    w->user->api->clock.cancel(w->user->api->clock.self, w->retry);
    mh_free(w->path);
    mh_free(w);
}

/* False: the watch was ended inside. */
static bool
tell(struct mh_watch *w, enum mh_watch_kind kind, yyjson_val *object)
{
    w->busy = true;
    w->spec.on_event(w->spec.arg, kind, object);
    w->busy = false;
    return !w->gone;
}

static void
on_retry(void *arg)
{
    struct mh_watch *w = arg;
    w->retry = NULL;
    if (w->gone)
        free_watch(w);
    else
        open_watch(w);
}

static void
close_and_retry(struct mh_watch *w, int64_t ns)
{
    struct mh_sb_api *api = w->user->api;
    mh_sb_watch_close(w->watch);
    w->watch = NULL;
    if (!w->retry)
        w->retry = api->clock.after(api->clock.self, ns, on_retry, w);
}

static void
on_end(void *arg)
{
    struct mh_watch *w = arg;
    if (!w->gone && !w->lost) {
        w->lost = true;
        (void)tell(w, MH_WATCH_LOST, NULL);
    }
    close_and_retry(w, w->gone ? 0 : RETRY_NS / 100);
}

static void
on_line(void *arg, const char *text, size_t len)
{
    struct mh_watch *w = arg;
    struct mh_arena a;
    struct mh_err err;
    yyjson_val *line = NULL;
    if (w->gone)
        return;
    mh_arena_init(&a, CALL_MAX);
    (void)mh_json_parse(&a, text, len, &line, &err);
    const char *type = mh_json_str(line, "type", NULL);
    yyjson_val *object = yyjson_obj_get(line, "object");
    bool alive = true;
    if (mh_str_eq(type, "ADDED"))
        alive = tell(w, MH_WATCH_ADDED, object);
    else if (mh_str_eq(type, "MODIFIED"))
        alive = tell(w, MH_WATCH_MODIFIED, object);
    else if (mh_str_eq(type, "DELETED"))
        alive = tell(w, MH_WATCH_DELETED, object);
    else if (mh_str_eq(type, "BOOKMARK")) {
        w->lost = false;
        alive = tell(w, MH_WATCH_SYNCED, NULL);
    }
    mh_arena_release(&a);
    if (!alive)
        close_and_retry(w, 0);
}

static void
open_watch(struct mh_watch *w)
{
    struct mh_sb_direct_user *u = w->user;
    struct mh_arena a;
    mh_arena_init(&a, (size_t)1 << 20);
    /* All of the present comes first, with a bookmark at its end. */
    struct mh_sb_req req = { .user = u->name,
                             .groups = u->groups,
                             .method = "GET",
                             .path = mh_arena_printf(
                                 &a,
                                 "%s%cwatch=true&sendInitialEvents=true&allowWatchBookmarks=true&"
                                 "resourceVersionMatch=NotOlderThan&timeoutSeconds=2000000000",
                                 w->path, strchr(w->path, '?') ? '&' : '?'),
                             .user_agent = u->name,
                             .trusted = true,
                             .arena = &a };
    struct mh_sb_watch_to to = { on_line, on_end, w };
    bool alive = true;
    if (req.path)
        w->watch = mh_sb_watch_open(u->api, &req, &to);
    mh_arena_release(&a);
    if (w->watch)
        alive = tell(w, MH_WATCH_RELIST, NULL);
    else if (!w->lost) {
        w->lost = true;
        alive = tell(w, MH_WATCH_LOST, NULL);
    }
    if (!w->watch || !alive)
        close_and_retry(w, alive ? RETRY_NS : 0);
}

static struct mh_watch *
start_watch(void *self, const struct mh_watch_spec *spec)
{
    struct mh_sb_direct_user *u = self;
    struct mh_watch *w = mh_calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->user = u;
    w->spec = *spec;
    w->path = mh_strdup(spec->path);
    w->spec.path = w->path;
    w->retry = u->api->clock.after(u->api->clock.self, 0, on_retry, w);
    if (!w->path || !w->retry) {
        free_watch(w);
        return NULL;
    }
    w->next = u->watches;
    u->watches = w;
    return w;
}

static void
end_watch(void *self, struct mh_watch *w)
{
    struct mh_sb_direct_user *u = self;
    struct mh_watch **p = &u->watches;
    if (!w || w->gone)
        return;
    while (*p && *p != w)
        p = &(*p)->next;
    if (*p)
        *p = w->next;
    w->gone = true;
    if (!w->busy)
        free_watch(w);
}

/* --- users ----------------------------------------------------------------------------------- */

void
mh_sb_direct_tell(struct mh_sb_api *api)
{
    for (struct mh_sb_direct_user *u = api->users; u; u = u->next) {
        struct call *c = u->first;
        u->first = NULL;
        u->last = &u->first;
        while (c) { /* those that begin from inside wait for the next tick */
            struct call *next = c->next;
            begin(c);
            c = next;
        }
    }
}

static struct mh_sb_direct_user *
new_user(struct mh_sb_api *api, const char *name)
{
    struct mh_sb_direct_user *u = mh_calloc(1, sizeof(*u));
    if (!u)
        return NULL;
    u->api = api;
    u->last = &u->first;
    u->name = mh_strdup(name);
    u->groups[0] = "system:masters";
    u->groups[1] = "system:authenticated";
    if (!u->name) {
        mh_free(u);
        return NULL;
    }
    u->next = api->users;
    api->users = u;
    return u;
}

struct mh_api
mh_sb_direct(struct mh_sb_api *api, const char *user)
{
    struct mh_sb_direct_user *u = api->users;
    while (u && strcmp(u->name, user) != 0)
        u = u->next;
    return (struct mh_api){ .start = start_call,
                            .cancel = cancel_call,
                            .watch = start_watch,
                            .unwatch = end_watch,
                            .self = u ? u : new_user(api, user) };
}

void
mh_sb_direct_free(struct mh_sb_api *api)
{
    while (api->users) {
        struct mh_sb_direct_user *u = api->users;
        api->users = u->next;
        while (u->first) {
            struct call *c = u->first;
            u->first = c->next;
            free_call(c);
        }
        while (u->running) {
            struct call *c = u->running;
            u->running = c->next;
            free_call(c);
        }
        while (u->watches) {
            struct mh_watch *w = u->watches;
            u->watches = w->next;
            free_watch(w);
        }
        mh_free(u->name);
        mh_free(u);
    }
}
