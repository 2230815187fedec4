/* A real manager on a volume that runs full: it ends with code 4 and keeps the Lease as it is; with more
 * room it serves again. Needs root, for a volume of a fixed size. */
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/str.h"
#include "harness/test.h"
#include "pods_helper.h"

#define VOLUME "size=200m,mode=0755"

static struct pods *p;

static const char *
gate(void)
{
    yyjson_val *v = NULL;
    (void)pods_get(p, p->pod[0].address, "/pg/status", &v);
    const char *s = mh_json_str(v, "moonherd", "gate", NULL);
    return s ? s : "";
}

static bool
wait_gate(void)
{
    for (int i = 0; i < 300 && strcmp(gate(), "open") != 0; i++)
        pods_pause(p, 100);
    return strcmp(gate(), "open") == 0;
}

static void
lease_is_ours(void)
{
    yyjson_val *lease = tw_object(p->tw, PODS_LEASE);
    CHECK_STR(mh_json_str(lease, "spec", "holderIdentity", NULL), "demo-1");
    CHECK_INT(mh_json_int(lease, 0, "spec", "leaseTransitions", NULL), 1);
    CHECK_STR(mh_json_str(lease, "metadata", "annotations", "moonherd.io/phase", NULL), "stable");
}

/* Fills the volume but for a little that PostgreSQL will take itself. */
static void
fill(const char *path)
{
    static char zeros[65536];
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    while (fd >= 0 && write(fd, zeros, sizeof(zeros)) > 0)
        continue;
    if (fd >= 0)
        close(fd);
}

static bool
have(void)
{
    if (geteuid() != 0) {
        printf("# SKIPPED: needs root for a volume of a fixed size\n");
        return false;
    }
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        printf("# SKIPPED: no mount namespace\n");
        return false;
    }
    p = pods_new();
    return p != NULL;
}

TEST(a_primary_on_a_full_volume_ends_with_code_4_and_loses_nothing)
{
    static const char *const init[] = { "init", "--initdb-flags", "-N", NULL };
    if (!have())
        return;
    struct pod *pod = &p->pod[0];
    const char *data = mh_arena_printf(&p->arena, "%s/demo-1-data", p->dir);
    const char *filler = mh_arena_printf(&p->arena, "%s/filler", data);
    CHECK_INT(mount("tmpfs", data, "tmpfs", 0, VOLUME), 0);
    const struct passwd *pw = getpwnam("postgres");
    CHECK_INT(chown(data, pw->pw_uid, pw->pw_gid), 0);
    CHECK_INT(pods_run(p, 1, init), 0);
    pods_start(p, 1, false);
    CHECK(wait_gate());
    (void)pods_local(p, 1, "create table public.t as select 1 as x");
    fill(filler);
    for (int i = 0; i < 60 && !pod->ended; i++) {
        (void)pods_local(p, 1, "select pg_logical_emit_message(false, 'x', 'y'), pg_switch_wal()");
        pods_pause(p, 100);
    }
    CHECK(pod->ended);
    if (!pod->ended) {
        pods_free(p);
        return;
    }
    CHECK_INT(pod->child.exit_code, 4);
    CHECK(strstr(mh_buf_text(&pod->log), "no space left: exit code 4") != NULL);
    pod->running = false;
    lease_is_ours();

    pods_start(p, 1, false); /* as the kubelet does, again and again */
    for (int i = 0; i < 100 && !pod->ended; i++)
        pods_pause(p, 100);
    CHECK(pod->ended);
    CHECK_INT(pod->child.exit_code, 4);
    pod->running = false;
    lease_is_ours();

    CHECK_INT(unlink(filler), 0); /* the volume has grown */
    pods_start(p, 1, false);
    CHECK(wait_gate());
    CHECK_STR(pods_local(p, 1, "select min(x) from public.t"), "1");
    lease_is_ours();
    pods_stop(p, 1);
    CHECK_INT(umount2(data, MNT_DETACH), 0);
    pods_free(p);
}
