/* loglines.h - lines of a container's log as the CRI writes them ("TIME stdout F text"), read from a
 * file that may grow. */
#ifndef MH_SANDBOX_LOGLINES_H
#define MH_SANDBOX_LOGLINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct mh_sb_loglines {
    /* set by the caller */
    bool timestamps;
    int64_t since_us; /* older lines are left out; 0: none are */
    int64_t limit;    /* bytes of text; -1: all */
    /* Text as clients see it; stream is 1 or 2. */
    void (*on_text)(void *arg, int stream, const char *text, size_t len);
    void *arg;
    /* private */
    struct mh_buf part; /* of a line that is not whole */
    bool inside;        /* a line in pieces goes on: no time again */
    bool left_out;      /* and it is left out */
};

void mh_sb_loglines_init(struct mh_sb_loglines *l);
void mh_sb_loglines_release(struct mh_sb_loglines *l);
/* Bytes of the file in their order. */
void mh_sb_loglines_feed(struct mh_sb_loglines *l, const char *data, size_t len);
/* Where the last n lines of the file begin. */
int64_t mh_sb_loglines_tail(int fd, int64_t size, int64_t n);

#endif
