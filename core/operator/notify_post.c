/* notify_post.c - one message to one target: where it leads, and the tries to get it there. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/str.h"
#include "net/crypto.h"
#include "operator/notify.h"

#define POSTS_MAX 50
#define TRIES 3
#define ANSWER_MAX ((size_t)64 << 10)
#define POST_ARENA ((size_t)1 << 20)
#define AGAIN_NS (5LL * 1000000000LL)
#define CONNECT_MS 3000
#define POST_MS 10000

struct mh_notify_post {
    struct mh_notify_post *next;
    struct mh_notify *n;
    const struct mh_notify_target *target;
    struct mh_arena arena;
    const char *url;
    const char *body;
    int tries;
    struct mh_timer *timer;
    struct mh_api_call secret;
    struct mh_http_call call;
    struct mh_http_tls tls;
    bool reading; /* the secret */
    bool posting;
};

static void go(struct mh_notify_post *p);

/* --- where a message may go ------------------------------------------------------------------- */

/* "https://host:port" of a URL: how long it is; 0: it is none, or has a name and password in it. */
static size_t
origin_len(const char *url, size_t *host)
{
    *host = mh_str_starts(url, "https://") ? 8 : mh_str_starts(url, "http://") ? 7 : 0;
    size_t len = *host ? strcspn(url + *host, "/?#") : 0;
    for (const char *c = url; *c; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == '\\')
            return 0;
    }
    return len && !memchr(url + *host, '@', len) ? *host + len : 0;
}

/* One element of the list against the origin. */
static bool
fits(const char *rule, size_t len, const char *origin, size_t origin_len, size_t host)
{
    const char *name = origin + host;
    size_t n = origin_len - host;
    if (memchr(rule, ':', len))
        return len == origin_len && strncasecmp(rule, origin, len) == 0;
    if (host != 8) /* https only */
        return false;
    if (n > 4 && memcmp(name + n - 4, ":443", 4) == 0)
        n -= 4;
    if (len > 2 && rule[0] == '*' && rule[1] == '.')
        return n > len - 1 && strncasecmp(name + n - (len - 1), rule + 1, len - 1) == 0 &&
               !memchr(name, ':', n);
    return len == n && strncasecmp(rule, name, n) == 0;
}

bool
mh_notify_allowed(const char *allowed, const char *url)
{
    size_t host;
    size_t n = origin_len(url, &host);
    for (const char *at = allowed; n && *(at += strspn(at, ", \n"));) {
        size_t len = strcspn(at, ", \n");
        if (fits(at, len, url, n, host))
            return true;
        at += len;
    }
    return false;
}

/* --- one post --------------------------------------------------------------------------------- */

static void
drop(struct mh_notify_post *p)
{
    struct mh_notify_post **at = &p->n->posts;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    p->n->nposts--;
    p->n->clock.cancel(p->n->clock.self, p->timer);
    if (p->reading)
        p->n->api.cancel(p->n->api.self, &p->secret);
    if (p->posting)
        mh_http_cancel(p->n->http, &p->call);
    mh_arena_release(&p->arena);
    mh_free(p);
}

/* The message is out, or given up. Addresses are secrets: the log has the target's name. */
static void
end(struct mh_notify_post *p, bool ok, const char *why)
{
    if (ok)
        mh_info("notify", "message sent", "target", p->target->name);
    else
        mh_warn("notify", "message not sent", "target", p->target->name, "error", why);
    if (p->n->on_post)
        p->n->on_post(p->n->arg, p->target->name, ok);
    drop(p);
}

static void
on_again(void *arg)
{
    struct mh_notify_post *p = arg;
    p->timer = NULL;
    go(p);
}

static void
again(struct mh_notify_post *p, int after_ms, const char *why)
{
    int64_t ns = AGAIN_NS << (p->tries - 1);
    if (after_ms > 0 && after_ms < 60000 && after_ms * 1000000LL > ns)
        ns = after_ms * 1000000LL;
    if (p->tries < TRIES && (p->timer = p->n->clock.after(p->n->clock.self, ns, on_again, p)))
        return;
    end(p, false, why);
}

static void
on_posted(struct mh_http_call *call)
{
    struct mh_notify_post *p = call->arg;
    char why[40];
    p->posting = false;
    (void)snprintf(why, sizeof(why), "it answered with status %d", call->status);
    if (call->err.code != MH_OK)
        again(p, 0, "nobody answers, or not in time");
    else if (call->status >= 200 && call->status < 300)
        end(p, true, NULL);
    else if (call->status == 429 || call->status >= 500)
        again(p, call->retry_after_ms, why);
    else
        end(p, false, why);
}

