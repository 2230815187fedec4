#include "operator/fleet.h"

#include <string.h>

#include "base/str.h"
#include "base/time.h"

#define RESTARTS_MAX 1000
#define LONGEST_NS (3600 * MH_NS_PER_S)
#define GET_ARENA ((size_t)8 << 20)

struct mh_restart {
    struct mh_restart *next;
    const struct mh_kind *kind;
    char *ns;
    char *cluster;
    char *pod;
    char *zone; /* NULL: not known */
    int64_t began_ns;
};

static bool
is_of(const struct mh_restart *r, const struct mh_fleet_key *of)
{
    return r->kind == of->kind && mh_str_eq(r->ns, of->ns) && mh_str_eq(r->cluster, of->name);
}

static void
drop(struct mh_fleet *f, struct mh_restart **at)
{
    struct mh_restart *r = *at;
    *at = r->next;
    f->n--;
    mh_free(r->ns);
    mh_free(r->cluster);
    mh_free(r->pod);
    mh_free(r->zone);
    mh_free(r);
}

void
mh_fleet_release(struct mh_fleet *f)
{
    while (f->first)
        drop(f, &f->first);
}

void
mh_fleet_over(struct mh_fleet *f, const struct mh_fleet_key *of)
{
    for (struct mh_restart **at = &f->first; *at; at = &(*at)->next) {
        if (is_of(*at, of)) {
            drop(f, at);
            return;
        }
    }
}

void
mh_fleet_begin(struct mh_fleet *f, const struct mh_fleet_key *of, const char *pod, const char *zone,
               int64_t now_ns)
{
    mh_fleet_over(f, of);
    f->version++;
    struct mh_restart *r = f->n < RESTARTS_MAX ? mh_calloc(1, sizeof(*r)) : NULL;
    if (!r)
        return;
    *r = (struct mh_restart){ .next = f->first,
                              .kind = of->kind,
                              .ns = mh_strdup(of->ns),
                              .cluster = mh_strdup(of->name),
                              .pod = mh_strdup(pod),
                              .zone = zone ? mh_strdup(zone) : NULL,
                              .began_ns = now_ns };
    f->first = r;
    f->n++;
    if (!r->ns || !r->cluster || !r->pod || (zone && !r->zone))
        drop(f, &f->first);
}

/* Whatever became of it, nobody waits for it for ever. */
static bool
is_over(const struct mh_restart *r, struct mh_cache *cache, int64_t now_ns)
{
    struct mh_arena a;
    mh_arena_init(&a, GET_ARENA);
    struct mh_err err = { .code = MH_OK };
    bool there = mh_cache_get(cache, &a, r->kind, r->ns, r->cluster, &err) != NULL ||
                 err.code != MH_E_NOTFOUND;
    mh_arena_release(&a);
    return !there || now_ns - r->began_ns > LONGEST_NS;
}

static void
add(struct mh_buf *b, const char *key, const char *text)
{
    mh_buf_str(b, key);
    mh_json_quote(b, text, strlen(text));
}

const char *
mh_fleet_json(struct mh_fleet *f, struct mh_arena *a, struct mh_cache *cache,
              const struct mh_fleet_key *of, int64_t now_ns)
{
    struct mh_buf b;
    mh_buf_init(&b, (size_t)2 << 20);
    mh_buf_char(&b, '[');
    for (struct mh_restart **at = &f->first; *at;) {
        struct mh_restart *r = *at;
        if (is_over(r, cache, now_ns)) {
            drop(f, at);
            continue;
        }
        at = &r->next;
        if (is_of(r, of))
            continue;
        if (b.len > 1)
            mh_buf_char(&b, ',');
        add(&b, "{\"namespace\":", r->ns);
        add(&b, ",\"cluster\":", r->cluster);
        add(&b, ",\"name\":", r->pod);
        if (r->zone)
            add(&b, ",\"zone\":", r->zone);
        mh_buf_char(&b, '}');
    }
    mh_buf_char(&b, ']');
    const char *out = b.failed ? NULL : mh_arena_strdup(a, mh_buf_text(&b));
    mh_buf_release(&b);
    return out;
}
