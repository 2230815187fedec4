/* Checks of metadata, and which check a kind has. */
#include <stdarg.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/rest_check.h"

#define ANNOTATIONS_MAX 262144

const char *
mh_sb_check_at(struct mh_sb_check *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = mh_arena_vprintf(c->a, fmt, ap);
    va_end(ap);
    return text ? text : "";
}

void
mh_sb_required(struct mh_sb_check *c, const char *field, const char *more)
{
    mh_sb_cause_add(c->causes, "FieldValueRequired", field, "Required value%s%s", *more ? ": " : "",
                    more);
}

void
mh_sb_forbid(struct mh_sb_check *c, const char *field, const char *why)
{
    mh_sb_cause_add(c->causes, "FieldValueForbidden", field, "Forbidden: %s", why);
}

void
mh_sb_bad(struct mh_sb_check *c, const char *field, yyjson_val *value, const char *why)
{
    char *text = value ? mh_sb_go_json(c->a, value) : NULL;
    mh_sb_cause_add(c->causes, "FieldValueInvalid", field, "Invalid value: %s: %s",
                    text ? text : "null", why);
}

void
mh_sb_bad_text(struct mh_sb_check *c, const char *field, const char *value, const char *why)
{
    mh_sb_cause_add(c->causes, "FieldValueInvalid", field, "Invalid value: \"%s\": %s",
                    value ? value : "", why);
}

void
mh_sb_unsupported(struct mh_sb_check *c, const char *field, const char *value,
                  const char *const *allowed)
{
    char *list = mh_arena_strdup(c->a, "");
    for (; list && *allowed; allowed++)
        list = mh_arena_printf(c->a, "%s%s\"%s\"", list, *list ? ", " : "", *allowed);
    mh_sb_cause_add(c->causes, "FieldValueNotSupported", field,
                    "Unsupported value: \"%s\": supported values: %s", value ? value : "",
                    list ? list : "");
}

void
mh_sb_not_negative(struct mh_sb_check *c, const char *field, yyjson_val *value)
{
    if (yyjson_is_int(value) && yyjson_get_sint(value) < 0)
        mh_sb_bad(c, field, value, "must be greater than or equal to 0");
}

yyjson_val *
mh_sb_val(yyjson_val *v, const char *path)
{
    while (v && *path) {
        size_t n = strcspn(path, ".");
        v = yyjson_obj_getn(v, path, n);
        path += n + (path[n] == '.');
    }
    return v;
}

void
mh_sb_immutable(struct mh_sb_check *c, const char *path)
{
    yyjson_val *now = mh_sb_val(c->obj, path);
    yyjson_val *before = mh_sb_val(c->old, path);
    if (c->old && now != before && (!now || !before || !mh_sb_equal(now, before)))
        mh_sb_bad(c, path, now, "field is immutable");
}

/* --- names ----------------------------------------------------------------------------------- */

typedef const char *name_fn(struct mh_arena *a, const char *s);

static name_fn *
name_rule(const struct mh_sb_resource *r)
{
    if (r->custom)
        return mh_sb_name_subdomain;
    if (strcmp(r->kind, "StatefulSet") == 0 || strcmp(r->kind, "Namespace") == 0)
        return mh_sb_name_label;
    if (strcmp(r->kind, "Service") == 0)
        return mh_sb_name_1035;
    if (strcmp(r->group, "rbac.authorization.k8s.io") == 0 ||
        strcmp(r->kind, "PodDisruptionBudget") == 0 ||
        (strcmp(r->kind, "Event") == 0 && !*r->group))
        return mh_sb_name_segment;
    return mh_sb_name_subdomain;
}

static void
check_name(struct mh_sb_check *c)
{
    const char *name = mh_json_str(c->obj, "metadata", "name", NULL);
    const char *prefix = mh_json_str(c->obj, "metadata", "generateName", NULL);
    name_fn *rule = name_rule(c->op->t.r);
    const char *why;
    if (prefix && *prefix && !c->old) {
        char *probe = mh_arena_printf(c->a, "%sa", prefix);
        why = probe ? rule(c->a, probe) : NULL;
        if (why)
            mh_sb_bad_text(c, "metadata.generateName", prefix, why);
    }
    if (!name || !*name) {
        mh_sb_required(c, "metadata.name", "name or generateName is required");
        return;
    }
    why = c->old ? NULL : rule(c->a, name);
    if (why)
        mh_sb_bad_text(c, "metadata.name", name, why);
}

