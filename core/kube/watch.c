/* Lists and watches, for ever: world.h's watch over HTTP. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "kube/client_impl.h"
#include "kube/kinds.h"

#define PAGE 500
#define LINE_MAX_ MH_JSON_SIZE_MAX
#define PAGE_ARENA (12 * MH_JSON_SIZE_MAX)
#define LIST_MS 30000
#define WATCH_S 240 /* plus up to 50 */
#define BACKOFF_MIN 100
#define BACKOFF_MAX 10000
#define KEEP_BUFFER 4096
#define VERSION_SIZE 64

struct mh_watch {
    struct mh_watch *next;
    struct mh_watch *prev;
    struct mh_kube *kube;
    struct mh_watch_spec spec;
    char *path;
    struct mh_http_call http;
    struct mh_arena arena; /* of the request under way */
    struct mh_buf line;
    struct event *timer; /* made at once, so that going on never needs memory */
    char version[VERSION_SIZE];
    char *token; /* "continue" of the list under way, on the heap */
    int page;
    int backoff_ms;
    int64_t listed_at;
    int64_t opened_at;
    bool need_list;
    bool told_relist;
    bool told_lost;
    bool fresh;  /* read the token file first */
    bool broken; /* this stream is of no use any more */
    bool busy;   /* inside on_event */
    bool gone;   /* unwatched inside on_event */
};

static void on_timer(evutil_socket_t fd, short what, void *arg);

static int64_t
now_ns(const struct mh_watch *w)
{
    return w->kube->clock.mono_ns(w->kube->clock.self);
}

static void
free_watch(struct mh_watch *w)
{
    if (w->timer)
        event_free(w->timer);
    mh_arena_release(&w->arena);
    mh_buf_release(&w->line);
    mh_free(w->token);
    mh_free(w->path);
    mh_free(w);
}

/* False when the watch was ended inside; it is freed then. */
static bool
tell(struct mh_watch *w, enum mh_watch_kind kind, yyjson_val *object)
{
    w->busy = true;
    w->spec.on_event(w->spec.arg, kind, object);
    w->busy = false;
    return !w->gone;
}

static uint32_t
jitter(struct mh_watch *w, uint32_t below)
{
    uint32_t r = 0;
    struct mh_rand *rand = &w->kube->rand;
    if (!rand->fill(rand->self, &r, sizeof(r)))
        r = (uint32_t)now_ns(w);
    return r % (below ? below : 1);
}

static void
go_on_after(struct mh_watch *w, int64_t ms)
{
    struct timeval tv = { (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) };
    event_add(w->timer, &tv);
}

/* From half of the back-off to all of it. */
static void
back_off(struct mh_watch *w, int at_least_ms)
{
    int ms = w->backoff_ms / 2 + (int)jitter(w, (uint32_t)w->backoff_ms / 2 + 1);
    w->backoff_ms = w->backoff_ms * 2 < BACKOFF_MAX ? w->backoff_ms * 2 : BACKOFF_MAX;
    go_on_after(w, ms > at_least_ms ? ms : at_least_ms);
}

/* Something went wrong: says so once, and tries again later. */
static void
lost(struct mh_watch *w, const struct mh_err *err, int at_least_ms)
{
    if (!w->told_lost) {
        w->told_lost = true;
        w->kube->stats.lost++;
        mh_warn("kube", "watch lost", "path", w->path, "error", err->msg);
        if (!tell(w, MH_WATCH_LOST, NULL)) {
            free_watch(w);
            return;
        }
    }
    back_off(w, at_least_ms);
}

/* --- the list -------------------------------------------------------------------------------- */

static void listed(struct mh_http_call *http);
static void stream_ended(struct mh_http_call *http);
static void on_data(struct mh_http_call *http, const char *data, size_t len);

static void
no_memory(struct mh_watch *w)
{
    struct mh_err err;
    (void)mh_fail(&err, MH_E_NOMEM, "no memory to watch %s", w->path);
    lost(w, &err, 0);
}

static void
start_list(struct mh_watch *w)
{
    char limit[16];
    struct mh_arena *a = &w->arena;
    (void)snprintf(limit, sizeof(limit), "%d", w->page);
    char *path = mh_kube_query(a, w->path, "limit", limit);
    if (path && w->token)
        path = mh_kube_query(a, path, "continue", w->token);
    w->http = (struct mh_http_call){ .method = "GET",
                                     .lane = MH_HTTP_BULK,
                                     .timeout_ms = LIST_MS,
                                     .body_max = MH_JSON_SIZE_MAX,
                                     .arena = a,
                                     .done = listed,
                                     .arg = w };
    if (path && mh_kube_prepare(w->kube, &w->http, a, path, w->fresh))
        mh_http_start(w->kube->http, &w->http);
    else
        no_memory(w);
}

static void
forget_token(struct mh_watch *w)
{
    mh_free(w->token);
    w->token = NULL;
}

