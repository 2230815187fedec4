/* load.c - from text to a function: what may be compiled, and which names it uses. */
#include <ctype.h>
#include <lauxlib.h>
#include <string.h>

/* Lua's own structures, of the very sources that this is built with: for names only. */
#include <lapi.h>
#include <ldebug.h>
#include <lobject.h>
#include <lopcodes.h>
#include <lstate.h>

#include "lua/lib.h"
#include "lua/vm.h"

#define CHAIN_MAX 200 /* a.b.c... */
#define NEST_MAX 100  /* brackets */

struct lint {
    const char *s;
    const char *end;
    int line;
    int chain;
    int nest;
};

/* At "[": length of "[==[" or 0. */
static size_t
long_bracket(const struct lint *l, const char *s)
{
    const char *p = s + 1;
    while (p < l->end && *p == '=')
        p++;
    return p < l->end && *p == '[' ? (size_t)(p - s) + 1 : 0;
}

static void
skip_long(struct lint *l, size_t open)
{
    l->s += open;
    for (; l->s < l->end; l->s++) {
        l->line += *l->s == '\n';
        if (*l->s != ']' || (size_t)(l->end - l->s) < open)
            continue;
        size_t i = 1;
        while (i < open - 1 && l->s[i] == '=')
            i++;
        if (i == open - 1 && l->s[i] == ']') {
            l->s += open;
            return;
        }
    }
}

static void
skip_quoted(struct lint *l)
{
    char q = *l->s++;
    while (l->s < l->end && *l->s != q && *l->s != '\n')
        l->s += *l->s == '\\' && l->s + 1 < l->end ? 2 : 1;
    if (l->s < l->end && *l->s == q)
        l->s++;
}

/* True when something was passed over that is no code. */
static bool
skip_other(struct lint *l)
{
    size_t n;
    if (l->s[0] == '-' && l->s + 1 < l->end && l->s[1] == '-') {
        l->s += 2;
        if (l->s < l->end && *l->s == '[' && (n = long_bracket(l, l->s)))
            skip_long(l, n);
        else
            while (l->s < l->end && *l->s != '\n')
                l->s++;
        return true;
    }
    if (*l->s == '[' && (n = long_bracket(l, l->s))) {
        skip_long(l, n);
        return true;
    }
    if (*l->s == '"' || *l->s == '\'') {
        skip_quoted(l);
        return true;
    }
    if (isspace((unsigned char)*l->s)) {
        l->line += *l->s++ == '\n';
        return true;
    }
    return false;
}

static const char *
lint_char(struct lint *l)
{
    char c = *l->s++;
    if (c == '(' || c == '[' || c == '{') {
        if (++l->nest > NEST_MAX)
            return "brackets are nested too deeply";
    } else if (c == ')' || c == ']' || c == '}') {
        l->nest -= l->nest > 0;
    }
    if (isalnum((unsigned char)c) || c == '_') {
        while (l->s < l->end && (isalnum((unsigned char)*l->s) || *l->s == '_'))
            l->s++;
        return NULL;
    }
    if (c == '.' || c == ':' || c == '[' || c == '(' || c == '{') {
        if (++l->chain > CHAIN_MAX && c != '{' && c != '(')
            return "too long a chain of indexes";
    } else if (c == ';' || c == ',' || c == '=' || c == '+' || c == '*' || c == '/') {
        l->chain = 0;
    }
    return NULL;
}

int
mh_lint_source(const char *text, size_t len, const char **msg)
{
    struct lint l = { .s = text, .end = text + len, .line = 1 };
    int line = 1;
    if (len && text[0] == '\x1b') {
        *msg = "bytecode is refused";
        return 1;
    }
    while (l.s < l.end) {
        if (skip_other(&l)) {
            if (l.line != line)
                l.chain = 0;
            line = l.line;
            continue;
        }
        const char *bad = lint_char(&l);
        if (bad) {
            *msg = bad;
            return l.line;
        }
    }
    return 0;
}

void
mh_vm_load(lua_State *L, const char *name, const char *text, size_t len)
{
    struct mh_vm *vm = mh_vm_of(L);
    const char *msg = NULL;
    vm->kind = "syntax";
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    if (len > vm->limits.source)
        luaL_error(L, "%s:1: script of %d bytes is over the limit of %d", name, (int)len,
                   (int)vm->limits.source);
    int line = mh_lint_source(text, len, &msg);
    if (line)
        luaL_error(L, "%s:%d: %s", name, line, msg);
    lua_pushfstring(L, "@%s", name);
    int status = luaL_loadbufferx(L, text, len, lua_tostring(L, -1), "t");
    if (status != LUA_OK) {
        mh_vm_after_pcall(L, status);
        lua_error(L);
    }
    mh_vm_push_env(L);
    if (!lua_setupvalue(L, -2, 1))
        lua_pop(L, 1);
    lua_remove(L, -2);
    vm->kind = "runtime";
}

static bool
is_global(lua_State *L, const TString *name)
{
    mh_vm_push_globals(L);
    lua_pushstring(L, getstr(name));
    bool there = lua_rawget(L, -2) != LUA_TNIL;
    lua_pop(L, 2);
    return there;
}

static const TString *
undefined_in(lua_State *L, const Proto *p, int *line)
{
    for (int pc = 0; pc < p->sizecode; pc++) {
        Instruction i = p->code[pc];
        bool get = GET_OPCODE(i) == OP_GETTABUP;
        if (!get && GET_OPCODE(i) != OP_SETTABUP)
            continue;
        const TString *up = p->upvalues[get ? GETARG_B(i) : GETARG_A(i)].name;
        const TValue *key = &p->k[get ? GETARG_C(i) : GETARG_B(i)];
        if (!up || strcmp(getstr(up), "_ENV") != 0 || !ttisstring(key))
            continue;
        if (!get || !is_global(L, tsvalue(key))) {
            *line = luaG_getfuncline(p, pc);
            return tsvalue(key);
        }
    }
    for (int i = 0; i < p->sizep; i++) {
        const TString *name = undefined_in(L, p->p[i], line);
        if (name)
            return name;
    }
    return NULL;
}

const char *
mh_vm_undefined(lua_State *L, int *line)
{
    if (!lua_isfunction(L, -1) || lua_iscfunction(L, -1))
        return NULL;
    const TString *name = undefined_in(L, getproto(s2v(L->top.p - 1)), line);
    return name ? getstr(name) : NULL;
}
