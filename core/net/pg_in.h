/* pg_in.h - pg.c's helpers: conninfo checking and results. Only for core/net. */
#ifndef MH_NET_PG_IN_H
#define MH_NET_PG_IN_H

#include <libpq-fe.h>

#include "base/world.h"

#define MH_PG_IDLE_S 600
#define MH_PG_TIMEOUT_MS 5000
#define MH_PG_SESSIONS_MAX 64
#define MH_PG_PARAMS_MAX 80

struct mh_pg_params {
    const char *keywords[MH_PG_PARAMS_MAX];
    const char *values[MH_PG_PARAMS_MAX];
    int connect_s;
    PQconninfoOption *parsed; /* owns the texts */
    char *options;
};

/* conninfo plus what is always so. INVALID: bad text, or a host that is a name. Release it in any case. */
enum mh_code mh_pg_params_make(const char *conninfo, struct mh_pg_params *out, struct mh_err *err);
void mh_pg_params_release(struct mh_pg_params *p);

/* Copies names and values to the call's arena; false sets call->err (LIMIT). */
bool mh_pg_copy(struct mh_pg_call *c, const PGresult *r);

#endif
