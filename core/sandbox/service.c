/* service.c - addresses of Services, and what is behind them now. */
#include "sandbox/service.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "sandbox/sandbox.h"
#include "sandbox/service_in.h"

#define NETS 15 /* 127.N.1..15.y */
#define ADDRESSES (NETS * 254)

bool
mh_sb_services_init(struct mh_sb_control *c)
{
    c->services = mh_calloc(1, sizeof(*c->services));
    if (!c->services)
        return false;
    mh_map_init(&c->services->all, MH_SB_OBJECTS_MAX);
    mh_map_init(&c->services->addresses, MH_SB_OBJECTS_MAX);
    return true;
}

/* --- who is where ---------------------------------------------------------------------------- */

static void
on_news(void *arg)
{
    struct mh_sb_control *c = arg;
    c->services->news = NULL;
    if (c->config.on_hosts)
        c->config.on_hosts(c->config.arg);
}

static void
names_changed(struct mh_sb_control *c)
{
    if (!c->services->news)
        c->services->news = c->clock.after(c->clock.self, 2 * MH_NS_PER_MS, on_news, c);
}

static void
free_fronts(struct mh_sb_front *fronts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mh_sb_forward_close(fronts[i].forward);
        mh_free(fronts[i].list);
    }
    mh_free(fronts);
}

static void
free_svc(struct mh_sb_control *c, struct mh_sb_svc *v)
{
    if (v->address[0] && mh_map_get(&c->services->addresses, v->address) == v)
        (void)mh_map_remove(&c->services->addresses, v->address);
    (void)mh_map_remove(&c->services->all, v->key);
    free_fronts(v->fronts, v->nfronts);
    mh_free(v->heads);
    mh_free(v->key);
    mh_free(v);
}

void
mh_sb_services_release(struct mh_sb_control *c)
{
    struct mh_sb_services *s = c->services;
    if (!s)
        return;
    c->clock.cancel(c->clock.self, s->news);
    while (s->all.len)
        free_svc(c, s->all.entries[s->all.len - 1].value);
    mh_sb_forward_release(c);
    mh_map_release(&s->all);
    mh_map_release(&s->addresses);
    mh_free(s);
    c->services = NULL;
}

const struct mh_sb_backend *
mh_sb_front_next(struct mh_sb_front *front)
{
    if (front->n == 0)
        return NULL;
    front->turn = (front->turn + 1) % front->n;
    return &front->list[front->turn];
}

static struct mh_sb_svc *
svc_of(struct mh_sb_control *c, const char *ns, const char *name)
{
    char key[MH_SB_KEY];
    (void)snprintf(key, sizeof(key), "%s/%s", ns, name);
    struct mh_sb_svc *v = mh_map_get(&c->services->all, key);
    if (v)
        return v;
    v = mh_calloc(1, sizeof(*v));
    if (!v)
        return NULL;
    v->key = mh_strdup(key);
    mh_str_copy(v->ns, sizeof(v->ns), ns);
    mh_str_copy(v->name, sizeof(v->name), name);
    if (!v->key || !mh_map_put(&c->services->all, key, v, NULL)) {
        mh_free(v->key);
        mh_free(v);
        return NULL;
    }
    return v;
}

void
mh_sb_service_drop(struct mh_sb_control *c, const char *ns, const char *name)
{
    char key[MH_SB_KEY];
    (void)snprintf(key, sizeof(key), "%s/%s", ns, name);
    struct mh_sb_svc *v = mh_map_get(&c->services->all, key);
    if (!v)
        return;
    free_svc(c, v);
    names_changed(c);
}

/* --- what is behind it ----------------------------------------------------------------------- */

