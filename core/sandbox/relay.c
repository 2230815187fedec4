/* relay.c - peers and rules. */
#include "sandbox/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "sandbox/relay_in.h"

static in_addr_t
api_address(const struct mh_sb_relay *r)
{
    return htonl((127U << 24) | ((unsigned)r->spec.n << 16) | 1U);
}

bool
mh_sb_relay_is_ours(const struct mh_sb_relay *r, in_addr_t address)
{
    return ntohl(address) >> 16 == ((127U << 8) | (unsigned)r->spec.n);
}

/* The node of an address, -1: none. */
static int
node_of(const struct mh_sb_relay *r, in_addr_t address)
{
    int part = (int)(ntohl(address) >> 8 & 255) - 16;
    return mh_sb_relay_is_ours(r, address) && part >= 0 && part < MH_SB_NODES_MAX ? part : -1;
}

static const struct mh_sb_peer *
peer_at(const struct mh_sb_relay *r, in_addr_t address)
{
    const struct mh_sb_peer *p = r->peers;
    while (p && p->address != address)
        p = p->next;
    return p;
}

static bool
is_meant(const struct mh_sb_relay *r, const char *who, in_addr_t address)
{
    if (strcmp(who, "*") == 0)
        return true;
    if (strcmp(who, "api") == 0)
        return address == api_address(r);
    if (mh_str_starts(who, "node:")) {
        char name[24];
        (void)snprintf(name, sizeof(name), "node%d", node_of(r, address) + 1);
        return node_of(r, address) >= 0 && strcmp(who + 5, name) == 0;
    }
    const struct mh_sb_peer *p = peer_at(r, address);
    return p && strcmp(p->name, who) == 0;
}

static bool
is_about(const struct mh_sb_relay *r, const struct mh_sb_rule *rule, in_addr_t a, in_addr_t b)
{
    return (is_meant(r, rule->a, a) && is_meant(r, rule->b, b)) ||
           (is_meant(r, rule->a, b) && is_meant(r, rule->b, a));
}

bool
mh_sb_relay_is_cut(struct mh_sb_relay *r, in_addr_t a, in_addr_t b)
{
    int na = node_of(r, a);
    int nb = node_of(r, b);
    if ((na >= 0 && r->silent[na]) || (nb >= 0 && r->silent[nb]))
        return true;
    for (int i = 0; i < r->nrules; i++) {
        if (r->rules[i].ms < 0 && is_about(r, &r->rules[i], a, b)) {
            r->rules[i].met++;
            return true;
        }
    }
    return false;
}

int
mh_sb_relay_delay(struct mh_sb_relay *r, in_addr_t a, in_addr_t b)
{
    int ms = 0;
    for (int i = 0; i < r->nrules; i++) {
        if (r->rules[i].ms > ms && is_about(r, &r->rules[i], a, b)) {
            r->rules[i].met++;
            ms = r->rules[i].ms;
        }
    }
    return ms;
}

/* --- listeners and peers --------------------------------------------------------------------- */

static void
on_question(evutil_socket_t fd, short what, void *arg)
{
    const struct mh_sb_listener *l = arg;
    (void)what;
    mh_sb_relay_question(l->peer, (int)fd);
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    mh_sb_link_accept(arg);
}

static void
close_listeners(struct mh_sb_peer *p)
{
    while (p->listeners) {
        struct mh_sb_listener *l = p->listeners;
        p->listeners = l->next;
        if (l->event)
            event_free(l->event);
        (void)close(l->fd);
        mh_free(l);
    }
}

struct mh_sb_peer *
mh_sb_relay_add(struct mh_sb_relay *r, const char *name, int node, const char *address)
{
    struct mh_sb_peer *p = mh_calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->relay = r;
    p->node = node;
    p->address = inet_addr(address);
    mh_str_copy(p->name, sizeof(p->name), name);
    p->next = r->peers;
    r->peers = p;
    return p;
}

void
mh_sb_relay_remove(struct mh_sb_relay *r, struct mh_sb_peer *p)
{
    struct mh_sb_peer **at = &r->peers;
    while (*at && *at != p)
        at = &(*at)->next;
    if (*at)
        *at = p->next;
    for (struct mh_sb_link *l = r->links; l; l = l->next) {
        for (const struct mh_sb_listener *k = p->listeners; k; k = k->next) {
            if (l->ask.notify_fd == k->fd)
                mh_sb_ask_answer(&l->ask, ECONNRESET);
        }
    }
    close_listeners(p);
    mh_free(p);
}

static void
drop_listener(struct mh_sb_peer *p, struct mh_sb_listener *l)
{
    struct mh_sb_listener **at = &p->listeners;
    while (*at && *at != l)
        at = &(*at)->next;
    if (*at)
        *at = l->next;
    for (struct mh_sb_link *k = p->relay->links; k; k = k->next) {
        if (k->ask.notify_fd == l->fd)
            mh_sb_ask_answer(&k->ask, ECONNRESET);
    }
    event_free(l->event);
    (void)close(l->fd);
    mh_free(l);
}

/* Nobody uses the filter any more: the descriptor hangs up (and is always readable then). */
static bool
is_over(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)) && !(p.revents & POLLIN);
}

static void
on_listener(evutil_socket_t fd, short what, void *arg)
{
    struct mh_sb_listener *l = arg;
    if (is_over((int)fd))
        drop_listener(l->peer, l);
    else
        on_question(fd, what, arg);
}

