/* Reading the log on disk. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "sandbox/disk.h"

void
mh_sb_record_resource(const struct mh_sb_resource *r, char *out, size_t size)
{
    (void)snprintf(out, size, "%s%s%s", r->plural, *r->group ? "." : "", r->group);
}

struct mapped {
    const char *text;
    size_t len;
    void *map;
};

/* An absent file is an empty one. */
static enum mh_code
map_file(struct mh_arena *a, const char *dir, const char *name, struct mapped *m,
         struct mh_err *err)
{
    struct stat st;
    char *path = mh_arena_printf(a, "%s/%s", dir, name);
    *m = (struct mapped){ .text = "" };
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0 && errno == ENOENT)
        return MH_OK;
    if (fd < 0 || fstat(fd, &st) != 0) {
        (void)mh_fail(err, MH_E_IO, "cannot read %s/%s: %s", dir, name, strerror(errno));
        if (fd >= 0)
            close(fd);
        return MH_E_IO;
    }
    if (st.st_size > 0) {
        m->map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (m->map == MAP_FAILED) {
            close(fd);
            return mh_fail(err, MH_E_IO, "cannot read %s/%s: %s", dir, name, strerror(errno));
        }
        m->text = m->map;
        m->len = (size_t)st.st_size;
    }
    close(fd);
    return MH_OK;
}

static void
unmap(struct mapped *m)
{
    if (m->map)
        munmap(m->map, m->len);
}

static struct mh_sb_resource *
resource_of(struct mh_sb_api *api, const char *name)
{
    char plural[256];
    size_t n = strcspn(name, ".");
    if (n >= sizeof(plural))
        return NULL;
    memcpy(plural, name, n);
    plural[n] = '\0';
    return mh_sb_kinds_find(&api->kinds, name[n] ? name + n + 1 : "", plural);
}

static bool
take(struct mh_sb_api *api, const struct mh_sb_record *r)
{
    struct mh_sb_resource *res = resource_of(api, r->resource);
    if (!res) { /* its CRD is gone */
        mh_warn("sandbox", "an object of an unknown kind is left out", "resource", r->resource,
                "key", r->key);
        return true;
    }
    if (r->op == MH_SB_RECORD_REMOVE)
        return mh_sb_restore_removal(api, res, r->key, r->version, r->text, r->len);
    return mh_sb_restore(api, res, r->key, r->version, r->text, r->len);
}

/* Is there a whole record anywhere behind? Then what is before it is no torn end. */
static bool
good_behind(const char *text, size_t len, size_t at)
{
    uint32_t magic = MH_SB_DISK_MAGIC;
    struct mh_sb_record r;
    while (++at < len) {
        const char *hit = memmem(text + at, len - at, &magic, sizeof(magic));
        if (!hit)
            return false;
        at = (size_t)(hit - text);
        size_t end = at;
        if (mh_sb_record_get(text, len, &end, &r))
            return true;
    }
    return false;
}

static enum mh_code
read_snapshot(struct mh_sb_api *api, const char *dir, const struct mapped *m, struct mh_err *err)
{
    struct mh_sb_record r = { .op = MH_SB_RECORD_PUT };
    size_t at = 0;
    unsigned long long count = 0;
    while (m->len && r.op != MH_SB_RECORD_END) {
        if (!mh_sb_record_get(m->text, m->len, &at, &r))
            return mh_fail(
                err, MH_E_INVALID,
                "%s/snapshot is damaged at byte %zu. HINT: begin with an empty directory", dir, at);
        if (r.op == MH_SB_RECORD_END)
            break;
        count++;
        if (!take(api, &r))
            return mh_fail(err, MH_E_NOMEM, "cannot load %s/snapshot", dir);
    }
    if (m->len && strtoull(r.key, NULL, 10) != count)
        return mh_fail(err, MH_E_INVALID, "%s/snapshot is not whole", dir);
    if (m->len)
        api->store.version = r.version;
    return MH_OK;
}

static enum mh_code
read_log(struct mh_sb_api *api, const char *dir, const struct mapped *m, uint64_t *keep,
         struct mh_err *err)
{
    struct mh_sb_record r;
    size_t at = 0;
    uint64_t base = api->store.version;
    while (at < m->len) {
        if (!mh_sb_record_get(m->text, m->len, &at, &r)) {
            if (good_behind(m->text, m->len, at))
                return mh_fail(err, MH_E_INVALID,
                               "%s/log is damaged at byte %zu. HINT: begin with an empty directory",
                               dir, at);
            mh_warn("sandbox", "a torn end of the log is left out", "dir", dir);
            break;
        }
        if (r.version <= base)
            continue;
        if (!take(api, &r))
            return mh_fail(err, MH_E_NOMEM, "cannot load %s/log", dir);
        api->store.version = r.version;
    }
    *keep = at;
    return MH_OK;
}

enum mh_code
mh_sb_disk_load(struct mh_sb_api *api, const char *dir, uint64_t *keep, struct mh_err *err)
{
    struct mh_arena a;
    struct mapped snapshot = { 0 };
    struct mapped log = { 0 };
    mh_arena_init(&a, (size_t)1 << 20);
    enum mh_code code = map_file(&a, dir, "snapshot", &snapshot, err);
    if (code == MH_OK)
        code = map_file(&a, dir, "log", &log, err);
    if (code == MH_OK)
        code = read_snapshot(api, dir, &snapshot, err);
    if (code == MH_OK)
        code = read_log(api, dir, &log, keep, err);
    unmap(&snapshot);
    unmap(&log);
    mh_arena_release(&a);
    return code;
}
