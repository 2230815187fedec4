#include "net/pg.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "net/pg_in.h"

enum state { CLOSED, CONNECTING, IDLE, BUSY };

struct job {
    struct mh_pg_call *call;
    struct session *session;
    struct pool *pool;
    struct event *timer;
    struct job *next;
};

struct session {
    struct pool *pool;
    struct session *next;
    char *conninfo;
    PGconn *conn;
    enum state state;
    struct event *io;
    struct event *timer; /* connecting: gives up; idle: closes */
    struct job *first;   /* the running one when BUSY */
    int connect_s;
};

struct pool {
    struct event_base *base;
    struct session *sessions;
    struct job *finished;
    struct event *kick; /* runs `done` of the finished */
};

static void advance(struct session *s);
static void on_io(evutil_socket_t fd, short what, void *arg);

static void
no_notice(void *arg, const PGresult *res)
{
    (void)arg, (void)res;
}

/* --- ends of calls ---------------------------------------------------------------------------- */

static void
finish(struct job *j)
{
    struct job **at = &j->session->first;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): of a job that waits, session is set */
    while (*at && *at != j)
        at = &(*at)->next;
    if (*at)
        *at = j->next;
    if (j->timer)
        event_free(j->timer);
    j->timer = NULL;
    j->session = NULL;
    j->next = NULL;
    for (at = &j->pool->finished; *at; at = &(*at)->next)
        ;
    *at = j;
    event_active(j->pool->kick, 0, 0);
}

static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct pool *p = arg;
    struct job *last = p->finished;
    while (last && last->next)
        last = last->next;
    while (p->finished) {
        struct job *j = p->finished;
        struct mh_pg_call *call = j->call;
        bool end = j == last; /* what these calls finish comes with the next kick */
        p->finished = j->next;
        mh_free(j);
        call->impl = NULL;
        call->done(call);
        if (end)
            break;
    }
    if (p->finished)
        event_active(p->kick, 0, 0);
}

static void
close_conn(struct session *s)
{
    if (s->io)
        event_free(s->io);
    s->io = NULL;
    (void)evtimer_del(s->timer);
    PQfinish(s->conn);
    s->conn = NULL;
    s->state = CLOSED;
}

/* PostgreSQL's text on one line, without the severity. */
static void
one_line(char *out, size_t size, const char *text)
{
    size_t k = 0;
    for (; text && *text && k + 1 < size; text++)
        out[k++] = *text == '\n' || *text == '\t' ? ' ' : *text;
    while (k > 0 && out[k - 1] == ' ')
        k--;
    out[k] = '\0';
}

static void
fail_all(struct session *s, enum mh_code code, const char *what, const char *why)
{
    char text[300];
    one_line(text, sizeof(text), why);
    bool answers = strstr(text, "the database system is") != NULL;
    while (s->first) {
        (void)mh_fail(&s->first->call->err, code, "%s: %s", what, text);
        if (answers)
            mh_str_copy(s->first->call->sqlstate, sizeof(s->first->call->sqlstate), "57P03");
        finish(s->first);
    }
}

static void
session_free(struct session *s)
{
    struct session **at = &s->pool->sessions;
    while (*at && *at != s)
        at = &(*at)->next;
    if (*at)
        *at = s->next;
    if (s->conn || s->io)
        close_conn(s);
    if (s->timer)
        event_free(s->timer);
    mh_free(s->conninfo);
    mh_free(s);
}

/* The connection is of no use any more; whoever waits fails. */
static void
lose(struct session *s, const char *what)
{
    char why[300];
    one_line(why, sizeof(why), s->conn ? PQerrorMessage(s->conn) : "no memory");
    close_conn(s);
    fail_all(s, MH_E_UNREACHABLE, what, why);
    session_free(s);
}

/* --- waiting ---------------------------------------------------------------------------------- */

static bool
wait_for(struct session *s, short what)
{
    if (s->io)
        event_free(s->io);
    s->io = event_new(s->pool->base, PQsocket(s->conn), (short)(what | EV_PERSIST), on_io, s);
    return s->io && event_add(s->io, NULL) == 0;
}

static void
set_timer(struct session *s, int seconds)
{
    struct timeval t = { seconds, 0 };
    (void)evtimer_add(s->timer, &t);
}

static void
on_session_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct session *s = arg;
    if (s->state == CONNECTING) {
        close_conn(s);
        fail_all(s, MH_E_UNREACHABLE, "connect to PostgreSQL", "no answer in time");
        session_free(s);
    } else if (s->state == IDLE) {
        session_free(s);
    }
}

/* --- connecting ------------------------------------------------------------------------------- */

