#include "sandbox/proto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "base/time.h"
#include "net/crypto.h"

__asm__(".section .rodata\n"
        ".balign 16\n"
        ".global mh_sb_protos\n"
        "mh_sb_protos:\n"
        ".incbin \"" MH_SB_PROTOS "\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char mh_sb_protos[];

#define DEPTH_MAX 48
#define NAME_MAX_LEN 128

struct field {
    unsigned number;
    const char *json;
    size_t json_len;
    const char *type; /* ends at a blank or line end */
};

struct bytes {
    const unsigned char *p;
    const unsigned char *end;
};

struct decoder {
    struct mh_arena *a;
    yyjson_mut_doc *d;
    bool bad;
};

/* --- the table -------------------------------------------------------------------------------------------- */

/* The line of a message behind its name; NULL: there is none. A binary search is not worth it: a
 * request looks up some ten names. */
static const char *
find_message(const char *name, size_t n)
{
    const char *p = mh_sb_protos;
    while (p && *p) {
        if (strncmp(p, name, n) == 0 && p[n] == ' ')
            return p + n + 1;
        p = strchr(p, '\n');
        p = p ? p + 1 : NULL;
    }
    return NULL;
}

static bool
find_field(const char *line, unsigned number, struct field *out)
{
    for (const char *p = line; p && *p && *p != '\n';) {
        char *end;
        unsigned long n = strtoul(p, &end, 10);
        if (*end != ':')
            return false;
        const char *json = end + 1;
        const char *colon = strchr(json, ':');
        if (!colon)
            return false;
        if (n == number) {
            *out = (struct field){ number, json, (size_t)(colon - json), colon + 1 };
            return true;
        }
        p = colon + strcspn(colon, " \n");
        p += *p == ' ';
    }
    return false;
}

/* --- the wire ----------------------------------------------------------------------------------------------- */

static bool
varint(struct bytes *b, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; shift < 70 && b->p < b->end; shift += 7) {
        unsigned char c = *b->p++;
        if (shift < 64)
            *out |= (uint64_t)(c & 127) << shift;
        if (!(c & 128))
            return true;
    }
    return false;
}

struct item {
    unsigned number;
    unsigned wire;
    uint64_t value;
    struct bytes data; /* of wire type 2 */
};

/* The next field; false at the end, or *bad. */
static bool
next_item(struct bytes *b, struct item *out, bool *bad)
{
    uint64_t key;
    if (b->p >= b->end)
        return false;
    *bad = true;
    if (!varint(b, &key) || key >> 3 == 0 || key >> 32)
        return false;
    *out = (struct item){ .number = (unsigned)(key >> 3), .wire = key & 7 };
    size_t left = (size_t)(b->end - b->p);
    switch (out->wire) {
    case 0:
        if (!varint(b, &out->value))
            return false;
        break;
    case 1:
    case 5:
        if (left < (out->wire == 1 ? 8u : 4u))
            return false;
        b->p += out->wire == 1 ? 8 : 4;
        break;
    case 2:
        if (!varint(b, &out->value) || out->value > (size_t)(b->end - b->p))
            return false;
        out->data = (struct bytes){ b->p, b->p + out->value };
        b->p += out->value;
        break;
    default:
        return false;
    }
    *bad = false;
    return true;
}

/* --- values -------------------------------------------------------------------------------------------------- */

static void message(struct decoder *c, const char *line, struct bytes b, yyjson_mut_val *to,
                    int depth);

static yyjson_mut_val *
text_of(struct decoder *c, struct bytes b)
{
    size_t n = (size_t)(b.end - b.p);
    if (n && memchr(b.p, 0, n)) {
        c->bad = true;
        return NULL;
    }
    return yyjson_mut_strncpy(c->d, (const char *)b.p, n);
}

/* A field of a small message, by number. */
static bool
part(struct bytes b, unsigned number, struct item *out)
{
    bool bad = false;
    struct item i;
    bool found = false;
    while (next_item(&b, &i, &bad)) {
        if (i.number == number) {
            *out = i;
            found = true;
        }
    }
    return found && !bad;
}

static yyjson_mut_val *
time_of(struct decoder *c, struct bytes b, bool micro)
{
    struct item s = { 0 }, ns = { 0 };
    char text[MH_TIME_TEXT];
    if (!part(b, 1, &s))
        return NULL;
    (void)part(b, 2, &ns);
    if (micro)
        mh_time_rfc3339_micro(text, (int64_t)s.value * 1000000 + (int64_t)ns.value / 1000);
    else
        mh_time_rfc3339(text, (int64_t)s.value);
    return yyjson_mut_strcpy(c->d, text);
}

static yyjson_mut_val *
int_or_text(struct decoder *c, struct bytes b)
{
    struct item kind = { 0 }, v = { 0 };
    (void)part(b, 1, &kind);
    if (kind.value == 1)
        return part(b, 3, &v) ? text_of(c, v.data) : yyjson_mut_str(c->d, "");
    (void)part(b, 2, &v);
    return yyjson_mut_sint(c->d, (int64_t)(int32_t)v.value);
}

