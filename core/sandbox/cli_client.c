#include "sandbox/cli_client.h"

#include <string.h>

#define ANSWER_MS 5000
#define INSTANCE_MS 700

enum mh_code
mh_sb_client_open(struct mh_sb_client *c, const char *kubeconfig, const char *data,
                  struct mh_err *err)
{
    *c = (struct mh_sb_client){ 0 };
    if (mh_sb_which(kubeconfig, data, c->kubeconfig, err) != MH_OK)
        return err->code;
    c->base = mh_loop_new();
    c->http = c->base ? mh_http_new(c->base) : NULL;
    if (!c->http)
        return mh_fail(err, MH_E_NOMEM, "no memory for the client");
    enum mh_code code = mh_kube_config_file(&c->config, c->kubeconfig, err);
    if (code != MH_OK)
        return code;
    c->kube = mh_kube_new(c->base, c->http, &c->config);
    if (!c->kube)
        return mh_fail(err, MH_E_NOMEM, "no memory for the client");
    c->api = mh_kube_api_urgent(c->kube);
    return MH_OK;
}

void
mh_sb_client_release(struct mh_sb_client *c)
{
    if (c->kube)
        mh_kube_free(c->kube);
    if (c->config.server)
        mh_kube_config_release(&c->config);
    if (c->http)
        mh_http_free(c->http);
    if (c->base)
        event_base_free(c->base);
}

struct waiting {
    struct event_base *base;
    size_t left;
};

static void
one_less(struct waiting *w)
{
    if (--w->left == 0)
        event_base_loopbreak(w->base);
}

static void
wait_for(struct waiting *w)
{
    while (w->left > 0)
        if (event_base_dispatch(w->base) != 0)
            break;
}

static void
on_reply(struct mh_api_call *call)
{
    one_less(call->arg);
}

enum mh_code
mh_sb_client_ask(struct mh_sb_client *c, struct mh_arena *a, const char *path, const char *body,
                 yyjson_val **reply, struct mh_err *err)
{
    struct waiting w = { c->base, 1 };
    struct mh_api_call call = { .method = body ? "POST" : "GET",
                                .path = path,
                                .body = body,
                                .body_len = body ? strlen(body) : 0,
                                .timeout_ms = ANSWER_MS,
                                .arena = a,
                                .done = on_reply,
                                .arg = &w };
    c->api.start(c->api.self, &call);
    wait_for(&w);
    *err = call.err;
    *reply = call.reply;
    return call.err.code;
}

void
mh_sb_client_get_all(struct mh_sb_client *c, struct mh_arena *a, const char *const *paths, size_t n,
                     yyjson_val **replies)
{
    struct waiting w = { c->base, n };
    struct mh_api_call *calls = mh_arena_alloc(a, n * sizeof(*calls));
    for (size_t i = 0; i < n; i++)
        replies[i] = NULL;
    if (!calls || n == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        calls[i] = (struct mh_api_call){ .method = "GET",
                                         .path = paths[i],
                                         .timeout_ms = ANSWER_MS,
                                         .arena = a,
                                         .done = on_reply,
                                         .arg = &w };
        c->api.start(c->api.self, &calls[i]);
    }
    wait_for(&w);
    for (size_t i = 0; i < n; i++)
        replies[i] = calls[i].err.code == MH_OK ? calls[i].reply : NULL;
}

static void
on_instance(struct mh_http_call *call)
{
    one_less(call->arg);
}

void
mh_sb_client_instances(struct mh_sb_client *c, struct mh_arena *a, const char *const *urls,
                       size_t n, yyjson_val **replies)
{
    static const struct mh_http_tls anybody = { .insecure = true };
    struct waiting w = { c->base, 0 };
    struct mh_http_call *calls = mh_arena_alloc(a, (n + 1) * sizeof(*calls));
    for (size_t i = 0; i < n; i++)
        replies[i] = NULL;
    for (size_t i = 0; calls && i < n; i++) {
        calls[i] = (struct mh_http_call){ .method = "GET",
                                          .url = urls[i],
                                          .tls = &anybody,
                                          .lane = MH_HTTP_PEERS,
                                          .connect_timeout_ms = INSTANCE_MS,
                                          .timeout_ms = INSTANCE_MS,
                                          .arena = a,
                                          .done = on_instance,
                                          .arg = &w };
        if (!urls[i])
            continue;
        w.left++;
        mh_http_start(c->http, &calls[i]);
    }
    wait_for(&w);
    for (size_t i = 0; calls && i < n; i++)
        if (calls[i].status == 200 && calls[i].body_text)
            (void)mh_json_parse(a, calls[i].body_text, calls[i].body_text_len, &replies[i], NULL);
}
