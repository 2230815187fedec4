#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "sandbox/admit_in.h"

#define AGAIN_NS (20 * MH_NS_PER_MS)
#define TRIES 50

struct mh_sb_admitter *
mh_sb_admitter_new(const struct mh_sb_admitter_config *config)
{
    struct mh_sb_admitter *a = mh_calloc(1, sizeof(*a));
    if (a)
        a->config = *config;
    return a;
}

static void
forget(struct admit_run *r)
{
    mh_sb_admit_hooks_cancel(r);
    r->a->config.clock.cancel(r->a->config.clock.self, r->timer);
    if (r->next)
        r->next->at = r->at;
    *r->at = r->next;
    if (r->config)
        mh_sb_admit_config_unref(r->config);
    mh_free(r);
}

void
mh_sb_admitter_free(struct mh_sb_admitter *a)
{
    if (!a)
        return;
    while (a->runs)
        forget(a->runs);
    if (a->current)
        mh_sb_admit_config_unref(a->current);
    mh_free(a);
}

void
mh_sb_admit_finish(struct admit_run *r)
{
    struct mh_sb_admit *ad = r->ad;
    forget(r);
    ad->done(ad);
}

/* --- roles ------------------------------------------------------------------------------------------------ */

static void
check_roles(struct admit_run *r)
{
    struct mh_sb_admit *ad = r->ad;
    bool create = mh_str_eq(ad->operation, "CREATE");
    if (!mh_str_eq(ad->at->group, MH_SB_RBAC_GROUP) || *ad->at->subresource || ad->req->trusted ||
        !ad->object || (!create && !mh_str_eq(ad->operation, "UPDATE")))
        return;
    yyjson_val *now = mh_sb_admit_object(r);
    const char *rules = mh_json_get(now, "roleRef", NULL) ? "roleRef" : "rules";
    const char *members = mh_json_get(now, "roleRef", NULL) ? "subjects" : "aggregationRule";
    if (!create && mh_sb_equal(yyjson_obj_get(now, rules), yyjson_obj_get(ad->old, rules)) &&
        mh_sb_equal(yyjson_obj_get(now, members), yyjson_obj_get(ad->old, members)))
        return;
    const char *why = mh_sb_rbac_escalates(r->a->config.rbac, ad->arena, ad->at, now);
    if (why)
        mh_sb_admit_forbid(ad, why);
}

/* --- one stage ---------------------------------------------------------------------------------------------- */

static bool
exempt(const struct mh_sb_admit *ad)
{
    return mh_str_eq(ad->at->group, MH_SB_ADMISSION);
}

static void
begin(void *arg)
{
    struct admit_run *r = arg;
    struct mh_sb_admit *ad = r->ad;
    r->timer = NULL;
    if (!ad->validating && !mh_sb_admit_builtin(r) && ++r->tries < TRIES) {
        ad->code = 0;
        r->timer = r->a->config.clock.after(r->a->config.clock.self, AGAIN_NS, begin, r);
        if (r->timer)
            return;
        mh_sb_admit_refuse(ad, 500, "InternalError", "no memory for admission");
    }
    if (!ad->code && !ad->validating)
        check_roles(r);
    if (ad->code || exempt(ad)) {
        mh_sb_admit_finish(r);
        return;
    }
    r->config = mh_sb_admit_config(r->a);
    if (!r->config) {
        mh_sb_admit_refuse(ad, 500, "InternalError", "no memory for admission");
        mh_sb_admit_finish(r);
        return;
    }
    if (ad->validating)
        mh_sb_admit_policies(r);
    if (ad->code)
        mh_sb_admit_finish(r);
    else
        mh_sb_admit_hooks(r);
}

void
mh_sb_admit_one(struct mh_sb_admitter *a, struct mh_sb_admit *ad)
{
    struct admit_run *r = mh_calloc(1, sizeof(*r));
    if (!r) {
        mh_sb_admit_refuse(ad, 500, "InternalError", "no memory for admission");
        ad->done(ad);
        return;
    }
    r->a = a;
    r->ad = ad;
    r->next = a->runs;
    r->at = &a->runs;
    if (r->next)
        r->next->at = &r->next;
    a->runs = r;
    begin(r);
}