static void
connect_start(struct session *s)
{
    struct mh_pg_params params;
    struct mh_err err = { 0 };
    enum mh_code code = mh_pg_params_make(s->conninfo, &params, &err);
    if (!code) {
        s->conn = PQconnectStartParams(params.keywords, params.values, 0);
        s->connect_s = params.connect_s;
    }
    mh_pg_params_release(&params);
    if (code) {
        fail_all(s, code, "connect to PostgreSQL", err.msg);
        session_free(s);
        return;
    }
    s->state = CONNECTING;
    if (!s->conn || PQstatus(s->conn) == CONNECTION_BAD || !wait_for(s, EV_WRITE)) {
        lose(s, "connect to PostgreSQL");
        return;
    }
    (void)PQsetNoticeReceiver(s->conn, no_notice, NULL);
    set_timer(s, s->connect_s);
}

static void
connect_step(struct session *s)
{
    PostgresPollingStatusType t = PQconnectPoll(s->conn);
    if (t == PGRES_POLLING_OK) {
        if (PQsetnonblocking(s->conn, 1) != 0 || !wait_for(s, EV_READ)) {
            lose(s, "connect to PostgreSQL");
            return;
        }
        (void)evtimer_del(s->timer);
        s->state = IDLE;
        advance(s);
        return;
    }
    bool ok = (t == PGRES_POLLING_READING && wait_for(s, EV_READ)) ||
              (t == PGRES_POLLING_WRITING && wait_for(s, EV_WRITE));
    if (!ok)
        lose(s, "connect to PostgreSQL");
}

/* --- statements ------------------------------------------------------------------------------- */

static bool
flush(struct session *s)
{
    int r = PQflush(s->conn);
    return r >= 0 && wait_for(s, r > 0 ? EV_READ | EV_WRITE : EV_READ);
}

static void
send_first(struct session *s)
{
    struct mh_pg_call *c = s->first->call;
    int ok = c->nparams > 0 || c->one /* of plugins */
                 ? PQsendQueryParams(s->conn, c->sql, c->nparams, NULL, c->params, NULL, NULL, 0)
                 : PQsendQuery(s->conn, c->sql);
    s->state = BUSY;
    (void)evtimer_del(s->timer);
    if (!ok || !flush(s))
        lose(s, "statement");
}

/* False: the connection cannot be used further (COPY). */
static bool
take(struct mh_pg_call *c, PGresult *r)
{
    ExecStatusType t = PQresultStatus(r);
    if (c->err.code)
        return true; /* the first error counts */
    switch (t) {
    case PGRES_TUPLES_OK:
        (void)mh_pg_copy(c, r);
        return true;
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        c->rows = c->cols = 0;
        c->values = c->names = NULL;
        return true;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        (void)mh_fail(&c->err, MH_E_INVALID, "statement: COPY is not possible here");
        return false;
    default:
        break;
    }
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    char line[300];
    one_line(line, sizeof(line), text ? text : PQresultErrorMessage(r));
    mh_str_copy(c->sqlstate, sizeof(c->sqlstate), state);
    if (state)
        (void)mh_fail(&c->err, MH_E_PG, "%s (%s)", line, c->sqlstate);
    else
        (void)mh_fail(&c->err, MH_E_UNREACHABLE, "statement: %s", line);
    return true;
}

static void
read_results(struct session *s)
{
    struct mh_pg_call *c = s->first->call;
    while (!PQisBusy(s->conn)) {
        PGresult *r = PQgetResult(s->conn);
        if (!r) {
            s->state = IDLE;
            finish(s->first);
            advance(s);
            return;
        }
        bool ok = take(c, r);
        PQclear(r);
        if (!ok || PQstatus(s->conn) == CONNECTION_BAD) {
            if (!c->err.code) /* done or not: the end of it was not seen */
                (void)mh_fail(&c->err, MH_E_UNREACHABLE, "statement: connection lost");
            finish(s->first);
            if (s->first) {
                close_conn(s);
                advance(s);
            } else {
                session_free(s);
            }
            return;
        }
    }
}

static void
on_io(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    struct session *s = arg;
    if (s->state == CONNECTING) {
        connect_step(s);
        return;
    }
    if ((what & EV_WRITE) && s->state == BUSY && !flush(s)) {
        lose(s, "statement");
        return;
    }
    if (!(what & EV_READ))
        return;
    int ok = PQconsumeInput(s->conn);
    PGnotify *n;
    while ((n = PQnotifies(s->conn)))
        PQfreemem(n);
    if (s->state == BUSY && (ok || !PQisBusy(s->conn)))
        read_results(s); /* an error message may stand before the end */
    else if (!ok || PQstatus(s->conn) == CONNECTION_BAD)
        lose(s, "connection");
}

static void
advance(struct session *s)
{
    if (s->state == CLOSED && s->first)
        connect_start(s);
    else if (s->state == CLOSED)
        session_free(s);
    else if (s->state == IDLE && PQstatus(s->conn) == CONNECTION_BAD) {
        close_conn(s);
        advance(s);
    } else if (s->state == IDLE && s->first)
        send_first(s);
    else if (s->state == IDLE)
        set_timer(s, MH_PG_IDLE_S);
}

