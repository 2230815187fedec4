/* buf.h - a growing byte buffer with a cap.
 *
 * Owner: whoever calls init; release frees. data is NUL-terminated whenever it is not NULL. After a
 * failed append the buffer is unchanged and `failed` stays set until reset, so that a chain of
 * appends needs one check at its end. */
#ifndef MH_BASE_BUF_H
#define MH_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "moonherd/attr.h"

struct mh_buf {
    char *data;
    size_t len;
    size_t size;
    size_t cap;  /* len never passes this */
    bool failed; /* an append found no room or no memory */
};

void mh_buf_init(struct mh_buf *b, size_t cap);
void mh_buf_release(struct mh_buf *b);
/* Empties it, keeps the memory. */
void mh_buf_reset(struct mh_buf *b);
bool mh_buf_add(struct mh_buf *b, const void *p, size_t n);
bool mh_buf_str(struct mh_buf *b, const char *s);
bool mh_buf_char(struct mh_buf *b, char c);
bool mh_buf_printf(struct mh_buf *b, const char *fmt, ...) MH_PRINTF(2, 3);
/* Removes n bytes from the front. */
void mh_buf_drop(struct mh_buf *b, size_t n);
/* The text, "" when empty; valid until the next change. */
const char *mh_buf_text(const struct mh_buf *b);

#endif
