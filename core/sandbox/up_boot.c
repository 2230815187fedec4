/* up_boot.c - what is applied at the start, and the lines that say how it goes on. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "base/time.h"
#include "io/file.h"
#include "kube/yaml.h"
#include "sandbox/install.h"
#include "sandbox/live.h"
#include "sandbox/up.h"

#define FILE_MAX ((size_t)16 << 20)
#define OPERATOR_NS "moonherd-system"
#define OPERATOR "moonherd-operator"
#define CLUSTERS "/apis/postgresql.cnpg.io/v1/clusters"

enum { ROLES, OPERATOR_MANIFESTS, OPERATOR_WAIT, FILES, RUNNING };

static void go_on(struct mh_sb_up *up);

void
mh_sb_say(const struct mh_sb_up *up, const char *fmt, ...)
{
    va_list ap;
    int64_t ms =
        up->clock.self ? (up->clock.mono_ns(up->clock.self) - up->started_ns) / MH_NS_PER_MS : 0;
    (void)printf("%4lld.%lld s  ", (long long)(ms / 1000), (long long)(ms % 1000 / 100));
    va_start(ap, fmt);
    (void)vprintf(fmt, ap);
    va_end(ap);
    (void)putchar('\n');
    (void)fflush(stdout);
}

static void
give_up(struct mh_sb_up *up, const struct mh_err *err)
{
    (void)fprintf(stderr, "moonherd sandbox: %s\n", err->msg);
    up->exit_code = 1;
    event_base_loopbreak(up->base);
}

static void
on_applied(struct mh_sb_apply *ap, const struct mh_err *err)
{
    struct mh_sb_up *up = ap->arg;
    up->applying = false;
    if (err->code != MH_OK) {
        give_up(up, err);
        return;
    }
    up->phase++;
    go_on(up);
}

static void
apply(struct mh_sb_up *up, yyjson_val **objects, size_t n, bool create_only)
{
    up->apply = (struct mh_sb_apply){ .api = up->direct,
                                      .clock = up->clock,
                                      .objects = objects,
                                      .n = n,
                                      .create_only = create_only,
                                      .on_done = on_applied,
                                      .arg = up };
    up->applying = true;
    mh_sb_apply_start(&up->apply);
}

/* --- what --------------------------------------------------------------------------------------------- */

static enum mh_code
default_roles(struct mh_sb_up *up, yyjson_val ***out, size_t *n, struct mh_err *err)
{
    size_t count = 0;
    while (mh_sb_rbac_defaults[count])
        count++;
    *out = mh_arena_alloc(&up->arena, count * sizeof(**out));
    *n = count;
    if (!*out)
        return mh_fail(err, MH_E_NOMEM, "no memory for the default roles");
    for (size_t i = 0; i < count; i++) {
        const char *s = mh_sb_rbac_defaults[i];
        if (mh_json_parse(&up->arena, s, strlen(s), &(*out)[i], err) != MH_OK)
            return err->code;
    }
    return MH_OK;
}

static enum mh_code
read_file(struct mh_sb_up *up, const char *name, char **text, size_t *len, struct mh_err *err)
{
    struct mh_fs fs = mh_fs_real();
    struct mh_buf b;
    char piece[8192];
    ssize_t got;
    if (strcmp(name, "-") != 0)
        return fs.read(fs.self, &up->arena, name, FILE_MAX, text, len, err);
    mh_buf_init(&b, FILE_MAX);
    while ((got = read(0, piece, sizeof(piece))) > 0)
        (void)mh_buf_add(&b, piece, (size_t)got);
    *len = b.len;
    *text = b.failed ? NULL : mh_arena_strndup(&up->arena, mh_buf_text(&b), b.len);
    mh_buf_release(&b);
    return *text ? MH_OK : mh_fail(err, MH_E_LIMIT, "standard input is too long");
}

