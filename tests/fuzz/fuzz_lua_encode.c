/* "return" and any text: what it makes is JSON, or an error; what is written is valid JSON. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "lua/value.h"
#include "lua/vm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct job {
    char *text;
    size_t len;
    struct mh_buf out;
    enum mh_code code;
};

static int
job_fn(lua_State *L)
{
    struct job *j = lua_touserdata(L, 1);
    mh_vm_load(L, "t.lua", j->text, j->len);
    lua_call(L, 0, 1);
    j->code = mh_value_encode(L, -1, "value", &j->out, NULL);
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mh_arena a;
    struct job j = { .len = size + 7, .text = malloc(size + 8), .code = MH_E_INVALID };
    struct mh_vm *vm = mh_vm_new(&mh_limits_policy);
    yyjson_val *v;
    memcpy(j.text, "return ", 7);
    memcpy(j.text + 7, data, size);
    mh_arena_init(&a, (size_t)64 << 20);
    mh_buf_init(&j.out, (size_t)1 << 20);
    mh_vm_begin(vm, NULL);
    if (mh_vm_call(vm, &a, job_fn, &j, NULL, NULL) == MH_OK && j.code == MH_OK &&
        mh_json_parse(&a, j.out.data, j.out.len, &v, NULL) != MH_OK)
        abort();
    mh_vm_free(vm);
    mh_buf_release(&j.out);
    mh_arena_release(&a);
    free(j.text);
    return 0;
}
