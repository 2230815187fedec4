/* metrics.h - counters, gauges and histograms in Prometheus' text format.
 *
 * A series is a name and its label text; it appears with its first use, at most MH_METRICS_MAX of
 * them (further ones are counted in moonherd_metrics_dropped). Values of labels come from our own
 * code and the API server's kinds only, never from users' texts. */
#ifndef MH_OPERATOR_METRICS_H
#define MH_OPERATOR_METRICS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/map.h"

#define MH_METRICS_MAX 2000

struct mh_metrics {
    struct mh_map series; /* "name{labels}" -> struct */
    uint64_t dropped;
};

void mh_metrics_init(struct mh_metrics *m);
void mh_metrics_release(struct mh_metrics *m);
/* labels: "kind=\"Pod\"" or "". */
void mh_metrics_add(struct mh_metrics *m, const char *name, const char *labels, double n);
void mh_metrics_set(struct mh_metrics *m, const char *name, const char *labels, double value);
/* One observation of a histogram in seconds (1 ms .. 60 s). */
void mh_metrics_observe(struct mh_metrics *m, const char *name, const char *labels, double seconds);
/* All of it, sorted by name. */
bool mh_metrics_text(const struct mh_metrics *m, struct mh_buf *out);

#endif
