/* relay_in.h - what the files of the relay share. */
#ifndef MH_SANDBOX_RELAY_IN_H
#define MH_SANDBOX_RELAY_IN_H

#include "sandbox/relay.h"
#include "sandbox/sandbox.h"

#define MH_SB_RULES_MAX 64
#define MH_SB_HELD_MS 127000 /* as long as a connect waits for an answer */

struct mh_sb_listener {
    struct mh_sb_listener *next;
    struct mh_sb_peer *peer;
    struct event *event;
    int fd;
};

struct mh_sb_peer {
    struct mh_sb_peer *next;
    struct mh_sb_relay *relay;
    struct mh_sb_listener *listeners;
    in_addr_t address; /* network order */
    int node;
    char name[320];
};

struct mh_sb_rule {
    char a[328];
    char b[328];
    int ms;            /* -1: cut */
    unsigned long met; /* connections that it was applied to, again at each change of the rules */
};

/* What a process waits for. */
struct mh_sb_ask {
    int notify_fd; /* -1: nobody waits */
    uint64_t id;
    int sock; /* its socket, here */
};

struct mh_sb_chunk {
    struct mh_sb_chunk *next;
    int64_t due;
    size_t len;
    size_t at;
    char data[];
};

/* One direction. */
struct mh_sb_flow {
    struct mh_sb_link *link;
    int *from;
    int *to;
    struct event *readable;
    struct event *writable;
    struct mh_sb_chunk *head;
    struct mh_sb_chunk *tail;
    size_t bytes;
    int64_t end_due;
    bool ended; /* from has no more */
    bool shut;  /* to was told */
    bool reading;
};

struct mh_sb_link {
    struct mh_sb_link *next;
    struct mh_sb_relay *relay;
    in_addr_t from;           /* the pod that connects */
    struct sockaddr_in asked; /* what it asked for */
    struct sockaddr_in to;    /* what it gets */
    in_port_t port;           /* of `from`, to know it again; 0: not yet */
    struct mh_sb_ask ask;
    int64_t since;
    int a;         /* towards `from`; -1: not accepted yet */
    int b;         /* towards `to`; -1: not connected */
    int wall;      /* where its connect waits while it is cut off; -1: none */
    int wall_full; /* what fills the wall's queue */
    struct event *on_wall;
    struct event *connecting;
    struct mh_timer *timer; /* delay, or the end of patience */
    struct mh_timer *flush;
    struct mh_sb_flow flows[2]; /* a to b, b to a */
    bool connected;             /* b is */
    bool cut;
    int ms;
};

struct mh_sb_relay {
    struct mh_sb_relay_spec spec;
    struct mh_sb_peer *peers;
    struct mh_sb_link *links;
    struct mh_sb_rule rules[MH_SB_RULES_MAX];
    int nrules;
    bool silent[MH_SB_NODES_MAX];
    int listener; /* where pods' connections end */
    in_port_t port;
    struct event *on_accept;
};

/* relay.c: between these addresses now: cut, or a delay in ms. */
bool mh_sb_relay_is_cut(struct mh_sb_relay *r, in_addr_t a, in_addr_t b);
int mh_sb_relay_delay(struct mh_sb_relay *r, in_addr_t a, in_addr_t b);
bool mh_sb_relay_is_ours(const struct mh_sb_relay *r, in_addr_t address);

/* relay_notify.c: reads one question and answers or keeps it. */
void mh_sb_relay_question(struct mh_sb_peer *p, int notify_fd);
/* Ends what the process waits for: 0 or errno. */
void mh_sb_ask_answer(struct mh_sb_ask *ask, int error);
/* Does it still wait? */
bool mh_sb_ask_valid(const struct mh_sb_ask *ask);
/* Gives the socket its source address; the port, 0 on failure. */
in_port_t mh_sb_ask_bind(int sock, in_addr_t address);

/* relay_link.c */
/* Takes over the question. */
void mh_sb_link_start(struct mh_sb_relay *r, in_addr_t from, const struct sockaddr_in *asked,
                      const struct sockaddr_in *to, struct mh_sb_ask ask);
void mh_sb_link_accept(struct mh_sb_relay *r);
/* Rules have changed: every link obeys them. */
void mh_sb_link_obey(struct mh_sb_relay *r);
void mh_sb_link_free(struct mh_sb_link *l, bool reset);

/* relay_flow.c */
bool mh_sb_flow_begin(struct mh_sb_link *l);
void mh_sb_flow_pause(struct mh_sb_link *l, bool pause);
void mh_sb_flow_release(struct mh_sb_link *l);
/* What arrives is dropped before TCP sees it. Where the kernel forbids filters this does nothing: a
 * cut is then only that nobody reads. */
void mh_sb_sock_deafen(int fd, bool deaf);

#endif
