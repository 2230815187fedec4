#include <arpa/inet.h>
#include <string.h>

#include "base/str.h"
#include "net/pg_in.h"

#define NO_FILE "/nonexistent/moonherd"
#define CONNECT_S 5

/* Every member of a comma list is a socket folder or an address. */
static bool
all_addresses(const char *list)
{
    char one[108];
    unsigned char bin[16];
    for (;;) {
        size_t n = strcspn(list, ",");
        if (n == 0 || n >= sizeof(one))
            return false;
        memcpy(one, list, n);
        one[n] = '\0';
        if (one[0] != '/' && inet_pton(AF_INET, one, bin) != 1 &&
            inet_pton(AF_INET6, one, bin) != 1)
            return false;
        if (!list[n])
            return true;
        list += n + 1;
    }
}

static const char *
value_of(const PQconninfoOption *o, const char *key)
{
    for (; o && o->keyword; o++) {
        if (strcmp(o->keyword, key) == 0)
            return o->val && o->val[0] ? o->val : NULL;
    }
    return NULL;
}

static char *
join_options(const char *given)
{
    static const char ours[] = "-c search_path=pg_catalog";
    size_t n = given ? strlen(given) : 0;
    char *out = mh_malloc(sizeof(ours) + n + 1);
    if (!out)
        return NULL;
    memcpy(out, ours, sizeof(ours));
    if (n) {
        out[sizeof(ours) - 1] = ' ';
        memcpy(out + sizeof(ours), given, n + 1);
    }
    return out;
}

static enum mh_code
check_host(const PQconninfoOption *o, struct mh_err *err)
{
    const char *host = value_of(o, "host");
    const char *addr = value_of(o, "hostaddr");
    if (value_of(o, "service"))
        return mh_fail(err, MH_E_INVALID, "conninfo: service is not possible here");
    if (addr ? all_addresses(addr) : host && all_addresses(host))
        return MH_OK;
    return mh_fail(err, MH_E_INVALID,
                   "conninfo: host \"%.100s\" is neither address nor socket folder",
                   addr   ? addr
                   : host ? host
                          : "");
}

enum mh_code
mh_pg_params_make(const char *conninfo, struct mh_pg_params *out, struct mh_err *err)
{
    static const char *const always[][2] = {
        { "passfile", NO_FILE },
        { "sslcert", NO_FILE },
        { "sslkey", NO_FILE },
        { "sslrootcert", NO_FILE },
        { "sslcrl", NO_FILE },
        { "sslmode", "prefer" },
        { "gssencmode", "disable" },
        { "client_encoding", "UTF8" },
        { "target_session_attrs", "any" },
        { "application_name", "moonherd" },
    };
    char *why = NULL;
    int64_t seconds;
    int n = 0;
    *out = (struct mh_pg_params){ .connect_s = CONNECT_S };
    out->parsed = PQconninfoParse(conninfo, &why);
    if (!out->parsed) {
        PQfreemem(why); /* may quote a password */
        return mh_fail(err, MH_E_INVALID, "conninfo: not key=value text");
    }
    enum mh_code code = check_host(out->parsed, err);
    if (code)
        return code;
    if (mh_str_int(value_of(out->parsed, "connect_timeout"), 1, 3600, &seconds))
        out->connect_s = (int)seconds;
    for (const PQconninfoOption *o = out->parsed; o->keyword; o++) {
        if (!o->val || !o->val[0] || strcmp(o->keyword, "options") == 0 ||
            n > MH_PG_PARAMS_MAX - 20)
            continue;
        out->keywords[n] = o->keyword;
        out->values[n++] = o->val;
    }
    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
        if (value_of(out->parsed, always[i][0]))
            continue;
        out->keywords[n] = always[i][0];
        out->values[n++] = always[i][1];
    }
    out->options = join_options(value_of(out->parsed, "options"));
    if (!out->options)
        return mh_fail(err, MH_E_NOMEM, "conninfo: no memory");
    out->keywords[n] = "options";
    out->values[n] = out->options;
    return MH_OK;
}

void
mh_pg_params_release(struct mh_pg_params *p)
{
    if (p->parsed)
        PQconninfoFree(p->parsed);
    mh_free(p->options);
    *p = (struct mh_pg_params){ 0 };
}

bool
mh_pg_copy(struct mh_pg_call *c, const PGresult *r)
{
    size_t rows = (size_t)PQntuples(r);
    size_t cols = (size_t)PQnfields(r);
    const char **names = mh_arena_alloc(c->arena, (cols + 1) * sizeof(*names));
    const char **values = mh_arena_alloc(c->arena, (rows * cols + 1) * sizeof(*values));
    bool ok = names && values;
    for (size_t i = 0; ok && i < cols; i++)
        ok = (names[i] = mh_arena_strdup(c->arena, PQfname(r, (int)i))) != NULL;
    for (size_t i = 0; ok && i < rows * cols; i++) {
        int row = (int)(i / cols);
        int col = (int)(i % cols);
        if (!PQgetisnull(r, row, col))
            ok = (values[i] = mh_arena_strndup(c->arena, PQgetvalue(r, row, col),
                                               (size_t)PQgetlength(r, row, col))) != NULL;
    }
    if (!ok) {
        (void)mh_fail(&c->err, MH_E_LIMIT, "statement: the result is larger than its limit");
        return false;
    }
    c->rows = (int)rows;
    c->cols = (int)cols;
    c->names = names;
    c->values = values;
    return true;
}