/* Ready ones; if there is none, those that still serve while they go. */
static bool
fill_front(struct mh_sb_front *f, size_t index, const struct mh_sb_member *members, size_t n)
{
    f->list = mh_calloc(n + 1, sizeof(*f->list));
    if (!f->list)
        return false;
    for (int pass = 0; pass < 2 && f->n == 0; pass++) {
        for (size_t i = 0; i < n && f->n < MH_SB_BACKENDS_MAX; i++) {
            const struct mh_sb_member *m = &members[i];
            if (m->ports[index] <= 0 || !(pass ? m->going && m->serving : m->ready))
                continue;
            struct mh_sb_backend *b = &f->list[f->n++];
            mh_str_copy(b->address, sizeof(b->address), m->address);
            mh_str_copy(b->pod, sizeof(b->pod), m->pod ? m->pod : "");
            b->port = m->ports[index];
            b->modelled = m->modelled;
        }
    }
    return true;
}

static bool
make_fronts(struct mh_sb_svc *v, yyjson_val *ports, const struct mh_sb_member *members, size_t n,
            struct mh_sb_front **out, size_t *nout)
{
    size_t i, max, count = yyjson_arr_size(ports);
    yyjson_val *p;
    struct mh_sb_front *fronts = mh_calloc(count + 1, sizeof(*fronts));
    *nout = 0;
    *out = fronts;
    if (!fronts)
        return false;
    yyjson_arr_foreach(ports, i, max, p)
    {
        const char *protocol = mh_json_str(p, "protocol", NULL);
        const char *name = mh_json_str(p, "name", NULL);
        if (i >= MH_SB_PORTS_MAX || (protocol && strcmp(protocol, "TCP") != 0))
            continue;
        struct mh_sb_front *f = &fronts[(*nout)++];
        f->svc = v;
        f->port = (int)mh_json_int(p, 0, "port", NULL);
        mh_str_copy(f->name, sizeof(f->name), name ? name : "");
        if (!fill_front(f, i, members, n))
            return false;
    }
    return true;
}

static bool
wants_forward(const struct mh_sb_control *c, const struct mh_sb_front *f)
{
    bool real = false;
    for (size_t i = 0; i < f->n; i++)
        real = real || !f->list[i].modelled;
    return c->loop && real && f->port > 0 && f->svc->address[0] &&
           !mh_str_ends(f->svc->address, ".0.1");
}

/* Listeners that stay are moved over; connections are not touched. */
static void
replace_fronts(struct mh_sb_control *c, struct mh_sb_svc *v, struct mh_sb_front *fronts, size_t n,
               bool same_address)
{
    for (size_t i = 0; i < n; i++) {
        struct mh_sb_front *f = &fronts[i];
        for (size_t k = 0; k < v->nfronts; k++) {
            struct mh_sb_front *old = &v->fronts[k];
            if (old->port != f->port)
                continue;
            f->turn = f->n ? old->turn % f->n : 0;
            if (old->forward && same_address && wants_forward(c, f)) {
                f->forward = old->forward;
                old->forward = NULL;
                mh_sb_forward_move(f->forward, f);
            }
        }
    }
    free_fronts(v->fronts, v->nfronts);
    v->fronts = fronts;
    v->nfronts = n;
    for (size_t i = 0; i < n; i++) {
        if (!fronts[i].forward && wants_forward(c, &fronts[i]))
            fronts[i].forward = mh_sb_forward_open(c, &fronts[i]);
    }
}

/* Lines of a headless Service: its name for each ready address, and each pod's own name. */
static char *
heads_of(yyjson_val *service, const struct mh_sb_member *members, size_t n)
{
    struct mh_buf b;
    const char *ns = mh_sb_ns(service), *name = mh_sb_name(service);
    mh_buf_init(&b, (size_t)1 << 20);
    for (size_t i = 0; i < n; i++) {
        const struct mh_sb_member *m = &members[i];
        if (!m->ready)
            continue;
        mh_buf_printf(&b, "%s", m->address);
        for (int pass = m->hostname ? 0 : 1; pass < 2; pass++) {
            const char *host = pass ? "" : m->hostname, *dot = pass ? "" : ".";
            mh_buf_printf(&b, " %s%s%s.%s.svc.cluster.local %s%s%s.%s.svc %s%s%s.%s", host, dot,
                          name, ns, host, dot, name, ns, host, dot, name, ns);
        }
        mh_buf_printf(&b, " %s\n", name); /* cut off for other namespaces */
    }
    char *out = b.failed ? NULL : mh_strdup(mh_buf_text(&b));
    mh_buf_release(&b);
    return out;
}

