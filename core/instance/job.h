/* job.h - what the jobs that fill a new data folder have in common (initdb.h, join.h). */
#ifndef MH_INSTANCE_JOB_H
#define MH_INSTANCE_JOB_H

#include "base/world.h"

#define MH_JOB_ARGS_MAX 64

/* Who and where; texts live as long as the job. Unset ones have the defaults of mh_job_defaults. */
struct mh_job_ident {
    const char *instance; /* "demo-1": POD_NAME without the job's suffix */
    const char *ns;
    const char *cluster;
    const char *group; /* API group of the Cluster, "postgresql.cnpg.io" */
    const char *pgdata;
    const char *wal_dir;  /* --pg-wal, NULL without */
    const char *cert_dir; /* certificates are written here (join) */
    const char *run_dir;  /* for the socket of the temporary server */
    const char *bin_dir;  /* of PostgreSQL's programs; NULL: by PATH */
};

/* From PGDATA, POD_NAME, NAMESPACE, CLUSTER_NAME and the usual places. */
void mh_job_defaults(struct mh_job_ident *id);
/* The path of a program, on the arena; NULL if there is none. */
const char *mh_job_bin(struct mh_arena *a, const struct mh_job_ident *id, const char *name);
/* Splits as a POSIX shell does (quotes, backslash; nothing is expanded). INVALID: a quote is open;
 * LIMIT: more than max words. words gets a NULL at the end. */
enum mh_code mh_job_split(struct mh_arena *a, const char *text, const char **words, int max,
                          int *nwords, struct mh_err *err);
/* Before data is made: a valid data folder is renamed to <dir>_<timestamp>, rubbish is removed
 * (the children are the caller's: this only says what to do). */
enum mh_job_old { MH_OLD_NONE, MH_OLD_VALID, MH_OLD_RUBBISH };
enum mh_job_old mh_job_look(struct mh_world *w, const char *dir);
/* "<dir>_20261121T010203Z" */
const char *mh_job_aside(struct mh_arena *a, struct mh_world *w, const char *dir);
/* include lines for custom.conf and override.conf at the end of postgresql.conf, once. */
enum mh_code mh_job_includes(struct mh_world *w, const char *pgdata, struct mh_err *err);

#endif
