/* portforward.c - pods/NAME/portforward: SPDY/3.1 frames inside WebSocket messages. Each connection of
 * the client is a pair of streams (error and data) with a requestID of its own. */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/str.h"
#include "sandbox/connect_in.h"
#include "sandbox/spdy.h"

#define PAIRS_MAX 256

/* One connection through it. */
struct pair {
    struct pair *next;
    struct forward *f;
    char request[64];
    int port;
    unsigned error_id, data_id; /* 0: not opened yet */
    struct bufferevent *bev;
    bool client_ended, pod_ended;
    bool connected; /* something passed: from now on an error is just an end */
};

struct forward {
    struct connect_any any;
    struct mh_sb_connect_env env;
    struct mh_sb_ws *ws;
    struct mh_sb_spdy spdy;
    struct pair *pairs;
    int npairs;
    bool gone;
    int depth;
    char ns[64], pod[256];
};

/* --- the end ---------------------------------------------------------------------------------------------- */

static void
free_pair(struct forward *f, struct pair *p)
{
    struct pair **at = &f->pairs;
    while (*at && *at != p)
        at = &(*at)->next;
    if (*at)
        *at = p->next;
    f->npairs--;
    if (p->bev)
        bufferevent_free(p->bev);
    mh_free(p);
}

static void
free_forward(struct forward *f)
{
    while (f->pairs)
        free_pair(f, f->pairs);
    mh_sb_spdy_release(&f->spdy);
    mh_sb_connect_remove(&f->any);
    mh_free(f);
}

static void
end_forward(struct connect_any *any)
{
    struct forward *f = (struct forward *)any;
    mh_sb_ws_close(f->ws, 1001);
    free_forward(f);
}

static void
on_gone(void *arg)
{
    struct forward *f = arg;
    f->gone = true;
    if (f->depth == 0)
        free_forward(f);
}

static void
finish_pair(struct pair *p, const char *error)
{
    struct forward *f = p->f;
    if (error)
        (void)mh_sb_spdy_data(&f->spdy, p->error_id, error, strlen(error), false);
    if (p->error_id)
        (void)mh_sb_spdy_data(&f->spdy, p->error_id, "", 0, true);
    if (p->data_id && !p->pod_ended)
        (void)mh_sb_spdy_data(&f->spdy, p->data_id, "", 0, true);
    free_pair(f, p);
}

/* --- the pod's side ------------------------------------------------------------------------------------------ */

static void
send_out(void *arg, const char *data, size_t len)
{
    struct forward *f = arg;
    if (!f->gone)
        (void)mh_sb_ws_send(f->ws, NULL, 0, data, len);
}

static void
on_pod_data(struct bufferevent *bev, void *arg)
{
    struct pair *p = arg;
    char piece[16 << 10];
    size_t n;
    while ((n = bufferevent_read(bev, piece, sizeof(piece))) > 0) {
        p->connected = true;
        (void)mh_sb_spdy_data(&p->f->spdy, p->data_id, piece, n, false);
    }
    if (mh_sb_ws_queued(p->f->ws) > MH_SB_QUEUE_MAX)
        (void)bufferevent_disable(bev, EV_READ);
}

/* All that the client sent is with the pod's kernel. */
static void
on_pod_written(struct bufferevent *bev, void *arg)
{
    struct pair *p = arg;
    p->connected = true;
    if (p->client_ended)
        (void)shutdown(bufferevent_getfd(bev), SHUT_WR);
    mh_sb_ws_pause(p->f->ws, false);
    if (p->client_ended && p->pod_ended)
        finish_pair(p, NULL);
}

static void
on_pod_event(struct bufferevent *bev, short what, void *arg)
{
    struct pair *p = arg;
    if (what & BEV_EVENT_EOF) {
        on_pod_data(bev, p);
        if (!p->pod_ended)
            (void)mh_sb_spdy_data(&p->f->spdy, p->data_id, "", 0, true);
        p->pod_ended = true;
        if (p->client_ended || evbuffer_get_length(bufferevent_get_output(bev)) == 0)
            finish_pair(p, NULL);
    } else if (what & BEV_EVENT_ERROR) {
        char text[400];
        (void)snprintf(text, sizeof(text),
                       "error forwarding port %d to pod %s, uid : failed to connect to "
                       "localhost:%d: %s",
                       p->port, p->f->pod, p->port,
                       evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
        finish_pair(p, p->connected ? NULL : text);
    }
}

static void
on_drained(void *arg)
{
    struct forward *f = arg;
    for (struct pair *p = f->pairs; p; p = p->next)
        if (p->bev && !p->pod_ended)
            (void)bufferevent_enable(p->bev, EV_READ);
}

/* Both streams are there: now the pod. */
static void
dial(struct pair *p)
{
    struct forward *f = p->f;
    struct mh_err err;
    char text[768];
    int fd = -1;
    if (mh_sb_node_dial(f->env.nodes, f->ns, f->pod, p->port, &fd, &err) != MH_OK) {
        (void)snprintf(text, sizeof(text), "error forwarding port %d to pod %s: %s", p->port,
                       f->pod, err.msg);
        finish_pair(p, text);
        return;
    }
    p->bev = bufferevent_socket_new(f->env.base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!p->bev) {
        (void)close(fd);
        finish_pair(p, "no memory");
        return;
    }
    bufferevent_setcb(p->bev, on_pod_data, on_pod_written, on_pod_event, p);
    (void)bufferevent_enable(p->bev, EV_READ | EV_WRITE);
}

/* --- the client's side ----------------------------------------------------------------------------------------- */

static const char *
header(const struct mh_sb_spdy_header *h, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(h[i].name, name) == 0)
            return h[i].value;
    return "";
}

