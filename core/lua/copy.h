/* copy.h - included before Lua's own sources in static builds: copies of a few bytes without a call.
 *
 * Lua copies names and short texts all the time. musl's memcpy is made for large blocks: to begin takes
 * it longer than most of these take as a whole. */
#ifndef MH_LUA_COPY_H
#define MH_LUA_COPY_H

#include <stdint.h>
#include <string.h>

/* First and last halves, which may overlap each other. */
static inline void *
mh_copy(void *to, const void *from, size_t n)
{
    unsigned char *d = to;
    const unsigned char *s = from;
    uint64_t a, b, c, e;
    uint32_t x, y;
    if (n > 32)
        return memcpy(to, from, n);
    if (n > 16) {
        __builtin_memcpy(&a, s, 8);
        __builtin_memcpy(&b, s + 8, 8);
        __builtin_memcpy(&c, s + n - 16, 8);
        __builtin_memcpy(&e, s + n - 8, 8);
        __builtin_memcpy(d, &a, 8);
        __builtin_memcpy(d + 8, &b, 8);
        __builtin_memcpy(d + n - 16, &c, 8);
        __builtin_memcpy(d + n - 8, &e, 8);
    } else if (n >= 8) {
        __builtin_memcpy(&a, s, 8);
        __builtin_memcpy(&b, s + n - 8, 8);
        __builtin_memcpy(d, &a, 8);
        __builtin_memcpy(d + n - 8, &b, 8);
    } else if (n >= 4) {
        __builtin_memcpy(&x, s, 4);
        __builtin_memcpy(&y, s + n - 4, 4);
        __builtin_memcpy(d, &x, 4);
        __builtin_memcpy(d + n - 4, &y, 4);
    } else {
        for (size_t i = 0; i < n; i++)
            d[i] = s[i];
    }
    return to;
}

/* lint: allow memcpy: it is what the sources call */
#define memcpy(to, from, n) mh_copy(to, from, n)

#endif
