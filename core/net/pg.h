/* pg.h - PostgreSQL sessions on the loop (libpq, asynchronous): the real one of world.h's mh_pg.
 *
 * One connection for each conninfo text; calls on it run one after the other in order. Connections
 * open with the first call and stay open until disconnect, an error, or 10 idle minutes.
 *
 * What is always so, whatever the conninfo says: connect_timeout (5 s unless given), no file of the
 * home folder is read (passfile, sslcert, sslkey, sslrootcert, sslcrl point to nothing unless
 * given), no GSS, PG* variables of the environment do not choose host, user or database when
 * the conninfo names them, client_encoding UTF8, search_path = pg_catalog (unless `options`
 * in the conninfo sets another). Names are never resolved: host must be a socket
 * folder or an address, else the call fails INVALID. Notices are dropped.
 *
 * call.timeout_ms counts from start and includes waiting in the queue and connecting. After it the
 * call fails TIMEOUT (UNREACHABLE while there is no connection yet). Was it running, the connection
 * is closed (the server may still finish the statement) and calls behind it run on a new one.
 * Results over the arena's limit fail LIMIT. Errors: UNREACHABLE (with sqlstate 57P03: it answers,
 * but is starting or stopping), PG with sqlstate and the server's message (detail and context are
 * left out: they can hold row values), TIMEOUT, INVALID, NOMEM. */
#ifndef MH_NET_PG_H
#define MH_NET_PG_H

#include "base/world.h"

struct event_base;

/* self is NULL when there is no memory. */
struct mh_pg mh_pg_real(struct event_base *base);
/* Closes all sessions; queued calls end with UNREACHABLE before it returns. */
void mh_pg_real_free(struct mh_pg *pg);

#endif
