/* cel_net.c - Kubernetes' libraries for addresses and URLs. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/cel_in.h"

typedef struct mh_sb_cel_value value;
typedef struct mh_sb_cel_eval eval;
typedef struct mh_sb_cel_call call;
typedef struct mh_sb_cel_net net;

/* --- addresses ------------------------------------------------------------------------------- */

/* Strict: no leading zeros, no zone, no IPv4 inside IPv6. */
static bool
parse_ip(const char *s, net *out)
{
    *out = (net){ .family = 4, .bits = 32 };
    if (inet_pton(AF_INET, s, out->bytes) == 1)
        return true;
    *out = (net){ .family = 6, .bits = 128 };
    return !strchr(s, '.') && inet_pton(AF_INET6, s, out->bytes) == 1;
}

static bool
parse_cidr(const char *s, net *out)
{
    const char *slash = strchr(s, '/');
    char host[64];
    int64_t bits = 0;
    if (!slash || (size_t)(slash - s) >= sizeof(host))
        return false;
    mh_str_copy(host, (size_t)(slash - s) + 1, s);
    if (!parse_ip(host, out) || (slash[1] == '0' && slash[2]) ||
        !mh_str_int(slash + 1, 0, out->bits, &bits))
        return false;
    out->bits = (int)bits;
    return true;
}

static bool
new_net(eval *e, enum mh_sb_cel_type type, const net *from, value *out)
{
    net *copy = mh_arena_alloc(e->arena, sizeof(*copy));
    if (!copy)
        return mh_sb_cel_no_memory(e);
    *copy = *from;
    *out = (value){ .type = type, .net = copy };
    return true;
}

bool
mh_sb_cel_net_text(eval *e, value v, value *out)
{
    char text[INET6_ADDRSTRLEN] = "";
    inet_ntop(v.net->family == 4 ? AF_INET : AF_INET6, v.net->bytes, text, sizeof(text));
    if (v.type == MH_SB_CEL_CIDR)
        return mh_sb_cel_printf(e, out, "%s/%d", text, v.net->bits);
    return mh_sb_cel_printf(e, out, "%s", text);
}

static void
mask(net *n, int bits)
{
    for (int i = bits; i < (n->family == 4 ? 32 : 128); i++)
        n->bytes[i / 8] &= (unsigned char)~(0x80u >> (i % 8));
}

/* True if `inner` is in the network of `outer`. */
static bool
inside(const net *outer, const net *inner)
{
    net a = *outer;
    net b = *inner;
    mask(&a, outer->bits);
    mask(&b, outer->bits);
    return a.family == b.family && inner->bits >= outer->bits && memcmp(a.bytes, b.bytes, 16) == 0;
}

static char *
text_arg(call *c, size_t i)
{
    if (c->nargs <= i || c->args[i].type != MH_SB_CEL_STRING)
        return NULL;
    char *s = mh_arena_strndup(c->e->arena, c->args[i].s, c->args[i].n);
    if (!s)
        mh_sb_cel_no_memory(c->e);
    return s;
}

/* An argument that is an address or network, or a text of one. */
static bool
net_arg(call *c, size_t i, bool cidr, net *out)
{
    enum mh_sb_cel_type type = cidr ? MH_SB_CEL_CIDR : MH_SB_CEL_IP;
    if (c->args[i].type == type) {
        *out = *c->args[i].net;
        return true;
    }
    char *s = text_arg(c, i);
    if (!s)
        return c->e->code ? false : mh_sb_cel_no_overload(c->e);
    if (cidr ? parse_cidr(s, out) : parse_ip(s, out))
        return true;
    if (cidr)
        return mh_sb_cel_fail(c->e,
                              "network address parse error during conversion from string: "
                              "netip.ParsePrefix(%s): no '/'",
                              mh_sb_go_quote(c->e->arena, s));
    return mh_sb_cel_fail(c->e,
                          "IP Address '%s' parse error during conversion from string: "
                          "ParseAddr(%s): unable to parse IP",
                          s, mh_sb_go_quote(c->e->arena, s));
}

