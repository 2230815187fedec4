#include "kube/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "io/file.h"
#include "kube/kubeconfig.h"

#define TOKEN_MAX ((size_t)64 << 10)
#define ARENA_MAX ((size_t)4 << 20)
#define ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

static void
begin(struct mh_kube_config *c)
{
    *c = (struct mh_kube_config){ 0 };
    mh_arena_init(&c->arena, ARENA_MAX);
}

static void
trim_end(char *s)
{
    size_t n = strlen(s);
    while (n > 0 && (s[n - 1] == '\n' || s[n - 1] == '\r' || s[n - 1] == ' '))
        s[--n] = '\0';
}

/* Header text must hold no line break or other control character. */
static bool
is_token(const char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f)
            return false;
    }
    return true;
}

static enum mh_code
read_token(struct mh_kube_config *c, struct mh_err *err)
{
    struct mh_fs fs = mh_fs_real();
    struct mh_arena a;
    char *text = NULL;
    mh_arena_init(&a, 2 * TOKEN_MAX);
    enum mh_code code = fs.read(fs.self, &a, c->token_file, TOKEN_MAX, &text, NULL, err);
    if (code == MH_OK) {
        trim_end(text);
        char *copy = NULL;
        if (!*text || !is_token(text))
            code = mh_fail(err, MH_E_INVALID, "%s holds no token", c->token_file);
        else if (!(copy = mh_strdup(text)))
            code = mh_fail(err, MH_E_NOMEM, "no memory for the token");
        if (copy) {
            mh_free(c->file_token);
            c->file_token = copy;
        }
    }
    mh_arena_release(&a);
    return code;
}

const char *
mh_kube_config_token(struct mh_kube_config *c, int64_t now_ns, bool fresh)
{
    if (!c->token_file)
        return c->token;
    if (fresh || !c->file_token || now_ns - c->file_token_at >= MH_KUBE_TOKEN_MAX_AGE_NS) {
        struct mh_err err;
        if (read_token(c, &err) != MH_OK)
            mh_warn("kube", "token file not read", "error", err.msg);
        c->file_token_at = now_ns;
    }
    return c->file_token ? c->file_token : c->token;
}

static enum mh_code
no_memory(struct mh_kube_config *c, struct mh_err *err)
{
    mh_kube_config_release(c);
    return mh_fail(err, MH_E_NOMEM, "no memory for the configuration of the API client");
}

enum mh_code
mh_kube_config_in_cluster(struct mh_kube_config *c, const char *dir, struct mh_err *err)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    const char *port = getenv("KUBERNETES_SERVICE_PORT");
    struct mh_fs fs = mh_fs_real();
    begin(c);
    if (!host || !port || !*host || !*port)
        return mh_fail(err, MH_E_NOTFOUND,
                       "KUBERNETES_SERVICE_HOST is not set, so this is no pod. HINT: give a "
                       "kubeconfig");
    dir = dir ? dir : ACCOUNT;
    bool v6 = strchr(host, ':') != NULL;
    c->server =
        mh_arena_printf(&c->arena, "https://%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port);
    c->token_file = mh_arena_printf(&c->arena, "%s/token", dir);
    c->tls.ca_file = mh_arena_printf(&c->arena, "%s/ca.crt", dir);
    char *ns_file = mh_arena_printf(&c->arena, "%s/namespace", dir);
    if (!c->server || !c->token_file || !c->tls.ca_file || !ns_file)
        return no_memory(c, err);
    enum mh_code code = fs.read(fs.self, &c->arena, ns_file, 256, &c->name_space, NULL, err);
    if (code == MH_OK)
        code = read_token(c, err);
    if (code != MH_OK) {
        mh_kube_config_release(c);
        return code;
    }
    trim_end(c->name_space);
    return MH_OK;
}

static enum mh_code
check(struct mh_kube_config *c, const char *path, struct mh_err *err)
{
    bool https = c->server && mh_str_starts(c->server, "https://");
    if (!https && !(c->server && mh_str_starts(c->server, "http://")))
        return mh_fail(err, MH_E_INVALID, "kubeconfig %s names no server for its context", path);
    size_t n = strlen(c->server);
    while (n > 0 && c->server[n - 1] == '/')
        c->server[--n] = '\0';
    if (c->token && !is_token(c->token))
        return mh_fail(err, MH_E_INVALID, "kubeconfig %s has a token with odd characters", path);
    return c->token_file ? read_token(c, err) : MH_OK;
}

enum mh_code
mh_kube_config_file(struct mh_kube_config *c, const char *path, struct mh_err *err)
{
    begin(c);
    enum mh_code code = mh_kubeconfig_read(c, path, err);
    if (code == MH_OK && !c->name_space) {
        c->name_space = mh_arena_strdup(&c->arena, "default");
        if (!c->name_space)
            return no_memory(c, err);
    }
    if (code == MH_OK)
        code = check(c, path, err);
    if (code != MH_OK)
        mh_kube_config_release(c);
    return code;
}

enum mh_code
mh_kube_config_load(struct mh_kube_config *c, const char *path, struct mh_err *err)
{
    char home[4096];
    if (!path || !*path)
        path = getenv("KUBECONFIG");
    if (path && *path)
        return mh_kube_config_file(c, path, err);
    if (getenv("KUBERNETES_SERVICE_HOST"))
        return mh_kube_config_in_cluster(c, NULL, err);
    const char *h = getenv("HOME");
    int n = snprintf(home, sizeof(home), "%s/.kube/config", h ? h : "");
    if (n < 0 || (size_t)n >= sizeof(home))
        return mh_fail(err, MH_E_INVALID, "HOME is too long");
    return mh_kube_config_file(c, home, err);
}

void
mh_kube_config_release(struct mh_kube_config *c)
{
    mh_free(c->file_token);
    mh_arena_release(&c->arena);
    *c = (struct mh_kube_config){ 0 };
}
