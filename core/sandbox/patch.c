/* patch.c - JSON Patch (RFC 6902) and merge patch (RFC 7386), with the leniencies and texts of the
 * library that the real server uses: replace of an absent key adds it, test of an absent key
 * against null holds, negative indexes count from the end. */
#include "sandbox/patch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one copy operation after another may add, as on the real server. */
#define COPY_MAX ((size_t)3 << 20)

struct patcher {
    yyjson_mut_doc *doc;
    struct mh_err *err;
    yyjson_mut_val *root;
    yyjson_val *op;
    const char *path;
    const char *from;
    size_t copied;
};

#define REFUSE(p, ...) mh_fail((p)->err, MH_E_REFUSED, __VA_ARGS__)

/* One token of a JSON pointer, decoded in place of a copy. */
static char *
token(yyjson_mut_doc *doc, const char *s, size_t n)
{
    yyjson_mut_val *copy = yyjson_mut_strncpy(doc, s, n);
    if (!copy)
        return NULL;
    /* our own copy: may be written */
    char *out = (char *)(uintptr_t)yyjson_mut_get_str(copy);
    char *w = out;
    for (const char *r = out; *r; r++) {
        if (r[0] == '~' && (r[1] == '1' || r[1] == '0')) {
            *w++ = r[1] == '1' ? '/' : '~';
            r++;
        } else {
            *w++ = *r;
        }
    }
    *w = 0;
    return out;
}

/* Go's Atoi. */
static bool
index_of(const char *s, long *out)
{
    char *end = NULL;
    const char *digits = *s == '-' || *s == '+' ? s + 1 : s;
    if (!*digits || strspn(digits, "0123456789") != strlen(digits))
        return false;
    *out = strtol(s, &end, 10);
    return *end == 0 && *out > -1000000000L && *out < 1000000000L;
}

/* Where in a list an existing element is; -1: nowhere. */
static long
place(yyjson_mut_val *list, const char *key)
{
    long i = 0;
    long n = (long)yyjson_mut_arr_size(list);
    if (!index_of(key, &i))
        return -1;
    if (i < 0)
        i += n;
    return i < 0 || i >= n ? -1 : i;
}

static yyjson_mut_val *
child(yyjson_mut_val *v, const char *key)
{
    if (yyjson_mut_is_obj(v))
        return yyjson_mut_obj_get(v, key);
    long i = yyjson_mut_is_arr(v) ? place(v, key) : -1;
    return i < 0 ? NULL : yyjson_mut_arr_get(v, (size_t)i);
}

/* The container that holds the last token of path, and that token. NULL: there is none. */
static yyjson_mut_val *
container(struct patcher *p, const char *path, char **key)
{
    yyjson_mut_val *at = p->root;
    const char *s = strchr(path, '/');
    *key = NULL;
    if (!s)
        return NULL;
    for (s++;;) {
        size_t n = strcspn(s, "/");
        char *t = token(p->doc, s, n);
        if (!t)
            return NULL;
        if (!s[n]) {
            *key = t;
            return at;
        }
        at = child(at, t);
        if (!yyjson_mut_is_obj(at) && !yyjson_mut_is_arr(at))
            return NULL;
        s += n + 1;
    }
}

static enum mh_code
bad_index(struct patcher *p, const char *what, const char *key)
{
    long i = 0;
    if (!index_of(key, &i))
        return REFUSE(p, "%s: strconv.Atoi: parsing \"%s\": invalid syntax", what, key);
    return REFUSE(p, "%s: Unable to access invalid index: %ld: invalid index referenced", what, i);
}

static enum mh_code
no_memory(struct patcher *p)
{
    return mh_fail(p->err, MH_E_NOMEM, "no memory for a patch");
}

static enum mh_code
put(struct patcher *p, yyjson_mut_val *in, char *key, yyjson_mut_val *v, const char *what)
{
    if (!v)
        return no_memory(p);
    if (yyjson_mut_is_obj(in)) {
        yyjson_mut_val *k = yyjson_mut_strcpy(p->doc, key);
        return k && yyjson_mut_obj_put(in, k, v) ? MH_OK : no_memory(p);
    }
    if (strcmp(key, "-") == 0)
        return yyjson_mut_arr_append(in, v) ? MH_OK : no_memory(p);
    long i = 0;
    long n = (long)yyjson_mut_arr_size(in) + 1;
    if (!index_of(key, &i))
        return REFUSE(p,
                      "%s: value was not a proper array index: '%s': strconv.Atoi: parsing "
                      "\"%s\": invalid syntax",
                      what, key, key);
    if (i >= n || i < -n)
        return bad_index(p, what, key);
    return yyjson_mut_arr_insert(in, v, (size_t)(i < 0 ? i + n : i)) ? MH_OK : no_memory(p);
}

