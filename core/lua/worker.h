/* worker.h - `moonherd policy-worker`: the child that runs policies of users.
 *
 * Speaks frames on file descriptor 3 (a socket of its parent): 4 bytes length, little endian, then
 * JSON. It has no other descriptor, no file, no network, no new privileges; seccomp allows what
 * computing needs. One frame in, one frame out; the end of the socket is its end. */
#ifndef MH_LUA_WORKER_H
#define MH_LUA_WORKER_H

#include <stdbool.h>
#include <stddef.h>

#include "moonherd/err.h"

#define MH_WORKER_FD 3
#define MH_FRAME_MAX ((size_t)1 << 20)

/* The whole program; returns its exit code. */
int mh_worker_main(void);
/* rlimits, no_new_privs, closed descriptors, seccomp. For mh_worker_main and its test. */
enum mh_code mh_worker_lock(struct mh_err *err);
/* All n bytes from or to the parent; false: it is gone. */
bool mh_worker_read(char *p, size_t n);
bool mh_worker_write(const char *p, size_t n);

#endif
