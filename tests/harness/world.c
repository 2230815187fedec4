/* The clock, the list of what is to happen, and randomness. */
#include "harness/world.h"

#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "harness/test.h"
#include "harness/world_impl.h"

#define START_NS (1000 * MH_NS_PER_S)
#define START_US 1767225600000000LL /* 2026-01-01T00:00:00Z */
#define SETTLE_NS (5 * MH_NS_PER_MS)

void *
tw_alloc(size_t n)
{
    void *p = calloc(1, n);
    if (!p)
        abort();
    return p;
}

char *
tw_dup(const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(tw_alloc(n), s, n);
}

void
tw_add(struct tw_list *l, void *item)
{
    if (l->len == l->size) {
        l->size = l->size ? l->size * 2 : 16;
        l->items = realloc(l->items, (size_t)l->size * sizeof(void *));
        if (!l->items)
            abort();
    }
    l->items[l->len++] = item;
}

void
tw_drop(struct tw_list *l, int i)
{
    l->len--;
    for (; i < l->len; i++)
        l->items[i] = l->items[i + 1];
}

char *
tw_text(struct tw *tw, const char *s)
{
    char *copy = tw_dup(s);
    tw_add(&tw->state->texts, copy);
    return copy;
}

yyjson_val *
tw_parse(struct tw *tw, const char *text, size_t len)
{
    char *copy = tw_alloc(len + 1);
    memcpy(copy, text, len);
    yyjson_doc *doc = yyjson_read(copy, len, 0);
    free(copy);
    if (doc)
        tw_add(&tw->state->docs, doc);
    return yyjson_doc_get_root(doc);
}

/* --- the clock ------------------------------------------------------------------------------- */

struct tw_event *
tw_later(struct tw *tw, int64_t ns, void (*fn)(void *), void *arg, void (*drop)(void *))
{
    struct tw_event *e = tw_alloc(sizeof(*e));
    int64_t due = ns > INT64_MAX - tw->now_ns ? INT64_MAX : tw->now_ns + (ns > 0 ? ns : 0);
    *e = (struct tw_event){ .due = due, .fn = fn, .arg = arg, .drop = drop };
    struct tw_event **at = &tw->state->events;
    while (*at && (*at)->due <= due)
        at = &(*at)->next;
    e->next = *at;
    *at = e;
    return e;
}

void
tw_forget(struct tw *tw, const void *arg)
{
    for (struct tw_event **at = &tw->state->events; *at;) {
        struct tw_event *e = *at;
        if (e->arg == arg) {
            *at = e->next;
            free(e);
        } else {
            at = &e->next;
        }
    }
}

static int64_t
mono_ns(void *self)
{
    return ((struct tw *)self)->now_ns;
}

static int64_t
wall_us(void *self)
{
    return ((struct tw *)self)->wall_us;
}

static struct mh_timer *
after(void *self, int64_t ns, void (*fn)(void *), void *arg)
{
    void *probe = mh_malloc(1); /* so that sweeps of allocation failures meet timers too */
    mh_free(probe);
    return probe ? (struct mh_timer *)tw_later(self, ns, fn, arg, NULL) : NULL;
}

static void
cancel(void *self, struct mh_timer *t)
{
    struct tw *tw = self;
    for (struct tw_event **at = &tw->state->events; t && *at; at = &(*at)->next) {
        if (*at == (struct tw_event *)t) {
            struct tw_event *e = *at;
            *at = e->next;
            free(e);
            return;
        }
    }
    if (t)
        abort(); /* cancelled twice, or after it fired */
}

static void
set_time(struct tw *tw, int64_t ns)
{
    if (ns <= tw->now_ns)
        return;
    tw->wall_us += ns / 1000 - tw->now_ns / 1000;
    tw->now_ns = ns;
}

/* The next thing that is due until then; false: nothing is. */
static bool
step(struct tw *tw, int64_t until)
{
    struct tw_event *e = tw->state->events;
    if (!e || e->due > until)
        return false;
    tw->state->events = e->next;
    set_time(tw, e->due);
    void (*fn)(void *) = e->fn;
    void *arg = e->arg;
    free(e);
    fn(arg);
    return true;
}

void
tw_advance(struct tw *tw, int64_t ns)
{
    int64_t until = tw->now_ns + ns;
    while (step(tw, until))
        ;
    set_time(tw, until);
}

void
tw_settle(struct tw *tw)
{
    for (int i = 0; i < 1000 && step(tw, tw->now_ns + SETTLE_NS); i++)
        ;
}

bool
tw_until(struct tw *tw, bool (*cond)(void *arg), void *arg, int64_t ns)
{
    int64_t until = tw->now_ns + ns;
    while (!cond(arg)) {
        if (!step(tw, until)) {
            set_time(tw, until);
            return cond(arg);
        }
    }
    return true;
}

/* --- randomness ------------------------------------------------------------------------------ */

static bool
fill(void *self, void *out, size_t n)
{
    struct tw_state *st = ((struct tw *)self)->state;
    unsigned char *p = out;
    if (st->no_random)
        return false;
    for (size_t i = 0; i < n; i++) {
        uint64_t z = st->random += 0x9e3779b97f4a7c15ULL;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        p[i] = (unsigned char)(z >> 56);
    }
    return true;
}

void
tw_rand_fail(struct tw *tw, bool fails)
{
    tw->state->no_random = fails;
}

/* --- all of it ------------------------------------------------------------------------------- */

struct tw *
tw_new(uint64_t seed)
{
    struct tw *tw = tw_alloc(sizeof(*tw));
    tw->state = tw_alloc(sizeof(*tw->state));
    tw->now_ns = START_NS;
    tw->wall_us = START_US;
    tw->state->random = seed;
    mh_arena_init(&tw->arena, (size_t)256 << 20);
    tw->world.clock = (struct mh_clock){ mono_ns, wall_us, after, cancel, tw };
    tw->world.rand = (struct mh_rand){ fill, tw };
    tw_api_init(tw);
    tw_pg_init(tw);
    tw_proc_init(tw);
    tw_fs_init(tw);
    return tw;
}

void
tw_abandon(struct tw *tw)
{
    tw->state->abandoned = true;
}

static void
free_list(struct tw_list *l, void (*fn)(void *))
{
    for (int i = 0; i < l->len; i++)
        fn(l->items[i]);
    free(l->items);
}

static void
free_doc(void *doc)
{
    yyjson_doc_free(doc);
}

void
tw_free(struct tw *tw)
{
    struct tw_state *st = tw->state;
    if (!st->abandoned)
        CHECK_INT(st->open_calls, 0);
    while (st->events) {
        struct tw_event *e = st->events;
        st->events = e->next;
        if (e->drop)
            e->drop(e->arg);
        free(e);
    }
    tw_api_free(tw);
    tw_pg_free(tw);
    tw_proc_free(tw);
    tw_fs_free(tw);
    free_list(&st->docs, free_doc);
    free_list(&st->texts, free);
    mh_arena_release(&tw->arena);
    free(st);
    free(tw);
}