static yyjson_mut_val *
value_of(struct patcher *p)
{
    yyjson_val *v = yyjson_obj_get(p->op, "value");
    return v ? yyjson_val_mut_copy(p->doc, v) : yyjson_mut_null(p->doc);
}

static char *
what(struct patcher *p, const char *verb, const char *path)
{
    yyjson_mut_val *t = NULL;
    size_t n = strlen(verb) + strlen(path) + 32;
    char *buf = mh_malloc(n);
    if (buf) {
        snprintf(buf, n, "error in %s: '%s'", verb, path);
        t = yyjson_mut_strcpy(p->doc, buf);
        mh_free(buf);
    }
    return t ? (char *)(uintptr_t)yyjson_mut_get_str(t) : NULL;
}

#define MISSING "missing value"

static enum mh_code
op_add(struct patcher *p)
{
    char *key = NULL;
    if (!p->path)
        return REFUSE(p, "add operation failed to decode path: " MISSING);
    yyjson_mut_val *in = container(p, p->path, &key);
    if (!in)
        return REFUSE(p, "add operation does not apply: doc is missing path: \"%s\": " MISSING,
                      p->path);
    return put(p, in, key, value_of(p), what(p, "add for path", p->path));
}

static enum mh_code
take(struct patcher *p, yyjson_mut_val *in, const char *key, const char *verb, const char *path)
{
    if (yyjson_mut_is_obj(in)) {
        if (!yyjson_mut_obj_get(in, key))
            return REFUSE(p, "error in %s: '%s': Unable to remove nonexistent key: %s: " MISSING,
                          verb, path, key);
        yyjson_mut_obj_remove_key(in, key);
        return MH_OK;
    }
    long i = place(in, key);
    if (i < 0)
        return bad_index(p, what(p, verb, path), key);
    yyjson_mut_arr_remove(in, (size_t)i);
    return MH_OK;
}

static enum mh_code
op_remove(struct patcher *p)
{
    char *key = NULL;
    if (!p->path)
        return REFUSE(p, "remove operation failed to decode path: " MISSING);
    yyjson_mut_val *in = container(p, p->path, &key);
    if (!in)
        return REFUSE(p, "remove operation does not apply: doc is missing path: \"%s\": " MISSING,
                      p->path);
    return take(p, in, key, "remove for path", p->path);
}

static enum mh_code
op_replace(struct patcher *p)
{
    char *key = NULL;
    yyjson_val *value = yyjson_obj_get(p->op, "value");
    if (!p->path)
        return REFUSE(p, "replace operation failed to decode path: operation missing path field: "
                         "" MISSING);
    if (!*p->path) {
        if (!yyjson_is_ctn(value))
            return REFUSE(p, "replace operation value must be object or array: %%!w(<nil>)");
        p->root = value_of(p);
        return p->root ? MH_OK : no_memory(p);
    }
    yyjson_mut_val *in = container(p, p->path, &key);
    if (!in)
        return REFUSE(p, "replace operation does not apply: doc is missing path: %s: " MISSING,
                      p->path);
    if (yyjson_mut_is_obj(in))
        return put(p, in, key, value_of(p), "");
    long i = place(in, key);
    if (i < 0)
        return REFUSE(p, "replace operation does not apply: doc is missing key: %s: " MISSING,
                      p->path);
    yyjson_mut_val *v = value_of(p);
    return v && yyjson_mut_arr_replace(in, (size_t)i, v) ? MH_OK : no_memory(p);
}

