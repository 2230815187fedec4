#include "sandbox/auth.h"

#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "io/file.h"
#include "net/crypto.h"
#include "net/jwt.h"
#include "net/x509.h"

#define FILE_MAX ((size_t)64 << 10)
#define TEN_YEARS (3650LL * 86400)
#define NAMES_MAX 16

/* --- keys ------------------------------------------------------------------------------------- */

static int64_t
now_s(const struct mh_sb_auth *auth)
{
    return auth->clock.wall_us(auth->clock.self) / 1000000;
}

static enum mh_code
load(struct mh_sb_auth *auth, const char *dir, const char *name, char **text, struct mh_err *err)
{
    struct mh_fs fs = mh_fs_real();
    char *path = mh_arena_printf(&auth->arena, "%s/%s", dir, name);
    if (!path)
        return mh_fail(err, MH_E_NOMEM, "no memory for keys");
    *text = NULL;
    enum mh_code code = fs.read(fs.self, &auth->arena, path, FILE_MAX, text, NULL, err);
    return code == MH_E_NOTFOUND ? MH_OK : code;
}

static enum mh_code
store(struct mh_sb_auth *auth, const char *dir, const char *name, const char *text,
      struct mh_err *err)
{
    struct mh_fs fs = mh_fs_real();
    char *path = mh_arena_printf(&auth->arena, "%s/%s", dir, name);
    if (!path)
        return mh_fail(err, MH_E_NOMEM, "no memory for keys");
    return fs.write(fs.self, path, text, strlen(text), 0600, false, NULL, err);
}

/* A secret of 32 random bytes in hexadecimal, made once. */
static enum mh_code
secret(struct mh_sb_auth *auth, const char *dir, const char *name, char **hex, struct mh_err *err)
{
    unsigned char raw[MH_SB_KEY_LEN];
    enum mh_code code = load(auth, dir, name, hex, err);
    if (code == MH_OK && *hex && strlen(*hex) == 2 * sizeof(raw))
        return MH_OK;
    if (code == MH_OK && *hex)
        return mh_fail(err, MH_E_INVALID, "%s/%s is damaged. HINT: remove it", dir, name);
    if (code != MH_OK)
        return code;
    *hex = mh_arena_alloc(&auth->arena, 2 * sizeof(raw) + 1);
    if (!*hex || !auth->rand.fill(auth->rand.self, raw, sizeof(raw)))
        return mh_fail(err, MH_E_NOMEM, "no memory or randomness for a token");
    mh_hex(*hex, raw, sizeof(raw));
    return store(auth, dir, name, *hex, err);
}

static enum mh_code
make_ca(struct mh_sb_auth *auth, const char *dir, struct mh_err *err)
{
    char *cert = NULL, *key = NULL;
    struct mh_x509_info info;
    int64_t now = now_s(auth);
    enum mh_code code = load(auth, dir, "ca.crt", &cert, err);
    if (code == MH_OK)
        code = load(auth, dir, "ca.key", &key, err);
    if (code != MH_OK)
        return code;
    auth->ca_pem = cert;
    auth->ca_key_pem = key;
    if (cert && key && mh_x509_key_matches(cert, key) &&
        mh_x509_read(&auth->arena, cert, &info, NULL) == MH_OK && info.not_after > now + 86400)
        return MH_OK;
    struct mh_x509_ca_spec spec = { "moonherd sandbox", NULL, now - 3600, now + TEN_YEARS, NULL };
    code = mh_x509_make_ca(&auth->arena, &spec, &auth->ca_pem, &auth->ca_key_pem, err);
    if (code == MH_OK)
        code = store(auth, dir, "ca.key", auth->ca_key_pem, err);
    if (code == MH_OK)
        code = store(auth, dir, "ca.crt", auth->ca_pem, err);
    return code;
}

static enum mh_code
make_certificate(struct mh_sb_auth *auth, const char *const *addresses, struct mh_err *err)
{
    const char *names[NAMES_MAX + 6] = { "kubernetes", "kubernetes.default",
                                         "kubernetes.default.svc",
                                         "kubernetes.default.svc.cluster.local", "localhost" };
    int n = 5;
    for (; *addresses && n < NAMES_MAX; addresses++)
        names[n++] = *addresses;
    int64_t now = now_s(auth);
    struct mh_x509_spec spec = { .ca_cert_pem = auth->ca_pem,
                                 .ca_key_pem = auth->ca_key_pem,
                                 .cn = "kube-apiserver",
                                 .dns_names = names,
                                 .usage = MH_X509_SERVER,
                                 .not_before = now - 3600,
                                 .not_after = now + TEN_YEARS - 86400 };
    return mh_x509_issue(&auth->arena, &spec, &auth->cert_pem, &auth->key_pem, err);
}

