#include "operator/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"

#define POINT "notify/v1"
#define EVENTS_MAX 200
#define RECENT_MAX 50
#define HERDS_MAX 20000
#define HOUR_S 3600
#define TOGETHER_NS (2LL * 1000000000LL)
#define BATCH_ARENA ((size_t)4 << 20)

struct sent {
    char target[64];
    char key[130];
    int64_t at;
};

/* The events of a cluster that came together, until they are decided. */
struct batch {
    struct mh_arena arena;
    yyjson_val *object;
    struct mh_buf events; /* "[{...},{...}" */
    int nevents;
    struct mh_decision decision;
};

struct herd {
    struct mh_notify *n;
    char *ns;
    char *name;
    struct batch *filling; /* waits for its timer */
    struct batch *asking;  /* waits for the policy */
    struct mh_timer *timer;
    struct sent recent[RECENT_MAX]; /* a ring; at 0 is free */
    int next;
};

static void on_time(void *arg);

static void
free_batch(struct batch *b)
{
    if (!b)
        return;
    mh_buf_release(&b->events);
    mh_arena_release(&b->arena);
    mh_free(b);
}

static int64_t
now_s(const struct mh_notify *n)
{
    return n->clock.wall_us(n->clock.self) / 1000000;
}

/* --- the question ----------------------------------------------------------------------------- */

static void
add_text(struct mh_buf *b, const char *key, const char *value, size_t max)
{
    char clean[1025];
    size_t n = strnlen(value, max < sizeof(clean) ? max : sizeof(clean) - 1);
    while (n > 0 && value[n] && ((unsigned char)value[n] & 0xc0) == 0x80)
        n--; /* not within a letter */
    for (size_t i = 0; i < n; i++)
        clean[i] = (unsigned char)value[i] < 0x20 || value[i] == 0x7f ? ' ' : value[i];
    (void)mh_buf_printf(b, "%s\"%s\":", key[0] == '+' ? "" : ",", key + (key[0] == '+'));
    (void)mh_json_quote(b, clean, n);
}

static void
add_cluster(struct mh_buf *b, const struct herd *h, struct batch *batch)
{
    yyjson_val *labels = mh_json_get(batch->object, "metadata", "labels", NULL);
    const char *text = labels ? mh_json_text(&batch->arena, labels, NULL) : NULL;
    (void)mh_buf_str(b, "\"cluster\":{");
    add_text(b, "+name", h->name, 253);
    add_text(b, "namespace", h->ns, 253);
    (void)mh_buf_printf(b, ",\"instances\":%lld,\"labels\":%s}",
                        (long long)mh_json_int(batch->object, 1, "spec", "instances", NULL),
                        text ? text : "{}");
}

static void
add_recent(struct mh_buf *b, const struct herd *h, int64_t now)
{
    bool first = true;
    (void)mh_buf_str(b, ",\"recent\":[");
    for (int i = 0; i < RECENT_MAX; i++) {
        const struct sent *s = &h->recent[(h->next + i) % RECENT_MAX];
        if (!s->at || now - s->at >= HOUR_S)
            continue;
        (void)mh_buf_str(b, first ? "{" : ",{");
        add_text(b, "+target", s->target, sizeof(s->target));
        add_text(b, "key", s->key, sizeof(s->key));
        (void)mh_buf_printf(b, ",\"at\":%lld}", (long long)s->at);
        first = false;
    }
    (void)mh_buf_char(b, ']');
}

static const char *
question(struct herd *h, struct batch *batch, size_t *len)
{
    struct mh_buf b;
    int64_t now = now_s(h->n);
    mh_buf_init(&b, (size_t)1 << 20);
    (void)mh_buf_char(&b, '{');
    add_cluster(&b, h, batch);
    (void)mh_buf_printf(&b, ",\"events\":%s],\"targets\":[", mh_buf_text(&batch->events));
    for (int i = 0; i < h->n->ntargets; i++) {
        (void)mh_buf_str(&b, i ? "," : "");
        (void)mh_json_quote(&b, h->n->targets[i].name, strlen(h->n->targets[i].name));
    }
    (void)mh_buf_char(&b, ']');
    add_recent(&b, h, now);
    (void)mh_buf_printf(&b, ",\"now\":%lld}", (long long)now);
    char *out = b.failed ? NULL : mh_arena_strndup(&batch->arena, mh_buf_text(&b), b.len);
    *len = b.len;
    mh_buf_release(&b);
    return out;
}

