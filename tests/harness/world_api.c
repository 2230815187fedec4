/* Requests, handlers and watches of the test world. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "harness/world_impl.h"

#define REPLY_NS MH_NS_PER_MS

struct call {
    struct tw *tw;
    struct mh_api_call *call; /* NULL: cancelled */
    struct tw_request *request;
    struct tw_answer answer; /* json is a copy */
    char *json;
};

struct mh_watch {
    struct tw *tw;
    struct mh_watch_spec spec;
    char *path;
    bool listing; /* RELIST has been given, SYNCED has not */
    bool synced;
};

/* One event for one watch. */
struct delivery {
    struct mh_watch *watch; /* NULL: ended */
    struct tw *tw;
    enum mh_watch_kind kind;
    char *json; /* NULL: none */
};

/* --- paths ----------------------------------------------------------------------------------- */

static const char *
segment(const char *s, char *out, size_t size)
{
    size_t n = strcspn(s, "/?");
    mh_str_copy(out, n + 1 < size ? n + 1 : size, s);
    s += n;
    return *s == '/' ? s + 1 : s;
}

bool
tw_path_parse(const char *path, struct tw_path *out)
{
    char a[128];
    char b[260];
    *out = (struct tw_path){ 0 };
    const char *p = path;
    int parts = mh_str_starts(path, "/apis/") ? 3 : mh_str_starts(path, "/api/") ? 2 : 0;
    p += parts > 0;
    for (int i = 0; i < parts; i++)
        p = segment(p, a, sizeof(a));
    size_t n = (size_t)(p - path);
    if (parts == 0 || n < 2 || n >= sizeof(out->prefix))
        return false;
    memcpy(out->prefix, path, n - (path[n - 1] == '/'));
    p = segment(p, a, sizeof(a));
    p = segment(p, b, sizeof(b));
    if (strcmp(a, "namespaces") == 0 && *b && *p && *p != '?') {
        mh_str_copy(out->ns, sizeof(out->ns), b);
        p = segment(p, a, sizeof(a));
        p = segment(p, b, sizeof(b));
    }
    mh_str_copy(out->plural, sizeof(out->plural), a);
    mh_str_copy(out->name, sizeof(out->name), b);
    (void)segment(p, out->sub, sizeof(out->sub));
    return *a != '\0';
}

static int
hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 87 : -1;
}

/* Decodes a part of a query in place of out. */
static void
decode(const char *s, size_t n, char *out, size_t size)
{
    size_t k = 0;
    for (size_t i = 0; i < n && k + 1 < size; i++) {
        if (s[i] == '%' && i + 2 < n && hex(s[i + 1]) >= 0 && hex(s[i + 2]) >= 0) {
            out[k++] = (char)(hex(s[i + 1]) * 16 + hex(s[i + 2]));
            i += 2;
        } else {
            out[k++] = s[i];
        }
    }
    out[k] = '\0';
}

bool
tw_labels_match(const char *query, yyjson_val *object)
{
    const char *p = query ? strstr(query, "labelSelector=") : NULL;
    char selector[1024];
    yyjson_val *labels = mh_json_get(object, "metadata", "labels", NULL);
    if (!p)
        return true;
    p += strlen("labelSelector=");
    decode(p, strcspn(p, "&"), selector, sizeof(selector));
    for (char *save = NULL, *t = strtok_r(selector, ",", &save); t;
         t = strtok_r(NULL, ",", &save)) {
        char *eq = strchr(t, '=');
        bool other = eq && eq > t && eq[-1] == '!'; /* "key!=value" */
        if (eq)
            eq[other ? -1 : 0] = '\0';
        const char *got = mh_json_str(labels, t, NULL);
        if (other ? mh_str_eq(got, eq + 1) : !got || (eq && strcmp(got, eq + 1) != 0))
            return false;
    }
    return true;
}

/* --- requests -------------------------------------------------------------------------------- */

