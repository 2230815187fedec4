/* needs.h - what a script beyond a policy may touch: declared by it, granted to whom brought it.
 *
 * A script declares, as plain data,
 *
 *     needs = {
 *       api = { { group = "", resource = "secrets", verbs = { "get" }, namespace = "web", names = { "a" } } },
 *       sql = { { cluster = "pg", database = "app", as = "app", namespace = "web" } },
 *     }
 *
 * group "" and namespace and names may be absent; resource may have one of the subresources status,
 * scale, finalizers. Without a namespace a need is for all namespaces if the ConfigMap is in the
 * operator's, else for the ConfigMap's own; another namespace than its own may only be named in the
 * operator's. Nothing may be "*". Verbs are get list watch create update patch delete; names only go
 * with get update patch delete. No need reaches into RBAC, tokens or moonherd.io.
 *
 * The webhook (webhook_needs.c) has the API server judge each of them for the user who writes the
 * text (SubjectAccessReview), and records the SHA-256 of the text with its needs in the operator's
 * namespace before it says yes. A need of SQL is the right to the verb "sql" on "clusters/sql".
 * Where a text with needs is loaded, mh_needs_granted or mh_needs_ask says whether it is recorded
 * for this very ConfigMap (namespace, name, uid) and key; if it is not: Rejected, NeedsNotChecked.
 * The set to hold a script to is that of the answer, never what the script says of itself later. */
#ifndef MH_OPERATOR_NEEDS_H
#define MH_OPERATOR_NEEDS_H

#include "base/json.h"
#include "base/world.h"
#include "kube/cache.h"
#include "kube/kinds.h"

#define MH_PLUGIN_LABEL "moonherd.io/plugin"

#define MH_NEEDS_MAX 16                     /* entries under api, and under sql */
#define MH_NEEDS_WORDS 16                   /* verbs or names of one */
#define MH_NEEDS_TEXT_MAX ((size_t)4 << 10) /* of all needs of a script, as canonical JSON */

/* For an event and a status message. */
#define MH_NEEDS_REASON "NeedsNotChecked"

/* --- what is declared (needs_set.c; pure) ------------------------------------------------------- */

struct mh_need_api {
    const char *group;
    const char *resource;
    const char *subresource; /* NULL: none */
    const char *name_space;  /* NULL: all */
    const char *verbs[MH_NEEDS_WORDS + 1];
    const char *names[MH_NEEDS_WORDS + 1]; /* empty: all */
};

struct mh_need_sql {
    const char *name_space; /* NULL: all */
    const char *cluster;    /* NULL: all */
    const char *database;   /* NULL: the one of the application */
    const char *as;         /* role; NULL: the owner of that database */
};

struct mh_needs_set {
    struct mh_need_api api[MH_NEEDS_MAX];
    size_t napi;
    struct mh_need_sql sql[MH_NEEDS_MAX];
    size_t nsql;
    const char *core[MH_NEEDS_WORDS + 1]; /* of a controller of the image; of others empty */
    const char *text; /* canonical JSON of the declaration; "{}" without needs */
};

/* Reads a declaration (NULL or null: none); name_space is where the ConfigMap is, NULL for the
 * operator's. INVALID with a message for people. Texts are on the arena. */
enum mh_code mh_needs_parse(struct mh_arena *a, yyjson_val *declared, const char *name_space,
                            struct mh_needs_set *out, struct mh_err *err);
/* The words that there are under `core`, sorted, ended by NULL. */
extern const char *const mh_needs_core[];
/* The same for a controller of the image, which may write Roles, and may name words under `core`:
 * what they open is said in scripts/meta/core.lua. From anybody else `core` is INVALID. */
enum mh_code mh_needs_parse_image(struct mh_arena *a, yyjson_val *declared,
                                  struct mh_needs_set *out, struct mh_err *err);
bool mh_needs_empty(const struct mh_needs_set *s);

/* What a script wants to do now. */
struct mh_need_wish {
    const char *verb, *group, *resource;
    const char *subresource; /* NULL: none */
    const char *name_space;  /* NULL: all, or the kind has none */
    const char *name;        /* NULL: a list, a watch, or not known yet */
};
/* Whether one of the needs covers it. */
bool mh_needs_cover_api(const struct mh_needs_set *s, const struct mh_need_wish *wish);
/* Whether SQL in this database (NULL: the application's) as this role (NULL: its owner) is covered. */
bool mh_needs_cover_sql(const struct mh_needs_set *s, const char *name_space, const char *cluster,
                        const char *database, const char *as);

/* --- what is granted (needs.c) ------------------------------------------------------------------ */

/* A text as it is about to be loaded. */
struct mh_needs_text {
    const char *name_space, *name, *uid; /* of the ConfigMap */
    const char *key;                     /* "pgrole.lua" */
    const char *script;                  /* the very bytes that will run */
    size_t script_len;
    bool kept; /* not what the ConfigMap has now, but the last good text of a record */
};

struct mh_needs {
    /* set by the caller */
    struct mh_api api;
    struct mh_clock clock;
    struct mh_cache *cache;
    const struct mh_kind *kind;     /* ClusterRecord */
    const struct mh_kind *map_kind; /* ConfigMap, of which the cache has those with a label */
    const char *name_space;         /* the operator's */
    bool (*may_write)(void *arg);   /* clean up, mark as seen: only the leader; NULL: always */
    /* A record came or went: who was refused may ask again. May be NULL. */
    void (*on_change)(void *arg, const char *name_space, const char *name);
    void *arg;
    /* private */
    struct mh_needs_call *calls;
};

void mh_needs_init(struct mh_needs *n);
/* Writes under way are cancelled. */
void mh_needs_release(struct mh_needs *n);
/* Which records to watch: kind and namespace are set by the caller. */
#define MH_NEEDS_SELECTOR "moonherd.io/record=needs"
/* The cache has heard of a change: of a record, or of a ConfigMap (whose record goes with it). */
void mh_needs_changed(struct mh_needs *n, const struct mh_kind *kind, yyjson_val *old,
                      yyjson_val *now);
/* Removes the records of ConfigMaps that are not there, once the cache is complete; now and then. */
void mh_needs_sweep(struct mh_needs *n);

/* Whether this text with these needs (as its VM declared them) was granted, by what is known here;
 * then *out is what it may. A script without needs is granted nothing and needs no asking. */
bool mh_needs_granted(struct mh_needs *n, const struct mh_needs_text *t, yyjson_val *declared,
                      struct mh_arena *a, struct mh_needs_set *out);

/* The same with a look at the API server, where what is known here does not say yes. */
struct mh_needs_ask {
    /* set by the caller, who keeps it until done or cancel */
    struct mh_needs_text text;
    yyjson_val *declared;
    struct mh_arena *arena;
    void (*done)(struct mh_needs_ask *q);
    void *arg;
    /* set before done */
    bool granted;
    struct mh_needs_set set;
    const char *why; /* not granted: for status and event, with what to do next */
    /* private */
    struct mh_needs *needs;
    struct mh_api_call call;
    bool calling;
};
/* done comes once, maybe from inside. */
void mh_needs_ask(struct mh_needs *n, struct mh_needs_ask *q);
void mh_needs_ask_cancel(struct mh_needs_ask *q);

#endif
