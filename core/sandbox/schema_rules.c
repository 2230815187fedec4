/* schema_rules.c - x-kubernetes-validations: compiling the rules of a schema and trying them on a
 * value and all that is below it. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/cel_in.h"
#include "sandbox/schema_validate.h"

#define BUDGET 10000000
#define MESSAGE_MAX 5120

static const char *const self_vars[] = { "self", "oldSelf", NULL };

static enum mh_code
no_memory(struct mh_err *err)
{
    return mh_fail(err, MH_E_NOMEM, "no memory for a rule");
}

/* A text without the blanks around it; NULL for NULL. */
static char *
trimmed(struct mh_arena *a, const char *s)
{
    if (!s)
        return NULL;
    s += strspn(s, " \t\r\n");
    size_t n = strlen(s);
    while (n && strchr(" \t\r\n", s[n - 1]))
        n--;
    return mh_arena_strndup(a, s, n);
}

/* ".spec['a.b'].c" as a path of fields: "spec.a.b.c". */
static char *
plain_path(struct mh_arena *a, const char *s)
{
    char *out = mh_arena_alloc(a, strlen(s) + 1);
    size_t n = 0;
    for (; out && *s; s++) {
        if (s[0] == '[' && s[1] == '\'') {
            if (n)
                out[n++] = '.';
            for (s += 2; *s && *s != '\''; s++)
                out[n++] = *s;
            s += *s && s[1] == ']';
            if (!*s)
                break;
        } else if (*s != '.' || n) {
            out[n++] = *s;
        }
    }
    return out;
}

static enum mh_code
compile_rule(struct mh_arena *a, yyjson_val *src, struct mh_sb_rule *r, struct mh_err *err)
{
    struct mh_err why = { .code = MH_OK };
    const char *rule = mh_json_str(src, "rule", NULL);
    const char *message = mh_json_str(src, "messageExpression", NULL);
    const char *path = mh_json_str(src, "fieldPath", NULL);
    r->text = trimmed(a, rule ? rule : "");
    r->message = trimmed(a, mh_json_str(src, "message", NULL));
    r->reason = mh_arena_strdup(a, mh_json_str(src, "reason", NULL));
    r->field_path = path ? plain_path(a, path) : NULL;
    r->optional_old = mh_json_bool(src, false, "optionalOldSelf", NULL);
    if (!r->text)
        return no_memory(err);
    if (!*r->text)
        return MH_OK;
    /* as written: positions in messages count its blanks */
    enum mh_code c = mh_sb_cel_compile(a, rule, self_vars, &r->cel, &why);
    if (c == MH_E_NOMEM)
        return no_memory(err);
    if (c)
        r->error = mh_arena_strdup(a, why.msg);
    else
        r->transition = mh_sb_cel_uses(r->cel, "oldSelf");
    if (!c && message && *message &&
        mh_sb_cel_compile(a, message, self_vars, &r->message_cel, &why))
        r->message_error = mh_arena_printf(a, "messageExpression %s", why.msg);
    return MH_OK;
}

enum mh_code
mh_sb_rules_compile(struct mh_arena *a, yyjson_val *source, struct mh_sb_rule **out,
                    struct mh_err *err)
{
    struct mh_sb_rule **last = out;
    size_t i;
    size_t max;
    yyjson_val *item;
    yyjson_arr_foreach(yyjson_obj_get(source, "x-kubernetes-validations"), i, max, item)
    {
        struct mh_sb_rule *r = mh_arena_alloc(a, sizeof(*r));
        enum mh_code c = r ? compile_rule(a, item, r, err) : no_memory(err);
        if (c)
            return c;
        *last = r;
        last = &r->next;
    }
    return MH_OK;
}

/* One pass over a value. */
struct rules {
    struct mh_sb_validate *ctx;
    struct mh_buf path;
    int64_t budget; /* below 0: used up, nothing more is tried */
    int depth;
};

