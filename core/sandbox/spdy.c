#include "sandbox/spdy.h"

#include <string.h>

#define CONTROL 0x8003u /* of SPDY version 3 */
#define FIN 1u
#define BLOCK_MAX ((size_t)64 << 10)

enum {
    SYN_STREAM = 1,
    SYN_REPLY = 2,
    RST_STREAM = 3,
    SETTINGS = 4,
    PING = 6,
    GOAWAY = 7,
    HEADERS = 8
};

/* The dictionary of the protocol: words with their lengths before them, then a text. */
static const char *const words[] = {
    "options",
    "head",
    "post",
    "put",
    "delete",
    "trace",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "connection",
    "content-base",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "retry-after",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "method",
    "get",
    "status",
    "200 OK",
    "version",
    "HTTP/1.1",
    "url",
    "public",
    "set-cookie",
    "keep-alive",
    "origin",
    NULL,
};
static const char tail[] =
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502"
    "504505203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Re"
    "quest401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Impl"
    "emented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00"
    ":00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,imag"
    "e/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivate"
    "max-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

static bool
add32(struct mh_buf *b, unsigned long v)
{
    const unsigned char raw[4] = { (unsigned char)(v >> 24), (unsigned char)(v >> 16),
                                   (unsigned char)(v >> 8), (unsigned char)v };
    return mh_buf_add(b, raw, sizeof(raw));
}

static unsigned long
get32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (unsigned long)u[0] << 24 | (unsigned long)u[1] << 16 | (unsigned long)u[2] << 8 | u[3];
}

bool
mh_sb_spdy_dictionary(struct mh_buf *b)
{
    for (const char *const *w = words; *w; w++)
        (void)(add32(b, strlen(*w)) && mh_buf_str(b, *w));
    return mh_buf_add(b, tail, sizeof(tail) - 1);
}

bool
mh_sb_spdy_init(struct mh_sb_spdy *s)
{
    struct mh_buf d;
    mh_buf_init(&s->in, MH_SB_SPDY_FRAME_MAX + 8);
    mh_buf_init(&d, 4096);
    s->inflate = s->deflate = (z_stream){ 0 };
    s->failed = false;
    s->ready = mh_sb_spdy_dictionary(&d) && inflateInit(&s->inflate) == Z_OK;
    if (s->ready && deflateInit(&s->deflate, Z_DEFAULT_COMPRESSION) != Z_OK) {
        (void)inflateEnd(&s->inflate);
        s->ready = false;
    }
    if (s->ready)
        (void)deflateSetDictionary(&s->deflate, (const Bytef *)d.data, (uInt)d.len);
    mh_buf_release(&d);
    return s->ready;
}

void
mh_sb_spdy_release(struct mh_sb_spdy *s)
{
    mh_buf_release(&s->in);
    if (s->ready) {
        (void)inflateEnd(&s->inflate);
        (void)deflateEnd(&s->deflate);
    }
    s->ready = false;
}

/* --- out ------------------------------------------------------------------------------------------------ */

static bool
control(struct mh_sb_spdy *s, int type, const char *body, size_t len)
{
    struct mh_buf b;
    mh_buf_init(&b, BLOCK_MAX);
    bool ok = add32(&b, (unsigned long)CONTROL << 16 | (unsigned long)type) && add32(&b, len) &&
              mh_buf_add(&b, body, len);
    if (ok)
        s->send(s->arg, b.data, b.len);
    mh_buf_release(&b);
    return ok;
}

bool
mh_sb_spdy_reply(struct mh_sb_spdy *s, unsigned id)
{
    static unsigned char none[4]; /* no headers */
    struct mh_buf b;
    unsigned char out[64];
    mh_buf_init(&b, 256);
    s->deflate.next_in = none;
    s->deflate.avail_in = sizeof(none);
    s->deflate.next_out = out;
    s->deflate.avail_out = sizeof(out);
    bool ok = add32(&b, id) && deflate(&s->deflate, Z_SYNC_FLUSH) == Z_OK &&
              mh_buf_add(&b, out, sizeof(out) - s->deflate.avail_out) &&
              control(s, SYN_REPLY, b.data, b.len);
    mh_buf_release(&b);
    return ok;
}

bool
mh_sb_spdy_data(struct mh_sb_spdy *s, unsigned id, const char *data, size_t len, bool fin)
{
    struct mh_buf b;
    mh_buf_init(&b, 16);
    bool ok = add32(&b, id) && add32(&b, (fin ? FIN << 24 : 0) | (unsigned long)len);
    if (ok)
        s->send(s->arg, b.data, b.len);
    if (ok && len)
        s->send(s->arg, data, len);
    mh_buf_release(&b);
    return ok;
}

bool
mh_sb_spdy_reset(struct mh_sb_spdy *s, unsigned id, unsigned status)
{
    struct mh_buf b;
    mh_buf_init(&b, 16);
    bool ok = add32(&b, id) && add32(&b, status) && control(s, RST_STREAM, b.data, b.len);
    mh_buf_release(&b);
    return ok;
}

