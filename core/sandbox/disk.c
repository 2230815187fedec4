/* The log on disk: records, group commit. */
#include "sandbox/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/log.h"
#include "base/str.h"

#define PENDING_MAX ((size_t)256 << 20)
#define LOG_MIN ((uint64_t)16 << 20)
#define ROOM ((uint64_t)1 << 20)
#define FIRST 0x80 /* in the byte of the op */

/* magic, length of what follows, its CRC-32, CRC-32 of these three; then op, version, resource\0,
 * key\0, text */
struct head {
    uint32_t magic;
    uint32_t len;
    uint32_t sum;
    uint32_t own;
};

static uint32_t
sum_of(const void *text, size_t len)
{
    return (uint32_t)crc32(0, text, (unsigned)len);
}

bool
mh_sb_record_put(struct mh_buf *b, const struct mh_sb_record *r)
{
    unsigned char op = (unsigned char)(r->op | (r->first ? FIRST : 0));
    size_t start = b->len;
    size_t names = strlen(r->resource) + 1 + strlen(r->key) + 1;
    struct head h = { .magic = MH_SB_DISK_MAGIC,
                      .len = (uint32_t)(1 + sizeof(r->version) + names + r->len) };
    if (r->len + names > MH_SB_RECORD_MAX || !mh_buf_add(b, &h, sizeof(h)) ||
        !mh_buf_add(b, &op, 1) || !mh_buf_add(b, &r->version, sizeof(r->version)) ||
        !mh_buf_add(b, r->resource, strlen(r->resource) + 1) ||
        !mh_buf_add(b, r->key, strlen(r->key) + 1) ||
        !mh_buf_add(b, r->text ? r->text : "", r->len))
        return false;
    h.sum = sum_of(b->data + start + sizeof(h), h.len);
    h.own = sum_of(&h, offsetof(struct head, own));
    memcpy(b->data + start, &h, sizeof(h));
    return true;
}

static bool
only_zeros(const char *text, size_t len)
{
    return len == 0 || (!text[0] && memcmp(text, text + 1, len - 1) == 0);
}

enum mh_sb_record_state
mh_sb_record_get(const char *text, size_t len, size_t *at, struct mh_sb_record *r)
{
    struct head h;
    size_t left = len - *at;
    if (only_zeros(text + *at, left))
        return MH_SB_RECORD_CUT;
    if (left < sizeof(h)) /* nobody can tell what these few bytes were */
        return MH_SB_RECORD_CUT;
    memcpy(&h, text + *at, sizeof(h));
    const char *body = text + *at + sizeof(h);
    if (h.magic != MH_SB_DISK_MAGIC || h.own != sum_of(&h, offsetof(struct head, own)) ||
        h.len > MH_SB_RECORD_MAX + 64 || h.len < 11)
        return MH_SB_RECORD_BAD;
    if (h.len > left - sizeof(h))
        return MH_SB_RECORD_CUT;
    if (h.sum != sum_of(body, h.len))
        return MH_SB_RECORD_BAD;
    const char *end = body + h.len;
    r->op = (enum mh_sb_record_op)((unsigned char)body[0] & ~(unsigned)FIRST);
    r->first = (body[0] & FIRST) != 0;
    memcpy(&r->version, body + 1, sizeof(r->version));
    r->resource = body + 1 + sizeof(r->version);
    const char *nul = memchr(r->resource, '\0', (size_t)(end - r->resource));
    if (!nul)
        return MH_SB_RECORD_BAD;
    r->key = nul + 1;
    nul = memchr(r->key, '\0', (size_t)(end - r->key));
    if (!nul)
        return MH_SB_RECORD_BAD;
    r->text = nul + 1;
    r->len = (size_t)(end - r->text);
    *at += sizeof(h) + h.len;
    return MH_SB_RECORD_WHOLE;
}

/* --- opening --------------------------------------------------------------------------------- */

static char *
path_of(struct mh_arena *a, const char *dir, const char *name)
{
    return mh_arena_printf(a, "%s/%s", dir, name);
}

static enum mh_code
take_lock(struct mh_sb_disk *d, struct mh_arena *a, struct mh_err *err)
{
    char *path = path_of(a, d->dir, "lock");
    d->lock = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (d->lock < 0)
        return mh_fail(err, MH_E_IO, "cannot open %s/lock: %s", d->dir, strerror(errno));
    if (flock(d->lock, LOCK_EX | LOCK_NB) != 0)
        return mh_fail(err, MH_E_IO,
                       "another sandbox uses %s. HINT: end it, or give another directory", d->dir);
    return MH_OK;
}

