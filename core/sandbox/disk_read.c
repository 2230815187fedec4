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

#define SECTOR ((size_t)512)

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

static enum mh_code
damaged(const char *dir, const char *name, size_t at, const char *what, struct mh_err *err)
{
    if (strcmp(name, "snapshot") == 0)
        return mh_fail(err, MH_E_INVALID,
                       "%s/snapshot is damaged at byte %zu: %s. HINT: put a copy of it back, or "
                       "begin with an empty directory",
                       dir, at, what);
    return mh_fail(err, MH_E_INVALID,
                   "%s/%s is damaged at byte %zu: %s. HINT: put a copy of it back, begin with an "
                   "empty directory, or give up all that was written later: truncate -s %zu %s/%s",
                   dir, name, at, what, at, dir, name);
}

static const char no_record[] = "there is no whole record";

static enum mh_code
read_snapshot(struct mh_sb_api *api, const char *dir, const struct mapped *m, struct mh_err *err)
{
    struct mh_sb_record r = { .op = MH_SB_RECORD_PUT };
    size_t at = 0;
    unsigned long long count = 0;
    while (m->len && r.op != MH_SB_RECORD_END) {
        if (mh_sb_record_get(m->text, m->len, &at, &r) != MH_SB_RECORD_WHOLE)
            return damaged(dir, "snapshot", at, no_record, err);
        if (r.op == MH_SB_RECORD_END)
            break;
        count++;
        if (!take(api, &r))
            return mh_fail(err, MH_E_NOMEM, "cannot load %s/snapshot", dir);
    }
    if (m->len && strtoull(r.key, NULL, 10) != count)
        return damaged(dir, "snapshot", at, "the number of objects is another", err);
    if (m->len)
        api->store.version = r.version;
    return MH_OK;
}

/* Is there a whole record anywhere behind? Then what is before it was not cut short. `first`: the
 * first of a group. */
static bool
good_behind(const char *text, size_t len, size_t at, bool first)
{
    uint32_t magic = MH_SB_DISK_MAGIC;
    struct mh_sb_record r;
    while (++at < len) {
        const char *hit = memmem(text + at, len - at, &magic, sizeof(magic));
        if (!hit)
            return false;
        at = (size_t)(hit - text);
        size_t end = at;
        if (mh_sb_record_get(text, len, &end, &r) == MH_SB_RECORD_WHOLE && (r.first || !first))
            return true;
    }
    return false;
}

/* Is a sector from here on still as the room was? No record has so many zeros. */
static bool
has_hole(const struct mapped *m, size_t at)
{
    size_t zeros = 0;
    for (size_t begin = at; at < m->len; at++) {
        zeros = m->text[at] ? 0 : zeros + 1;
        if ((at + 1) % SECTOR == 0 && (zeros >= SECTOR || zeros == at + 1 - begin))
            return true;
    }
    return false;
}

/* Is it only the end that is not there? `groups`: the log says where its groups begin. */
static bool
is_cut(enum mh_sb_record_state state, const struct mapped *m, size_t at, bool groups)
{
    if (state == MH_SB_RECORD_CUT && !good_behind(m->text, m->len, at, false))
        return true;
    return groups && has_hole(m, at) && !good_behind(m->text, m->len, at, true);
}

/* Up to where something is written. No record of a log ends with a zero: those at the end are the
 * room for more, or of a page that never came to the disk. */
static size_t
written(const char *text, size_t len)
{
    while (len && !text[len - 1])
        len--;
    return len;
}

static enum mh_code
read_log(struct mh_sb_api *api, const char *dir, const struct mapped *m, uint64_t *keep,
         struct mh_err *err)
{
    struct mh_sb_record r;
    size_t at = 0;
    uint64_t base = api->store.version;
    uint64_t last = 0;
    bool groups = false;
    while (at < m->len) {
        size_t start = at;
        enum mh_sb_record_state state = mh_sb_record_get(m->text, m->len, &at, &r);
        if (state != MH_SB_RECORD_WHOLE && !is_cut(state, m, at, groups))
            return damaged(dir, "log", at, no_record, err);
        if (state != MH_SB_RECORD_WHOLE) {
            mh_warn("sandbox", "an end of the log that was cut short is left out", "dir", dir);
            break;
        }
        if ((last && r.version != last + 1) || (!last && r.version > base + 1))
            return damaged(dir, "log", start, "records or a snapshot before it are missing", err);
        last = r.version;
        groups = groups || r.first;
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
    struct mapped records = { .text = log.text, .len = written(log.text, log.len) };
    if (code == MH_OK)
        code = read_log(api, dir, &records, keep, err);
    unmap(&snapshot);
    unmap(&log);
    mh_arena_release(&a);
    return code;
}
