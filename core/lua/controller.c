#include "lua/controller.h"

#include <lauxlib.h>
#include <string.h>

#include "lua/declared.h"
#include "lua/embed.h"
#include "lua/lib.h"
#include "lua/value.h"

#define FACTS_MAX ((size_t)256 << 10)
#define LOAD_MAX ((size_t)16 << 20)

static char def_key;    /* registry: what the script returned */
static char loaded_key; /* registry: module name -> value, true while it loads */
static char arena_key;  /* registry: arena of the load that runs */

struct load {
    struct mh_controller *c;
    struct mh_arena *arena;
    struct mh_buf out;
    struct mh_err err;
};

/* --- loading --------------------------------------------------------------------------------- */

/* Pushes the function of a script; a name that exists nowhere is an error here. */
static void
compile(lua_State *L, const char *name, const char *text, size_t len)
{
    int line;
    mh_vm_load(L, lua_pushfstring(L, "%s.lua", name), text, len);
    const char *bad = mh_vm_undefined(L, &line);
    if (bad)
        luaL_error(L, "%s.lua:%d: undefined name '%s'", name, line, bad);
    lua_remove(L, -2); /* the shown name */
}

static int
global_require(lua_State *L)
{
    const char *name = luaL_gsub(L, luaL_checkstring(L, 1), ".", "/");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &loaded_key);
    lua_getfield(L, -1, name);
    if (lua_isboolean(L, -1))
        return luaL_error(L, "module '%s' requires itself", name);
    if (!lua_isnil(L, -1))
        return 1;
    lua_pop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &arena_key);
    struct mh_arena *a = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (!a)
        return luaL_error(L, "module '%s' must be required while the script loads", name);
    const struct mh_script *s = mh_script_find(a, name);
    if (!s)
        return luaL_error(L, "there is no module '%s'", name);
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, name);
    compile(L, name, s->text, s->len);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    if (lua_isnil(L, -1) || lua_isboolean(L, -1))
        return luaL_error(L, "module '%s' returns no table", name);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, name);
    return 1;
}

/* Makes globals of what a script of words returns; leaves its `observe`, or nil, on the stack. */
static void
open_words(lua_State *L, struct load *ld, const char *name)
{
    const struct mh_script *s = mh_script_find(ld->arena, name);
    if (!s) {
        luaL_error(L, "%s is missing", name);
        return;
    }
    compile(L, s->name, s->text, s->len);
    lua_call(L, 0, 1);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (strcmp(lua_tostring(L, -2), "observe") == 0)
            lua_pop(L, 1);
        else
            mh_vm_set_global(L, lua_tostring(L, -2));
    }
    lua_getfield(L, -1, "observe");
    lua_remove(L, -2);
}

/* The names of the interface, one for plugins and for the controllers of the image: the latter are
 * several files, and have the words of needs.core beside. */
static void
open_interface(lua_State *L, struct load *ld)
{
    enum mh_controller_sort sort = ld->c->sort;
    if (sort != MH_CONTROLLER_PLUGIN) {
        lua_pushcfunction(L, global_require);
        mh_vm_set_global(L, "require");
    }
    if (sort == MH_CONTROLLER_IMAGE) {
        open_words(L, ld, "controllers/lib/words");
        lua_pop(L, 1);
    }
    if (sort == MH_CONTROLLER_OTHER)
        lua_pushnil(L);
    else
        open_words(L, ld, "plugins/lib/words");
    mh_declared_push(L);
    mh_vm_set_global(L, "controller");
}

static int
load_fn(lua_State *L)
{
    struct load *ld = lua_touserdata(L, 1);
    const struct mh_controller *c = ld->c;
    struct mh_script given = { c->name, c->text, c->text_len };
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &loaded_key);
    lua_pushlightuserdata(L, ld->arena);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &arena_key);
    open_interface(L, ld);
    const struct mh_script *s = c->text ? &given : mh_script_find(ld->arena, c->name);
    if (!s)
        return luaL_error(L, "there is no script '%s'", c->name);
    compile(L, c->name, s->text, s->len);
    lua_call(L, 0, 1);
    if (!lua_istable(L, -1))
        return luaL_error(L, "%s.lua:1: the script returns no table", c->name);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &def_key);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &arena_key);
    return 0;
}

