#include "main/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "io/file.h"
#include "io/loop.h"

#define GROUP "postgresql.cnpg.io"
#define OPERATOR_NS "moonherd-system"
#define ARENA ((size_t)256 << 20)
#define FILE_ROOM ((size_t)1 << 20)

int
mh_cli_fail(const char *fmt, ...)
{
    va_list ap;
    (void)fputs("kubectl moonherd: ", stderr);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
    return 1;
}

/* --- options ------------------------------------------------------------------------------------ */

/* Where the value of an option goes; NULL: it takes none, or is unknown. */
static const char **
slot_of(struct mh_cli *c, const char *option)
{
    const struct {
        const char *brief, *name;
        const char **to;
    } options[] = {
        { "-n", "--namespace", &c->name_space },
        { "--kubeconfig", "--kubeconfig", &c->kubeconfig },
        { "--group", "--group", &c->group },
        { "-f", "--filename", &c->file },
        { "--kind", "--kind", &c->kind },
        { "--operator-namespace", "--operator-namespace", &c->operator_ns },
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        if (strcmp(option, options[i].brief) == 0 || strcmp(option, options[i].name) == 0)
            return options[i].to;
    return NULL;
}

/* An option with a value of its own kind; false: it is none, or the value is no good. */
static bool
read_valued(struct mh_cli *c, const char *option, const char *value)
{
    int64_t n;
    if (strcmp(option, "-o") == 0 || strcmp(option, "--output") == 0) {
        c->json = mh_str_eq(value, "json");
        return c->json;
    }
    if (strcmp(option, "-N") == 0 && value && mh_str_int(value, 1, 100000, &n)) {
        c->rounds = (int)n;
        return true;
    }
    return false;
}

bool
mh_cli_read(struct mh_cli *c, int argc, char **argv)
{
    if (!c->group)
        c->group = GROUP;
    if (!c->operator_ns)
        c->operator_ns = OPERATOR_NS;
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i], **to = slot_of(c, a);
        if (to && i + 1 < argc) {
            *to = argv[++i];
        } else if (strcmp(a, "-A") == 0 || strcmp(a, "--all-namespaces") == 0) {
            c->all = true;
        } else if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0) {
            c->help = true;
        } else if (strcmp(a, "-ojson") == 0 || strcmp(a, "--output=json") == 0) {
            c->json = true;
        } else if (i + 1 < argc && read_valued(c, a, argv[i + 1])) {
            i++;
        } else if (*a == '-' && a[1]) {
            (void)mh_cli_fail("option %s is unknown, or has no good value", a);
            return false;
        } else if (c->nwords == MH_CLI_WORDS) {
            (void)mh_cli_fail("too many words");
            return false;
        } else {
            c->words[c->nwords++] = a;
        }
    }
    return true;
}

/* --- the API server ----------------------------------------------------------------------------- */

bool
mh_cli_open(struct mh_cli *c)
{
    struct mh_err err;
    mh_log_set_fd(2);
    mh_log_set_level(MH_LOG_ERROR);
    mh_arena_init(&c->arena, ARENA);
    c->base = mh_loop_new();
    c->http = c->base ? mh_http_new(c->base) : NULL;
    if (!c->http || !mh_kinds_init(&c->kinds)) {
        (void)mh_cli_fail("no memory");
        return false;
    }
    if (mh_kube_config_load(&c->config, c->kubeconfig, &err) != MH_OK) {
        (void)mh_cli_fail("%s", err.msg);
        return false;
    }
    c->kube = mh_kube_new(c->base, c->http, &c->config);
    if (!c->kube)
        (void)mh_cli_fail("no memory");
    return c->kube != NULL;
}

void
mh_cli_close(struct mh_cli *c)
{
    mh_kube_free(c->kube);
    mh_kube_config_release(&c->config);
    mh_kinds_release(&c->kinds);
    mh_http_free(c->http);
    mh_arena_release(&c->arena);
    if (c->base)
        event_base_free(c->base);
}

static void
on_reply(struct mh_api_call *call)
{
    event_base_loopbreak(call->arg);
}

yyjson_val *
mh_cli_call(struct mh_cli *c, struct mh_api_call *call, struct mh_err *err)
{
    struct mh_api api = mh_kube_api(c->kube);
    if (!call->path) {
        (void)mh_fail(err, MH_E_INVALID, "no name of an object");
        return NULL;
    }
    call->arena = &c->arena;
    call->done = on_reply;
    call->arg = c->base;
    call->body_len = call->body ? strlen(call->body) : 0;
    api.start(api.self, call);
    (void)event_base_dispatch(c->base);
    *err = call->err;
    return call->err.code == MH_OK ? call->reply : NULL;
}

yyjson_val *
mh_cli_get(struct mh_cli *c, const char *path, struct mh_err *err)
{
    struct mh_api_call call = { .method = "GET", .path = path };
    return mh_cli_call(c, &call, err);
}

const struct mh_kind *
mh_cli_cluster_kind(struct mh_cli *c)
{
    return mh_kinds_add(&c->kinds, c->group, "v1", "Cluster", "clusters", true);
}

const char *
mh_cli_namespace(const struct mh_cli *c)
{
    return c->name_space ? c->name_space : mh_kube_namespace(c->kube);
}

yyjson_val *
mh_cli_record(struct mh_cli *c, const char *ns, const char *name)
{
    struct mh_err err;
    const struct mh_kind *kind =
        mh_kinds_add(&c->kinds, "moonherd.io", "v1alpha1", "ClusterRecord", "clusterrecords", true);
    const char *path = kind ? mh_kube_path(&c->arena, kind, ns, name, NULL) : NULL;
    return mh_json_get(mh_cli_get(c, path, &err), "record", NULL);
}

/* --- texts -------------------------------------------------------------------------------------- */

int
mh_cli_print(struct mh_cli *c, yyjson_mut_val *v)
{
    yyjson_alc alc = mh_json_alc(&c->arena);
    size_t len;
    char *text = yyjson_mut_val_write_opts(v, YYJSON_WRITE_PRETTY_TWO_SPACES, &alc, &len, NULL);
    if (!text)
        return mh_cli_fail("no memory");
    (void)puts(text);
    return 0;
}

char *
mh_cli_file(struct mh_cli *c, const char *path, size_t *len)
{
    struct mh_fs fs = mh_fs_real();
    struct mh_err err;
    char *text = NULL;
    if (fs.read(fs.self, &c->arena, strcmp(path, "-") == 0 ? "/dev/stdin" : path, FILE_ROOM, &text,
                len, &err) != MH_OK) {
        (void)mh_cli_fail("%s", err.msg);
        return NULL;
    }
    return text;
}
