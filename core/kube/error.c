#include <string.h>

#include "base/str.h"
#include "kube/client.h"

static enum mh_code
code_of(int status, const char *reason)
{
    if (status >= 200 && status < 300)
        return MH_OK;
    switch (status) {
    case 400:
    case 405:
    case 406:
    case 413:
    case 415:
    case 422:
        return MH_E_INVALID;
    case 401:
    case 403:
        return MH_E_DENIED;
    case 404:
        return MH_E_NOTFOUND;
    case 409:
        return mh_str_eq(reason, "AlreadyExists") ? MH_E_EXISTS : MH_E_CONFLICT;
    case 410:
        return MH_E_GONE;
    case 429:
        return MH_E_THROTTLED;
    default:
        return status >= 500 ? MH_E_UNAVAILABLE : MH_E_INVALID;
    }
}

enum mh_code
mh_kube_error(int status, yyjson_val *reply, const char *what, struct mh_err *err)
{
    const char *reason = mh_json_str(reply, "reason", NULL);
    const char *message = mh_json_str(reply, "message", NULL);
    enum mh_code code = code_of(status, reason);
    if (code == MH_OK) {
        if (err)
            *err = (struct mh_err){ 0 };
        return MH_OK;
    }
    if (message)
        return mh_fail(err, code, "%s: %s", what, message);
    return mh_fail(err, code, "%s: HTTP status %d%s%s", what, status, reason ? " " : "",
                   reason ? reason : "");
}
