#include <arpa/inet.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "harness/test.h"
#include "net/pg.h"
#include "net/pg_text.h"
#include "pg_server.h"

static struct pg_server server;
static struct event_base *base;
static struct mh_pg pg;
static struct mh_arena arena;
static char info[200];
static int done_calls;
static bool in_start;

static void
on_done(struct mh_pg_call *c)
{
    CHECK(!in_start);
    done_calls++;
    int *n = c->arg;
    if (n)
        *n = done_calls;
}

static struct mh_pg_call
call_of(const char *sql)
{
    return (struct mh_pg_call){
        .conninfo = info, .sql = sql, .arena = &arena, .done = on_done, .timeout_ms = 3000
    };
}

static void
start(struct mh_pg_call *c)
{
    in_start = true;
    pg.start(pg.self, c);
    in_start = false;
}

static void
run(int calls)
{
    while (done_calls < calls && event_base_loop(base, EVLOOP_ONCE) == 0)
        ;
}

static void
one(struct mh_pg_call *c)
{
    int want = done_calls + 1;
    start(c);
    run(want);
}

static void
begin(void)
{
    base = event_base_new();
    pg = mh_pg_real(base);
    mh_arena_init(&arena, 1 << 20);
    done_calls = 0;
    (void)snprintf(info, sizeof(info), "host=%s user=postgres dbname=postgres", server.dir);
}

static void
end(void)
{
    mh_pg_real_free(&pg);
    event_base_free(base);
    mh_arena_release(&arena);
}

static void
stop_server(void)
{
    pg_server_stop(&server);
}

/* Test order is that of this file: the first starts the server. */
static bool
have(void)
{
    static int state;
    if (!state) {
        state = pg_server_start(&server) ? 1 : -1;
        (void)atexit(stop_server);
    }
    if (state < 0)
        printf("# SKIPPED: needs PostgreSQL\n");
    return state > 0;
}

TEST(parameters_nulls_names_and_values)
{
    if (!have())
        return;
    begin();
    const char *const params[] = { "it's", NULL, "7" };
    struct mh_pg_call c = call_of("SELECT $1::text AS a, $2::text AS b, $3::int + 1 AS c");
    c.params = params;
    c.nparams = 3;
    one(&c);
    CHECK_INT(c.err.code, MH_OK);
    CHECK_INT(c.rows, 1);
    CHECK_INT(c.cols, 3);
    CHECK_STR(c.names[2], "c");
    CHECK_STR(c.values[0], "it's");
    CHECK(!c.values[1]);
    CHECK_STR(c.values[2], "8");
    end();
}

TEST(calls_of_one_session_run_in_order)
{
    if (!have())
        return;
    begin();
    struct mh_pg_call c[5];
    int order[5] = { 0 };
    for (int i = 0; i < 5; i++) {
        c[i] = call_of(i == 0   ? "CREATE TEMP TABLE t AS SELECT 1 AS x"
                       : i == 4 ? "SELECT x FROM t"
                                : "UPDATE t SET x = x + 1");
        c[i].arg = &order[i];
        start(&c[i]);
    }
    run(5);
    for (int i = 0; i < 5; i++) {
        CHECK_INT(c[i].err.code, MH_OK);
        CHECK_INT(order[i], i + 1);
    }
    CHECK_STR(c[4].values[0], "4");
    end();
}

TEST(several_statements_without_parameters)
{
    if (!have())
        return;
    begin();
    struct mh_pg_call c = call_of("SELECT 1; SELECT 2 AS two");
    one(&c);
    CHECK_INT(c.err.code, MH_OK);
    CHECK_STR(c.values[0], "2");
    struct mh_pg_call d = call_of("SELECT 1; SELECT 1/0; SELECT 3");
    one(&d);
    CHECK_INT(d.err.code, MH_E_PG);
    CHECK_STR(d.sqlstate, "22012");
    end();
}

TEST(an_error_has_its_sqlstate_and_the_session_goes_on)
{
    if (!have())
        return;
    begin();
    struct mh_pg_call c = call_of("SELECT * FROM no_such_table");
    one(&c);
    CHECK_INT(c.err.code, MH_E_PG);
    CHECK_STR(c.sqlstate, "42P01");
    CHECK(strstr(c.err.msg, "no_such_table") != NULL);
    struct mh_pg_call d = call_of("SHOW search_path");
    one(&d);
    CHECK_STR(d.values[0], "pg_catalog");
    end();
}

TEST(a_slow_statement_ends_with_timeout_and_the_next_one_runs)
{
    if (!have())
        return;
    begin();
    struct mh_pg_call slow = call_of("SELECT pg_sleep(60)");
    struct mh_pg_call next = call_of("SELECT 'after'");
    struct mh_pg_call first = call_of("SELECT 'connected'");
    one(&first);
    slow.timeout_ms = 200;
    start(&slow);
    start(&next);
    run(3);
    CHECK_INT(slow.err.code, MH_E_TIMEOUT);
    CHECK_INT(next.err.code, MH_OK);
    CHECK_STR(next.values[0], "after");
    end();
}