/* --- in ------------------------------------------------------------------------------------------------- */

static bool
unpack(struct mh_sb_spdy *s, const char *block, size_t len, struct mh_buf *out)
{
    unsigned char piece[4096];
    memcpy(&s->inflate.next_in, &(const unsigned char *){ (const unsigned char *)block },
           sizeof(s->inflate.next_in));
    s->inflate.avail_in = (uInt)len;
    for (;;) {
        s->inflate.next_out = piece;
        s->inflate.avail_out = sizeof(piece);
        int rc = inflate(&s->inflate, Z_SYNC_FLUSH);
        if (rc == Z_NEED_DICT) {
            struct mh_buf d;
            mh_buf_init(&d, 4096);
            bool ok = mh_sb_spdy_dictionary(&d) &&
                      inflateSetDictionary(&s->inflate, (const Bytef *)d.data, (uInt)d.len) == Z_OK;
            mh_buf_release(&d);
            if (!ok)
                return false;
            continue;
        }
        if (rc != Z_OK && rc != Z_BUF_ERROR)
            return false;
        if (!mh_buf_add(out, piece, sizeof(piece) - s->inflate.avail_out))
            return false;
        if (s->inflate.avail_out > 0)
            return s->inflate.avail_in == 0;
    }
}

/* A text of the block, ended in place: the length of the next one is read before. */
static bool
text(char **p, const char *end, char **out, size_t *len)
{
    if (end - *p < 4)
        return false;
    unsigned long n = get32(*p);
    if (n > (size_t)(end - *p) - 4)
        return false;
    *out = *p + 4;
    *len = n;
    *p += 4 + n;
    return !memchr(*out, 0, n);
}

static bool
on_syn(struct mh_sb_spdy *s, const char *body, size_t len, unsigned flags, const bool *stop)
{
    struct mh_sb_spdy_header headers[MH_SB_SPDY_HEADERS_MAX];
    struct mh_buf block;
    size_t lens[2 * MH_SB_SPDY_HEADERS_MAX];
    char *parts[2 * MH_SB_SPDY_HEADERS_MAX];
    mh_buf_init(&block, BLOCK_MAX);
    bool ok = len >= 10 && unpack(s, body + 10, len - 10, &block) && block.len >= 4;
    unsigned long n = ok ? get32(block.data) : 0;
    char *p = ok ? block.data + 4 : NULL, *end = ok ? block.data + block.len : NULL;
    ok = ok && n <= MH_SB_SPDY_HEADERS_MAX;
    for (unsigned long i = 0; ok && i < 2 * n; i++)
        ok = text(&p, end, &parts[i], &lens[i]);
    if (ok) {
        unsigned id = (unsigned)(get32(body) & 0x7fffffff);
        for (unsigned long i = 0; i < 2 * n; i++)
            parts[i][lens[i]] =
                '\0'; /* the first byte of the next length, or the buffer's own end */
        for (unsigned long i = 0; i < n; i++)
            headers[i] = (struct mh_sb_spdy_header){ parts[2 * i], parts[2 * i + 1] };
        s->on_stream(s->arg, id, headers, n);
        if ((flags & FIN) && (!stop || !*stop))
            s->on_data(s->arg, id, "", 0, true);
    }
    mh_buf_release(&block);
    return ok;
}

static bool
on_control(struct mh_sb_spdy *s, const char *frame, size_t len, const bool *stop)
{
    unsigned long head = get32(frame);
    unsigned flags = (unsigned char)frame[4];
    const char *body = frame + 8;
    if (head >> 16 != CONTROL)
        return false;
    switch (head & 0xffff) {
    case SYN_STREAM:
        return on_syn(s, body, len, flags, stop);
    case RST_STREAM:
        if (len < 8)
            return false;
        s->on_reset(s->arg, (unsigned)(get32(body) & 0x7fffffff));
        return true;
    case PING:
        return len == 4 && ((get32(body) & 1) == 0 || control(s, PING, body, len));
    case SYN_REPLY:
        return false;
    default: /* settings, goaway, window updates: nothing to do */
        return (head & 0xffff) != HEADERS;
    }
}

bool
mh_sb_spdy_feed(struct mh_sb_spdy *s, const char *data, size_t len, const bool *stop)
{
    if (s->failed || !mh_buf_add(&s->in, data, len)) {
        s->failed = true;
        return false;
    }
    while (s->in.len >= 8) {
        size_t n = get32(s->in.data + 4) & 0xffffff;
        bool ok = n <= MH_SB_SPDY_FRAME_MAX;
        if (ok && s->in.len < 8 + n)
            return true;
        if (ok && (s->in.data[0] & 0x80))
            ok = on_control(s, s->in.data, n, stop);
        else if (ok)
            s->on_data(s->arg, (unsigned)get32(s->in.data), s->in.data + 8, n,
                       ((unsigned char)s->in.data[4] & FIN) != 0);
        if (stop && *stop)
            return true;
        if (!ok) {
            s->failed = true;
            return false;
        }
        mh_buf_drop(&s->in, 8 + n);
    }
    return true;
}
