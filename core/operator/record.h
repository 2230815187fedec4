/* record.h - the last passes, for explaining them; and every observation as a file, for replay.
 *
 * The ring keeps MH_RECORDS_MAX passes and at most MH_RECORDS_BYTES of their texts, the oldest go
 * first. Passes that repeat the last one of their object (same reason, same result, no action)
 * only raise its count. */
#ifndef MH_OPERATOR_RECORD_H
#define MH_OPERATOR_RECORD_H

#include "base/buf.h"
#include "base/world.h"

#define MH_RECORDS_MAX 128
#define MH_RECORDS_BYTES ((size_t)512 << 10)

struct mh_record {
    char *key; /* "kind\nns\nname" */
    char *reason;
    char *result;  /* "done", "retry: ..." */
    char *actions; /* JSON array of lines */
    char *seen;    /* JSON, may be NULL */
    char *plan;    /* JSON, may be NULL */
    int64_t at_us;
    int64_t observe_us;
    int64_t plan_us;
    int64_t act_us;
    unsigned count;
    bool urgent;
    size_t bytes;
};

struct mh_records {
    struct mh_record ring[MH_RECORDS_MAX];
    unsigned first;
    unsigned len;
    size_t bytes;
    /* recording to files */
    const char *dir; /* NULL: off */
    struct mh_fs fs;
    uint64_t files;
};

/* dir may be NULL. */
void mh_records_init(struct mh_records *r, const char *dir, struct mh_fs fs);
void mh_records_release(struct mh_records *r);
/* Copies the texts of rec; without memory the record is lost. */
void mh_records_add(struct mh_records *r, const struct mh_record *rec);
/* Writes {"kind","namespace","name","seen","plan"} into the folder, if one is set. */
void mh_records_file(struct mh_records *r, const char *key, const char *seen, const char *plan);
/* A JSON array, newest first, of the passes of one object (key NULL: of all); without what was
 * seen unless `whole`. */
bool mh_records_json(const struct mh_records *r, const char *key, bool whole, struct mh_buf *out);

#endif
