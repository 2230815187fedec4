#include "sandbox/serve.h"

#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "sandbox/proto.h"
#include "sandbox/serve_in.h"

#define ARENA_MAX ((size_t)512 << 20)
#define CONTROL "/moonherd/v1/sandbox/"
#define PORTS_MAX 4

/* --- requests ----------------------------------------------------------------------------------- */

static void
forget(struct door_req *r)
{
    struct mh_arena arena = r->arena;
    if (r->next)
        r->next->at = r->at;
    *r->at = r->next;
    mh_free(r);
    mh_arena_release(&arena);
}

/* Warning: 299 - "text", with quotes and backslashes escaped, and without what ends a header. */
static void
add_warnings(struct door_req *r)
{
    for (int i = 0; i < r->req.nwarnings; i++) {
        const char *s = r->req.warnings[i];
        char *out = mh_arena_alloc(&r->arena, 2 * strlen(s) + 16), *w = out;
        if (!out)
            return;
        memcpy(w, "299 - \"", 7);
        for (w += 7; *s; s++) {
            if (*s == '"' || *s == '\\')
                *w++ = '\\';
            *w++ = (char)((unsigned char)*s < ' ' || *s == 127 ? ' ' : *s);
        }
        *w++ = '"';
        *w = '\0';
        (void)mh_reply_header(r->http, "Warning", out);
    }
}

static void
add_headers(struct door_req *r)
{
    struct mh_sb_req *req = &r->req;
    char number[24];
    add_warnings(r);
    if (req->etag)
        (void)mh_reply_header(r->http, "ETag", req->etag);
    (void)mh_reply_header(r->http, "Vary",
                          "Accept"); /* kubectl keeps discovery in a cache of its own */
    if (req->retry_after_s) {
        (void)snprintf(number, sizeof(number), "%d", req->retry_after_s);
        (void)mh_reply_header(r->http, "Retry-After", number);
    }
    (void)mh_reply_header(r->http, "Cache-Control", "no-cache, private");
}

static void
send_answer(void *arg)
{
    struct door_req *r = arg;
    struct mh_request *http = r->http;
    r->timer = NULL;
    if (r->dropped) {
        mh_drop(http);
    } else {
        add_headers(r);
        mh_reply(http, r->req.status ? r->req.status : 500,
                 r->req.reply_type ? r->req.reply_type : "application/json",
                 r->req.reply ? r->req.reply : "", r->req.reply ? r->req.reply_len : 0);
    }
    forget(r);
}

void
mh_sb_door_done(struct mh_sb_req *req)
{
    struct door_req *r = req->arg;
    send_answer(r);
}

struct mh_request *
mh_sb_door_http(struct mh_sb_req *req)
{
    const struct door_req *r = req->arg;
    return req->done == mh_sb_door_done ? r->http : NULL;
}

const struct mh_sb_who *
mh_sb_door_who(struct mh_sb_req *req)
{
    const struct door_req *r = req->arg;
    return req->done == mh_sb_door_done ? &r->who : NULL;
}

void
mh_sb_door_taken(struct mh_sb_req *req)
{
    forget(req->arg);
}

/* --- watches ------------------------------------------------------------------------------------- */

static void
watch_forget(struct door_watch *w)
{
    if (w->next)
        w->next->at = w->at;
    *w->at = w->next;
    mh_free(w);
}

static void
on_line(void *arg, const char *text, size_t len)
{
    struct door_watch *w = arg;
    struct mh_sb_faults *f = w->door->config.faults;
    const struct mh_sb_fault *met =
        f && f->len ? mh_sb_faults_meet(f, w->user, w->resource, false, true) : NULL;
    if (met && (met->kind == MH_SB_FAULT_LOSE))
        return;
    (void)mh_stream_send(w->stream, text, len); /* on_gone follows when the client is too slow */
}

static void
on_end(void *arg)
{
    struct door_watch *w = arg;
    mh_sb_watch_close(w->watch);
    mh_stream_close(w->stream);
    watch_forget(w);
}

static void
on_gone(void *arg)
{
    struct door_watch *w = arg;
    mh_sb_watch_close(w->watch);
    watch_forget(w);
}

