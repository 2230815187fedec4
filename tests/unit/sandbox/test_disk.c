/* The log on disk: what was acknowledged is there again. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/time.h"
#include "rest_help.h"

#define CMS "/api/v1/namespaces/default/configmaps"

static char dir[64];
static int bad_sync, bad_datasync; /* 1: the next one fails; 2: the one after it; 0: none */
static int bad_more;               /* so many behind it, too */

/* In place of libc's: a disk that is no good. */
static int
synced(int *bad, long call, int fd)
{
    if (*bad > 0 && --*bad == 0) {
        *bad = bad_more > 0;
        bad_more -= bad_more > 0;
        errno = EIO;
        return -1;
    }
    return (int)syscall(call, fd);
}

int
fsync(int fd)
{
    return synced(&bad_sync, SYS_fsync, fd);
}

int
fdatasync(int fd)
{
    return synced(&bad_datasync, SYS_fdatasync, fd);
}

static void
fresh(void)
{
    snprintf(dir, sizeof(dir), "/tmp/mh-disk-XXXXXX");
    CHECK(mkdtemp(dir) != NULL);
}

static void
clean(void)
{
    char path[128];
    static const char *const names[] = { "log", "lock", "snapshot", "snapshot.new" };
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(dir);
}

static void
create(struct rig *rig, const char *name)
{
    char body[128];
    snprintf(body, sizeof(body), "{\"metadata\":{\"name\":\"%s\"}}", name);
    ask(rig, "POST", CMS, body);
    CHECK_INT(rig->status, 201);
}

TEST(objects_are_there_after_a_restart)
{
    struct rig rig;
    struct rig second;
    fresh();
    rig_open(&rig, dir);
    create(&rig, "a");
    create(&rig, "b");
    ask(&rig, "DELETE", CMS "/a", NULL);
    ask(&rig, "GET", CMS, NULL);
    char *version = strdup(got(&rig, "metadata.resourceVersion"));
    struct mh_err err;
    CHECK(mh_sb_api_new(&(struct mh_sb_config){ .clock = rig.tw->world.clock, .data_dir = dir },
                        &err) == NULL);
    CHECK(strstr(err.msg, "another sandbox uses") != NULL);
    rig_close(&rig);
    rig_open(&second, dir);
    ask(&second, "GET", CMS, NULL);
    CHECK_STR(got(&second, "metadata.resourceVersion"), version);
    CHECK_INT(yyjson_arr_size(yyjson_obj_get(second.reply, "items")), 1);
    CHECK_STR(got(&second, "items.0.metadata.name"), "b");
    create(&second, "c");
    rig_close(&second);
    free(version);
    clean();
}

TEST(a_torn_end_is_dropped_and_damage_is_refused)
{
    struct rig rig;
    char path[128];
    fresh();
    rig_open(&rig, dir);
    create(&rig, "a");
    create(&rig, "b");
    rig_close(&rig);
    snprintf(path, sizeof(path), "%s/log", dir);
    struct stat st;
    CHECK(stat(path, &st) == 0);
    CHECK(truncate(path, st.st_size - 7) == 0);
    rig_open(&rig, dir);
    ask(&rig, "GET", CMS "/a", NULL);
    CHECK_INT(rig.status, 200);
    ask(&rig, "GET", CMS "/b", NULL);
    CHECK_INT(rig.status, 404);
    create(&rig, "c");
    rig_close(&rig);
    rig_open(&rig, dir);
    ask(&rig, "GET", CMS "/c", NULL);
    CHECK_INT(rig.status, 200);
    rig_close(&rig);
    int fd = open(path, O_RDWR);
    CHECK(pwrite(fd, "XXXX", 4, 40) == 4);
    close(fd);
    rig_open(&rig, dir);
    CHECK(rig.api == NULL);
    rig_close(&rig);
    clean();
}

