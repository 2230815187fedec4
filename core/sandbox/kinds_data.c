/* The schemas of the built-in kinds: data/schemas.json, made by tests/sandbox/schemas, compressed. */
#include <stdint.h>
#include <string.h>
#include <zlib.h>

#include "sandbox/kinds_in.h"

__asm__(".section .rodata\n"
        ".balign 16\n"
        ".global mh_sb_schemas_gz\n"
        "mh_sb_schemas_gz:\n"
        ".incbin \"" MH_SB_SCHEMAS "\"\n"
        ".global mh_sb_schemas_gz_end\n"
        "mh_sb_schemas_gz_end:\n"
        ".byte 0\n"
        ".previous\n");
extern const char mh_sb_schemas_gz[];
extern const char mh_sb_schemas_gz_end[];

#define TEXT_MAX ((size_t)4 << 20)

static enum mh_code
inflate_all(struct mh_buf *out, struct mh_err *err)
{
    char block[16384];
    z_stream z = { 0 };
    if (inflateInit2(&z, 15 + 16) != Z_OK)
        return mh_fail(err, MH_E_NOMEM, "no memory to unpack the built-in schemas");
    /* zlib does not write to its input, but its type says nothing of that. */
    memcpy(&z.next_in, &(const char *){ mh_sb_schemas_gz }, sizeof(z.next_in));
    z.avail_in = (unsigned)((uintptr_t)mh_sb_schemas_gz_end - (uintptr_t)mh_sb_schemas_gz);
    int rc = Z_OK;
    while (rc == Z_OK) {
        z.next_out = (unsigned char *)block;
        z.avail_out = sizeof(block);
        rc = inflate(&z, Z_NO_FLUSH);
        mh_buf_add(out, block, sizeof(block) - z.avail_out);
    }
    inflateEnd(&z);
    if (rc != Z_STREAM_END || out->failed)
        return mh_fail(err, MH_E_NOMEM, "cannot unpack the built-in schemas");
    return MH_OK;
}

enum mh_code
mh_sb_kinds_schemas(struct mh_arena *a, yyjson_val **out, struct mh_err *err)
{
    struct mh_buf text;
    mh_buf_init(&text, TEXT_MAX);
    enum mh_code code = inflate_all(&text, err);
    if (code == MH_OK)
        code = mh_json_parse(a, text.data, text.len, out, err);
    mh_buf_release(&text);
    return code;
}
