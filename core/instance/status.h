/* status.h - texts and streams of this instance's status. */
#ifndef MH_INSTANCE_STATUS_H
#define MH_INSTANCE_STATUS_H

#include "instance/agent.h"
#include "net/http_server.h"

#if defined(__x86_64__)
#define MH_ARCH "amd64"
#elif defined(__aarch64__)
#define MH_ARCH "arm64"
#else
#define MH_ARCH "unknown"
#endif

/* A line of the stream; the answer to GET /pg/status, with what details.c brought or NULL. */
char *mh_status_line(struct mh_agent *g, struct mh_arena *a);
char *mh_status_text(struct mh_agent *g, struct mh_arena *a, yyjson_val *details);
/* details.c: answers GET /pg/status, after PostgreSQL has said what only that answer has. */
void mh_details_serve(struct mh_agent *g, struct mh_request *req);
/* probes.c: why the probe ("readiness", "startup") fails; NULL: it does not. */
const char *mh_probe_fails(const struct mh_agent *g, const char *which);
bool mh_status_init(struct mh_agent *g);
/* Makes this request a stream of status lines: on every change, and each second. */
void mh_status_stream(struct mh_agent *g, struct mh_request *req);
/* The answer to a peer; from and term: who asks, as primary of which term. */
char *mh_peer_text(struct mh_agent *g, struct mh_arena *a, const char *from, uint64_t term);

#endif
