#include "operator/plugin_guard.h"

void
mh_plugin_sql_start(struct mh_guarded *g)
{
    mh_fail(&g->call->err, MH_E_REFUSED, "there is no SQL for plugins yet");
    mh_plugin_guarded_done(g);
}

void
mh_plugin_sql_cancel(struct mh_guarded *g)
{
    (void)g;
}
