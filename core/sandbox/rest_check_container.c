/* Checks of containers and volumes, and of the status of workloads. */
#include <string.h>

#include "base/str.h"
#include "sandbox/quantity.h"
#include "sandbox/rest_check.h"

/* --- containers ------------------------------------------------------------------------------ */

static void
check_ports(struct mh_sb_check *c, const char *at, yyjson_val *ports)
{
    for (size_t i = 0; i < yyjson_arr_size(ports); i++) {
        yyjson_val *port = yyjson_obj_get(yyjson_arr_get(ports, i), "containerPort");
        int64_t n = yyjson_get_sint(port);
        if (!n)
            mh_sb_required(c, mh_sb_check_at(c, "%s.ports[%zu].containerPort", at, i), "");
        else if (n < 1 || n > 65535)
            mh_sb_bad(c, mh_sb_check_at(c, "%s.ports[%zu].containerPort", at, i), port,
                      "must be between 1 and 65535, inclusive");
    }
}

/* Nothing may be asked for beyond its limit. */
static void
check_resources(struct mh_sb_check *c, const char *at, yyjson_val *resources)
{
    yyjson_val *limits = yyjson_obj_get(resources, "limits");
    size_t i;
    size_t max;
    yyjson_val *k;
    yyjson_val *v;
    yyjson_obj_foreach(mh_sb_obj_or_none(yyjson_obj_get(resources, "requests")), i, max, k, v)
    {
        const char *name = yyjson_get_str(k);
        const char *most = yyjson_get_str(yyjson_obj_get(limits, name));
        const char *want = yyjson_get_str(v);
        struct mh_sb_quantity a, b;
        if (!most || !want || !mh_sb_quantity_parse(want, &a) || !mh_sb_quantity_parse(most, &b) ||
            mh_sb_quantity_cmp(&a, &b) <= 0)
            continue;
        mh_sb_bad_text(
            c, mh_sb_check_at(c, "%s.resources.requests", at), want,
            mh_sb_check_at(c, "must be less than or equal to %s limit of %s", name, most));
    }
}

/* "KEY":VALUE, as Go writes a pointer. */
static const char *
go_field(struct mh_sb_check *c, yyjson_val *v)
{
    char *text = v ? mh_sb_go_json(c->a, v) : NULL;
    return text ? text : "null";
}

/* The security context as the real server's internal struct is written. */
static const char *
go_context(struct mh_sb_check *c, yyjson_val *sc)
{
    static const char *const fields[][2] = { { "Privileged", "privileged" },
                                             { "SELinuxOptions", NULL },
                                             { "WindowsOptions", NULL },
                                             { "RunAsUser", "runAsUser" },
                                             { "RunAsGroup", "runAsGroup" },
                                             { "RunAsNonRoot", "runAsNonRoot" },
                                             { "ReadOnlyRootFilesystem", "readOnlyRootFilesystem" },
                                             { "AllowPrivilegeEscalation",
                                               "allowPrivilegeEscalation" },
                                             { "ProcMount", "procMount" } };
    yyjson_val *caps = yyjson_obj_get(sc, "capabilities");
    yyjson_val *seccomp = yyjson_obj_get(sc, "seccompProfile");
    const char *text = "null";
    if (caps)
        text =
            mh_sb_check_at(c, "{\"Add\":%s,\"Drop\":%s}", go_field(c, yyjson_obj_get(caps, "add")),
                           go_field(c, yyjson_obj_get(caps, "drop")));
    text = mh_sb_check_at(c, "{\"Capabilities\":%s", text);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        yyjson_val *v = fields[i][1] ? yyjson_obj_get(sc, fields[i][1]) : NULL;
        text = mh_sb_check_at(c, "%s,\"%s\":%s", text, fields[i][0], go_field(c, v));
    }
    if (!seccomp)
        return mh_sb_check_at(c, "%s,\"SeccompProfile\":null,\"AppArmorProfile\":null}", text);
    return mh_sb_check_at(
        c, "%s,\"SeccompProfile\":{\"Type\":%s,\"LocalhostProfile\":%s},\"AppArmorProfile\":null}",
        text, go_field(c, yyjson_obj_get(seccomp, "type")),
        go_field(c, yyjson_obj_get(seccomp, "localhostProfile")));
}

static void
check_context(struct mh_sb_check *c, const char *at, yyjson_val *sc)
{
    yyjson_val *escalation = yyjson_obj_get(sc, "allowPrivilegeEscalation");
    yyjson_val *added = mh_json_get(sc, "capabilities", "add", NULL);
    const char *field = mh_sb_check_at(c, "%s.securityContext", at);
    if (!yyjson_is_false(escalation))
        return;
    if (yyjson_is_true(yyjson_obj_get(sc, "privileged")))
        mh_sb_cause_add(c->causes, "FieldValueInvalid", field,
                        "Invalid value: %s: cannot set `allowPrivilegeEscalation` to false and "
                        "`privileged` to true",
                        go_context(c, sc));
    for (size_t i = 0; i < yyjson_arr_size(added); i++) {
        if (yyjson_equals_str(yyjson_arr_get(added, i), "CAP_SYS_ADMIN"))
            mh_sb_cause_add(c->causes, "FieldValueInvalid", field,
                            "Invalid value: %s: cannot set `allowPrivilegeEscalation` to false and "
                            "`capabilities.Add` CAP_SYS_ADMIN",
                            go_context(c, sc));
    }
}

void
mh_sb_check_container(struct mh_sb_check *c, const char *at, yyjson_val *v)
{
    check_ports(c, at, yyjson_obj_get(v, "ports"));
    check_resources(c, at, yyjson_obj_get(v, "resources"));
    check_context(c, at, yyjson_obj_get(v, "securityContext"));
}

bool
mh_sb_check_volume(struct mh_sb_check *c, const char *at, yyjson_val *volume)
{
    static const char *const sources[] = { "emptyDir",    "hostPath",  "secret",
                                           "nfs",         "iscsi",     "persistentVolumeClaim",
                                           "downwardAPI", "configMap", "projected",
                                           "csi",         "ephemeral", "image" };
    bool has = false;
    bool good = true;
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        if (!yyjson_obj_get(volume, sources[i]))
            continue;
        if (has) {
            mh_sb_forbid(c, mh_sb_check_at(c, "%s.%s", at, sources[i]),
                         "may not specify more than 1 volume type");
            good = false;
        }
        has = true;
    }
    return good;
}

/* --- status ---------------------------------------------------------------------------------- */

static void
at_most(struct mh_sb_check *c, const char *field, const char *of, const char *why)
{
    yyjson_val *status = yyjson_obj_get(c->obj, "status");
    yyjson_val *v = yyjson_obj_get(status, field);
    if (yyjson_get_sint(v) > mh_json_int(status, 0, of, NULL))
        mh_sb_bad(c, mh_sb_check_at(c, "status.%s", field), v, why);
}

void
mh_sb_check_status(struct mh_sb_check *c)
{
    static const char *const counts[] = { "fullyLabeledReplicas", "updatedReplicas",
                                          "currentReplicas", "readyReplicas", "availableReplicas" };
    const char *kind = c->op->t.r->kind;
    bool stateful = strcmp(kind, "StatefulSet") == 0;
    if (!stateful && strcmp(kind, "Deployment") != 0 && strcmp(kind, "ReplicaSet") != 0)
        return;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        at_most(c, counts[i], "replicas", "cannot be greater than status.replicas");
    at_most(c, "availableReplicas", "readyReplicas",
            stateful ? "cannot be greater than status.readyReplicas"
                     : "cannot be greater than readyReplicas");
}