/* All documents of all files; lists are taken apart. */
static enum mh_code
user_files(struct mh_sb_up *up, yyjson_val ***out, size_t *n, struct mh_err *err)
{
    size_t size = 0;
    *n = 0;
    *out = NULL;
    for (int i = 0; i < up->options.nfiles; i++) {
        char *text;
        size_t len, count = 0;
        yyjson_val **docs;
        const char *name = up->options.files[i];
        enum mh_code code = read_file(up, name, &text, &len, err);
        if (code == MH_OK && mh_kube_yaml(&up->arena, text, len, &docs, &count, err) != MH_OK)
            code = mh_wrap(err, "%s", name);
        if (code != MH_OK)
            return code;
        for (size_t k = 0; k < count; k++) {
            yyjson_val *items = mh_str_ends(mh_json_str(docs[k], "kind", NULL), "List")
                                    ? yyjson_obj_get(docs[k], "items")
                                    : NULL;
            size_t more = items ? yyjson_arr_size(items) : 1;
            if (*n + more > size) {
                size = 2 * (*n + more) + 16;
                yyjson_val **grown = mh_arena_alloc(&up->arena, size * sizeof(*grown));
                if (!grown)
                    return mh_fail(err, MH_E_NOMEM, "no memory for %s", name);
                if (*n)
                    memcpy(grown, *out, *n * sizeof(*grown));
                *out = grown;
            }
            for (size_t m = 0; m < more; m++)
                (*out)[(*n)++] = items ? yyjson_arr_get(items, m) : docs[k];
        }
    }
    return MH_OK;
}

/* --- how it goes on -------------------------------------------------------------------------------------- */

static bool
has_condition(yyjson_val *o, const char *type)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(mh_json_get(o, "status", "conditions", NULL));
    yyjson_val *c;
    while ((c = yyjson_arr_iter_next(&i)))
        if (mh_str_eq(mh_json_str(c, "type", NULL), type))
            return mh_str_eq(mh_json_str(c, "status", NULL), "True");
    return false;
}

static void
on_deployment(void *arg, enum mh_watch_kind kind, yyjson_val *o)
{
    struct mh_sb_up *up = arg;
    if (!o || kind == MH_WATCH_DELETED ||
        !mh_str_eq(mh_json_str(o, "metadata", "name", NULL), OPERATOR))
        return;
    bool ready = has_condition(o, "Available") &&
                 mh_json_int(o, 0, "status", "readyReplicas", NULL) > 0 &&
                 mh_json_int(o, 0, "status", "observedGeneration", NULL) >=
                     mh_json_int(o, 0, "metadata", "generation", NULL);
    if (ready != up->operator_ready)
        mh_sb_say(up, ready ? "operator is ready" : "operator is not ready");
    up->operator_ready = ready;
    if (ready && up->phase == OPERATOR_WAIT) {
        up->phase++;
        go_on(up);
    }
}

static void
on_cluster(void *arg, enum mh_watch_kind kind, yyjson_val *o)
{
    struct mh_sb_up *up = arg;
    char key[600], line[700];
    void *old = NULL;
    if (!o)
        return;
    const char *primary = mh_json_str(o, "status", "currentPrimary", NULL);
    const char *phase = mh_json_str(o, "status", "phase", NULL);
    const char *why = mh_json_str(o, "status", "phaseReason", NULL);
    (void)snprintf(key, sizeof(key), "%s/%s", mh_json_str(o, "metadata", "namespace", NULL),
                   mh_json_str(o, "metadata", "name", NULL));
    if (kind == MH_WATCH_DELETED)
        (void)snprintf(line, sizeof(line), "deleted");
    else
        (void)snprintf(line, sizeof(line), "%lld of %lld ready%s%s%s%s%s%s",
                       (long long)mh_json_int(o, 0, "status", "readyInstances", NULL),
                       (long long)mh_json_int(o, 0, "spec", "instances", NULL),
                       primary ? ", primary " : "", primary ? primary : "", phase ? ": " : "",
                       phase ? phase : "", why && *why ? ": " : "", why ? why : "");
    const char *before = mh_map_get(&up->told, key);
    if (mh_str_eq(before, line))
        return;
    char *copy = mh_strdup(line);
    if (copy && mh_map_put(&up->told, key, copy, &old))
        mh_free(old);
    else
        mh_free(copy);
    mh_sb_say(up, "%s: %s", key, line);
}