static void
problem(struct rules *r, const struct mh_sb_schema *s, const char *field_path, const char *reason,
        const char *text)
{
    const char *field = mh_buf_text(&r->path);
    const char *type = s->type_text && !s->int_or_string ? s->type_text : "";
    struct mh_sb_causes *causes = r->ctx->causes;
    if (field_path)
        field = *field ? mh_arena_printf(r->ctx->arena, "%s.%s", field, field_path) : field_path;
    field = field && *field ? field : "<nil>";
    if (mh_str_eq(reason, "FieldValueForbidden"))
        mh_sb_cause_add(causes, reason, field, "Forbidden%s%s", *text ? ": " : "", text);
    else if (mh_str_eq(reason, "FieldValueRequired"))
        mh_sb_cause_add(causes, reason, field, "Required value%s%s", *text ? ": " : "", text);
    else if (mh_str_eq(reason, "FieldValueDuplicate"))
        mh_sb_cause_add(causes, reason, field, "Duplicate value: \"%s\"", type);
    else
        mh_sb_cause_add(causes, "FieldValueInvalid", field, "Invalid value: \"%s\"%s%s", type,
                        *text ? ": " : "", text);
}

static const char *
rule_text(const struct mh_sb_rule *rule)
{
    return rule->message && *rule->message ? rule->message : rule->text;
}

/* What a failed rule says; the default where its expression gives no usable text. */
static const char *
message_of(struct rules *r, const struct mh_sb_rule *rule, struct mh_sb_cel_run *run)
{
    struct mh_err err;
    const char *text = NULL;
    if (rule->message_cel && mh_sb_cel_text(rule->message_cel, run, &text, &err) == MH_OK) {
        char *out = trimmed(r->ctx->arena, text);
        if (out && *out && strlen(out) <= MESSAGE_MAX && !strchr(out, '\n'))
            return out;
    }
    if (rule->message && *rule->message)
        return rule->message;
    const char *out = mh_arena_printf(r->ctx->arena, "failed rule: %s", rule->text);
    return out ? out : "";
}

static void
evaluation_failed(struct rules *r, const struct mh_sb_schema *s, const struct mh_sb_rule *rule,
                  const struct mh_err *err)
{
    struct mh_arena *a = r->ctx->arena;
    const char *text = NULL;
    if (err->code == MH_E_LIMIT) {
        text = mh_arena_printf(a,
                               "'%s': no further validation rules will be run due to call cost "
                               "exceeds limit for rule: %s",
                               err->msg, rule_text(rule));
        r->budget = -1;
    } else if (mh_str_starts(err->msg, "no such overload")) {
        text = mh_arena_printf(a,
                               "'%s': call arguments did not match a supported operator, function "
                               "or macro signature for rule: %s",
                               err->msg, rule_text(rule));
    } else {
        text = mh_arena_printf(a, "%s evaluating rule: %s", err->msg, rule_text(rule));
    }
    problem(r, s, NULL, NULL, text ? text : "");
}

/* oldSelf as an optional, for rules that ask for it so. */
static bool
optional_old(struct rules *r, struct mh_sb_cel_run *run, struct mh_sb_cel_var *var)
{
    struct mh_sb_cel_value *v = mh_arena_alloc(r->ctx->arena, sizeof(*v));
    struct mh_sb_cel_value old;
    struct mh_sb_cel_eval e = { .arena = r->ctx->arena, .run = run, .cost = MH_SB_CEL_COST };
    if (!v)
        return false;
    if (var->json && !mh_sb_cel_of_json(&e, var->json, var->schema, &old))
        return false;
    var->cache = v;
    return mh_sb_cel_optional(&e, var->json ? &old : NULL, v);
}

