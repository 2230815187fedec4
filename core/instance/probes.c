/* probes.c - what /readyz and /startupz mean, as spec.probes says: PostgreSQL answers (pg_isready, query,
 * or where nothing is said), or it also is a primary, or streams and is not farther behind than maximumLag
 * (streaming). From what monitor.c has asked anyway: a probe asks nobody. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "instance/agent.h"
#include "instance/status.h"

#define NO_LIMIT UINT64_MAX

/* Bytes of a quantity such as 16Mi, 1.5G or 1e6; NO_LIMIT for what is none. */
static uint64_t
bytes_of(const char *text)
{
    static const char units[] = "kMGTPE";
    char *end = NULL;
    double n = strtod(text, &end);
    if (end == text || !(n >= 0) || isinf(n))
        return NO_LIMIT;
    const char *unit = *end == 'K' ? units : *end ? strchr(units, *end) : NULL;
    if (unit) {
        double step = end[1] == 'i' ? 1024 : 1000;
        for (const char *u = units; u <= unit; u++)
            n *= step;
    }
    return n < 9e18 ? (uint64_t)n : NO_LIMIT;
}

static uint64_t
maximum_lag(yyjson_val *probe)
{
    const char *text = mh_json_str(probe, "maximumLag", NULL);
    int64_t n = mh_json_int(probe, -1, "maximumLag", NULL);
    return text ? bytes_of(text) : n >= 0 ? (uint64_t)n : NO_LIMIT;
}

static const char *
streams(const struct mh_agent *g, yyjson_val *probe)
{
    const struct mh_pgview *p = &g->pg;
    if (!p->in_recovery || p->follows_nobody)
        return NULL;
    if (!p->receiving)
        return "this standby does not stream\n";
    uint64_t lag = p->upstream_lsn > p->replay_lsn ? p->upstream_lsn - p->replay_lsn : 0;
    return lag <= maximum_lag(probe) ? NULL : "this standby is farther behind than maximumLag\n";
}

const char *
mh_probe_fails(const struct mh_agent *g, const char *which)
{
    yyjson_val *probe = mh_json_get(g->know.cluster, "spec", "probes", which, NULL);
    const char *type = mh_json_str(probe, "type", NULL);
    if (!mh_agent_pg_up(g))
        return "PostgreSQL does not accept connections\n";
    return mh_str_eq(type, "streaming") ? streams(g, probe) : NULL;
}
