/* Watches: each knows up to which resourceVersion it was told; changes are told from the tick, a
 * line is written once for all that watch the same version of a kind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "sandbox/rest_in.h"

#define SCRATCH_MAX ((size_t)16 << 20)
#define BOOKMARK_NS (60 * MH_NS_PER_S)
#define TIMEOUT_S 1800
#define LINE_MAX_ ((size_t)8 << 20)

struct mh_sb_watch {
    struct mh_sb_watch *next;
    struct mh_sb_watch *prev;
    struct mh_sb_api *api;
    struct mh_sb_resource *r;
    struct mh_sb_version *v;
    struct mh_sb_watch_to to;
    struct mh_arena arena; /* of the selector */
    struct mh_sb_select select;
    struct mh_sb_obj **initial; /* objects of the beginning, not yet told */
    size_t ninitial;
    uint64_t version;
    int64_t ends_at;
    int64_t bookmark_at;
    char *include;
    bool bookmarks;
    bool initial_bookmark; /* sendInitialEvents: one after the beginning */
    bool table;
    bool partial; /* metadata only */
    bool headers_sent;
    bool expired; /* an ERROR is to be told, then the end */
    bool fresh;   /* has a beginning to be told */
    bool busy;    /* inside a callback */
    bool gone;    /* closed inside a callback */
};

static void
release(struct mh_sb_watch *w)
{
    for (size_t i = 0; i < w->ninitial; i++)
        mh_sb_obj_unref(w->initial[i]);
    mh_free(w->initial);
    mh_arena_release(&w->arena);
    mh_free(w->include);
    mh_free(w);
}

static void
unlink_watch(struct mh_sb_watch *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else
        w->r->watches = w->next;
    if (w->next)
        w->next->prev = w->prev;
    w->api->nwatches--;
}

void
mh_sb_watch_close(struct mh_sb_watch *w)
{
    if (!w || w->gone)
        return;
    w->gone = true;
    if (!w->busy) { /* else the teller takes it away */
        unlink_watch(w);
        release(w);
    }
}

/* --- lines ----------------------------------------------------------------------------------- */

static bool
give(struct mh_sb_watch *w, const char *text, size_t len)
{
    if (w->gone)
        return false;
    w->api->lines++;
    w->to.on_line(w->to.arg, text, len);
    return !w->gone;
}

/* {"type":"ADDED","object":...} into the scratch buffer; the text of the object is written once
 * for all watches of this version. */
static bool
write_line(struct mh_sb_api *api, const struct mh_sb_version *v, const char *type,
           const struct mh_sb_obj *o)
{
    struct mh_buf *b = &api->line;
    mh_buf_reset(b);
    mh_buf_str(b, "{\"type\":\"");
    mh_buf_str(b, type);
    mh_buf_str(b, "\",\"object\":");
    mh_buf_str(b, v->head);
    mh_buf_add(b, o->text + 1, o->len - 1);
    return mh_buf_str(b, "}\n");
}

/* What the line is about: of an object that only left the selection its state before, with the
 * resourceVersion of the change. One reference; NULL: no memory. */
static struct mh_sb_obj *
told_state(const struct mh_sb_change *c, const char *type)
{
    char old[48];
    char text[48];
    if (c->removed || type[0] != 'D')
        return mh_sb_obj_ref(c->now);
    int n = snprintf(old, sizeof(old), "\"resourceVersion\":\"%llu\"",
                     (unsigned long long)c->before->version);
    int m = snprintf(text, sizeof(text), "\"resourceVersion\":\"%llu\"",
                     (unsigned long long)c->version);
    const char *from = c->before->text;
    const char *at = memmem(from, c->before->len, old, (size_t)n);
    struct mh_buf b;
    if (!at)
        return mh_sb_obj_ref(c->before);
    mh_buf_init(&b, LINE_MAX_);
    mh_buf_add(&b, from, (size_t)(at - from));
    mh_buf_add(&b, text, (size_t)m);
    mh_buf_add(&b, at + n, c->before->len - (size_t)(at - from) - (size_t)n);
    struct mh_sb_facts f = { .key = c->now->key };
    struct mh_sb_obj *o = b.failed ? NULL : mh_sb_obj_new(&f, c->version, b.data, b.len);
    mh_buf_release(&b);
    return o;
}

/* The same as a Table with one row; the first one has the columns. */
static bool
write_table_line(struct mh_sb_watch *w, const char *type, const struct mh_sb_obj *o,
                 struct mh_arena *a)
{
    size_t len = 0;
    size_t table_len = 0;
    const char *text = mh_sb_obj_text(a, w->v, o, &len);
    const struct mh_sb_table_of of = { &text, &len, 1, w->headers_sent ? MH_SB_NO_COLUMNS : NULL,
                                       w->include };
    char *table = text ? mh_sb_table_text(w->api, a, w->v, &of, &table_len) : NULL;
    struct mh_buf *b = &w->api->line;
    mh_buf_reset(b);
    if (!table)
        return false;
    w->headers_sent = true;
    mh_buf_str(b, "{\"type\":\"");
    mh_buf_str(b, type);
    mh_buf_str(b, "\",\"object\":");
    mh_buf_add(b, table, table_len);
    return mh_buf_str(b, "}\n");
}

