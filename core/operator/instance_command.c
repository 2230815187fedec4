/* instance_command.c - one POST to the instance manager of a pod, for op "instance". */
#include <stdio.h>
#include <string.h>

#include "operator/instances.h"

#define CONNECT_MS 2000
#define COMMAND_MS 5000

struct command {
    struct mh_instances *all;
    struct mh_instance_call *call;
    struct mh_http_call http;
    struct mh_http_tls tls;
    struct mh_timer *timer; /* of a failure before anything was sent */
    char url[128];
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
on_command_done(struct mh_http_call *http)
{
    struct command *c = http->arg;
    struct mh_instance_call *call = c->call;
    call->impl = NULL;
    call->err = http->err;
    if (http->err.code == MH_OK) {
        enum mh_code code = code_of(http->status);
        mh_json_parse(call->arena, http->body_text, http->body_text_len, &call->reply, NULL);
        const char *why = mh_json_str(call->reply, "error", "message", NULL);
        if (code != MH_OK)
            mh_fail(&call->err, code, "instance %s refused: %s", call->pod,
                    why ? why : "it gave no reason");
    }
    call->done(call);
}

static void
on_command_failed(void *arg)
{
    struct command *c = arg;
    struct mh_instance_call *call = c->call;
    c->timer = NULL;
    call->impl = NULL;
    call->done(call);
}

/* Ends with an error from the loop. */
static void
fail_later(struct command *c, enum mh_code code, const char *why)
{
    mh_fail(&c->call->err, code, "instance %s cannot be asked: %s", c->call->pod, why);
    c->timer = c->all->clock.after(c->all->clock.self, 0, on_command_failed, c);
}

static void
command_start(void *self, struct mh_instance_call *call)
{
    struct mh_instances *all = self;
    const char *ip, *ca;
    struct command *c = mh_arena_alloc(call->arena, sizeof(*c));
    call->impl = c;
    if (!c)
        return; /* the arena is full: the pass is stopped by its own limits */
    c->all = all;
    c->call = call;
    if (!mh_instances_where(all, call->ns, call->pod, &ip, &ca) || !all->http) {
        fail_later(c, MH_E_UNREACHABLE, ip ? "its CA is unknown" : "it has no address");
        return;
    }
    bool v6 = strchr(ip, ':') != NULL;
    snprintf(c->url, sizeof(c->url), "https://%s%s%s:%d/moonherd/v1/command", v6 ? "[" : "", ip,
             v6 ? "]" : "", all->port);
    c->tls = (struct mh_http_tls){ .ca_pem = mh_arena_strdup(call->arena, ca),
                                   .cert_pem = all->cert_pem,
                                   .key_pem = all->key_pem,
                                   .any_name = true };
    c->http = (struct mh_http_call){ .method = "POST",
                                     .url = c->url,
                                     .content_type = "application/json",
                                     .body = call->body,
                                     .body_len = strlen(call->body),
                                     .tls = &c->tls,
                                     .lane = MH_HTTP_PEERS,
                                     .connect_timeout_ms = CONNECT_MS,
                                     .timeout_ms = COMMAND_MS,
                                     .body_max = (size_t)64 << 10,
                                     .arena = call->arena,
                                     .done = on_command_done,
                                     .arg = c };
    mh_http_start(all->http, &c->http);
}

static void
command_cancel(void *self, struct mh_instance_call *call)
{
    struct mh_instances *all = self;
    struct command *c = call->impl;
    call->impl = NULL;
    if (!c)
        return;
    if (c->timer)
        all->clock.cancel(all->clock.self, c->timer);
    else if (c->http.url)
        mh_http_cancel(all->http, &c->http);
}

struct mh_instance_sender
mh_instances_sender(struct mh_instances *all)
{
    return (struct mh_instance_sender){ command_start, command_cancel, all };
}
