/* initdb.h - the job `instance init`: makes the data folder of a new cluster's first instance.
 *
 * Reads the Cluster and the app secret, puts an old folder aside, runs initdb, starts PostgreSQL on
 * a socket in a private folder only (no TCP), makes roles and the application's database, runs the
 * post-init statements, stops it fast. All in PGDATA.new, which gets its name at the end: PGDATA is
 * whole or not there. Steps are children and statements through the world; a failure stops the
 * server and leaves PGDATA.new, which the next try removes.
 *
 * One structure for the whole job, freed by itself after done. exit codes: 0; 1 (try again); 2 (the
 * specification cannot work: bad flags or SQL). */
#ifndef MH_INSTANCE_INITDB_H
#define MH_INSTANCE_INITDB_H

#include "instance/job.h"

struct mh_initdb_spec {
    struct mh_job_ident id;
    const char *initdb_flags;  /* words as a shell would quote them; NULL: none */
    const char *post_init_sql; /* the same, a word a statement; NULL: none */
    const char *post_init_application_sql;
    const char *post_init_template_sql;
    const char *app_db; /* NULL: no application database */
    const char *app_user;
};

/* Reads the arguments after "init" into spec (texts are kept by reference); -- flags of other
 * parts (--log-level=...) are passed over. INVALID for an unknown one or a missing value. */
enum mh_code mh_initdb_args(struct mh_initdb_spec *spec, int argc, char **argv, struct mh_err *err);
/* done(arg, exit_code, err) comes once, from the loop. The spec's texts outlive the job; w too. */
enum mh_code mh_initdb_start(struct mh_world *w, const struct mh_initdb_spec *spec,
                             void (*done)(void *arg, int exit_code, const struct mh_err *err),
                             void *arg, struct mh_err *err);

#endif
