/* yaml.h - the parameters of a policy: a small YAML document without anchors, aliases and tags. */
#ifndef MH_LUA_YAML_H
#define MH_LUA_YAML_H

#include "moonherd/err.h"

#include "base/json.h"

#define MH_YAML_DEPTH_MAX 16

/* Empty text is an empty object. Plain scalars become null, booleans, integers or numbers where
 * they look like one; the rest is text. Fails: INVALID, *line (from 1) says where; NOMEM. */
enum mh_code mh_yaml_parse(struct mh_arena *a, const char *text, size_t len, yyjson_val **out,
                           int *line, struct mh_err *err);

#endif
