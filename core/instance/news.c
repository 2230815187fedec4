/* news.c - events of the Cluster by an instance manager that did the operator's work. */
#include <stdio.h>

#include "instance/agent.h"
#include "kube/event.h"

void
mh_deputy_news(const struct mh_agent *g, enum mh_ha_phase phase, const char *why)
{
    const char *holder = g->know.lease.holder;
    char version[160];
    char note[320];
    const struct mh_event_ref ref = { .api_version = version,
                                      .kind = "Cluster",
                                      .name_space = g->id.ns,
                                      .name = g->id.cluster,
                                      .uid =
                                          mh_json_str(g->know.cluster, "metadata", "uid", NULL) };
    if (!g->events)
        return;
    (void)snprintf(version, sizeof(version), "%s/v1", g->id.group);
    if (phase == MH_HA_FENCING) {
        (void)snprintf(note, sizeof(note), "%s; nobody else does it, so %s does", why, g->id.name);
        mh_kube_event(g->events, &ref, "Normal", "FailingOver", note);
    } else if (phase == MH_HA_PROMOTING && holder) {
        (void)snprintf(note, sizeof(note), "Failing over to %s", holder);
        mh_kube_event(g->events, &ref, "Normal", "FailoverTarget", note);
    }
}