/* --- world.h ---------------------------------------------------------------------------------- */

/* The call's connection runs its statement still: only closing ends that. */
static void
drop(struct job *j, bool with_done)
{
    struct session *s = j->session;
    bool running = s->state == BUSY && s->first == j;
    struct pool *p = j->pool;
    finish(j);
    if (!with_done) {
        struct job **at = &p->finished;
        while (*at != j)
            at = &(*at)->next;
        *at = j->next;
        mh_free(j);
    }
    if (running || (s->state == CONNECTING && !s->first)) {
        close_conn(s);
        advance(s);
    }
}

static void
on_call_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct job *j = arg;
    int ms = j->call->timeout_ms ? j->call->timeout_ms : MH_PG_TIMEOUT_MS;
    if (j->session->state == CONNECTING)
        (void)mh_fail(&j->call->err, MH_E_UNREACHABLE, "statement: no connection in %d ms", ms);
    else
        (void)mh_fail(&j->call->err, MH_E_TIMEOUT, "statement: no result in %d ms", ms);
    drop(j, true);
}

static struct session *
session_of(struct pool *p, const char *conninfo)
{
    struct session *s;
    int n = 0;
    for (s = p->sessions; s; s = s->next, n++) {
        if (strcmp(s->conninfo, conninfo) == 0)
            return s;
    }
    s = n < MH_PG_SESSIONS_MAX ? mh_calloc(1, sizeof(*s)) : NULL;
    if (!s)
        return NULL;
    s->pool = p;
    s->conninfo = mh_strdup(conninfo);
    s->timer = evtimer_new(p->base, on_session_timer, s);
    if (!s->conninfo || !s->timer) {
        session_free(s);
        return NULL;
    }
    s->next = p->sessions;
    p->sessions = s;
    return s;
}

static void
on_no_memory(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct mh_pg_call *c = arg;
    (void)mh_fail(&c->err, MH_E_NOMEM, "statement: no memory, or too many sessions");
    c->done(c);
}

static void
pg_start(void *self, struct mh_pg_call *c)
{
    struct pool *p = self;
    int ms = c->timeout_ms ? c->timeout_ms : MH_PG_TIMEOUT_MS;
    struct timeval t = { ms / 1000, ms % 1000 * 1000 };
    c->err = (struct mh_err){ 0 };
    c->sqlstate[0] = '\0';
    c->rows = c->cols = 0;
    c->values = c->names = NULL;
    c->impl = NULL;
    struct job *j = mh_calloc(1, sizeof(*j));
    if (j)
        j->timer = evtimer_new(p->base, on_call_timer, j);
    struct session *s = j && j->timer ? session_of(p, c->conninfo) : NULL;
    if (!s) {
        struct timeval now = { 0, 0 };
        if (j && j->timer)
            event_free(j->timer);
        mh_free(j);
        (void)event_base_once(p->base, -1, EV_TIMEOUT, on_no_memory, c, &now);
        return;
    }
    j->call = c;
    j->pool = p;
    j->session = s;
    c->impl = j;
    struct job **at = &s->first;
    while (*at)
        at = &(*at)->next;
    *at = j;
    (void)evtimer_add(j->timer, &t);
    if (s->first == j && (s->state == CLOSED || s->state == IDLE))
        advance(s);
}

static void
pg_cancel(void *self, struct mh_pg_call *c)
{
    struct pool *p = self;
    struct job *j = c->impl;
    if (!j)
        return;
    c->impl = NULL;
    if (j->session) {
        drop(j, false);
        return;
    }
    for (struct job **at = &p->finished; *at; at = &(*at)->next) {
        if (*at == j) {
            *at = j->next;
            mh_free(j);
            return;
        }
    }
}

static void
pg_disconnect(void *self, const char *conninfo)
{
    struct pool *p = self;
    struct session *next;
    for (struct session *s = p->sessions; s; s = next) {
        next = s->next;
        if (conninfo && strcmp(s->conninfo, conninfo) != 0)
            continue;
        if (s->conn)
            close_conn(s);
        fail_all(s, MH_E_UNREACHABLE, "statement", "the session was closed");
        session_free(s);
    }
}

struct mh_pg
mh_pg_real(struct event_base *base)
{
    struct pool *p = mh_calloc(1, sizeof(*p));
    if (p) {
        p->base = base;
        p->kick = event_new(base, -1, 0, on_kick, p);
    }
    if (p && !p->kick) {
        mh_free(p);
        p = NULL;
    }
    (void)unsetenv("PGSERVICE"); /* would read files of the home folder */
    return (struct mh_pg){ pg_start, pg_cancel, pg_disconnect, p };
}

void
mh_pg_real_free(struct mh_pg *pg)
{
    struct pool *p = pg->self;
    if (!p)
        return;
    pg_disconnect(p, NULL);
    while (p->finished)
        on_kick(-1, 0, p);
    event_free(p->kick);
    mh_free(p);
    pg->self = NULL;
}
