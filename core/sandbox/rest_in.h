/* rest_in.h - inside of the sandbox's API server. Included by rest*, list*, watch*, discovery*,
 * gc*, table*, crd* and disk* only. */
#ifndef MH_SANDBOX_REST_IN_H
#define MH_SANDBOX_REST_IN_H

#include "sandbox/kinds.h"
#include "sandbox/rest.h"
#include "sandbox/schema.h"
#include "sandbox/shape.h"
#include "sandbox/store.h"

#define MH_SB_BODY_MAX ((size_t)3 << 20)
#define MH_SB_RETRIES 5

struct mh_sb_disk;
struct mh_sb_gc;
struct mh_sb_direct_user;

struct mh_sb_api {
    struct mh_sb_store store;
    struct mh_sb_kinds kinds;
    struct mh_sb_hooks hooks;
    struct mh_clock clock;
    struct mh_rand rand;
    char *address;
    struct mh_timer *tick; /* tells watches, lets direct calls end */
    struct mh_timer *slow; /* bookmarks, timeouts of watches, events that expire */
    bool ticking;          /* inside of the tick */
    struct mh_sb_disk *disk;
    struct mh_sb_gc *gc;
    struct mh_sb_direct_user *users;
    struct mh_sb_op *waiting; /* operations that wait for the disk */
    struct mh_buf line;       /* scratch of the watch path */
    struct mh_arena schemas;  /* compiled built-in schemas */
    struct mh_sb_schema_set *components;
    uint64_t discovery_made; /* kinds.generation of the cached documents */
    struct mh_arena discovery;
    struct mh_map documents; /* cached, by path */
    uint64_t rand_state;
    size_t nwatches;
    uint64_t requests;
    uint64_t lines;
    bool gone; /* being freed */
    bool crds_new;
    unsigned next_service; /* where the search for a free address begins */
    unsigned next_port;    /* and for a free node port */
};

/* A done that does nothing. */
void mh_sb_ignore(struct mh_sb_req *req);

/* The query of a request. Texts are decoded, NULL where absent. */
struct mh_sb_query {
    const char *dry_run;
    const char *field_manager;
    const char *field_validation;
    const char *label_selector;
    const char *field_selector;
    const char *resource_version;
    const char *version_match;
    const char *token; /* continue */
    const char *limit;
    const char *grace;
    const char *propagation;
    const char *orphan;
    const char *force;
    const char *timeout;
    const char *watch;
    const char *bookmarks;
    const char *send_initial;
    const char *include_object;
};

/* What the parts of a path name. */
struct mh_sb_place {
    struct mh_sb_attrs at;
    struct mh_sb_query q;
    struct mh_sb_resource *r;
    struct mh_sb_version *v;
    bool watch;
};

enum mh_sb_verb { MH_SB_CREATE, MH_SB_UPDATE, MH_SB_PATCH, MH_SB_DELETE };

/* One write under way. Lives on the request's arena. */
struct mh_sb_op {
    struct mh_sb_api *api;
    struct mh_sb_req *req;
    struct mh_arena *arena;
    struct mh_sb_place t;
    struct mh_sb_op *next;
    enum mh_sb_verb verb;
    const char *operation; /* CREATE UPDATE DELETE, as admission sees it */
    bool dry_run;
    bool apply;
    bool status; /* the status subresource */
    bool force_create;
    bool keep_given_status; /* the main resource may write status too */
    bool binding;           /* pods/binding */
    bool evicting;          /* a delete through pods/eviction */
    bool finalizing;        /* namespaces/finalize */
    bool shared_labels;     /* a Job's labels are those of its template */
    bool updating;          /* something is there, and this is no create */
    const char *generated;  /* name made from generateName */
    const char *other_uid;  /* a patch wants this uid instead */
    const char *other_kind; /* a custom resource that came says it is of this kind */
    yyjson_val *patched;    /* what a patch made, before unknown fields went */
    int tries;
    const char *key;
    yyjson_val *body;       /* what came, whole */
    yyjson_val *options;    /* CreateOptions, ... for admission */
    struct mh_sb_obj *live; /* a reference; NULL: not there */
    yyjson_val *old;        /* live, with kind and apiVersion */
    yyjson_mut_doc *doc;
    yyjson_mut_val *obj;
    struct mh_sb_admit admit;
    void (*admitted)(struct mh_sb_op *op);
    void (*finish)(struct mh_sb_op *op, yyjson_val *object, int status); /* NULL: plain answer */
    /* makes op->obj from op->old in place of body or patch; false: refused */
    bool (*make)(struct mh_sb_op *op);
    yyjson_val *sub; /* the object of a subresource: Scale, Binding */
    uint64_t synced; /* answered when the disk has this resourceVersion */
};