enum mh_code
mh_sb_auth_init(struct mh_sb_auth *auth, const char *dir, const char *const *addresses,
                struct mh_clock clock, struct mh_rand rand, struct mh_err *err)
{
    char *admin = NULL, *sa = NULL;
    *auth = (struct mh_sb_auth){ .clock = clock, .rand = rand };
    mh_arena_init(&auth->arena, (size_t)4 << 20);
    enum mh_code code = make_ca(auth, dir, err);
    if (code == MH_OK)
        code = make_certificate(auth, addresses, err);
    if (code == MH_OK)
        code = secret(auth, dir, "admin.token", &admin, err);
    if (code == MH_OK)
        code = secret(auth, dir, "accounts.key", &sa, err);
    if (code != MH_OK)
        return code;
    auth->admin_token = admin;
    char md[MH_SHA256_HEX];
    mh_sha256_hex(md, sa, strlen(sa));
    memcpy(auth->sa_key, md, MH_SB_KEY_LEN);
    return MH_OK;
}

void
mh_sb_auth_release(struct mh_sb_auth *auth)
{
    mh_arena_release(&auth->arena);
}

/* --- who ---------------------------------------------------------------------------------------- */

bool
mh_sb_auth_groups(struct mh_arena *a, const char *user, const char *const *more,
                  struct mh_sb_who *who)
{
    static const char prefix[] = "system:serviceaccount:";
    size_t n = 0, k = 0;
    while (more && more[n])
        n++;
    const char **groups = mh_arena_alloc(a, (n + 4) * sizeof(*groups));
    *who = (struct mh_sb_who){ .user = mh_arena_strdup(a, user), .groups = groups };
    if (!groups || !who->user)
        return false;
    for (size_t i = 0; i < n; i++)
        groups[k++] = more[i];
    if (n == 0 && mh_str_starts(user, prefix)) {
        const char *ns = user + sizeof(prefix) - 1;
        groups[k++] = "system:serviceaccounts";
        groups[k++] = mh_arena_printf(a, "system:serviceaccounts:%.*s", (int)strcspn(ns, ":"), ns);
        if (!groups[k - 1])
            return false;
    }
    bool known = false;
    for (size_t i = 0; i < k; i++)
        known = known || mh_str_eq(groups[i], "system:authenticated");
    if (!known)
        groups[k] = "system:authenticated";
    return true;
}

static bool
has_audience(yyjson_val *aud, const char *const *wanted)
{
    static const char *const own[] = { MH_SB_ISSUER, NULL };
    for (const char *const *w = wanted ? wanted : own; *w; w++) {
        yyjson_arr_iter i = yyjson_arr_iter_with(aud);
        yyjson_val *v;
        while ((v = yyjson_arr_iter_next(&i)))
            if (mh_str_eq(yyjson_get_str(v), *w))
                return true;
    }
    return false;
}

/* ["a" "b"] */
static char *
add_quoted(struct mh_arena *a, char *list, const char *s)
{
    return list && s ? mh_arena_printf(a, "%s%s\"%s\"", list, *list ? " " : "", s) : NULL;
}

static const char *
wrong_audience(struct mh_arena *a, yyjson_val *aud, const char *const *wanted)
{
    static const char *const own[] = { MH_SB_ISSUER, NULL };
    char *have = mh_arena_strdup(a, "");
    char *want = mh_arena_strdup(a, "");
    for (size_t i = 0; i < yyjson_arr_size(aud); i++)
        have = add_quoted(a, have, yyjson_get_str(yyjson_arr_get(aud, i)));
    for (const char *const *w = wanted ? wanted : own; *w; w++)
        want = add_quoted(a, want, *w);
    return have && want ? mh_arena_printf(a,
                                          "token audiences [%s] is invalid for the target "
                                          "audiences [%s]",
                                          have, want)
                        : NULL;
}

/* Is the object that the token is bound to still the one it was? */
static bool
still_there(struct mh_sb_auth *auth, struct mh_arena *a, const char *resource, const char *ns,
            const char *name, const char *uid)
{
    if (!auth->api)
        return true;
    yyjson_val *o = mh_sb_get(auth->api, a, "", resource, ns, name);
    return o && mh_str_eq(mh_json_str(o, "metadata", "uid", NULL), uid);
}

bool
mh_sb_auth_check(struct mh_sb_auth *auth, struct mh_arena *a, const char *token,
                 const char *const *audiences, struct mh_sb_who *who)
{
    static const char *const masters[] = { "system:masters", NULL };
    yyjson_val *claims;
    int64_t now = now_s(auth);
    *who = (struct mh_sb_who){ 0 };
    if (mh_secret_eq(token, auth->admin_token))
        return mh_sb_auth_groups(a, MH_SB_ADMIN, masters, who);
    if (mh_jwt_verify(a, auth->sa_key, sizeof(auth->sa_key), token, &claims, NULL) != MH_OK)
        return false;
    yyjson_val *k = yyjson_obj_get(claims, "kubernetes.io");
    const char *ns = mh_json_str(k, "namespace", NULL);
    const char *account = mh_json_str(k, "serviceaccount", "name", NULL);
    const char *uid = mh_json_str(k, "serviceaccount", "uid", NULL);
    const char *pod = mh_json_str(k, "pod", "name", NULL);
    if (!has_audience(yyjson_obj_get(claims, "aud"), audiences)) {
        who->why = wrong_audience(a, yyjson_obj_get(claims, "aud"), audiences);
        return false;
    }
    if (mh_json_int(claims, 0, "exp", NULL) <= now || !ns || !account || !uid ||
        !still_there(auth, a, "serviceaccounts", ns, account, uid) ||
        (pod && !still_there(auth, a, "pods", ns, pod, mh_json_str(k, "pod", "uid", NULL))))
        return false;
    char *user = mh_arena_printf(a, "system:serviceaccount:%s:%s", ns, account);
    if (!user || !mh_sb_auth_groups(a, user, NULL, who))
        return false;
    const char *jti = mh_json_str(claims, "jti", NULL);
    who->uid = uid;
    who->pod = pod;
    who->pod_uid = mh_json_str(k, "pod", "uid", NULL);
    who->node = mh_json_str(k, "node", "name", NULL);
    who->credential = jti ? mh_arena_printf(a, "JTI=%s", jti) : NULL;
    return true;
}

