/* volume_payload.c - volumes whose files come from objects: secret, configMap, downwardAPI,
 * projected. Written as the kubelet does: files in a new folder, and the link ..data moves over in
 * one step, so that a reader sees all of the old or all of the new. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "base/time.h"
#include "net/crypto.h"
#include "sandbox/node_in.h"
#include "sandbox/view.h"

#define FILES_MAX 256

struct item {
    const char *path;
    const char *data;
    size_t len;
    unsigned mode;
    bool own; /* only for the user of the pod */
};

struct files {
    struct mh_sb_pod *pod;
    struct mh_arena *a;
    const char *volume;
    unsigned mode;
    struct item items[FILES_MAX];
    size_t len;
};

static bool
fail(const struct files *f, const char *what, const char *name)
{
    (void)snprintf(f->pod->failure, sizeof(f->pod->failure),
                   "MountVolume.SetUp failed for volume \"%s\" : %s \"%s\"", f->volume, what, name);
    return false;
}

/* No "..", not absolute. */
static bool
is_safe(const char *path)
{
    if (!path || !*path || *path == '/')
        return false;
    for (const char *at = path; at; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL) {
        if (strncmp(at, "..", 2) == 0)
            return false;
    }
    return true;
}

static bool
add(struct files *f, const char *path, const char *data, size_t len, yyjson_val *mode)
{
    if (!is_safe(path))
        return fail(f, "not a path within the volume:", path ? path : "");
    if (f->len == FILES_MAX || !data)
        return fail(f, "too many files with", path);
    f->items[f->len++] = (struct item){
        .path = path,
        .data = data,
        .len = len,
        .mode = yyjson_is_int(mode) ? (unsigned)yyjson_get_int(mode) & 0777 : f->mode,
    };
    return true;
}

/* *len: of the bytes. */
static char *
decode(struct mh_arena *a, const char *text, size_t *len)
{
    size_t n = strlen(text);
    unsigned char *out = mh_arena_alloc(a, n / 4 * 3 + 4);
    int got = out && n % 4 == 0 ? EVP_DecodeBlock(out, (const unsigned char *)text, (int)n) : -1;
    if (got < 0)
        return NULL;
    for (size_t i = n; i > 0 && text[i - 1] == '='; i--)
        got--;
    *len = (size_t)got;
    out[got] = '\0';
    return (char *)out;
}

char *
mh_sb_base64_text(struct mh_arena *a, const char *text)
{
    size_t len;
    return text ? decode(a, text, &len) : NULL;
}

static bool
add_base64(struct files *f, const char *path, const char *text, yyjson_val *mode)
{
    size_t len = 0;
    const char *data = decode(f->a, text, &len);
    return data ? add(f, path, data, len, mode) : fail(f, "not base64:", path);
}

/* One key of a Secret or ConfigMap. */
static bool
add_key(struct files *f, yyjson_val *object, const char *key, const char *path, yyjson_val *mode,
        bool secret)
{
    yyjson_val *data = yyjson_obj_get(yyjson_obj_get(object, "data"), key);
    yyjson_val *binary = yyjson_obj_get(yyjson_obj_get(object, "binaryData"), key);
    if (data && !secret)
        return add(f, path, yyjson_get_str(data), yyjson_get_len(data), mode);
    if (data || binary)
        return add_base64(f, path, yyjson_get_str(data ? data : binary), mode);
    return fail(f, "references non-existent key:", key);
}

static bool
add_all(struct files *f, yyjson_val *object, bool secret)
{
    static const char *const parts[] = { "data", "binaryData" };
    for (int k = 0; k < 2; k++) {
        size_t i;
        size_t max;
        yyjson_val *key;
        yyjson_val *value;
        yyjson_obj_foreach(yyjson_obj_get(object, parts[k]), i, max, key, value)
        {
            (void)value;
            const char *name = yyjson_get_str(key);
            if (!add_key(f, object, name, name, NULL, secret))
                return false;
        }
    }
    return true;
}

