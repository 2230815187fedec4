/* pod_env.c - what a container is started with: arguments, environment, user, rights. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/node_in.h"
#include "sandbox/view.h"

#define ENV_MAX 512
#define ARGS_MAX 256
#define EXPAND_MAX ((size_t)256 << 10)

struct env {
    struct mh_sb_container *c;
    struct mh_arena *a;
    const char *items[ENV_MAX + 1]; /* "NAME=value" */
    size_t len;
};

static bool refuse(struct mh_sb_container *c, const char *why, const char *fmt, ...)
    MH_PRINTF(3, 4);

/* False, with the reason as the kubelet gives it. */
static bool
refuse(struct mh_sb_container *c, const char *why, const char *fmt, ...)
{
    va_list ap;
    mh_str_copy(c->why, sizeof(c->why), why);
    va_start(ap, fmt);
    (void)vsnprintf(c->message, sizeof(c->message), fmt, ap);
    va_end(ap);
    return false;
}

/* --- fields ---------------------------------------------------------------------------------- */

static const char *
lines_of(struct mh_arena *a, yyjson_val *map)
{
    struct mh_buf b;
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *value;
    mh_buf_init(&b, EXPAND_MAX);
    yyjson_obj_foreach(map, i, max, key, value)
    {
        (void)mh_buf_printf(&b, "%s%s=", i ? "\n" : "", yyjson_get_str(key));
        (void)mh_json_quote(&b, yyjson_get_str(value), yyjson_get_len(value));
    }
    const char *out = mh_arena_strdup(a, mh_buf_text(&b));
    mh_buf_release(&b);
    return out;
}

/* metadata.labels['key'] */
static const char *
map_field(struct mh_sb_pod *p, struct mh_arena *a, const char *path, const char *map)
{
    char prefix[64];
    size_t n = (size_t)snprintf(prefix, sizeof(prefix), "metadata.%s", map);
    yyjson_val *values = mh_json_get(p->object, "metadata", map, NULL);
    if (strcmp(path, prefix) == 0)
        return lines_of(a, values);
    if (strncmp(path, prefix, n) != 0 || path[n] != '[' || strlen(path) < n + 4)
        return NULL;
    const char *key = mh_arena_strndup(a, path + n + 2, strlen(path) - n - 4);
    const char *value = key ? yyjson_get_str(yyjson_obj_get(values, key)) : NULL;
    return value ? value : "";
}

const char *
mh_sb_pod_field(struct mh_sb_pod *p, struct mh_arena *a, const char *path)
{
    if (strcmp(path, "metadata.name") == 0)
        return p->name;
    if (strcmp(path, "metadata.namespace") == 0)
        return p->ns;
    if (strcmp(path, "metadata.uid") == 0)
        return p->uid;
    if (strcmp(path, "spec.nodeName") == 0)
        return p->node->name;
    if (strcmp(path, "spec.serviceAccountName") == 0) {
        const char *account = mh_json_str(p->object, "spec", "serviceAccountName", NULL);
        return account ? account : "";
    }
    if (strcmp(path, "status.podIP") == 0 || strcmp(path, "status.podIPs") == 0)
        return p->address;
    if (strcmp(path, "status.hostIP") == 0 || strcmp(path, "status.hostIPs") == 0)
        return mh_arena_printf(a, "127.%d.%d.1", p->nodes->spec.n, 16 + p->node->index);
    if (strncmp(path, "metadata.labels", 15) == 0)
        return map_field(p, a, path, "labels");
    if (strncmp(path, "metadata.annotations", 20) == 0)
        return map_field(p, a, path, "annotations");
    return NULL;
}

/* --- variables ------------------------------------------------------------------------------- */

static const char *
lookup(const struct env *e, const char *name, size_t n)
{
    for (size_t i = e->len; i-- > 0;) {
        if (strncmp(e->items[i], name, n) == 0 && e->items[i][n] == '=')
            return e->items[i] + n + 1;
    }
    return NULL;
}

