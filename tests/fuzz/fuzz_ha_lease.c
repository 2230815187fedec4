/* Any JSON as the cluster's Lease, as an object and as what is in its annotations: what is taken is
 * within the limits that the protocol counts on. */
#include <stdlib.h>
#include <string.h>

#include "ha/lease.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
look(struct mh_arena *a, const struct mh_ha_lease *l)
{
    if (l->nconfigs < 0 || l->nconfigs > MH_HA_CONFIGS_MAX || l->phase > MH_HA_PROMOTING)
        abort();
    for (int i = 0; i < l->nconfigs; i++) {
        const struct mh_ha_config *c = &l->configs[i];
        if (c->nnames < 0 || c->nnames > MH_HA_MEMBERS_MAX || !mh_ha_config_equal(c, c))
            abort();
        for (int k = 0; k < c->nnames; k++)
            if (!c->names[k] || !mh_ha_config_has(c, c->names[k]))
                abort();
        (void)mh_ha_fence_quorum(c);
    }
    if (!mh_ha_phase_name(l->phase) || !mh_ha_configs_text(a, l->configs, l->nconfigs))
        abort();
}

static void
read_lease(struct mh_arena *a, yyjson_val *object)
{
    struct mh_ha_lease lease;
    struct mh_err err;
    if (mh_ha_lease_read(a, object, &lease, &err) == MH_OK)
        look(a, &lease);
}

/* {"metadata":{"annotations":{"moonherd.io/configs":TEXT}}} */
static void
as_annotation(struct mh_arena *a, const char *text, size_t len)
{
    struct mh_buf b;
    yyjson_val *v = NULL;
    mh_buf_init(&b, (size_t)1 << 20);
    (void)mh_buf_str(&b, "{\"metadata\":{\"resourceVersion\":\"1\",\"annotations\":{"
                         "\"moonherd.io/configs\":");
    (void)mh_json_quote(&b, text, len);
    (void)mh_buf_str(&b, "}},\"spec\":{\"holderIdentity\":\"c-1\",\"leaseTransitions\":3}}");
    if (mh_json_parse(a, b.data, b.len, &v, NULL) == MH_OK)
        read_lease(a, v);
    mh_buf_release(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mh_arena a;
    yyjson_val *v = NULL;
    if (size > 65536)
        return 0;
    mh_arena_init(&a, (size_t)64 << 20);
    if (mh_json_parse(&a, (const char *)data, size, &v, NULL) == MH_OK)
        read_lease(&a, v);
    as_annotation(&a, (const char *)data, size);
    mh_arena_release(&a);
    return 0;
}
