#include "net/answer.h"

#include <string.h>
#include <strings.h>

#include "base/str.h"

enum state {
    STATUS_LINE,
    HEADERS,
    SIZE,       /* of a chunk */
    SIZE_EXTRA, /* what follows it on its line */
    CHUNK,
    CHUNK_END,
    TRAILER,
    SIZED,
    UNTIL_END,
    COMPLETE,
    BAD
};

#define SIZE_DIGITS 8

static bool
bad(struct mh_answer *a, const char *why)
{
    a->state = BAD;
    a->why = why;
    return false;
}

void
mh_answer_init(struct mh_answer *a)
{
    *a = (struct mh_answer){ .state = STATUS_LINE };
    mh_buf_init(&a->line, MH_ANSWER_LINE_MAX);
}

void
mh_answer_release(struct mh_answer *a)
{
    mh_buf_release(&a->line);
}

/* --- lines of the head ------------------------------------------------------------------------- */

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.1 200 Text" */
static bool
status_line(struct mh_answer *a, const char *s, size_t len)
{
    if (len < 12 || memcmp(s, "HTTP/1.", 7) != 0 || (s[7] != '0' && s[7] != '1') || s[8] != ' ' ||
        s[9] < '1' || s[9] > '5' || !is_digit(s[10]) || !is_digit(s[11]) ||
        (len > 12 && s[12] != ' '))
        return bad(a, "no status line");
    a->code = (s[9] - '0') * 100 + (s[10] - '0') * 10 + (s[11] - '0');
    a->state = HEADERS;
    return true;
}

static bool
is_token(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool letter = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z');
        if (!letter && !is_digit(s[i]) && (!s[i] || !strchr("!#$%&'*+-.^_`|~", s[i])))
            return false;
    }
    return len > 0;
}

static bool
named(const char *s, size_t len, const char *name)
{
    return len == strlen(name) && strncasecmp(s, name, len) == 0;
}

static bool
sized_body(struct mh_answer *a, const char *value)
{
    int64_t n;
    if (a->sized || a->chunked || !is_digit(value[0]) || !mh_str_int(value, 0, INT64_MAX, &n))
        return bad(a, "no valid Content-Length");
    a->sized = true;
    a->left = (uint64_t)n;
    return true;
}

static bool
header(struct mh_answer *a, char *s, size_t len)
{
    char *colon = memchr(s, ':', len);
    size_t name = colon ? (size_t)(colon - s) : 0;
    if (!is_token(s, name))
        return bad(a, "no valid header");
    char *value = colon + 1, *end = s + len;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = '\0';
    if (named(s, name, "Content-Length"))
        return sized_body(a, value);
    if (!named(s, name, "Transfer-Encoding"))
        return true;
    if (a->sized || a->chunked || strcasecmp(value, "chunked") != 0)
        return bad(a, "no valid Transfer-Encoding");
    a->chunked = true;
    return true;
}

static bool
head_over(struct mh_answer *a)
{
    if (a->code == 101)
        return bad(a, "another protocol");
    if (a->code < 200) {
        a->state = STATUS_LINE;
        return !(a->chunked || a->sized) || bad(a, "a body of an interim answer");
    }
    mh_buf_release(&a->line);
    a->status = a->code;
    if (a->status == 204 || a->status == 304 || (a->sized && a->left == 0))
        a->state = COMPLETE;
    else
        a->state = a->chunked ? SIZE : a->sized ? SIZED : UNTIL_END;
    return true;
}

/* a->line is complete. */
static bool
take_line(struct mh_answer *a)
{
    size_t len = a->line.len;
    if (a->state == HEADERS && len == 0)
        return head_over(a);
    if (a->state == STATUS_LINE)
        return status_line(a, mh_buf_text(&a->line), len);
    return header(a, a->line.data, len);
}

static bool
head_char(struct mh_answer *a, char c)
{
    if (++a->head > MH_ANSWER_HEAD_MAX)
        return bad(a, "its head is too long");
    if (a->cr) {
        a->cr = false;
        if (c != '\n')
            return bad(a, "a line that does not end");
        bool ok = take_line(a);
        mh_buf_reset(&a->line);
        return ok;
    }
    if (c == '\r') {
        a->cr = true;
        return true;
    }
    if (((unsigned char)c < ' ' && c != '\t') || c == 0x7f)
        return bad(a, "a control character in its head");
    return mh_buf_char(&a->line, c) || bad(a, "a line of its head is too long");
}

