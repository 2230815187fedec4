/* Tables: server-side printing. */
#include <string.h>

#include "sandbox/rest_in.h"

bool
mh_sb_wants_table(const char *accept)
{
    return accept && strstr(accept, "as=Table") != NULL && strstr(accept, "v=v1;") != NULL;
}

char *
mh_sb_table_text(struct mh_sb_api *api, struct mh_arena *a, const struct mh_sb_version *v,
                 const char *const *texts, const size_t *lens, size_t n, const char *list_meta,
                 const char *include, size_t *len)
{
    (void)api, (void)a, (void)v, (void)texts, (void)lens, (void)n, (void)list_meta, (void)include;
    *len = 0;
    return NULL;
}
