#include "kube/cache_pack.h"

#include <limits.h>
#include <string.h>
#define ZLIB_CONST
#include <zlib.h>

#define WORTH_MIN 256  /* shorter texts stay as they are */
#define WINDOW_BITS 14 /* no model is longer than the window */
#define MODEL_MAX ((size_t)16 << 10)
#define MEMORY_LEVEL 6
#define LEVEL 3
#define BAD_SHARE 3  /* more than a third of the text: the model serves badly */
#define TRIED_MIN 32 /* texts that a model is tried with before another takes its place */

struct mh_cache_model {
    unsigned refs;
    unsigned tried;
    size_t len;
    unsigned char text[];
};

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

/* --- models ------------------------------------------------------------------------------------ */

void
mh_cache_model_unref(struct mh_cache_model *m)
{
    if (m && --m->refs == 0)
        mh_free(m);
}

/* The kind's next model; without memory it keeps the one it has. */
static void
adopt(struct mh_cache_model **model, const char *text, size_t len)
{
    size_t n = len < MODEL_MAX ? len : MODEL_MAX;
    struct mh_cache_model *m = mh_malloc(sizeof(*m) + n);
    if (!m)
        return;
    *m = (struct mh_cache_model){ .refs = 1, .len = n };
    memcpy(m->text, text, n);
    mh_cache_model_unref(*model);
    *model = m;
}

/* --- texts ------------------------------------------------------------------------------------- */

/* Packed into out of len bytes; 0: it did not fit, or no memory. */
static size_t
squeeze(const struct mh_cache_model *m, const char *text, size_t len, char *out)
{
    if (!m || !begin_out() || deflateSetDictionary(&z.out, m->text, (uInt)m->len) != Z_OK)
        return 0;
    z.out.next_in = (const Bytef *)text;
    z.out.avail_in = (uInt)len;
    z.out.next_out = (Bytef *)out;
    z.out.avail_out = (uInt)len;
    return deflate(&z.out, Z_FINISH) == Z_STREAM_END ? len - z.out.avail_out : 0;
}

const char *
mh_cache_pack(struct mh_arena *a, struct mh_cache_model **model, const char *text, size_t len,
              size_t *packed, struct mh_cache_model **with)
{
    *with = NULL;
    char *out = len >= WORTH_MIN && len < INT_MAX ? mh_arena_alloc(a, len) : NULL;
    if (!out)
        return NULL;
    if (!*model)
        adopt(model, text, len);
    size_t n = squeeze(*model, text, len, out);
    if (*model && ++(*model)->tried > TRIED_MIN && (!n || n > len / BAD_SHARE)) {
        adopt(model, text, len);
        n = squeeze(*model, text, len, out);
    }
    if (!n || n > len - len / 4)
        return NULL;
    *with = *model;
    (*with)->refs++;
    *packed = n;
    return out;
}

char *
mh_cache_unpack(struct mh_arena *a, const struct mh_cache_model *with, const char *data,
                size_t packed, size_t len)
{
    char *out = mh_arena_alloc(a, len + 1);
    if (!out || !begin_in() || inflateSetDictionary(&z.in, with->text, (uInt)with->len) != Z_OK)
        return NULL;
    z.in.next_in = (const Bytef *)data;
    z.in.avail_in = (uInt)packed;
    z.in.next_out = (Bytef *)out;
    z.in.avail_out = (uInt)len;
    if (inflate(&z.in, Z_FINISH) != Z_STREAM_END || z.in.avail_out != 0)
        return NULL;
    return out;
}