static bool
write_partial_line(struct mh_sb_watch *w, const char *type, const struct mh_sb_obj *o,
                   struct mh_arena *a)
{
    size_t len = 0;
    char *whole = mh_sb_obj_text(a, w->v, o, &len);
    char *text = whole ? mh_sb_partial_text(a, whole, &len) : NULL;
    struct mh_buf *b = &w->api->line;
    mh_buf_reset(b);
    if (!text)
        return false;
    mh_buf_printf(b, "{\"type\":\"%s\",\"object\":", type);
    mh_buf_add(b, text, len);
    return mh_buf_str(b, "}\n");
}

static void
give_object(struct mh_sb_watch *w, const char *type, const struct mh_sb_obj *o)
{
    struct mh_arena a;
    struct mh_buf *b = &w->api->line;
    mh_arena_init(&a, SCRATCH_MAX);
    bool ok = w->table     ? write_table_line(w, type, o, &a)
              : w->partial ? write_partial_line(w, type, o, &a)
                           : write_line(w->api, w->v, type, o);
    mh_arena_release(&a);
    if (ok)
        (void)give(w, b->data, b->len);
}

static void
give_bookmark(struct mh_sb_watch *w, bool initial_end)
{
    struct mh_buf *b = &w->api->line;
    mh_buf_reset(b);
    if (w->table)
        mh_buf_printf(b,
                      "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Table\",\"apiVersion\":"
                      "\"meta.k8s.io/v1\",\"metadata\":{\"resourceVersion\":\"%llu\"},"
                      "\"columnDefinitions\":null,\"rows\":[]}}\n",
                      (unsigned long long)w->version);
    else
        mh_buf_printf(b,
                      "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"%s\",\"apiVersion\":\"%s\","
                      "\"metadata\":{\"resourceVersion\":\"%llu\"%s}}}\n",
                      w->r->kind, w->v->api_version, (unsigned long long)w->version,
                      initial_end ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}"
                                  : "");
    (void)give(w, b->data, b->len);
}

static void
end(struct mh_sb_watch *w)
{
    if (!w->gone && w->to.on_end)
        w->to.on_end(w->to.arg);
}

static void
give_expired(struct mh_sb_watch *w)
{
    struct mh_buf *b = &w->api->line;
    mh_buf_reset(b);
    mh_buf_printf(b,
                  "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\","
                  "\"metadata\":{},\"status\":\"Failure\",\"message\":\"too old resource "
                  "version: %llu (%llu)\",\"reason\":\"Expired\",\"code\":410}}\n",
                  (unsigned long long)w->version, (unsigned long long)w->r->table->compacted);
    if (give(w, b->data, b->len))
        end(w);
}

/* --- telling --------------------------------------------------------------------------------- */

/* What this change is for a watch with this selector; NULL: nothing. */
static const char *
type_for(const struct mh_sb_select *s, struct mh_arena *scratch, const struct mh_sb_change *c,
         yyjson_val **now, yyjson_val **before)
{
    bool is = !c->removed && mh_sb_select_match(s, scratch, c->now, now);
    bool was = c->before && mh_sb_select_match(s, scratch, c->before, before);
    if (is)
        return was ? "MODIFIED" : "ADDED";
    return was ? "DELETED" : NULL;
}

static void
give_change(struct mh_sb_watch *w, const struct mh_sb_change *c, struct mh_arena *scratch,
            yyjson_val **now, yyjson_val **before)
{
    const char *type = type_for(&w->select, scratch, c, now, before);
    struct mh_sb_obj *o = type ? told_state(c, type) : NULL;
    if (o)
        give_object(w, type, o);
    mh_sb_obj_unref(o);
    w->version = c->version;
}

static void
give_initial(struct mh_sb_watch *w)
{
    for (size_t i = 0; i < w->ninitial && !w->gone; i++)
        give_object(w, "ADDED", w->initial[i]);
    for (size_t i = 0; i < w->ninitial; i++)
        mh_sb_obj_unref(w->initial[i]);
    mh_free(w->initial);
    w->initial = NULL;
    w->ninitial = 0;
    if (w->initial_bookmark && !w->gone)
        give_bookmark(w, true);
}