static bool
add_object(struct files *f, yyjson_val *source, const char *name, bool secret)
{
    const struct mh_sb_ref *r = mh_sb_ref_get(f->pod->nodes, secret ? "secrets" : "configmaps",
                                              f->pod->ns, name ? name : "");
    bool optional = mh_json_bool(source, false, "optional", NULL);
    if (r && r->state == MH_SB_REF_MISSING && optional)
        return true;
    if (!r || r->state != MH_SB_REF_THERE)
        return fail(f, secret ? "not found: secret" : "not found: configmap", name ? name : "");
    yyjson_val *items = yyjson_obj_get(source, "items");
    yyjson_val *item;
    size_t i;
    size_t max;
    if (yyjson_arr_size(items) == 0)
        return add_all(f, r->object, secret);
    yyjson_arr_foreach(items, i, max, item)
    {
        const char *key = mh_json_str(item, "key", NULL);
        bool there = key && (yyjson_obj_get(yyjson_obj_get(r->object, "data"), key) ||
                             yyjson_obj_get(yyjson_obj_get(r->object, "binaryData"), key));
        if (!there && optional)
            continue;
        if (!add_key(f, r->object, key ? key : "", mh_json_str(item, "path", NULL),
                     yyjson_obj_get(item, "mode"), secret))
            return false;
    }
    return true;
}

static bool
add_downward(struct files *f, yyjson_val *source)
{
    yyjson_val *item;
    size_t i;
    size_t max;
    yyjson_arr_foreach(yyjson_obj_get(source, "items"), i, max, item)
    {
        const char *field = mh_json_str(item, "fieldRef", "fieldPath", NULL);
        const char *text = field ? mh_sb_pod_field(f->pod, f->a, field) : "0";
        const char *path = mh_json_str(item, "path", NULL);
        if (!text)
            return fail(f, "no such field:", field);
        if (!add(f, path, text, strlen(text), yyjson_obj_get(item, "mode")))
            return false;
    }
    return true;
}

static bool
add_token(struct files *f, yyjson_val *source)
{
    const char *audience = mh_json_str(source, "audience", NULL);
    const char *path = mh_json_str(source, "path", NULL);
    const char *token = mh_sb_token_get(f->pod, audience ? audience : "",
                                        mh_json_int(source, 3600, "expirationSeconds", NULL));
    if (!token)
        return fail(f, "no token yet for", path ? path : "");
    token = mh_arena_strdup(f->a, token);
    if (!token || !add(f, path, token, strlen(token), NULL))
        return false;
    f->items[f->len - 1].own = true;
    f->items[f->len - 1].mode = 0600;
    return true;
}

static bool
add_projected(struct files *f, yyjson_val *sources)
{
    yyjson_val *s;
    size_t i;
    size_t max;
    bool fine = true;
    yyjson_arr_foreach(sources, i, max, s)
    {
        yyjson_val *secret = yyjson_obj_get(s, "secret");
        yyjson_val *map = yyjson_obj_get(s, "configMap");
        yyjson_val *token = yyjson_obj_get(s, "serviceAccountToken");
        if (secret)
            fine = add_object(f, secret, mh_json_str(secret, "name", NULL), true) && fine;
        else if (map)
            fine = add_object(f, map, mh_json_str(map, "name", NULL), false) && fine;
        else if (token)
            fine = add_token(f, token) && fine;
        else
            fine = add_downward(f, yyjson_obj_get(s, "downwardAPI")) && fine;
    }
    return fine;
}

/* --- on disk --------------------------------------------------------------------------------- */

static bool
write_item(const struct files *f, const char *dir, const struct item *i)
{
    char path[MH_SB_PATH + 600];
    unsigned uid;
    unsigned gid;
    if (snprintf(path, sizeof(path), "%s/%s", dir, i->path) >= (int)sizeof(path))
        return false;
    for (char *slash = strchr(path + strlen(dir) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0755);
        *slash = '/';
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool fine = fd >= 0 && write(fd, i->data, i->len) == (ssize_t)i->len;
    unsigned mode = i->mode;
    if (fine && !mh_sb_view_with_users()) {
        mh_sb_pod_ids(f->pod, NULL, &uid, &gid);
        unsigned group =
            (unsigned)mh_json_int(f->pod->object, gid, "spec", "securityContext", "fsGroup", NULL);
        if (!i->own)
            mode |= (mode & 0400) >> 3; /* the group may read what the owner may */
        fine = fchown(fd, i->own ? uid : 0, group) == 0;
    }
    fine = fine && fchmod(fd, mode) == 0;
    if (fd >= 0)
        (void)close(fd);
    return fine;
}

/* The visible name is a link into ..data. */
static void
link_item(const char *dir, const char *path)
{
    char top[300];
    char link[MH_SB_PATH + 600];
    char target[400];
    char is[400];
    mh_str_copy(top, sizeof(top), path);
    top[strcspn(top, "/")] = '\0';
    (void)snprintf(link, sizeof(link), "%s/%s", dir, top);
    (void)snprintf(target, sizeof(target), "..data/%s", top);
    ssize_t n = readlink(link, is, sizeof(is) - 1);
    if (n > 0 && (size_t)n == strlen(target) && memcmp(is, target, (size_t)n) == 0)
        return;
    (void)unlink(link);
    (void)symlink(target, link);
}

/* Links whose file is gone. */
static void
drop_stale(const char *dir, const struct files *f)
{
    char path[MH_SB_PATH + 900];
    DIR *d = opendir(dir);
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        bool keep = e->d_name[0] == '.' && (e->d_name[1] == '.' || e->d_name[1] == '\0');
        size_t n = strlen(e->d_name);
        for (size_t i = 0; i < f->len && !keep; i++)
            keep = strncmp(f->items[i].path, e->d_name, n) == 0 &&
                   (f->items[i].path[n] == '\0' || f->items[i].path[n] == '/');
        if (keep)
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        (void)unlink(path);
    }
    if (d)
        (void)closedir(d);
}

