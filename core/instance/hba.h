/* hba.h - the texts of pg_hba.conf and pg_ident.conf. Pure; on the arena, NULL: no memory. */
#ifndef MH_INSTANCE_HBA_H
#define MH_INSTANCE_HBA_H

#include "base/json.h"

struct mh_hba_in {
    yyjson_val *cluster; /* spec.postgresql.pg_hba, .ldap; status.podSelectorRefs */
    int major;
    bool gate_open;      /* closed: only postgres by local peer, and streaming_replica */
    bool no_replication; /* a standby: nobody replicates from it, but by a user's own line */
    const char *replication_from;   /* from nowhere but this address; NULL: from anywhere */
    const char *ldap_bind_password; /* of spec.postgresql.ldap.bindSearchAuth, NULL without */
};

/* A user's line with a line break, and one that names an unknown pod selector, becomes a comment. */
char *mh_hba_text(struct mh_arena *a, const struct mh_hba_in *in);
/* os_user: under whose name this process (and so every local client in the pod) runs; the number
 * as text where it has no name ("26"). */
char *mh_ident_text(struct mh_arena *a, yyjson_val *cluster, const char *os_user);
/* The name of the effective user, or its number. */
char *mh_ident_user(struct mh_arena *a);

#endif
