#include "kube/cache_pack.h"

#include <limits.h>
#include <string.h>

#include "io/pack.h"

#define WORTH_MIN 256                /* shorter texts stay as they are */
#define MODEL_MAX ((size_t)16 << 10) /* more of it does not serve */
#define BAD_SHARE 3                  /* more than a third of the text: the model serves badly */
#define TRIED_MIN 32 /* texts that a model is tried with before another takes its place */

struct mh_cache_model {
    unsigned refs;
    unsigned tried;
    size_t len;
    unsigned char text[];
};

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

static struct mh_pack_model
use(const struct mh_cache_model *m)
{
    return (struct mh_pack_model){ m->text, m->len };
}

/* Packed into out of len bytes; 0: it did not fit, or no memory. */
static size_t
squeeze(const struct mh_cache_model *m, const char *text, size_t len, char *out)
{
    return m ? mh_pack(out, len, text, len, use(m)) : 0;
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
    return out && mh_unpack(out, len, data, packed, use(with)) ? out : NULL;
}
