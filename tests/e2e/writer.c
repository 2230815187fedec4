/*
 * writer: a client that writes numbered rows while somebody breaks the cluster, and knows afterwards which rows were
 * acknowledged, when, and how long nothing was.
 *
 *   writer write --conninfo S --table T --log FILE [--interval-ms 50] [--duration S] [--client NAME]
 *       One session; where it breaks, another one. Each id is tried once: a row whose fate is unknown is never sent
 *       again, so every row in the log has exactly one line.
 *   writer check --conninfo S --table T --log FILE [--interval-ms 50] [--duration S] [--client NAME]
 *       One session opened at the start and never again: what rule 2 needs (no write issued to the old primary after
 *       the new one's first acknowledgement is ever acknowledged).
 *
 * The log has one line per row: ID RESULT ISSUED ENDED SERVER (the address that the server has for itself), times in milliseconds of CLOCK_BOOTTIME, RESULT is ack, unknown
 * (the session broke: the row may or may not exist) or refused (the server answered with an error, the row does not
 * exist). At SIGTERM, SIGINT or the end of the duration a statement under way is given 2 s, then one line of JSON goes to
 * stdout. SIGUSR1 prints the same line and goes on.
 *
 * The table is made by the caller: (client text, id bigint, primary key (client, id)).
 */
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CONNECT_MS = 1000,
    STATEMENT_MS = 2000,
    GRACE_MS = 2000,
    FOR_EVER_MS = 3600000,
    SQL_MAX = 512,
    ERROR_MAX = 200,
    SERVER_MAX = 64
};
enum outcome { UNKNOWN, ACK, REFUSED };
static const char *const outcome_names[] = { "unknown", "ack", "refused" };

struct options {
    const char *conninfo;
    const char *table;
    const char *client;
    const char *log;
    int64_t interval_ms;
    int64_t duration_ms;
    bool check;
};

struct tally {
    int64_t started;
    int64_t first_ack;
    int64_t last_ack;
    int64_t gap_ms;    /* longest time between two acknowledgements */
    int64_t gap_start; /* when it began */
    int64_t acked, unknown, refused;
    int64_t sessions;
    int64_t ended; /* check: when the session broke */
    char error[ERROR_MAX];
    char server[SERVER_MAX]; /* that acknowledged last */
};

static volatile sig_atomic_t stop_asked, report_asked;

static void
on_signal(int sig)
{
    if (sig == SIGUSR1)
        report_asked = 1;
    else
        stop_asked = 1;
}

static int64_t
now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
sleep_until(int64_t at)
{
    int64_t left;
    while (!stop_asked && (left = at - now_ms()) > 0) {
        struct timespec t = { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };
        nanosleep(&t, NULL);
    }
}

/* Waits until the socket is ready, the deadline has passed or (when asked to stop) the grace is over. */
static bool
wait_socket(const PGconn *conn, bool writing, int64_t deadline)
{
    struct pollfd p = { .fd = PQsocket(conn), .events = writing ? POLLOUT : POLLIN };
    for (;;) {
        if (stop_asked && deadline > now_ms() + GRACE_MS)
            deadline = now_ms() + GRACE_MS;
        int64_t left = deadline - now_ms();
        if (left <= 0)
            return false;
        int n = poll(&p, 1, (int)left);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
}

static void
note(struct tally *t, const char *text)
{
    size_t n = strcspn(text, "\r\n");
    snprintf(t->error, sizeof t->error, "%.*s", (int)n, text);
}

static PGconn *
open_session(const struct options *o, struct tally *t)
{
    int64_t deadline = now_ms() + CONNECT_MS;
    PGconn *conn = PQconnectStart(o->conninfo);
    if (conn == NULL)
        return NULL;
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (PQstatus(conn) != CONNECTION_BAD && state != PGRES_POLLING_OK &&
           state != PGRES_POLLING_FAILED) {
        if (!wait_socket(conn, state == PGRES_POLLING_WRITING, deadline)) {
            note(t, "connecting took too long");
            PQfinish(conn);
            return NULL;
        }
        state = PQconnectPoll(conn);
    }
    if (state != PGRES_POLLING_OK) {
        note(t, PQerrorMessage(conn));
        PQfinish(conn);
        return NULL;
    }
    t->sessions++;
    return conn;
}

/* An error is a refusal only where it proves that nothing was written. */
static enum outcome
error_outcome(const PGresult *r)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    if (state == NULL)
        return UNKNOWN;
    bool refused = strcmp(state, "25006") == 0 || strncmp(state, "42", 2) == 0 ||
                   strncmp(state, "23", 2) == 0 || strncmp(state, "53", 2) == 0;
    return refused ? REFUSED : UNKNOWN;
}

