/* plugin.c - moonherd plugin: tries plugins where no cluster is, in this process, with the limits of
 * the real one. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "io/file.h"
#include "lua/plugin_case.h"
#include "lua/plugin_worker.h"
#include "lua/task.h"
#include "lua/yaml.h"
#include "main/main.h"

#define ARENA_MAX ((size_t)64 << 20)

static const char usage[] =
    "usage: moonherd plugin check FILE.lua...           is it accepted, and what does it need?\n"
    "       moonherd plugin test FILE.lua...            every case, told one by one\n"
    "       moonherd plugin crd FILE.lua                the definition of its kind\n"
    "       moonherd plugin plan FILE.lua OBJECT [SEEN] what it would do for an object\n"
    "\n"
    "check runs the cases of each file, and those of NAME.cases.yaml beside NAME.lua, up to the "
    "first\n"
    "that fails; test runs all of them. Both take -o json.\n"
    "\n"
    "OBJECT is a file of YAML or JSON; SEEN one of what observe would have returned, without "
    "which\n"
    "it is { object, now }. Nothing is read from a cluster and nothing is changed.\n"
    "\n"
    "Exit code: 0 all is well, 1 it is not accepted or its plan is not, 2 wrong usage.\n";

struct tried {
    struct mh_arena arena;
    const char *path, *key, *text;
    bool all;            /* cases are told, failed ones too */
    struct mh_buf *json; /* where to; NULL: as text */
    size_t failed, cases;
    struct mh_controller *plugin, *host;
    yyjson_val *declaration;
    yyjson_val *declared; /* what the operator makes of it */
    struct mh_err err;
};

/* --- one file --------------------------------------------------------------------------------------- */

static char *
read_text(struct tried *t, const char *path, size_t max, size_t *len)
{
    struct mh_fs fs = mh_fs_real();
    char *text = NULL;
    return fs.read(fs.self, &t->arena, path, max, &text, len, &t->err) == MH_OK ? text : NULL;
}

static yyjson_val *
frozen(struct tried *t, yyjson_mut_val *v)
{
    yyjson_alc alc = mh_json_alc(&t->arena);
    yyjson_val *out = v ? yyjson_doc_get_root(yyjson_mut_val_imut_copy(v, &alc)) : NULL;
    if (!out)
        mh_fail(&t->err, MH_E_NOMEM, "no memory");
    return out;
}

static yyjson_val *
run_host(struct tried *t, const char *fn, yyjson_val *arg)
{
    struct mh_script_call call = { .field = fn, .nargs = 1 };
    yyjson_val *out = NULL;
    call.args[0].value = arg;
    if (!call.args[0].value || mh_controller_run(t->host, &t->arena, &call, &t->err) != MH_OK ||
        mh_json_parse(&t->arena, call.out, call.out_len, &out, &t->err) != MH_OK)
        return NULL;
    const char *error = mh_json_str(out, "error", NULL);
    if (error)
        mh_fail(&t->err, MH_E_SCRIPT, "%s", error);
    return error ? NULL : out;
}

/* The same; an error has the line of the declaration. */
static yyjson_val *
call_host(struct tried *t, const char *fn, yyjson_mut_val *arg)
{
    yyjson_val *given = frozen(t, arg), *out = given ? run_host(t, fn, given) : NULL;
    if (given && !out && !mh_str_starts(t->err.msg, t->key))
        (void)mh_wrap(&t->err, "%s:%d", t->key, (int)mh_json_int(t->declaration, 1, "line", NULL));
    return out;
}

static bool
load(struct tried *t, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t len;
    mh_arena_init(&t->arena, ARENA_MAX);
    t->path = path;
    t->key = slash ? slash + 1 : path;
    size_t stem = strlen(t->key) - (mh_str_ends(t->key, ".lua") ? 4 : 0);
    const char *name = mh_arena_strndup(&t->arena, t->key, stem);
    char *text = read_text(t, path, MH_PLUGIN_TEXT_MAX, &len);
    yyjson_mut_doc *doc = mh_json_doc(&t->arena);
    if (!text || !name || !doc ||
        mh_controller_new("plugins/lib/host", &t->host, &t->err) != MH_OK ||
        mh_controller_new_plugin(name, text, len, &t->plugin, &t->err) != MH_OK)
        return false;
    const char *json = mh_controller_declaration(t->plugin);
    if (mh_json_parse(&t->arena, json, strlen(json), &t->declaration, &t->err) != MH_OK)
        return false;
    yyjson_mut_val *arg = yyjson_mut_obj(doc), *taken = yyjson_mut_obj_add_arr(doc, arg, "taken");
    yyjson_mut_arr_add_str(doc, taken, "k8s.io");
    yyjson_mut_arr_add_str(doc, taken, "cnpg.io");
    yyjson_mut_arr_add_str(doc, taken, "moonherd.io");
    yyjson_mut_obj_add_str(doc, arg, "owner", t->key);
    yyjson_mut_obj_add_val(doc, arg, "declaration", yyjson_val_mut_copy(doc, t->declaration));
    t->text = text;
    t->declared = call_host(t, "declare", arg);
    return t->declared != NULL;
}

