#include "pg_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BIN "/usr/lib/postgresql/15/bin"

static bool
as_server(const char *fmt, const char *dir)
{
    char tail[512];
    char command[1024];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(tail, sizeof(tail), fmt, dir, dir, dir);
#pragma GCC diagnostic pop
    (void)snprintf(command, sizeof(command), "cd /; %s %s",
                   geteuid() == 0 ? "setpriv --reuid=postgres --regid=postgres --clear-groups" : "",
                   tail);
    return system(command) == 0;
}

bool
pg_server_start(struct pg_server *s)
{
    char command[200];
    *s = (struct pg_server){ 0 };
    (void)snprintf(s->dir, sizeof(s->dir), "/tmp/mh-pg-XXXXXX");
    if (access(BIN "/postgres", X_OK) != 0 || !mkdtemp(s->dir)) {
        printf("# SKIPPED: no PostgreSQL 15 server in " BIN "\n");
        return false;
    }
    (void)snprintf(command, sizeof(command),
                   "chmod 700 %s; id postgres >/dev/null && chown postgres %s", s->dir, s->dir);
    if (geteuid() == 0 && system(command) != 0)
        return false;
    s->up = as_server(BIN "/initdb -D %s/data -A trust -U postgres -N >/dev/null", s->dir) &&
            as_server(BIN "/pg_ctl -D %s/data -w -l %s/log "
                          "-o '-F -k %s -c listen_addresses=' start >/dev/null",
                      s->dir);
    if (!s->up)
        printf("# SKIPPED: PostgreSQL does not start\n");
    return s->up;
}

void
pg_server_restart(struct pg_server *s)
{
    (void)as_server(BIN "/pg_ctl -D %s/data -w -m fast restart >/dev/null", s->dir);
}

void
pg_server_stop(struct pg_server *s)
{
    char command[200];
    if (s->up)
        (void)as_server(BIN "/pg_ctl -D %s/data -w -m immediate stop >/dev/null", s->dir);
    (void)snprintf(command, sizeof(command), "rm -rf %s", s->dir);
    if (strncmp(s->dir, "/tmp/mh-pg-", 11) == 0 && system(command) != 0)
        printf("# cannot remove %s\n", s->dir);
}
