/* claim_dir.h - the directories behind volumes. */
#ifndef MH_SANDBOX_CLAIM_DIR_H
#define MH_SANDBOX_CLAIM_DIR_H

#include <stdbool.h>

#include "moonherd/err.h"

/* Makes DATA/volumes/UID, open to whoever the pod's processes run as. There already: success. IO,
 * DISKFULL. */
enum mh_code mh_sb_claim_dir_make(const char *data, const char *uid, struct mh_err *err);
/* Removes at most `budget` files of what is under `path` and the folder itself when it is empty.
 * *left says that there is more. NOTFOUND is success. IO. */
enum mh_code mh_sb_claim_dir_remove(const char *path, int budget, bool *left, struct mh_err *err);

#endif