/* The list from its beginning. */
static void
list_again(struct mh_watch *w)
{
    forget_token(w);
    w->told_relist = false;
    w->need_list = true;
}

/* Gives the objects of one page. False when the watch is gone and freed. */
static bool
give_page(struct mh_watch *w, yyjson_val *list)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    if (!w->told_relist) {
        w->told_relist = true;
        w->kube->stats.relists++;
        if (!tell(w, MH_WATCH_RELIST, NULL)) {
            free_watch(w);
            return false;
        }
    }
    yyjson_arr_foreach(yyjson_obj_get(list, "items"), i, max, item)
    {
        if (!tell(w, MH_WATCH_ADDED, item)) {
            free_watch(w);
            return false;
        }
    }
    return true;
}

static void
page_done(struct mh_watch *w, yyjson_val *list)
{
    const char *token = mh_json_str(list, "metadata", "continue", NULL);
    const char *version = mh_json_str(list, "metadata", "resourceVersion", NULL);
    struct mh_err err;
    if (!version || strlen(version) >= sizeof(w->version)) {
        (void)mh_fail(&err, MH_E_INVALID, "%s: a list without resourceVersion", w->path);
        list_again(w);
        lost(w, &err, 0);
        return;
    }
    mh_str_copy(w->version, sizeof(w->version), version);
    if (!give_page(w, list))
        return;
    forget_token(w);
    if (token && *token) {
        w->token = mh_strdup(token);
        if (!w->token) {
            list_again(w);
            no_memory(w);
            return;
        }
        go_on_after(w, 0);
        return;
    }
    w->need_list = false;
    w->told_relist = false;
    w->told_lost = false;
    w->listed_at = now_ns(w);
    if (!tell(w, MH_WATCH_SYNCED, NULL)) {
        free_watch(w);
        return;
    }
    go_on_after(w, 0);
}

static void
listed(struct mh_http_call *http)
{
    struct mh_watch *w = http->arg;
    yyjson_val *list = NULL;
    struct mh_err err = http->err;
    w->fresh = false;
    if (err.code == MH_E_LIMIT && w->page > 1) { /* smaller pages, from where we are */
        w->page /= 4;
        w->page += w->page == 0;
        go_on_after(w, 0);
        return;
    }
    if (err.code == MH_OK)
        (void)mh_json_parse(&w->arena, http->body_text, http->body_text_len, &list, &err);
    if (http->status >= 300)
        (void)mh_kube_error(http->status, list, w->path, &err);
    if (err.code == MH_OK && list) {
        page_done(w, list);
        return;
    }
    if (http->status == 410 && w->token) { /* the list went out of date between two pages */
        list_again(w);
        go_on_after(w, BACKOFF_MIN);
        return;
    }
    list_again(w);
    w->fresh = http->status == 401;
    lost(w, &err, http->retry_after_ms);
}

/* --- the stream ------------------------------------------------------------------------------ */

static void
start_stream(struct mh_watch *w)
{
    char seconds[16];
    struct mh_arena *a = &w->arena;
    (void)snprintf(seconds, sizeof(seconds), "%u", WATCH_S + jitter(w, 51));
    char *path = mh_kube_query(a, w->path, "watch", "true");
    path = path ? mh_kube_query(a, path, "allowWatchBookmarks", "true") : NULL;
    path = path ? mh_kube_query(a, path, "timeoutSeconds", seconds) : NULL;
    path = path ? mh_kube_query(a, path, "resourceVersion", w->version) : NULL;
    w->http = (struct mh_http_call){ .method = "GET",
                                     .lane = MH_HTTP_BULK,
                                     .idle_timeout_ms = w->kube->idle_ms,
                                     .arena = a,
                                     .on_data = on_data,
                                     .done = stream_ended,
                                     .arg = w };
    w->broken = false;
    w->opened_at = now_ns(w);
    mh_buf_reset(&w->line);
    if (path && mh_kube_prepare(w->kube, &w->http, a, path, w->fresh))
        mh_http_start(w->kube->http, &w->http);
    else
        no_memory(w);
}

/* The stream holds something that cannot be taken in: what it said is listed anew. */
static void
give_up_stream(struct mh_watch *w, const char *why)
{
    w->broken = true;
    w->need_list = true;
    mh_info("kube", "watch is listed again", "path", w->path, "why", why);
}

static void
take_event(struct mh_watch *w, yyjson_val *event)
{
    const char *type = mh_json_str(event, "type", NULL);
    yyjson_val *object = mh_json_get(event, "object", NULL);
    const char *version = mh_json_str(object, "metadata", "resourceVersion", NULL);
    enum mh_watch_kind kind = MH_WATCH_LOST;
    if (mh_str_eq(type, "ERROR")) {
        const char *why = mh_json_str(object, "message", NULL);
        give_up_stream(w, why ? why : "error event");
        return;
    }
    if (mh_str_eq(type, "ADDED"))
        kind = MH_WATCH_ADDED;
    else if (mh_str_eq(type, "MODIFIED"))
        kind = MH_WATCH_MODIFIED;
    else if (mh_str_eq(type, "DELETED"))
        kind = MH_WATCH_DELETED;
    else if (!mh_str_eq(type, "BOOKMARK"))
        return;
    if (!version || strlen(version) >= sizeof(w->version)) {
        give_up_stream(w, "event without resourceVersion");
        return;
    }
    mh_str_copy(w->version, sizeof(w->version), version);
    w->backoff_ms = BACKOFF_MIN;
    w->told_lost = false;
    if (kind != MH_WATCH_LOST)
        (void)tell(w, kind, object);
}

