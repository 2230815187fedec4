/* rest_check.h - inside of the checks of built-in kinds. Each adds what is wrong, in the real
 * server's words. */
#ifndef MH_SANDBOX_REST_CHECK_H
#define MH_SANDBOX_REST_CHECK_H

#include "sandbox/rest_in.h"

struct mh_sb_check {
    struct mh_sb_op *op;
    struct mh_arena *a;
    yyjson_val *obj;
    yyjson_val *old; /* NULL: create */
    struct mh_sb_causes *causes;
    yyjson_val *claims; /* of a StatefulSet: its pods' volumes come after these */
};

/* Field paths: mh_sb_check_at(c, "spec.ports[%zu].name", i). Never NULL. */
const char *mh_sb_check_at(struct mh_sb_check *c, const char *fmt, ...) MH_PRINTF(2, 3);
void mh_sb_required(struct mh_sb_check *c, const char *field,
                    const char *more); /* more: "" or text */
void mh_sb_forbid(struct mh_sb_check *c, const char *field, const char *why);
void mh_sb_bad(struct mh_sb_check *c, const char *field, yyjson_val *value, const char *why);
void mh_sb_bad_text(struct mh_sb_check *c, const char *field, const char *value, const char *why);
void mh_sb_unsupported(struct mh_sb_check *c, const char *field, const char *value,
                       const char *const *allowed);
/* "must be greater than or equal to 0" */
void mh_sb_not_negative(struct mh_sb_check *c, const char *field, yyjson_val *value);
/* Equal to what it was ("a.b" of the object): else "field is immutable". */
void mh_sb_immutable(struct mh_sb_check *c, const char *path);
/* Value at "a.b" of v. */
yyjson_val *mh_sb_val(yyjson_val *v, const char *path);

/* --- rest_name.c: NULL when it is well formed, else why not --- */
const char *mh_sb_name_subdomain(struct mh_arena *a, const char *s);
const char *mh_sb_name_label(struct mh_arena *a, const char *s);
const char *mh_sb_name_1035(struct mh_arena *a, const char *s);
const char *mh_sb_name_segment(struct mh_arena *a, const char *s);
const char *mh_sb_name_qualified(struct mh_arena *a, const char *s);
const char *mh_sb_name_label_value(struct mh_arena *a, const char *s);
const char *mh_sb_name_config_key(struct mh_arena *a, const char *s);

/* --- rest_check_pod.c --- */
void mh_sb_check_pod(struct mh_sb_check *c);
/* The spec of a pod at this path: "spec", "spec.template.spec". */
void mh_sb_check_pod_spec(struct mh_sb_check *c, const char *at);
void mh_sb_check_deployment(struct mh_sb_check *c);
void mh_sb_check_set(struct mh_sb_check *c);
void mh_sb_check_stateful(struct mh_sb_check *c);
void mh_sb_check_job(struct mh_sb_check *c);
void mh_sb_check_cronjob(struct mh_sb_check *c);
/* --- rest_check_container.c --- */
/* One container: ports, resources, security context. */
void mh_sb_check_container(struct mh_sb_check *c, const char *at, yyjson_val *v);
/* A volume has one source. False: it counts as not there. */
bool mh_sb_check_volume(struct mh_sb_check *c, const char *at, yyjson_val *volume);
/* The status subresource. */
void mh_sb_check_status(struct mh_sb_check *c);
/* --- rest_check_core.c --- */
void mh_sb_check_webhooks(struct mh_sb_check *c);
void mh_sb_check_policy(struct mh_sb_check *c);
void mh_sb_check_node(struct mh_sb_check *c);
void mh_sb_check_config_map(struct mh_sb_check *c);
void mh_sb_check_secret(struct mh_sb_check *c);
void mh_sb_check_service(struct mh_sb_check *c);
void mh_sb_check_claim(struct mh_sb_check *c);
void mh_sb_check_lease(struct mh_sb_check *c);
void mh_sb_check_role(struct mh_sb_check *c);
void mh_sb_check_binding(struct mh_sb_check *c);
void mh_sb_check_budget(struct mh_sb_check *c);
void mh_sb_check_class(struct mh_sb_check *c);
void mh_sb_check_priority(struct mh_sb_check *c);
void mh_sb_check_slice(struct mh_sb_check *c);
void mh_sb_check_event(struct mh_sb_check *c);

/* --- rest_type.c --- */
/* The first field whose JSON type is not the schema's: the error of Go's decoder, on the arena;
 * NULL: all fit. converts: in the words of the converter that strategic patches go through. */
const char *mh_sb_type_error(struct mh_sb_api *api, struct mh_arena *a, yyjson_val *schema,
                             const char *kind, yyjson_val *obj, bool converts);

#endif
