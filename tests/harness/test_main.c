#include "base/log.h"
#include "base/mem.h"
#include "harness/test.h"

struct mh_test *mh_tests;
int mh_test_failures;

/* With an argument, only the tests whose name contains it run. */
int
main(int argc, char **argv)
{
    int n = 0;
    int bad = 0;
    mh_log_set_fd(2);
    mh_log_set_level(MH_LOG_ERROR);
    for (struct mh_test *t = mh_tests; t; t = t->next) {
        if (argc > 1 && !strstr(t->name, argv[1]))
            continue;
        mh_test_failures = 0;
        t->run();
        mh_mem_fail_after(-1);
        bad += mh_test_failures != 0;
        printf("%sok %d - %s\n", mh_test_failures ? "not " : "", ++n, t->name);
        (void)fflush(stdout);
    }
    printf("1..%d\n", n);
    return bad != 0;
}
