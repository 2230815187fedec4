#include "lua/policy_ring.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "io/pack.h"

#define CLUSTERS_MAX 20000
#define LOOK_BACK 16  /* among so many a repetition is looked for */
#define WORTH_MIN 256 /* shorter inputs stay as they are */

static const struct mh_pack_model no_model = { NULL, 0 };

/* Of one cluster. */
struct herd {
    struct herd *next;
    char *ns;
    char *cluster;
    struct mh_taken *newest;
    size_t len;
    size_t bytes;
};

struct mh_ring {
    struct herd *herds;
    size_t nherds;
    size_t bytes;
};

struct mh_ring *
mh_ring_new(void)
{
    return mh_calloc(1, sizeof(struct mh_ring));
}

void
mh_taken_unref(struct mh_taken *t)
{
    if (t && --t->refs == 0)
        mh_free(t);
}

static void
drop_oldest(struct mh_ring *r, struct herd *h)
{
    struct mh_taken **at = &h->newest;
    while (*at && (*at)->next)
        at = &(*at)->next;
    struct mh_taken *t = *at;
    if (!t)
        return;
    *at = NULL;
    h->len--;
    h->bytes -= t->bytes;
    r->bytes -= t->bytes;
    mh_taken_unref(t);
}

static void
free_herd(struct mh_ring *r, struct herd *h)
{
    while (h->newest) {
        struct mh_taken *t = h->newest;
        h->newest = t->next;
        r->bytes -= t->bytes;
        mh_taken_unref(t);
    }
    mh_free(h->ns);
    mh_free(h->cluster);
    mh_free(h);
}

void
mh_ring_free(struct mh_ring *r)
{
    while (r && r->herds) {
        struct herd *h = r->herds;
        r->herds = h->next;
        free_herd(r, h);
    }
    mh_free(r);
}

static struct herd **
find(struct mh_ring *r, const char *ns, const char *cluster)
{
    struct herd **at = &r->herds;
    while (*at && (strcmp((*at)->cluster, cluster) != 0 || strcmp((*at)->ns, ns) != 0))
        at = &(*at)->next;
    return at;
}

void
mh_ring_forget(struct mh_ring *r, const char *ns, const char *cluster)
{
    struct herd **at = find(r, ns, cluster);
    struct herd *h = *at;
    if (!h)
        return;
    *at = h->next;
    r->nherds--;
    free_herd(r, h);
}

static struct herd *
herd_of(struct mh_ring *r, const char *ns, const char *cluster)
{
    struct herd *h = *find(r, ns, cluster);
    if (h || r->nherds >= CLUSTERS_MAX || !(h = mh_calloc(1, sizeof(*h))))
        return h;
    h->ns = mh_strdup(ns);
    h->cluster = mh_strdup(cluster);
    if (!h->ns || !h->cluster) {
        free_herd(r, h);
        return NULL;
    }
    h->next = r->herds;
    r->herds = h;
    r->nherds++;
    return h;
}

/* Of a text but for the numbers behind "now": */
static uint64_t
hash_but_now(const char *text)
{
    static const char now[] = "\"now\":";
    size_t n = sizeof(now) - 1;
    uint64_t h = 14695981039346656037ULL;
    for (const char *p = text; *p; p++) {
        h = (h ^ (unsigned char)*p) * 1099511628211ULL;
        if (*p != ':' || (size_t)(p - text) + 1 < n || memcmp(p + 1 - n, now, n) != 0)
            continue;
        while (p[1] >= '0' && p[1] <= '9')
            p++;
    }
    return h;
}

static struct mh_taken *
repeated(const struct herd *h, const struct mh_taken *like)
{
    int n = 0;
    uint64_t alike = hash_but_now(like->input);
    for (struct mh_taken *t = h->newest; t && n < LOOK_BACK; t = t->next, n++)
        if (t->alike == alike && strcmp(t->point, like->point) == 0 && mh_str_eq(t->by, like->by) &&
            mh_str_eq(t->error, like->error) && mh_str_eq(t->answer, like->answer))
            return t;
    return NULL;
}

char *
mh_taken_input(struct mh_arena *a, const struct mh_taken *t)
{
    char *out = mh_arena_alloc(a, t->input_len + 1);
    if (!out)
        return NULL;
    out[t->input_len] = '\0';
    if (t->packed_len == t->input_len)
        memcpy(out, t->packed, t->input_len);
    else if (!mh_unpack(out, t->input_len, t->packed, t->packed_len, no_model))
        return NULL;
    return out;
}

/* --- adding -------------------------------------------------------------------------------------- */

