/* spawn.h - inside core/lua: a worker process and the socket to it. */
#ifndef MH_LUA_SPAWN_H
#define MH_LUA_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "moonherd/err.h"

struct mh_spawned {
    pid_t pid; /* 0: none */
    int pidfd; /* -1 where the kernel has none */
    int fd;    /* our end, not blocking, close-on-exec */
};

/* Starts argv with the other end as descriptor 3 and nothing else of ours. */
enum mh_code mh_spawn(const char *const *argv, struct mh_spawned *s, struct mh_err *err);
/* SIGKILL; closes fd. The process still has to be reaped. */
void mh_spawn_kill(struct mh_spawned *s);
/* True when it is gone (also when somebody else has reaped it). Does not wait. */
bool mh_spawn_reap(struct mh_spawned *s);

#endif