/* --- rest_path.c --- */
/* False: 404 (*plain: as text). */
bool mh_sb_place_find(struct mh_sb_api *api, struct mh_arena *a, const struct mh_sb_req *req,
                      struct mh_sb_place *t, bool *plain);
bool mh_sb_query_parse(struct mh_arena *a, const char *path, struct mh_sb_query *q);
bool mh_sb_is_true(const char *s); /* "true", "1", "" of a query; NULL is false */
/* "ns/name" or "name"; NULL: no memory. */
char *mh_sb_key(struct mh_arena *a, const char *ns, const char *name);

/* --- rest_reply.c --- */
/* deployments.apps, pods */
const char *mh_sb_resource_text(struct mh_arena *a, const struct mh_sb_resource *r);
void mh_sb_no_memory(struct mh_sb_req *req);
void mh_sb_not_found(struct mh_sb_req *req, const struct mh_sb_resource *r, const char *name);
void mh_sb_exists(struct mh_sb_req *req, const struct mh_sb_resource *r, const char *name);
void mh_sb_conflict(struct mh_sb_req *req, const struct mh_sb_resource *r, const char *name,
                    const char *why);
void mh_sb_bad_request(struct mh_sb_req *req, const char *fmt, ...) MH_PRINTF(2, 3);
void mh_sb_forbidden(struct mh_sb_req *req, const struct mh_sb_resource *r, const char *name,
                     const char *why);
/* 422; kind as "Deployment". */
void mh_sb_invalid(struct mh_sb_req *req, const char *group, const char *kind, const char *name,
                   const struct mh_sb_causes *causes);
void mh_sb_no_method(struct mh_sb_req *req);
/* A Status with these details (may be NULL). */
void mh_sb_status(struct mh_sb_req *req, int code, const char *reason, const char *message,
                  yyjson_mut_val *details, yyjson_mut_doc *doc);
/* Answers this object with kind and apiVersion, as JSON or as a Table, as the client asked. */
void mh_sb_answer_object(struct mh_sb_api *api, struct mh_sb_req *req,
                         const struct mh_sb_version *v, const char *text, size_t len, int status);
/* Success of what makes no object: a binding, an eviction. */
void mh_sb_answer_created(struct mh_sb_req *req);
/* Success of a removal. */
void mh_sb_answer_deleted(struct mh_sb_req *req, const struct mh_sb_resource *r, const char *name,
                          const char *uid);

/* --- rest_object.c --- */
/* Parses a stored object, kind and apiVersion of `v` added. */
yyjson_val *mh_sb_obj_value(struct mh_arena *a, const struct mh_sb_version *v,
                            const struct mh_sb_obj *o);
/* Whole text with kind and apiVersion. */
char *mh_sb_obj_text(struct mh_arena *a, const struct mh_sb_version *v, const struct mh_sb_obj *o,
                     size_t *len);
