/* plugin_figures.c - plugins in the operator's metrics. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "operator/plugin_in.h"

void
mh_plugins_count(struct mh_plugins *all)
{
    unsigned states[MH_PLUGIN_STATES] = { 0 };
    char labels[40];
    if (!all->metrics)
        return;
    for (const struct mh_plugin *p = all->first; p; p = p->next)
        states[p->state]++;
    for (int i = 0; i < MH_PLUGIN_STATES; i++) {
        (void)snprintf(labels, sizeof(labels), "state=\"%.20s\"", mh_plugin_states[i]);
        mh_metrics_set(all->metrics, "moonherd_plugins", labels, states[i]);
    }
}

void
mh_plugins_add(struct mh_plugins *all, const char *name, unsigned n)
{
    char full[80];
    (void)snprintf(full, sizeof(full), "moonherd_plugin_%.40s_total", name);
    if (all->metrics)
        mh_metrics_add(all->metrics, full, "", n);
}

void
mh_plugin_on_pass(void *work, const char *kind, const char *result, int64_t ns)
{
    const struct mh_plugin_work *w = work;
    const struct mh_plugins *all = w->plugin->all;
    char labels[200];
    if (all->on_done)
        all->on_done(all->arg, kind, result, ns);
    if (!all->metrics)
        return;
    (void)snprintf(labels, sizeof(labels), "kind=\"%.120s\",result=\"%.20s\"", kind, result);
    mh_metrics_add(all->metrics, "moonherd_plugin_passes_total", labels, 1);
    (void)snprintf(labels, sizeof(labels), "kind=\"%.120s\"", kind);
    mh_metrics_observe(all->metrics, "moonherd_plugin_pass_seconds", labels, (double)ns / 1e9);
}

void
mh_plugin_on_said(void *work, const struct mh_pass_said *said)
{
    const struct mh_plugin_work *w = work;
    const struct mh_plugins *all = w->plugin->all;
    if (all->on_said)
        all->on_said(all->arg, said);
}
