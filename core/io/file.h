/* file.h - files and randomness, for real: world.h's mh_fs and mh_rand.
 *
 * Blocking, as local files are. Errors: NOTFOUND (ENOENT, ENOTDIR), LIMIT (larger than asked for),
 * DISKFULL (ENOSPC, EDQUOT), DENIED (EACCES, EPERM, EROFS), NOMEM, IO; the message names the path.
 * Symbolic links are followed on read; a write replaces the link itself. */
#ifndef MH_IO_FILE_H
#define MH_IO_FILE_H

#include "base/world.h"

/* Stateless: nothing to release. rename makes itself durable (fsync of the folder); mkdir makes
 * missing parents with the same mode, and an existing folder is success. write gives the file
 * exactly `mode`, whatever the umask. */
struct mh_fs mh_fs_real(void);
/* getrandom. */
struct mh_rand mh_rand_real(void);

#endif