/* A copy of the declaration without functions. */
static int
facts_fn(lua_State *L)
{
    struct load *ld = lua_touserdata(L, 1);
    lua_newtable(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &def_key);
    lua_pushnil(L);
    while (lua_next(L, 3)) {
        if (!lua_isfunction(L, -1) && lua_type(L, -2) == LUA_TSTRING) {
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, 2);
        } else {
            lua_pop(L, 1);
        }
    }
    (void)mh_value_encode(L, 2, ld->c->name, &ld->out, &ld->err);
    return 0;
}

static const char *const *
read_kinds(struct mh_arena *a, yyjson_val *list)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    size_t n = 0;
    const char **out = mh_arena_alloc(a, (yyjson_arr_size(list) + 1) * sizeof(*out));
    if (!out)
        return NULL;
    yyjson_arr_foreach(list, i, max, item)
    {
        const char *kind =
            yyjson_is_str(item) ? yyjson_get_str(item) : mh_json_str(item, "kind", NULL);
        if (kind)
            out[n++] = kind;
    }
    return (const char *const *)out;
}

static enum mh_code
read_facts(struct mh_controller *c, struct mh_vm *vm, struct mh_err *err)
{
    yyjson_val *v;
    struct load ld = { .c = c, .err = { .code = MH_OK } };
    struct mh_arena facts;
    mh_arena_init(&facts, FACTS_MAX);
    mh_buf_init(&ld.out, FACTS_MAX / 4);
    enum mh_code code = mh_vm_call(vm, &facts, facts_fn, &ld, NULL, err);
    if (code == MH_OK && ld.err.code != MH_OK) {
        if (err)
            *err = ld.err;
        code = ld.err.code;
    }
    if (code == MH_OK)
        code = mh_json_parse(&facts, mh_buf_text(&ld.out), ld.out.len, &v, err);
    if (code == MH_OK) {
        const char *const *owns = read_kinds(&facts, yyjson_obj_get(v, "owns"));
        const char *const *watches = read_kinds(&facts, yyjson_obj_get(v, "watches"));
        char *text = mh_arena_strdup(&facts, mh_buf_text(&ld.out));
        if (!owns || !watches || !text) {
            code = mh_fail(err, MH_E_NOMEM, "no memory for the declaration of %s", c->name);
        } else {
            mh_arena_release(&c->facts);
            c->facts = facts;
            c->kind = mh_json_str(v, "kind", NULL);
            c->owns = owns;
            c->watches = watches;
            c->declaration = text;
        }
    }
    mh_buf_release(&ld.out);
    if (code != MH_OK)
        mh_arena_release(&facts);
    return code;
}

static enum mh_code
load_generation(struct mh_controller *c, struct mh_generation **out, struct mh_err *err)
{
    struct mh_arena a;
    mh_arena_init(&a, LOAD_MAX);
    struct load ld = { .c = c, .arena = &a };
    struct mh_generation *g = mh_calloc(1, sizeof(*g));
    enum mh_code code;
    if (g)
        g->vm =
            mh_vm_new(c->sort == MH_CONTROLLER_PLUGIN ? &mh_limits_plugin : &mh_limits_controller);
    if (!g || !g->vm) {
        code = mh_fail(err, MH_E_NOMEM, "no memory for a VM of %s", c->name);
    } else {
        lua_gc(g->vm->L, LUA_GCINC, 130, 200, 0);
        mh_vm_begin(g->vm, NULL);
        code = mh_vm_call(g->vm, &a, load_fn, &ld, NULL, err);
        if (code == MH_OK)
            code = read_facts(c, g->vm, err);
        /* Where only pure functions are called, all that a call makes dies at its end. */
        if (code == MH_OK && !c->kind)
            lua_gc(g->vm->L, LUA_GCGEN, 50, 100);
    }
    if (code == MH_OK) {
        g->refs = 1;
        (void)lua_gc(g->vm->L, LUA_GCCOLLECT);
        *out = g;
    } else if (g) {
        mh_vm_free(g->vm);
        mh_free(g);
    }
    mh_arena_release(&a);
    return code;
}

