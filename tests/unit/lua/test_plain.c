/* The plan of a controller in our VM and under a plain interpreter: not one byte differs. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/test.h"
#include "lua/task.h"

static const char *const observations[] = {
    "{\"map\":{\"b\":11,\"a\":12,\"c\":3,\"ab\":25,\"B\":1},\"text\":\"Zwei Worte "
    "\\u00e9\\ud83d\\ude00 \\\\u0041\","
    "\"number\":0.1,\"flag\":true,\"big\":9007199254740993,\"list\":[1,null,{},[]]}",
    "{\"map\":{\"x\":1},\"text\":\"tab\\t quote\\\" "
    "nul-free\\u0001\\u007f\",\"number\":123456789.125,\"flag\":false,"
    "\"big\":7312345678901234567,\"list\":[],\"absent\":null}",
    "{\"map\":{\"10\":10,\"9\":9,\"-1\":-10,\"\":0},\"text\":\"\",\"number\":1e300,\"flag\":true,"
    "\"big\":-5,"
    "\"list\":[1.0,1e3,-0.0,2.5e-7]}",
};

static void
write_record(const char *path, const char *seen, const char *plan)
{
    FILE *f = fopen(path, "we");
    CHECK(f != NULL);
    if (!f)
        return;
    (void)fprintf(
        f, "{\"kind\":\"Tricky\",\"namespace\":\"n\",\"name\":\"x\",\"seen\":%s,\"plan\":%s}", seen,
        plan);
    (void)fclose(f);
}

static int
plain(const char *record)
{
    int status = 1;
    pid_t pid = fork();
    if (pid == 0) {
        (void)freopen("/dev/null", "w", stdout);
        (void)execl(MH_TEST_LUA, "lua", "tests/lua/plain.lua", "--script",
                    "tests/lua/plain/tricky.lua", record, (char *)NULL);
        _exit(127);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(plain_lua_plans_the_same_bytes)
{
    struct mh_arena a;
    struct mh_controller *c = NULL;
    struct mh_err err = { .code = MH_OK };
    char text[8192];
    char path[] = "/tmp/mh-plain-XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fopen("tests/lua/plain/tricky.lua", "re");
    mh_arena_init(&a, (size_t)8 << 20);
    size_t n = f ? fread(text, 1, sizeof(text), f) : 0;
    CHECK(fd >= 0 && f);
    CHECK(mh_controller_new_text("tricky", text, n, &c, &err) == MH_OK);
    for (size_t i = 0; c && i < sizeof(observations) / sizeof(*observations); i++) {
        const char *plan = "";
        size_t len;
        CHECK(mh_controller_plan(c, &a, observations[i], strlen(observations[i]), &plan, &len, NULL,
                                 &err) == MH_OK);
        write_record(path, observations[i], plan);
        CHECK_INT(plain(path), 0);
        write_record(path, observations[i], "{\"other\":1}");
        CHECK_INT(plain(path), 1);
    }
    (void)fclose(f);
    (void)close(fd);
    (void)unlink(path);
    mh_controller_free(c);
    mh_arena_release(&a);
}
