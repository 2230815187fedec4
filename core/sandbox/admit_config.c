/* admit_config.c - webhooks and policies as they are written, read again when one changed. */
#include <string.h>

#include "base/str.h"
#include "sandbox/admit_in.h"

#define ARENA_MAX ((size_t)64 << 20)

static const char *const kinds[] = { "mutatingwebhookconfigurations",
                                     "validatingwebhookconfigurations",
                                     "validatingadmissionpolicies",
                                     "validatingadmissionpolicybindings" };

struct reader {
    struct mh_sb_admitter *a;
    struct admit_config *c;
    yyjson_val **items;
    size_t n, size;
    bool failed;
};

void
mh_sb_admit_config_unref(struct admit_config *c)
{
    if (--c->refs > 0)
        return;
    mh_arena_release(&c->arena);
    mh_free(c);
}

static bool
add_item(void *arg, yyjson_val *o)
{
    struct reader *r = arg;
    if (r->n == r->size) {
        size_t size = r->size ? 2 * r->size : 16;
        yyjson_val **more = mh_arena_alloc(&r->c->arena, size * sizeof(*more));
        r->failed = r->failed || !more;
        if (!more)
            return false;
        if (r->n)
            memcpy(more, r->items, r->n * sizeof(*more));
        r->items = more;
        r->size = size;
    }
    r->items[r->n++] = o;
    return true;
}

/* All objects of one kind, by name (as the store has them). */
static void
read_kind(struct reader *r, const char *resource)
{
    r->items = NULL;
    r->n = r->size = 0;
    mh_sb_each(r->a->config.api, &r->c->arena, MH_SB_ADMISSION, resource, NULL, add_item, r);
}

/* The named expressions of a list: {"name","expression"} or {"expression",...}. */
static struct admit_expr *
compile(struct reader *r, yyjson_val *list, const char *key, size_t *n)
{
    struct mh_err err;
    *n = yyjson_arr_size(list);
    struct admit_expr *out = mh_arena_alloc(&r->c->arena, (*n + 1) * sizeof(*out));
    size_t i, max;
    yyjson_val *v;
    if (!out) {
        r->failed = true;
        return NULL;
    }
    yyjson_arr_foreach(list, i, max, v)
    {
        const char *text = mh_json_str(v, key, NULL);
        out[i] =
            (struct admit_expr){ .name = mh_json_str(v, "name", NULL), .text = text, .spec = v };
        if (text && mh_sb_cel_compile(&r->c->arena, text, NULL, &out[i].cel, &err) != MH_OK) {
            out[i].cel = NULL;
            out[i].error = mh_arena_strdup(&r->c->arena, err.msg);
        }
    }
    return out;
}

static void
read_hooks(struct reader *r, int validating)
{
    size_t total = 0, k = 0, i, max;
    yyjson_val *v;
    read_kind(r, kinds[validating]);
    for (i = 0; i < r->n; i++)
        total += yyjson_arr_size(yyjson_obj_get(r->items[i], "webhooks"));
    struct admit_hook *hooks = mh_arena_alloc(&r->c->arena, (total + 1) * sizeof(*hooks));
    if (!hooks) {
        r->failed = true;
        return;
    }
    for (size_t m = 0; m < r->n; m++) {
        yyjson_arr_foreach(yyjson_obj_get(r->items[m], "webhooks"), i, max, v)
        {
            struct admit_hook *h = &hooks[k++];
            const char *name = mh_json_str(v, "name", NULL);
            h->name = name ? name : "";
            h->spec = v;
            h->rules = yyjson_obj_get(v, "rules");
            h->conditions =
                compile(r, yyjson_obj_get(v, "matchConditions"), "expression", &h->nconditions);
            h->ignore = mh_str_eq(mh_json_str(v, "failurePolicy", NULL), "Ignore");
            h->if_needed = mh_str_eq(mh_json_str(v, "reinvocationPolicy", NULL), "IfNeeded");
        }
    }
    r->c->hooks[validating] = hooks;
    r->c->nhooks[validating] = k;
}

static void
read_policies(struct reader *r)
{
    size_t none;
    read_kind(r, kinds[3]);
    yyjson_val **bindings = r->items;
    size_t nbindings = r->n;
    read_kind(r, kinds[2]);
    struct admit_policy *list = mh_arena_alloc(&r->c->arena, (r->n + 1) * sizeof(*list));
    for (size_t i = 0; list && i < r->n; i++) {
        struct admit_policy *p = &list[i];
        p->name = mh_json_str(r->items[i], "metadata", "name", NULL);
        p->spec = yyjson_obj_get(r->items[i], "spec");
        p->ignore = mh_str_eq(mh_json_str(p->spec, "failurePolicy", NULL), "Ignore");
        p->conditions =
            compile(r, yyjson_obj_get(p->spec, "matchConditions"), "expression", &p->nconditions);
        p->variables =
            compile(r, yyjson_obj_get(p->spec, "variables"), "expression", &p->nvariables);
        p->validations =
            compile(r, yyjson_obj_get(p->spec, "validations"), "expression", &p->nvalidations);
        p->messages =
            compile(r, yyjson_obj_get(p->spec, "validations"), "messageExpression", &none);
        p->bindings = mh_arena_alloc(&r->c->arena, (nbindings + 1) * sizeof(yyjson_val *));
        for (size_t k = 0; p->bindings && k < nbindings; k++)
            if (mh_str_eq(mh_json_str(bindings[k], "spec", "policyName", NULL), p->name))
                p->bindings[p->nbindings++] = bindings[k];
        r->failed = r->failed || !p->bindings;
    }
    r->failed = r->failed || !list;
    r->c->policies = list;
    r->c->npolicies = list ? r->n : 0;
}

struct admit_config *
mh_sb_admit_config(struct mh_sb_admitter *a)
{
    uint64_t at[4];
    bool same = a->current != NULL;
    for (size_t i = 0; i < 4; i++) {
        at[i] = mh_sb_changed(a->config.api, MH_SB_ADMISSION, kinds[i]);
        same = same && at[i] == a->current->at[i];
    }
    if (!same) {
        struct admit_config *c = mh_calloc(1, sizeof(*c));
        if (!c)
            return NULL;
        struct reader r = { .a = a, .c = c };
        c->refs = 1;
        memcpy(c->at, at, sizeof(at));
        mh_arena_init(&c->arena, ARENA_MAX);
        read_hooks(&r, 0);
        read_hooks(&r, 1);
        read_policies(&r);
        if (r.failed) {
            mh_sb_admit_config_unref(c);
            return NULL;
        }
        if (a->current)
            mh_sb_admit_config_unref(a->current);
        a->current = c;
    }
    a->current->refs++;
    return a->current;
}