static bool
ip_property(const net *n, const char *name, bool *yes)
{
    static const unsigned char loopback6[16] = { [15] = 1 };
    static const unsigned char zero[16];
    bool four = n->family == 4;
    const unsigned char *b = n->bytes;
    bool unspecified = memcmp(b, zero, 16) == 0;
    bool loopback = four ? b[0] == 127 : memcmp(b, loopback6, 16) == 0;
    bool multicast = four ? (b[0] & 0xf0) == 0xe0 : b[0] == 0xff;
    bool link = four ? b[0] == 169 && b[1] == 254 : b[0] == 0xfe && (b[1] & 0xc0) == 0x80;
    if (strcmp(name, "isUnspecified") == 0)
        *yes = unspecified;
    else if (strcmp(name, "isLoopback") == 0)
        *yes = loopback;
    else if (strcmp(name, "isLinkLocalMulticast") == 0)
        *yes = four ? b[0] == 224 && b[1] == 0 && b[2] == 0 : b[0] == 0xff && (b[1] & 0xf) == 2;
    else if (strcmp(name, "isLinkLocalUnicast") == 0)
        *yes = link;
    else if (strcmp(name, "isGlobalUnicast") == 0)
        *yes = !unspecified && !loopback && !multicast && !link &&
               !(four && memcmp(b, "\xff\xff\xff\xff", 4) == 0);
    else
        return false;
    return true;
}

static bool
ip_method(call *c, bool *ok)
{
    bool yes = false;
    if (strcmp(c->name, "family") == 0)
        *c->out = mh_sb_cel_of_int(c->args[0].net->family);
    else if (ip_property(c->args[0].net, c->name, &yes))
        *c->out = mh_sb_cel_of_bool(yes);
    else
        return false;
    *ok = true;
    return true;
}

static bool
cidr_method(call *c, bool *ok)
{
    net n = *c->args[0].net;
    net other;
    bool ip = strcmp(c->name, "containsIP") == 0;
    if ((ip || strcmp(c->name, "containsCIDR") == 0) && c->nargs == 2) {
        *ok = net_arg(c, 1, !ip, &other);
        if (*ok)
            *c->out = mh_sb_cel_of_bool(inside(&n, &other));
        return true;
    }
    if (strcmp(c->name, "prefixLength") == 0) {
        *c->out = mh_sb_cel_of_int(n.bits);
        return true;
    }
    if (strcmp(c->name, "masked") == 0) {
        mask(&n, n.bits);
        *ok = new_net(c->e, MH_SB_CEL_CIDR, &n, c->out);
        return true;
    }
    if (strcmp(c->name, "ip") == 0) {
        n.bits = n.family == 4 ? 32 : 128;
        *ok = new_net(c->e, MH_SB_CEL_IP, &n, c->out);
        return true;
    }
    return false;
}

static bool
canonical(call *c)
{
    net n;
    value text;
    if (!net_arg(c, 0, false, &n))
        return false;
    value v = { .type = MH_SB_CEL_IP, .net = &n };
    if (!mh_sb_cel_net_text(c->e, v, &text))
        return false;
    *c->out =
        mh_sb_cel_of_bool(text.n == c->args[0].n && memcmp(text.s, c->args[0].s, text.n) == 0);
    return true;
}

static bool
net_function(call *c, bool *ok)
{
    net n;
    bool is_ip = strcmp(c->name, "isIP") == 0;
    bool ip = strcmp(c->name, "ip") == 0;
    if (c->nargs != 1)
        return false;
    if (is_ip || strcmp(c->name, "isCIDR") == 0) {
        char *s = text_arg(c, 0);
        *ok = s != NULL || (!c->e->code && mh_sb_cel_no_overload(c->e));
        if (s)
            *c->out = mh_sb_cel_of_bool(is_ip ? parse_ip(s, &n) : parse_cidr(s, &n));
        return true;
    }
    if (strcmp(c->name, "ip.isCanonical") == 0) {
        *ok = canonical(c);
        return true;
    }
    if (!ip && strcmp(c->name, "cidr") != 0)
        return false;
    *ok = net_arg(c, 0, !ip, &n) && new_net(c->e, ip ? MH_SB_CEL_IP : MH_SB_CEL_CIDR, &n, c->out);
    return true;
}

/* --- URLs ------------------------------------------------------------------------------------ */

