/* Arguments of `moonherd instance ...`. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "harness/test.h"
#include "instance/cli.h"
#include "instance/run.h"

static int
call(const char *const *words, bool (*fn)(int, char **))
{
    char *argv[10];
    int n = 0;
    while (words[n]) {
        argv[n] = strdup(words[n]);
        n++;
    }
    bool ok = fn(n, argv);
    for (int i = 0; i < n; i++)
        free(argv[i]);
    return ok;
}

TEST(each_subcommand_has_a_help_of_its_own)
{
    static const char *const commands[] = { "run", "init", "join", "status" };
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        char head[60];
        (void)snprintf(head, sizeof(head), "usage: moonherd instance %s ", commands[i]);
        CHECK(strncmp(mh_cli_help(commands[i]), head, strlen(head)) == 0);
        CHECK(strstr(mh_cli_help(NULL), commands[i]) != NULL);
    }
    CHECK_STR(mh_cli_help("dance"), mh_cli_help(NULL));
    CHECK(call((const char *[]){ "--pod-name", "x", "--help", NULL }, mh_cli_wants_help));
    CHECK(call((const char *[]){ "-h", NULL }, mh_cli_wants_help));
    CHECK(!call((const char *[]){ "--helpless", NULL }, mh_cli_wants_help));
}

TEST(help_ends_well_and_the_unknown_badly)
{
    static char instance[] = "instance", run[] = "run", join[] = "join", help[] = "--help";
    static char dance[] = "dance", status[] = "status", flag[] = "--no-such-flag";
    int out = dup(1);
    CHECK(freopen("/dev/null", "w", stdout) != NULL);
    int codes[] = { mh_instance_main(3, (char *[]){ instance, run, help, NULL }),
                    mh_instance_main(3, (char *[]){ instance, join, help, NULL }),
                    mh_instance_main(2, (char *[]){ instance, help, NULL }),
                    mh_instance_main(2, (char *[]){ instance, dance, NULL }),
                    mh_instance_main(3, (char *[]){ instance, run, flag, NULL }),
                    mh_instance_main(3, (char *[]){ instance, status, flag, NULL }) };
    (void)fflush(stdout);
    CHECK(dup2(out, 1) == 1);
    (void)close(out);
    static const int want[] = { 0, 0, 0, 2, 2, 2 };
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
        CHECK_INT(codes[i], want[i]);
}

TEST(flags_of_run_stand_for_the_environment)
{
    CHECK(call((const char *[]){ "--pg-data=/x/y", "--pod-name", "demo-7", "--status-port-tls",
                                 "--log-level=debug", "--namespace", "n=1", NULL },
               mh_cli_run_args));
    CHECK_STR(getenv("PGDATA"), "/x/y");
    CHECK_STR(getenv("POD_NAME"), "demo-7");
    CHECK_STR(getenv("NAMESPACE"), "n=1");
    CHECK(!call((const char *[]){ "--cluster-name", NULL }, mh_cli_run_args));
    CHECK(!call((const char *[]){ "--pg-dat=/x", NULL }, mh_cli_run_args));
    CHECK(!call((const char *[]){ "surplus", NULL }, mh_cli_run_args));
}

TEST(without_an_object_store_archiving_succeeds_and_restoring_finds_nothing)
{
    char verbs[2][16] = { "wal-archive", "wal-restore" };
    char segment[] = "000000010000000000000001";
    char to[] = "pg_wal/RECOVERYXLOG";
    char *archive[] = { verbs[0], segment, NULL };
    char *restore[] = { verbs[1], segment, to, NULL };
    CHECK_INT(mh_wal_main(2, archive), 0);
    CHECK_INT(mh_wal_main(3, restore), 1);
    CHECK_INT(mh_wal_main(1, archive), 2);
    mh_log_set_fd(-1);
}