/* --- its cases ---------------------------------------------------------------------------------------- */

/* One case, with a VM of its own, as in the operator. */
static bool
run_case(struct tried *t, yyjson_val *declaration, yyjson_val *one)
{
    yyjson_val *plan = NULL, *out = NULL;
    yyjson_val *arg = mh_plugin_case_arg(&t->arena, declaration, one, NULL);
    struct mh_script_call call = { .field = "plan", .nargs = 1 };
    out = arg ? run_host(t, "case", arg) : NULL;
    if (!out)
        return false;
    call.field = mh_json_str(out, "fn", NULL);
    call.args[0].value = yyjson_obj_get(out, "seen");
    if (mh_controller_reload(t->plugin, &t->err) != MH_OK ||
        mh_controller_run(t->plugin, &t->arena, &call, &t->err) != MH_OK ||
        mh_json_parse(&t->arena, call.out, call.out_len, &plan, &t->err) != MH_OK)
        return false;
    arg = mh_plugin_case_arg(&t->arena, declaration, one, plan);
    return arg && run_host(t, "case", arg);
}

static void
add_text(struct mh_buf *b, const char *key, const char *value)
{
    if (!value)
        return;
    (void)mh_buf_printf(b, ",\"%s\":", key);
    (void)mh_json_quote(b, value, strlen(value));
}

static void
tell_case(struct tried *t, bool ok, const char *name)
{
    if (!t->json) {
        printf("%s - %s: case '%s'%s%s\n", ok ? "ok" : "not ok", t->key, name, ok ? "" : "\n    ",
               ok ? "" : t->err.msg);
        return;
    }
    (void)mh_buf_printf(t->json, "%s{\"ok\":%s", t->cases > 1 ? "," : "", ok ? "true" : "false");
    add_text(t->json, "name", name);
    add_text(t->json, "message", ok ? NULL : t->err.msg);
    (void)mh_buf_char(t->json, '}');
}

/* Of the text itself, or of the file beside it. False: t->err says what the first failure is. */
static bool
run_cases(struct tried *t, yyjson_val *declaration)
{
    yyjson_val *one;
    for (size_t i = 0; (one = mh_plugin_case(declaration, i)); i++) {
        const char *name = mh_plugin_case_name(&t->arena, one, i);
        bool ok = run_case(t, declaration, one);
        t->cases++;
        if (!ok) {
            t->failed++;
            mh_plugin_case_failed(&t->err, t->key, t->text, declaration, name);
        }
        if (t->all)
            tell_case(t, ok, name);
        else if (!ok)
            return false;
    }
    return true;
}

static void
release(struct tried *t)
{
    mh_controller_free(t->plugin);
    mh_controller_free(t->host);
    mh_arena_release(&t->arena);
}

static int
refused(struct tried *t)
{
    printf("%s: refused: %s\n", t->path, t->err.msg);
    release(t);
    return 1;
}

static int
print_value(struct tried *t, const yyjson_val *v)
{
    yyjson_alc alc = mh_json_alc(&t->arena);
    char *text = yyjson_val_write_opts(v, YYJSON_WRITE_PRETTY_TWO_SPACES, &alc, NULL, NULL);
    printf("%s\n", text ? text : "no memory");
    release(t);
    return text ? 0 : 1;
}

/* --- the verbs -------------------------------------------------------------------------------------- */

static yyjson_val *read_value(struct tried *t, const char *path);

/* The declaration with the cases of NAME.cases.yaml instead of its own; NULL: there is no such file, or it
 * is not taken, which t->err says. */
