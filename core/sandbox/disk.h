/* disk.h - inside of the log on disk.
 *
 * DIR/snapshot and DIR/log hold records; each write of the API is one record, which is on disk
 * (fdatasync, once for all writes of one turn of the loop) before any answer that tells of it is
 * given and before any watch is told. The snapshot is all objects at one resourceVersion; records of
 * the log that are older do not count. DIR/lock keeps a second process out.
 *
 * The log has up to a MiB of zeros behind its last record, room for the next ones. These, and a
 * record cut short at the end, as a killed process leaves it, are dropped; so is the end from a
 * sector on that is still zeros, as a power cut leaves it, when no later group of writes (the first
 * record of one says so) is behind it: nobody was told of these.
 * Anything else that is not whole is damage, also in the last record (a record's head has a sum of
 * its own, so a changed length is no cut), and so is a resourceVersion that does not follow the one
 * before: the start is refused with the file, the byte and what can be done. When the log cannot be
 * written, nothing is acknowledged any more and on_broken is called, once. */
#ifndef MH_SANDBOX_DISK_H
#define MH_SANDBOX_DISK_H

#include "sandbox/rest_in.h"

#define MH_SB_DISK_MAGIC 0x6d685232u
#define MH_SB_RECORD_MAX ((uint32_t)16 << 20)

enum mh_sb_record_op {
    MH_SB_RECORD_PUT = 'P',
    MH_SB_RECORD_REMOVE = 'R',
    MH_SB_RECORD_END = 'E' /* of a snapshot: version and, in key, the number of its objects */
};

struct mh_sb_record {
    enum mh_sb_record_op op;
    bool first; /* of what was written with one fdatasync */
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
    uint64_t log_size; /* records; their end */
    uint64_t room;     /* up to here the log has zeros behind them */
    struct mh_buf pending;
    uint64_t snapshot_at; /* when the log is longer */
    uint64_t synced;      /* resourceVersion that is on disk */
    uint64_t logged;      /* the last one that was put into pending */
    bool broken;          /* a write failed: nothing is acknowledged any more */
    bool told;            /* on_broken was called */
    char why[MH_ERR_MSG_MAX];
    void (*on_broken)(void *arg, const char *why);
    void *arg;
};

enum mh_sb_record_state {
    MH_SB_RECORD_WHOLE,
    MH_SB_RECORD_CUT, /* the text ends inside of it, or is zeros from here on */
    MH_SB_RECORD_BAD
};

/* Appends one record, with its sum. False: no memory. */
bool mh_sb_record_put(struct mh_buf *b, const struct mh_sb_record *r);
/* Reads the record at text[*at]; a whole one moves *at behind it. Texts point into text. */
enum mh_sb_record_state mh_sb_record_get(const char *text, size_t len, size_t *at,
                                         struct mh_sb_record *r);
/* Writes all of it; false: errno says why. */
bool mh_sb_disk_write(int fd, const char *text, size_t len);
/* The log is no good any more: what was not acknowledged yet will not be. */
void mh_sb_disk_fail(struct mh_sb_disk *d, const char *why);

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
