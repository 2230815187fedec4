/* sql.h - statements of plugins, brought by the operator: POST /moonherd/v1/sql.
 *
 * {clusterUID, database, as, sql, args, params, password, read}. One statement, in a session of its
 * own, over the socket, search_path and time limits pinned; %I in it becomes the next of args as an
 * identifier, %P the verifier of a password, $n is a parameter; any other % but %% is an error. `as` is
 * "postgres" or the owner of the application's database, which is also the default; either logs in,
 * so that no RESET of a role leads anywhere. Only an open primary takes it.
 * The answer is {columns, rows: [{name: text or null}], count}, or {error: {code, message}}. */
#ifndef MH_INSTANCE_SQL_H
#define MH_INSTANCE_SQL_H

#include "base/json.h"

struct mh_agent;
struct mh_request;

#define MH_SQL_ROWS_MAX 1000

/* The request comes from the operator, and body is what it says. */
void mh_sql_serve(struct mh_agent *g, struct mh_request *req, yyjson_val *body);
/* The database of the application and its owner (NULL: there is none), as the Cluster has them or as
 * the defaults are; the section of spec.bootstrap, which may be NULL. accounts.c */
yyjson_val *mh_accounts_application(yyjson_val *cluster, const char **database, const char **owner);
/* The statement with its identifiers, on the arena. INVALID. */
enum mh_code mh_sql_text(struct mh_arena *a, yyjson_val *body, const char **out,
                         struct mh_err *err);

#endif
