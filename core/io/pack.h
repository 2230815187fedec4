/* pack.h - texts in little memory: raw deflate (RFC 1951), against a text that is much like them.
 *
 * For small texts that are kept for long, such as objects of a kind and recorded inputs. One thread:
 * the compressor's state (some 50 KB, made when it is first needed) is the process's. */
#ifndef MH_IO_PACK_H
#define MH_IO_PACK_H

#include <stdbool.h>
#include <stddef.h>

/* A text that both sides have; of a longer one only the last 16 KB serve. len 0: none. */
struct mh_pack_model {
    const void *text;
    size_t len;
};

/* Packs text into out. The length there, or 0: more than most bytes, or no memory. */
size_t mh_pack(void *out, size_t most, const char *text, size_t len, struct mh_pack_model model);
/* Gives back the text of len bytes, without a NUL. False: not what mh_pack made of a text of that
 * length with this model, or no memory. */
bool mh_unpack(char *out, size_t len, const void *packed, size_t packed_len,
               struct mh_pack_model model);

#endif