/* --- labels, annotations, owners, finalizers ------------------------------------------------- */

static void
check_labels(struct mh_sb_check *c)
{
    size_t i;
    size_t max;
    yyjson_val *k;
    yyjson_val *v;
    yyjson_obj_foreach(mh_json_get(c->obj, "metadata", "labels", NULL), i, max, k, v)
    {
        const char *why = mh_sb_name_qualified(c->a, yyjson_get_str(k));
        if (why)
            mh_sb_bad_text(c, "metadata.labels", yyjson_get_str(k), why);
        why = yyjson_is_str(v) ? mh_sb_name_label_value(c->a, yyjson_get_str(v)) : NULL;
        if (why)
            mh_sb_bad_text(c, "metadata.labels", yyjson_get_str(v), why);
    }
}

static char *
lower(struct mh_arena *a, const char *s)
{
    char *out = mh_arena_strdup(a, s);
    for (char *p = out; p && *p; p++) {
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + 32);
    }
    return out;
}

static void
check_annotations(struct mh_sb_check *c)
{
    size_t i;
    size_t max;
    size_t total = 0;
    yyjson_val *k;
    yyjson_val *v;
    yyjson_obj_foreach(mh_json_get(c->obj, "metadata", "annotations", NULL), i, max, k, v)
    {
        char *key = lower(c->a, yyjson_get_str(k));
        const char *why = key ? mh_sb_name_qualified(c->a, key) : NULL;
        if (why)
            mh_sb_bad_text(c, "metadata.annotations", yyjson_get_str(k), why);
        total += yyjson_get_len(k) + yyjson_get_len(v);
    }
    if (total > ANNOTATIONS_MAX)
        mh_sb_cause_add(c->causes, "FieldValueTooLong", "metadata.annotations",
                        "Too long: may not be more than %d bytes", ANNOTATIONS_MAX);
}

static void
check_owners(struct mh_sb_check *c)
{
    static const char *const fields[] = { "kind", "name", "uid" };
    yyjson_val *list = mh_json_get(c->obj, "metadata", "ownerReferences", NULL);
    const char *controller = NULL;
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        yyjson_val *o = yyjson_arr_get(list, i);
        const char *version = mh_json_str(o, "apiVersion", NULL);
        if (!version || !*version)
            mh_sb_bad_text(c, "metadata.ownerReferences.apiVersion", "",
                           "version must not be empty");
        for (size_t f = 0; f < 3; f++) {
            const char *text = mh_json_str(o, fields[f], NULL);
            if (!text || !*text)
                mh_sb_bad_text(c, mh_sb_check_at(c, "metadata.ownerReferences.%s", fields[f]), "",
                               "must not be empty");
        }
        const char *name = mh_json_str(o, "name", NULL);
        if (!mh_json_bool(o, false, "controller", NULL) || !name)
            continue;
        if (controller)
            mh_sb_bad(
                c, "metadata.ownerReferences", list,
                mh_sb_check_at(c,
                               "Only one reference can have Controller set to true. Found \"true\" "
                               "in references for %s and %s",
                               controller, name));
        controller = name;
    }
}

static bool
among(yyjson_val *list, const char *s)
{
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        if (yyjson_equals_str(yyjson_arr_get(list, i), s))
            return true;
    }
    return false;
}

static bool
standard_finalizer(const char *s)
{
    static const char *const names[] = { "orphan", "foregroundDeletion", "kubernetes" };
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(names[i], s) == 0)
            return true;
    }
    return strchr(s, '/') != NULL;
}