/* One row. After UNKNOWN the session is of no more use. */
static enum outcome
write_row(PGconn *conn, const struct options *o, int64_t id, struct tally *t)
{
    char sql[SQL_MAX], number[32];
    snprintf(sql, sizeof sql,
             "INSERT INTO %s (client, id) VALUES ($1, $2) RETURNING host(inet_server_addr())",
             o->table);
    snprintf(number, sizeof number, "%lld", (long long)id);
    const char *values[] = { o->client, number };
    if (PQsendQueryParams(conn, sql, 2, NULL, values, NULL, NULL, 0) != 1) {
        note(t, PQerrorMessage(conn));
        return UNKNOWN;
    }
    /* A check waits as long as it takes: an acknowledgement that comes late is exactly what it looks for. */
    int64_t deadline = now_ms() + (o->check ? FOR_EVER_MS : STATEMENT_MS);
    enum outcome outcome = UNKNOWN;
    for (;;) {
        while (PQisBusy(conn)) {
            if (!wait_socket(conn, false, deadline)) {
                note(t, "the statement took too long");
                return UNKNOWN;
            }
            if (PQconsumeInput(conn) != 1) {
                note(t, PQerrorMessage(conn));
                return UNKNOWN;
            }
        }
        /* "INSERT 0 1" comes before the commit; only the end of all results (ready for query) says that it happened. */
        PGresult *r = PQgetResult(conn);
        if (r == NULL)
            return outcome;
        if (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1) {
            outcome = ACK;
            snprintf(t->server, sizeof t->server, "%s", PQgetvalue(r, 0, 0));
        } else {
            note(t, PQresultErrorMessage(r));
            outcome = error_outcome(r);
        }
        PQclear(r);
    }
}

static void
count_ack(struct tally *t, int64_t at)
{
    int64_t from = t->last_ack != 0 ? t->last_ack : t->started;
    if (t->acked++ == 0)
        t->first_ack = at;
    else if (at - from > t->gap_ms) {
        t->gap_ms = at - from;
        t->gap_start = from;
    }
    t->last_ack = at;
}

static void
report(const struct options *o, const struct tally *t)
{
    char error[ERROR_MAX * 2];
    size_t n = 0;
    for (const char *p = t->error; *p != '\0' && n + 2 < sizeof error; p++) {
        if (*p == '"' || *p == '\\')
            error[n++] = '\\';
        error[n++] = (unsigned char)*p < ' ' ? ' ' : *p;
    }
    error[n] = '\0';
    int64_t open_gap = t->last_ack != 0 ? now_ms() - t->last_ack : 0;
    printf("{\"client\":\"%s\",\"mode\":\"%s\",\"acked\":%lld,\"unknown\":%lld,\"refused\":%lld,"
           "\"sessions\":%lld,"
           "\"gap_ms\":%lld,\"gap_start\":%lld,\"first_ack\":%lld,\"last_ack\":%lld,\"since_last_"
           "ack_ms\":%lld,"
           "\"ended\":%lld,\"log\":\"%s\",\"last_error\":\"%s\"}\n",
           o->client, o->check ? "check" : "write", (long long)t->acked, (long long)t->unknown,
           (long long)t->refused, (long long)t->sessions, (long long)t->gap_ms,
           (long long)t->gap_start, (long long)t->first_ack, (long long)t->last_ack,
           (long long)open_gap, (long long)t->ended, o->log, error);
    fflush(stdout);
}