/* The version that stored text is of. */
struct mh_sb_version *mh_sb_storage_version(struct mh_sb_resource *r);
void mh_sb_uid(struct mh_sb_api *api, char out[37]);
void mh_sb_random_name(struct mh_sb_api *api, char out[6]);
void mh_sb_now(struct mh_sb_api *api, char out[40]);
/* Helpers on mutable objects; all take NULL. */
yyjson_mut_val *mh_sb_mget(yyjson_mut_val *v, ...) __attribute__((sentinel));
const char *mh_sb_mstr(yyjson_mut_val *v, ...) __attribute__((sentinel));
/* Sets or replaces a member, in place where it was. */
bool mh_sb_mset(yyjson_mut_doc *doc, yyjson_mut_val *obj, const char *key, yyjson_mut_val *value);
bool mh_sb_mset_str(yyjson_mut_doc *doc, yyjson_mut_val *obj, const char *key, const char *value);
void mh_sb_mdel(yyjson_mut_val *obj, const char *key);
/* obj[key], made as an object if absent or not one. */
yyjson_mut_val *mh_sb_mobj(yyjson_mut_doc *doc, yyjson_mut_val *obj, const char *key);
/* The same for a list. */
yyjson_mut_val *mh_sb_marr(yyjson_mut_doc *doc, yyjson_mut_val *obj, const char *key);

/* --- rest_commit.c --- */
/* Writes obj (kind and apiVersion are left out) under op->key: gives it the next resourceVersion.
 * NULL: no memory. Borrowed. */
struct mh_sb_obj *mh_sb_commit(struct mh_sb_api *api, struct mh_sb_resource *r, const char *key,
                               struct mh_arena *a, yyjson_mut_doc *doc, yyjson_mut_val *obj);
/* Removes; the answer is the last state. Borrowed. */
struct mh_sb_obj *mh_sb_commit_removal(struct mh_sb_api *api, struct mh_sb_resource *r,
                                       const char *key, struct mh_arena *a, yyjson_mut_doc *doc,
                                       yyjson_mut_val *obj);
/* The object of a text, one reference; NULL: no memory, or no object. */
struct mh_sb_obj *mh_sb_obj_read(const char *key, uint64_t version, const char *text, size_t len);
/* From the log: puts or removes text as it is. */
bool mh_sb_restore(struct mh_sb_api *api, struct mh_sb_resource *r, const char *key,
                   uint64_t version, const char *text, size_t len);
bool mh_sb_restore_removal(struct mh_sb_api *api, struct mh_sb_resource *r, const char *key,
                           uint64_t version, const char *text, size_t len);
/* Something is to be told: makes the tick come. */
void mh_sb_wake(struct mh_sb_api *api);
/* Calls req->done when what was written is on disk. */
void mh_sb_finish(struct mh_sb_op *op);

/* --- rest.c --- */
/* The options in the query that every write has; false: answered. */
bool mh_sb_write_options(struct mh_sb_op *op);

/* --- rest_write.c, rest_delete.c, rest_sub.c --- */
void mh_sb_write(struct mh_sb_op *op);
void mh_sb_delete(struct mh_sb_op *op);
void mh_sb_delete_collection(struct mh_sb_op *op);
/* Subresources other than status; false: there is no such one. */
bool mh_sb_subresource(struct mh_sb_op *op);
/* Any of the four patches but apply, by the request's content type, on `now`. False: answered. */
bool mh_sb_patch_any(struct mh_sb_op *op, yyjson_val *now, yyjson_val *patch, yyjson_mut_val **out);
/* Does every PodDisruptionBudget let this pod go? False: answered (429). */
bool mh_sb_budget_allows(struct mh_sb_op *op, yyjson_val *pod);
/* Sets status.conditions[type] of a pod. False: no memory. */
bool mh_sb_condition(struct mh_sb_op *op, const char *type, const char *status);
/* A review: body checked, on to the hook. */
void mh_sb_review(struct mh_sb_op *op);
/* --- rest_review.c --- */
/* Asks the hook about what was decoded. */
void mh_sb_review_ask(struct mh_sb_op *op);
/* The body of serviceaccounts/token. False: answered. */
bool mh_sb_token_decode(struct mh_sb_op *op);
/* The live object with deletionTimestamp has no finalizers any more: is it to be removed? */
bool mh_sb_is_over(yyjson_mut_val *obj);