static void
catch_up(struct mh_sb_watch *w)
{
    size_t i = 0;
    struct mh_arena scratch;
    if (w->fresh) {
        w->fresh = false;
        give_initial(w);
    }
    if (w->expired || !mh_sb_table_since(w->r->table, w->version, &i)) {
        give_expired(w);
        return;
    }
    mh_arena_init(&scratch, SCRATCH_MAX);
    for (; i < w->r->table->nchanges && !w->gone; i++) {
        yyjson_val *now = NULL;
        yyjson_val *before = NULL;
        give_change(w, mh_sb_table_change(w->r->table, i), &scratch, &now, &before);
        if (now || before)
            mh_arena_release(&scratch);
    }
    mh_arena_release(&scratch);
}

static bool
is_plain(const struct mh_sb_watch *w)
{
    return !w->table && !w->partial && !w->fresh && !w->expired;
}

/* One change to all that are up to date: its line is written once. */
static void
tell_change(struct mh_sb_resource *r, const struct mh_sb_change *c)
{
    struct mh_arena scratch;
    yyjson_val *now = NULL;
    yyjson_val *before = NULL;
    const char *written = NULL;
    const struct mh_sb_version *written_for = NULL;
    mh_arena_init(&scratch, SCRATCH_MAX);
    for (struct mh_sb_watch *w = r->watches; w; w = w->next) {
        if (!is_plain(w) || w->gone || w->version >= c->version)
            continue;
        const char *type = type_for(&w->select, &scratch, c, &now, &before);
        w->version = c->version;
        if (!type)
            continue;
        if (type != written || written_for != w->v) {
            struct mh_sb_obj *o = told_state(c, type);
            bool ok = o && write_line(w->api, w->v, type, o);
            mh_sb_obj_unref(o);
            if (!ok)
                continue;
            written = type;
            written_for = w->v;
        }
        (void)give(w, w->api->line.data, w->api->line.len);
    }
    mh_arena_release(&scratch);
}

static void
sweep(struct mh_sb_resource *r, bool busy)
{
    struct mh_sb_watch *next;
    for (struct mh_sb_watch *w = r->watches; w; w = next) {
        next = w->next;
        w->busy = busy;
        if (!busy && w->gone) {
            unlink_watch(w);
            release(w);
        }
    }
}

static void
tell_resource(struct mh_sb_resource *r)
{
    size_t i = 0;
    uint64_t told = r->told;
    sweep(r, true);
    for (struct mh_sb_watch *w = r->watches; w; w = w->next) {
        if (!w->gone && (!is_plain(w) || w->version < told))
            catch_up(w);
    }
    if (mh_sb_table_since(r->table, told, &i)) {
        for (; i < r->table->nchanges; i++)
            tell_change(r, mh_sb_table_change(r->table, i));
    } else { /* more changes than are remembered: each finds out by itself */
        for (struct mh_sb_watch *w = r->watches; w; w = w->next) {
            if (!w->gone)
                catch_up(w);
        }
    }
    r->told = r->table->changed;
    sweep(r, false);
}

void
mh_sb_watches_tell(struct mh_sb_api *api)
{
    if (api->ticking)
        return;
    api->ticking = true;
    for (int i = 0; i < api->kinds.len; i++) {
        struct mh_sb_resource *r = api->kinds.items[i];
        if (!r->dirty)
            continue;
        r->dirty = false;
        if (r->watches)
            tell_resource(r);
        else
            r->told = r->table->changed;
    }
    api->ticking = false;
}

void
mh_sb_watches_dirty(struct mh_sb_api *api, struct mh_sb_resource *r)
{
    (void)api;
    r->dirty = true;
    if (r->twin)
        r->twin->dirty = true;
}

void
mh_sb_watches_end(struct mh_sb_api *api, struct mh_sb_resource *r)
{
    (void)api;
    sweep(r, true);
    for (struct mh_sb_watch *w = r->watches; w; w = w->next)
        end(w);
    sweep(r, false);
}

void
mh_sb_watches_slow(struct mh_sb_api *api)
{
    int64_t now = api->clock.mono_ns(api->clock.self);
    for (int i = 0; i < api->kinds.len; i++) {
        struct mh_sb_resource *r = api->kinds.items[i];
        if (!r->watches)
            continue;
        sweep(r, true);
        for (struct mh_sb_watch *w = r->watches; w; w = w->next) {
            if (w->fresh || w->gone)
                continue;
            if (w->bookmarks && !r->dirty && (now >= w->bookmark_at || now >= w->ends_at)) {
                w->bookmark_at = now + BOOKMARK_NS;
                w->version = w->version > api->store.version ? w->version : api->store.version;
                give_bookmark(w, false);
            }
            if (now >= w->ends_at)
                end(w);
        }
        sweep(r, false);
    }
}

void
mh_sb_watches_free(struct mh_sb_api *api)
{
    for (int i = 0; i < api->kinds.len; i++) {
        struct mh_sb_resource *r = api->kinds.items[i];
        while (r->watches) {
            struct mh_sb_watch *w = r->watches;
            unlink_watch(w);
            release(w);
        }
    }
}

