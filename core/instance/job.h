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
/* What lies where data shall be: nothing, a data folder that PostgreSQL would start, or rubbish. */
enum mh_job_old { MH_OLD_NONE, MH_OLD_VALID, MH_OLD_RUBBISH };
enum mh_job_old mh_job_look(struct mh_world *w, const char *dir);
/* "<dir>_20261121T010203Z" */
const char *mh_job_aside(struct mh_arena *a, struct mh_world *w, const char *dir);
/* include lines for custom.conf and override.conf at the end of postgresql.conf, once. */
enum mh_code mh_job_includes(struct mh_world *w, const char *pgdata, struct mh_err *err);

/* --- steps ------------------------------------------------------------------------------------ */

/* One thing under way at a time: a request, a child or a timer. Lives in the job's structure. */
struct mh_job {
    struct mh_world *w;
    const struct mh_job_ident *id;
    struct mh_arena arena; /* as long as the job */
    struct mh_api_call call;
    struct mh_child child;
    const char *argv[MH_JOB_ARGS_MAX + 1];
    int tries;
    const char *path;
    void (*got)(void *arg, yyjson_val *object); /* NULL object: see err */
    void (*ended)(void *arg, int exit_code);
    void *arg;
    struct mh_err err;
    void (*room)(void *arg);
};

void mh_job_init(struct mh_job *j, struct mh_world *w, const struct mh_job_ident *id, void *arg);
/* Cancels what is under way but a child. */
void mh_job_release(struct mh_job *j);
/* GET; waits and repeats while the reason is one that passes (MH_RETRY; also NOTFOUND, for as long
 * as a cache may be behind), at most 300 times. */
void mh_job_get(struct mh_job *j, const char *path, void (*got)(void *arg, yyjson_val *object));
void mh_job_get_cluster(struct mh_job *j, void (*got)(void *arg, yyjson_val *object));
void mh_job_get_secret(struct mh_job *j, const char *name,
                       void (*got)(void *arg, yyjson_val *object));
/* The decoded value of a Secret's key, NUL-terminated on the arena; NULL if absent or with a NUL. */
const char *mh_job_secret_value(struct mh_job *j, yyjson_val *secret, const char *key);
/* on_line of children: the line under the child's own name, with field pipe. */
void mh_job_log_line(struct mh_child *c, int fd, const char *line, size_t len);
/* Runs j->argv (argv[0] is a program's name; on_line NULL: logged). False: j->err says why. */
bool mh_job_exec(struct mh_job *j, void (*on_line)(struct mh_child *, int, const char *, size_t),
                 void (*ended)(void *arg, int exit_code));
/* Puts valid folders at pgdata and wal_dir aside (discard: removes them), removes rubbish there and at
 * the unfinished folder `half`; then room(arg), with j->err set if it failed. */
void mh_job_make_room(struct mh_job *j, const char *half, bool discard, void (*room)(void *arg));

#endif