static struct tw_request *
record(struct tw *tw, const char *method, const char *path, const char *type, const char *body,
       size_t len)
{
    struct tw_request *r = tw_alloc(sizeof(*r));
    const char *q = strchr(path, '?');
    char *only = tw_text(tw, path);
    char *text = tw_alloc(len + 1);
    if (body)
        memcpy(text, body, len);
    tw_add(&tw->state->texts, text);
    only[q ? (size_t)(q - path) : strlen(path)] = '\0';
    *r = (struct tw_request){ .method = tw_text(tw, method),
                              .path = only,
                              .query = q ? tw_text(tw, q + 1) : "",
                              .content_type = tw_text(tw, type ? type : "application/json"),
                              .body_text = text,
                              .body = len ? tw_parse(tw, text, len) : NULL,
                              .at_ns = tw->now_ns };
    return r;
}

static void
ask(struct tw *tw, const struct tw_request *r, struct tw_answer *a)
{
    struct tw_state *st = tw->state;
    for (int i = st->napi - 1; i >= 0; i--) {
        *a = (struct tw_answer){ .status = 200, .json = "{}", .delay_ns = REPLY_NS };
        if (st->api[i].fn(tw, st->api[i].arg, r, a))
            return;
    }
    *a = (struct tw_answer){ .status = 200, .json = "{}", .delay_ns = REPLY_NS };
    if (st->store && tw_store_answer(tw, r, a))
        return;
    a->status = 404;
    a->json = "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"NotFound\",\"message\":"
              "\"not found\",\"code\":404}";
}

/* As the client maps them (kube/error.c), for what the test world may answer. */
static enum mh_code
code_of(int status, const char *reason)
{
    static const struct {
        int status;
        enum mh_code code;
    } codes[] = { { 401, MH_E_DENIED },   { 403, MH_E_DENIED }, { 404, MH_E_NOTFOUND },
                  { 409, MH_E_CONFLICT }, { 410, MH_E_GONE },   { 429, MH_E_THROTTLED } };
    if (status < 300)
        return MH_OK;
    if (status == 409 && mh_str_eq(reason, "AlreadyExists"))
        return MH_E_EXISTS;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i].status == status)
            return codes[i].code;
    }
    return status >= 500 ? MH_E_UNAVAILABLE : MH_E_INVALID;
}

static void
fill_reply(struct call *k)
{
    struct mh_api_call *c = k->call;
    struct mh_err parse = { 0 };
    bool reads = strcmp(c->method, "GET") == 0;
    c->err = (struct mh_err){ 0 };
    c->reply = NULL;
    c->status = 0;
    c->retry_after_ms = k->answer.retry_after_ms;
    if (k->answer.code != MH_OK) {
        (void)mh_fail(&c->err, k->answer.code, "%s %s: no answer", c->method, c->path);
        return;
    }
    c->status = k->answer.status;
    if (k->json[0] &&
        mh_json_parse(c->arena, k->json, strlen(k->json), &c->reply, &parse) != MH_OK) {
        (void)mh_fail(&c->err, reads ? parse.code : MH_E_TIMEOUT, "%s %s: %s", c->method, c->path,
                      parse.msg);
        return;
    }
    enum mh_code code = code_of(c->status, mh_json_str(c->reply, "reason", NULL));
    const char *message = mh_json_str(c->reply, "message", NULL);
    if (code != MH_OK)
        (void)mh_fail(&c->err, code, "%s %s: %s", c->method, c->path,
                      message ? message : "refused");
}

static void
free_call(void *arg)
{
    struct call *k = arg;
    free(k->json);
    free(k);
}

static void
answer_now(void *arg)
{
    struct call *k = arg;
    struct mh_api_call *c = k->call;
    if (c) {
        k->request->status = k->answer.code == MH_OK ? k->answer.status : 0;
        fill_reply(k);
        c->impl = NULL;
        k->tw->state->open_calls--;
    }
    free_call(k);
    if (c)
        c->done(c);
}

