/* serve_in.h - the door's own structures, shared by serve.c, serve_who.c and stale.c. */
#ifndef MH_SANDBOX_SERVE_IN_H
#define MH_SANDBOX_SERVE_IN_H

#include "base/map.h"
#include "sandbox/serve.h"

struct door_req {
    struct mh_sb_req req;
    struct mh_sb_who who;
    struct mh_request *http;
    struct mh_sb_door *door;
    struct mh_arena arena;
    struct mh_timer *timer; /* a fault holds it back */
    bool delayed;           /* and did */
    bool dropped;           /* no answer at all */
    struct door_req *next;
    struct door_req **at;
};

struct door_watch {
    struct mh_sb_door *door;
    struct mh_sb_watch *watch;
    struct mh_stream *stream;
    struct door_watch *next;
    struct door_watch **at;
    char user[320];
    char resource[64];
};

struct mh_sb_door {
    struct mh_sb_door_config config;
    struct mh_server *servers[4];
    int nservers;
    struct door_req *reqs;
    struct door_watch *watches;
    struct mh_map stale; /* "user path" -> struct stale */
};

void mh_sb_door_done(struct mh_sb_req *req);
/* Takes the token's user for the request; false: nobody we know. */
bool mh_sb_door_known(struct door_req *r);
/* Takes the one whom the headers ask to act as; false: he may not, answered (not yet sent). */
bool mh_sb_door_impersonate(struct door_req *r);
/* The faults are others now. */
void mh_sb_door_changed(struct mh_sb_door *d);
/* Answers a read with what it was answered first since the fault began; false: this is the first
 * one: its answer is kept when it comes. */
bool mh_sb_stale_answer(struct door_req *r);
/* Forgets all such answers. */
void mh_sb_stale_forget(struct mh_sb_door *d);

#endif
