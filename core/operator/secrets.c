#include "operator/secrets.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "net/crypto.h"
#include "net/x509.h"

#define CAS_MAX 20000
#define CA_MAX ((size_t)64 << 10)
#define HASH_LEN 12
#define CA_KEY "ca.crt"
#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration" /* has the values, too */

void
mh_secrets_init(struct mh_secrets *s)
{
    mh_map_init(&s->cas, CAS_MAX);
}

void
mh_secrets_release(struct mh_secrets *s)
{
    for (size_t i = 0; i < s->cas.len; i++)
        mh_free(s->cas.entries[i].value);
    mh_map_release(&s->cas);
}

static bool
ca_name(char out[600], const char *ns, const char *name)
{
    int n = snprintf(out, 600, "%s/%s", ns, name);
    return n > 0 && n < 600;
}

const char *
mh_secrets_ca(const struct mh_secrets *s, const char *ns, const char *name)
{
    char key[600];
    return ca_name(key, ns, name) ? mh_map_get(&s->cas, key) : NULL;
}

void
mh_secrets_put_ca(struct mh_secrets *s, const char *ns, const char *name, const char *pem)
{
    char key[600];
    void *old = NULL;
    if (!ca_name(key, ns, name))
        return;
    char *copy = pem && strlen(pem) < CA_MAX ? mh_strdup(pem) : NULL;
    if (!copy)
        old = mh_map_remove(&s->cas, key);
    else if (!mh_map_put(&s->cas, key, copy, &old))
        old = copy;
    mh_free(old);
}

static yyjson_mut_val *
names_array(yyjson_mut_doc *doc, const char *const *names)
{
    yyjson_mut_val *list = yyjson_mut_arr(doc);
    for (; names && *names; names++)
        yyjson_mut_arr_add_strcpy(doc, list, *names);
    return list;
}

/* Tells of a certificate; NULL if the text is none. */
static yyjson_mut_val *
describe(struct mh_arena *a, yyjson_mut_doc *doc, const char *pem)
{
    struct mh_x509_info info;
    struct mh_err err;
    if (strncmp(pem, "-----BEGIN CERT", 15) != 0 || mh_x509_read(a, pem, &info, &err) != MH_OK)
        return NULL;
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_strcpy(doc, o, "cn", info.cn);
    yyjson_mut_obj_add_strcpy(doc, o, "issuer", info.issuer_cn);
    yyjson_mut_obj_add_int(doc, o, "not_before", info.not_before);
    yyjson_mut_obj_add_int(doc, o, "not_after", info.not_after);
    yyjson_mut_obj_add_strcpy(doc, o, "spki", info.spki_sha256);
    yyjson_mut_obj_add_val(doc, o, "dns_names", names_array(doc, info.dns_names));
    return o;
}

struct trimmed {
    yyjson_mut_doc *doc;
    yyjson_mut_val *hashes;
    yyjson_mut_val *certificates;
    const char *ca; /* PEM, on the arena */
};

/* Decodes one value (text NULL: none), keeps its hash, tells of it. */
static void
one_value(struct mh_arena *a, struct trimmed *t, const char *key, const char *text)
{
    size_t len = 0;
    char hash[MH_SHA256_HEX];
    const char *value = text ? mh_base64_decode(a, text, strlen(text), &len) : NULL;
    mh_sha256_hex(hash, value ? value : "", len);
    hash[HASH_LEN] = '\0';
    yyjson_mut_obj_add(t->hashes, yyjson_mut_strcpy(t->doc, key), yyjson_mut_strcpy(t->doc, hash));
    yyjson_mut_val *told = value && strlen(value) == len ? describe(a, t->doc, value) : NULL;
    if (told)
        yyjson_mut_obj_add(t->certificates, yyjson_mut_strcpy(t->doc, key), told);
    if (told && mh_str_eq(key, CA_KEY))
        t->ca = value;
}

bool
mh_secrets_trim(void *arg, yyjson_mut_doc *doc, yyjson_mut_val *object)
{
    struct mh_arena a;
    mh_arena_init(&a, (size_t)16 << 20);
    struct trimmed t = { doc, yyjson_mut_obj(doc), yyjson_mut_obj(doc), NULL };
    yyjson_mut_obj_iter i = yyjson_mut_obj_iter_with(yyjson_mut_obj_get(object, "data"));
    yyjson_mut_val *k;
    while ((k = yyjson_mut_obj_iter_next(&i)))
        one_value(&a, &t, yyjson_mut_get_str(k),
                  yyjson_mut_get_str(yyjson_mut_obj_iter_get_val(k)));
    yyjson_mut_obj_remove_key(object, "stringData");
    bool ok = yyjson_mut_obj_put(object, yyjson_mut_str(doc, "data"), t.hashes) &&
              yyjson_mut_obj_put(object, yyjson_mut_str(doc, "certificates"), t.certificates);
    yyjson_mut_val *meta = yyjson_mut_obj_get(object, "metadata");
    yyjson_mut_obj_remove_key(yyjson_mut_obj_get(meta, "annotations"), LAST_APPLIED);
    const char *ns = yyjson_mut_get_str(yyjson_mut_obj_get(meta, "namespace"));
    const char *name = yyjson_mut_get_str(yyjson_mut_obj_get(meta, "name"));
    if (arg && ns && name && t.ca)
        mh_secrets_put_ca(arg, ns, name, t.ca);
    mh_arena_release(&a);
    return ok;
}