static void
start(void *self, struct mh_api_call *c)
{
    struct tw *tw = self;
    struct call *k = tw_alloc(sizeof(*k));
    int ms = c->timeout_ms > 0 ? c->timeout_ms : 10000;
    *k = (struct call){ .tw = tw, .call = c };
    k->request =
        record(tw, c->method, c->path, c->content_type, c->body, c->body ? c->body_len : 0);
    tw_add(&tw->state->requests, k->request);
    ask(tw, k->request, &k->answer);
    if (k->answer.silent || k->answer.delay_ns > ms * MH_NS_PER_MS) {
        k->answer.code = MH_E_TIMEOUT;
        k->answer.delay_ns = ms * MH_NS_PER_MS;
    }
    k->json = tw_dup(k->answer.json ? k->answer.json : "");
    k->answer.json = NULL;
    c->impl = k;
    tw->state->open_calls++;
    (void)tw_later(tw, k->answer.delay_ns, answer_now, k, free_call);
}

static void
cancel(void *self, struct mh_api_call *c)
{
    struct call *k = c->impl;
    (void)self;
    if (!k)
        return;
    k->call = NULL;
    k->request->cancelled = true;
    k->tw->state->open_calls--;
    c->impl = NULL;
}

/* --- watches --------------------------------------------------------------------------------- */

static void
free_delivery(void *arg)
{
    struct delivery *d = arg;
    free(d->json);
    free(d);
}

static bool
is_open(struct tw *tw, const struct mh_watch *w)
{
    for (int i = 0; i < tw->state->watches.len; i++) {
        if (tw->state->watches.items[i] == w)
            return true;
    }
    return false;
}

static void
give(struct tw *tw, struct mh_watch *w, enum mh_watch_kind kind, yyjson_val *object)
{
    if (is_open(tw, w))
        w->spec.on_event(w->spec.arg, kind, object);
}

static void
list_now(struct tw *tw, struct mh_watch *w)
{
    struct tw_answer a;
    struct tw_request *r = record(tw, "GET", w->path, NULL, NULL, 0);
    size_t i;
    size_t max;
    yyjson_val *item;
    ask(tw, r, &a);
    char *json = tw_text(tw, a.json && a.status == 200 ? a.json : "{}");
    yyjson_val *list = tw_parse(tw, json, strlen(json));
    free(r);
    w->synced = true;
    give(tw, w, MH_WATCH_RELIST, NULL);
    yyjson_arr_foreach(yyjson_obj_get(list, "items"), i, max, item)
    {
        give(tw, w, MH_WATCH_ADDED, item);
    }
    give(tw, w, MH_WATCH_SYNCED, NULL);
}

static void
deliver(void *arg)
{
    struct delivery *d = arg;
    struct tw *tw = d->tw;
    struct mh_watch *w = d->watch;
    yyjson_val *object = d->json ? tw_parse(tw, d->json, strlen(d->json)) : NULL;
    enum mh_watch_kind kind = d->kind;
    free_delivery(d);
    if (!is_open(tw, w))
        return;
    if (kind == MH_WATCH_RELIST)
        list_now(tw, w);
    else if (w->synced || kind == MH_WATCH_LOST)
        give(tw, w, kind, object);
}

static void
schedule(struct tw *tw, struct mh_watch *w, int64_t ns, enum mh_watch_kind kind, char *json)
{
    struct delivery *d = tw_alloc(sizeof(*d));
    *d = (struct delivery){ w, tw, kind, json };
    (void)tw_later(tw, ns, deliver, d, free_delivery);
}

static struct mh_watch *
watch(void *self, const struct mh_watch_spec *spec)
{
    struct tw *tw = self;
    void *probe = mh_malloc(1); /* so that sweeps of allocation failures meet this too */
    mh_free(probe);
    if (!probe)
        return NULL;
    struct mh_watch *w = tw_alloc(sizeof(*w));
    *w = (struct mh_watch){ .tw = tw, .spec = *spec, .path = tw_text(tw, spec->path) };
    w->spec.path = w->path;
    tw_add(&tw->state->watches, w);
    schedule(tw, w, REPLY_NS, MH_WATCH_RELIST, NULL);
    return w;
}

