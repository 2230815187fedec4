/* Files of the test world. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "harness/world_impl.h"

struct file {
    char *path;
    char *text; /* NULL: removed, known only for what power failure brings back */
    size_t len;
    int mode;
    bool folder;
    char *durable; /* what a power failure leaves; NULL: nothing */
    size_t durable_len;
    int durable_mode;
};

struct fault {
    char *op;
    char *part;
    enum mh_code code;
    int after;
    int times;
};

static struct file *
find(const struct tw *tw, const char *path)
{
    for (int i = 0; i < tw->state->files.len; i++) {
        struct file *f = tw->state->files.items[i];
        if (strcmp(f->path, path) == 0)
            return f;
    }
    return NULL;
}

static struct file *
make(struct tw *tw, const char *path)
{
    struct file *f = find(tw, path);
    if (f)
        return f;
    f = tw_alloc(sizeof(*f));
    f->path = tw_dup(path);
    tw_add(&tw->state->files, f);
    return f;
}

static char *
bytes(const char *p, size_t n)
{
    char *copy = tw_alloc(n + 1);
    return memcpy(copy, p, n);
}

static void
set(char **to, size_t *to_len, const char *p, size_t n)
{
    char *copy = p ? bytes(p, n) : NULL;
    free(*to);
    *to = copy;
    *to_len = n;
}

static void
make_durable(struct file *f)
{
    set(&f->durable, &f->durable_len, f->text, f->len);
    f->durable_mode = f->mode;
}

/* Does a fault strike this operation? */
static enum mh_code
struck(struct tw *tw, const char *op, const char *path, struct mh_err *err)
{
    for (int i = 0; i < tw->state->faults.len; i++) {
        struct fault *f = tw->state->faults.items[i];
        if ((f->op && strcmp(f->op, op) != 0) || (f->part && !strstr(path, f->part)) ||
            f->times == 0)
            continue;
        if (f->after > 0) {
            f->after--;
            continue;
        }
        if (f->times > 0)
            f->times--;
        return mh_fail(err, f->code, "cannot %s %s: injected", op, path);
    }
    return MH_OK;
}

static enum mh_code
fs_read(void *self, struct mh_arena *a, const char *path, size_t limit, char **text, size_t *len,
        struct mh_err *err)
{
    enum mh_code code = struck(self, "read", path, err);
    struct file *f = find(self, path);
    if (code != MH_OK)
        return code;
    if (!f || !f->text)
        return mh_fail(err, MH_E_NOTFOUND, "cannot read %s: not there", path);
    if (f->len > limit)
        return mh_fail(err, MH_E_LIMIT, "%s is larger than %zu bytes", path, limit);
    *text = mh_arena_strndup(a, f->text, f->len);
    if (len)
        *len = f->len;
    return *text ? MH_OK : mh_fail(err, MH_E_NOMEM, "no memory for %s", path);
}

static enum mh_code
fs_write(void *self, const char *path, const char *text, size_t len, int mode, bool durable,
         bool *changed, struct mh_err *err)
{
    enum mh_code code = struck(self, "write", path, err);
    if (changed)
        *changed = false;
    if (code != MH_OK)
        return code;
    struct file *f = make(self, path);
    bool same = f->text && f->len == len && f->mode == mode && memcmp(f->text, text, len) == 0;
    if (!same) {
        set(&f->text, &f->len, text, len);
        f->mode = mode;
    }
    if (durable)
        make_durable(f);
    if (changed)
        *changed = !same;
    return MH_OK;
}

static bool
fs_exists(void *self, const char *path)
{
    struct tw *tw = self;
    size_t n = strlen(path);
    for (int i = 0; i < tw->state->files.len; i++) {
        struct file *f = tw->state->files.items[i];
        if ((f->text || f->folder) && mh_str_starts(f->path, path) &&
            (f->path[n] == '\0' || f->path[n] == '/'))
            return true;
    }
    return false;
}

static enum mh_code
fs_remove(void *self, const char *path, struct mh_err *err)
{
    enum mh_code code = struck(self, "remove", path, err);
    struct file *f = find(self, path);
    if (code == MH_OK && f) {
        set(&f->text, &f->len, NULL, 0);
        f->folder = false;
    }
    return code;
}

static enum mh_code
fs_rename(void *self, const char *from, const char *to, struct mh_err *err)
{
    enum mh_code code = struck(self, "rename", from, err);
    struct file *f = find(self, from);
    if (code != MH_OK)
        return code;
    if (!f || !f->text)
        return mh_fail(err, MH_E_NOTFOUND, "cannot rename %s: not there", from);
    struct file *t = make(self, to);
    set(&t->text, &t->len, f->text, f->len);
    t->mode = f->mode;
    make_durable(t);
    set(&f->text, &f->len, NULL, 0);
    make_durable(f);
    return MH_OK;
}

static enum mh_code
fs_mkdir(void *self, const char *path, int mode, struct mh_err *err)
{
    enum mh_code code = struck(self, "mkdir", path, err);
    if (code != MH_OK)
        return code;
    struct file *f = make(self, path);
    if (f->text)
        return mh_fail(err, MH_E_IO, "cannot make folder %s: a file is there", path);
    f->folder = true;
    f->mode = mode;
    return MH_OK;
}

void
tw_file(struct tw *tw, const char *path, const char *text)
{
    struct file *f = make(tw, path);
    set(&f->text, &f->len, text, strlen(text));
    f->mode = 0600;
    make_durable(f);
}

const char *
tw_file_text(const struct tw *tw, const char *path)
{
    struct file *f = find(tw, path);
    return f ? f->text : NULL;
}

bool
tw_file_durable(const struct tw *tw, const char *path)
{
    struct file *f = find(tw, path);
    return f && f->text && f->durable && f->len == f->durable_len &&
           memcmp(f->text, f->durable, f->len) == 0;
}

int
tw_file_mode(const struct tw *tw, const char *path)
{
    struct file *f = find(tw, path);
    return f ? f->mode : -1;
}

static void
drop_faults(struct tw *tw)
{
    for (int i = 0; i < tw->state->faults.len; i++) {
        struct fault *f = tw->state->faults.items[i];
        free(f->op);
        free(f->part);
        free(f);
    }
    tw->state->faults.len = 0;
}

void
tw_fs_fail(struct tw *tw, const char *op, const char *part, enum mh_code code, int after, int times)
{
    if (code == MH_OK) {
        drop_faults(tw);
        return;
    }
    struct fault *f = tw_alloc(sizeof(*f));
    *f = (struct fault){ op ? tw_dup(op) : NULL, part ? tw_dup(part) : NULL, code, after, times };
    tw_add(&tw->state->faults, f);
}

void
tw_fs_crash(struct tw *tw)
{
    for (int i = 0; i < tw->state->files.len; i++) {
        struct file *f = tw->state->files.items[i];
        set(&f->text, &f->len, f->durable, f->durable_len);
        f->mode = f->durable ? f->durable_mode : f->mode;
    }
}

void
tw_fs_init(struct tw *tw)
{
    tw->world.fs =
        (struct mh_fs){ fs_read, fs_write, fs_exists, fs_remove, fs_rename, fs_mkdir, tw };
}

void
tw_fs_free(struct tw *tw)
{
    for (int i = 0; i < tw->state->files.len; i++) {
        struct file *f = tw->state->files.items[i];
        free(f->path);
        free(f->text);
        free(f->durable);
        free(f);
    }
    free(tw->state->files.items);
    drop_faults(tw);
    free(tw->state->faults.items);
}
