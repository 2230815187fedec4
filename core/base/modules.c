#include "base/modules.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define NAME_MAX_LEN 32

static const struct mh_module *const none[] = { NULL };
static const struct mh_module *const *modules = none;

/* --- the list ---------------------------------------------------------------------------------- */

/* What scripts have as a global already. */
static bool
is_taken(const char *name)
{
    static const char taken[] =
        " array assert backup bytes chaos choice controller coroutine cron debug duration error "
        "finish flag getmetatable heal hold int io ipairs json list load log lsn math next null "
        "num "
        "optional os package pairs pcall plugin policy print promote rank rawequal rawget rawlen "
        "rawset reject require retain rollback scenario select setmetatable sql str string table "
        "time tonumber tostring type update utf8 wait warn xpcall ";
    char word[NAME_MAX_LEN + 4];
    (void)snprintf(word, sizeof(word), " %.32s ", name);
    return strstr(taken, word) != NULL;
}

static bool
is_name(const char *name)
{
    size_t n = name ? strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") : 0;
    return n > 0 && n <= NAME_MAX_LEN && !name[n] && name[0] >= 'a' && name[0] <= 'z';
}

enum mh_code
mh_modules_set(const struct mh_module *const *list, struct mh_err *err)
{
    size_t n = 0;
    for (; list[n]; n++) {
        const struct mh_module *m = list[n];
        if (n == MH_MODULES_MAX)
            return mh_fail(err, MH_E_INVALID, "more than %d native modules", MH_MODULES_MAX);
        if (m->version != MH_MODULE_VERSION)
            return mh_fail(err, MH_E_INVALID,
                           "native module %.40s is of version %u, this program wants %d",
                           m->name ? m->name : "?", m->version, MH_MODULE_VERSION);
        if (!is_name(m->name) || is_taken(m->name))
            return mh_fail(err, MH_E_INVALID, "native module '%.40s': %s", m->name ? m->name : "",
                           is_name(m->name) ? "scripts have this name already"
                                            : "want a name of small letters, digits and _");
        for (size_t i = 0; i < n; i++) {
            if (strcmp(list[i]->name, m->name) == 0)
                return mh_fail(err, MH_E_INVALID, "native module %s is there twice", m->name);
        }
    }
    modules = list;
    return MH_OK;
}

const struct mh_module *const *
mh_modules(void)
{
    return modules;
}

static bool
describe_functions(yyjson_mut_doc *doc, yyjson_mut_val *out, const struct mh_module *m)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, out, "functions");
    for (const struct mh_module_function *f = m->functions; list && f && f->name; f++) {
        yyjson_mut_val *one = yyjson_mut_arr_add_obj(doc, list);
        if (!one || !yyjson_mut_obj_add_str(doc, one, "name", f->name) ||
            (f->summary && !yyjson_mut_obj_add_str(doc, one, "summary", f->summary)))
            return false;
    }
    return list != NULL;
}

static bool
describe_checks(yyjson_mut_doc *doc, yyjson_mut_val *out, const struct mh_module *m)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, out, "checks");
    for (const struct mh_module_check *c = m->checks; list && c && c->kind; c++) {
        yyjson_mut_val *one = yyjson_mut_arr_add_obj(doc, list);
        if (!one || !yyjson_mut_obj_add_str(doc, one, "kind", c->kind) ||
            (c->summary && !yyjson_mut_obj_add_str(doc, one, "summary", c->summary)))
            return false;
    }
    return list != NULL;
}

bool
mh_modules_describe(yyjson_mut_doc *doc, yyjson_mut_val *out)
{
    bool ok = yyjson_mut_obj_add_uint(doc, out, "interface", MH_MODULE_VERSION);
    yyjson_mut_val *list = ok ? yyjson_mut_obj_add_arr(doc, out, "modules") : NULL;
    for (size_t i = 0; list && modules[i]; i++) {
        const struct mh_module *m = modules[i];
        yyjson_mut_val *one = yyjson_mut_arr_add_obj(doc, list);
        if (!one || !yyjson_mut_obj_add_str(doc, one, "name", m->name) ||
            (m->summary && !yyjson_mut_obj_add_str(doc, one, "summary", m->summary)) ||
            !describe_functions(doc, one, m) || !describe_checks(doc, one, m))
            return false;
    }
    return list != NULL;
}

