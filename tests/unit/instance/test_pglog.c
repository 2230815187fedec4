#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "harness/test.h"
#include "instance/bootstrap.h"
#include "instance/pglog.h"

static char seen[64][400];
static int counts[64];
static int nseen;
static bool was_cut;

static void
on_record(void *arg, const char *const *fields, int nfields, bool cut)
{
    (void)arg;
    was_cut = cut;
    if (nseen >= 64)
        return;
    counts[nseen] = nfields;
    seen[nseen][0] = '\0';
    for (int i = 0; i < nfields; i++)
        (void)snprintf(seen[nseen] + strlen(seen[nseen]), sizeof(seen[nseen]) - strlen(seen[nseen]),
                       "[%s]", fields[i]);
    nseen++;
}

static void
feed(const char *text, size_t piece)
{
    struct mh_csv c;
    size_t n = strlen(text);
    nseen = 0;
    mh_csv_init(&c, on_record, NULL);
    for (size_t i = 0; i < n; i += piece)
        mh_csv_feed(&c, text + i, n - i < piece ? n - i : piece);
    mh_csv_release(&c);
}

TEST(csv_is_read_in_any_pieces)
{
    for (size_t piece = 1; piece < 9; piece++) {
        feed("a,,\"b,\"\"c\"\"\nd\"\r\n\"\",x\n\n\"half", piece);
        CHECK_INT(nseen, 2);
        CHECK_STR(seen[0], "[a][][b,\"c\"\nd]");
        CHECK_STR(seen[1], "[][x]");
    }
}

TEST(a_record_over_its_cap_is_cut_and_the_next_is_whole)
{
    size_t n = MH_CSV_RECORD_MAX * 2;
    char *text = malloc(n + 100);
    memset(text, 'x', n);
    (void)snprintf(text + n, 100, ",\"y\ny\"\nnext,1\n");
    struct mh_csv c;
    nseen = 0;
    mh_csv_init(&c, on_record, NULL);
    mh_csv_feed(&c, text, strlen(text));
    CHECK_INT(nseen, 2);
    CHECK_INT(counts[0], 2);
    CHECK_STR(seen[1], "[next][1]");
    CHECK(!was_cut);
    mh_csv_release(&c);
    free(text);
}

TEST(any_bytes_do_no_harm)
{
    struct mh_csv c;
    unsigned seed = 5;
    mh_csv_init(&c, on_record, NULL);
    for (int i = 0; i < 300000; i++) {
        static const char alphabet[] = ",,\"\"\n\r\\\0ab\xff\xc3";
        seed = seed * 1103515245u + 12345u;
        mh_csv_feed(&c, &alphabet[(seed >> 16) % (sizeof(alphabet) - 1)], 1);
        nseen = 0;
    }
    mh_csv_release(&c);
}

#define HEAD                                                                                       \
    "2026-01-01 00:00:00.000 UTC,\"u\",\"d\",7,\"10.0.0.1:5\",s.1,1,\"SELECT\",2026-01-01 "        \
    "00:00:00 UTC,2/3,0,"

static const char *
record(const char *message, const char **logger)
{
    static char text[200000];
    struct mh_buf b;
    const char *fields[26] = { "t",      "u", "d",   "7", "c",   "s",     "1",
                               "SELECT", "t", "2/3", "0", "LOG", "00000", message };
    for (int i = 14; i < 26; i++)
        fields[i] = "";
    fields[22] = "psql";
    mh_buf_init(&b, 400000);
    *logger = mh_pglog_record(&b, fields, 26);
    (void)snprintf(text, sizeof(text), "%s", mh_buf_text(&b));
    mh_buf_release(&b);
    return text;
}

TEST(a_record_becomes_an_object_without_empty_keys)
{
    const char *logger;
    CHECK_STR(
        record("say \"hi\"\n", &logger),
        "{\"log_time\":\"t\",\"user_name\":\"u\",\"database_name\":\"d\",\"process_id\":\"7\","
        "\"connection_from\":\"c\",\"session_id\":\"s\",\"session_line_num\":\"1\",\"command_tag\":"
        "\"SELECT\","
        "\"session_start_time\":\"t\",\"virtual_transaction_id\":\"2/3\",\"transaction_id\":\"0\","
        "\"error_severity\":\"LOG\",\"sql_state_code\":\"00000\",\"message\":\"say \\\"hi\\\"\\n\","
        "\"application_name\":\"psql\"}");
    CHECK_STR(logger, "postgres");
}