/* Notes for the collector: what was under way goes on. */
static void
note_all(struct mh_sb_api *api)
{
    for (int i = 0; i < api->kinds.len; i++) {
        struct mh_sb_resource *r = api->kinds.items[i];
        if (r->twin && *r->group)
            continue;
        for (size_t j = 0; j < r->table->len; j++) {
            struct mh_sb_obj *o = r->table->items[j];
            if (o->nowners || o->deleting)
                mh_sb_gc_note(api, r, NULL, o, false);
        }
        mh_sb_table_compact(r->table, &api->store);
        r->told = r->table->changed;
    }
}

static enum mh_code
open_log(struct mh_sb_disk *d, struct mh_arena *a, uint64_t keep, struct mh_err *err)
{
    char *path = path_of(a, d->dir, "log");
    d->log = path ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
    d->log_size = d->room = keep;
    if (d->log < 0 || ftruncate(d->log, (off_t)keep) != 0 || fsync(d->log) != 0)
        return mh_fail(err, MH_E_IO, "cannot open %s/log: %s", d->dir, strerror(errno));
    return MH_OK;
}

enum mh_code
mh_sb_disk_open(struct mh_sb_api *api, const struct mh_sb_config *config, struct mh_err *err)
{
    const char *dir = config->data_dir;
    struct mh_arena a;
    uint64_t keep = 0;
    struct mh_sb_disk *d = mh_calloc(1, sizeof(*d));
    char *own = mh_strdup(dir);
    if (!d || !own) {
        mh_free(d);
        mh_free(own);
        return mh_fail(err, MH_E_NOMEM, "no memory for the log on disk");
    }
    d->dir = own;
    d->lock = d->log = -1;
    d->snapshot_at = LOG_MIN;
    d->on_broken = config->on_broken;
    d->arg = config->arg;
    mh_buf_init(&d->pending, PENDING_MAX);
    mh_arena_init(&a, (size_t)1 << 20);
    enum mh_code code = MH_OK;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        code = mh_fail(err, MH_E_IO, "cannot make %s: %s", dir, strerror(errno));
    if (code == MH_OK)
        code = take_lock(d, &a, err);
    api->disk = d;
    if (code == MH_OK)
        code = mh_sb_disk_load(api, dir, &keep, err);
    if (code == MH_OK)
        code = open_log(d, &a, keep, err);
    if (code == MH_OK) {
        note_all(api);
        mh_sb_wake(api); /* CRDs that were not established */
    }
    d->synced = d->logged = api->store.version;
    mh_arena_release(&a);
    return code;
}

void
mh_sb_disk_free(struct mh_sb_api *api)
{
    struct mh_sb_disk *d = api->disk;
    if (!d)
        return;
    (void)mh_sb_disk_sync(api);
    if (d->log >= 0) {
        if (ftruncate(d->log, (off_t)d->log_size) != 0) /* the room ahead */
            mh_info("sandbox", "the log keeps its zeros", "dir", d->dir);
        close(d->log);
    }
    if (d->lock >= 0)
        close(d->lock);
    mh_buf_release(&d->pending);
    mh_free(d->dir);
    mh_free(d);
    api->disk = NULL;
}

/* --- writing --------------------------------------------------------------------------------- */

void
mh_sb_disk_fail(struct mh_sb_disk *d, const char *why)
{
    struct mh_err err = { 0 };
    (void)mh_fail(&err, MH_E_IO,
                  "%s/log cannot be written at byte %llu: %s. HINT: make room and start again with "
                  "the same directory: all that was acknowledged is there",
                  d->dir, (unsigned long long)d->log_size, why);
    mh_str_copy(d->why, sizeof(d->why), err.msg);
    d->broken = true;
    mh_error("sandbox", "the data directory cannot be written", "dir", d->dir, "error", why);
}

