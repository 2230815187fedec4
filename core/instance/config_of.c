/* config_of.c - which configuration a Cluster asks for, in a few bytes that manager and operator
 * compute alike. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "instance/params.h"

#define ARCHIVING "cnpg.io/skipWalArchiving"
#define POLICY "moonherd.io/instance-policy"

#define PRIME UINT64_C(0x100000001b3)
#define START UINT64_C(0xcbf29ce484222325)

/* As scripts/desired/hash.lua: it tells texts apart, and resists nobody. */
static uint64_t
mix(uint64_t state, uint64_t word)
{
    state = (state ^ word) * PRIME;
    return state ^ (state >> 29);
}

static uint64_t
hash_of(const char *text, size_t len)
{
    uint64_t state = mix(START, len);
    size_t whole = len / 8 * 8;
    for (size_t at = 0; at < whole; at += 8) {
        uint64_t word = 0;
        for (size_t i = 0; i < 8; i++)
            word |= (uint64_t)(unsigned char)text[at + i] << (8 * i);
        state = mix(state, word);
    }
    for (size_t at = whole; at < len; at++)
        state = mix(state, (unsigned char)text[at]);
    return mix(state, START);
}

static const char *
annotation(yyjson_val *cluster, const char *name)
{
    const char *text = mh_json_str(cluster, "metadata", "annotations", name, NULL);
    return text ? text : "";
}

void
mh_params_config_of(yyjson_val *cluster, char out[MH_CONFIG_OF])
{
    long long generation = (long long)mh_json_int(cluster, 0, "metadata", "generation", NULL);
    const char *archiving = annotation(cluster, ARCHIVING);
    const char *policy = annotation(cluster, POLICY);
    struct mh_buf both;
    mh_buf_init(&both, (size_t)512 << 10); /* annotations have 256 KiB together */
    if (*archiving || *policy)
        mh_buf_printf(&both, "%s\n%s", archiving, policy);
    if (both.failed)
        out[0] = '\0'; /* nobody is told that it was read */
    else if (both.len)
        (void)snprintf(out, MH_CONFIG_OF, "%lld-%016" PRIx64, generation,
                       hash_of(mh_buf_text(&both), both.len));
    else
        (void)snprintf(out, MH_CONFIG_OF, "%lld", generation);
    mh_buf_release(&both);
}