static yyjson_mut_val *
raw_of(struct decoder *c, struct bytes b)
{
    struct item i;
    yyjson_val *v;
    if (!part(b, 1, &i) || i.data.p == i.data.end)
        return NULL;
    if (mh_json_parse(c->a, (const char *)i.data.p, (size_t)(i.data.end - i.data.p), &v, NULL)) {
        c->bad = true;
        return NULL;
    }
    return yyjson_val_mut_copy(c->d, v);
}

static yyjson_mut_val *
texts_of(struct decoder *c, struct bytes b)
{
    yyjson_mut_val *list = yyjson_mut_arr(c->d);
    bool bad = false;
    struct item i;
    while (next_item(&b, &i, &bad))
        if (i.number == 1 && i.wire == 2)
            (void)yyjson_mut_arr_append(list, text_of(c, i.data));
    c->bad = c->bad || bad;
    return list;
}

static bool
is(const char *type, size_t n, const char *name)
{
    return strlen(name) == n && strncmp(type, name, n) == 0;
}

/* A value of this type; NULL where JSON has nothing for it. */
static yyjson_mut_val *
value_of(struct decoder *c, const char *type, const struct item *i, int depth)
{
    size_t n = strcspn(type, " \n");
    struct item inner;
    if (n == 1 && (*type == 'b' || *type == 'i') && i->wire == 0)
        return *type == 'b' ? yyjson_mut_bool(c->d, i->value != 0)
                            : yyjson_mut_sint(c->d, (int64_t)i->value);
    if (i->wire != 2) {
        c->bad = true;
        return NULL;
    }
    if (n == 1 && *type == 's')
        return text_of(c, i->data);
    if (n == 1 && *type == 'y') {
        char *s = mh_base64_encode(c->a, i->data.p, (size_t)(i->data.end - i->data.p));
        return s ? yyjson_mut_str(c->d, s) : NULL;
    }
    if (is(type, n, "time") || is(type, n, "microtime"))
        return time_of(c, i->data, *type == 'm');
    if (is(type, n, "quantity"))
        return part(i->data, 1, &inner) ? text_of(c, inner.data) : yyjson_mut_str(c->d, "0");
    if (is(type, n, "intorstring"))
        return int_or_text(c, i->data);
    if (is(type, n, "raw"))
        return raw_of(c, i->data);
    if (is(type, n, "texts"))
        return texts_of(c, i->data);
    const char *line = find_message(type, n);
    if (!line) {
        c->bad = true;
        return NULL;
    }
    yyjson_mut_val *o = yyjson_mut_obj(c->d);
    message(c, line, i->data, o, depth + 1);
    return o;
}

static bool
is_zero(yyjson_mut_val *v)
{
    return (yyjson_mut_is_str(v) && yyjson_mut_get_len(v) == 0) ||
           (yyjson_mut_is_bool(v) && !yyjson_mut_get_bool(v)) ||
           (yyjson_mut_is_int(v) && yyjson_mut_get_sint(v) == 0);
}

/* --- fields ---------------------------------------------------------------------------------------------------- */

static yyjson_mut_val *
child(struct decoder *c, yyjson_mut_val *to, const char *key, bool list)
{
    yyjson_mut_val *v = yyjson_mut_obj_get(to, key);
    if (v)
        return v;
    v = list ? yyjson_mut_arr(c->d) : yyjson_mut_obj(c->d);
    return yyjson_mut_obj_add_val(c->d, to, key, v) ? v : NULL;
}

static void
map_entry(struct decoder *c, const char *type, struct bytes b, yyjson_mut_val *to, int depth)
{
    struct item key = { .wire = 2 }, value = { .wire = 2 };
    struct item i;
    bool bad = false, given = false;
    static const unsigned char none[1];
    key.data = value.data = (struct bytes){ none, none };
    while (next_item(&b, &i, &bad)) {
        if (i.number == 1 && i.wire == 2)
            key = i;
        if (i.number == 2) {
            value = i;
            given = true;
        }
    }
    if (!given && (*type == 'b' || *type == 'i') && (type[1] == ' ' || type[1] == '\n'))
        value.wire = 0;
    yyjson_mut_val *k = bad ? NULL : text_of(c, key.data);
    yyjson_mut_val *v = *type == '[' ? NULL : value_of(c, type, &value, depth);
    if (k && v)
        (void)yyjson_mut_obj_put(to, k, v);
    c->bad = c->bad || bad || !k;
}

