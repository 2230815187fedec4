/* Any text as JSON: what is taken is written, read and written again as the same bytes; what is deep
 * or has a NUL is refused; a quoted text reads back. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
canonical_is_stable(struct mh_arena *a, yyjson_val *v)
{
    size_t n, m;
    yyjson_val *again = NULL;
    const char *first = mh_json_canonical(a, v, &n);
    if (!first || mh_json_parse(a, first, n, &again, NULL) != MH_OK)
        abort();
    const char *second = mh_json_canonical(a, again, &m);
    if (!second || n != m || memcmp(first, second, n) != 0)
        abort();
}

static void
quoted_is_a_string(struct mh_arena *a, const char *text, size_t size)
{
    struct mh_buf b;
    yyjson_val *v = NULL;
    mh_buf_init(&b, (size_t)1 << 20);
    if (!mh_json_quote(&b, text, size))
        abort();
    /* A NUL becomes an escape, which readers refuse. */
    enum mh_code code = mh_json_parse(a, b.data, b.len, &v, NULL);
    if (memchr(text, 0, size) ? code != MH_E_INVALID : code != MH_OK || !yyjson_is_str(v))
        abort();
    mh_buf_release(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mh_arena a;
    yyjson_val *v = NULL;
    if (size > 65536)
        return 0;
    mh_arena_init(&a, (size_t)256 << 20);
    if (mh_json_parse(&a, (const char *)data, size, &v, NULL) == MH_OK) {
        canonical_is_stable(&a, v);
        (void)mh_json_int(v, 0, "metadata", "generation", NULL);
        (void)mh_json_str(v, "metadata", "name", NULL);
    }
    quoted_is_a_string(&a, (const char *)data, size);
    mh_arena_release(&a);
    return 0;
}
