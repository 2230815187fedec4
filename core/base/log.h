/* log.h - one JSON object a line: level, ts, logger, msg, logging_pod, then the given fields.
 *
 * msg is a literal: the macro pastes it between empty strings, so a run-time text does not compile.
 * Fields are name, value pairs of strings, ended by NULL; a NULL value is left out; a name that
 * begins with '=' has a value that is JSON already (numbers, objects). Secrets never come here. */
#ifndef MH_BASE_LOG_H
#define MH_BASE_LOG_H

#include <stddef.h>

#include "moonherd/err.h"

enum mh_log_level { MH_LOG_ERROR, MH_LOG_WARNING, MH_LOG_INFO, MH_LOG_DEBUG, MH_LOG_TRACE };

/* mh_info("queue", "pass done", "name", name, "=took_ms", "12") */
#define mh_log(level, logger, msg, ...)                                                            \
    mh_log_at((level), "" logger "", "" msg "", ##__VA_ARGS__, NULL)
#define mh_error(logger, msg, ...) mh_log(MH_LOG_ERROR, logger, msg, ##__VA_ARGS__)
#define mh_warn(logger, msg, ...) mh_log(MH_LOG_WARNING, logger, msg, ##__VA_ARGS__)
#define mh_info(logger, msg, ...) mh_log(MH_LOG_INFO, logger, msg, ##__VA_ARGS__)
#define mh_debug(logger, msg, ...) mh_log(MH_LOG_DEBUG, logger, msg, ##__VA_ARGS__)
/* Logs err as fields error, code, where. */
#define mh_log_err(level, logger, text, err, ...)                                                  \
    mh_log_at((level), "" logger "", "" text "", "error", (err)->msg, "code",                      \
              mh_code_name((err)->code), "where", (err)->where, ##__VA_ARGS__, NULL)

void mh_log_at(enum mh_log_level level, const char *logger, const char *msg, ...)
    __attribute__((sentinel));
/* Writes one finished line (without newline) to the same place, unchanged. */
void mh_log_raw(const char *line, size_t len);

/* Lines above this level are dropped; default MH_LOG_INFO. */
void mh_log_set_level(enum mh_log_level level);
enum mh_log_level mh_log_level(void);
/* "info" and so on; -1 for an unknown name. */
int mh_log_level_of(const char *name);
/* Default 1 (stdout). Tests give a pipe; -1 drops everything. */
void mh_log_set_fd(int fd);
/* Value of logging_pod; NULL leaves it out. Kept by reference. */
void mh_log_set_pod(const char *pod);

#endif