struct mh_generation *
mh_controller_ref(struct mh_controller *c, struct mh_err *err)
{
    if (c->gen && c->gen->vm->broken) {
        mh_controller_unref(c->gen);
        c->gen = NULL;
    }
    if (!c->gen && load_generation(c, &c->gen, err) != MH_OK)
        return NULL;
    c->gen->refs++;
    return c->gen;
}

void
mh_controller_unref(struct mh_generation *g)
{
    if (!g || --g->refs > 0)
        return;
    mh_vm_free(g->vm);
    mh_free(g);
}

void
mh_controller_push(lua_State *L, const char *field)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &def_key);
    lua_getfield(L, -1, field);
    lua_remove(L, -2);
    if (!lua_isfunction(L, -1))
        luaL_error(L, "the script has no function '%s'", field);
}

/* --- interface ------------------------------------------------------------------------------- */

static enum mh_code
new_controller(const struct mh_script *from, enum mh_controller_sort sort,
               struct mh_controller **out, struct mh_err *err)
{
    struct mh_controller *c = mh_calloc(1, sizeof(*c));
    if (!c)
        return mh_fail(err, MH_E_NOMEM, "no memory for controller %s", from->name);
    c->sort = sort;
    mh_arena_init(&c->facts, FACTS_MAX);
    c->name = mh_strdup(from->name);
    if (from->text && (c->text = mh_malloc(from->len + 1))) {
        memcpy(c->text, from->text, from->len);
        c->text[from->len] = 0;
        c->text_len = from->len;
    }
    enum mh_code code = MH_OK;
    if (!c->name || (from->text && !c->text))
        code = mh_fail(err, MH_E_NOMEM, "no memory for controller %s", from->name);
    else
        code = load_generation(c, &c->gen, err);
    if (code != MH_OK) {
        mh_controller_free(c);
        return code;
    }
    *out = c;
    return MH_OK;
}

enum mh_code
mh_controller_new_text(const char *name, const char *text, size_t len, struct mh_controller **out,
                       struct mh_err *err)
{
    const struct mh_script from = { name, text, len };
    return new_controller(&from, MH_CONTROLLER_OTHER, out, err);
}

enum mh_code
mh_controller_new_plugin(const char *name, const char *text, size_t len, struct mh_controller **out,
                         struct mh_err *err)
{
    const struct mh_script from = { name, text, len };
    return new_controller(&from, MH_CONTROLLER_PLUGIN, out, err);
}

static enum mh_code
new_stored(const char *name, enum mh_controller_sort sort, struct mh_controller **out,
           struct mh_err *err)
{
    const struct mh_script from = { name, NULL, 0 };
    struct mh_arena a;
    mh_arena_init(&a, LOAD_MAX);
    bool there = mh_script_find(&a, name) != NULL;
    mh_arena_release(&a);
    if (!there)
        return mh_fail(err, MH_E_NOTFOUND, "there is no script '%s'", name);
    return new_controller(&from, sort, out, err);
}

enum mh_code
mh_controller_new(const char *name, struct mh_controller **out, struct mh_err *err)
{
    return new_stored(name, MH_CONTROLLER_OTHER, out, err);
}

enum mh_code
mh_controller_new_image(const char *name, struct mh_controller **out, struct mh_err *err)
{
    return new_stored(name, MH_CONTROLLER_IMAGE, out, err);
}

enum mh_code
mh_controller_reload(struct mh_controller *c, struct mh_err *err)
{
    struct mh_generation *g = NULL;
    enum mh_code code = load_generation(c, &g, err);
    if (code != MH_OK)
        return code;
    mh_controller_unref(c->gen);
    c->gen = g;
    return MH_OK;
}

