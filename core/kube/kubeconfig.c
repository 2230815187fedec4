#include "kube/kubeconfig.h"

#include <string.h>
#include <yaml.h>

#include "base/str.h"
#include "io/file.h"
#include "net/crypto.h"

#define FILE_MAX ((size_t)1 << 20)

/* The YAML document under reading. */
struct reader {
    yaml_document_t doc;
    struct mh_kube_config *config;
    const char *path;
    struct mh_err *err;
    bool no_memory;
};

static yaml_node_t *
child(struct reader *r, yaml_node_t *map, const char *key)
{
    if (!map || map->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
         p++) {
        yaml_node_t *k = yaml_document_get_node(&r->doc, p->key);
        if (k && k->type == YAML_SCALAR_NODE &&
            strcmp((const char *)k->data.scalar.value, key) == 0)
            return yaml_document_get_node(&r->doc, p->value);
    }
    return NULL;
}

static const char *
text(struct reader *r, yaml_node_t *map, const char *key)
{
    yaml_node_t *n = child(r, map, key);
    if (!n || n->type != YAML_SCALAR_NODE || n->data.scalar.length == 0)
        return NULL;
    return (const char *)n->data.scalar.value;
}

/* The entry called `name` of the list `list`: its part `part`. */
static yaml_node_t *
entry(struct reader *r, const char *list, const char *name, const char *part)
{
    yaml_node_t *root = yaml_document_get_root_node(&r->doc);
    yaml_node_t *seq = child(r, root, list);
    if (!name || !seq || seq->type != YAML_SEQUENCE_NODE)
        return NULL;
    for (yaml_node_item_t *i = seq->data.sequence.items.start; i < seq->data.sequence.items.top;
         i++) {
        yaml_node_t *item = yaml_document_get_node(&r->doc, *i);
        if (mh_str_eq(text(r, item, "name"), name))
            return child(r, item, part);
    }
    return NULL;
}

static char *
keep(struct reader *r, const char *s)
{
    char *copy = mh_arena_strdup(&r->config->arena, s);
    r->no_memory = r->no_memory || (s && !copy);
    return copy;
}

/* A file name, relative to the kubeconfig's folder. */
static char *
keep_file(struct reader *r, const char *s)
{
    const char *slash = strrchr(r->path, '/');
    if (!s || *s == '/' || !slash)
        return keep(r, s);
    char *full = mh_arena_printf(&r->config->arena, "%.*s/%s", (int)(slash - r->path), r->path, s);
    r->no_memory = r->no_memory || !full;
    return full;
}

/* Base64 as in the *-data fields; NULL when there is none. */
static char *
keep_data(struct reader *r, const char *s, const char *key, enum mh_code *code)
{
    if (!s)
        return NULL;
    char *out = mh_base64_decode(&r->config->arena, s, strlen(s), NULL);
    if (!out)
        *code = mh_fail(r->err, MH_E_INVALID, "kubeconfig %s: %s is no base64", r->path, key);
    return out;
}

static enum mh_code
read_cluster(struct reader *r, yaml_node_t *cluster)
{
    struct mh_kube_config *c = r->config;
    enum mh_code code = MH_OK;
    c->server = keep(r, text(r, cluster, "server"));
    c->tls.server_name = keep(r, text(r, cluster, "tls-server-name"));
    c->tls.insecure = mh_str_eq(text(r, cluster, "insecure-skip-tls-verify"), "true");
    c->tls.ca_file = keep_file(r, text(r, cluster, "certificate-authority"));
    c->tls.ca_pem = keep_data(r, text(r, cluster, "certificate-authority-data"),
                              "certificate-authority-data", &code);
    return code;
}

static enum mh_code
read_user(struct reader *r, yaml_node_t *user)
{
    struct mh_kube_config *c = r->config;
    enum mh_code code = MH_OK;
    if (child(r, user, "exec") || child(r, user, "auth-provider") || text(r, user, "username"))
        return mh_fail(r->err, MH_E_INVALID,
                       "kubeconfig %s: its user has a login that is not supported. HINT: use a "
                       "token or a client certificate",
                       r->path);
    c->token = keep(r, text(r, user, "token"));
    c->token_file = c->token ? NULL : keep_file(r, text(r, user, "tokenFile"));
    c->tls.cert_file = keep_file(r, text(r, user, "client-certificate"));
    c->tls.key_file = keep_file(r, text(r, user, "client-key"));
    c->tls.cert_pem =
        keep_data(r, text(r, user, "client-certificate-data"), "client-certificate-data", &code);
    c->tls.key_pem = keep_data(r, text(r, user, "client-key-data"), "client-key-data", &code);
    return code;
}

static enum mh_code
read_document(struct reader *r)
{
    yaml_node_t *root = yaml_document_get_root_node(&r->doc);
    const char *name = text(r, root, "current-context");
    yaml_node_t *context = entry(r, "contexts", name, "context");
    if (!context)
        return mh_fail(r->err, MH_E_INVALID, "kubeconfig %s has no context called %s", r->path,
                       name ? name : "(current-context is not set)");
    r->config->name_space = keep(r, text(r, context, "namespace"));
    enum mh_code code =
        read_cluster(r, entry(r, "clusters", text(r, context, "cluster"), "cluster"));
    if (code == MH_OK)
        code = read_user(r, entry(r, "users", text(r, context, "user"), "user"));
    if (code == MH_OK && r->no_memory)
        code = mh_fail(r->err, MH_E_NOMEM, "no memory for kubeconfig %s", r->path);
    return code;
}

enum mh_code
mh_kubeconfig_read(struct mh_kube_config *config, const char *path, struct mh_err *err)
{
    struct mh_fs fs = mh_fs_real();
    struct reader r = { .config = config, .path = path, .err = err };
    struct mh_arena a;
    char *yaml = NULL;
    size_t len = 0;
    mh_arena_init(&a, 2 * FILE_MAX);
    enum mh_code code = fs.read(fs.self, &a, path, FILE_MAX, &yaml, &len, err);
    yaml_parser_t parser;
    if (code == MH_OK && !yaml_parser_initialize(&parser))
        code = mh_fail(err, MH_E_NOMEM, "no memory for kubeconfig %s", path);
    if (code == MH_OK) {
        yaml_parser_set_input_string(&parser, (const unsigned char *)yaml, len);
        if (!yaml_parser_load(&parser, &r.doc)) {
            code = mh_fail(err, MH_E_INVALID, "kubeconfig %s: line %zu: %s", path,
                           parser.problem_mark.line + 1, parser.problem ? parser.problem : "bad");
        } else {
            code = read_document(&r);
            yaml_document_delete(&r.doc);
        }
        yaml_parser_delete(&parser);
    }
    mh_arena_release(&a);
    return code;
}
