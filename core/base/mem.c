#include "base/mem.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MIN 4096u
#define CHUNK_MAX ((size_t)128 << 10)
#define ALIGN alignof(max_align_t)

struct mh_chunk {
    struct mh_chunk *next;
    size_t size;
    size_t used;
    alignas(max_align_t) unsigned char data[];
};

struct mh_defer {
    struct mh_defer *next;
    mh_free_fn fn;
    void *p;
};

static int fail_after = -1;
static bool failed;

void
mh_mem_fail_after(int n)
{
    fail_after = n;
    failed = false;
}

bool
mh_mem_failed(void)
{
    return failed;
}

static bool
fails_now(void)
{
    if (fail_after < 0)
        return false;
    if (fail_after-- > 0)
        return false;
    failed = true;
    return true;
}

void *
mh_malloc(size_t size)
{
    return fails_now() ? NULL : malloc(size ? size : 1);
}

void *
mh_calloc(size_t n, size_t size)
{
    return fails_now() ? NULL : calloc(n ? n : 1, size ? size : 1);
}

void *
mh_realloc(void *p, size_t size)
{
    return fails_now() ? NULL : realloc(p, size ? size : 1);
}

char *
mh_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = mh_malloc(n);
    return copy ? memcpy(copy, s, n) : NULL;
}

void
mh_free(void *p)
{
    free(p);
}

void
mh_arena_init(struct mh_arena *a, size_t limit)
{
    *a = (struct mh_arena){ .limit = limit };
}

/* Chunks grow, so that a large arena is a few large blocks: those leave no holes among small ones
 * that live longer. */
static size_t
next_size(const struct mh_chunk *open)
{
    size_t twice = open ? 2 * (open->size + sizeof(*open)) : CHUNK_MIN;
    return (twice < CHUNK_MAX ? twice : CHUNK_MAX) - sizeof(*open);
}

/* Chunks of usual sizes that nobody has now. A request's arena comes and goes a thousand times a
 * second: without this, some allocators map and unmap its pages each time. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif
#ifdef SANITIZED /* who uses what was released shall be found */
#define SPARE_MAX ((size_t)0)
#else
#define SPARE_MAX ((size_t)1 << 20)
#endif
#define SPARE_CLASSES 6

static struct mh_chunk *spare[SPARE_CLASSES];
static size_t spare_bytes;

/* CHUNK_MIN, twice that, ... CHUNK_MAX; -1: another size. */
static int
spare_class(size_t size)
{
    size_t usual = CHUNK_MIN;
    for (int i = 0; i < SPARE_CLASSES; i++, usual *= 2) {
        if (size + sizeof(struct mh_chunk) == usual)
            return i;
    }
    return -1;
}

static struct mh_chunk *
chunk_new(size_t size)
{
    int i = spare_class(size);
    struct mh_chunk *c = i >= 0 && fail_after < 0 ? spare[i] : NULL;
    if (c) {
        spare[i] = c->next;
        spare_bytes -= size;
    } else {
        c = mh_malloc(sizeof(*c) + size);
    }
    if (c)
        *c = (struct mh_chunk){ .size = size };
    return c;
}

static void
chunk_free(struct mh_chunk *c)
{
    int i = spare_class(c->size);
    if (i < 0 || c->size > SPARE_MAX - spare_bytes) {
        free(c);
        return;
    }
    c->next = spare[i];
    spare[i] = c;
    spare_bytes += c->size;
}

void *
mh_arena_alloc(struct mh_arena *a, size_t size)
{
    if (size > a->limit || size > SIZE_MAX - ALIGN)
        return NULL;
    size = (size + ALIGN - 1) & ~(ALIGN - 1);
    if (size > a->limit - a->used)
        return NULL;
    struct mh_chunk *c = a->chunks;
    if (!c || c->size - c->used < size) {
        size_t want = next_size(c);
        want = size > want ? size : want;
        c = chunk_new(want);
        if (!c)
            return NULL;
        if (a->chunks &&
            want - size < a->chunks->size - a->chunks->used) { /* the open one is first */
            c->next = a->chunks->next;
            a->chunks->next = c;
        } else {
            c->next = a->chunks;
            a->chunks = c;
        }
    }
    void *p = c->data + c->used;
    c->used += size;
    a->used += size;
    return memset(p, 0, size);
}

char *
mh_arena_strndup(struct mh_arena *a, const char *s, size_t n)
{
    char *copy = mh_arena_alloc(a, n + 1);
    return copy ? memcpy(copy, s, n) : NULL;
}

char *
mh_arena_strdup(struct mh_arena *a, const char *s)
{
    return s ? mh_arena_strndup(a, s, strlen(s)) : NULL;
}

char *
mh_arena_vprintf(struct mh_arena *a, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *s = n < 0 ? NULL : mh_arena_alloc(a, (size_t)n + 1);
    if (s)
        (void)vsnprintf(s, (size_t)n + 1, fmt, again);
#pragma GCC diagnostic pop
    va_end(again);
    return s;
}

char *
mh_arena_printf(struct mh_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    char *s = mh_arena_vprintf(a, fmt, ap);
#pragma GCC diagnostic pop
    va_end(ap);
    return s;
}

bool
mh_arena_defer(struct mh_arena *a, mh_free_fn fn, void *p)
{
    struct mh_defer *d = mh_arena_alloc(a, sizeof(*d));
    if (!d) {
        fn(p);
        return false;
    }
    *d = (struct mh_defer){ .next = a->defers, .fn = fn, .p = p };
    a->defers = d;
    return true;
}

void
mh_arena_release(struct mh_arena *a)
{
    for (struct mh_defer *d = a->defers; d; d = d->next)
        d->fn(d->p);
    for (struct mh_chunk *c = a->chunks; c;) {
        struct mh_chunk *next = c->next;
        chunk_free(c);
        c = next;
    }
    *a = (struct mh_arena){ .limit = a->limit };
}

void
mh_arena_clear(struct mh_arena *a)
{
    struct mh_chunk **largest = &a->chunks;
    for (struct mh_chunk **at = &a->chunks; *at; at = &(*at)->next) {
        if ((*at)->size > (*largest)->size)
            largest = at;
    }
    struct mh_chunk *kept = *largest;
    if (kept)
        *largest = kept->next;
    mh_arena_release(a);
    if (kept) {
        kept->used = 0;
        kept->next = NULL;
        a->chunks = kept;
    }
}
