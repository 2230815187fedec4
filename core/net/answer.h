/* answer.h - reads one HTTP/1.1 answer, piece by piece, as it comes from a peer nobody trusts.
 *
 * Strict: lines end with CRLF, a header's name is a token, no folded lines, no control characters;
 * a body is chunked or has one Content-Length or lasts until the end, never two of these. Answers
 * 1xx are skipped, a few of them. Only lines of the head are kept, for as long as it lasts.
 * Owner: the caller's struct; release frees. After a false return it is of no more use. */
#ifndef MH_NET_ANSWER_H
#define MH_NET_ANSWER_H

#include <stdint.h>

#include "base/buf.h"

#define MH_ANSWER_LINE_MAX ((size_t)4 << 10)
#define MH_ANSWER_HEAD_MAX ((size_t)16 << 10) /* 1xx included */
#define MH_ANSWER_EXTRA_MAX 1024u             /* chunk extensions and trailer lines, each */

struct mh_answer {
    int status;      /* 0 until the head is complete */
    const char *why; /* what was wrong, after a false return */
    /* private */
    int state;
    int code; /* of the status line */
    struct mh_buf line;
    size_t head; /* bytes of the head so far */
    unsigned extra;
    unsigned digits;
    bool cr;
    bool chunked;
    bool sized;
    uint64_t left; /* of the body or the chunk */
};

void mh_answer_init(struct mh_answer *a);
void mh_answer_release(struct mh_answer *a);
/* Takes bytes up to the end of the head, or of a piece of the body, or of all: *used says how many.
 * body_len > 0: data + *used - body_len is a piece of the body. False: it is no valid answer. */
bool mh_answer_take(struct mh_answer *a, const char *data, size_t len, size_t *used,
                    size_t *body_len);
/* The answer is complete; what would follow is not of it. */
bool mh_answer_complete(const struct mh_answer *a);
/* The connection ended here: was the answer complete? */
bool mh_answer_end(const struct mh_answer *a);

#endif