static void
field(struct decoder *c, const struct field *f, const struct item *i, yyjson_mut_val *to, int depth)
{
    char *key = mh_arena_strndup(c->a, f->json, f->json_len);
    const char *type = f->type;
    if (!key) {
        c->bad = true;
        return;
    }
    if (*type == '^') {
        size_t n = strcspn(type + 1, " \n");
        const char *line = find_message(type + 1, n);
        if (line && i->wire == 2)
            message(c, line, i->data, to, depth + 1);
        else
            c->bad = true;
        return;
    }
    if (*type == '{') {
        yyjson_mut_val *map = i->wire == 2 ? child(c, to, key, false) : NULL;
        if (map)
            map_entry(c, type + 1, i->data, map, depth);
        return;
    }
    if (*type == '[') {
        yyjson_mut_val *list = child(c, to, key, true);
        yyjson_mut_val *v = value_of(c, type + 1, i, depth);
        if (list && v)
            (void)yyjson_mut_arr_append(list, v);
        return;
    }
    bool pointer = *type == '*';
    yyjson_mut_val *v = value_of(c, type + pointer, i, depth);
    if (!v || (!pointer && is_zero(v)))
        return;
    (void)yyjson_mut_obj_remove_key(to, key);
    (void)yyjson_mut_obj_add_val(c->d, to, key, v);
}

static void
message(struct decoder *c, const char *line, struct bytes b, yyjson_mut_val *to, int depth)
{
    struct item i;
    struct field f;
    bool bad = depth > DEPTH_MAX;
    while (!bad && !c->bad && next_item(&b, &i, &bad))
        if (find_field(line, i.number, &f))
            field(c, &f, &i, to, depth);
    c->bad = c->bad || bad;
}

/* --- the whole --------------------------------------------------------------------------------------------------- */

static const char *
package_of(const char *version)
{
    static const struct {
        const char *version, *package;
    } known[] = { { "v1", "v1" },
                  { "apps/v1", "apps" },
                  { "batch/v1", "batch" },
                  { "rbac.authorization.k8s.io/v1", "rbac" },
                  { "policy/v1", "policy" },
                  { "authentication.k8s.io/v1", "authentication" },
                  { "authorization.k8s.io/v1", "authorization" },
                  { "coordination.k8s.io/v1", "coordination" },
                  { "networking.k8s.io/v1", "networking" },
                  { "autoscaling/v1", "autoscaling" },
                  { "autoscaling/v2", "autoscalingv2" },
                  { "storage.k8s.io/v1", "storage" },
                  { "scheduling.k8s.io/v1", "scheduling" },
                  { "admissionregistration.k8s.io/v1", "admissionregistration" },
                  { "discovery.k8s.io/v1", "discovery" },
                  { "events.k8s.io/v1", "events" } };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (mh_str_eq(known[i].version, version))
            return known[i].package;
    return NULL;
}

static const char *
line_of(const char *version, const char *kind)
{
    char name[NAME_MAX_LEN];
    const char *package = strstr(kind, "Options") ? "metav1" : package_of(version);
    int n = package ? snprintf(name, sizeof(name), "%s.%s", package, kind) : 0;
    return n > 0 && n < (int)sizeof(name) ? find_message(name, (size_t)n) : NULL;
}

enum mh_code
mh_sb_proto_json(struct mh_arena *a, const char *body, size_t len, char **json, size_t *json_len,
                 struct mh_err *err)
{
    struct decoder c = { .a = a, .d = mh_json_doc(a) };
    const unsigned char *p = (const unsigned char *)body;
    struct item type, raw, v = { 0 }, k = { 0 };
    if (!c.d)
        return mh_fail(err, MH_E_NOMEM, "no memory for a request");
    if (len < 4 || memcmp(body, "k8s", 4) != 0 ||
        !part((struct bytes){ p + 4, p + len }, 1, &type) ||
        !part((struct bytes){ p + 4, p + len }, 2, &raw) || !part(type.data, 1, &v) ||
        !part(type.data, 2, &k))
        return mh_fail(err, MH_E_INVALID, "the body of the request is no object in protobuf");
    char *version = mh_arena_strndup(a, (const char *)v.data.p, (size_t)(v.data.end - v.data.p));
    char *kind = mh_arena_strndup(a, (const char *)k.data.p, (size_t)(k.data.end - k.data.p));
    const char *line = version && kind ? line_of(version, kind) : NULL;
    if (!line)
        return mh_fail(err, MH_E_INVALID, "the sandbox does not read %.60s of %.60s in protobuf",
                       kind ? kind : "", version ? version : "");
    yyjson_mut_val *o = yyjson_mut_obj(c.d);
    (void)yyjson_mut_obj_add_str(c.d, o, "kind", kind);
    (void)yyjson_mut_obj_add_str(c.d, o, "apiVersion", version);
    message(&c, line, raw.data, o, 0);
    *json = c.bad ? NULL : mh_json_mut_text(a, o, json_len);
    if (c.bad)
        return mh_fail(err, MH_E_INVALID, "the body of the request is no %.60s in protobuf", kind);
    return *json ? MH_OK : mh_fail(err, MH_E_NOMEM, "no memory for a request");
}