static void
open_watch(struct door_req *r, const struct mh_sb_attrs *at)
{
    struct mh_sb_door *d = r->door;
    struct door_watch *w = mh_calloc(1, sizeof(*w));
    struct mh_sb_watch_to to = { on_line, on_end, w };
    if (!w) {
        mh_sb_refuse(&r->req, 500, "InternalError", "no memory");
        mh_sb_door_done(&r->req);
        return;
    }
    w->door = d;
    mh_str_copy(w->user, sizeof(w->user), r->who.user);
    mh_str_copy(w->resource, sizeof(w->resource), at->resource);
    w->watch = mh_sb_watch_open(d->config.api, &r->req, &to);
    if (!w->watch) {
        mh_free(w);
        mh_sb_door_done(&r->req);
        return;
    }
    add_warnings(r);
    (void)mh_reply_header(r->http, "Cache-Control", "no-cache, private");
    w->stream = mh_stream_start(r->http, "application/json");
    forget(r);
    if (!w->stream) {
        mh_sb_watch_close(w->watch);
        mh_free(w);
        return;
    }
    mh_stream_on_close(w->stream, on_gone, w);
    w->next = d->watches;
    w->at = &d->watches;
    if (w->next)
        w->next->at = &w->next;
    d->watches = w;
}

/* --- faults -------------------------------------------------------------------------------------- */

static void serve_now(void *arg);

/* Has the request met its end, or its delay? */
static bool
meets_fault(struct door_req *r, const struct mh_sb_attrs *at)
{
    struct mh_sb_faults *f = r->door->config.faults;
    bool write = !mh_str_eq(r->req.method, "GET");
    bool watch = mh_sb_is_watch(&r->req);
    const struct mh_sb_fault *met =
        f && f->len && !r->delayed ? mh_sb_faults_meet(f, r->who.user, at->resource, write, watch)
                                   : NULL;
    switch (met ? met->kind : MH_SB_FAULT_NONE) {
    case MH_SB_FAULT_DOWN:
        r->dropped = true;
        break;
    case MH_SB_FAULT_SLOW:
        r->delayed = true;
        r->timer = f->clock.after(f->clock.self, met->ms * MH_NS_PER_MS, serve_now, r);
        return r->timer != NULL;
    case MH_SB_FAULT_CONFLICT:
        mh_sb_refuse(&r->req, 409, "Conflict",
                     "the object has been modified; please apply your changes to the latest "
                     "version and try again (a fault of the sandbox)");
        break;
    case MH_SB_FAULT_THROTTLE:
        mh_sb_refuse(&r->req, 429, "TooManyRequests",
                     "too many requests, please try again later (a fault of the sandbox)");
        r->req.retry_after_s = 1;
        break;
    case MH_SB_FAULT_ERROR:
        mh_sb_refuse(&r->req, 500, "InternalError", "a fault of the sandbox");
        break;
    case MH_SB_FAULT_STALE:
        return !at->subresource[0] && mh_sb_stale_answer(r);
    default:
        return false;
    }
    mh_sb_door_done(&r->req);
    return true;
}

void
mh_sb_door_changed(struct mh_sb_door *d)
{
    struct mh_sb_faults *f = d->config.faults;
    bool stale = false;
    for (int i = 0; i < f->len; i++)
        stale = stale || f->items[i].kind == MH_SB_FAULT_STALE;
    if (!stale)
        mh_sb_stale_forget(d);
    for (struct door_watch *w = d->watches, *next; w; w = next) {
        next = w->next;
        const struct mh_sb_fault *met = mh_sb_faults_meet(f, w->user, w->resource, false, true);
        if (met && met->kind == MH_SB_FAULT_DOWN)
            on_end(w);
    }
}

static void
on_faults_changed(void *arg)
{
    mh_sb_door_changed(arg);
}

/* --- serving ------------------------------------------------------------------------------------- */

static void
serve_now(void *arg)
{
    struct door_req *r = arg;
    struct mh_sb_attrs at;
    const struct mh_sb_faults *f = r->door->config.faults;
    bool watch = mh_sb_is_watch(&r->req);
    r->timer = NULL;
    if (watch || (f && f->len))
        (void)mh_sb_resolve(r->door->config.api, &r->req, &at);
    if (f && f->len && meets_fault(r, &at))
        return;
    if (watch)
        open_watch(r, &at);
    else
        mh_sb_serve(r->door->config.api, &r->req);
}

static const char *
method_name(enum mh_method m)
{
    switch (m) {
    case MH_POST:
        return "POST";
    case MH_PUT:
        return "PUT";
    case MH_DELETE:
        return "DELETE";
    case MH_PATCH:
        return "PATCH";
    default:
        return "GET";
    }
}

static struct door_req *
make(struct mh_sb_door *d, struct mh_request *http)
{
    struct door_req *r = mh_calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    mh_arena_init(&r->arena, ARENA_MAX);
    r->door = d;
    r->http = http;
    r->req = (struct mh_sb_req){ .method = method_name(http->method),
                                 .path = http->uri,
                                 .content_type = mh_request_header(http, "Content-Type"),
                                 .accept = mh_request_header(http, "Accept"),
                                 .user_agent = mh_request_header(http, "User-Agent"),
                                 .if_none_match = mh_request_header(http, "If-None-Match"),
                                 .body = http->body_len ? http->body : NULL,
                                 .body_len = http->body_len,
                                 .arena = &r->arena,
                                 .done = mh_sb_door_done,
                                 .arg = r };
    r->next = d->reqs;
    r->at = &d->reqs;
    if (r->next)
        r->next->at = &r->next;
    d->reqs = r;
    return r;
}