static void
take_line(struct mh_watch *w, const char *text, size_t len)
{
    struct mh_arena a;
    struct mh_err err;
    yyjson_val *event = NULL;
    if (len == 0)
        return;
    mh_arena_init(&a, PAGE_ARENA);
    if (mh_json_parse(&a, text, len, &event, &err) == MH_OK)
        take_event(w, event);
    else
        give_up_stream(w, err.msg);
    mh_arena_release(&a);
}

/* Cuts the stream into lines; whole ones are read where they lie. */
static void
on_data(struct mh_http_call *http, const char *data, size_t len)
{
    struct mh_watch *w = http->arg;
    while (len > 0 && !w->broken && !w->gone) {
        const char *nl = memchr(data, '\n', len);
        size_t n = nl ? (size_t)(nl - data) : len;
        if (nl && w->line.len == 0) {
            take_line(w, data, n);
        } else if (!mh_buf_add(&w->line, data, n)) {
            give_up_stream(w, "event is too large or memory is short");
        } else if (nl) {
            take_line(w, w->line.data, w->line.len);
            mh_buf_reset(&w->line);
        }
        n += nl != NULL;
        data += n;
        len -= n;
    }
    if (w->line.len == 0 && w->line.size > KEEP_BUFFER) {
        mh_buf_release(&w->line);
        mh_buf_init(&w->line, LINE_MAX_);
    }
    if (w->gone) {
        free_watch(w); /* mh_kube_unwatch has cancelled the call */
    } else if (w->broken) {
        mh_http_cancel(w->kube->http, &w->http);
        back_off(w, 0);
    }
}

static void
stream_ended(struct mh_http_call *http)
{
    struct mh_watch *w = http->arg;
    struct mh_err err = http->err;
    int64_t lived = now_ns(w) - w->opened_at;
    w->fresh = false;
    if (err.code == MH_OK && http->status >= 300) {
        yyjson_val *reply = NULL;
        (void)mh_json_parse(&w->arena, http->body_text, http->body_text_len, &reply, NULL);
        (void)mh_kube_error(http->status, reply, w->path, &err);
        w->fresh = http->status == 401;
        /* Anything but "not now" may mean that our resourceVersion is not known there. */
        w->need_list = !(http->status == 401 || http->status == 403 || http->status == 429);
        if (http->status == 410) {
            back_off(w, 0);
            return;
        }
        lost(w, &err, http->retry_after_ms);
        return;
    }
    if (err.code != MH_OK) {
        lost(w, &err, 0);
        return;
    }
    if (now_ns(w) - w->listed_at >= w->kube->relist_ms * MH_NS_PER_MS)
        w->need_list = true;
    if (lived < MH_NS_PER_S) {
        back_off(w, 0);
        return;
    }
    w->backoff_ms = BACKOFF_MIN;
    go_on_after(w, 0);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct mh_watch *w = arg;
    mh_arena_release(&w->arena);
    if (w->need_list)
        start_list(w);
    else
        start_stream(w);
}

/* --- interface ------------------------------------------------------------------------------- */

struct mh_watch *
mh_kube_watch(void *self, const struct mh_watch_spec *spec)
{
    struct mh_kube *k = self;
    struct mh_watch *w = mh_calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->kube = k;
    w->spec = *spec;
    w->path = mh_strdup(spec->path);
    w->spec.path = w->path;
    w->page = PAGE;
    w->backoff_ms = BACKOFF_MIN;
    w->need_list = true;
    mh_arena_init(&w->arena, PAGE_ARENA);
    mh_buf_init(&w->line, LINE_MAX_);
    w->timer = event_new(k->base, -1, 0, on_timer, w);
    if (!w->path || !w->timer) {
        free_watch(w);
        return NULL;
    }
    w->next = k->watches;
    if (w->next)
        w->next->prev = w;
    k->watches = w;
    go_on_after(w, 0);
    return w;
}

void
mh_kube_unwatch(void *self, struct mh_watch *w)
{
    struct mh_kube *k = self;
    if (!w)
        return;
    if (w->prev)
        w->prev->next = w->next;
    else
        k->watches = w->next;
    if (w->next)
        w->next->prev = w->prev;
    mh_http_cancel(k->http, &w->http);
    event_del(w->timer);
    w->gone = true;
    if (!w->busy)
        free_watch(w);
}
