/* policy_settled.c - whether the answer of the built-in policy is the last word. */
#include <string.h>

#include "base/str.h"
#include "lua/policy_entry.h"
#include "lua/shape.h"

static bool
serves(const struct mh_policies *s, const struct mh_map_of *m, const char *ns)
{
    return mh_str_eq(m->ns, ns) || mh_str_eq(m->ns, s->operator_namespace);
}

static bool
is_of(const struct mh_version *v, const char *point)
{
    return v && (!v->point[0] || mh_str_eq(v->point, point));
}

bool
mh_policies_pending(const struct mh_policies *s, const char *point, const char *ns)
{
    for (const struct mh_map_of *m = s->maps; m; m = m->next) {
        for (const struct mh_entry *e = m->entries; serves(s, m, ns) && e; e = e->next) {
            if (e->check && !e->active && is_of(e->latest, point))
                return true;
        }
    }
    return false;
}

bool
mh_policies_unclaimed(const struct mh_policies *s, const char *point, const char *ns)
{
    for (const struct mh_map_of *m = s->maps; m; m = m->next) {
        for (const struct mh_entry *e = m->entries; serves(s, m, ns) && e; e = e->next) {
            if (e->check || is_of(e->active, point) || is_of(e->ready, point))
                return false;
        }
    }
    return true;
}

const char *
mh_point_constant(const char *point)
{
    const struct mh_point *p = mh_point_find(point);
    return p ? p->built_in : NULL;
}