static yyjson_val *
beside(struct tried *t)
{
    struct mh_fs fs = mh_fs_real();
    size_t n = strlen(t->path) - (mh_str_ends(t->path, ".lua") ? 4 : 0);
    const char *path = mh_arena_printf(&t->arena, "%.*s.cases.yaml", (int)n, t->path);
    yyjson_mut_doc *doc = mh_json_doc(&t->arena);
    if (!path || !doc || !fs.exists(fs.self, path))
        return NULL;
    yyjson_val *list = read_value(t, path);
    yyjson_mut_val *d = list ? yyjson_val_mut_copy(doc, t->declaration) : NULL;
    if (!d)
        return NULL;
    yyjson_mut_obj_remove_key(d, "cases");
    yyjson_mut_obj_add_val(doc, d, "cases", yyjson_val_mut_copy(doc, list));
    yyjson_mut_val *arg = yyjson_mut_obj(doc), *taken = yyjson_mut_obj_add_arr(doc, arg, "taken");
    yyjson_mut_obj_add_str(doc, arg, "owner", t->key);
    yyjson_mut_obj_add_val(doc, arg, "declaration", yyjson_mut_val_mut_copy(doc, d));
    return taken && call_host(t, "declare", arg) ? frozen(t, d) : NULL;
}

/* After its cases. */
static void
tell_json(const struct tried *t, bool ok, const char *needs)
{
    struct mh_buf *b = t->json;
    (void)mh_buf_printf(b, "],\"ok\":%s,\"cases\":%zu,\"failed\":%zu", ok ? "true" : "false",
                        t->cases, t->failed);
    add_text(b, "file", t->path);
    add_text(b, "kind", mh_json_str(t->declared, "kind", NULL));
    add_text(b, "api", mh_json_str(t->declaration, "api", NULL));
    if (needs)
        (void)mh_buf_printf(b, ",\"needs\":%s", needs);
    add_text(b, "error", ok ? NULL : t->err.msg);
    (void)mh_buf_char(b, '}');
}

static void
tell_text(const struct tried *t, bool ok, const char *needs)
{
    if (ok)
        printf("%s: ok, %s of %s, %zu cases, needs %s\n", t->path,
               mh_json_str(t->declared, "kind", NULL), mh_json_str(t->declaration, "api", NULL),
               t->cases, needs ? needs : "nothing");
    else if (t->all && t->failed)
        printf("%s: refused: %zu of %zu cases failed\n", t->path, t->failed, t->cases);
    else
        printf("%s: refused: %s\n", t->path, t->err.msg);
}

static int
check(const char *path, bool all, struct mh_buf *json)
{
    struct tried t = { .all = all, .json = json, .err = { .code = MH_OK } };
    if (json)
        (void)mh_buf_str(json, "{\"steps\":[");
    bool ok = load(&t, path) && run_cases(&t, t.declaration);
    yyjson_val *more = ok ? beside(&t) : NULL;
    ok = ok && (more ? run_cases(&t, more) : t.err.code == MH_OK) && !t.failed;
    yyjson_val *needs = yyjson_obj_get(t.declaration, "needs");
    const char *text = needs ? mh_json_canonical(&t.arena, needs, NULL) : NULL;
    if (json)
        tell_json(&t, ok, text);
    else
        tell_text(&t, ok, text);
    release(&t);
    return !ok;
}

/* Takes "-o json" out of argv; false: an option that there is not. */
static bool
read_format(int *argc, char **argv, bool *json)
{
    int n = 0;
    for (int i = 0; i < *argc; i++) {
        bool apart = strcmp(argv[i], "-o") == 0 && i + 1 < *argc;
        const char *format = apart ? argv[++i] : mh_str_starts(argv[i], "-o") ? argv[i] + 2 : NULL;
        if (!format && argv[i][0] != '-')
            argv[n++] = argv[i];
        else if (!mh_str_eq(format, "json"))
            return false;
        else
            *json = true;
    }
    *argc = n;
    return n > 0;
}

