/* The n-th allocation fails, for every n (every fifth unless MH_TEST_FULL is set, from another one each hour):
 * load, decide, reload, close. The answer is right or there is none. And the slab that small blocks come from. */
#include <stdlib.h>
#include <time.h>

#include "harness/test.h"
#include "lua/policy.h"
#include "lua/slab.h"
#include "lua/task.h"

#define INPUT "{\"candidates\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"now\":1,\"reason\":\"r\"}"
#define PLAN "{\"actions\":[],\"reason\":\"3 of 3\"}"

static const char plugin[] =
    "return controller 'Thing' { observe = function(ctx, o) return o end,\n"
    "plan = function(seen) local t = {} for i = 1, 3 do t[i] = i end\n"
    "return { actions = array {}, reason = #t .. ' of ' .. seen.n } end }";
static const char policy[] =
    "return policy 'failover/v1' { decide = function(ctx)\n"
    "local r = {} for _, c in ipairs(ctx.candidates) do\n"
    "r[#r + 1] = { name = c.name, key = { -#r } } end return promote(rank(r)) end }";

static int
stride(void)
{
    return getenv("MH_TEST_FULL") ? 1 : 5;
}

static int
first(void)
{
    return (int)(time(NULL) / 3600 % stride());
}

static void
check_plan(struct mh_controller *c, int n)
{
    struct mh_arena a;
    const char *plan = NULL;
    size_t len = 0;
    mh_arena_init(&a, (size_t)1 << 20);
    enum mh_code code = mh_controller_plan(c, &a, "{\"n\":3}", 7, &plan, &len, NULL, NULL);
    if (code == MH_OK && strcmp(plan, PLAN) != 0)
        printf("# n = %d: %s\n", n, plan);
    CHECK(code != MH_OK || strcmp(plan, PLAN) == 0);
    mh_arena_release(&a);
}

TEST(a_plugin_is_loaded_asked_reloaded_and_closed)
{
    int n = first();
    bool failed = true;
    for (; failed; n += stride()) {
        struct mh_controller *c = NULL;
        mh_mem_fail_after(n);
        if (mh_controller_new_text("thing", plugin, sizeof(plugin) - 1, &c, NULL) == MH_OK) {
            check_plan(c, n);
            (void)mh_controller_reload(c, NULL);
            check_plan(c, n);
            mh_controller_free(c);
        }
        failed = mh_mem_failed();
        mh_mem_fail_after(-1);
    }
    printf("# up to allocation %d\n", n);
    CHECK(n > 500);
}

TEST(a_policy_is_checked_and_decides_in_a_vm_made_before)
{
    int n = first();
    bool failed = true;
    struct mh_policy_job job = { .point = "failover/v1",
                                 .name = "f.lua",
                                 .script = policy,
                                 .script_len = sizeof(policy) - 1,
                                 .input = INPUT,
                                 .input_len = sizeof(INPUT) - 1 };
    for (; failed; n += stride()) {
        struct mh_arena a;
        struct mh_policy_result r;
        mh_arena_init(&a, (size_t)8 << 20);
        mh_mem_fail_after(n);
        mh_policy_prepare();
        for (int i = 0; i < 2; i++) {
            job.op = MH_POLICY_DECIDE;
            mh_policy_run(&a, &job, &r);
            if (r.ok)
                CHECK_STR(r.answer,
                          "{\"action\":\"promote\",\"order\":[\"b\",\"a\"],\"target\":\"b\"}");
            else
                CHECK(r.error.kind && r.error.message);
            mh_policy_prepare();
        }
        failed = mh_mem_failed();
        mh_mem_fail_after(-1);
        mh_policy_unprepare();
        mh_arena_release(&a);
    }
    printf("# up to allocation %d\n", n);
    CHECK(n > 20);
}

/* --- the slab ------------------------------------------------------------------------------------ */

#define BLOCKS 400

struct block {
    unsigned char *p;
    size_t size;
    unsigned char mark;
};

static bool
is_whole(const struct block *b)
{
    for (size_t i = 0; i < b->size; i++) {
        if (b->p[i] != b->mark)
            return false;
    }
    return true;
}

TEST(blocks_of_the_slab_keep_what_is_in_them_and_do_not_overlap)
{
    static struct block blocks[BLOCKS];
    static struct mh_slab slab;
    unsigned seed = 3;
    for (int i = 0; i < 60000; i++) {
        seed = seed * 1103515245u + 12345u;
        struct block *b = &blocks[(seed >> 8) % BLOCKS];
        size_t size = (seed >> 20) % 8 == 0 ? (seed >> 4) % 3000 : (seed >> 4) % 600;
        CHECK(is_whole(b));
        size_t kept = b->size < size ? b->size : size;
        unsigned char *p = mh_slab_resize(&slab, b->p, b->size, size);
        CHECK((p != NULL) == (size > 0));
        CHECK((uintptr_t)p % MH_SLAB_STEP == 0);
        CHECK(is_whole(&(struct block){ p, p ? kept : 0, b->mark }));
        *b = (struct block){ p, size, (unsigned char)i };
        if (p)
            memset(p, b->mark, size);
    }
    for (int i = 0; i < BLOCKS; i++)
        CHECK(mh_slab_resize(&slab, blocks[i].p, blocks[i].size, 0) == NULL);
    mh_slab_release(&slab);
    CHECK(slab.chunks == NULL);
}