/* One try at row `id`; `conn` is opened where needed and closed where broken. */
static void
one_row(const struct options *o, PGconn **conn, int64_t *id, FILE *log, struct tally *t)
{
    if (*conn == NULL && (*conn = open_session(o, t)) == NULL)
        return;
    int64_t issued = now_ms();
    enum outcome outcome = write_row(*conn, o, ++*id, t);
    int64_t ended = now_ms();
    fprintf(log, "%lld %s %lld %lld %s\n", (long long)*id, outcome_names[outcome],
            (long long)issued, (long long)ended,
            outcome == ACK && t->server[0] != '\0' ? t->server : "-");
    fflush(log);
    if (outcome == ACK)
        count_ack(t, ended);
    else if (outcome == REFUSED)
        t->refused++;
    else
        t->unknown++;
    /* A standby refuses every write: a writer that goes through a Service must connect again to find the primary. */
    if (outcome == UNKNOWN || (outcome == REFUSED && !o->check) ||
        PQstatus(*conn) != CONNECTION_OK) {
        PQfinish(*conn);
        *conn = NULL;
    }
}

static void
run(const struct options *o, FILE *log, struct tally *t)
{
    int64_t end = o->duration_ms > 0 ? now_ms() + o->duration_ms : INT64_MAX;
    int64_t id = 0, next = now_ms();
    PGconn *conn = NULL;
    t->started = next;
    while (!stop_asked && now_ms() < end) {
        one_row(o, &conn, &id, log, t);
        if (o->check && conn == NULL) { /* its only session is gone */
            t->ended = now_ms();
            break;
        }
        if (report_asked) {
            report_asked = 0;
            report(o, t);
        }
        next += o->interval_ms;
        if (next < now_ms())
            next = now_ms();
        sleep_until(next);
    }
    PQfinish(conn);
}

static void
usage(void)
{
    fprintf(stderr, "usage: writer write|check --conninfo S --table T --log FILE [--client NAME] "
                    "[--interval-ms 50] [--duration S]\n");
    exit(2);
}

static struct options
parse(int argc, char **argv)
{
    struct options o = { .interval_ms = 50, .client = "w" };
    if (argc < 2 || (strcmp(argv[1], "write") != 0 && strcmp(argv[1], "check") != 0))
        usage();
    o.check = strcmp(argv[1], "check") == 0;
    for (int i = 2; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (strcmp(name, "--conninfo") == 0)
            o.conninfo = value;
        else if (strcmp(name, "--table") == 0)
            o.table = value;
        else if (strcmp(name, "--client") == 0)
            o.client = value;
        else if (strcmp(name, "--log") == 0)
            o.log = value;
        else if (strcmp(name, "--interval-ms") == 0)
            o.interval_ms = strtoll(value, NULL, 10);
        else if (strcmp(name, "--duration") == 0)
            o.duration_ms = strtoll(value, NULL, 10) * 1000;
        else
            usage();
    }
    if (o.conninfo == NULL || o.table == NULL || o.log == NULL || o.interval_ms < 1 ||
        argc % 2 != 0)
        usage();
    return o;
}

int
main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    struct sigaction stop = { .sa_handler = on_signal };
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGUSR1, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    FILE *log = fopen(o.log, "w");
    if (log == NULL) {
        fprintf(stderr, "writer: cannot write %s: %s\n", o.log, strerror(errno));
        return 1;
    }
    struct tally t = { 0 };
    run(&o, log, &t);
    fclose(log);
    report(&o, &t);
    return 0;
}