TEST(an_audit_message_is_read_again)
{
    const char *logger;
    const char *text = record(
        "AUDIT: SESSION,1,2,READ,SELECT,TABLE,public.t,\"select \"\"a\"\", 'b' from t\",<none>",
        &logger);
    CHECK_STR(logger, "pgaudit");
    CHECK(strstr(text,
                 "\"audit\":{\"audit_type\":\"SESSION\",\"statement_id\":\"1\",\"substatement_id\":"
                 "\"2\","
                 "\"class\":\"READ\",\"command\":\"SELECT\",\"object_type\":\"TABLE\",\"object_"
                 "name\":\"public.t\","
                 "\"statement\":\"select \\\"a\\\", 'b' from t\",\"parameter\":\"<none>\"}}") !=
          NULL);
    CHECK(!strstr(text, "\"message\""));
    text = record("AUDIT: not really", &logger);
    CHECK_STR(logger, "postgres");
    CHECK(strstr(text, "\"message\":\"AUDIT: not really\"") != NULL);
}

TEST(too_few_or_too_many_fields_are_no_record)
{
    struct mh_buf b;
    const char *fields[40] = { 0 };
    for (int i = 0; i < 40; i++)
        fields[i] = "x";
    mh_buf_init(&b, 100000);
    CHECK(!mh_pglog_record(&b, fields, 22));
    CHECK(!mh_pglog_record(&b, fields, 27));
    CHECK(mh_pglog_record(&b, fields, 23) != NULL);
    mh_buf_release(&b);
}

TEST(a_huge_message_is_cut_and_still_json)
{
    const char *logger;
    char *big = malloc(100001);
    struct mh_arena a;
    yyjson_val *v = NULL;
    for (int i = 0; i < 50000; i++)
        memcpy(big + 2 * i, "\xc3\xa4", 3);
    const char *text = record(big, &logger);
    mh_arena_init(&a, 4 << 20);
    CHECK_INT(mh_json_parse(&a, text, strlen(text), &v, NULL), MH_OK);
    CHECK(strlen(text) < 60000);
    CHECK(strstr(text, "...\"") != NULL);
    mh_arena_release(&a);
    free(big);
}

static void
put(const char *dir, const char *name, const char *text)
{
    char path[200];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_NONBLOCK);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

TEST(pipes_become_lines_on_stdout)
{
    char dir[] = "/tmp/mh-log-XXXXXX";
    char sub[100];
    char out[20000];
    int fds[2];
    CHECK(mkdtemp(dir) != NULL && pipe(fds) == 0);
    (void)snprintf(sub, sizeof(sub), "%s/log", dir);
    struct event_base *base = event_base_new();
    struct mh_pglog *p = mh_pglog_new(base, sub, NULL);
    CHECK(p != NULL);
    mh_log_set_fd(fds[1]);
    mh_log_set_level(MH_LOG_INFO);
    put(sub, "postgres", "plain \"text\"\nhalf");
    put(sub, "postgres.json", "{\"level\":\"info\",\"x\":1}\n{broken\n");
    put(sub, "postgres.csv",
        HEAD "LOG,00000,\"line\nbreak\",,,,,,,,,\"psql\",\"client backend\",,0\n");
    event_base_loop(base, EVLOOP_NONBLOCK);
    event_base_loop(base, EVLOOP_NONBLOCK);
    mh_log_set_fd(2);
    mh_log_set_level(MH_LOG_ERROR);
    ssize_t n = read(fds[0], out, sizeof(out) - 1);
    out[n > 0 ? n : 0] = '\0';
    CHECK(strstr(out,
                 "\"logger\":\"postgres\",\"msg\":\"text\",\"source\":\"plain \\\"text\\\"\"}\n") !=
          NULL);
    CHECK(strstr(out, "{\"level\":\"info\",\"x\":1}\n") != NULL);
    CHECK(strstr(out, "\"source\":\"{broken\"") != NULL);
    CHECK(strstr(out,
                 "\"msg\":\"record\",\"record\":{\"log_time\":\"2026-01-01 00:00:00.000 UTC\"") !=
          NULL);
    CHECK(strstr(out, "\"message\":\"line\\nbreak\"") != NULL);
    CHECK(strstr(out, "\"backend_type\":\"client backend\",\"query_id\":\"0\"}") != NULL);
    mh_pglog_free(p);
    event_base_free(base);
    (void)close(fds[0]);
    (void)close(fds[1]);
    (void)snprintf(out, sizeof(out), "rm -rf %s", dir);
    CHECK_INT(system(out), 0);
}

TEST(bootstrap_copies_this_program)
{
    char dir[] = "/tmp/mh-boot-XXXXXX";
    char path[100];
    struct stat st;
    struct stat mine;
    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof(path), "%s/controller/manager", dir);
    CHECK_INT(mh_bootstrap(path, NULL), MH_OK);
    CHECK_INT(mh_bootstrap(path, NULL), MH_OK); /* again over itself */
    CHECK_INT(stat(path, &st), 0);
    CHECK_INT(stat("/proc/self/exe", &mine), 0);
    CHECK_INT(st.st_mode & 07777, 0750);
    CHECK_INT(st.st_size, mine.st_size);
    CHECK_INT(mh_bootstrap("relative", NULL), MH_E_INVALID);
    (void)snprintf(path, sizeof(path), "rm -rf %s", dir);
    CHECK_INT(system(path), 0);
}
