/* err.h - the one error value, shared by C and Lua.
 *
 * A function that can fail returns enum mh_code and fills *err only when it fails. The class says
 * what the caller does next; msg is a sentence fit for a status condition: lower case, no full
 * stop, what + object + why, and "HINT: ..." where the user can act.
 * Owner: the caller, on its stack. Nothing in here is ever freed. */
#ifndef MOONHERD_ERR_H
#define MOONHERD_ERR_H

#include "moonherd/attr.h"

enum mh_class { MH_RETRY, MH_REREAD, MH_TERMINAL, MH_BUG };

/* X(name, class) */
#define MH_CODES(X)                                                                                \
    X(NOMEM, RETRY)       /* the heap or a cap is exhausted */                                     \
    X(IO, RETRY)          /* a file, pipe or socket failed */                                      \
    X(UNREACHABLE, RETRY) /* nobody answers, or the TLS handshake failed */                        \
    X(TIMEOUT, RETRY)     /* the outcome is unknown */                                             \
    X(THROTTLED, RETRY)   /* 429 */                                                                \
    X(UNAVAILABLE, RETRY) /* 5xx */                                                                \
    X(DENIED, RETRY)      /* 401, 403: a token or RBAC, may be mended */                           \
    X(CONFLICT, REREAD)   /* 409: somebody else wrote first, or a precondition failed */           \
    X(NOTFOUND, REREAD)   /* 404 */                                                                \
    X(EXISTS, REREAD)     /* 409 AlreadyExists */                                                  \
    X(GONE, REREAD)       /* 410: list again */                                                    \
    X(INVALID, TERMINAL)  /* input that cannot become right by waiting */                          \
    X(REFUSED, TERMINAL)  /* a safety rule says no */                                              \
    X(SCRIPT, TERMINAL)   /* a script failed */                                                    \
    X(LIMIT, TERMINAL)    /* a script or an input is over its limit */                             \
    X(CANCELLED, REREAD)  /* the caller gave up */                                                 \
    X(PG, RETRY)          /* PostgreSQL reported an error */                                       \
    X(CHILD, RETRY)       /* a child process failed */                                             \
    X(DISKFULL, TERMINAL) /* no space left */                                                      \
    X(INTERNAL, BUG)      /* a promise of our own code is broken */

enum mh_code {
    MH_OK = 0,
#define X(name, class) MH_E_##name,
    MH_CODES(X)
#undef X
};

#define MH_ERR_MSG_MAX 400

struct mh_err {
    enum mh_code code;
    const char *where; /* file:line of the failure */
    char msg[MH_ERR_MSG_MAX];
};

#define MH_STR2(x) #x
#define MH_STR(x) MH_STR2(x)
#define MH_HERE __FILE__ ":" MH_STR(__LINE__)
/* Fills *err (may be NULL) and returns code; the analyzer is shown that it does. */
#ifdef __clang_analyzer__
#define mh_fail(err, code, ...) ((void)mh_fail_at((err), (code), MH_HERE, __VA_ARGS__), (code))
#else
#define mh_fail(err, code, ...) mh_fail_at((err), (code), MH_HERE, __VA_ARGS__)
#endif

enum mh_code mh_fail_at(struct mh_err *err, enum mh_code code, const char *where, const char *fmt,
                        ...) MH_PRINTF(4, 5);
/* Puts "fmt: " before the message of *err; returns its code. */
enum mh_code mh_wrap(struct mh_err *err, const char *fmt, ...) MH_PRINTF(2, 3);
enum mh_class mh_class_of(enum mh_code code);
/* "NOTFOUND"; never NULL. */
const char *mh_code_name(enum mh_code code);

#endif
