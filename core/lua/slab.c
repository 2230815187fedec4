#include "lua/slab.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MH_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define MH_ASAN
#endif

#define CHUNK ((size_t)32 << 10)
#define KEPT_MAX 12 /* chunks that a process keeps for its next VM */

struct mh_slab_chunk {
    struct mh_slab_chunk *next;
    size_t pad; /* the blocks behind it are aligned to 16 */
};

struct mh_slab_block {
    struct mh_slab_block *next;
};

struct mh_slab_large {
    struct mh_slab_large *next;
    struct mh_slab_large *prev; /* NULL: the first */
};

static struct mh_slab_chunk *kept; /* one thread runs VMs */
static int nkept;

bool
mh_slab_wanted(void)
{
#ifdef MH_ASAN
    return false;
#else
    return true;
#endif
}

static bool
is_small(size_t size)
{
    return size > 0 && size <= MH_SLAB_MOST;
}

static size_t
class_of(size_t size)
{
    return (size - 1) / MH_SLAB_STEP;
}

static bool
add_chunk(struct mh_slab *s)
{
    struct mh_slab_chunk *c = kept;
    if (c) {
        kept = c->next;
        nkept--;
    } else {
        c = mh_malloc(CHUNK);
    }
    if (!c)
        return false;
    c->next = s->chunks;
    s->chunks = c;
    s->at = (char *)(c + 1);
    s->end = (char *)c + CHUNK;
    return true;
}

static void *
take(struct mh_slab *s, size_t size)
{
    size_t class = class_of(size);
    size_t whole = (class + 1) * MH_SLAB_STEP;
    struct mh_slab_block *b = s->free[class];
    if (b) {
        s->free[class] = b->next;
        return b;
    }
    if ((size_t)(s->end - s->at) < whole && !add_chunk(s))
        return NULL;
    char *p = s->at;
    s->at += whole;
    return p;
}

static void
give(struct mh_slab *s, void *p, size_t size)
{
    struct mh_slab_block *b = p;
    b->next = s->free[class_of(size)];
    s->free[class_of(size)] = b;
}

/* --- large blocks ------------------------------------------------------------------------------ */

static void *
link_large(struct mh_slab *s, struct mh_slab_large *l)
{
    l->prev = NULL;
    l->next = s->large;
    if (l->next)
        l->next->prev = l;
    s->large = l;
    return l + 1;
}

static struct mh_slab_large *
unlink_large(struct mh_slab *s, void *p)
{
    struct mh_slab_large *l = (struct mh_slab_large *)p - 1;
    if (l->prev)
        l->prev->next = l->next;
    else
        s->large = l->next;
    if (l->next)
        l->next->prev = l->prev;
    return l;
}

/* NULL: no memory, and the old block (NULL: none) stays. */
static void *
resize_large(struct mh_slab *s, void *p, size_t size)
{
    if (size > SIZE_MAX - sizeof(struct mh_slab_large))
        return NULL;
    struct mh_slab_large *old = p ? unlink_large(s, p) : NULL;
    struct mh_slab_large *l = mh_realloc(old, sizeof(*l) + size);
    if (!l && old)
        (void)link_large(s, old);
    return l ? link_large(s, l) : NULL;
}

/* --- all ---------------------------------------------------------------------------------------- */

static void
drop(struct mh_slab *s, void *p, size_t size)
{
    if (is_small(size))
        give(s, p, size);
    else
        mh_free(unlink_large(s, p));
}

static void *
move(struct mh_slab *s, void *p, size_t old, size_t size)
{
    void *q = is_small(size) ? take(s, size) : resize_large(s, NULL, size);
    if (!q)
        return NULL;
    memcpy(q, p, old < size ? old : size);
    drop(s, p, old);
    return q;
}

void *
mh_slab_resize(struct mh_slab *s, void *p, size_t old, size_t size)
{
    if (!p && size == 0)
        return NULL;
    if (!p)
        return is_small(size) ? take(s, size) : resize_large(s, NULL, size);
    if (size == 0) {
        drop(s, p, old);
        return NULL;
    }
    if (is_small(old) && is_small(size) && class_of(old) == class_of(size))
        return p;
    if (!is_small(old) && !is_small(size))
        return resize_large(s, p, size);
    return move(s, p, old, size);
}

void
mh_slab_release(struct mh_slab *s)
{
    while (s->large)
        mh_free(unlink_large(s, s->large + 1));
    while (s->chunks) {
        struct mh_slab_chunk *c = s->chunks;
        s->chunks = c->next;
        if (nkept < KEPT_MAX) {
            c->next = kept;
            kept = c;
            nkept++;
        } else {
            mh_free(c);
        }
    }
    *s = (struct mh_slab){ .chunks = NULL };
}
