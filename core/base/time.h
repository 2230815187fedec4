/* time.h - texts of points in time. No clock here: that is core/base/world.h. */
#ifndef MH_BASE_TIME_H
#define MH_BASE_TIME_H

#include <stdbool.h>
#include <stdint.h>

#define MH_TIME_TEXT 40
#define MH_NS_PER_S 1000000000LL
#define MH_NS_PER_MS 1000000LL

/* "2026-11-21T01:02:03Z" */
void mh_time_rfc3339(char out[MH_TIME_TEXT], int64_t unix_s);
/* "2026-11-21T01:02:03.000004Z", as Kubernetes' MicroTime */
void mh_time_rfc3339_micro(char out[MH_TIME_TEXT], int64_t unix_us);
/* "2026-11-21 01:02:03 +0000 UTC", as certificate expirations in status */
void mh_time_go(char out[MH_TIME_TEXT], int64_t unix_s);
/* Reads RFC 3339 with optional fraction and offset; false if it is none. */
bool mh_time_parse(const char *s, int64_t *unix_us);

#endif
