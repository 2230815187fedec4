/* policy_entry.c - versions, and their checks by a worker. */
#include "lua/policy_entry.h"

#include <string.h>

#include "base/log.h"
#include "base/str.h"

#define CHECK_ARENA ((size_t)4 << 20)

struct mh_checking {
    struct mh_policies *store;
    struct mh_entry *entry;
    struct mh_version *version;
    struct mh_arena arena;
    struct mh_policy_call call;
};

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
    if (!v->name || !v->script || (params && !v->params)) {
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
mh_version_job(const struct mh_version *v, struct mh_policy_job *job)
{
    *job = (struct mh_policy_job){ .name = v->name,
                                   .script = v->script,
                                   .script_len = v->script_len,
                                   .params = v->params,
                                   .params_len = v->params_len };
}

static void
free_check(struct mh_checking *c)
{
    c->entry->check = NULL;
    mh_version_unref(c->version);
    mh_arena_release(&c->arena);
    mh_free(c);
}

static void
take(struct mh_entry *e, struct mh_version *v, const char *point)
{
    mh_str_copy(v->point, sizeof(v->point), point);
    mh_version_unref(e->active);
    e->active = mh_version_ref(v);
    mh_info("policy", "policy passed its check", "namespace", e->map->ns, "name", e->map->name,
            "key", e->key, "hash", v->hash, "point", point, "of",
            v == e->latest ? "the object" : "the record");
}

static void
refuse(struct mh_entry *e, struct mh_checking *c)
{
    const struct mh_script_error *error = &c->call.result.error;
    const char *text = mh_policy_error_text(&c->arena, error);
    mh_warn("policy", "policy rejected", "namespace", e->map->ns, "name", e->map->name, "key",
            e->key, "hash", c->version->hash, "error", text, "traceback", error->traceback);
    if (c->version != e->latest)
        return;
    e->refusal = mh_strdup(text ? text : error->message);
    if (!e->refusal)
        e->refusal = mh_strdup("rejected");
}

static void
on_checked(struct mh_policy_call *call)
{
    struct mh_checking *c = call->arg;
    struct mh_policies *s = c->store;
    struct mh_entry *e = c->entry;
    bool ok = call->result.ok, is_latest = c->version == e->latest;
    if (is_latest) {
        mh_free(e->refusal);
        e->refusal = NULL;
    }
    if (ok)
        take(e, c->version, call->result.point);
    else
        refuse(e, c);
    free_check(c);
    if (ok || !is_latest) /* what was kept has served, or is no good */
        mh_policies_drop_kept(s, e->map, e->key);
    else
        mh_entry_fall_back(s, e);
    mh_policies_wake(s);
}

bool
mh_entry_check(struct mh_policies *s, struct mh_entry *e, struct mh_version *v)
{
    struct mh_checking *c = mh_calloc(1, sizeof(*c));
    if (!c)
        return false;
    *c = (struct mh_checking){ .store = s, .entry = e, .version = mh_version_ref(v) };
    mh_arena_init(&c->arena, CHECK_ARENA);
    c->call = (struct mh_policy_call){ .arena = &c->arena, .done = on_checked, .arg = c };
    mh_version_job(c->version, &c->call.job);
    c->call.tenant = e->map->ns;
    e->check = c;
    mh_policy_check_start(s, &c->call);
    return true;
}

void
mh_entry_forget_check(struct mh_policies *s, struct mh_entry *e)
{
    if (!e->check)
        return;
    mh_policy_cancel(s->pool, &e->check->call);
    free_check(e->check);
}

void
mh_entry_free(struct mh_policies *s, struct mh_entry *e)
{
    mh_entry_forget_check(s, e);
    mh_version_unref(e->latest);
    mh_version_unref(e->active);
    mh_free(e->refusal);
    mh_free(e->key);
    mh_free(e);
}
