#include "sandbox/ws.h"

#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "net/crypto.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define HEAD_MAX 14

struct mh_sb_ws {
    struct mh_pipe *pipe;
    struct mh_sb_ws_reader reader;
    struct mh_sb_ws_fns fns;
    bool gone; /* freed as soon as nobody is inside */
    int depth;
};

/* --- frames --------------------------------------------------------------------------------------------- */

void
mh_sb_ws_reader_init(struct mh_sb_ws_reader *r,
                     void (*on_message)(void *arg, int opcode, const char *data, size_t len),
                     void *arg)
{
    *r = (struct mh_sb_ws_reader){ .on_message = on_message, .arg = arg };
    mh_buf_init(&r->in, MH_SB_WS_MESSAGE_MAX + HEAD_MAX + (64u << 10));
    mh_buf_init(&r->message, MH_SB_WS_MESSAGE_MAX);
}

void
mh_sb_ws_reader_release(struct mh_sb_ws_reader *r)
{
    mh_buf_release(&r->in);
    mh_buf_release(&r->message);
}

struct frame {
    bool fin;
    int opcode;
    const unsigned char *mask;
    size_t head;
    size_t len;
};

/* 1: a head; 0: not whole yet; -1: broken. */
static int
parse_head(const struct mh_buf *b, struct frame *f)
{
    const unsigned char *p = (const unsigned char *)b->data;
    if (b->len < 2)
        return 0;
    f->fin = (p[0] & 0x80) != 0;
    f->opcode = p[0] & 15;
    size_t n = p[1] & 127, more = n == 126 ? 2 : n == 127 ? 8 : 0;
    bool control = f->opcode >= 8;
    if ((p[0] & 0x70) || !(p[1] & 0x80) || (control && (!f->fin || n > 125)))
        return -1;
    if (f->opcode != MH_SB_WS_MORE && f->opcode != MH_SB_WS_TEXT && f->opcode != MH_SB_WS_BINARY &&
        (f->opcode < MH_SB_WS_CLOSE || f->opcode > MH_SB_WS_PONG))
        return -1;
    if (b->len < 2 + more)
        return 0;
    uint64_t len = more ? 0 : n;
    for (size_t i = 0; i < more; i++)
        len = len << 8 | p[2 + i];
    if (len > MH_SB_WS_MESSAGE_MAX)
        return -1;
    f->head = 2 + more + 4;
    f->len = (size_t)len;
    f->mask = p + 2 + more;
    return b->len < f->head + f->len ? 0 : 1;
}

/* One whole frame at the beginning of r->in. */
static bool
take(struct mh_sb_ws_reader *r, const struct frame *f, const bool *stop)
{
    unsigned char mask[4];
    char *data = r->in.data + f->head;
    memcpy(mask, f->mask, sizeof(mask));
    for (size_t i = 0; i < f->len; i++)
        data[i] = (char)((unsigned char)data[i] ^ mask[i & 3]);
    if (f->opcode >= MH_SB_WS_CLOSE) {
        r->on_message(r->arg, f->opcode, data, f->len);
        return true;
    }
    if ((f->opcode == MH_SB_WS_MORE) != (r->opcode != 0))
        return false;
    if (f->fin && !r->opcode) {
        r->on_message(r->arg, f->opcode, data, f->len);
        return true;
    }
    r->opcode = r->opcode ? r->opcode : f->opcode;
    if (!mh_buf_add(&r->message, data, f->len))
        return false;
    if (f->fin) {
        int opcode = r->opcode;
        r->opcode = 0;
        r->on_message(r->arg, opcode, mh_buf_text(&r->message), r->message.len);
        if (!stop || !*stop)
            mh_buf_reset(&r->message);
    }
    return true;
}

bool
mh_sb_ws_feed(struct mh_sb_ws_reader *r, const char *data, size_t len, const bool *stop)
{
    struct frame f;
    int whole = 0;
    if (r->failed || !mh_buf_add(&r->in, data, len)) {
        r->failed = true;
        return false;
    }
    while ((whole = parse_head(&r->in, &f)) > 0) {
        bool ok = take(r, &f, stop);
        if (stop && *stop)
            return true;
        if (!ok) {
            r->failed = true;
            return false;
        }
        mh_buf_drop(&r->in, f.head + f.len);
    }
    r->failed = whole < 0;
    return !r->failed;
}

static size_t
head_of(unsigned char head[10], int opcode, size_t len)
{
    size_t n = 2;
    head[0] = (unsigned char)(0x80 | opcode);
    if (len < 126) {
        head[1] = (unsigned char)len;
    } else if (len <= 0xffff) {
        head[1] = 126;
        head[n++] = (unsigned char)(len >> 8);
        head[n++] = (unsigned char)len;
    } else {
        head[1] = 127;
        for (int i = 7; i >= 0; i--)
            head[n++] = (unsigned char)((uint64_t)len >> (8 * i));
    }
    return n;
}

bool
mh_sb_ws_frame(struct mh_buf *b, int opcode, const void *data, size_t len)
{
    unsigned char head[10];
    size_t n = head_of(head, opcode, len);
    return mh_buf_add(b, head, n) && (len == 0 || mh_buf_add(b, data, len));
}

/* --- the handshake ---------------------------------------------------------------------------------------- */

char *
mh_sb_ws_accept_key(struct mh_arena *a, const char *key)
{
    unsigned char sha[20];
    size_t n = 0;
    if (!mh_base64_decode(a, key, strlen(key), &n) || n != 16)
        return NULL;
    char *text = mh_arena_printf(a, "%s" GUID, key);
    if (!text)
        return NULL;
    mh_sha1(sha, text, strlen(text));
    return mh_base64_encode(a, sha, sizeof(sha));
}

