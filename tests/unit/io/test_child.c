#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/time.h"
#include "harness/test.h"
#include "io/child.h"
#include "io/loop.h"

struct run {
    struct event_base *base;
    struct mh_proc proc;
    struct mh_child child;
    struct mh_buf out;
    struct mh_buf err;
    size_t longest;
    int lines;
    int exits;
    int orphans;
};

static void
on_line(struct mh_child *c, int fd, const char *line, size_t len)
{
    struct run *r = c->arg;
    struct mh_buf *b = fd == 2 ? &r->err : &r->out;
    r->lines++;
    r->longest = len > r->longest ? len : r->longest;
    if (len < 4096) {
        mh_buf_add(b, line, len);
        mh_buf_char(b, '|');
    }
}

static void
on_exit_(struct mh_child *c)
{
    struct run *r = c->arg;
    r->exits++;
    event_base_loopbreak(r->base);
}

static void
begin(struct run *r, const char *const *argv)
{
    *r = (struct run){ .base = mh_loop_new() };
    r->proc = mh_proc_real(r->base);
    mh_buf_init(&r->out, 1 << 20);
    mh_buf_init(&r->err, 1 << 20);
    r->child = (struct mh_child){
        .argv = argv, .name = "t", .on_line = on_line, .on_exit = on_exit_, .arg = r
    };
}

static void
end(struct run *r)
{
    mh_proc_release(&r->proc);
    mh_buf_release(&r->out);
    mh_buf_release(&r->err);
    event_base_free(r->base);
}

static void
go(struct run *r)
{
    struct mh_err err = { 0 };
    CHECK(r->proc.start(r->proc.self, &r->child, &err) == MH_OK);
    CHECK(r->exits == 0);
    event_base_dispatch(r->base);
    CHECK(r->exits == 1);
}

TEST(output_comes_line_by_line_and_the_last_line_needs_no_newline)
{
    struct run r;
    begin(&r, (const char *[]){ "/bin/sh", "-c", "echo one; echo two >&2; printf three; exit 7",
                                NULL });
    go(&r);
    CHECK_STR(mh_buf_text(&r.out), "one|three|");
    CHECK_STR(mh_buf_text(&r.err), "two|");
    CHECK(r.child.exit_code == 7);
    end(&r);
}

TEST(input_arrives_whole_however_long)
{
    struct run r;
    begin(&r, (const char *[]){ "/usr/bin/wc", "-c", NULL });
    char *big = mh_malloc(300001);
    memset(big, 'x', 300000);
    big[300000] = '\0';
    r.child.input = big;
    go(&r);
    CHECK_STR(mh_buf_text(&r.out), "300000|");
    mh_free(big);
    end(&r);
}

TEST(without_input_stdin_is_empty)
{
    struct run r;
    begin(&r, (const char *[]){ "/bin/cat", NULL });
    go(&r);
    CHECK(r.lines == 0 && r.child.exit_code == 0);
    end(&r);
}

TEST(a_very_long_line_comes_in_pieces)
{
    struct run r;
    begin(&r, (const char *[]){ "/bin/sh", "-c",
                                "head -c 600000 /dev/zero | tr '\\0' x; echo; echo end", NULL });
    go(&r);
    CHECK(r.lines == 4);
    CHECK(r.longest == MH_CHILD_LINE_MAX);
    CHECK_STR(mh_buf_text(&r.out), "end|");
    end(&r);
}

TEST(a_program_that_is_not_there_is_an_error_of_start)
{
    struct run r;
    struct mh_err err = { 0 };
    begin(&r, (const char *[]){ "/no/such/program", NULL });
    CHECK(r.proc.start(r.proc.self, &r.child, &err) == MH_E_NOTFOUND);
    CHECK(r.exits == 0);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD); /* no zombie */
    end(&r);
}

TEST(a_killed_child_has_128_and_the_signal_and_a_second_kill_does_nothing)
{
    struct run r;
    begin(&r, (const char *[]){ "/bin/sleep", "100", NULL });
    struct mh_err err = { 0 };
    CHECK(r.proc.start(r.proc.self, &r.child, &err) == MH_OK);
    r.proc.kill(r.proc.self, &r.child, SIGKILL);
    event_base_dispatch(r.base);
    CHECK(r.exits == 1 && r.child.exit_code == 128 + SIGKILL);
    r.proc.kill(r.proc.self, &r.child, SIGKILL);
    end(&r);
}

TEST(a_descendant_that_keeps_the_pipes_does_not_delay_the_exit)
{
    struct run r;
    begin(&r, (const char *[]){ "/bin/sh", "-c", "sleep 5 & echo $!", NULL });
    go(&r);
    pid_t pid = (pid_t)strtol(mh_buf_text(&r.out), NULL, 10);
    CHECK(pid > 1);
    if (pid > 1)
        kill(pid, SIGKILL);
    end(&r);
}

TEST(environment_and_folder_are_as_given_and_no_descriptor_leaks)
{
    struct run r;
    begin(&r, (const char *[]){ "/bin/sh", "-c", "pwd; echo $A; ls /proc/self/fd | tr '\\n' ' '",
                                NULL });
    int leak = dup(1); /* without close-on-exec */
    r.child.cwd = "/usr";
    r.child.env = (const char *[]){ "A=b", "PATH=/usr/bin:/bin", NULL };
    go(&r);
    CHECK_STR(mh_buf_text(&r.out), "/usr|b|0 1 2 3 |"); /* 3 is ls reading the folder */
    close(leak);
    end(&r);
}

static void
on_orphan(void *arg, pid_t pid, int status)
{
    struct run *r = arg;
    (void)pid;
    (void)status;
    r->orphans++;
}

TEST(orphans_are_reaped_and_told)
{
    struct run r;
    begin(&r, (const char *[]){ "/bin/sh", "-c", "(sleep 0.05; exit 3) & exit 0", NULL });
    mh_child_reap_orphans(&r.proc, on_orphan, &r);
    go(&r);
    CHECK(mh_child_any_left());
    for (int i = 0; i < 100 && r.orphans == 0; i++) {
        struct timeval tv = { 0, 10000 };
        event_base_loopexit(r.base, &tv);
        event_base_dispatch(r.base);
    }
    CHECK(r.orphans >= 1);
    CHECK(!mh_child_any_left());
    end(&r);
}

TEST(starting_survives_any_failed_allocation)
{
    for (int n = 0; n < 12; n++) {
        struct run r;
        struct mh_err err = { 0 };
        begin(&r, (const char *[]){ "/bin/echo", "hello", NULL });
        mh_mem_fail_after(n);
        enum mh_code code = r.proc.start(r.proc.self, &r.child, &err);
        if (code == MH_OK)
            event_base_dispatch(r.base);
        mh_mem_fail_after(-1);
        CHECK(code == MH_OK ? r.exits == 1 : code == MH_E_NOMEM);
        end(&r);
    }
}
