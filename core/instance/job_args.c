/* Arguments of the jobs. */
#include <string.h>

#include "base/str.h"
#include "instance/initdb.h"
#include "instance/join.h"

struct option {
    const char *name;
    const char **value;
};

/* "--name value" or "--name=value"; flags of the whole program are passed over. */
static enum mh_code
parse(const struct option *options, int argc, char **argv, struct mh_err *err)
{
    static const char *const passed[] = { "--log-level", "--log-destination", "--log-field-level",
                                          "--log-field-timestamp" };
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        const char *equals = strchr(word, '=');
        size_t n = equals ? (size_t)(equals - word) : strlen(word);
        const char **target = NULL;
        bool known = false;
        for (const struct option *o = options; o->name && !known; o++) {
            known = strlen(o->name) == n && strncmp(o->name, word, n) == 0;
            target = known ? o->value : NULL;
        }
        for (size_t k = 0; !known && k < sizeof(passed) / sizeof(passed[0]); k++)
            known = strlen(passed[k]) == n && strncmp(passed[k], word, n) == 0;
        if (!known)
            return mh_fail(err, MH_E_INVALID, "unknown argument %.100s", word);
        const char *value = equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
        if (!value)
            return mh_fail(err, MH_E_INVALID, "argument %.100s wants a value", word);
        if (target)
            *target = *value ? value : NULL;
    }
    return MH_OK;
}

static enum mh_code
check(const struct mh_job_ident *id, struct mh_err *err)
{
    if (!id->instance || !*id->instance || !id->ns || !*id->ns || !id->cluster || !*id->cluster)
        return mh_fail(err, MH_E_INVALID,
                       "who is this? HINT: give --pod-name, --namespace and --cluster-name");
    if (!id->pgdata || id->pgdata[0] != '/')
        return mh_fail(err, MH_E_INVALID, "--pg-data is no absolute path");
    return MH_OK;
}

#define IDENT_OPTIONS(id)                                                                          \
    { "--pg-data", &(id)->pgdata }, { "--pg-wal", &(id)->wal_dir },                                \
        { "--pod-name", &(id)->instance }, { "--namespace", &(id)->ns },                           \
        { "--cluster-name", &(id)->cluster },                                                      \
    {                                                                                              \
        "--api-group", &(id)->group                                                                \
    }

/* A job's pod is named INST-ROLE; the instance is INST. */
static void
cut_role(struct mh_job_ident *id, const char *role)
{
    static char name[256];
    if (id->instance && mh_str_ends(id->instance, role)) {
        mh_str_copy(name, sizeof(name), id->instance);
        name[strlen(name) - strlen(role)] = '\0';
        id->instance = name;
    }
}

enum mh_code
mh_initdb_args(struct mh_initdb_spec *spec, int argc, char **argv, struct mh_err *err)
{
    const struct option options[] = {
        { "--initdb-flags", &spec->initdb_flags },
        { "--post-init-sql", &spec->post_init_sql },
        { "--post-init-application-sql", &spec->post_init_application_sql },
        { "--post-init-template-sql", &spec->post_init_template_sql },
        { "--app-db-name", &spec->app_db },
        { "--app-user", &spec->app_user },
        IDENT_OPTIONS(&spec->id),
        { NULL, NULL },
    };
    *spec = (struct mh_initdb_spec){ 0 };
    mh_job_defaults(&spec->id);
    enum mh_code code = parse(options, argc, argv, err);
    cut_role(&spec->id, "-initdb");
    return code ? code : check(&spec->id, err);
}

enum mh_code
mh_join_args(struct mh_join_spec *spec, int argc, char **argv, struct mh_err *err)
{
    const struct option options[] = {
        { "--parent-node", &spec->parent },
        IDENT_OPTIONS(&spec->id),
        { NULL, NULL },
    };
    *spec = (struct mh_join_spec){ 0 };
    mh_job_defaults(&spec->id);
    enum mh_code code = parse(options, argc, argv, err);
    cut_role(&spec->id, "-join");
    if (!code)
        code = check(&spec->id, err);
    if (!code && (!spec->parent || !*spec->parent))
        code = mh_fail(err, MH_E_INVALID, "--parent-node is missing");
    return code;
}
