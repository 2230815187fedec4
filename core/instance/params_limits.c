/* What a standby needs: the limits under which the log that it replays was written. */
#include <stdlib.h>
#include <string.h>

#include "instance/params.h"

static const struct {
    const char *name;
    const char *control; /* in the output of pg_controldata */
    int64_t builtin;     /* where nobody sets it */
} limits[MH_LIMITS] = {
    { "max_connections", "max_connections setting", 100 },
    { "max_worker_processes", "max_worker_processes setting", 8 },
    { "max_wal_senders", "max_wal_senders setting", 10 },
    { "max_prepared_transactions", "max_prepared_xacts setting", 0 },
    { "max_locks_per_transaction", "max_locks_per_xact setting", 64 },
};

int
mh_params_limit_of(const char *control_name)
{
    for (int i = 0; i < MH_LIMITS; i++) {
        if (strcmp(limits[i].control, control_name) == 0)
            return i;
    }
    return -1;
}

/* As PostgreSQL reads an integer without a unit; what it would refuse is 0. */
static int64_t
value_of(const char *text, int64_t absent)
{
    char *end;
    if (!text)
        return absent;
    long long n = strtoll(text, &end, 0);
    if (*end == '.' || *end == 'e' || *end == 'E')
        n = (long long)strtod(text, &end);
    end += strspn(end, " \t");
    return *end ? 0 : n;
}

int
mh_params_lift(struct mh_arena *a, const struct mh_params_in *in, const int64_t least[MH_LIMITS],
               struct mh_param extra[MH_LIMITS])
{
    struct mh_params p;
    int n = 0;
    if (mh_params_effective(a, in, &p, NULL))
        return -1;
    for (int i = 0; i < MH_LIMITS; i++) {
        if (value_of(mh_params_get(&p, limits[i].name), limits[i].builtin) >= least[i])
            continue;
        const char *text = mh_arena_printf(a, "%lld", (long long)least[i]);
        if (!text)
            return -1;
        extra[n++] = (struct mh_param){ limits[i].name, text };
    }
    return n;
}
