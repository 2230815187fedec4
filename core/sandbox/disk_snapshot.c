/* Snapshots: all objects in one file, then the log begins anew. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sandbox/disk.h"

#define CHUNK ((size_t)1 << 20)

static bool
write_out(int fd, struct mh_buf *b)
{
    bool ok = mh_sb_disk_write(fd, b->data, b->len);
    mh_buf_reset(b);
    return ok;
}

static bool
put_resource(int fd, struct mh_buf *b, const struct mh_sb_resource *r, size_t *count)
{
    char name[512];
    mh_sb_record_resource(r, name, sizeof(name));
    for (size_t i = 0; i < r->table->len; i++) {
        const struct mh_sb_obj *o = r->table->items[i];
        struct mh_sb_record rec = { MH_SB_RECORD_PUT, false,   o->version, name,
                                    o->key,           o->text, o->len };
        (*count)++;
        if (!mh_sb_record_put(b, &rec) || (b->len > CHUNK && !write_out(fd, b)))
            return false;
    }
    return true;
}

/* CRDs first: without them the objects of their kinds have no place. */
static bool
put_all(struct mh_sb_api *api, int fd, struct mh_buf *b)
{
    char number[24];
    size_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < api->kinds.len; i++) {
            const struct mh_sb_resource *r = api->kinds.items[i];
            bool crd = !r->custom && strcmp(r->kind, "CustomResourceDefinition") == 0;
            if (r->gone || crd != (pass == 0) || (r->twin && *r->group))
                continue;
            if (!put_resource(fd, b, r, &count))
                return false;
        }
    }
    (void)snprintf(number, sizeof(number), "%zu", count);
    struct mh_sb_record end = { MH_SB_RECORD_END, false, api->store.version, "", number, "", 0 };
    return mh_sb_record_put(b, &end) && write_out(fd, b) && fsync(fd) == 0;
}

static bool
sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

enum mh_code
mh_sb_disk_snapshot(struct mh_sb_api *api, struct mh_err *err)
{
    struct mh_sb_disk *d = api->disk;
    struct mh_arena a;
    struct mh_buf b;
    mh_arena_init(&a, (size_t)1 << 16);
    mh_buf_init(&b, CHUNK + MH_SB_RECORD_MAX + 1024);
    char *temporary = mh_arena_printf(&a, "%s/snapshot.new", d->dir);
    char *path = mh_arena_printf(&a, "%s/snapshot", d->dir);
    int fd =
        temporary && path ? open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    bool ok = fd >= 0 && put_all(api, fd, &b);
    if (fd >= 0)
        close(fd);
    ok = ok && rename(temporary, path) == 0 && sync_dir(d->dir);
    enum mh_code code = MH_OK;
    if (!ok) {
        code = mh_fail(err, MH_E_IO, "cannot write %s/snapshot: %s", d->dir, strerror(errno));
        if (fd >= 0)
            (void)unlink(temporary); /* its place may be wanted by the log */
    }
    if (ok && ftruncate(d->log, 0) == 0) {
        d->log_size = d->room = 0;
        if (fsync(d->log) != 0)
            mh_sb_disk_fail(d, strerror(errno));
    }
    mh_buf_release(&b);
    mh_arena_release(&a);
    return code;
}