/* As Go's ParseRequestURI, roughly: an absolute URL or an absolute path. */
static bool
parse_url(call *c, const char *s, struct mh_sb_cel_url *u)
{
    struct mh_arena *a = c->e->arena;
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    const char *rest = s;
    *u = (struct mh_sb_cel_url){ "", "", "", "", "", "", s };
    for (const char *p = s; *p; p++) {
        if ((unsigned char)*p <= 0x20 || *p == 0x7f)
            return false;
    }
    if (*s != '/') {
        if (!n || s[n] != ':')
            return false;
        u->scheme = mh_arena_strndup(a, s, n);
        rest = s + n + 1;
    }
    if (rest[0] == '/' && rest[1] == '/' && *s != '/') {
        size_t len = strcspn(rest + 2, "/?");
        const char *host = mh_arena_strndup(a, rest + 2, len);
        const char *at = host ? strrchr(host, '@') : NULL;
        u->host = at ? at + 1 : host;
        rest += 2 + len;
        if (!u->host)
            return false;
        const char *colon = strrchr(u->host, ':');
        bool six = *u->host == '[';
        const char *end = six ? strchr(u->host, ']') : colon;
        if (six && !end)
            return false;
        size_t name = end ? (size_t)(end - u->host) : strlen(u->host);
        u->hostname = mh_arena_strndup(a, u->host + six, name - six);
        if (colon && (!six || colon > end)) {
            u->port = colon + 1;
            if (strspn(u->port, "0123456789") != strlen(u->port))
                return false;
        }
    }
    size_t path = strcspn(rest, "?");
    u->path = mh_arena_strndup(a, rest, path);
    u->query = rest[path] == '?' ? rest + path + 1 : "";
    return u->scheme && u->hostname && u->path;
}

/* Query parameters as a map of lists. */
static bool
query(call *c, const char *q)
{
    if (!mh_sb_cel_new_map(c->e, strlen(q) + 1, c->out))
        return false;
    while (*q) {
        size_t n = strcspn(q, "&");
        size_t k = strcspn(q, "=&");
        value key = mh_sb_cel_of_text(q, k);
        value item = mh_sb_cel_of_text(q + k + (k < n), n - k - (k < n));
        value list;
        bool found = false;
        if (!mh_sb_cel_lookup(c->e, *c->out, key, &list, &found))
            return false;
        if (!found && (!mh_sb_cel_new_list(c->e, strlen(q) + 1, &list)))
            return false;
        if (!found) {
            list.list->n = 0;
            mh_sb_cel_put(*c->out, key, list);
        }
        list.list->items[list.list->n++] = item;
        q += n + (q[n] == '&');
    }
    return true;
}

static bool
url_method(call *c, bool *ok)
{
    const struct mh_sb_cel_url *u = c->args[0].url;
    const struct {
        const char *name;
        const char *value;
    } parts[] = { { "getScheme", u->scheme },
                  { "getHost", u->host },
                  { "getHostname", u->hostname },
                  { "getPort", u->port },
                  { "getEscapedPath", u->path } };
    *ok = true;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strcmp(parts[i].name, c->name) == 0) {
            *c->out = mh_sb_cel_of_text(parts[i].value, strlen(parts[i].value));
            return true;
        }
    }
    if (strcmp(c->name, "getQuery") != 0)
        return false;
    *ok = query(c, u->query);
    return true;
}

static bool
url_function(call *c, bool *ok)
{
    struct mh_sb_cel_url *u = NULL;
    bool test = strcmp(c->name, "isURL") == 0;
    if (c->nargs != 1 || (!test && strcmp(c->name, "url") != 0))
        return false;
    char *s = text_arg(c, 0);
    u = mh_arena_alloc(c->e->arena, sizeof(*u));
    *ok = s && u;
    if (!*ok) {
        if (!c->e->code)
            mh_sb_cel_no_overload(c->e);
        return true;
    }
    bool good = parse_url(c, s, u);
    if (test)
        *c->out = mh_sb_cel_of_bool(good);
    else if (good)
        *c->out = (value){ .type = MH_SB_CEL_URL, .url = u };
    else
        *ok = mh_sb_cel_fail(c->e,
                             "URL parse error during conversion from string: parse %s: "
                             "invalid URI for request",
                             mh_sb_go_quote(c->e->arena, s));
    return true;
}

bool
mh_sb_cel_lib_net(call *c, bool *ok)
{
    if (!c->method)
        return net_function(c, ok) || url_function(c, ok);
    switch (c->args[0].type) {
    case MH_SB_CEL_IP:
        return ip_method(c, ok);
    case MH_SB_CEL_CIDR:
        return cidr_method(c, ok);
    case MH_SB_CEL_URL:
        return url_method(c, ok);
    default:
        return false;
    }
}
