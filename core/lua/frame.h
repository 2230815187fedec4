/* frame.h - inside core/lua: what parent and worker send each other, after a length of four bytes.
 *
 * A job is binary (texts pass byte for byte), an answer is JSON, which the parent treats as
 * hostile. The first frame of a worker is "ready". */
#ifndef MH_LUA_FRAME_H
#define MH_LUA_FRAME_H

#include "base/buf.h"
#include "lua/policy.h"
#include "lua/worker.h"

#define MH_FRAME_READY "ready"

/* Appends length and job. False: no memory or too large. */
bool mh_frame_put_job(struct mh_buf *b, const struct mh_policy_job *job);
/* Reads a job whose texts point into data (each is followed by a NUL). False: malformed. */
bool mh_frame_get_job(const char *data, size_t len, struct mh_policy_job *job);
/* The answer as JSON. */
bool mh_frame_put_result(struct mh_buf *b, const struct mh_policy_result *r);
/* The input of a decision for the guard of its answer, on the arena; NULL: none, or it is no JSON. May
 * be read while the worker works. */
yyjson_val *mh_frame_input(struct mh_arena *a, const struct mh_policy_job *job);

struct mh_frame_answer {
    const char *data;
    size_t len;
    yyjson_val *input; /* of mh_frame_input */
};

/* Reads an answer; texts are on the arena. For a decision the answer passes the guard again, for
 * what the parent asked. Always fills r; a bad frame is an error of kind "output". */
void mh_frame_get_result(struct mh_arena *a, const struct mh_policy_job *job,
                         const struct mh_frame_answer *got, struct mh_policy_result *r);
uint32_t mh_frame_length(const char head[4]);

#endif
