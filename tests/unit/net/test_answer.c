/* HTTP answers, cut at every byte; what is no valid answer is refused. */
#include "harness/test.h"
#include "net/answer.h"

static struct {
    struct mh_answer a;
    char body[4096];
    size_t len;
    bool good;
} q;

static void
begin(void)
{
    mh_answer_init(&q.a);
    q.len = 0;
    q.good = true;
}

static void
feed(const char *data, size_t len)
{
    while (q.good && len > 0 && !mh_answer_complete(&q.a)) {
        size_t used, body;
        q.good = mh_answer_take(&q.a, data, len, &used, &body);
        CHECK(used <= len);
        CHECK(body <= used);
        CHECK(used > 0);
        if (body && q.len + body < sizeof(q.body)) {
            memcpy(q.body + q.len, data + used - body, body);
            q.len += body;
        }
        data += used;
        len -= used;
    }
    q.body[q.len] = '\0';
}

static bool
refused(const char *text, size_t len)
{
    begin();
    feed(text, len);
    bool bad = !q.good;
    CHECK(!bad || q.a.why);
    CHECK(!bad || !mh_answer_end(&q.a));
    mh_answer_release(&q.a);
    return bad;
}

#define OK_CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

TEST(a_chunked_answer_may_be_cut_at_every_byte)
{
    static const char text[] =
        "HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: x\r\n"
        "transfer-encoding:  Chunked \r\n\r\n5\r\nhello\r\nA;x=\"1\"\r\n, world "
        "\r\n\r\n0001\r\n!\r\n"
        "0\r\nX-Trailer: 1\r\n\r\n";
    size_t n = sizeof(text) - 1;
    for (size_t i = 0; i <= n; i++) {
        begin();
        feed(text, i);
        CHECK(i == n || !mh_answer_end(&q.a));
        feed(text + i, n - i);
        CHECK(q.good);
        CHECK_INT(q.a.status, 200);
        CHECK(mh_answer_complete(&q.a));
        CHECK_STR(q.body, "hello, world \r\n!");
        mh_answer_release(&q.a);
    }
    begin();
    for (size_t i = 0; i < n; i++)
        feed(text + i, 1);
    CHECK_STR(q.body, "hello, world \r\n!");
    mh_answer_release(&q.a);
}

TEST(a_body_has_its_length_or_lasts_until_the_end)
{
    begin();
    feed("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", 44);
    CHECK_STR(q.body, "abc");
    CHECK(mh_answer_complete(&q.a));
    mh_answer_release(&q.a);
    begin();
    feed("HTTP/1.0 404 \r\n\r\nabc", 20);
    CHECK_STR(q.body, "abc");
    CHECK_INT(q.a.status, 404);
    CHECK(!mh_answer_complete(&q.a));
    CHECK(mh_answer_end(&q.a));
    mh_answer_release(&q.a);
    begin();
    feed("HTTP/1.1 204\r\n\r\n", 16);
    CHECK(mh_answer_complete(&q.a));
    mh_answer_release(&q.a);
}

TEST(what_is_no_answer_is_refused)
{
    static const char *const bad[] = {
        "HTTP/2 200 OK\r\n",
        "HTTP/1.1 099 OK\r\n",
        "HTTP/1.1 600 OK\r\n",
        "HTTP/1.1 2000\r\n",
        "GET / HTTP/1.1\r\n",
        "HTTP/1.1 200 OK\n\n",
        "HTTP/1.1 200 OK\r\n\n",
        "HTTP/1.1 200 OK\r\rX",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 200 O\x01K\r\n",
        "HTTP/1.1 200 OK\r\n: a\r\n",
        "HTTP/1.1 200 OK\r\nA b: c\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n",
        "HTTP/1.1 100 C\r\nContent-Length: 1\r\n\r\n",
        OK_CHUNKED "\r\n",
        OK_CHUNKED "x\r\n",
        OK_CHUNKED "-1\r\n",
        OK_CHUNKED "0x1\r\n",
        OK_CHUNKED "1\n",
        OK_CHUNKED "1;\n",
        OK_CHUNKED "111111111\r\n",
        OK_CHUNKED "1\r\nab",
        OK_CHUNKED "1\r\na\n",
        OK_CHUNKED "1\r\na\r\r",
        OK_CHUNKED "0\r\nA: b\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        bool no = refused(bad[i], strlen(bad[i]));
        CHECK(no);
        if (!no)
            printf("# taken: %s\n", bad[i]);
    }
    static const char nul[] = "HTTP/1.1 200 OK\r\nA: b\0c\r\n", nul_size[] = OK_CHUNKED "1\0\r\n";
    CHECK(refused(nul, sizeof(nul) - 1));
    CHECK(refused(nul_size, sizeof(nul_size) - 1));
}

/* Feeds `piece` again and again after `start`; how many bytes were taken before a refusal. */
static size_t
endless(const char *start, const char *piece)
{
    size_t n = 0;
    begin();
    feed(start, strlen(start));
    while (q.good && n < (1u << 20)) {
        feed(piece, strlen(piece));
        n += strlen(piece);
    }
    mh_answer_release(&q.a);
    return n;
}

TEST(no_head_is_endless)
{
    CHECK(endless("HTTP/1.1 200 OK\r\nA: ", "aaaaaaaa") <= MH_ANSWER_LINE_MAX + 8);
    CHECK(endless("HTTP/1.1 200 OK\r\n", "A: b\r\n") <= MH_ANSWER_HEAD_MAX + 8);
    CHECK(endless("", "HTTP/1.1 102 Wait\r\n\r\n") <= MH_ANSWER_HEAD_MAX + 24);
    CHECK(endless(OK_CHUNKED "1;", "aaaaaaaa") <= MH_ANSWER_EXTRA_MAX + 8);
    CHECK(endless(OK_CHUNKED "0\r\n", "A: b\r\n") <= 2 * MH_ANSWER_EXTRA_MAX);
    CHECK(endless(OK_CHUNKED "0", "0000") <= 16);
}
