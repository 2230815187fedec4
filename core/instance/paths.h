/* paths.h - what lies in the data folder, and where PostgreSQL's programs are. */
#ifndef MH_INSTANCE_PATHS_H
#define MH_INSTANCE_PATHS_H

#include "instance/agent.h"

/* The full path of a program of PostgreSQL, by PATH; the bare name where it is not found. */
const char *mh_paths_bin(struct mh_agent *g, const char *name);
/* Sets has_data and data_primary from what PGDATA holds. */
void mh_paths_look(struct mh_agent *g);
/* The newest timeline of which PGDATA holds a WAL segment; 0 without. */
uint32_t mh_paths_newest_timeline(struct mh_agent *g);
/* Major version in PG_VERSION; 0 without. */
int mh_paths_major(struct mh_agent *g);
/* Starts pg_controldata and notes where the shutdown checkpoint ends (pm.shutdown_lsn); a state
 * other than "shut down" clears pm.clean. */
void mh_control_read(struct mh_agent *g);

#endif
