#include "io/pack.h"

#include <limits.h>
#define ZLIB_CONST
#include <zlib.h>

#include "base/mem.h"

#define WINDOW_BITS 14
#define MEMORY_LEVEL 6
#define LEVEL 3

static struct {
    z_stream out, in;
    bool out_ready, in_ready;
} z;

static void *
take(void *arg, unsigned n, unsigned size)
{
    (void)arg;
    return mh_calloc(n, size);
}

static void
give(void *arg, void *p)
{
    (void)arg;
    mh_free(p);
}

static bool
begin_out(void)
{
    if (z.out_ready)
        return deflateReset(&z.out) == Z_OK;
    z.out = (z_stream){ .zalloc = take, .zfree = give };
    z.out_ready = deflateInit2(&z.out, LEVEL, Z_DEFLATED, -WINDOW_BITS, MEMORY_LEVEL,
                               Z_DEFAULT_STRATEGY) == Z_OK;
    return z.out_ready;
}

static bool
begin_in(void)
{
    if (z.in_ready)
        return inflateReset(&z.in) == Z_OK;
    z.in = (z_stream){ .zalloc = take, .zfree = give };
    z.in_ready = inflateInit2(&z.in, -WINDOW_BITS) == Z_OK;
    return z.in_ready;
}

size_t
mh_pack(void *out, size_t most, const char *text, size_t len, struct mh_pack_model model)
{
    if (len > INT_MAX || most > INT_MAX || model.len > INT_MAX || !begin_out() ||
        (model.len && deflateSetDictionary(&z.out, model.text, (uInt)model.len) != Z_OK))
        return 0;
    z.out.next_in = (const Bytef *)text;
    z.out.avail_in = (uInt)len;
    z.out.next_out = out;
    z.out.avail_out = (uInt)most;
    return deflate(&z.out, Z_FINISH) == Z_STREAM_END ? most - z.out.avail_out : 0;
}

bool
mh_unpack(char *out, size_t len, const void *packed, size_t packed_len, struct mh_pack_model model)
{
    if (len > INT_MAX || packed_len > INT_MAX || model.len > INT_MAX || !begin_in() ||
        (model.len && inflateSetDictionary(&z.in, model.text, (uInt)model.len) != Z_OK))
        return false;
    z.in.next_in = packed;
    z.in.avail_in = (uInt)packed_len;
    z.in.next_out = (Bytef *)out;
    z.in.avail_out = (uInt)len;
    return inflate(&z.in, Z_FINISH) == Z_STREAM_END && z.in.avail_out == 0;
}
