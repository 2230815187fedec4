/* config.h - where the API server is and who we are there: in-cluster files or a kubeconfig.
 *
 * Owner: the caller's structure; init by one of the loaders, mh_kube_config_release frees. Token
 * files are read again after 60 s, and at once when the client got a 401. A CA that came from a
 * file is named as a file, so that each new connection reads it. exec and auth-provider users of a
 * kubeconfig are refused (INVALID). */
#ifndef MH_KUBE_CONFIG_H
#define MH_KUBE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "moonherd/err.h"

#include "base/mem.h"
#include "net/http_client.h"

#define MH_KUBE_TOKEN_MAX_AGE_NS (60LL * 1000000000LL)

struct mh_kube_config {
    char *server;     /* "https://10.0.0.1:443", no slash at the end */
    char *name_space; /* of the pod or context; "default" if none is given */
    char *token;      /* fixed token, or NULL */
    char *token_file; /* or NULL */
    struct mh_http_tls tls;
    /* private */
    struct mh_arena arena;
    char *file_token; /* what token_file held last */
    int64_t file_token_at;
};

/* path: that kubeconfig. NULL: $KUBECONFIG, else in-cluster if the environment says so, else
 * ~/.kube/config. */
enum mh_code mh_kube_config_load(struct mh_kube_config *config, const char *path,
                                 struct mh_err *err);
/* From KUBERNETES_SERVICE_HOST and _PORT, and token, ca.crt and namespace in dir (NULL: the usual
 * place of a service account). */
enum mh_code mh_kube_config_in_cluster(struct mh_kube_config *config, const char *dir,
                                       struct mh_err *err);
/* The current context of a kubeconfig; names of files in it are relative to it. */
enum mh_code mh_kube_config_file(struct mh_kube_config *config, const char *path,
                                 struct mh_err *err);
void mh_kube_config_release(struct mh_kube_config *config);
/* The token to send now (NULL: none), valid until the next call; fresh: read the file now. When
 * the file cannot be read the former token stays. */
const char *mh_kube_config_token(struct mh_kube_config *config, int64_t now_ns, bool fresh);

#endif
