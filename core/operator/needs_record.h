/* needs_record.h - inside core/operator: the records of granted needs, as texts. Pure.
 *
 * A ClusterRecord in the operator's namespace, one for a ConfigMap, with the label moonherd.io/record:
 *
 *     record:
 *       configmap: {namespace, name, uid}
 *       scripts:
 *         pgrole.lua: {sha256, needs, by, at, seen, before: {sha256, needs}}
 *
 * `seen` is set once the text was met in the ConfigMap: until then (the edit may still fail) the text
 * before it may be loaded too; from then on only as the last good version. */
#ifndef MH_OPERATOR_NEEDS_RECORD_H
#define MH_OPERATOR_NEEDS_RECORD_H

#include "net/crypto.h"
#include "operator/needs.h"

#define MH_NEEDS_LABEL_VALUE "needs"
#define MH_NEEDS_SCRIPTS_MAX 20 /* keys of a ConfigMap */

/* One text that somebody with the rights brought. */
struct mh_needs_given {
    const char *key;
    char sha[MH_SHA256_HEX];
    char stored[MH_SHA256_HEX]; /* of the text that the ConfigMap has now; "" for none */
    struct mh_needs_set set;
};

/* What is to be recorded. */
struct mh_needs_page {
    const char *name_space, *name, *uid; /* of the ConfigMap */
    yyjson_val *data, *old_data;         /* its keys; other keys are forgotten */
    const char *by;
    int64_t wall_us;
    const struct mh_needs_given *given;
    size_t ngiven;
};

/* "needs.HASH"; NULL: no memory. */
const char *mh_needs_record_name(struct mh_arena *a, const char *name_space, const char *name);
/* The record as it is to be written, from the object as it is (NULL: there is none) and what is new.
 * NULL: no memory, or too large. */
const char *mh_needs_record_body(struct mh_arena *a, const char *home, yyjson_val *object,
                                 const struct mh_needs_page *page);

enum mh_needs_found { MH_NEEDS_ABSENT, MH_NEEDS_OTHER, MH_NEEDS_NEW, MH_NEEDS_KNOWN };
/* Whether the record grants this text these needs: NEW when it is to be marked as seen. */
enum mh_needs_found mh_needs_record_find(yyjson_val *object, const struct mh_needs_text *t,
                                         const char *sha, const char *needs, struct mh_arena *a);
/* When the newest of its texts was recorded, in microseconds; 0: unknown. */
int64_t mh_needs_record_time(yyjson_val *object);

#endif