/* --- chunks ------------------------------------------------------------------------------------ */

/* CRLF, one after the other; *over: that was all of it. */
static bool
line_end(struct mh_answer *a, char c, bool *over)
{
    *over = a->cr && c == '\n';
    if (c != (a->cr ? '\n' : '\r'))
        return bad(a, "a chunk that does not end");
    a->cr = !a->cr;
    return true;
}

static bool
size_over(struct mh_answer *a)
{
    a->digits = 0;
    a->extra = 0;
    a->state = a->left ? CHUNK : TRAILER;
    return true;
}

static bool
size_char(struct mh_answer *a, char c)
{
    static const char hex[] = "0123456789abcdef";
    const char *at = c ? strchr(hex, c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c) : NULL;
    if (at) {
        if (++a->digits > SIZE_DIGITS)
            return bad(a, "a chunk is too large");
        a->left = (a->digits > 1 ? a->left : 0) * 16 + (uint64_t)(at - hex);
        return true;
    }
    if (!a->digits || (c != '\r' && c != ';' && c != ' ' && c != '\t'))
        return bad(a, "no valid size of a chunk");
    a->state = SIZE_EXTRA;
    a->cr = c == '\r';
    return true;
}

static bool
extra_char(struct mh_answer *a, char c)
{
    bool over;
    if (a->cr || c == '\r')
        return line_end(a, c, &over) && (!over || size_over(a));
    if (c == '\n' || !c || ++a->extra > MH_ANSWER_EXTRA_MAX)
        return bad(a, "no valid extension of a chunk");
    return true;
}

/* Lines until an empty one; digits counts the characters of this one. */
static bool
trailer_char(struct mh_answer *a, char c)
{
    bool over;
    if (a->cr || c == '\r') {
        if (!line_end(a, c, &over))
            return false;
        if (over && !a->digits)
            a->state = COMPLETE;
        if (over)
            a->digits = 0;
        return true;
    }
    a->digits = 1;
    if (c == '\n' || !c || ++a->extra > MH_ANSWER_EXTRA_MAX)
        return bad(a, "no valid trailer");
    return true;
}

static bool
one_char(struct mh_answer *a, char c)
{
    bool over;
    switch ((enum state)a->state) {
    case STATUS_LINE:
    case HEADERS:
        return head_char(a, c);
    case SIZE:
        return size_char(a, c);
    case SIZE_EXTRA:
        return extra_char(a, c);
    case CHUNK_END:
        if (!line_end(a, c, &over))
            return false;
        if (over)
            a->state = SIZE;
        return true;
    case TRAILER:
        return trailer_char(a, c);
    case CHUNK:
    case SIZED:
    case UNTIL_END:
    case COMPLETE:
    case BAD:
        break;
    }
    return false;
}

/* --- interface --------------------------------------------------------------------------------- */

static bool
in_body(const struct mh_answer *a)
{
    return a->state == CHUNK || a->state == SIZED || a->state == UNTIL_END;
}

bool
mh_answer_take(struct mh_answer *a, const char *data, size_t len, size_t *used, size_t *body_len)
{
    *used = *body_len = 0;
    while (*used < len && a->state != COMPLETE) {
        if (in_body(a)) {
            size_t n = len - *used;
            if (a->state != UNTIL_END) {
                n = a->left < n ? (size_t)a->left : n;
                a->left -= n;
                if (!a->left)
                    a->state = a->state == CHUNK ? CHUNK_END : COMPLETE;
            }
            *used += n;
            *body_len = n;
            return true;
        }
        bool head = a->state <= HEADERS;
        if (!one_char(a, data[(*used)++]))
            return false;
        if (head && a->state > HEADERS)
            return true;
    }
    return a->state != BAD;
}

bool
mh_answer_complete(const struct mh_answer *a)
{
    return a->state == COMPLETE;
}

bool
mh_answer_end(const struct mh_answer *a)
{
    return a->state == COMPLETE || a->state == UNTIL_END;
}