void
mh_sb_service_set(struct mh_sb_control *c, yyjson_val *service, const struct mh_sb_member *members,
                  size_t n)
{
    const char *ip = mh_json_str(service, "spec", "clusterIP", NULL);
    bool headless = mh_str_eq(ip, "None");
    struct mh_sb_front *fronts;
    size_t nfronts;
    struct mh_sb_svc *v = svc_of(c, mh_sb_ns(service), mh_sb_name(service));
    if (!v || !make_fronts(v, mh_json_get(service, "spec", "ports", NULL), members, n, &fronts,
                           &nfronts)) {
        if (v)
            free_fronts(fronts, nfronts);
        mh_warn("sandbox", "a service keeps its old endpoints, no memory", "service",
                mh_sb_name(service));
        return;
    }
    const char *address = ip && !headless ? ip : "";
    bool same = mh_str_eq(v->address, address);
    if (!same && v->address[0] && mh_map_get(&c->services->addresses, v->address) == v)
        (void)mh_map_remove(&c->services->addresses, v->address);
    mh_str_copy(v->address, sizeof(v->address), address);
    if (address[0] && !mh_map_put(&c->services->addresses, address, v, NULL))
        mh_warn("sandbox", "a service is not reachable, no memory", "service", v->key);
    replace_fronts(c, v, fronts, nfronts, same);
    char *heads = headless ? heads_of(service, members, n) : NULL;
    if (!same || !mh_str_eq(heads, v->heads))
        names_changed(c);
    mh_free(v->heads);
    v->heads = heads;
}

/* --- addresses ------------------------------------------------------------------------------- */

static void
address_text(char out[48], int n, int y)
{
    (void)snprintf(out, 48, "127.%d.%d.%d", n, 1 + y / 254, 1 + y % 254);
}

/* Is it any Service's, whether or not its endpoints were looked at yet? */
static bool
is_taken(struct mh_sb_control *c, const char *address, yyjson_val *but)
{
    for (size_t i = 0; i < mh_sb_count(c, MH_SB_SERVICES); i++) {
        yyjson_val *s = mh_sb_at(c, MH_SB_SERVICES, i)->object;
        if (s != but && mh_str_eq(mh_json_str(s, "spec", "clusterIP", NULL), address))
            return true;
    }
    return false;
}

static bool
free_address(struct mh_sb_control *c, char out[48])
{
    for (int i = 0; i < ADDRESSES; i++) {
        int y = (c->services->next + i) % ADDRESSES;
        address_text(out, c->config.n, y);
        if (!mh_map_get(&c->services->addresses, out) && !is_taken(c, out, NULL)) {
            c->services->next = y + 1;
            return true;
        }
    }
    return false;
}

void
mh_sb_address_sync(struct mh_sb_task *t)
{
    yyjson_val *s = mh_sb_object(t->c, MH_SB_SERVICES, t->ns, t->name);
    const char *ip = mh_json_str(s, "spec", "clusterIP", NULL);
    const char *type = mh_json_str(s, "spec", "type", NULL);
    char address[48];
    if (!s || mh_sb_is_going(s) || mh_str_eq(type, "ExternalName"))
        return;
    if (ip && *ip) {
        yyjson_val *now = mh_json_get(s, "status", "loadBalancer", "ingress", NULL);
        if (mh_str_eq(type, "LoadBalancer") && !mh_str_eq(ip, "None") && !yyjson_arr_size(now))
            mh_sb_ctl_write(
                t, "PATCH", mh_sb_path(t->c, &t->arena, MH_SB_SERVICES, t->ns, t->name, "status"),
                MH_PATCH_MERGE,
                mh_sb_text(t, "{\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":%s}]}}}",
                           mh_sb_quote(t, ip)));
        return;
    }
    if (!free_address(t->c, address)) {
        mh_sb_event(t->c, "service-controller", s, "Warning", "NoAddress",
                    "all addresses of the sandbox are taken");
        mh_sb_failed(t);
        return;
    }
    mh_sb_ctl_write(t, "PATCH", mh_sb_path(t->c, &t->arena, MH_SB_SERVICES, t->ns, t->name, NULL),
                    MH_PATCH_MERGE,
                    mh_sb_text(t, "{\"spec\":{\"clusterIP\":\"%s\",\"clusterIPs\":[\"%s\"]}}",
                               address, address));
}

