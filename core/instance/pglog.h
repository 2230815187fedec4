/* pglog.h - PostgreSQL's log as JSON lines.
 *
 * Three named pipes in one folder: "postgres.csv" (the collector's CSV records), "postgres" (its
 * text) and "postgres.json" (lines that are JSON already, written by wal-archive and wal-restore).
 * Each is opened for reading and writing, so that it never ends; what comes is written by log.h.
 * Hostile input: a record, a field and a line have caps; what is too long is cut and says so. */
#ifndef MH_INSTANCE_PGLOG_H
#define MH_INSTANCE_PGLOG_H

#include <stdbool.h>
#include <stddef.h>

#include "moonherd/err.h"

#include "base/buf.h"

struct event_base;
struct mh_pglog;

/* Makes folder and pipes (0600) where missing and reads them on the loop. NULL with err. */
struct mh_pglog *mh_pglog_new(struct event_base *base, const char *dir, struct mh_err *err);
/* Reads what is there now (before the end of the process, say). */
void mh_pglog_drain(struct mh_pglog *p);
/* The server was started anew: what a dead one left half written is dropped. */
void mh_pglog_restarted(struct mh_pglog *p);
void mh_pglog_free(struct mh_pglog *p);

/* --- the parser of CSV records, for itself ----------------------------------------------------- */

#define MH_CSV_FIELDS_MAX 30
#define MH_CSV_RECORD_MAX ((size_t)256 << 10)

struct mh_csv {
    struct mh_buf record; /* fields, each NUL-terminated */
    size_t starts[MH_CSV_FIELDS_MAX];
    int nfields;
    bool quoted;  /* inside quotes */
    bool quote;   /* a quote inside quotes: its end, or half of a doubled one */
    bool begun;   /* the field has a byte already */
    size_t eaten; /* bytes of this record, kept or not */
    bool cut;     /* something did not fit */
    void (*on_record)(void *arg, const char *const *fields, int nfields, bool cut);
    void *arg;
};
void mh_csv_init(struct mh_csv *c,
                 void (*on_record)(void *arg, const char *const *fields, int nfields, bool cut),
                 void *arg);
void mh_csv_release(struct mh_csv *c);
/* Any bytes, in any pieces. */
void mh_csv_feed(struct mh_csv *c, const char *p, size_t n);
/* Forgets a half record. */
void mh_csv_reset(struct mh_csv *c);
/* Writes the JSON object `record` of one log record; the logger's name: "postgres" or "pgaudit" (then
 * with `audit` instead of `message`). NULL: it is no log record (wrong number of fields). */
const char *mh_pglog_record(struct mh_buf *out, const char *const *fields, int nfields);

#endif