static void
check_finalizers(struct mh_sb_check *c)
{
    yyjson_val *list = mh_json_get(c->obj, "metadata", "finalizers", NULL);
    yyjson_val *before = mh_json_get(c->old, "metadata", "finalizers", NULL);
    bool core = !c->op->t.r->custom && !*c->op->t.r->group;
    char *added = NULL;
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        const char *name = yyjson_get_str(yyjson_arr_get(list, i));
        const char *why = name ? mh_sb_name_qualified(c->a, name) : NULL;
        if (!name)
            continue;
        if (why)
            mh_sb_bad_text(c, "metadata.finalizers", name, why);
        else if (core && !standard_finalizer(name))
            mh_sb_bad_text(c, mh_sb_check_at(c, "metadata.finalizers[%zu]", i), name,
                           "name is neither a standard finalizer name nor is it fully qualified");
        else if (c->op->t.r->custom && !standard_finalizer(name) && !among(before, name))
            mh_sb_warn(
                c->op->req,
                mh_sb_check_at(c,
                               "metadata.finalizers: \"%s\": prefer a domain-qualified finalizer "
                               "name including a path (/) to avoid accidental conflicts with other "
                               "finalizer writers",
                               name));
        if (c->old && !among(before, name))
            added =
                mh_arena_printf(c->a, "%s%s\"%s\"", added ? added : "", added ? ", " : "", name);
    }
    if (among(list, "orphan") && among(list, "foregroundDeletion"))
        mh_sb_bad(c, "metadata.finalizers", list,
                  "finalizer orphan and foregroundDeletion cannot be both set");
    if (added && mh_json_get(c->old, "metadata", "deletionTimestamp", NULL))
        mh_sb_forbid(
            c, "metadata.finalizers",
            mh_sb_check_at(c,
                           "no new finalizers can be added if the object is being deleted, found "
                           "new finalizers []string{%s}",
                           added));
}

void
mh_sb_check_meta(struct mh_sb_op *op, yyjson_val *obj, struct mh_sb_causes *causes)
{
    struct mh_sb_check c = { op, op->arena, obj, op->updating ? op->old : NULL, causes, NULL };
    check_name(&c);
    check_annotations(&c);
    check_labels(&c);
    check_owners(&c);
    check_finalizers(&c);
}

/* --- kinds ----------------------------------------------------------------------------------- */

static void
check_crd(struct mh_sb_check *c)
{
    mh_sb_crd_validate(c->op->api, c->obj, c->old, c->causes);
}

void
mh_sb_check(struct mh_sb_op *op, yyjson_val *obj, struct mh_sb_causes *causes)
{
    static const struct {
        const char *kind;
        void (*fn)(struct mh_sb_check *c);
    } checks[] = { { "Pod", mh_sb_check_pod },
                   { "Deployment", mh_sb_check_deployment },
                   { "ReplicaSet", mh_sb_check_set },
                   { "StatefulSet", mh_sb_check_stateful },
                   { "Job", mh_sb_check_job },
                   { "CronJob", mh_sb_check_cronjob },
                   { "ConfigMap", mh_sb_check_config_map },
                   { "Secret", mh_sb_check_secret },
                   { "Service", mh_sb_check_service },
                   { "PersistentVolumeClaim", mh_sb_check_claim },
                   { "Lease", mh_sb_check_lease },
                   { "Role", mh_sb_check_role },
                   { "ClusterRole", mh_sb_check_role },
                   { "RoleBinding", mh_sb_check_binding },
                   { "ClusterRoleBinding", mh_sb_check_binding },
                   { "PodDisruptionBudget", mh_sb_check_budget },
                   { "StorageClass", mh_sb_check_class },
                   { "PriorityClass", mh_sb_check_priority },
                   { "EndpointSlice", mh_sb_check_slice },
                   { "Event", mh_sb_check_event },
                   { "Node", mh_sb_check_node },
                   { "MutatingWebhookConfiguration", mh_sb_check_webhooks },
                   { "ValidatingWebhookConfiguration", mh_sb_check_webhooks },
                   { "ValidatingAdmissionPolicy", mh_sb_check_policy },
                   { "CustomResourceDefinition", check_crd } };
    struct mh_sb_check c = { op, op->arena, obj, op->updating ? op->old : NULL, causes, NULL };
    if (op->status && op->updating) {
        mh_sb_check_status(&c);
        return;
    }
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        if (strcmp(checks[i].kind, op->t.r->kind) == 0)
            checks[i].fn(&c);
    }
}
