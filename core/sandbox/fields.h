/* fields.h - who owns which field: metadata.managedFields and server-side apply.
 *
 * Every write goes through here before it is validated: create and update (and the other patches)
 * through mh_sb_fields_update, apply through mh_sb_fields_apply. Both take the object as stored
 * (with its managedFields) and return the object to store, managedFields set. */
#ifndef MH_SANDBOX_FIELDS_H
#define MH_SANDBOX_FIELDS_H

#include "sandbox/schema.h"
#include "sandbox/shape.h"

/* One write. */
struct mh_sb_write {
    struct mh_arena *arena;
    yyjson_mut_doc *doc;               /* results are made in it */
    const struct mh_sb_schema *schema; /* of the whole object; NULL: deduced from the values */
    const char *api_version;           /* of the request: "apps/v1" */
    const char *kind;                  /* for messages */
    const char *manager; /* fieldManager, else the user agent up to "/" (mh_sb_fields_manager) */
    const char *subresource; /* "" or "status", "scale", ... */
    const char *now;         /* RFC 3339, for entries that change */
    bool force;              /* apply only */
    bool applied;            /* an update that counts as Apply: of the scale */
    yyjson_val *live;        /* as stored; NULL: the object is created */
    /* Top-level fields this endpoint never owns, NULL-ended: {"status", NULL} for the main
     * resource of kinds with a status subresource, {"spec", NULL} (CRDs: all but status and
     * metadata is "spec") for status. NULL: none. "metadata.labels"-like dotted paths allowed. */
    const char *const *reset;
};

/* manager for a request: `asked` (may be NULL or ""), else what user_agent has before its first
 * slash (at most 128 bytes), else "unknown". */
char *mh_sb_fields_manager(struct mh_arena *a, const char *asked, const char *user_agent);

/* After create, update, JSON/merge/strategic patch (and after mutating admission): sets
 * metadata.managedFields of obj. What the client wrote there counts only for dropping: an empty
 * list or [{}] forgets all owners; entries may be removed or changed as the real server allows.
 * Times of entries that do not change stay. Never fails because of bad managedFields of the
 * client (they are ignored). Fails: NOMEM, INVALID. */
enum mh_code mh_sb_fields_update(const struct mh_sb_write *w, yyjson_mut_val *obj,
                                 struct mh_err *err);

/* Apply: merges `applied` (the patch, already pruned and decoded) into live and gives the object
 * to store, in w->doc. *changed (may be NULL) says whether it differs from live in anything but
 * times (false: no write, answer with live). Conflicts (without force): MH_E_CONFLICT, err->msg is
 * the Status message (`Apply failed with 1 conflict: ...`, cut to the length of err->msg; the whole
 * is *message), and causes gets reason FieldManagerConflict, message `conflict with "x" ...`,
 * field ".spec.replicas". Fails: CONFLICT, INVALID (400: for instance managedFields in the
 * patch, duplicates in a set: err->msg is the Status message), NOMEM. */
enum mh_code mh_sb_fields_apply(const struct mh_sb_write *w, yyjson_val *applied,
                                yyjson_mut_val **out, bool *changed, struct mh_sb_causes *conflicts,
                                struct mh_err *err);
/* The Status message of these conflicts. NULL: no memory. */
char *mh_sb_fields_conflict_text(const struct mh_sb_causes *conflicts);

/* True if both objects are equal in everything but the times in managedFields: then there is
 * nothing to write. */
bool mh_sb_fields_same(struct mh_arena *a, yyjson_val *live, yyjson_val *next);

#endif
