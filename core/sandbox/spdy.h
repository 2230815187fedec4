/* spdy.h - as much of SPDY/3.1 as port-forward needs, the server's side: streams that the client opens,
 * with headers; data both ways; no flow control (its clients have none).
 *
 * Pure: bytes come in by mh_sb_spdy_feed and go out by `send`. Owner: the caller's structure. */
#ifndef MH_SANDBOX_SPDY_H
#define MH_SANDBOX_SPDY_H

#include <zlib.h>

#include "base/buf.h"

#define MH_SB_SPDY_FRAME_MAX ((size_t)1 << 20)
#define MH_SB_SPDY_HEADERS_MAX 32

struct mh_sb_spdy_header {
    const char *name; /* in small letters */
    const char *value;
};

struct mh_sb_spdy {
    /* set by the caller */
    void (*send)(void *arg, const char *data, size_t len);
    /* Answer it with mh_sb_spdy_reply or mh_sb_spdy_reset. */
    void (*on_stream)(void *arg, unsigned id, const struct mh_sb_spdy_header *headers, size_t n);
    void (*on_data)(void *arg, unsigned id, const char *data, size_t len, bool fin);
    void (*on_reset)(void *arg, unsigned id);
    void *arg;
    /* private */
    struct mh_buf in;
    z_stream inflate, deflate;
    bool ready;
    bool failed;
};

/* After the callbacks are set. False: no memory. */
bool mh_sb_spdy_init(struct mh_sb_spdy *s);
void mh_sb_spdy_release(struct mh_sb_spdy *s);
/* False: the client broke the protocol. *stop becomes true inside a callback when s is gone. */
bool mh_sb_spdy_feed(struct mh_sb_spdy *s, const char *data, size_t len, const bool *stop);
bool mh_sb_spdy_reply(struct mh_sb_spdy *s, unsigned id);
bool mh_sb_spdy_data(struct mh_sb_spdy *s, unsigned id, const char *data, size_t len, bool fin);
bool mh_sb_spdy_reset(struct mh_sb_spdy *s, unsigned id, unsigned status);
/* The dictionary that headers are compressed with; for tests. */
bool mh_sb_spdy_dictionary(struct mh_buf *b);

#endif