/* $(NAME) becomes the value of an earlier variable, $$ a dollar; unknown names stay as they are. */
static const char *
expand(const struct env *e, const char *text)
{
    struct mh_buf b;
    if (!strchr(text, '$'))
        return text;
    mh_buf_init(&b, EXPAND_MAX);
    for (const char *at = text; *at;) {
        const char *end = at[0] == '$' && at[1] == '(' ? strchr(at + 2, ')') : NULL;
        const char *value = end ? lookup(e, at + 2, (size_t)(end - at - 2)) : NULL;
        if (at[0] == '$' && at[1] == '$') {
            (void)mh_buf_char(&b, '$');
            at += 2;
        } else if (value) {
            (void)mh_buf_str(&b, value);
            at = end + 1;
        } else {
            (void)mh_buf_char(&b, *at++);
        }
    }
    const char *out = mh_arena_strdup(e->a, mh_buf_text(&b));
    mh_buf_release(&b);
    return out;
}

static void
set(struct env *e, const char *name, const char *value)
{
    const char *item = mh_arena_printf(e->a, "%s=%s", name, value);
    size_t n = strlen(name);
    for (size_t i = 0; i < e->len; i++) {
        if (strncmp(e->items[i], name, n) == 0 && e->items[i][n] == '=') {
            e->items[i] = item;
            return;
        }
    }
    if (e->len < ENV_MAX && item)
        e->items[e->len++] = item;
}

/* The text of a key; NULL: not there, or not yet (*wait). */
static const char *
key_of(const struct env *e, yyjson_val *source, bool secret, const char *name)
{
    struct mh_sb_pod *p = e->c->pod;
    const struct mh_sb_ref *r =
        mh_sb_ref_get(p->nodes, secret ? "secrets" : "configmaps", p->ns, name ? name : "");
    const char *key = mh_json_str(source, "key", NULL);
    yyjson_val *value = r && key ? yyjson_obj_get(yyjson_obj_get(r->object, "data"), key) : NULL;
    if (!value)
        return NULL;
    if (!secret)
        return yyjson_get_str(value);
    return mh_sb_base64_text(e->a, yyjson_get_str(value));
}

static bool
set_from_key(struct env *e, const char *name, yyjson_val *source, bool secret)
{
    const char *object = mh_json_str(source, "name", NULL);
    const char *text = key_of(e, source, secret, object);
    if (text)
        set(e, name, text);
    if (text || mh_json_bool(source, false, "optional", NULL))
        return true;
    const struct mh_sb_ref *r = mh_sb_ref_get(e->c->pod->nodes, secret ? "secrets" : "configmaps",
                                              e->c->pod->ns, object ? object : "");
    if (r && r->state == MH_SB_REF_THERE)
        return refuse(e->c, "CreateContainerConfigError", "couldn't find key %s",
                      mh_json_str(source, "key", NULL));
    return refuse(e->c, "CreateContainerConfigError", "%s \"%s\" not found",
                  secret ? "secret" : "configmap", object ? object : "");
}

static bool
set_one(struct env *e, yyjson_val *v)
{
    const char *name = mh_json_str(v, "name", NULL);
    const char *value = mh_json_str(v, "value", NULL);
    yyjson_val *from = yyjson_obj_get(v, "valueFrom");
    const char *field = mh_json_str(from, "fieldRef", "fieldPath", NULL);
    yyjson_val *secret = yyjson_obj_get(from, "secretKeyRef");
    yyjson_val *map = yyjson_obj_get(from, "configMapKeyRef");
    if (!name)
        return true;
    if (secret || map)
        return set_from_key(e, name, secret ? secret : map, secret != NULL);
    if (field) {
        const char *text = mh_sb_pod_field(e->c->pod, e->a, field);
        if (!text)
            return refuse(e->c, "CreateContainerConfigError", "unsupported fieldPath: %s", field);
        set(e, name, text);
        return true;
    }
    if (yyjson_obj_get(from, "resourceFieldRef")) {
        set(e, name, "0");
        return true;
    }
    const char *text = expand(e, value ? value : "");
    set(e, name, text ? text : "");
    return true;
}