/* The folder's name is the hash of what is in it: equal content is not written again. */
static const char *
hash_of(const struct files *f)
{
    struct mh_buf b;
    char hex[65];
    mh_buf_init(&b, (size_t)16 << 20);
    for (size_t i = 0; i < f->len; i++) {
        (void)mh_buf_printf(&b, "%s %u %zu ", f->items[i].path, f->items[i].mode, f->items[i].len);
        (void)mh_buf_add(&b, f->items[i].data, f->items[i].len);
    }
    mh_sha256_hex(hex, mh_buf_text(&b), b.len);
    mh_buf_release(&b);
    return mh_arena_strndup(f->a, hex, 20);
}

static bool
write_all(const struct files *f, const char *dir)
{
    const char *hash = hash_of(f);
    const char *fresh = mh_arena_printf(f->a, "%s/..%s", dir, hash);
    const char *name = mh_arena_printf(f->a, "..%s", hash);
    const char *data = mh_arena_printf(f->a, "%s/..data", dir);
    const char *moving = mh_arena_printf(f->a, "%s/..data_tmp", dir);
    char old[128];
    if (!fresh || !name || !data || !moving)
        return fail(f, "no memory for", f->volume);
    ssize_t n = readlink(data, old, sizeof(old) - 1);
    old[n > 0 ? n : 0] = '\0';
    if (strcmp(old, name) == 0)
        return true;
    mh_sb_tree_remove(fresh);
    if (mkdir(fresh, 0755) != 0)
        return fail(f, strerror(errno), fresh);
    (void)chmod(fresh, 0755);
    for (size_t i = 0; i < f->len; i++) {
        if (!write_item(f, fresh, &f->items[i]))
            return fail(f, strerror(errno), f->items[i].path);
    }
    (void)unlink(moving);
    if (symlink(name, moving) != 0 || rename(moving, data) != 0)
        return fail(f, strerror(errno), "..data");
    for (size_t i = 0; i < f->len; i++)
        link_item(dir, f->items[i].path);
    drop_stale(dir, f);
    if (old[0])
        mh_sb_tree_remove(mh_arena_printf(f->a, "%s/%s", dir, old));
    return true;
}

bool
mh_sb_payload_make(struct mh_sb_pod *p, yyjson_val *volume, const char *dir)
{
    static const char *const kinds[] = { "secret", "configMap", "projected", "downwardAPI" };
    struct mh_arena a;
    struct files *f;
    yyjson_val *source = NULL;
    int kind = -1;
    while (!source && ++kind < 4)
        source = yyjson_obj_get(volume, kinds[kind]);
    mh_arena_init(&a, (size_t)32 << 20);
    f = mh_arena_alloc(&a, sizeof(*f));
    bool fine = false;
    if (f && source) {
        f->pod = p;
        f->a = &a;
        f->volume = mh_json_str(volume, "name", NULL);
        f->mode = (unsigned)mh_json_int(source, 0644, "defaultMode", NULL) & 0777;
        if (kind == 0)
            fine = add_object(f, source, mh_json_str(source, "secretName", NULL), true);
        else if (kind == 1)
            fine = add_object(f, source, mh_json_str(source, "name", NULL), false);
        else if (kind == 2)
            fine = add_projected(f, yyjson_obj_get(source, "sources"));
        else
            fine = add_downward(f, source);
        fine = fine && write_all(f, dir);
    }
    mh_arena_release(&a);
    return fine;
}
