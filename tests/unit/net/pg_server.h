/* pg_server.h - a real PostgreSQL for tests, in a temporary folder, on a Unix socket. */
#ifndef TESTS_NET_PG_SERVER_H
#define TESTS_NET_PG_SERVER_H

#include <stdbool.h>

struct pg_server {
    char dir[64]; /* also the folder of the socket */
    bool up;
};

/* False: no server binaries here (or it does not start); says so on stdout. */
bool pg_server_start(struct pg_server *s);
void pg_server_stop(struct pg_server *s);
/* Stops it, and starts it again. */
void pg_server_restart(struct pg_server *s);

#endif