/* --- opening --------------------------------------------------------------------------------- */

/* The objects there are now, as a beginning. False: no memory. */
static bool
take_initial(struct mh_sb_watch *w)
{
    const struct mh_sb_table *t = w->r->table;
    struct mh_arena scratch;
    w->initial = mh_malloc((t->len + 1) * sizeof(struct mh_sb_obj *));
    mh_arena_init(&scratch, SCRATCH_MAX);
    for (size_t i = 0; w->initial && i < t->len; i++) {
        yyjson_val *value = NULL;
        if (mh_sb_select_match(&w->select, &scratch, t->items[i], &value))
            w->initial[w->ninitial++] = mh_sb_obj_ref(t->items[i]);
        if (value)
            mh_arena_release(&scratch);
    }
    mh_arena_release(&scratch);
    return w->initial != NULL;
}

static bool
begin(struct mh_sb_watch *w, struct mh_sb_req *req, const struct mh_sb_query *q)
{
    struct mh_sb_api *api = w->api;
    bool initial = mh_sb_is_true(q->send_initial);
    const char *text = q->resource_version ? q->resource_version : "";
    char *stop = NULL;
    uint64_t asked = strtoull(text, &stop, 10);
    if (*stop) {
        mh_sb_refuse(req, 500, NULL,
                     mh_arena_printf(req->arena,
                                     "resourceVersion: Invalid value: \"%s\": "
                                     "strconv.ParseUint: parsing \"%s\": invalid syntax",
                                     text, text));
        return false;
    }
    w->bookmarks = mh_sb_is_true(q->bookmarks);
    w->initial_bookmark = initial && w->bookmarks;
    w->version = asked ? asked : api->store.version;
    w->fresh = true;
    if ((asked == 0 && !(q->send_initial && !initial)) || initial) {
        w->version = api->store.version;
        return take_initial(w);
    }
    size_t i;
    w->expired = !mh_sb_table_since(w->r->table, w->version, &i);
    return true;
}

static bool
watch_of(struct mh_sb_watch *w, struct mh_sb_req *req, struct mh_sb_place *t)
{
    int64_t timeout = 0;
    struct mh_sb_query q;
    struct mh_arena *a = &w->arena;
    int64_t now = w->api->clock.mono_ns(w->api->clock.self);
    char *path = mh_arena_strdup(a, req->path);
    struct mh_sb_place own = *t;
    if (!path || !mh_sb_query_parse(a, path, &q)) {
        mh_sb_no_memory(req);
        return false;
    }
    own.q = q;
    own.at.ns = mh_arena_strdup(a, t->at.ns);
    own.at.name = mh_arena_strdup(a, t->at.name);
    w->include = q.include_object ? mh_strdup(q.include_object) : NULL;
    w->table = mh_sb_wants_table(req->accept);
    w->partial = mh_sb_wants_partial(req->accept);
    if (!own.at.ns || !own.at.name || !mh_sb_select_parse(req, a, &own, &w->select))
        return false;
    if (!q.timeout || !mh_str_int(q.timeout, 1, INT32_MAX, &timeout))
        timeout = TIMEOUT_S;
    w->ends_at = now + timeout * MH_NS_PER_S;
    w->bookmark_at = now + BOOKMARK_NS;
    return begin(w, req, &q);
}

struct mh_sb_watch *
mh_sb_watch_open(struct mh_sb_api *api, struct mh_sb_req *req, const struct mh_sb_watch_to *to)
{
    struct mh_sb_place t;
    bool plain;
    api->requests++;
    req->status = 0;
    if (!mh_sb_place_find(api, req->arena, req, &t, &plain)) {
        mh_sb_refuse(req, 404, "NotFound", "the server could not find the requested resource");
        return NULL;
    }
    t.at.verb = "watch";
    if (!mh_sb_may(api, req, &t.at))
        return NULL;
    if (t.v->traits & MH_SB_REVIEW || *t.at.subresource) {
        mh_sb_no_method(req);
        return NULL;
    }
    struct mh_sb_watch *w = mh_calloc(1, sizeof(*w));
    if (!w) {
        mh_sb_no_memory(req);
        return NULL;
    }
    *w = (struct mh_sb_watch){ .api = api, .r = t.r, .v = t.v, .to = *to };
    mh_arena_init(&w->arena, SCRATCH_MAX);
    if (!watch_of(w, req, &t)) {
        if (!req->status)
            mh_sb_no_memory(req);
        release(w);
        return NULL;
    }
    w->next = t.r->watches;
    if (w->next)
        w->next->prev = w;
    t.r->watches = w;
    api->nwatches++;
    t.r->dirty = true;
    mh_sb_wake(api);
    return w;
}