/* --- rest_decode.c --- */
/* Is it the kind of the path? Sets kind and apiVersion. False: answered. */
bool mh_sb_check_kind(struct mh_sb_op *op);
/* Is the body an applied object? */
bool mh_sb_is_apply(const struct mh_sb_op *op);

/* --- rest_prepare.c --- */
/* What the server itself changes between decode and store. False: refused, answered. */
bool mh_sb_decode(struct mh_sb_op *op);
bool mh_sb_prepare_create(struct mh_sb_op *op);
bool mh_sb_prepare_update(struct mh_sb_op *op);
bool mh_sb_validate(struct mh_sb_op *op);
bool mh_sb_own_fields(struct mh_sb_op *op);
/* op->obj is what the client applies; becomes the object to store. */
bool mh_sb_apply_fields(struct mh_sb_op *op);
/* PUT creates what is not there. */
bool mh_sb_creates_on_update(const struct mh_sb_resource *r);
/* PUT without resourceVersion is allowed. */
bool mh_sb_updates_unseen(const struct mh_sb_resource *r);
/* What built-in kinds have from the beginning (status.phase, clusterIP, ...), and keep or get on
 * every update. False: no memory, or answered. */
bool mh_sb_first_status(struct mh_sb_op *op);
bool mh_sb_next_spec(struct mh_sb_op *op);
/* Warnings about what is valid but odd, refusals of what is valid but impossible. False: answered. */
bool mh_sb_advise(struct mh_sb_op *op);
/* Defaults of built-in kinds. False: no memory. */
bool mh_sb_defaults(struct mh_sb_op *op);
/* Checks of built-in kinds. */
void mh_sb_check(struct mh_sb_op *op, yyjson_val *obj, struct mh_sb_causes *causes);
/* Object metadata, every kind. */
void mh_sb_check_meta(struct mh_sb_op *op, yyjson_val *obj, struct mh_sb_causes *causes);

/* --- list.c --- */
void mh_sb_list(struct mh_sb_api *api, struct mh_sb_req *req, struct mh_sb_place *t);
void mh_sb_get_one(struct mh_sb_api *api, struct mh_sb_req *req, struct mh_sb_place *t);

/* --- list_select.c --- */
struct mh_sb_select {
    struct mh_sb_term *labels;
    struct mh_sb_term *fields;
    int nlabels;
    int nfields;
    const char *ns;   /* NULL: all */
    const char *name; /* metadata.name=: only this; NULL: all */
    bool custom;
};
/* Parses both selectors; false: refused, answered (400). */
bool mh_sb_select_parse(struct mh_sb_req *req, struct mh_arena *a, const struct mh_sb_place *t,
                        struct mh_sb_select *s);
/* Does the object with this key match? `value` is parsed on demand from o into scratch. */
bool mh_sb_select_match(const struct mh_sb_select *s, struct mh_arena *scratch,
                        const struct mh_sb_obj *o, yyjson_val **value);

/* --- watch.c --- */
void mh_sb_watches_tell(struct mh_sb_api *api);
void mh_sb_watches_slow(struct mh_sb_api *api);
void mh_sb_watches_free(struct mh_sb_api *api);
/* A change happened in r. */
void mh_sb_watches_dirty(struct mh_sb_api *api, struct mh_sb_resource *r);
/* Ends all watches of a resource that is gone. */
void mh_sb_watches_end(struct mh_sb_api *api, struct mh_sb_resource *r);

/* --- rest_direct.c --- */
void mh_sb_direct_tell(struct mh_sb_api *api);
void mh_sb_direct_free(struct mh_sb_api *api);

