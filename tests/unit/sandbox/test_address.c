/* test_address.c - the address plan of a sandbox. */
#include "harness/test.h"
#include "sandbox/sandbox.h"

TEST(addresses_of_one_sandbox_share_its_second_octet)
{
    struct mh_arena arena;
    struct mh_arena *a = &arena;
    mh_arena_init(a, 1 << 16);
    CHECK_STR(mh_sb_api_address(a, 60), "127.60.0.1");
    CHECK_STR(mh_sb_service_address(a, 60, 7), "127.60.1.7");
    CHECK_STR(mh_sb_pod_address(a, 60, 2, 9), "127.60.18.9");
    mh_arena_release(a);
}
