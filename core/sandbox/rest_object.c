/* Stored text to values and back; names, uids, times; helpers on mutable values. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "sandbox/rest_in.h"

struct mh_sb_version *
mh_sb_storage_version(struct mh_sb_resource *r)
{
    for (int i = 0; i < r->nversions; i++) {
        if (r->versions[i].storage)
            return &r->versions[i];
    }
    return &r->versions[0];
}

char *
mh_sb_obj_text(struct mh_arena *a, const struct mh_sb_version *v, const struct mh_sb_obj *o,
               size_t *len)
{
    size_t head = strlen(v->head);
    char *text = mh_arena_alloc(a, head + o->len + 1);
    if (!text)
        return NULL;
    memcpy(text, v->head, head);
    memcpy(text + head, o->text + 1, o->len);
    *len = head + o->len - 1;
    return text;
}

yyjson_val *
mh_sb_obj_value(struct mh_arena *a, const struct mh_sb_version *v, const struct mh_sb_obj *o)
{
    size_t len = 0;
    yyjson_val *value = NULL;
    struct mh_err err;
    char *text = mh_sb_obj_text(a, v, o, &len);
    if (!text || mh_json_parse(a, text, len, &value, &err) != MH_OK)
        return NULL;
    return value;
}

static uint64_t
next_random(struct mh_sb_api *api)
{
    /* splitmix64, seeded once from the world: unique, and repeatable in tests */
    uint64_t z = (api->rand_state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

void
mh_sb_uid(struct mh_sb_api *api, char out[37])
{
    uint64_t hi = (next_random(api) & ~0xf000ULL) | 0x4000ULL;
    uint64_t lo = (next_random(api) & ~(3ULL << 62)) | (2ULL << 62);
    (void)snprintf(out, 37, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(hi >> 32),
                   (unsigned)(hi >> 16 & 0xffff), (unsigned)(hi & 0xffff), (unsigned)(lo >> 48),
                   (unsigned long long)(lo & 0xffffffffffffULL));
}

void
mh_sb_random_name(struct mh_sb_api *api, char out[6])
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    uint64_t r = next_random(api);
    for (int i = 0; i < 5; i++, r /= sizeof(letters) - 1)
        out[i] = letters[r % (sizeof(letters) - 1)];
    out[5] = '\0';
}

void
mh_sb_now(struct mh_sb_api *api, char out[40])
{
    mh_time_rfc3339(out, api->clock.wall_us(api->clock.self) / 1000000);
}

/* --- mutable values -------------------------------------------------------------------------- */

yyjson_mut_val *
mh_sb_mget(yyjson_mut_val *v, ...)
{
    va_list ap;
    va_start(ap, v);
    for (const char *key = va_arg(ap, const char *); key && v; key = va_arg(ap, const char *))
        v = yyjson_mut_obj_get(v, key);
    va_end(ap);
    return v;
}

const char *
mh_sb_mstr(yyjson_mut_val *v, ...)
{
    va_list ap;
    va_start(ap, v);
    for (const char *key = va_arg(ap, const char *); key && v; key = va_arg(ap, const char *))
        v = yyjson_mut_obj_get(v, key);
    va_end(ap);
    return yyjson_mut_get_str(v);
}

bool
mh_sb_mset(yyjson_mut_doc *doc, yyjson_mut_val *obj, const char *key, yyjson_mut_val *value)
{
    if (!obj || !value)
        return false;
    if (yyjson_mut_obj_get(obj, key))
        return yyjson_mut_obj_replace(obj, yyjson_mut_strcpy(doc, key), value);
    return yyjson_mut_obj_add(obj, yyjson_mut_strcpy(doc, key), value);
}

bool
mh_sb_mset_str(yyjson_mut_doc *doc, yyjson_mut_val *obj, const char *key, const char *value)
{
    return mh_sb_mset(doc, obj, key, yyjson_mut_strcpy(doc, value));
}

void
mh_sb_mdel(yyjson_mut_val *obj, const char *key)
{
    if (obj)
        (void)yyjson_mut_obj_remove_key(obj, key);
}

yyjson_mut_val *
mh_sb_mobj(yyjson_mut_doc *doc, yyjson_mut_val *obj, const char *key)
{
    yyjson_mut_val *v = yyjson_mut_obj_get(obj, key);
    if (yyjson_mut_is_obj(v))
        return v;
    v = yyjson_mut_obj(doc);
    return mh_sb_mset(doc, obj, key, v) ? yyjson_mut_obj_get(obj, key) : NULL;
}

yyjson_mut_val *
mh_sb_marr(yyjson_mut_doc *doc, yyjson_mut_val *obj, const char *key)
{
    yyjson_mut_val *v = yyjson_mut_obj_get(obj, key);
    if (yyjson_mut_is_arr(v))
        return v;
    v = yyjson_mut_arr(doc);
    return mh_sb_mset(doc, obj, key, v) ? yyjson_mut_obj_get(obj, key) : NULL;
}
