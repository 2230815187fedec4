/* fake_server.h - a small HTTP server on loopback, on the test's own loop; it answers as it is told. */
#ifndef MH_TEST_FAKE_SERVER_H
#define MH_TEST_FAKE_SERVER_H

#include <event2/event.h>
#include <event2/http.h>

#define FAKE_DEAD 32

struct fake {
    struct event_base *base;
    struct evhttp *http;
    int port;
    char url[64];
    int requests;
    char log[4096]; /* "GET /path?query\n"... */
    char auth[256]; /* Authorization of the last request */
    void (*answer)(struct fake *f, struct evhttp_request *r, const char *uri);
    struct evhttp_request *held; /* one that is not answered, or a stream that stays open */
    struct evhttp_request *dead[FAKE_DEAD]; /* held ones without a connection, to free */
    int ndead;
    int closed; /* clients that went away from a held one */
};

void fake_open(struct fake *f, struct event_base *base,
               void (*answer)(struct fake *, struct evhttp_request *, const char *uri));
void fake_close(struct fake *f);
/* One whole answer; header may be NULL ("Name: value"). */
void fake_reply(struct evhttp_request *r, int status, const char *header, const char *body);
/* Never answered. */
void fake_hold(struct fake *f, struct evhttp_request *r);
/* A stream that stays open, and more of it. */
void fake_stream(struct fake *f, struct evhttp_request *r, const char *text);
void fake_more(struct fake *f, const char *text);
/* The stream ends properly, or the connection is cut. */
void fake_end(struct fake *f);
void fake_cut(struct fake *f);
/* Runs the loop until *what is at least n, for at most ms; says if it came. */
int fake_wait(struct fake *f, const int *what, int n, int ms);

#endif