static struct pair *
pair_of(struct forward *f, const char *request, int port)
{
    for (struct pair *p = f->pairs; p; p = p->next)
        if (mh_str_eq(p->request, request))
            return p;
    struct pair *p = f->npairs < PAIRS_MAX ? mh_calloc(1, sizeof(*p)) : NULL;
    if (!p)
        return NULL;
    p->f = f;
    p->port = port;
    mh_str_copy(p->request, sizeof(p->request), request);
    p->next = f->pairs;
    f->pairs = p;
    f->npairs++;
    return p;
}

static void
on_stream(void *arg, unsigned id, const struct mh_sb_spdy_header *h, size_t n)
{
    struct forward *f = arg;
    int64_t port;
    const char *type = header(h, n, "streamtype");
    bool error = mh_str_eq(type, "error");
    struct pair *p = NULL;
    if ((error || mh_str_eq(type, "data")) && mh_str_int(header(h, n, "port"), 1, 65535, &port))
        p = pair_of(f, header(h, n, "requestid"), (int)port);
    if (!p || (error ? p->error_id : p->data_id)) {
        (void)mh_sb_spdy_reset(&f->spdy, id, 3); /* refused */
        return;
    }
    (void)mh_sb_spdy_reply(&f->spdy, id);
    if (error)
        p->error_id = id;
    else
        p->data_id = id;
    if (p->error_id && p->data_id)
        dial(p);
}

static struct pair *
pair_by_data(struct forward *f, unsigned id)
{
    struct pair *p = f->pairs;
    while (p && p->data_id != id)
        p = p->next;
    return p;
}

static void
on_data(void *arg, unsigned id, const char *data, size_t len, bool fin)
{
    struct forward *f = arg;
    struct pair *p = pair_by_data(f, id);
    if (!p || !p->bev || p->client_ended)
        return; /* clients end their half of the error stream at once */
    if (len)
        (void)bufferevent_write(p->bev, data, len);
    struct evbuffer *out = bufferevent_get_output(p->bev);
    if (evbuffer_get_length(out) > MH_SB_QUEUE_MAX)
        mh_sb_ws_pause(f->ws, true);
    if (!fin)
        return;
    p->client_ended = true;
    if (evbuffer_get_length(out) == 0)
        on_pod_written(p->bev, p);
}

static void
on_reset(void *arg, unsigned id)
{
    struct forward *f = arg;
    struct pair *p = f->pairs;
    while (p && p->data_id != id && p->error_id != id)
        p = p->next;
    if (p)
        free_pair(f, p);
}

static void
on_message(void *arg, const char *data, size_t len)
{
    struct forward *f = arg;
    f->depth++;
    bool ok = mh_sb_spdy_feed(&f->spdy, data, len, &f->gone);
    f->depth--;
    if (f->gone) {
        free_forward(f);
    } else if (!ok) {
        mh_sb_ws_close(f->ws, 1002);
        free_forward(f);
    }
}

void
mh_sb_portforward(struct connect_ask *k)
{
    static const char *const protocols[] = { "SPDY/3.1+portforward.k8s.io", NULL };
    struct mh_request *http = mh_sb_door_http(k->req);
    int chosen;
    if (!mh_sb_ws_wanted(http)) {
        mh_sb_connect_refuse(k, 400, "BadRequest", "the sandbox speaks WebSocket here only");
        return;
    }
    struct forward *f = mh_calloc(1, sizeof(*f));
    if (!f) {
        mh_sb_connect_refuse(k, 500, "InternalError", "no memory");
        return;
    }
    f->env = *k->env;
    mh_str_copy(f->ns, sizeof(f->ns), k->at->ns);
    mh_str_copy(f->pod, sizeof(f->pod), k->at->name);
    f->spdy = (struct mh_sb_spdy){
        .send = send_out, .on_stream = on_stream, .on_data = on_data, .on_reset = on_reset, .arg = f
    };
    mh_sb_connect_add(&f->any, end_forward);
    if (!mh_sb_spdy_init(&f->spdy)) {
        free_forward(f);
        mh_sb_connect_refuse(k, 500, "InternalError", "no memory");
        return;
    }
    struct mh_sb_ws_fns fns = { on_message, on_drained, on_gone, f };
    f->ws = mh_sb_ws_accept(http, protocols, &chosen, &fns);
    mh_sb_door_taken(k->req);
    if (!f->ws)
        free_forward(f);
}