/* Is `name` in a comma-separated header? */
static bool
lists(const char *header, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = header; p && *p;) {
        p += strspn(p, " \t,");
        size_t len = strcspn(p, " \t,");
        if (len == n && strncasecmp(p, name, n) == 0)
            return true;
        p += len;
    }
    return false;
}

bool
mh_sb_ws_wanted(struct mh_request *req)
{
    return lists(mh_request_header(req, "Upgrade"), "websocket") &&
           lists(mh_request_header(req, "Connection"), "upgrade");
}

/* --- on a connection ---------------------------------------------------------------------------------------- */

static void
free_ws(struct mh_sb_ws *ws)
{
    mh_sb_ws_reader_release(&ws->reader);
    mh_free(ws);
}

static void
leave(struct mh_sb_ws *ws)
{
    if (--ws->depth == 0 && ws->gone)
        free_ws(ws);
}

static void
lost(struct mh_sb_ws *ws)
{
    struct mh_sb_ws_fns fns = ws->fns;
    if (ws->gone)
        return;
    ws->gone = true;
    fns.on_close(fns.arg);
}

static void
on_message(void *arg, int opcode, const char *data, size_t len)
{
    struct mh_sb_ws *ws = arg;
    struct mh_buf b;
    if (opcode == MH_SB_WS_PONG || ws->gone)
        return;
    if (opcode == MH_SB_WS_TEXT || opcode == MH_SB_WS_BINARY) {
        ws->fns.on_message(ws->fns.arg, data, len);
        return;
    }
    mh_buf_init(&b, 256);
    bool close = opcode == MH_SB_WS_CLOSE;
    if (mh_sb_ws_frame(&b, close ? MH_SB_WS_CLOSE : MH_SB_WS_PONG, data,
                       close && len > 2 ? 2 : len))
        (void)mh_pipe_send(ws->pipe, b.data, b.len);
    mh_buf_release(&b);
    if (close) {
        mh_pipe_close(ws->pipe);
        lost(ws);
    }
}

static void
on_data(void *arg, const char *data, size_t len)
{
    struct mh_sb_ws *ws = arg;
    ws->depth++;
    if (!mh_sb_ws_feed(&ws->reader, data, len, &ws->gone) && !ws->gone) {
        mh_pipe_close(ws->pipe);
        lost(ws);
    }
    leave(ws);
}

static void
on_drained(void *arg)
{
    struct mh_sb_ws *ws = arg;
    ws->depth++;
    if (ws->fns.on_drained)
        ws->fns.on_drained(ws->fns.arg);
    leave(ws);
}

static void
on_pipe_close(void *arg)
{
    struct mh_sb_ws *ws = arg;
    ws->depth++;
    lost(ws);
    leave(ws);
}

struct mh_sb_ws *
mh_sb_ws_accept(struct mh_request *req, const char *const *protocols, int *chosen,
                const struct mh_sb_ws_fns *fns)
{
    const char *key = mh_request_header(req, "Sec-WebSocket-Key");
    const char *version = mh_request_header(req, "Sec-WebSocket-Version");
    const char *offered = mh_request_header(req, "Sec-WebSocket-Protocol");
    char *accept = key ? mh_sb_ws_accept_key(req->arena, key) : NULL;
    int i = 0;
    while (protocols[i] && !lists(offered, protocols[i]))
        i++;
    if (!accept || !mh_str_eq(version, "13") || !protocols[i]) {
        mh_reply_text(req, 400, accept ? "no protocol that is spoken here\n" : "no WebSocket\n");
        return NULL;
    }
    struct mh_sb_ws *ws = mh_calloc(1, sizeof(*ws));
    if (!ws || !mh_reply_header(req, "Sec-WebSocket-Accept", accept) ||
        !mh_reply_header(req, "Sec-WebSocket-Protocol", protocols[i])) {
        mh_free(ws);
        mh_reply_text(req, 503, "no memory\n");
        return NULL;
    }
    struct mh_pipe_fns pipe = { on_data, on_drained, on_pipe_close, ws };
    ws->fns = *fns;
    mh_sb_ws_reader_init(&ws->reader, on_message, ws);
    ws->pipe = mh_upgrade(req, "websocket", &pipe);
    if (!ws->pipe) {
        free_ws(ws);
        return NULL;
    }
    *chosen = i;
    return ws;
}

bool
mh_sb_ws_send(struct mh_sb_ws *ws, const void *head, size_t head_len, const void *data, size_t len)
{
    unsigned char frame[10];
    size_t n = head_of(frame, MH_SB_WS_BINARY, head_len + len);
    return mh_pipe_send(ws->pipe, frame, n) &&
           (head_len == 0 || mh_pipe_send(ws->pipe, head, head_len)) &&
           (len == 0 || mh_pipe_send(ws->pipe, data, len));
}

size_t
mh_sb_ws_queued(const struct mh_sb_ws *ws)
{
    return mh_pipe_queued(ws->pipe);
}

void
mh_sb_ws_pause(struct mh_sb_ws *ws, bool paused)
{
    mh_pipe_pause(ws->pipe, paused);
}

void
mh_sb_ws_close(struct mh_sb_ws *ws, int code)
{
    struct mh_buf b;
    unsigned char text[2] = { (unsigned char)(code >> 8), (unsigned char)code };
    if (!ws || ws->gone)
        return;
    mh_buf_init(&b, 64);
    if (mh_sb_ws_frame(&b, MH_SB_WS_CLOSE, text, sizeof(text)))
        (void)mh_pipe_send(ws->pipe, b.data, b.len);
    mh_buf_release(&b);
    mh_pipe_close(ws->pipe);
    ws->gone = true;
    if (ws->depth == 0)
        free_ws(ws);
}