TEST(a_cancelled_call_is_never_done)
{
    if (!have())
        return;
    begin();
    struct mh_pg_call slow = call_of("SELECT pg_sleep(60)");
    struct mh_pg_call waiting = call_of("SELECT 1");
    struct mh_pg_call next = call_of("SELECT 2");
    start(&slow);
    start(&waiting);
    start(&next);
    for (int i = 0; i < 5; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    pg.cancel(pg.self, &waiting);
    pg.cancel(pg.self, &slow);
    run(1);
    CHECK_INT(done_calls, 1);
    CHECK_STR(next.values[0], "2");
    end();
}

TEST(disconnect_fails_what_waits)
{
    if (!have())
        return;
    begin();
    struct mh_pg_call c = call_of("SELECT pg_sleep(60)");
    struct mh_pg_call d = call_of("SELECT 1");
    start(&c);
    start(&d);
    pg.disconnect(pg.self, info);
    CHECK_INT(done_calls, 0);
    run(2);
    CHECK_INT(c.err.code, MH_E_UNREACHABLE);
    CHECK_INT(d.err.code, MH_E_UNREACHABLE);
    end();
}

TEST(a_result_over_the_limit_fails_and_a_copy_does_not_hang)
{
    if (!have())
        return;
    begin();
    struct mh_pg_call c = call_of("SELECT repeat('x', 1000) FROM generate_series(1, 5000)");
    one(&c);
    CHECK_INT(c.err.code, MH_E_LIMIT);
    mh_arena_release(&arena);
    struct mh_pg_call d = call_of("COPY (SELECT 1) TO STDOUT");
    one(&d);
    CHECK_INT(d.err.code, MH_E_INVALID);
    struct mh_pg_call e = call_of("SELECT 5");
    one(&e);
    CHECK_STR(e.values[0], "5");
    end();
}

TEST(a_session_gets_over_any_failed_allocation)
{
    if (!have())
        return;
    for (int n = 0; n < 30; n++) {
        begin();
        const char *const params[] = { "x" };
        struct mh_pg_call c = call_of("SELECT $1::text, 2");
        c.params = params;
        c.nparams = 1;
        mh_mem_fail_after(n);
        one(&c); /* done comes once, whatever happens */
        mh_mem_fail_after(-1);
        CHECK(c.err.code == MH_OK || c.err.code == MH_E_NOMEM || c.err.code == MH_E_LIMIT);
        CHECK(c.err.code != MH_OK || (c.rows == 1 && strcmp(c.values[0], "x") == 0));
        one(&c);
        CHECK_INT(c.err.code, MH_OK);
        CHECK_STR(c.values[1], "2");
        end();
    }
}

TEST(a_terminated_backend_is_an_error_and_then_a_new_session)
{
    if (!have())
        return;
    begin();
    struct mh_pg_call c = call_of("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(5)");
    one(&c);
    CHECK_INT(c.err.code, MH_E_PG);
    CHECK_STR(c.sqlstate, "57P01");
    struct mh_pg_call d = call_of("SELECT 1");
    one(&d);
    CHECK_INT(d.err.code, MH_OK);
    pg_server_restart(&server); /* closes the idle session */
    event_base_loop(base, EVLOOP_NONBLOCK);
    struct mh_pg_call e = call_of("SELECT 1");
    one(&e);
    CHECK_INT(e.err.code, MH_OK);
    end();
}

TEST(options_in_the_conninfo_come_last)
{
    if (!have())
        return;
    begin();
    (void)snprintf(info, sizeof(info),
                   "host=%s user=postgres dbname=postgres options='-c search_path=public'",
                   server.dir);
    struct mh_pg_call c = call_of("SHOW search_path");
    one(&c);
    CHECK_STR(c.values[0], "public");
    end();
}

TEST(identifiers_and_literals_mean_what_they_say)
{
    if (!have())
        return;
    begin();
    static const char *const texts[] = { "a'b", "a\\", "\"", "';--", "\\'x", "ü", "$1", "a\nb" };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct mh_pg_call c =
            call_of(mh_arena_printf(&arena, "SELECT %s AS %s", mh_pg_literal(&arena, texts[i]),
                                    mh_pg_ident(&arena, texts[i])));
        one(&c);
        CHECK_INT(c.err.code, MH_OK);
        CHECK_STR(c.values[0], texts[i]);
        CHECK_STR(c.names[0], texts[i]);
    }
    end();
}

TEST(nobody_there_is_unreachable)
{
    begin();
    (void)snprintf(info, sizeof(info), "host=/nonexistent user=postgres dbname=postgres");
    struct mh_pg_call c = call_of("SELECT 1");
    one(&c);
    CHECK_INT(c.err.code, MH_E_UNREACHABLE);
    end();
}

TEST(a_name_as_host_is_refused_without_asking_any_resolver)
{
    static const char *const bad[] = {
        "host=db.example user=x", "user=x", "host=1.2.3.4,db user=x", "service=x", "host",
        "host=1.2.3.4 nonsense=1"
    };
    begin();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(info, sizeof(info), "%s", bad[i]);
        struct mh_pg_call c = call_of("SELECT 1");
        one(&c);
        CHECK_INT(c.err.code, MH_E_INVALID);
    }
    end();
}

TEST(a_server_that_accepts_and_says_nothing_times_out)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof(sa);
    CHECK_INT(bind(fd, (struct sockaddr *)&sa, n), 0);
    CHECK_INT(listen(fd, 5), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
    begin();
    (void)snprintf(info, sizeof(info), "host=127.0.0.1 port=%d user=x connect_timeout=1",
                   ntohs(sa.sin_port));
    struct mh_pg_call c = call_of("SELECT 1");
    struct mh_pg_call d = call_of("SELECT 1");
    d.timeout_ms = 300;
    start(&c);
    start(&d);
    run(2);
    CHECK_INT(c.err.code, MH_E_UNREACHABLE);
    CHECK_INT(d.err.code, MH_E_UNREACHABLE);
    end();
    close(fd);
}