/* "check" and "test": argv is what follows. */
static int
check_all(int argc, char **argv, bool all)
{
    struct mh_buf b;
    bool json = false;
    int rc = 0;
    if (!read_format(&argc, argv, &json)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    mh_buf_init(&b, ARENA_MAX);
    for (int i = 0; i < argc; i++) {
        (void)mh_buf_str(&b, i ? ",\n" : "[");
        rc |= check(argv[i], all, json ? &b : NULL);
    }
    if (json)
        printf("%s]\n", mh_buf_text(&b));
    mh_buf_release(&b);
    return rc;
}

static int
print_crd(const char *path)
{
    struct tried t = { .err = { .code = MH_OK } };
    return load(&t, path) ? print_value(&t, yyjson_obj_get(t.declared, "crd")) : refused(&t);
}

static yyjson_val *
read_value(struct tried *t, const char *path)
{
    size_t len;
    int line = 1;
    yyjson_val *v = NULL;
    char *text = read_text(t, path, MH_JSON_SIZE_MAX, &len);
    if (!text || mh_json_parse(&t->arena, text, len, &v, NULL) == MH_OK)
        return v;
    if (mh_yaml_parse(&t->arena, text, len, &v, &line, &t->err) != MH_OK)
        (void)mh_wrap(&t->err, "%s:%d", path, line);
    return v;
}

/* With the defaults of its spec, as the API server would keep it. */
static yyjson_val *
filled(struct tried *t, yyjson_val *object)
{
    yyjson_mut_doc *doc = mh_json_doc(&t->arena);
    yyjson_mut_val *arg = yyjson_mut_obj(doc);
    yyjson_val *spec = yyjson_obj_get(t->declaration, "spec");
    if (!object || !arg)
        return NULL;
    if (!yyjson_is_obj(mh_json_get(object, "metadata", NULL))) {
        mh_fail(&t->err, MH_E_INVALID, "the object has no metadata");
        return NULL;
    }
    yyjson_mut_obj_add_val(doc, arg, "object", yyjson_val_mut_copy(doc, object));
    if (spec)
        yyjson_mut_obj_add_val(doc, arg, "spec", yyjson_val_mut_copy(doc, spec));
    return call_host(t, "fill", arg);
}

/* {object, now} */
static yyjson_val *
first_sight(struct tried *t, yyjson_val *object)
{
    yyjson_mut_doc *doc = mh_json_doc(&t->arena);
    yyjson_mut_val *seen = yyjson_mut_obj(doc);
    if (!seen)
        return NULL;
    yyjson_mut_obj_add_val(doc, seen, "object", yyjson_val_mut_copy(doc, object));
    yyjson_mut_obj_add_int(doc, seen, "now", (int64_t)time(NULL));
    return frozen(t, seen);
}

static yyjson_val *
plan_of(struct tried *t, yyjson_val *object, yyjson_val *seen)
{
    struct mh_script_call call = { .field = "plan", .nargs = 1 };
    yyjson_val *plan = NULL;
    call.args[0].value = seen;
    if (!seen || mh_controller_run(t->plugin, &t->arena, &call, &t->err) != MH_OK ||
        mh_json_parse(&t->arena, call.out, call.out_len, &plan, &t->err) != MH_OK)
        return NULL;
    yyjson_mut_doc *doc = mh_json_doc(&t->arena);
    yyjson_mut_val *arg = yyjson_mut_obj(doc), *meta;
    if (!arg)
        return NULL;
    yyjson_mut_val *o = yyjson_val_mut_copy(doc, object);
    meta = yyjson_mut_obj_get(o, "metadata");
    if (!yyjson_mut_obj_get(meta, "namespace"))
        yyjson_mut_obj_add_str(doc, meta, "namespace", "default");
    yyjson_mut_obj_add_val(doc, arg, "object", o);
    yyjson_mut_obj_add_val(doc, arg, "plan", yyjson_val_mut_copy(doc, plan));
    yyjson_mut_obj_add_str(doc, arg, "name", "plugin");
    yyjson_mut_obj_add_str(doc, arg, "kind_key", mh_controller_kind(t->plugin));
    return call_host(t, "finish", arg);
}

static int
plan_for(char **argv, int argc)
{
    struct tried t = { .err = { .code = MH_OK } };
    if (!load(&t, argv[0]))
        return refused(&t);
    yyjson_val *object = filled(&t, read_value(&t, argv[1]));
    yyjson_val *seen = !object    ? NULL
                       : argc > 2 ? read_value(&t, argv[2])
                                  : first_sight(&t, object);
    yyjson_val *plan = seen ? plan_of(&t, object, seen) : NULL;
    return plan ? print_value(&t, plan) : refused(&t);
}

int
mh_plugin_main(int argc, char **argv)
{
    bool test = argc >= 2 && strcmp(argv[0], "test") == 0;
    if (test || (argc >= 2 && strcmp(argv[0], "check") == 0))
        return check_all(argc - 1, argv + 1, test);
    if (argc == 2 && strcmp(argv[0], "crd") == 0)
        return print_crd(argv[1]);
    if ((argc == 3 || argc == 4) && strcmp(argv[0], "plan") == 0)
        return plan_for(argv + 1, argc - 1);
    bool asked = argc > 0 && strcmp(argv[0], "--help") == 0;
    (void)fputs(usage, asked ? stdout : stderr);
    return asked ? 0 : 2;
}