static bool
set_all_of(struct env *e, yyjson_val *from)
{
    yyjson_val *secret = yyjson_obj_get(from, "secretRef");
    yyjson_val *source = secret ? secret : yyjson_obj_get(from, "configMapRef");
    const char *prefix = mh_json_str(from, "prefix", NULL);
    const char *name = mh_json_str(source, "name", NULL);
    struct mh_sb_pod *p = e->c->pod;
    const struct mh_sb_ref *r =
        mh_sb_ref_get(p->nodes, secret ? "secrets" : "configmaps", p->ns, name ? name : "");
    if (!r || r->state != MH_SB_REF_THERE)
        return mh_json_bool(source, false, "optional", NULL) ||
               refuse(e->c, "CreateContainerConfigError", "%s \"%s\" not found",
                      secret ? "secret" : "configmap", name ? name : "");
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *value;
    yyjson_obj_foreach(yyjson_obj_get(r->object, "data"), i, max, key, value)
    {
        const char *full = mh_arena_printf(e->a, "%s%s", prefix ? prefix : "", yyjson_get_str(key));
        const char *text = yyjson_get_str(value);
        if (secret)
            text = mh_sb_base64_text(e->a, text);
        if (full && text)
            set(e, full, text);
    }
    return true;
}

static bool
make_env(struct env *e, const struct mh_sb_launch *l, yyjson_val *spec)
{
    const struct mh_sb_pod *p = e->c->pod;
    const struct mh_sb_nodes *n = p->nodes;
    yyjson_val *v;
    size_t i;
    size_t max;
    set(e, "PATH", l->image.path);
    set(e, "HOSTNAME", l->hostname);
    set(e, "HOME", l->uid == 0 ? "/root" : l->image.home);
    set(e, "KUBERNETES_SERVICE_HOST", mh_sb_api_address(e->a, n->spec.n));
    set(e, "KUBERNETES_SERVICE_PORT",
        mh_arena_printf(e->a, "%d", n->spec.api_port ? n->spec.api_port : MH_SB_API_PORT));
    set(e, "KUBERNETES_SERVICE_PORT_HTTPS", lookup(e, "KUBERNETES_SERVICE_PORT", 23));
    set(e, "MOONHERD_POD_IP", p->address);
    set(e, "MOONHERD_POD_UID", p->uid);
    set(e, "MOONHERD_NODE", p->node->name);
    yyjson_arr_foreach(yyjson_obj_get(spec, "envFrom"), i, max, v)
    {
        if (!set_all_of(e, v))
            return false;
    }
    yyjson_arr_foreach(yyjson_obj_get(spec, "env"), i, max, v)
    {
        if (!set_one(e, v))
            return false;
    }
    return true;
}

/* --- users and rights ------------------------------------------------------------------------ */

/* The container's own word, else the pod's. */
static yyjson_val *
security(const struct mh_sb_pod *p, yyjson_val *container, const char *field)
{
    yyjson_val *own = mh_json_get(container, "securityContext", field, NULL);
    return own ? own : mh_json_get(p->object, "spec", "securityContext", field, NULL);
}

void
mh_sb_pod_ids(const struct mh_sb_pod *p, yyjson_val *container, unsigned *uid, unsigned *gid)
{
    yyjson_val *u = security(p, container, "runAsUser");
    yyjson_val *g = security(p, container, "runAsGroup");
    *uid = yyjson_is_int(u) ? (unsigned)yyjson_get_int(u) : 26;
    *gid = yyjson_is_int(g) ? (unsigned)yyjson_get_int(g) : 0;
}

static const char *const cap_names[] = {
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
};

static uint64_t
cap_bits(yyjson_val *names)
{
    uint64_t bits = 0;
    yyjson_val *name;
    size_t i;
    size_t max;
    yyjson_arr_foreach(names, i, max, name)
    {
        if (mh_str_eq(yyjson_get_str(name), "ALL"))
            return UINT64_MAX;
        for (size_t k = 0; k < sizeof(cap_names) / sizeof(*cap_names); k++) {
            if (mh_str_eq(yyjson_get_str(name), cap_names[k]))
                bits |= (uint64_t)1 << k;
        }
    }
    return bits;
}

