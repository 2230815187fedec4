/* rollout.h - how a new version comes into charge: what the annotation moonherd.io/rollout says. Pure. */
#ifndef MH_LUA_ROLLOUT_H
#define MH_LUA_ROLLOUT_H

enum mh_rollout { MH_ROLLOUT_AUTO, MH_ROLLOUT_MANUAL, MH_ROLLOUT_SHADOW, MH_ROLLOUT_BAD };

/* "shadow", or "a.lua=shadow,b.lua=manual" for one key each; NULL and what names no mode: AUTO. */
enum mh_rollout mh_rollout_of(const char *text, const char *key);

#endif
