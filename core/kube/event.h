/* event.h - Kubernetes events (core v1): fire and forget.
 *
 * The same object, type, reason and note again within ten minutes raises the count of the event
 * that is there. At most MH_EVENTS_BURST at once and one a second after that, and at most
 * MH_EVENTS_PENDING waiting; what is over is counted and dropped. */
#ifndef MH_KUBE_EVENT_H
#define MH_KUBE_EVENT_H

#include "base/world.h"

#define MH_EVENTS_BURST 50
#define MH_EVENTS_PENDING 100
#define MH_EVENT_NOTE_MAX 1024

struct mh_events;

struct mh_event_ref {
    const char *api_version;
    const char *kind;
    const char *name_space; /* NULL: the event goes to "default" */
    const char *name;
    const char *uid;              /* NULL: unknown */
    const char *resource_version; /* NULL: unknown */
};

/* component: who reports ("moonherd"), host: the pod's or node's name. Copied. NULL: no memory. */
struct mh_events *mh_events_new(struct mh_api api, struct mh_clock clock, const char *component,
                                const char *host);
/* Drops what is still waiting. */
void mh_events_free(struct mh_events *events);
/* The reference to an object; its texts are the object's. */
struct mh_event_ref mh_event_ref_of(yyjson_val *object);
/* type: "Normal" or "Warning"; reason: one CamelCase word; note: a sentence, cut at
 * MH_EVENT_NOTE_MAX. */
void mh_kube_event(struct mh_events *events, const struct mh_event_ref *regarding, const char *type,
                   const char *reason, const char *note);
/* s as the API server takes a text: valid UTF-8 (messages are cut anywhere, and quote whatever others
 * say), at most max bytes, ended between two characters. NULL: no memory. */
char *mh_kube_text(struct mh_arena *a, const char *s, size_t max);
/* Events that were dropped for want of room, rate or memory, or refused by the server. */
unsigned long mh_events_dropped(const struct mh_events *events);

#endif
