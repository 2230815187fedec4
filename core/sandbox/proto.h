/* proto.h - request bodies in protobuf, as kubectl's typed clients send built-in kinds, made JSON.
 *
 * The numbers of the fields are in data/protos.txt (made by tests/sandbox/protos). Answers are JSON:
 * every client takes both. */
#ifndef MH_SANDBOX_PROTO_H
#define MH_SANDBOX_PROTO_H

#include "base/json.h"

#define MH_SB_PROTOBUF "application/vnd.kubernetes.protobuf"

/* The object with kind and apiVersion as JSON text on the arena. INVALID: no such body, or a kind
 * that is not known; NOMEM. */
enum mh_code mh_sb_proto_json(struct mh_arena *a, const char *body, size_t len, char **json,
                              size_t *json_len, struct mh_err *err);

#endif
