/* Any text as JSON into Lua and out again: what comes out goes in and comes out the same. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "lua/value.h"
#include "lua/vm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct trip {
    yyjson_val *value;
    struct mh_buf out;
    enum mh_code code;
};

static int
trip_fn(lua_State *L)
{
    struct trip *t = lua_touserdata(L, 1);
    mh_value_push(L, t->value);
    t->code = mh_value_encode(L, -1, "value", &t->out, NULL);
    return 0;
}

static enum mh_code
round_trip(struct mh_arena *a, const char *text, size_t len, struct mh_buf *out)
{
    struct trip t = { .code = MH_E_INVALID };
    if (mh_json_parse(a, text, len, &t.value, NULL) != MH_OK)
        return MH_E_INVALID;
    struct mh_vm *vm = mh_vm_new(&mh_limits_controller);
    mh_buf_init(&t.out, (size_t)1 << 20);
    enum mh_code code = vm ? mh_vm_call(vm, a, trip_fn, &t, NULL, NULL) : MH_E_NOMEM;
    mh_vm_free(vm);
    *out = t.out;
    return code == MH_OK ? t.code : code;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mh_arena a;
    struct mh_buf first;
    struct mh_buf second;
    mh_buf_init(&first, 1);
    mh_buf_init(&second, 1);
    mh_arena_init(&a, (size_t)64 << 20);
    if (size < 65536 && round_trip(&a, (const char *)data, size, &first) == MH_OK) {
        if (round_trip(&a, first.data, first.len, &second) != MH_OK || first.len != second.len ||
            memcmp(first.data, second.data, first.len) != 0)
            abort();
    }
    mh_buf_release(&first);
    mh_buf_release(&second);
    mh_arena_release(&a);
    return 0;
}
