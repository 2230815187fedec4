/* Any bytes as what a worker answers, and as what a worker is asked. */
#include <stdlib.h>

#include "lua/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char input[] = "{\"candidates\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"now\":1}";
    struct mh_arena a;
    struct mh_policy_job asked;
    struct mh_policy_result r;
    struct mh_policy_job job = { .op = MH_POLICY_DECIDE,
                                 .point = "failover/v1",
                                 .name = "f.lua",
                                 .input = input,
                                 .input_len = sizeof(input) - 1 };
    mh_arena_init(&a, (size_t)32 << 20);
    struct mh_frame_answer got = { .data = (const char *)data,
                                   .len = size,
                                   .input = mh_frame_input(&a, &job) };
    (void)mh_frame_get_job((const char *)data, size, &asked);
    mh_frame_get_result(&a, &job, &got, &r);
    if (r.ok ? !r.answer : !r.error.kind || !r.error.message)
        abort();
    job.op = MH_POLICY_CHECK;
    mh_frame_get_result(&a, &job, &got, &r);
    mh_arena_release(&a);
    return 0;
}
