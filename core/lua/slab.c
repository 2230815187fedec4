#include "lua/slab.h"

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

static void *
move(struct mh_slab *s, void *p, size_t old, size_t size)
{
    void *q = is_small(size) ? take(s, size) : mh_malloc(size);
    if (!q)
        return NULL;
    memcpy(q, p, old < size ? old : size);
    if (is_small(old))
        give(s, p, old);
    else
        mh_free(p);
    return q;
}

void *
mh_slab_resize(struct mh_slab *s, void *p, size_t old, size_t size)
{
    if (!p && size == 0)
        return NULL;
    if (!p)
        return is_small(size) ? take(s, size) : mh_malloc(size);
    if (size == 0) {
        if (is_small(old))
            give(s, p, old);
        else
            mh_free(p);
        return NULL;
    }
    if (is_small(old) && is_small(size) && class_of(old) == class_of(size))
        return p;
    if (!is_small(old) && !is_small(size))
        return mh_realloc(p, size);
    return move(s, p, old, size);
}

void
mh_slab_release(struct mh_slab *s)
{
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