/* --- tokens of service accounts --------------------------------------------------------------- */

static bool
add_claims(yyjson_mut_doc *d, yyjson_mut_val *root, const struct mh_sb_token_spec *s)
{
    static const char *const own[] = { MH_SB_ISSUER, NULL };
    yyjson_mut_val *aud = yyjson_mut_obj_add_arr(d, root, "aud");
    for (const char *const *p = s->audiences ? s->audiences : own; *p; p++)
        (void)yyjson_mut_arr_add_str(d, aud, *p);
    yyjson_mut_val *k = yyjson_mut_obj_add_obj(d, root, "kubernetes.io");
    bool ok = yyjson_mut_obj_add_str(d, k, "namespace", s->ns);
    yyjson_mut_val *part;
    if (s->node) {
        part = yyjson_mut_obj_add_obj(d, k, "node");
        ok = ok && yyjson_mut_obj_add_str(d, part, "name", s->node);
    }
    if (s->pod) {
        part = yyjson_mut_obj_add_obj(d, k, "pod");
        ok = ok && yyjson_mut_obj_add_str(d, part, "name", s->pod) &&
             yyjson_mut_obj_add_str(d, part, "uid", s->pod_uid);
    }
    part = yyjson_mut_obj_add_obj(d, k, "serviceaccount");
    return ok && yyjson_mut_obj_add_str(d, part, "name", s->account) &&
           yyjson_mut_obj_add_str(d, part, "uid", s->account_uid);
}

char *
mh_sb_auth_issue(struct mh_sb_auth *auth, struct mh_arena *a, const struct mh_sb_token_spec *spec,
                 int64_t *expires)
{
    unsigned char raw[16];
    char hex[2 * sizeof(raw) + 1];
    int64_t now = now_s(auth);
    yyjson_mut_doc *d = mh_json_doc(a);
    yyjson_mut_val *root = d ? yyjson_mut_obj(d) : NULL;
    if (!root || !auth->rand.fill(auth->rand.self, raw, sizeof(raw)))
        return NULL;
    mh_hex(hex, raw, sizeof(raw));
    char *sub = mh_arena_printf(a, "system:serviceaccount:%s:%s", spec->ns, spec->account);
    char *jti =
        mh_arena_printf(a, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    *expires = now + spec->seconds;
    size_t n;
    if (!sub || !jti || !add_claims(d, root, spec) ||
        !yyjson_mut_obj_add_int(d, root, "exp", *expires) ||
        !yyjson_mut_obj_add_int(d, root, "iat", now) ||
        !yyjson_mut_obj_add_int(d, root, "nbf", now) ||
        !yyjson_mut_obj_add_str(d, root, "iss", MH_SB_ISSUER) ||
        !yyjson_mut_obj_add_str(d, root, "jti", jti) ||
        !yyjson_mut_obj_add_str(d, root, "sub", sub))
        return NULL;
    char *text = mh_json_mut_text(a, root, &n);
    return text ? mh_jwt_sign(a, auth->sa_key, sizeof(auth->sa_key), text, n) : NULL;
}

char *
mh_sb_auth_kubeconfig(const struct mh_sb_auth *auth, struct mh_arena *a, const char *server)
{
    char *ca = mh_base64_encode(a, auth->ca_pem, strlen(auth->ca_pem));
    if (!ca)
        return NULL;
    return mh_arena_printf(a,
                           "apiVersion: v1\n"
                           "kind: Config\n"
                           "clusters:\n"
                           "- name: moonherd-sandbox\n"
                           "  cluster:\n"
                           "    server: %s\n"
                           "    certificate-authority-data: %s\n"
                           "contexts:\n"
                           "- name: moonherd-sandbox\n"
                           "  context: {cluster: moonherd-sandbox, user: moonherd-sandbox-admin}\n"
                           "current-context: moonherd-sandbox\n"
                           "users:\n"
                           "- name: moonherd-sandbox-admin\n"
                           "  user:\n"
                           "    token: %s\n",
                           server, ca, auth->admin_token);
}