/* --- table.c --- */
/* Of a request for a Table: is includeObject a known word? False: answered. */
bool mh_sb_include_ok(struct mh_sb_req *req, const char *include);
/* Does Accept ask for metadata only (PartialObjectMetadata, ...List)? */
bool mh_sb_wants_partial(const char *accept);
/* An object's text, metadata only; NULL: no memory. */
char *mh_sb_partial_text(struct mh_arena *a, const char *text, size_t *len);
bool mh_sb_wants_table(const char *accept);
/* The text of a Table of these objects; NULL: no memory. list_meta: JSON of a list's metadata; NULL:
 * that of the object; MH_SB_NO_COLUMNS: so, and without columns. include: Metadata, None, Object. */
#define MH_SB_NO_COLUMNS "no columns"
struct mh_sb_table_of {
    const char *const *texts;
    const size_t *lens;
    size_t n;
    const char *list_meta;
    const char *include;
};
char *mh_sb_table_text(struct mh_sb_api *api, struct mh_arena *a, const struct mh_sb_version *v,
                       const struct mh_sb_table_of *of, size_t *len);

/* --- discovery.c --- */
/* Answers /api, /apis, /version, /openapi/v3 ...; false: not one of them. */
bool mh_sb_discovery(struct mh_sb_api *api, struct mh_sb_req *req, const char *path);

/* --- crd.c --- */
/* After a CustomResourceDefinition was written or removed. */
void mh_sb_crd_changed(struct mh_sb_api *api, yyjson_val *crd, bool removed);
/* Status of a CRD that is about to be stored: names, conditions, storedVersions. */
bool mh_sb_crd_status(struct mh_sb_op *op);
void mh_sb_crd_validate(struct mh_sb_api *api, yyjson_val *crd, yyjson_val *old,
                        struct mh_sb_causes *causes);
#define MH_SB_CRD_FINALIZER "customresourcecleanup.apiextensions.k8s.io"
/* Marks op->obj, a CRD, as being removed. False: it is none, or was before. */
bool mh_sb_crd_terminate(struct mh_sb_op *op);
/* From the tick: new CRDs become resources. */
void mh_sb_crd_run(struct mh_sb_api *api);
/* The compiled schema of a version; NULL: none. */
const struct mh_sb_schema *mh_sb_version_schema(struct mh_sb_api *api, struct mh_sb_version *v);

/* --- gc.c --- */
/* After a commit. before or now may be NULL. */
void mh_sb_gc_note(struct mh_sb_api *api, struct mh_sb_resource *r, struct mh_sb_obj *before,
                   struct mh_sb_obj *now, bool removed);
void mh_sb_gc_run(struct mh_sb_api *api);
/* Every second: what failed is tried again. */
void mh_sb_gc_slow(struct mh_sb_api *api);
bool mh_sb_gc_init(struct mh_sb_api *api);
void mh_sb_gc_free(struct mh_sb_api *api);
/* May an object be created in this namespace? False: refused, answered. */
bool mh_sb_namespace_open(struct mh_sb_api *api, struct mh_sb_req *req,
                          const struct mh_sb_resource *r, const char *ns, const char *name);

/* --- disk.c --- */
enum mh_code mh_sb_disk_open(struct mh_sb_api *api, const struct mh_sb_config *config,
                             struct mh_err *err);
void mh_sb_disk_free(struct mh_sb_api *api);
void mh_sb_disk_log(struct mh_sb_api *api, const struct mh_sb_resource *r,
                    const struct mh_sb_obj *o, bool removed);
/* Is everything up to here durable? */
bool mh_sb_disk_synced(const struct mh_sb_api *api, uint64_t version);
/* Puts on disk what was committed. False: it cannot be written, nobody may hear of it. */
bool mh_sb_disk_sync(struct mh_sb_api *api);
/* The same, and answers who waited for it. */
void mh_sb_disk_flush(struct mh_sb_api *api);
/* Calls req->done, as soon as all that is committed now is on disk: no answer, also none of a read,
 * tells of what could be lost. */
void mh_sb_answered(struct mh_sb_op *op);

#endif