/* --- the answer ------------------------------------------------------------------------------- */

static void
send_all(struct herd *h, yyjson_val *answer)
{
    size_t i;
    size_t max;
    yyjson_val *m;
    yyjson_arr_foreach(yyjson_obj_get(answer, "messages"), i, max, m)
    {
        struct sent *s = &h->recent[h->next];
        mh_str_copy(s->target, sizeof(s->target), mh_json_str(m, "target", NULL));
        mh_str_copy(s->key, sizeof(s->key), mh_json_str(m, "key", NULL));
        s->at = now_s(h->n);
        h->next = (h->next + 1) % RECENT_MAX;
        mh_notify_send(h->n, h->ns, h->name, m);
    }
}

static void
on_decided(struct mh_decision *d)
{
    struct herd *h = d->arg;
    struct batch *b = h->asking;
    yyjson_val *answer = NULL;
    h->asking = NULL;
    if (h->n->on_decision)
        h->n->on_decision(h->n->arg, d);
    if (d->answer && mh_json_parse(&b->arena, d->answer, d->answer_len, &answer, NULL) == MH_OK)
        send_all(h, answer);
    free_batch(b);
    if (h->filling && !h->timer)
        h->timer = h->n->clock.after(h->n->clock.self, TOGETHER_NS, on_time, h);
}

static void
on_time(void *arg)
{
    struct herd *h = arg;
    struct batch *b = h->filling;
    h->timer = NULL;
    if (h->asking || !b)
        return; /* on_decided goes on */
    h->filling = NULL;
    b->decision = (struct mh_decision){ .point = POINT,
                                        .namespace = h->ns,
                                        .cluster = h->name,
                                        .object = b->object,
                                        .arena = &b->arena,
                                        .done = on_decided,
                                        .arg = h };
    b->decision.input = question(h, b, &b->decision.input_len);
    if (!b->decision.input) {
        mh_warn("notify", "no memory to tell of events", "namespace", h->ns, "name", h->name);
        free_batch(b);
        return;
    }
    h->asking = b;
    mh_policies_decide(h->n->policies, &b->decision);
}

/* --- events ----------------------------------------------------------------------------------- */

static struct herd *
herd_of(struct mh_notify *n, const char *ns, const char *name)
{
    char key[600];
    int len = snprintf(key, sizeof(key), "%s/%s", ns, name);
    struct herd *h = mh_map_get(&n->herds, key);
    if (h || len < 0 || (size_t)len >= sizeof(key))
        return h;
    h = mh_calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    *h = (struct herd){ .n = n, .ns = mh_strdup(ns), .name = mh_strdup(name) };
    if (h->ns && h->name && mh_map_put(&n->herds, key, h, NULL))
        return h;
    mh_free(h->ns);
    mh_free(h->name);
    mh_free(h);
    return NULL;
}

static struct batch *
new_batch(yyjson_val *object)
{
    struct batch *b = mh_calloc(1, sizeof(*b));
    size_t len;
    if (!b)
        return NULL;
    mh_arena_init(&b->arena, BATCH_ARENA);
    mh_buf_init(&b->events, (size_t)512 << 10);
    char *text = mh_json_text(&b->arena, object, &len);
    if (text && mh_json_parse(&b->arena, text, len, &b->object, NULL) == MH_OK &&
        mh_buf_char(&b->events, '['))
        return b;
    free_batch(b);
    return NULL;
}