/* Writes a long text many times, so that there is a snapshot; the last one that was acknowledged. */
static int
write_long(struct rig *rig)
{
    static char body[600000];
    int last = -1;
    for (int i = 0; i < 40; i++) {
        int n = snprintf(body, sizeof(body),
                         "{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"%02d", i);
        memset(body + n, 'x', 500000);
        snprintf(body + n + 500000, 16, "\"}}");
        ask(rig, "PUT", CMS "/a", body);
        if (rig->status == 200)
            last = i;
    }
    return last;
}

TEST(a_snapshot_replaces_a_long_log)
{
    struct rig rig;
    struct stat st;
    char path[128];
    fresh();
    rig_open(&rig, dir);
    ask(&rig, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        "{\"metadata\":{\"name\":\"widgets.x.io\"},\"spec\":{\"group\":\"x.io\",\"scope\":"
        "\"Namespaced\",\"names\":{\"plural\":\"widgets\",\"kind\":\"Widget\"},\"versions\":[{"
        "\"name\":\"v1\",\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{"
        "\"type\":"
        "\"object\"}}}]}}");
    CHECK_INT(rig.status, 201);
    tw_settle(rig.tw);
    ask(&rig, "POST", "/apis/x.io/v1/namespaces/default/widgets",
        "{\"apiVersion\":\"x.io/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"w\"}}");
    CHECK_INT(rig.status, 201);
    create(&rig, "a");
    CHECK_INT(write_long(&rig), 39);
    rig_close(&rig);
    snprintf(path, sizeof(path), "%s/snapshot", dir);
    CHECK(stat(path, &st) == 0 && st.st_size < 2000000);
    snprintf(path, sizeof(path), "%s/log", dir);
    CHECK(stat(path, &st) == 0 && st.st_size < 17000000);
    rig_open(&rig, dir);
    ask(&rig, "GET", CMS "/a", NULL);
    CHECK(strncmp(got(&rig, "data.k"), "39x", 3) == 0);
    ask(&rig, "GET", "/apis/x.io/v1/namespaces/default/widgets/w", NULL);
    CHECK_INT(rig.status, 200);
    rig_close(&rig);
    clean();
}

/* As a kill leaves the log: zeros behind the records, and maybe a part of one more. */
static off_t
with_room(const char *path, off_t keep, size_t zeros)
{
    struct stat st;
    CHECK(stat(path, &st) == 0);
    CHECK(truncate(path, keep > 0 ? keep : st.st_size + keep) == 0);
    CHECK(stat(path, &st) == 0 && truncate(path, st.st_size + (off_t)zeros) == 0);
    return st.st_size;
}

TEST(room_behind_the_records_is_no_damage_and_hides_none)
{
    struct rig rig;
    struct stat st;
    char path[128];
    fresh();
    rig_open(&rig, dir);
    create(&rig, "a");
    create(&rig, "b");
    snprintf(path, sizeof(path), "%s/log", dir);
    CHECK(stat(path, &st) == 0 && st.st_size > 1 << 20);
    rig_close(&rig);
    CHECK(stat(path, &st) == 0 && st.st_size < 1 << 20);
    (void)with_room(path, 0, 70000);
    rig_open(&rig, dir);
    ask(&rig, "GET", CMS "/b", NULL);
    CHECK_INT(rig.status, 200);
    create(&rig, "c");
    rig_close(&rig);
    (void)with_room(path, -9, 5000);
    rig_open(&rig, dir);
    ask(&rig, "GET", CMS "/c", NULL);
    CHECK_INT(rig.status, 404);
    ask(&rig, "GET", CMS "/b", NULL);
    CHECK_INT(rig.status, 200);
    rig_close(&rig);
    off_t end = with_room(path, 0, 5000);
    int fd = open(path, O_RDWR);
    CHECK(pwrite(fd, "XXXX", 4, end - 20) == 4); /* inside the last record */
    close(fd);
    rig_open(&rig, dir);
    CHECK(rig.api == NULL);
    rig_close(&rig);
    clean();
}

static void
is_there(const char *name, int status)
{
    struct rig rig;
    char path[128];
    rig_open(&rig, dir);
    CHECK(rig.api != NULL);
    snprintf(path, sizeof(path), CMS "/%s", name);
    if (rig.api) {
        ask(&rig, "GET", path, NULL);
        CHECK_INT(rig.status, status);
    }
    rig_close(&rig);
}

/* An object of some sectors; where its record begins in the log. */
static off_t
create_long(struct rig *rig, const char *name)
{
    char body[4096];
    char path[128];
    struct stat st;
    rig_close(rig); /* the room goes */
    snprintf(path, sizeof(path), "%s/log", dir);
    CHECK(stat(path, &st) == 0);
    rig_open(rig, dir);
    int n =
        snprintf(body, sizeof(body), "{\"metadata\":{\"name\":\"%s\"},\"data\":{\"k\":\"", name);
    memset(body + n, 'x', 3000);
    snprintf(body + n + 3000, 16, "\"}}");
    ask(rig, "POST", CMS, body);
    CHECK_INT(rig->status, 201);
    return st.st_size;
}

static void
put_into_log(const char *text, size_t len, off_t at)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/log", dir);
    int fd = open(path, O_RDWR);
    CHECK(pwrite(fd, text, len, at) == (ssize_t)len);
    close(fd);
}

