#include "moonherd/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wformat-nonliteral"

enum mh_code
mh_fail_at(struct mh_err *err, enum mh_code code, const char *where, const char *fmt, ...)
{
    if (!err)
        return code;
    err->code = code;
    err->where = where;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);
    return code;
}

enum mh_code
mh_wrap(struct mh_err *err, const char *fmt, ...)
{
    char head[MH_ERR_MSG_MAX];
    char tail[MH_ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(head, sizeof(head), fmt, ap);
    va_end(ap);
    memcpy(tail, err->msg, sizeof(tail));
    size_t n = strnlen(head, sizeof(head) - 1);
    if (n > sizeof(err->msg) - 3)
        n = sizeof(err->msg) - 3;
    memcpy(err->msg, head, n);
    (void)snprintf(err->msg + n, sizeof(err->msg) - n, ": %.*s", (int)(sizeof(err->msg) - n - 3),
                   tail);
    return err->code;
}

enum mh_class
mh_class_of(enum mh_code code)
{
    switch (code) {
    case MH_OK:
        break;
#define X(name, class)                                                                             \
    case MH_E_##name:                                                                              \
        return MH_##class;
        MH_CODES(X)
#undef X
    }
    return MH_RETRY;
}

const char *
mh_code_name(enum mh_code code)
{
    switch (code) {
    case MH_OK:
        return "OK";
#define X(name, class)                                                                             \
    case MH_E_##name:                                                                              \
        return #name;
        MH_CODES(X)
#undef X
    }
    return "UNKNOWN";
}