static void
set_groups(const struct mh_sb_pod *p, struct mh_sb_launch *l)
{
    yyjson_val *group = mh_json_get(p->object, "spec", "securityContext", "fsGroup", NULL);
    yyjson_val *more =
        mh_json_get(p->object, "spec", "securityContext", "supplementalGroups", NULL);
    yyjson_val *g;
    size_t i;
    size_t max;
    if (yyjson_is_int(group))
        l->groups[l->ngroups++] = (gid_t)yyjson_get_int(group);
    yyjson_arr_foreach(more, i, max, g)
    {
        if (l->ngroups < sizeof(l->groups) / sizeof(*l->groups))
            l->groups[l->ngroups++] = (gid_t)yyjson_get_int(g);
    }
}

static bool
set_rights(struct mh_sb_container *c, yyjson_val *spec, struct mh_sb_launch *l)
{
    const struct mh_sb_pod *p = c->pod;
    yyjson_val *user = security(p, spec, "runAsUser");
    mh_sb_pod_ids(p, spec, &l->uid, &l->gid);
    if (!user) {
        l->uid = l->image.uid;
        if (!security(p, spec, "runAsGroup"))
            l->gid = l->image.uid;
    }
    if (l->uid == 0 && yyjson_get_bool(security(p, spec, "runAsNonRoot")))
        return refuse(c, "CreateContainerConfigError",
                      "container has runAsNonRoot and image will run as root (container: %s)",
                      c->name);
    yyjson_val *caps = mh_json_get(spec, "securityContext", "capabilities", NULL);
    l->caps = (MH_SB_CAPS_DEFAULT & ~cap_bits(yyjson_obj_get(caps, "drop"))) |
              cap_bits(yyjson_obj_get(caps, "add"));
    if (mh_json_bool(spec, false, "securityContext", "privileged", NULL))
        return refuse(c, "CreateContainerConfigError",
                      "the sandbox has no privileged containers (container: %s)", c->name);
    l->no_new_privs =
        !mh_json_bool(spec, true, "securityContext", "allowPrivilegeEscalation", NULL);
    l->read_only_root =
        mh_json_bool(spec, false, "securityContext", "readOnlyRootFilesystem", NULL);
    set_groups(p, l);
    return true;
}

/* --- all of it ------------------------------------------------------------------------------- */

static bool
make_argv(struct env *e, struct mh_sb_launch *l, yyjson_val *spec)
{
    const char **argv = mh_arena_alloc(e->a, (ARGS_MAX + 1) * sizeof(*argv));
    size_t n = 0;
    yyjson_val *word;
    size_t i;
    size_t max;
    if (!argv)
        return refuse(e->c, "CreateContainerError", "no memory for %s", e->c->name);
    yyjson_arr_foreach(yyjson_obj_get(spec, "command"), i, max, word)
    {
        if (n < ARGS_MAX && yyjson_is_str(word))
            argv[n++] = expand(e, yyjson_get_str(word));
    }
    if (n == 0) /* the image's entry point */
        argv[n++] = l->image.manager ? "/manager" : "bash";
    yyjson_arr_foreach(yyjson_obj_get(spec, "args"), i, max, word)
    {
        if (n < ARGS_MAX && yyjson_is_str(word))
            argv[n++] = expand(e, yyjson_get_str(word));
    }
    l->argv = argv;
    return argv[0] != NULL;
}

bool
mh_sb_launch_make(struct mh_sb_container *c, struct mh_sb_launch *l)
{
    struct mh_sb_pod *p = c->pod;
    yyjson_val *spec = mh_sb_container_spec(c);
    const char *why = NULL;
    const char *image = mh_json_str(spec, "image", NULL);
    if (!mh_sb_image_resolve(l->arena, image ? image : "", p->nodes->operator_image, &l->image,
                             &why))
        return refuse(c, "ErrImagePull", "%s", why ? why : "no memory");
    const char *host = mh_json_str(p->object, "spec", "hostname", NULL);
    l->hostname = host && *host ? host : p->name;
    l->cwd = mh_json_str(spec, "workingDir", NULL);
    if (!set_rights(c, spec, l))
        return false;
    struct env *e = mh_arena_alloc(l->arena, sizeof(*e));
    if (!e)
        return refuse(c, "CreateContainerError", "no memory for %s", c->name);
    e->c = c;
    e->a = l->arena;
    if (!make_env(e, l, spec) || !make_argv(e, l, spec))
        return false;
    l->env = e->items;
    return true;
}
