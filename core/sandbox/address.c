/* address.c - the loopback addresses of one sandbox. */
#include "base/mem.h"
#include "sandbox/sandbox.h"

char *
mh_sb_api_address(struct mh_arena *a, int n)
{
    return mh_arena_printf(a, "127.%d.0.1", n);
}

char *
mh_sb_service_address(struct mh_arena *a, int n, int y)
{
    return mh_arena_printf(a, "127.%d.1.%d", n, y);
}

char *
mh_sb_pod_address(struct mh_arena *a, int n, int node, int y)
{
    return mh_arena_printf(a, "127.%d.%d.%d", n, 16 + node, y);
}