static void
unwatch(void *self, struct mh_watch *w)
{
    struct tw *tw = self;
    struct tw_list *l = &tw->state->watches;
    for (int i = 0; w && i < l->len; i++) {
        if (l->items[i] == w) {
            tw_drop(l, i);
            tw_add(&tw->state->texts, w); /* its address is not used again */
            return;
        }
    }
}

void
tw_watch_object(struct tw *tw, const char *object_path, enum mh_watch_kind kind, yyjson_val *object)
{
    struct tw_path o;
    struct tw_path c;
    if (tw->state->mute || !tw_path_parse(object_path, &o))
        return;
    for (int i = 0; i < tw->state->watches.len; i++) {
        struct mh_watch *w = tw->state->watches.items[i];
        const char *query = strchr(w->path, '?');
        if (!tw_path_parse(w->path, &c) || strcmp(c.prefix, o.prefix) != 0 ||
            strcmp(c.plural, o.plural) != 0 || (*c.ns && strcmp(c.ns, o.ns) != 0) ||
            !tw_labels_match(query, object))
            continue;
        schedule(tw, w, REPLY_NS, kind, yyjson_val_write(object, 0, NULL));
    }
}

void
tw_watch_event(struct tw *tw, const char *path, enum mh_watch_kind kind, const char *json)
{
    for (int i = 0; i < tw->state->watches.len; i++) {
        struct mh_watch *w = tw->state->watches.items[i];
        if (mh_str_starts(w->path, path))
            schedule(tw, w, 0, kind, json ? tw_dup(json) : NULL);
    }
}

void
tw_watch_mute(struct tw *tw, bool mute)
{
    tw->state->mute = mute;
}

void
tw_watch_break(struct tw *tw, int64_t ns)
{
    for (int i = 0; i < tw->state->watches.len; i++) {
        struct mh_watch *w = tw->state->watches.items[i];
        w->synced = false;
        schedule(tw, w, 0, MH_WATCH_LOST, NULL);
        schedule(tw, w, ns, MH_WATCH_RELIST, NULL);
    }
}

/* --- what tests ask -------------------------------------------------------------------------- */

void
tw_api_on(struct tw *tw, tw_api_fn fn, void *arg)
{
    struct tw_state *st = tw->state;
    if (st->napi == 8)
        abort();
    st->api[st->napi].fn = fn;
    st->api[st->napi++].arg = arg;
}

static bool
is_wanted(const struct tw_request *r, const char *method, const char *part)
{
    return (!method || strcmp(r->method, method) == 0) && (!part || strstr(r->path, part));
}

int
tw_api_count(const struct tw *tw, const char *method, const char *part)
{
    int n = 0;
    for (int i = 0; i < tw->state->requests.len; i++)
        n += is_wanted(tw->state->requests.items[i], method, part);
    return n;
}

const struct tw_request *
tw_api_last(const struct tw *tw, const char *method, const char *part)
{
    for (int i = tw->state->requests.len - 1; i >= 0; i--) {
        if (is_wanted(tw->state->requests.items[i], method, part))
            return tw->state->requests.items[i];
    }
    return NULL;
}

const struct tw_request *
tw_api_request(const struct tw *tw, int i)
{
    return i >= 0 && i < tw->state->requests.len ? tw->state->requests.items[i] : NULL;
}

void
tw_api_init(struct tw *tw)
{
    tw->world.api = (struct mh_api){ start, cancel, watch, unwatch, tw };
}

void
tw_api_free(struct tw *tw)
{
    struct tw_state *st = tw->state;
    for (int i = 0; i < st->requests.len; i++)
        free(st->requests.items[i]);
    for (int i = 0; i < st->watches.len; i++)
        free(st->watches.items[i]);
    free(st->requests.items);
    free(st->watches.items);
    tw_store_free(tw);
}