void
mh_controller_free(struct mh_controller *c)
{
    if (!c)
        return;
    mh_controller_unref(c->gen);
    mh_arena_release(&c->facts);
    mh_free(c->name);
    mh_free(c->text);
    mh_free(c);
}

const char *
mh_controller_kind(const struct mh_controller *c)
{
    return c->kind;
}

const char *const *
mh_controller_owns(const struct mh_controller *c)
{
    return c->owns;
}

const char *const *
mh_controller_watches(const struct mh_controller *c)
{
    return c->watches;
}

const char *
mh_controller_declaration(const struct mh_controller *c)
{
    return c->declaration;
}

size_t
mh_controller_heap(const struct mh_controller *c)
{
    return c->gen ? c->gen->vm->used : 0;
}

/* --- pure functions -------------------------------------------------------------------------- */

struct call {
    struct mh_script_call *of;
    struct mh_buf out;
    struct mh_err err;
};

static int
call_fn(lua_State *L)
{
    struct call *call = lua_touserdata(L, 1);
    const struct mh_script_call *of = call->of;
    mh_controller_push(L, of->field);
    for (size_t i = 0; i < of->nargs; i++) {
        if (of->args[i].value && of->args[i].without)
            mh_value_push_without(L, of->args[i].value, of->args[i].without);
        else
            mh_value_push(L, of->args[i].value);
    }
    lua_call(L, (int)of->nargs, 1);
    mh_vm_of(L)->kind = "output";
    (void)mh_value_encode(L, -1, of->field, &call->out, &call->err);
    return 0;
}

static enum mh_code
run_call(struct mh_vm *vm, struct mh_arena *a, struct call *call, struct mh_err *err)
{
    mh_vm_begin(vm, NULL);
    enum mh_code code = mh_vm_call(vm, a, call_fn, call, &call->of->se, err);
    mh_vm_end(vm);
    if (code == MH_OK && call->err.code != MH_OK) {
        call->of->se = (struct mh_script_error){ .kind = "output",
                                                 .message = mh_arena_strdup(a, call->err.msg) };
        code = mh_fail(err, call->err.code == MH_E_INVALID ? MH_E_SCRIPT : call->err.code, "%s",
                       call->err.msg);
    }
    return code;
}

enum mh_code
mh_controller_run(struct mh_controller *c, struct mh_arena *a, struct mh_script_call *of,
                  struct mh_err *err)
{
    struct call call = { .of = of, .err = { .code = MH_OK } };
    struct mh_generation *g = mh_controller_ref(c, err);
    if (!g)
        return err ? err->code : MH_E_SCRIPT;
    mh_buf_init(&call.out, MH_PLAN_MAX);
    enum mh_code code = run_call(g->vm, a, &call, err);
    if (code == MH_OK) {
        of->out_len = call.out.len;
        of->out = mh_arena_strndup(a, mh_buf_text(&call.out), call.out.len);
        if (!of->out)
            code = mh_fail(err, MH_E_NOMEM, "no memory for the result of %s", of->field);
    }
    mh_buf_release(&call.out);
    mh_controller_unref(g);
    return code;
}

/* lint: allow size: as mh_controller_plan, and the name of the function */
enum mh_code
mh_controller_call(struct mh_controller *c, struct mh_arena *a, const char *field, const char *arg,
                   size_t len, const char **out, size_t *out_len, struct mh_script_error *se,
                   struct mh_err *err)
{
    struct mh_script_call call = { .field = field, .nargs = 1 };
    enum mh_code code = mh_json_parse(a, arg, len, &call.args[0].value, err);
    if (code == MH_OK)
        code = mh_controller_run(c, a, &call, err);
    if (se)
        *se = call.se;
    *out = call.out;
    *out_len = call.out_len;
    return code;
}

enum mh_code
mh_controller_plan(struct mh_controller *c, struct mh_arena *a, const char *seen, size_t len,
                   const char **plan, size_t *plan_len, struct mh_script_error *se,
                   struct mh_err *err)
{
    return mh_controller_call(c, a, "plan", seen, len, plan, plan_len, se, err);
}