void
mh_sb_relay_listen(struct mh_sb_relay *r, struct mh_sb_peer *p, int fd)
{
    struct mh_sb_listener *l = mh_calloc(1, sizeof(*l));
    if (l) {
        l->peer = p;
        l->fd = fd;
        l->event = event_new(r->spec.base, fd, EV_READ | EV_PERSIST, on_listener, l);
    }
    if (!l || !l->event || event_add(l->event, NULL) != 0) {
        if (l && l->event)
            event_free(l->event);
        mh_free(l);
        (void)close(fd); /* its connects fail with ENOSYS */
        return;
    }
    l->next = p->listeners;
    p->listeners = l;
}

/* --- rules ----------------------------------------------------------------------------------- */

static bool
is_pair(const struct mh_sb_rule *rule, const char *a, const char *b)
{
    if (!a)
        return true;
    if (!b)
        return strcmp(rule->a, a) == 0 || strcmp(rule->b, a) == 0;
    return (strcmp(rule->a, a) == 0 && strcmp(rule->b, b) == 0) ||
           (strcmp(rule->a, b) == 0 && strcmp(rule->b, a) == 0);
}

static int
drop_rules(struct mh_sb_relay *r, const char *a, const char *b, bool cuts, bool delays)
{
    int n = 0;
    for (int i = 0; i < r->nrules;) {
        bool kind = r->rules[i].ms < 0 ? cuts : delays;
        if (kind && is_pair(&r->rules[i], a, b)) {
            r->rules[i] = r->rules[--r->nrules];
            n++;
        } else {
            i++;
        }
    }
    return n;
}

enum mh_code
mh_sb_relay_rule(struct mh_sb_relay *r, const char *a, const char *b, int ms, struct mh_err *err)
{
    (void)drop_rules(r, a, b, ms < 0, ms >= 0);
    if (ms != 0) {
        if (r->nrules == MH_SB_RULES_MAX)
            return mh_fail(err, MH_E_LIMIT, "there are %d faults of the network already",
                           r->nrules);
        struct mh_sb_rule *rule = &r->rules[r->nrules++];
        mh_str_copy(rule->a, sizeof(rule->a), a);
        mh_str_copy(rule->b, sizeof(rule->b), b);
        rule->ms = ms < 0 ? -1 : ms;
        rule->met = 0;
    }
    mh_sb_link_obey(r);
    return MH_OK;
}

int
mh_sb_relay_heal(struct mh_sb_relay *r, const char *a, const char *b)
{
    int n = drop_rules(r, a, b, true, true);
    mh_sb_link_obey(r);
    return n;
}

void
mh_sb_relay_silence(struct mh_sb_relay *r, int node, bool silent)
{
    if (node < 0 || node >= MH_SB_NODES_MAX || r->silent[node] == silent)
        return;
    if (!silent) { /* it knows nothing of them any more */
        for (struct mh_sb_link *l = r->links; l;) {
            struct mh_sb_link *next = l->next;
            if (node_of(r, l->from) == node || node_of(r, l->to.sin_addr.s_addr) == node)
                mh_sb_link_free(l, true);
            l = next;
        }
    }
    r->silent[node] = silent;
    mh_sb_link_obey(r);
}

const char *
mh_sb_relay_text(struct mh_sb_relay *r, struct mh_arena *a, int i)
{
    if (i < 0 || i >= r->nrules)
        return NULL;
    const struct mh_sb_rule *rule = &r->rules[i];
    const char *met = rule->met ? mh_arena_printf(a, " (met %lu times)", rule->met) : "";
    return rule->ms < 0
               ? mh_arena_printf(a, "cut %s %s%s", rule->a, rule->b, met ? met : "")
               : mh_arena_printf(a, "slow %s %s %d%s", rule->a, rule->b, rule->ms, met ? met : "");
}

int
mh_sb_relay_links(const struct mh_sb_relay *r)
{
    int n = 0;
    for (const struct mh_sb_link *l = r->links; l; l = l->next)
        n++;
    return n;
}

/* --- life ------------------------------------------------------------------------------------ */

/* On all addresses of loopback: whatever a pod asked for stays what it sees as its peer. */
static bool
open_listener(struct mh_sb_relay *r)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    socklen_t len = sizeof(in);
    r->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (r->listener < 0 || setsockopt(r->listener, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) != 0 ||
        bind(r->listener, (const struct sockaddr *)&in, sizeof(in)) != 0 ||
        listen(r->listener, 4096) != 0 ||
        getsockname(r->listener, (struct sockaddr *)&in, &len) != 0)
        return false;
    r->port = in.sin_port;
    r->on_accept = event_new(r->spec.base, r->listener, EV_READ | EV_PERSIST, on_accept, r);
    return r->on_accept && event_add(r->on_accept, NULL) == 0;
}

struct mh_sb_relay *
mh_sb_relay_new(const struct mh_sb_relay_spec *spec, struct mh_err *err)
{
    struct mh_sb_relay *r = mh_calloc(1, sizeof(*r));
    if (!r) {
        (void)mh_fail(err, MH_E_NOMEM, "no memory for the relay");
        return NULL;
    }
    r->spec = *spec;
    if (!open_listener(r)) {
        (void)mh_fail(err, MH_E_IO, "the relay cannot listen: %s", strerror(errno));
        mh_sb_relay_free(r);
        return NULL;
    }
    return r;
}

void
mh_sb_relay_free(struct mh_sb_relay *r)
{
    if (!r)
        return;
    while (r->links)
        mh_sb_link_free(r->links, true);
    while (r->peers)
        mh_sb_relay_remove(r, r->peers);
    if (r->on_accept)
        event_free(r->on_accept);
    if (r->listener >= 0)
        (void)close(r->listener);
    mh_free(r);
}
