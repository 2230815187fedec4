/* wal.c - `wal-archive` and `wal-restore`, which PostgreSQL calls.
 *
 * Without an object store there is nothing to archive to or restore from: archiving succeeds, as the
 * contract wants, and restoring answers "not there", so that PostgreSQL streams. A fence file stops
 * every restore (rule 10), because PostgreSQL 13 cannot reload restore_command. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "instance/agent.h"
#include "instance/run.h"

static bool
is_fenced(void)
{
    char path[MH_PATH];
    const char *pgdata = getenv("PGDATA");
    (void)snprintf(path, sizeof(path), "%s/../moonherd/fence",
                   pgdata && *pgdata ? pgdata : "/var/lib/postgresql/data/pgdata");
    return access(path, F_OK) == 0;
}

int
mh_wal_main(int argc, char **argv)
{
    mh_log_set_fd(2);
    if (argc < 2) {
        mh_error("wal", "usage: moonherd wal-archive PATH | moonherd wal-restore NAME DEST");
        return 2;
    }
    if (strcmp(argv[0], "wal-archive") == 0)
        return 0;
    if (is_fenced())
        mh_debug("wal-restore", "refused: this instance is fenced");
    return 1;
}
