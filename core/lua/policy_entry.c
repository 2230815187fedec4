/* policy_entry.c - versions of a policy, and the entries that hold them. */
#include "lua/policy_entry.h"

#include <string.h>

#include "base/str.h"

static char *
copy(const char *s, size_t n)
{
    char *out = mh_malloc(n + 1);
    if (!out)
        return NULL;
    memcpy(out, s, n);
    out[n] = 0;
    return out;
}

/* Of script and parameters; false: no memory. */
static bool
hash_whole(struct mh_version *v)
{
    struct mh_buf b;
    mh_buf_init(&b, v->script_len + v->params_len + 8);
    (void)mh_buf_add(&b, v->script, v->script_len);
    (void)mh_buf_add(&b, v->params ? "\0y" : "\0n", 2);
    if (v->params)
        (void)mh_buf_add(&b, v->params, v->params_len);
    bool ok = !b.failed;
    mh_policy_hash(v->id, mh_buf_text(&b), b.len);
    mh_buf_release(&b);
    return ok;
}

struct mh_version *
mh_version_new(const char *name, const char *script, size_t script_len, const char *params,
               size_t params_len)
{
    struct mh_version *v = mh_calloc(1, sizeof(*v));
    if (!v)
        return NULL;
    v->refs = 1;
    v->name = mh_strdup(name);
    v->script = copy(script, script_len);
    v->script_len = script_len;
    v->params = params ? copy(params, params_len) : NULL;
    v->params_len = params ? params_len : 0;
    mh_policy_hash(v->hash, script, script_len);
    if (!v->name || !v->script || (params && !v->params) || !hash_whole(v)) {
        mh_version_unref(v);
        return NULL;
    }
    return v;
}

struct mh_version *
mh_version_ref(struct mh_version *v)
{
    if (v)
        v->refs++;
    return v;
}

void
mh_version_unref(struct mh_version *v)
{
    if (!v || --v->refs > 0)
        return;
    mh_free(v->name);
    mh_free(v->script);
    mh_free(v->params);
    mh_free(v);
}

void
mh_version_set(struct mh_version **slot, struct mh_version *v)
{
    struct mh_version *old = *slot;
    *slot = mh_version_ref(v);
    mh_version_unref(old);
}

void
mh_version_job(const struct mh_version *v, struct mh_policy_job *job)
{
    *job = (struct mh_policy_job){ .name = v->name,
                                   .script = v->script,
                                   .script_len = v->script_len,
                                   .params = v->params,
                                   .params_len = v->params_len };
}

bool
mh_policy_error_is_ours(const struct mh_script_error *e)
{
    static const char *const ours[] = { "no worker was free before the deadline", "no memory",
                                        "the job does not fit into one message of 1 MiB" };
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (mh_str_eq(e->message, ours[i]))
            return true;
    return false;
}

void
mh_entry_state(struct mh_policies *s, const struct mh_entry *e, enum mh_policy_state *out)
{
    if (e->check)
        *out = MH_RECEIVED;
    else if (e->fallen)
        *out = MH_ROLLED_BACK;
    else if (e->refusal || e->rollout == MH_ROLLOUT_BAD)
        *out = MH_REJECTED;
    else if (e->latest && e->active == e->latest && !mh_entry_rival(s, e, NULL))
        *out = MH_ACTIVE;
    else
        *out = MH_REPLAYED;
}

void
mh_entry_free(struct mh_policies *s, struct mh_entry *e)
{
    mh_entry_forget_check(s, e);
    mh_shadows_forget(s, e);
    mh_version_unref(e->latest);
    mh_version_unref(e->active);
    mh_version_unref(e->good);
    mh_version_unref(e->ready);
    mh_free(e->refusal);
    mh_free(e->fallen);
    mh_free(e->report);
    mh_free(e->key);
    mh_free(e);
}