TEST(a_sector_that_a_power_cut_left_empty_is_the_end_unless_later_writes_are_there)
{
    static const char zeros[512];
    struct rig rig;
    char kept[512];
    char path[128];
    fresh();
    rig_open(&rig, dir);
    create(&rig, "a");
    off_t begin = create_long(&rig, "b");
    off_t sector = begin / 512 * 512 + 1024;
    snprintf(path, sizeof(path), "%s/log", dir);
    int fd = open(path, O_RDONLY);
    CHECK(pread(fd, kept, sizeof(kept), sector) == sizeof(kept));
    close(fd);
    rig_close(&rig);
    rig_open(&rig, dir);
    create(&rig, "c");
    rig_close(&rig);
    put_into_log(zeros, sizeof(zeros), sector);
    rig_open(&rig, dir);
    CHECK(rig.api == NULL); /* c was acknowledged later, so b was, too */
    rig_close(&rig);
    put_into_log(kept, sizeof(kept), sector);
    is_there("c", 200);
    rig_open(&rig, dir);
    begin = create_long(&rig, "d");
    rig_close(&rig);
    put_into_log(zeros, sizeof(zeros), begin / 512 * 512 + 1024);
    is_there("c", 200);
    is_there("d", 404);
    rig_open(&rig, dir);
    begin = create_long(&rig, "d");
    rig_close(&rig);
    put_into_log(zeros, 512 - (size_t)begin % 512, begin); /* only the rest of its first sector */
    is_there("c", 200);
    is_there("d", 404);
    clean();
}

TEST(a_start_that_fails_leaves_the_log_as_it_is)
{
    struct rig rig;
    fresh();
    rig_open(&rig, dir);
    create(&rig, "a");
    rig_close(&rig);
    bad_sync = 1;
    rig_open(&rig, dir);
    CHECK(rig.api == NULL);
    rig_close(&rig);
    CHECK_INT(bad_sync, 0);
    is_there("a", 200);
    clean();
}

TEST(what_could_not_be_synced_is_not_acknowledged_and_not_there_again)
{
    struct rig rig;
    fresh();
    rig_open(&rig, dir);
    create(&rig, "a");
    bad_datasync = 1;
    ask(&rig, "POST", CMS, "{\"metadata\":{\"name\":\"b\"}}");
    CHECK_INT(rig.status, 500);
    ask(&rig, "POST", CMS, "{\"metadata\":{\"name\":\"c\"}}"); /* nothing is, from then on */
    CHECK_INT(rig.status, 500);
    rig_close(&rig);
    is_there("a", 200);
    is_there("b", 404);
    is_there("c", 404);
    clean();
}

TEST(a_snapshot_that_fails_at_any_step_loses_nothing)
{
    struct rig rig;
    for (int step = 1; step <= 3; step++) {
        fresh();
        rig_open(&rig, dir);
        create(&rig, "a");
        bad_sync = step;
        bad_more = 1;
        int last = write_long(&rig);
        CHECK(last > 30);
        rig_close(&rig);
        bad_sync = bad_more = 0;
        rig_open(&rig, dir);
        CHECK(rig.api != NULL);
        if (rig.api)
            ask(&rig, "GET", CMS "/a", NULL);
        CHECK(rig.api && strtol(got(&rig, "data.k"), NULL, 10) >= last); /* or one unanswered */
        rig_close(&rig);
        clean();
    }
}

/* A child creates objects and tells each acknowledged one over a pipe; it is killed in between. */
static void
writer(int out)
{
    struct rig rig;
    char name[32];
    rig_open(&rig, dir);
    for (int i = 0; i < 100000 && rig.api; i++) {
        snprintf(name, sizeof(name), "n%d-%d", (int)getpid(), i);
        create(&rig, name);
        if (write(out, name, sizeof(name)) != (ssize_t)sizeof(name))
            break;
    }
    _exit(0);
}

TEST(nothing_acknowledged_is_lost_by_kill_9)
{
    static char names[20000][32];
    int n = 0;
    fresh();
    for (int round = 0; round < 8; round++) {
        int fds[2];
        CHECK(pipe(fds) == 0);
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            close(fds[0]);
            writer(fds[1]);
        }
        close(fds[1]);
        usleep(20000 + (useconds_t)round * 7000);
        kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        while (n < 20000 && read(fds[0], names[n], 32) == 32)
            n++;
        close(fds[0]);
    }
    struct rig rig;
    rig_open(&rig, dir);
    int missing = 0;
    for (int i = 0; i < n; i++) {
        char path[128];
        snprintf(path, sizeof(path), CMS "/%.31s", names[i]);
        ask(&rig, "GET", path, NULL);
        missing += rig.status != 200;
    }
    CHECK_INT(missing, 0);
    CHECK(n > 8);
    printf("# %d acknowledged\n", n);
    rig_close(&rig);
    clean();
}