static enum mh_code
op_move(struct patcher *p)
{
    char *key = NULL;
    if (!p->from)
        return REFUSE(p, "move operation failed to decode from: operation, missing from field: "
                         "" MISSING);
    yyjson_mut_val *in = container(p, p->from, &key);
    if (!in)
        return REFUSE(p, "move operation does not apply: doc is missing from path: %s: " MISSING,
                      p->from);
    yyjson_mut_val *v = child(in, key);
    if (!v && yyjson_mut_is_arr(in))
        return bad_index(p, what(p, "move for path", key), key);
    v = v ? yyjson_mut_val_mut_copy(p->doc, v) : NULL;
    enum mh_code c = take(p, in, key, "move for path", key);
    if (c)
        return c;
    if (!p->path)
        return REFUSE(p, "move operation failed to decode path: operation missing path field: "
                         "" MISSING);
    in = container(p, p->path, &key);
    if (!in)
        return REFUSE(p,
                      "move operation does not apply: doc is missing destination path: %s: "
                      "" MISSING,
                      p->path);
    return put(p, in, key, v, what(p, "move for path", p->path));
}

static enum mh_code
op_test(struct patcher *p)
{
    char *key = NULL;
    if (!p->path)
        return REFUSE(p, "test operation failed to decode path: operation missing path field: "
                         "" MISSING);
    yyjson_mut_val *want = value_of(p);
    yyjson_mut_val *got = p->root;
    if (!want)
        return no_memory(p);
    if (*p->path) {
        yyjson_mut_val *in = container(p, p->path, &key);
        if (!in)
            return REFUSE(p, "test operation does not apply: is missing path: %s: " MISSING,
                          p->path);
        got = child(in, key);
        if (!got && yyjson_mut_is_arr(in))
            return bad_index(p, what(p, "test for path", p->path), key);
    }
    if (got ? yyjson_mut_equals(got, want) : yyjson_mut_is_null(want))
        return MH_OK;
    return REFUSE(p, "testing value %s failed: test failed", p->path);
}

static enum mh_code
op_copy(struct patcher *p)
{
    char *key = NULL;
    size_t len = 0;
    if (!p->from)
        return REFUSE(p, "copy operation failed to decode from: operation, missing from field: "
                         "" MISSING);
    yyjson_mut_val *in = container(p, p->from, &key);
    if (!in)
        return REFUSE(p, "copy operation does not apply: doc is missing from path: %s: " MISSING,
                      p->from);
    yyjson_mut_val *v = child(in, key);
    if (!v && yyjson_mut_is_arr(in))
        return bad_index(p, what(p, "copy for from", p->from), key);
    if (!p->path)
        return REFUSE(p, "copy operation failed to decode path: " MISSING);
    in = container(p, p->path, &key);
    if (!in)
        return REFUSE(p,
                      "copy operation does not apply: doc is missing destination path: %s: "
                      "" MISSING,
                      p->path);
    char *text = v ? yyjson_mut_val_write_opts(v, 0, &p->doc->alc, &len, NULL) : NULL;
    if (v && !text)
        return no_memory(p);
    p->copied += len;
    if (p->copied > COPY_MAX)
        return REFUSE(p,
                      "Unable to complete the copy, the accumulated size increase of copy is %zu, "
                      "exceeding the limit %zu",
                      p->copied, COPY_MAX);
    return put(p, in, key, v ? yyjson_mut_val_mut_copy(p->doc, v) : yyjson_mut_null(p->doc),
               "error while adding value during copy");
}

static enum mh_code
operate(struct patcher *p, yyjson_val *op)
{
    static const struct {
        const char *name;
        enum mh_code (*run)(struct patcher *);
    } ops[] = { { "add", op_add },   { "remove", op_remove }, { "replace", op_replace },
                { "move", op_move }, { "test", op_test },     { "copy", op_copy } };
    const char *kind = mh_json_str(op, "op", NULL);
    p->op = op;
    p->path = mh_json_str(op, "path", NULL);
    p->from = mh_json_str(op, "from", NULL);
    for (size_t i = 0; kind && i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (strcmp(kind, ops[i].name) == 0)
            return ops[i].run(p);
    }
    return REFUSE(p, "Unexpected kind: %s", kind ? kind : "unknown");
}

/* What Go says when it reads a value of this type into something else. */
static const char *
go_type(yyjson_val *v)
{
    return yyjson_is_obj(v)    ? "object"
           : yyjson_is_arr(v)  ? "array"
           : yyjson_is_str(v)  ? "string"
           : yyjson_is_num(v)  ? "number"
           : yyjson_is_bool(v) ? "bool"
                               : "null";
}

