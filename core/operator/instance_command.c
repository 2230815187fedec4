/* instance_command.c - orders to instance managers: one POST each, none waits for another. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "operator/instances.h"

#define CONNECT_MS 2000
#define ORDER_MS 5000
#define ORDER_MAX ((size_t)1 << 20)
#define ORDERS_MAX 1000
#define REPLY_MAX ((size_t)64 << 10)

struct mh_order {
    struct mh_instances *all;
    struct mh_order *next;
    struct mh_arena arena;
    struct mh_instance_order what; /* texts on the arena */
    struct mh_http_call http;
    struct mh_http_tls tls;
};

static enum mh_code
code_of(int status)
{
    switch (status) {
    case 200:
        return MH_OK;
    case 401:
    case 403:
        return MH_E_DENIED;
    case 404:
        return MH_E_NOTFOUND;
    case 409:
        return MH_E_CONFLICT;
    case 400:
    case 422:
        return MH_E_INVALID;
    default:
        return MH_E_UNAVAILABLE;
    }
}

static void
drop(struct mh_order *o)
{
    struct mh_order **at = &o->all->orders;
    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    mh_arena_release(&o->arena);
    mh_free(o);
}

void
mh_instances_drop_orders(struct mh_instances *all)
{
    while (all->orders) {
        mh_http_cancel(all->http, &all->orders->http);
        drop(all->orders);
    }
}

static void
log_failure(const struct mh_instance_order *what, enum mh_code code, const char *why)
{
    mh_warn("instances", "order not followed", "namespace", what->ns, "pod", what->pod, "command",
            what->command, "code", mh_code_name(code), "error", why);
}

static void
on_answer(struct mh_http_call *http)
{
    struct mh_order *o = http->arg;
    mh_crash_point(o->what.crash, "instance", "-", false);
    if (http->err.code != MH_OK) {
        log_failure(&o->what, http->err.code, http->err.msg);
    } else if (code_of(http->status) != MH_OK) {
        yyjson_val *reply = NULL;
        mh_json_parse(&o->arena, http->body_text, http->body_text_len, &reply, NULL);
        const char *why = mh_json_str(reply, "error", "message", NULL);
        log_failure(&o->what, code_of(http->status), why ? why : "it gave no reason");
    }
    drop(o);
}

/* Takes the place of an order of the same command to the same pod. False: that one is the same. */
static bool
replace(struct mh_instances *all, const struct mh_instance_order *what)
{
    size_t n = 0;
    for (struct mh_order *o = all->orders; o; o = o->next, n++) {
        if (!mh_str_eq(o->what.ns, what->ns) || !mh_str_eq(o->what.pod, what->pod) ||
            !mh_str_eq(o->what.command, what->command))
            continue;
        if (mh_str_eq(o->what.body, what->body))
            return false;
        mh_http_cancel(all->http, &o->http);
        drop(o);
        return true;
    }
    return n < ORDERS_MAX;
}

/* Fills o->what and o->http; false: no memory. */
static bool
prepare(struct mh_order *o, const struct mh_instance_order *what, const char *ip, const char *ca)
{
    struct mh_arena *a = &o->arena;
    bool v6 = strchr(ip, ':') != NULL;
    o->what = (struct mh_instance_order){ .ns = mh_arena_strdup(a, what->ns),
                                          .pod = mh_arena_strdup(a, what->pod),
                                          .command = mh_arena_strdup(a, what->command),
                                          .body = mh_arena_strdup(a, what->body),
                                          .crash = what->crash };
    o->tls = (struct mh_http_tls){ .ca_pem = mh_arena_strdup(a, ca),
                                   .cert_pem = o->all->cert_pem,
                                   .key_pem = o->all->key_pem,
                                   .any_name = true };
    o->http = (struct mh_http_call){
        .method = "POST",
        .url = mh_arena_printf(a, "https://%s%s%s:%d/moonherd/v1/command", v6 ? "[" : "", ip,
                               v6 ? "]" : "", o->all->port),
        .content_type = "application/json",
        .body = o->what.body,
        .body_len = strlen(what->body),
        .tls = &o->tls,
        .lane = MH_HTTP_PEERS,
        .connect_timeout_ms = CONNECT_MS,
        .timeout_ms = ORDER_MS,
        .body_max = REPLY_MAX,
        .arena = a,
        .done = on_answer,
        .arg = o,
    };
    return o->what.ns && o->what.pod && o->what.command && o->what.body && o->tls.ca_pem &&
           o->http.url;
}

static void
post(void *self, const struct mh_instance_order *what)
{
    struct mh_instances *all = self;
    const char *ip, *ca;
    if (!mh_instances_where(all, what->ns, what->pod, &ip, &ca) || !all->http) {
        log_failure(what, MH_E_UNREACHABLE, ip ? "its CA is unknown" : "it has no address");
        return;
    }
    if (!replace(all, what))
        return;
    struct mh_order *o = mh_calloc(1, sizeof(*o));
    if (!o) {
        log_failure(what, MH_E_NOMEM, "no memory");
        return;
    }
    o->all = all;
    o->next = all->orders;
    all->orders = o;
    mh_arena_init(&o->arena, ORDER_MAX);
    if (!prepare(o, what, ip, ca)) {
        log_failure(what, MH_E_NOMEM, "no memory");
        drop(o);
        return;
    }
    mh_http_start(all->http, &o->http);
}

struct mh_instance_sender
mh_instances_sender(struct mh_instances *all)
{
    return (struct mh_instance_sender){ post, all };
}
