/* mem.h - heap access and the arena.
 *
 * Three lifetimes only: process (made at boot), shared (reference counted, immutable once
 * published) and call (an arena: one pass, one request, one decoded watch line). Nobody outside
 * this file calls malloc. Tests make the n-th allocation fail with mh_mem_fail_after. */
#ifndef MH_BASE_MEM_H
#define MH_BASE_MEM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "moonherd/attr.h"

struct mh_arena {
    struct mh_chunk *chunks;
    struct mh_defer *defers;
    size_t used;  /* bytes handed out */
    size_t limit; /* cap on used */
};

typedef void (*mh_free_fn)(void *);

/* Heap; NULL when it is empty (or the test says so). mh_calloc and mh_realloc as in C. */
void *mh_malloc(size_t size);
void *mh_calloc(size_t n, size_t size);
void *mh_realloc(void *p, size_t size);
char *mh_strdup(const char *s);
void mh_free(void *p);
/* The n-th next allocation fails, and only it (-1: never). Then mh_mem_failed says if it came. */
void mh_mem_fail_after(int n);
bool mh_mem_failed(void);

void mh_arena_init(struct mh_arena *a, size_t limit);
/* Zeroed and aligned for any type. NULL when the heap is empty or the limit is reached. */
void *mh_arena_alloc(struct mh_arena *a, size_t size);
/* Copies; NULL for s == NULL or no memory. */
char *mh_arena_strdup(struct mh_arena *a, const char *s);
char *mh_arena_strndup(struct mh_arena *a, const char *s, size_t n);
char *mh_arena_printf(struct mh_arena *a, const char *fmt, ...) MH_PRINTF(2, 3);
char *mh_arena_vprintf(struct mh_arena *a, const char *fmt, va_list ap);
/* Runs fn(p) when the arena is released, newest first. On failure it runs fn(p) at once. */
MH_MUST_USE bool mh_arena_defer(struct mh_arena *a, mh_free_fn fn, void *p);
/* Frees everything; the arena can be used again. */
void mh_arena_release(struct mh_arena *a);
/* The same, but its largest chunk stays, for one who does the same again and again. */
void mh_arena_clear(struct mh_arena *a);

#endif