/* Appends s behind the structure. */
static const char *
put(char **at, const char *s)
{
    if (!s)
        return NULL;
    size_t n = strlen(s) + 1;
    char *out = *at;
    memcpy(out, s, n);
    *at += n;
    return out;
}

static size_t
room(const char *s)
{
    return s ? strlen(s) + 1 : 0;
}

static struct mh_taken *
copy_of(const struct herd *h, const struct mh_taken *like)
{
    size_t len = strlen(like->input), packed = 0;
    char *tight = len >= WORTH_MIN && len < MH_RING_CLUSTER_BYTES ? mh_malloc(len) : NULL;
    if (tight)
        packed = mh_pack(tight, len - 1, like->input, len, no_model);
    packed = packed ? packed : len;
    size_t n = sizeof(*like) + room(like->point) + room(like->by) + room(like->error) + packed +
               room(like->answer) + room(h->ns) + room(h->cluster);
    struct mh_taken *t = n < MH_RING_CLUSTER_BYTES ? mh_malloc(n) : NULL;
    if (t) {
        char *at = (char *)(t + 1);
        *t = (struct mh_taken){ .refs = 1, .count = 1, .at_us = like->at_us, .bytes = n };
        t->ns = put(&at, h->ns);
        t->cluster = put(&at, h->cluster);
        t->point = put(&at, like->point);
        t->by = put(&at, like->by);
        t->error = put(&at, like->error);
        t->answer = put(&at, like->answer);
        t->answer_len = t->answer ? strlen(t->answer) : 0;
        t->packed = memcpy(at, packed < len ? tight : like->input, packed);
        t->packed_len = packed;
        t->input_len = len;
        t->alike = hash_but_now(like->input);
        mh_policy_hash(t->id, like->input, len);
    }
    mh_free(tight);
    return t;
}

void
mh_ring_add(struct mh_ring *r, const struct mh_taken *like)
{
    struct herd *h = like->ns && like->cluster && like->input && like->point
                         ? herd_of(r, like->ns, like->cluster)
                         : NULL;
    struct mh_taken *t = h ? repeated(h, like) : NULL;
    if (t) {
        t->count++;
        t->at_us = like->at_us;
        return;
    }
    if (!h || !(t = copy_of(h, like)))
        return;
    t->next = h->newest;
    h->newest = t;
    h->len++;
    h->bytes += t->bytes;
    r->bytes += t->bytes;
    while (h->len > MH_RING_CLUSTER || h->bytes > MH_RING_CLUSTER_BYTES)
        drop_oldest(r, h);
    while (r->bytes > MH_RING_BYTES) {
        struct herd *most = r->herds;
        for (struct herd *o = r->herds; o; o = o->next)
            if (o->bytes > most->bytes)
                most = o;
        drop_oldest(r, most);
    }
}

static int
newer(const void *a, const void *b)
{
    const struct mh_taken *x = *(struct mh_taken *const *)a, *y = *(struct mh_taken *const *)b;
    if (x->at_us != y->at_us)
        return x->at_us < y->at_us ? 1 : -1;
    return strcmp(x->id, y->id);
}

size_t
mh_ring_last(struct mh_ring *r, const char *point, const char *ns, struct mh_taken **out,
             size_t max)
{
    size_t n = 0, all = 0;
    for (const struct herd *h = r->herds; h; h = h->next)
        if (!ns || strcmp(h->ns, ns) == 0)
            all += h->len;
    struct mh_taken **list = all ? mh_malloc(all * sizeof(struct mh_taken *)) : NULL;
    for (const struct herd *h = list ? r->herds : NULL; h; h = h->next) {
        for (struct mh_taken *t = !ns || strcmp(h->ns, ns) == 0 ? h->newest : NULL; t; t = t->next)
            if (strcmp(t->point, point) == 0 && t->answer)
                list[n++] = t;
    }
    if (n)
        qsort(list, n, sizeof(struct mh_taken *), newer);
    n = n < max ? n : max;
    for (size_t i = 0; i < n; i++) {
        out[i] = list[i];
        out[i]->refs++;
    }
    mh_free(list);
    return n;
}

size_t
mh_ring_bytes(const struct mh_ring *r)
{
    return r->bytes;
}

size_t
mh_ring_count(const struct mh_ring *r, const char *ns, const char *cluster)
{
    for (const struct herd *h = r->herds; h; h = h->next)
        if (strcmp(h->cluster, cluster) == 0 && strcmp(h->ns, ns) == 0)
            return h->len;
    return 0;
}