/* kubectl's typed clients send protobuf; from here on there is JSON only. False: answered. */
static bool
make_json(struct door_req *r)
{
    struct mh_err err = { 0 };
    char *json;
    if (!mh_str_starts(r->req.content_type ? r->req.content_type : "", MH_SB_PROTOBUF))
        return true;
    r->req.content_type = "application/json";
    if (!r->req.body)
        return true;
    if (mh_sb_proto_json(&r->arena, r->req.body, r->req.body_len, &json, &r->req.body_len, &err)) {
        mh_sb_refuse(&r->req, 400, "BadRequest", err.msg);
        return false;
    }
    r->req.body = json;
    return true;
}

static void
on_request(struct mh_request *http, void *arg)
{
    struct mh_sb_door *d = arg;
    struct door_req *r = make(d, http);
    if (!r) {
        mh_reply_text(http, 503, "no memory");
        return;
    }
    if (!mh_sb_door_known(r)) {
        mh_sb_refuse(&r->req, 401, "Unauthorized", "Unauthorized");
        mh_sb_door_done(&r->req);
        return;
    }
    if (d->config.control && mh_str_starts(http->path, CONTROL)) {
        if (mh_str_eq(r->who.user, MH_SB_ADMIN)) {
            d->config.control(d->config.arg, &r->req);
        } else {
            mh_sb_refuse(&r->req, 403, "Forbidden", "only the admin's token does this");
            mh_sb_door_done(&r->req);
        }
        return;
    }
    if (!mh_sb_door_impersonate(r) || !make_json(r)) {
        mh_sb_door_done(&r->req);
        return;
    }
    serve_now(r);
}

/* --- the door ------------------------------------------------------------------------------------ */

enum mh_code
mh_sb_door_also(struct mh_sb_door *d, const char *address, int port, struct mh_err *err)
{
    struct mh_server_tls tls = { .cert_pem = d->config.auth->cert_pem,
                                 .key_pem = d->config.auth->key_pem };
    if (d->nservers == PORTS_MAX)
        return mh_fail(err, MH_E_LIMIT, "too many addresses for one API server");
    struct mh_server *s = mh_server_new(d->config.base, address, port, &tls, err);
    if (!s)
        return err->code;
    d->servers[d->nservers++] = s;
    mh_server_limit(s, &(struct mh_server_limits){ .header_max = 64u << 10,
                                                   .body_max = 8u << 20,
                                                   .idle_s = 300,
                                                   .max_connections = 8192,
                                                   .stream_max = 64u << 20 });
    if (!mh_server_route(s, MH_GET | MH_POST | MH_PUT | MH_DELETE | MH_PATCH, "/", on_request, d))
        return mh_fail(err, MH_E_NOMEM, "no memory for the API server");
    return MH_OK;
}

struct mh_sb_door *
mh_sb_door_new(const struct mh_sb_door_config *config, struct mh_err *err)
{
    struct mh_sb_door *d = mh_calloc(1, sizeof(*d));
    if (!d) {
        (void)mh_fail(err, MH_E_NOMEM, "no memory for the API server");
        return NULL;
    }
    d->config = *config;
    mh_map_init(&d->stale, 4096);
    if (mh_sb_door_also(d, config->address, config->port, err) != MH_OK) {
        mh_sb_door_free(d);
        return NULL;
    }
    if (config->faults) {
        config->faults->on_change = on_faults_changed;
        config->faults->arg = d;
    }
    return d;
}

void
mh_sb_door_free(struct mh_sb_door *d)
{
    if (!d)
        return;
    if (d->config.faults)
        d->config.faults->on_change = NULL;
    while (d->watches)
        on_end(d->watches);
    for (struct door_req *r = d->reqs, *next; r; r = next) {
        next = r->next;
        r->dropped = true; /* others come back by done */
        if (r->timer) {
            d->config.auth->clock.cancel(d->config.auth->clock.self, r->timer);
            send_answer(r);
        }
    }
    while (d->reqs) {
        struct door_req *r = d->reqs;
        d->reqs = r->next;
        r->next = NULL;
        r->at = &r->next;
    }
    for (int i = 0; i < d->nservers; i++)
        mh_server_free(d->servers[i]);
    mh_sb_stale_forget(d);
    mh_map_release(&d->stale);
    mh_free(d);
}

int
mh_sb_door_port(const struct mh_sb_door *d)
{
    return mh_server_port(d->servers[0]);
}
