/* initdb_in.h - the job's structure, shared by initdb.c and initdb_sql.c only. */
#ifndef MH_INSTANCE_INITDB_IN_H
#define MH_INSTANCE_INITDB_IN_H

#include "instance/initdb.h"

#define MH_INITDB_SQL_MAX 512

struct mh_initdb_statement {
    const char *database;
    const char *sql;
    const char *what; /* for messages: never the text, it may hold a password */
};

struct mh_initdb {
    struct mh_job job;
    struct mh_initdb_spec spec;
    void (*done)(void *arg, int exit_code, const struct mh_err *err);
    void *arg;
    yyjson_val *cluster;
    const char *password; /* of the application's role, NULL: none */
    const char *half;
    int major;
    struct mh_child server;
    const char *server_argv[32];
    bool server_up;
    bool stopping;
    int exit_code;
    struct mh_timer *timer;
    int64_t deadline_ns;
    struct mh_pg_call query;
    bool querying;
    struct mh_arena query_arena;
    struct mh_initdb_statement list[MH_INITDB_SQL_MAX];
    int nlist;
    int next;
};

/* Fills list from spec, cluster and password. */
enum mh_code mh_initdb_statements(struct mh_initdb *j, struct mh_err *err);
/* A session of the temporary server. */
const char *mh_initdb_conninfo(struct mh_initdb *j, const char *database);

#endif