/* Sets up self and oldSelf and tries one rule. False: no memory. */
static bool
try_rule(struct rules *r, const struct mh_sb_schema *schema, const struct mh_sb_rule *rule,
         yyjson_val *v, yyjson_val *old)
{
    const struct mh_sb_schema *s = mh_sb_shape(schema);
    struct mh_sb_cel_var was = { .name = "oldSelf", .json = old, .schema = schema };
    struct mh_sb_cel_var self = { .name = "self", .json = v, .schema = schema, .next = &was };
    struct mh_sb_cel_run run = { .arena = r->ctx->arena, .vars = &self };
    struct mh_err err = { .code = MH_OK };
    bool yes = false;
    run.cost = r->budget < MH_SB_CEL_COST ? r->budget : MH_SB_CEL_COST;
    int64_t before = run.cost;
    if (rule->optional_old && !optional_old(r, &run, &was))
        return false;
    enum mh_code c = mh_sb_cel_bool(rule->cel, &run, &yes, &err);
    r->budget -= before - run.cost;
    if (c == MH_E_NOMEM)
        return false;
    if (c) {
        evaluation_failed(r, s, rule, &err);
        return true;
    }
    bool unchanged = old && !rule->transition && mh_sb_equal(v, old);
    if (!yes && !unchanged) {
        run.cost = MH_SB_CEL_COST;
        problem(r, s, rule->field_path, rule->reason, message_of(r, rule, &run));
    }
    return true;
}

static bool
try_rules(struct rules *r, const struct mh_sb_schema *schema, yyjson_val *v, yyjson_val *old)
{
    const struct mh_sb_schema *s = mh_sb_shape(schema);
    for (const struct mh_sb_rule *rule = s->rules; rule && r->budget >= 0; rule = rule->next) {
        if (rule->error) {
            char *text = mh_arena_printf(r->ctx->arena, "rule compile error: %s", rule->error);
            problem(r, s, NULL, NULL, text ? text : "");
            continue;
        }
        if (!rule->cel || (rule->transition && !old && !rule->optional_old))
            continue;
        if (!try_rule(r, schema, rule, v, old))
            return false;
    }
    return true;
}

static bool walk(struct rules *r, const struct mh_sb_schema *schema, yyjson_val *v,
                 yyjson_val *old);

static bool
walk_below(struct rules *r, const struct mh_sb_schema *s, yyjson_val *v, yyjson_val *old)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    size_t len = r->path.len;
    yyjson_arr_foreach(v, i, max, item)
    {
        mh_buf_printf(&r->path, "[%zu]", i);
        if (!walk(r, s->items, item, mh_sb_same_item(s, old, item)))
            return false;
        mh_sb_path_cut(&r->path, len);
    }
    yyjson_obj_foreach(mh_sb_obj_or_none(v), i, max, key, item)
    {
        const char *name = yyjson_get_str(key);
        const struct mh_sb_schema *prop = mh_sb_schema_prop(s, name);
        if (!prop && !s->extra)
            continue;
        if (prop)
            mh_buf_printf(&r->path, "%s%s", len ? "." : "", name);
        else
            mh_buf_printf(&r->path, "[%s]", name);
        if (!walk(r, prop ? prop : s->extra, item, yyjson_obj_get(old, name)))
            return false;
        mh_sb_path_cut(&r->path, len);
    }
    return true;
}

static bool
walk(struct rules *r, const struct mh_sb_schema *schema, yyjson_val *v, yyjson_val *old)
{
    const struct mh_sb_schema *s = mh_sb_shape(schema);
    if (yyjson_is_null(old))
        old = NULL;
    if (!s || !v || yyjson_is_null(v) || r->budget < 0)
        return true;
    if (++r->depth > MH_SB_SCHEMA_DEPTH_MAX)
        return false;
    bool ok = try_rules(r, schema, v, old);
    for (size_t i = 0; ok && i < s->all_of.count; i++)
        ok = walk(r, s->all_of.items[i], v, old);
    ok = ok && walk_below(r, s, v, old);
    r->depth--;
    return ok;
}

bool
mh_sb_validate_rules(const struct mh_sb_schema *s, yyjson_val *v, yyjson_val *old,
                     struct mh_sb_validate *ctx)
{
    struct rules r = { .ctx = ctx, .budget = BUDGET };
    mh_buf_init(&r.path, (size_t)1 << 16);
    bool ok = walk(&r, s, v, old);
    mh_buf_release(&r.path);
    return ok && !ctx->causes->failed;
}