MH_SB_HOOK(mh_sb_address_hook)
{
    (void)old;
    if (now)
        mh_sb_touch_object(c, MH_SB_W_ADDRESS, now);
}

/* --- questions ------------------------------------------------------------------------------- */

static bool
take(struct mh_sb_svc *v, struct mh_sb_front *f, struct mh_sb_target *out)
{
    const struct mh_sb_backend *b = mh_sb_front_next(f);
    if (!b)
        return false;
    *out = (struct mh_sb_target){ .port = b->port };
    mh_str_copy(out->address, sizeof(out->address), b->address);
    mh_str_copy(out->pod, sizeof(out->pod), b->pod);
    mh_str_copy(out->ns, sizeof(out->ns), b->pod[0] ? v->ns : "");
    return true;
}

static struct mh_sb_front *
front_of(struct mh_sb_svc *v, int port)
{
    for (size_t i = 0; v && i < v->nfronts; i++) {
        if (v->fronts[i].port == port)
            return &v->fronts[i];
    }
    return NULL;
}

bool
mh_sb_service_route(struct mh_sb_control *c, const char *address, int port,
                    struct mh_sb_target *out, bool *known)
{
    struct mh_sb_svc *v = mh_map_get(&c->services->addresses, address);
    struct mh_sb_front *f = front_of(v, port);
    if (known)
        *known = v != NULL;
    return f && take(v, f, out);
}

bool
mh_sb_service_find(struct mh_sb_control *c, const char *ns, const char *name, int port,
                   struct mh_sb_target *out)
{
    char key[MH_SB_KEY];
    (void)snprintf(key, sizeof(key), "%s/%s", ns, name);
    struct mh_sb_svc *v = mh_map_get(&c->services->all, key);
    struct mh_sb_front *f = front_of(v, port);
    return f && take(v, f, out);
}

static int
by_name(const void *x, const void *y)
{
    const struct mh_sb_svc *const *a = x, *const *b = y;
    return strcmp((*a)->key, (*b)->key);
}

static void
add_line(struct mh_buf *b, const struct mh_sb_svc *v, bool near)
{
    if (v->address[0]) {
        mh_buf_printf(b, "%s %s.%s.svc.cluster.local %s.%s.svc %s.%s%s%s\n", v->address, v->name,
                      v->ns, v->name, v->ns, v->name, v->ns, near ? " " : "", near ? v->name : "");
        return;
    }
    for (const char *line = v->heads ? v->heads : ""; *line;) {
        size_t len = strcspn(line, "\n"), keep = len;
        while (!near && keep > 0 && line[keep - 1] != ' ')
            keep--;
        (void)mh_buf_add(b, line, near ? len : keep - (keep > 0));
        (void)mh_buf_char(b, '\n');
        line += len + (line[len] == '\n');
    }
}

const char *
mh_sb_hosts(struct mh_sb_control *c, struct mh_arena *a, const char *ns)
{
    struct mh_map *all = &c->services->all;
    struct mh_sb_svc **list = mh_arena_alloc(a, (all->len + 1) * sizeof(*list));
    struct mh_buf b;
    if (!list)
        return NULL;
    for (size_t i = 0; i < all->len; i++)
        list[i] = all->entries[i].value;
    qsort(list, all->len, sizeof(*list), by_name);
    mh_buf_init(&b, (size_t)16 << 20);
    for (size_t i = 0; i < all->len; i++)
        add_line(&b, list[i], mh_str_eq(list[i]->ns, ns));
    const char *out = b.failed ? NULL : mh_arena_strdup(a, mh_buf_text(&b));
    mh_buf_release(&b);
    return out;
}