static void
post(struct mh_notify_post *p)
{
    if (!mh_notify_allowed(p->n->allowed, p->url)) {
        end(p, false, "its host is not among NOTIFY_ALLOWED_HOSTS");
        return;
    }
    p->tls = (struct mh_http_tls){ .ca_file = p->n->ca_file };
    p->call = (struct mh_http_call){ .method = "POST",
                                     .url = p->url,
                                     .content_type = "application/json",
                                     .body = p->body,
                                     .body_len = strlen(p->body),
                                     .tls = &p->tls,
                                     .lane = MH_HTTP_BULK,
                                     .connect_timeout_ms = CONNECT_MS,
                                     .timeout_ms = POST_MS,
                                     .body_max = ANSWER_MAX,
                                     .arena = &p->arena,
                                     .done = on_posted,
                                     .arg = p };
    p->posting = true;
    mh_http_start(p->n->http, &p->call);
}

static void
on_secret(struct mh_api_call *call)
{
    struct mh_notify_post *p = call->arg;
    const char *key = strchr(p->target->secret, '/') + 1;
    const char *b64 = mh_json_str(call->reply, "data", key, NULL);
    char *url = b64 ? mh_base64_decode(&p->arena, b64, strlen(b64), NULL) : NULL;
    p->reading = false;
    if (call->err.code != MH_OK && call->err.code != MH_E_NOTFOUND) {
        again(p, 0, "its secret cannot be read");
    } else if (!url) {
        end(p, false, "its secret is not there, or has no such key");
    } else {
        url[strcspn(url, "\r\n")] = 0;
        p->url = url;
        post(p);
    }
}

static void
read_secret(struct mh_notify_post *p)
{
    const char *slash = strchr(p->target->secret, '/');
    const char *path =
        mh_arena_printf(&p->arena, "/api/v1/namespaces/%s/secrets/%.*s", p->n->name_space,
                        (int)(slash - p->target->secret), p->target->secret);
    p->secret = (struct mh_api_call){
        .method = "GET", .path = path, .arena = &p->arena, .done = on_secret, .arg = p
    };
    if (!path) {
        end(p, false, "no memory");
        return;
    }
    p->reading = true;
    p->n->api.start(p->n->api.self, &p->secret);
}

static void
go(struct mh_notify_post *p)
{
    p->tries++;
    if (p->target->secret && !p->url) {
        read_secret(p);
        return;
    }
    if (!p->url)
        p->url = p->target->url;
    post(p);
}

/* --- the message ------------------------------------------------------------------------------ */

static void
add(struct mh_buf *b, const char *key, const char *value)
{
    (void)mh_buf_printf(b, ",\"%s\":", key);
    (void)mh_json_quote(b, value, strlen(value));
}

/* "text" is what chats show; the rest is for programs. */
static const char *
body_of(struct mh_arena *a, const char *ns, const char *name, yyjson_val *m)
{
    struct mh_buf b;
    struct mh_buf both;
    const char *title = mh_json_str(m, "title", NULL), *text = mh_json_str(m, "text", NULL);
    const char *severity = mh_json_str(m, "severity", NULL);
    mh_buf_init(&b, (size_t)64 << 10);
    mh_buf_init(&both, (size_t)16 << 10);
    (void)mh_buf_printf(&both, "%s%s%s", title ? title : "", text ? "\n" : "", text ? text : "");
    (void)mh_buf_str(&b, "{\"text\":");
    (void)mh_json_quote(&b, mh_buf_text(&both), both.len);
    add(&b, "title", title ? title : "");
    add(&b, "key", mh_json_str(m, "key", NULL));
    add(&b, "severity", severity ? severity : "info");
    add(&b, "namespace", ns);
    add(&b, "cluster", name);
    char *out =
        mh_buf_char(&b, '}') && !both.failed ? mh_arena_strndup(a, mh_buf_text(&b), b.len) : NULL;
    mh_buf_release(&both);
    mh_buf_release(&b);
    return out;
}

void
mh_notify_send(struct mh_notify *n, const char *ns, const char *name, yyjson_val *message)
{
    const char *to = mh_json_str(message, "target", NULL);
    const struct mh_notify_target *t = NULL;
    for (int i = 0; i < n->ntargets; i++) {
        if (mh_str_eq(n->targets[i].name, to))
            t = &n->targets[i];
    }
    if (!t || !mh_json_str(message, "key", NULL))
        return; /* the guard has seen to it */
    struct mh_notify_post *p = n->nposts < POSTS_MAX ? mh_calloc(1, sizeof(*p)) : NULL;
    if (!p) {
        mh_warn("notify", "message dropped: too many wait, or no memory", "target", to);
        if (n->on_post)
            n->on_post(n->arg, to, false);
        return;
    }
    *p = (struct mh_notify_post){ .n = n, .target = t, .next = n->posts };
    mh_arena_init(&p->arena, POST_ARENA);
    n->posts = p;
    n->nposts++;
    p->body = body_of(&p->arena, ns, name, message);
    if (p->body)
        go(p);
    else
        end(p, false, "no memory");
}

void
mh_notify_stop_posts(struct mh_notify *n)
{
    while (n->posts)
        drop(n->posts);
}