enum mh_code
mh_sb_patch_json(yyjson_mut_doc *doc, yyjson_val *obj, yyjson_val *patch, yyjson_mut_val **out,
                 struct mh_err *err)
{
    size_t i;
    size_t max;
    yyjson_val *op;
    struct patcher p = { .doc = doc, .err = err };
    if (!yyjson_is_arr(patch) && !yyjson_is_null(patch))
        return mh_fail(err, MH_E_INVALID,
                       "error decoding patch: json: cannot unmarshal %s into Go value of type "
                       "[]handlers.jsonPatchOp",
                       go_type(patch));
    yyjson_arr_foreach(patch, i, max, op)
    {
        if (!yyjson_is_obj(op) && !yyjson_is_null(op))
            return mh_fail(err, MH_E_INVALID,
                           "error decoding patch: json: cannot unmarshal %s into Go value of type "
                           "handlers.jsonPatchOp",
                           go_type(op));
    }
    if (yyjson_arr_size(patch) > MH_SB_PATCH_OPS_MAX)
        return mh_fail(err, MH_E_LIMIT,
                       "The allowed maximum operations in a JSON patch is %d, got %zu",
                       MH_SB_PATCH_OPS_MAX, yyjson_arr_size(patch));
    p.root = yyjson_val_mut_copy(doc, obj);
    if (!p.root)
        return no_memory(&p);
    yyjson_arr_foreach(patch, i, max, op)
    {
        enum mh_code c = operate(&p, op);
        if (c)
            return c;
    }
    *out = p.root;
    return MH_OK;
}

/* A copy of a patch without the nulls of its objects. */
static yyjson_mut_val *
without_nulls(yyjson_mut_doc *doc, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    if (yyjson_is_arr(v)) {
        yyjson_mut_val *out = yyjson_mut_arr(doc);
        yyjson_arr_foreach(v, i, max, item)
        {
            if (!yyjson_mut_arr_append(out, without_nulls(doc, item)))
                return NULL;
        }
        return out;
    }
    if (!yyjson_is_obj(v))
        return yyjson_val_mut_copy(doc, v);
    yyjson_mut_val *out = yyjson_mut_obj(doc);
    yyjson_obj_foreach(mh_sb_obj_or_none(v), i, max, key, item)
    {
        if (yyjson_is_null(item))
            continue;
        yyjson_mut_val *k = yyjson_mut_strncpy(doc, yyjson_get_str(key), yyjson_get_len(key));
        yyjson_mut_val *sub = without_nulls(doc, item);
        if (!k || !sub || !yyjson_mut_obj_put(out, k, sub))
            return NULL;
    }
    return out;
}

static bool
merge(yyjson_mut_doc *doc, yyjson_mut_val *into, yyjson_val *patch)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    yyjson_obj_foreach(mh_sb_obj_or_none(patch), i, max, key, item)
    {
        const char *name = yyjson_get_str(key);
        yyjson_mut_val *now = yyjson_mut_obj_get(into, name);
        if (yyjson_is_null(item)) {
            yyjson_mut_obj_remove_key(into, name);
        } else if (yyjson_mut_is_obj(now) && yyjson_is_obj(item)) {
            if (!merge(doc, now, item))
                return false;
        } else {
            yyjson_mut_val *k = yyjson_mut_strncpy(doc, name, yyjson_get_len(key));
            yyjson_mut_val *v = without_nulls(doc, item);
            /* an object that meets something else replaces it with its nulls in place */
            if (now && !yyjson_mut_is_null(now) && yyjson_mut_is_obj(now) && !yyjson_is_obj(item))
                v = yyjson_val_mut_copy(doc, item);
            if (!k || !v || !yyjson_mut_obj_put(into, k, v))
                return false;
        }
    }
    return true;
}

enum mh_code
mh_sb_patch_merge(yyjson_mut_doc *doc, yyjson_val *obj, yyjson_val *patch, yyjson_mut_val **out,
                  struct mh_err *err)
{
    if (!yyjson_is_obj(patch))
        return mh_fail(err, MH_E_INVALID,
                       "error decoding patch: json: cannot unmarshal %s into Go value of type "
                       "map[string]interface {}",
                       go_type(patch));
    yyjson_mut_val *root = yyjson_val_mut_copy(doc, obj);
    if (!root || !merge(doc, root, patch))
        return mh_fail(err, MH_E_NOMEM, "no memory for a patch");
    *out = root;
    return MH_OK;
}
