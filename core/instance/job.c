#include "instance/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "base/time.h"

static const char *
env_or(const char *name, const char *otherwise)
{
    const char *v = getenv(name);
    return v && *v ? v : otherwise;
}

void
mh_job_defaults(struct mh_job_ident *id)
{
    *id = (struct mh_job_ident){
        .instance = env_or("POD_NAME", ""),
        .ns = env_or("NAMESPACE", ""),
        .cluster = env_or("CLUSTER_NAME", ""),
        .group = env_or("MOONHERD_API_GROUP", "postgresql.cnpg.io"),
        .pgdata = env_or("PGDATA", "/var/lib/postgresql/data/pgdata"),
        .cert_dir = "/controller/certificates",
        .run_dir = "/controller/run/job",
    };
}

const char *
mh_job_bin(struct mh_arena *a, const struct mh_job_ident *id, const char *name)
{
    if (name[0] == '/')
        return name;
    if (id->bin_dir)
        return mh_arena_printf(a, "%s/%s", id->bin_dir, name);
    const char *dirs = env_or("PATH", "/usr/bin:/bin");
    while (*dirs) {
        size_t n = strcspn(dirs, ":");
        char *path = n ? mh_arena_printf(a, "%.*s/%s", (int)n, dirs, name) : NULL;
        if (path && access(path, X_OK) == 0)
            return path;
        dirs += n + (dirs[n] == ':');
    }
    return NULL;
}

/* Takes one word off *text into out; false: a quote is open. */
static bool
one_word(const char **text, char *out)
{
    char quote = 0;
    const char *s = *text;
    for (; *s && (quote || !strchr(" \t\n", *s)); s++) {
        if (quote && *s == quote) {
            quote = 0;
        } else if (!quote && (*s == '\'' || *s == '"')) {
            quote = *s;
        } else if (*s == '\\' && quote != '\'' && (!quote || strchr("\\\"$`", s[1]))) {
            if (!*++s)
                return false;
            *out++ = *s;
        } else {
            *out++ = *s;
        }
    }
    *out = '\0';
    *text = s;
    return !quote;
}

enum mh_code
mh_job_split(struct mh_arena *a, const char *text, const char **words, int max, int *nwords,
             struct mh_err *err)
{
    int n = 0;
    words[0] = NULL;
    *nwords = 0;
    while (text && *(text += strspn(text, " \t\n"))) {
        char *word = mh_arena_alloc(a, strlen(text) + 1);
        if (!word)
            return mh_fail(err, MH_E_NOMEM, "arguments: no memory");
        if (n >= max)
            return mh_fail(err, MH_E_LIMIT, "arguments: more than %d words", max);
        if (!one_word(&text, word))
            return mh_fail(err, MH_E_INVALID, "arguments: a quote is not closed");
        words[n++] = word;
        words[n] = NULL;
    }
    *nwords = n;
    return MH_OK;
}

static bool
holds(struct mh_world *w, const char *dir, const char *name)
{
    char path[1024];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return w->fs.exists(w->fs.self, path);
}

enum mh_job_old
mh_job_look(struct mh_world *w, const char *dir)
{
    if (holds(w, dir, "PG_VERSION") && holds(w, dir, "global/pg_control"))
        return MH_OLD_VALID;
    return w->fs.exists(w->fs.self, dir) ? MH_OLD_RUBBISH : MH_OLD_NONE;
}

const char *
mh_job_aside(struct mh_arena *a, struct mh_world *w, const char *dir)
{
    time_t now = (time_t)(w->clock.wall_us(w->clock.self) / 1000000);
    struct tm tm;
    char text[32];
    if (!gmtime_r(&now, &tm) || !strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &tm))
        return NULL;
    return mh_arena_printf(a, "%s_%s", dir, text);
}

enum mh_code
mh_job_includes(struct mh_world *w, const char *pgdata, struct mh_err *err)
{
    static const char lines[] = "\ninclude 'custom.conf'\ninclude 'override.conf'\n";
    struct mh_arena a;
    char path[1024];
    char *text = NULL;
    size_t len = 0;
    mh_arena_init(&a, (size_t)4 << 20);
    (void)snprintf(path, sizeof(path), "%s/postgresql.conf", pgdata);
    enum mh_code code = w->fs.read(w->fs.self, &a, path, (size_t)1 << 20, &text, &len, err);
    if (!code && !strstr(text, lines + 1)) {
        const char *all = mh_arena_printf(&a, "%s%s", text, lines);
        if (all)
            code = w->fs.write(w->fs.self, path, all, strlen(all), 0600, true, NULL, err);
        else
            code = mh_fail(err, MH_E_NOMEM, "postgresql.conf: no memory");
    }
    mh_arena_release(&a);
    return code;
}