void
mh_sb_disk_log(struct mh_sb_api *api, const struct mh_sb_resource *r, const struct mh_sb_obj *o,
               bool removed)
{
    struct mh_sb_disk *d = api->disk;
    char name[512];
    if (!d || d->broken || d->log < 0)
        return;
    if (r->twin && *r->group)
        r = r->twin;
    mh_sb_record_resource(r, name, sizeof(name));
    struct mh_sb_record rec = { .op = removed ? MH_SB_RECORD_REMOVE : MH_SB_RECORD_PUT,
                                .first = d->pending.len == 0,
                                .version = o->version,
                                .resource = name,
                                .key = o->key,
                                .text = o->text,
                                .len = o->len };
    if (!mh_sb_record_put(&d->pending, &rec))
        mh_sb_disk_fail(d, "no memory");
    d->logged = o->version;
}

bool
mh_sb_disk_synced(const struct mh_sb_api *api, uint64_t version)
{
    return !api->disk || version <= api->disk->synced;
}

bool
mh_sb_disk_write(int fd, const char *text, size_t len)
{
    while (len) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text += n;
        len -= (size_t)n;
    }
    return true;
}

static bool
write_at(int fd, const char *text, size_t len, uint64_t at)
{
    while (len) {
        ssize_t n = pwrite(fd, text, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text += n;
        len -= (size_t)n;
        at += (uint64_t)n;
    }
    return true;
}

/* Zeros where the next records will be. What is written over does not change the file's length, so
 * that fdatasync need not wait for the file system's journal and all that others have put into it. */
static void
make_room(struct mh_sb_disk *d)
{
    static const char zeros[64 << 10];
    uint64_t end = d->log_size + d->pending.len;
    if (end <= d->room)
        return;
    d->room = d->room > d->log_size ? d->room : d->log_size;
    for (uint64_t to = end + ROOM; d->room < to; d->room += sizeof(zeros)) {
        if (!write_at(d->log, zeros, sizeof(zeros), d->room))
            return; /* a full disk: the records may still have their place */
    }
}

bool
mh_sb_disk_sync(struct mh_sb_api *api)
{
    struct mh_sb_disk *d = api->disk;
    if (!d || d->log < 0 || (!d->pending.len && !d->broken))
        return true;
    if (d->broken)
        return false;
    make_room(d);
    if (!write_at(d->log, d->pending.data, d->pending.len, d->log_size) || fdatasync(d->log) != 0) {
        mh_sb_disk_fail(d, strerror(errno));
        if (ftruncate(d->log, (off_t)d->log_size) != 0)
            mh_warn("sandbox", "the next start cuts the log", "dir", d->dir);
    } else {
        d->log_size += d->pending.len;
        d->synced = d->logged;
    }
    mh_buf_reset(&d->pending);
    return !d->broken;
}

/* --- answers --------------------------------------------------------------------------------- */

void
mh_sb_answered(struct mh_sb_op *op)
{
    struct mh_sb_api *api = op->api;
    if (op->req->at_once || !api->disk || api->store.version <= api->disk->synced) {
        op->req->done(op->req);
        return;
    }
    op->next = api->waiting;
    api->waiting = op;
    mh_sb_wake(api);
}

/* All that waited gets its answer, in the order in which it came. */
static void
answer_waiting(struct mh_sb_api *api)
{
    struct mh_sb_op *op = api->waiting;
    struct mh_sb_op *first = NULL;
    api->waiting = NULL;
    while (op) {
        struct mh_sb_op *next = op->next;
        op->next = first;
        first = op;
        op = next;
    }
    while (first) {
        struct mh_sb_op *next = first->next;
        if (api->disk && api->disk->broken)
            mh_sb_refuse(
                first->req, 500, "InternalError",
                mh_arena_printf(first->arena, "Internal error occurred: %s", api->disk->why));
        first->req->done(first->req);
        first = next;
    }
}

void
mh_sb_disk_flush(struct mh_sb_api *api)
{
    struct mh_sb_disk *d = api->disk;
    struct mh_err err;
    if (!d)
        return;
    (void)mh_sb_disk_sync(api);
    if (!d->broken && d->log_size > d->snapshot_at && d->log_size > 2 * api->store.bytes) {
        bool done = mh_sb_disk_snapshot(api, &err) == MH_OK;
        if (!done)
            mh_warn("sandbox", "no snapshot was written", "error", err.msg);
        d->snapshot_at = done ? LOG_MIN : d->log_size + LOG_MIN;
    }
    answer_waiting(api);
    if (d->broken && !d->told) {
        d->told = true;
        if (d->on_broken)
            d->on_broken(d->arg, d->why);
    }
}
