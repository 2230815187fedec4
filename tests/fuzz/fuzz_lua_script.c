/* Any text as a policy: it is checked, and decides, within its limits. */
#include <stdlib.h>

#include "lua/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char input[] =
        "{\"candidates\":[{\"name\":\"a\",\"zone\":\"z\"},{\"name\":\"b\"}],\"now\":1}";
    struct mh_arena a;
    struct mh_policy_result r;
    struct mh_policy_job job = {
        .op = MH_POLICY_CHECK, .name = "f.lua", .script = (const char *)data, .script_len = size
    };
    mh_arena_init(&a, (size_t)16 << 20);
    mh_policy_run(&a, &job, &r);
    if (!r.ok && (!r.error.kind || !r.error.message))
        abort();
    job.op = MH_POLICY_DECIDE;
    job.point = "failover/v1";
    job.input = input;
    job.input_len = sizeof(input) - 1;
    mh_policy_run(&a, &job, &r);
    if (!r.ok && (!r.error.kind || !r.error.message))
        abort();
    mh_arena_release(&a);
    return 0;
}
