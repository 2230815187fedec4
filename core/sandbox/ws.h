/* ws.h - WebSocket (RFC 6455), the server's side.
 *
 * The reader is pure: bytes in, messages out. Fragments are put together up to a cap; frames of a
 * client must be masked. mh_sb_ws is a reader and writer on a connection that left HTTP; it answers
 * pings and closes. Owner: whoever accepted it, until close or on_close. */
#ifndef MH_SANDBOX_WS_H
#define MH_SANDBOX_WS_H

#include "base/buf.h"
#include "net/http_server.h"

#define MH_SB_WS_MESSAGE_MAX ((size_t)4 << 20)

enum mh_sb_ws_opcode {
    MH_SB_WS_MORE = 0,
    MH_SB_WS_TEXT = 1,
    MH_SB_WS_BINARY = 2,
    MH_SB_WS_CLOSE = 8,
    MH_SB_WS_PING = 9,
    MH_SB_WS_PONG = 10,
};

struct mh_sb_ws_reader {
    struct mh_buf in;      /* bytes of a frame that is not whole */
    struct mh_buf message; /* fragments so far */
    int opcode;            /* of the first fragment; 0: none */
    bool failed;           /* the client broke the protocol: nothing is read any more */
    void (*on_message)(void *arg, int opcode, const char *data, size_t len);
    void *arg;
};

void mh_sb_ws_reader_init(struct mh_sb_ws_reader *r,
                          void (*on_message)(void *arg, int opcode, const char *data, size_t len),
                          void *arg);
void mh_sb_ws_reader_release(struct mh_sb_ws_reader *r);
/* False: the protocol is broken, or a message is over the cap. *stop (may be NULL) becomes true
 * inside on_message when the reader is gone. */
bool mh_sb_ws_feed(struct mh_sb_ws_reader *r, const char *data, size_t len, const bool *stop);
/* Appends a frame as a server sends it. */
bool mh_sb_ws_frame(struct mh_buf *b, int opcode, const void *data, size_t len);
/* What Sec-WebSocket-Accept answers to a key. NULL: no key of 16 bytes, or no memory. */
char *mh_sb_ws_accept_key(struct mh_arena *a, const char *key);

struct mh_sb_ws;
struct mh_sb_ws_fns {
    /* Text and binary messages. */
    void (*on_message)(void *arg, const char *data, size_t len);
    void (*on_drained)(void *arg); /* may be NULL */
    /* The client is gone or broke the protocol; the ws is invalid from then on. */
    void (*on_close)(void *arg);
    void *arg;
};

/* Takes the connection over with the first of `protocols` (NULL-ended) that the client offers;
 * *chosen is its index. NULL: it was answered 400 or 503; req is gone in any case. */
struct mh_sb_ws *mh_sb_ws_accept(struct mh_request *req, const char *const *protocols, int *chosen,
                                 const struct mh_sb_ws_fns *fns);
/* Does the request ask for a WebSocket? */
bool mh_sb_ws_wanted(struct mh_request *req);
/* One binary message of two parts. False: the client is too slow or gone (on_close follows). */
bool mh_sb_ws_send(struct mh_sb_ws *ws, const void *head, size_t head_len, const void *data,
                   size_t len);
size_t mh_sb_ws_queued(const struct mh_sb_ws *ws);
void mh_sb_ws_pause(struct mh_sb_ws *ws, bool paused);
/* Sends a close and ends; on_close does not come. NULL is allowed. */
void mh_sb_ws_close(struct mh_sb_ws *ws, int code);

#endif