/* What the operator decided for a cluster, and why. */
static void
on_event(void *arg, enum mh_watch_kind kind, yyjson_val *o)
{
    struct mh_sb_up *up = arg;
    if (kind != MH_WATCH_ADDED || !o || !up->told_events || !mh_sb_live_is_decision(o)) {
        up->told_events = up->told_events || kind == MH_WATCH_SYNCED;
        return;
    }
    const char *what = mh_json_str(o, "reason", NULL), *why = mh_json_str(o, "message", NULL);
    mh_sb_say(up, "%s/%s: %s: %s", mh_json_str(o, "involvedObject", "namespace", NULL),
              mh_json_str(o, "involvedObject", "name", NULL), what, why ? why : "");
}

static void
tell_next(struct mh_sb_up *up)
{
    mh_sb_say(up, "the sandbox is up; Ctrl-C ends it%s",
              up->place.temporary ? " and forgets everything" : "");
    (void)printf("\n  export KUBECONFIG=%s\n", up->place.kubeconfig);
    if (!up->options.bare)
        (void)puts("  kubectl get clusters,pods -o wide\n"
                   "  moonherd sandbox status -w          instances, roles, lag, decisions\n"
                   "  moonherd sandbox fault --help       kill, freeze, cut, slow, ...");
    (void)putchar('\n');
    (void)fflush(stdout);
}

/* --- one after the other --------------------------------------------------------------------------------- */

static void
watch(struct mh_sb_up *up, int slot, const char *path,
      void (*fn)(void *, enum mh_watch_kind, yyjson_val *))
{
    struct mh_watch_spec spec = { .path = path, .on_event = fn, .arg = up };
    if (!up->watches[slot])
        up->watches[slot] = up->direct.watch(up->direct.self, &spec);
}

static void
go_on(struct mh_sb_up *up)
{
    struct mh_err err = { 0 };
    yyjson_val **objects = NULL;
    size_t n = 0;
    bool no_operator = up->options.bare || up->options.nodes == 0;
    if (up->phase == OPERATOR_MANIFESTS && up->options.bare)
        up->phase = FILES;
    if (up->phase == OPERATOR_WAIT && no_operator)
        up->phase = FILES;
    switch (up->phase) {
    case ROLES:
        if (default_roles(up, &objects, &n, &err) == MH_OK)
            apply(up, objects, n, true);
        break;
    case OPERATOR_MANIFESTS:
        if (mh_kube_yaml(&up->arena, mh_sb_install_yaml, strlen(mh_sb_install_yaml), &objects, &n,
                         &err) == MH_OK)
            apply(up, objects, n, false);
        break;
    case OPERATOR_WAIT:
        watch(up, 0, "/apis/apps/v1/namespaces/" OPERATOR_NS "/deployments", on_deployment);
        break;
    case FILES:
        if (!up->options.bare) {
            watch(up, 1, CLUSTERS, on_cluster);
            watch(up, 2, "/api/v1/events", on_event);
        }
        if (user_files(up, &objects, &n, &err) == MH_OK)
            apply(up, objects, n, false);
        break;
    default:
        tell_next(up);
        break;
    }
    if (err.code != MH_OK)
        give_up(up, &err);
}

void
mh_sb_boot_start(struct mh_sb_up *up)
{
    up->phase = ROLES;
    go_on(up);
}

void
mh_sb_boot_stop(struct mh_sb_up *up)
{
    if (up->applying)
        mh_sb_apply_cancel(&up->apply);
    up->applying = false;
    for (size_t i = 0; i < sizeof(up->watches) / sizeof(up->watches[0]); i++) {
        if (up->watches[i])
            up->direct.unwatch(up->direct.self, up->watches[i]);
        up->watches[i] = NULL;
    }
    for (size_t i = 0; i < up->told.len; i++)
        mh_free(up->told.entries[i].value);
}
