/* policy.h - checks a policy script or lets it decide, in this process, in a fresh VM.
 *
 * The worker runs this for scripts of users, the parent for the built-in ones (trusted, and the
 * answer when a worker fails). A result is always filled: an answer that passed the guards, or an
 * error record. */
#ifndef MH_LUA_POLICY_H
#define MH_LUA_POLICY_H

#include <stdbool.h>

#include "base/json.h"
#include "base/mem.h"
#include "lua/vm.h"

#define MH_POLICY_INPUT_MAX ((size_t)512 << 10)
#define MH_POLICY_OUTPUT_MAX ((size_t)64 << 10)
#define MH_POLICY_PARAMS_MAX ((size_t)16 << 10)
#define MH_POLICY_HASH 13 /* 12 hex digits of the SHA-256 of the text, and NUL */

enum mh_policy_op {
    MH_POLICY_CHECK,
    MH_POLICY_DECIDE,
    MH_POLICY_DECLARED /* what the script needs: declared.h; not for mh_policy_run */
};

struct mh_policy_job {
    enum mh_policy_op op;
    const char *point;  /* "failover/v1"; NULL in a check: whatever the script declares */
    const char *name;   /* shown in messages: "failover.lua" */
    const char *script; /* NULL in a decision: the built-in policy of the point */
    size_t script_len;
    const char *params; /* text of NAME.params.yaml, NULL: none */
    size_t params_len;
    const char *input; /* JSON of a decision, without params */
    size_t input_len;
    /* Of a check in this process only; they do not travel to a worker. */
    const char *cases; /* text of NAME.cases.yaml, NULL: none */
    size_t cases_len;
    bool all; /* every case and fixture runs and is told, not only up to the first mistake */
};

/* A case or fixture of a check. */
struct mh_policy_step {
    struct mh_policy_step *next;
    const char *name; /* "case 'the zone wins'" */
    bool ok;
    const char *message; /* when !ok */
};

struct mh_policy_result {
    bool ok;
    const char *point;  /* which decision point the script declares; may be NULL on failure */
    const char *answer; /* of a decision: canonical JSON that passed the guard */
    size_t answer_len;
    int cases;                    /* of a check: own cases and fixtures that ran */
    struct mh_script_error error; /* when !ok; kind and message are always set then */
    int64_t fuel;
    int64_t took_us;
    struct mh_policy_step *steps; /* of a check with `all`, in their order */
};

/* All texts of the result are on the arena or static. */
void mh_policy_run(struct mh_arena *a, const struct mh_policy_job *given,
                   struct mh_policy_result *r);
/* Makes ready, ahead of time, the fresh VM of the next decision of this process; and forgets it. */
void mh_policy_prepare(void);
void mh_policy_unprepare(void);
/* The error record as a JSON object: {"kind","file","line","message","traceback"}. NULL: no
 * memory. */
char *mh_policy_error_json(struct mh_arena *a, const struct mh_script_error *e);
/* "failover.lua:8: message", or "message" where no line is known. NULL: no memory. */
char *mh_policy_error_text(struct mh_arena *a, const struct mh_script_error *e);
/* Hash of a script as people see it. */
void mh_policy_hash(char out[MH_POLICY_HASH], const char *text, size_t len);
/* Whether this is a decision point that the core asks. */
bool mh_policy_point_known(const char *point);

#endif