/* --- checks ------------------------------------------------------------------------------------ */

struct mh_object {
    yyjson_val *root;
};

struct mh_faults {
    yyjson_mut_doc *doc;
    yyjson_mut_val *list;
};

static yyjson_val *
at(const struct mh_object *o, const char *path)
{
    return path ? yyjson_ptr_get(o->root, path) : NULL;
}

bool
mh_object_has(const struct mh_object *o, const char *path)
{
    return at(o, path) != NULL;
}

const char *
mh_object_text(const struct mh_object *o, const char *path)
{
    return yyjson_get_str(at(o, path));
}

bool
mh_object_int(const struct mh_object *o, const char *path, int64_t *out)
{
    yyjson_val *v = at(o, path);
    if (!yyjson_is_int(v) || (yyjson_is_uint(v) && yyjson_get_uint(v) > INT64_MAX))
        return false;
    *out = yyjson_get_sint(v);
    return true;
}

bool
mh_object_flag(const struct mh_object *o, const char *path, bool *out)
{
    yyjson_val *v = at(o, path);
    if (!yyjson_is_bool(v))
        return false;
    *out = yyjson_get_bool(v);
    return true;
}

size_t
mh_object_count(const struct mh_object *o, const char *path)
{
    yyjson_val *v = at(o, path);
    return yyjson_is_arr(v) ? yyjson_arr_size(v) : yyjson_obj_size(v);
}

const char *
mh_object_key(const struct mh_object *o, const char *path, size_t n)
{
    yyjson_obj_iter it;
    yyjson_val *key = NULL;
    if (!yyjson_obj_iter_init(at(o, path), &it))
        return NULL;
    for (size_t i = 0; i <= n; i++)
        key = yyjson_obj_iter_next(&it);
    return yyjson_get_str(key);
}

void
mh_fault(struct mh_faults *f, const char *path, const char *fmt, ...)
{
    char text[MH_ERR_MSG_MAX];
    va_list ap;
    if (yyjson_mut_arr_size(f->list) >= MH_MODULE_FAULTS)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    yyjson_mut_val *one = yyjson_mut_arr_add_obj(f->doc, f->list);
    if (one) {
        (void)yyjson_mut_obj_add_strcpy(f->doc, one, "path", path ? path : "");
        (void)yyjson_mut_obj_add_strcpy(f->doc, one, "message", text);
    }
}

yyjson_val *
mh_modules_check(struct mh_arena *a, yyjson_val *now, yyjson_val *old)
{
    const char *kind = mh_json_str(now, "kind", NULL);
    struct mh_object of = { now }, before = { old };
    struct mh_faults faults = { NULL, NULL };
    yyjson_val *out = NULL;
    size_t len = 0;
    for (size_t i = 0; modules[i]; i++) {
        for (const struct mh_module_check *c = modules[i]->checks; c && c->kind; c++) {
            if (!mh_str_eq(c->kind, kind))
                continue;
            if (!faults.doc) {
                faults.doc = mh_json_doc(a);
                faults.list = faults.doc ? yyjson_mut_arr(faults.doc) : NULL;
            }
            if (!faults.list)
                return NULL;
            c->run(&of, old ? &before : NULL, &faults);
        }
    }
    const char *text = faults.list && yyjson_mut_arr_size(faults.list)
                           ? mh_json_mut_text(a, faults.list, &len)
                           : NULL;
    return text && mh_json_parse(a, text, len, &out, NULL) == MH_OK ? out : NULL;
}
