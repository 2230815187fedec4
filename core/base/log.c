#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/time.h"

#define LINE_MAX_BYTES (64u << 10)
#define VALUE_MAX_BYTES (16u << 10)

static enum mh_log_level max_level = MH_LOG_INFO;
static int out_fd = 1;
static const char *pod_name;
static const char *const level_names[] = { "error", "warning", "info", "debug", "trace" };

void
mh_log_set_level(enum mh_log_level level)
{
    max_level = level;
}

enum mh_log_level
mh_log_level(void)
{
    return max_level;
}

int
mh_log_level_of(const char *name)
{
    for (int i = 0; i <= MH_LOG_TRACE; i++) {
        if (strcmp(level_names[i], name) == 0)
            return i;
    }
    return -1;
}

void
mh_log_set_fd(int fd)
{
    out_fd = fd;
}

void
mh_log_set_pod(const char *pod)
{
    pod_name = pod;
}

static void
write_all(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(out_fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return; /* nobody reads: a log line is not worth blocking or dying for */
        p += w;
        n -= (size_t)w;
    }
}

void
mh_log_raw(const char *line, size_t len)
{
    if (out_fd < 0)
        return;
    struct mh_buf b;
    mh_buf_init(&b, LINE_MAX_BYTES * 4);
    if (mh_buf_add(&b, line, len) && mh_buf_char(&b, '\n'))
        write_all(b.data, b.len);
    mh_buf_release(&b);
}

static void
field(struct mh_buf *b, const char *name, const char *value)
{
    bool raw = name[0] == '=';
    if (raw)
        name++;
    mh_buf_char(b, ',');
    mh_json_quote(b, name, strlen(name));
    mh_buf_char(b, ':');
    if (raw)
        mh_buf_str(b, value);
    else
        mh_json_quote(b, value, strnlen(value, VALUE_MAX_BYTES));
}

void
mh_log_at(enum mh_log_level level, const char *logger, const char *msg, ...)
{
    if (level > max_level || out_fd < 0)
        return;
    struct mh_buf b;
    char ts[MH_TIME_TEXT];
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    mh_time_rfc3339_micro(ts, (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    mh_buf_init(&b, LINE_MAX_BYTES);
    mh_buf_printf(&b, "{\"level\":\"%s\",\"ts\":\"%s\",\"logger\":", level_names[level], ts);
    mh_json_quote(&b, logger, strlen(logger));
    mh_buf_str(&b, ",\"msg\":");
    mh_json_quote(&b, msg, strlen(msg));
    if (pod_name)
        field(&b, "logging_pod", pod_name);
    va_list ap;
    va_start(ap, msg);
    const char *name;
    while ((name = va_arg(ap, const char *))) {
        const char *value = va_arg(ap, const char *);
        if (value)
            field(&b, name, value);
    }
    va_end(ap);
    mh_buf_str(&b, "}\n");
    if (!b.failed)
        write_all(b.data, b.len);
    else
        write_all("{\"level\":\"error\",\"logger\":\"log\",\"msg\":\"line too long\"}\n", 56);
    mh_buf_release(&b);
}
