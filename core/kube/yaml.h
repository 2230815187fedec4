/* yaml.h - YAML as Kubernetes' clients write it: manifests of one or many documents, as JSON.
 *
 * Plain scalars are resolved as kubectl's reader does (YAML 1.1: yes, no, on, off are booleans, 0o17
 * and 017 octal). Anchors, aliases and merge keys are followed within a budget. A JSON text is
 * YAML too. */
#ifndef MH_KUBE_YAML_H
#define MH_KUBE_YAML_H

#include "base/json.h"

#define MH_YAML_DOCUMENTS_MAX 4096

/* Every document that is not empty, in its order; *n of them, on the arena. INVALID ("line 7: ..."),
 * LIMIT (too many nodes, too deep, too many documents), NOMEM. */
enum mh_code mh_kube_yaml(struct mh_arena *a, const char *text, size_t len, yyjson_val ***out,
                          size_t *n, struct mh_err *err);

#endif
