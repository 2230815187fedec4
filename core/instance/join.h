/* join.h - the job `instance join --parent-node X`: copies the primary's data folder.
 *
 * Reads the Cluster and the certificate secrets, writes the certificates, puts an old folder aside
 * (one that is no valid data folder is removed), runs pg_basebackup over the streaming_replica
 * client certificate into PGDATA.new, makes it a standby (standby.signal, override.conf) and only
 * then gives it its name: PGDATA is whole or not there. exit codes as
 * initdb.h. pg_basebackup resolves the parent's name itself (it is a child: nothing waits). */
#ifndef MH_INSTANCE_JOIN_H
#define MH_INSTANCE_JOIN_H

#include "instance/job.h"

struct mh_join_spec {
    struct mh_job_ident id;
    const char *parent; /* host: a Service's name or an address */
    bool certs_ready;   /* the files in cert_dir are there already: no secret is read */
    bool discard_old;   /* an old valid folder is removed, not put aside */
};

/* As mh_initdb_args, for the arguments after "join". */
enum mh_code mh_join_args(struct mh_join_spec *spec, int argc, char **argv, struct mh_err *err);
enum mh_code mh_join_start(struct mh_world *w, const struct mh_join_spec *spec,
                           void (*done)(void *arg, int exit_code, const struct mh_err *err),
                           void *arg, struct mh_err *err);

#endif
