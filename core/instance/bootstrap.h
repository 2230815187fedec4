/* bootstrap.h - `moonherd bootstrap DEST`: copies this executable to where the pod runs it. */
#ifndef MH_INSTANCE_BOOTSTRAP_H
#define MH_INSTANCE_BOOTSTRAP_H

#include "moonherd/err.h"

/* Copies /proc/self/exe to dest (mode 0750), whole or not at all; makes missing folders of dest.
 * IO, DISKFULL, DENIED. */
enum mh_code mh_bootstrap(const char *dest, struct mh_err *err);

#endif
