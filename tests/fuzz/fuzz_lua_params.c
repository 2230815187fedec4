/* Any text as parameters (YAML): an object that is valid JSON, or an error with a line. */
#include <stdlib.h>

#include "lua/policy.h"
#include "lua/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mh_arena a;
    struct mh_err err = { .code = MH_OK };
    yyjson_val *v = NULL;
    int line = 0;
    if (size > MH_POLICY_PARAMS_MAX)
        return 0;
    mh_arena_init(&a, (size_t)16 << 20);
    enum mh_code code = mh_yaml_parse(&a, (const char *)data, size, &v, &line, &err);
    if (line < 1 || (code == MH_OK) != (v != NULL))
        abort();
    mh_arena_release(&a);
    return 0;
}
