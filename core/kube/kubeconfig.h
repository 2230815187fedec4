/* kubeconfig.h - reading a kubeconfig file, for config.c only. */
#ifndef MH_KUBE_KUBECONFIG_H
#define MH_KUBE_KUBECONFIG_H

#include "kube/config.h"

/* Fills the fields of an empty config (on its arena) from the current context of the file; nothing
 * is checked but the form. */
enum mh_code mh_kubeconfig_read(struct mh_kube_config *config, const char *path,
                                struct mh_err *err);

#endif