void
mh_notify_event(struct mh_notify *n, yyjson_val *object, const char *type, const char *reason,
                const char *note)
{
    const char *ns = mh_json_str(object, "metadata", "namespace", NULL);
    const char *name = mh_json_str(object, "metadata", "name", NULL);
    struct herd *h = n->ntargets && ns && name ? herd_of(n, ns, name) : NULL;
    if (h && !h->filling)
        h->filling = new_batch(object);
    struct batch *b = h ? h->filling : NULL;
    if (!b || b->nevents >= EVENTS_MAX)
        return;
    (void)mh_buf_str(&b->events, b->nevents++ ? ",{" : "{");
    add_text(&b->events, "+type", mh_str_eq(type, "Warning") ? "Warning" : "Normal", 16);
    add_text(&b->events, "reason", reason, 128);
    add_text(&b->events, "message", note && *note ? note : reason, 1024);
    (void)mh_buf_printf(&b->events, ",\"count\":1,\"at\":%lld}", (long long)now_s(n));
    if (!h->timer && !h->asking)
        h->timer = n->clock.after(n->clock.self, TOGETHER_NS, on_time, h);
}

/* --- settings --------------------------------------------------------------------------------- */

static bool
name_ok(const char *s, size_t n)
{
    return n > 0 && n < 64 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") >= n;
}

static enum mh_code
add_target(struct mh_notify *n, const char *text, size_t len, struct mh_err *err)
{
    struct mh_notify_target *t = &n->targets[n->ntargets];
    size_t name = strcspn(text, "=");
    if (name >= len || !name_ok(text, name) || n->ntargets >= MH_NOTIFY_TARGETS)
        return mh_fail(err, MH_E_INVALID,
                       "variable NOTIFY_TARGETS: want at most %d of NAME=URL or "
                       "NAME=secret:SECRET/KEY, names of small letters, digits and -",
                       MH_NOTIFY_TARGETS);
    t->name = mh_arena_strndup(&n->arena, text, name);
    const char *value = mh_arena_strndup(&n->arena, text + name + 1, len - name - 1);
    if (!t->name || !value)
        return mh_fail(err, MH_E_NOMEM, "no memory for the targets of notifications");
    if (mh_str_starts(value, "secret:")) {
        t->secret = value + 7;
        if (!strchr(t->secret, '/'))
            return mh_fail(err, MH_E_INVALID,
                           "variable NOTIFY_TARGETS: target %s: want secret:SECRET/KEY", t->name);
    } else if (mh_notify_allowed(n->allowed, value)) {
        t->url = value;
    } else {
        return mh_fail(err, MH_E_INVALID,
                       "variable NOTIFY_TARGETS: the host of target %s is not among "
                       "NOTIFY_ALLOWED_HOSTS",
                       t->name);
    }
    n->ntargets++;
    return MH_OK;
}

enum mh_code
mh_notify_init(struct mh_notify *n, struct mh_err *err)
{
    const char *targets = getenv("NOTIFY_TARGETS");
    const char *allowed = getenv("NOTIFY_ALLOWED_HOSTS");
    const char *ca = getenv("NOTIFY_CA_FILE");
    n->ntargets = 0;
    n->posts = NULL;
    n->nposts = 0;
    n->allowed = allowed ? allowed : "";
    n->ca_file = ca && *ca ? ca : NULL;
    mh_arena_init(&n->arena, (size_t)64 << 10);
    mh_map_init(&n->herds, HERDS_MAX);
    enum mh_code code = MH_OK;
    for (const char *at = targets ? targets : ""; code == MH_OK && *(at += strspn(at, ", \n"));) {
        size_t len = strcspn(at, ", \n");
        code = add_target(n, at, len, err);
        at += len;
    }
    return code;
}

void
mh_notify_release(struct mh_notify *n)
{
    mh_notify_stop_posts(n);
    for (size_t i = 0; i < n->herds.len; i++) {
        struct herd *h = n->herds.entries[i].value;
        n->clock.cancel(n->clock.self, h->timer);
        if (h->asking)
            mh_policies_cancel(n->policies, &h->asking->decision);
        free_batch(h->asking);
        free_batch(h->filling);
        mh_free(h->ns);
        mh_free(h->name);
        mh_free(h);
    }
    mh_map_release(&n->herds);
    mh_arena_release(&n->arena);
}
