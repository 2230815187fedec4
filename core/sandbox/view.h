/* view.h - what a container sees as its file system: a list of steps, made before the process.
 *
 * The list is built on an arena in the parent; the child (proc_child.c) carries it out in its own
 * mount namespace with system calls only, on a tmpfs that then becomes its root. Targets are
 * resolved inside the new root (openat2), so that no symbolic link of a volume leads out of it.
 * Building fails only for want of memory: then `failed` stays set. */
#ifndef MH_SANDBOX_VIEW_H
#define MH_SANDBOX_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

enum mh_sb_step_kind {
    MH_SB_STEP_DIR,   /* a folder on the root */
    MH_SB_STEP_BIND,  /* from: file or folder of the host */
    MH_SB_STEP_TMPFS, /* size in `size`, 0: half of the memory */
    MH_SB_STEP_LINK,  /* symbolic link to `from` */
    MH_SB_STEP_FILE,  /* with `from` as content */
    MH_SB_STEP_PROC,  /* /proc of the new PID namespace */
    MH_SB_STEP_PTS    /* a devpts of its own */
};

struct mh_sb_step {
    enum mh_sb_step_kind kind;
    const char *from;
    const char *sub; /* BIND: below `from`, without leading slash, no way out of it; NULL */
    const char *to;  /* absolute, in the container */
    uint64_t size;
    unsigned mode;
    bool read_only;
    bool optional; /* left out if `from` does not exist or the kernel refuses */
};

struct mh_sb_view {
    struct mh_arena *arena;
    struct mh_sb_step *steps;
    size_t len;
    size_t size;
    const char *stage; /* an empty folder of the host to build on */
    bool read_only;    /* the root itself, at the end */
    bool failed;
};

/* stage must outlive the view. */
void mh_sb_view_init(struct mh_sb_view *v, struct mh_arena *a, const char *stage);
/* The texts of the step are copied. */
void mh_sb_view_add(struct mh_sb_view *v, const struct mh_sb_step *step);
void mh_sb_view_bind(struct mh_sb_view *v, const char *from, const char *to, bool read_only);
void mh_sb_view_file(struct mh_sb_view *v, const char *to, const char *content);

struct mh_sb_view_base {
    const char *hosts_dir; /* folder with the file "hosts", replaced atomically; NULL: none */
    const char *hostname;
    const char *manager; /* mounted as /manager; NULL: none */
    const char *home;    /* of uid */
    const char *user;    /* name of uid in /etc/passwd */
    unsigned uid;
    unsigned gid;
    bool own_shm; /* /dev/shm comes with the volumes */
};
/* The host's /usr and what belongs to it read-only, and an own /etc, /dev, /proc, /tmp. Volumes
 * are added after it. */
void mh_sb_view_base(struct mh_sb_view *v, const struct mh_sb_view_base *base);

/* In the child: carries the list out and moves there. System calls only. NULL, or the step that
 * failed ("mount /proc"), with errno set; may point into `text`. */
const char *mh_sb_view_enter(const struct mh_sb_view *v, char *text, size_t size);

/* For the whole process, see mh_sb_node_enter. Is a user namespace used for each container? */
bool mh_sb_view_with_users(void);
void mh_sb_view_set_users(bool yes);

#endif
