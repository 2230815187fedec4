/* secret.h - one Secret of this namespace, read when it is needed and not kept. */
#ifndef MH_INSTANCE_SECRET_H
#define MH_INSTANCE_SECRET_H

#include "instance/agent.h"

/* GET; then done(g, arg, secret, a), from the loop. secret is NULL when it could not be read (logged);
 * it and everything on `a` is gone when done returns. False: no memory, done does not come. */
typedef void (*mh_secret_fn)(struct mh_agent *g, void *arg, yyjson_val *secret, struct mh_arena *a);
bool mh_secret_read(struct mh_agent *g, const char *name, mh_secret_fn done, void *arg);
/* The decoded value of a key, on the arena; NULL if absent, no base64, or with a NUL in it. */
char *mh_secret_value(struct mh_arena *a, yyjson_val *secret, const char *key);

#endif
