/* disk.h - inside of the log on disk.
 *
 * DIR/snapshot and DIR/log hold records; each write of the API is one record, which is on disk
 * (fdatasync, once for all writes of one turn of the loop) before its answer is given and before any
 * watch is told. The snapshot is all objects at one resourceVersion; records of the log that are
 * older do not count. A torn record at the end of the log is dropped; a bad one before good ones is
 * damage, and the start is refused. DIR/lock keeps a second process out. */
#ifndef MH_SANDBOX_DISK_H
#define MH_SANDBOX_DISK_H

#include "sandbox/rest_in.h"

#define MH_SB_DISK_MAGIC 0x6d685231u
#define MH_SB_RECORD_MAX ((uint32_t)16 << 20)

enum mh_sb_record_op {
    MH_SB_RECORD_PUT = 'P',
    MH_SB_RECORD_REMOVE = 'R',
    MH_SB_RECORD_END = 'E' /* of a snapshot: version and, in key, the number of its objects */
};

struct mh_sb_record {
    enum mh_sb_record_op op;
    uint64_t version;
    const char *resource; /* "plural.group", or "plural" */
    const char *key;
    const char *text;
    size_t len;
};

struct mh_sb_disk {
    char *dir;
    int lock;
    int log;
    uint64_t log_size; /* written */
    struct mh_buf pending;
    uint64_t synced; /* resourceVersion that is on disk */
    uint64_t logged; /* the last one that was put into pending */
    bool broken;     /* a write failed: nothing is acknowledged any more */
};

/* Appends one record, with its sum. False: no memory. */
bool mh_sb_record_put(struct mh_buf *b, const struct mh_sb_record *r);
/* Reads the record at text[*at], moves *at behind it. False: none that is whole. Texts point into
 * text. */
bool mh_sb_record_get(const char *text, size_t len, size_t *at, struct mh_sb_record *r);

/* --- disk_read.c --- */
/* "plural.group" */
void mh_sb_record_resource(const struct mh_sb_resource *r, char *out, size_t size);
/* Loads snapshot and log. *keep: how much of the log is good. Fails: IO, INVALID (damaged), NOMEM. */
enum mh_code mh_sb_disk_load(struct mh_sb_api *api, const char *dir, uint64_t *keep,
                             struct mh_err *err);
/* --- disk_snapshot.c --- */
/* Writes a snapshot of everything and empties the log. Fails: IO, NOMEM; the log is as it was then. */
enum mh_code mh_sb_disk_snapshot(struct mh_sb_api *api, struct mh_err *err);

#endif
