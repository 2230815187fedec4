/* cli_plan.c - kubectl moonherd plan -f FILE: what an edit would do. A dry run that the operator
 * answers with its plan, so that it needs no other rights than the edit itself. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "kube/yaml.h"
#include "main/cli.h"

#define NOTE "moonherd.io/plan"
#define LAST "kubectl.kubernetes.io/last-applied-configuration"
#define TRIES 5

static const char usage[] =
    "usage: kubectl moonherd plan -f FILE [-n NAMESPACE] [-o json]\n"
    "\n"
    "Says what kubectl apply -f FILE would make the operator do to each Cluster in it, in its "
    "order:\n"
    "create, restart, switch over, resize, delete. Nothing is changed. It needs the right to edit\n"
    "the Cluster.\n";

/* Null for what the last apply had and this one has not, as kubectl apply does. */
static void
add_removals(yyjson_mut_doc *doc, yyjson_mut_val *patch, yyjson_val *last, yyjson_val *now)
{
    size_t i, max;
    yyjson_val *k, *v;
    yyjson_obj_foreach(last, i, max, k, v)
    {
        const char *key = yyjson_get_str(k);
        yyjson_val *new = yyjson_obj_get(now, key);
        yyjson_mut_val *below = yyjson_mut_obj_get(patch, key);
        if (!new)
            (void)yyjson_mut_obj_add_null(doc, patch, key);
        else if (yyjson_is_obj(v) && yyjson_is_obj(new) && below)
            add_removals(doc, below, v, new);
    }
}

/* The body of the request: a merge patch for one that exists, or the object itself. */
static const char *
body_of(struct mh_cli *c, yyjson_val *object, yyjson_val *now)
{
    yyjson_val *last = NULL;
    const char *text = mh_json_str(now, "metadata", "annotations", LAST, NULL);
    yyjson_mut_doc *doc = mh_json_doc(&c->arena);
    yyjson_mut_val *root = doc ? yyjson_val_mut_copy(doc, object) : NULL;
    yyjson_mut_val *meta = yyjson_mut_obj_get(root, "metadata");
    if (!meta)
        return NULL;
    if (text && mh_json_parse(&c->arena, text, strlen(text), &last, NULL) == MH_OK)
        add_removals(doc, root, last, object);
    (void)yyjson_mut_obj_remove_key(root, "status");
    yyjson_mut_val *notes = yyjson_mut_obj_get(meta, "annotations");
    if (!yyjson_mut_is_obj(notes)) {
        (void)yyjson_mut_obj_remove_key(meta, "annotations");
        notes = yyjson_mut_obj_add_obj(doc, meta, "annotations");
    }
    (void)yyjson_mut_obj_remove_key(notes, NOTE);
    (void)yyjson_mut_obj_add_str(doc, notes, NOTE, "requested");
    if (now) /* fields that a patch must not touch */
        for (const char *const *k = (const char *const[]){ "resourceVersion", "uid", NULL }; *k;
             k++)
            (void)yyjson_mut_obj_remove_key(meta, *k);
    return mh_json_mut_text(&c->arena, root, NULL);
}

/* {"steps","rest"} or {"error"}; NULL with a message. */
static yyjson_val *
ask(struct mh_cli *c, yyjson_val *object, const char *ns, const char *name)
{
    struct mh_err err;
    yyjson_val *plan = NULL;
    const struct mh_kind *kind = mh_cli_cluster_kind(c);
    const char *path = kind ? mh_kube_path(&c->arena, kind, ns, name, NULL) : NULL;
    const char *list = kind ? mh_kube_path(&c->arena, kind, ns, NULL, NULL) : NULL;
    yyjson_val *now = mh_cli_get(c, path, &err);
    if (!now && err.code != MH_E_NOTFOUND) {
        (void)mh_cli_fail("%s", err.msg);
        return NULL;
    }
    for (int i = 0; i < TRIES; i++) { /* the service may ask an operator that does not lead */
        struct mh_api_call call = { .method = now ? "PATCH" : "POST",
                                    .path = mh_kube_query(&c->arena, now ? path : list, "dryRun",
                                                          "All"),
                                    .content_type = now ? "application/merge-patch+json" : NULL,
                                    .body = body_of(c, object, now) };
        yyjson_val *reply = mh_cli_call(c, &call, &err);
        const char *text = mh_json_str(reply, "metadata", "annotations", NOTE, NULL);
        if (!reply) {
            (void)mh_cli_fail("%s", err.msg);
            return NULL;
        }
        if (!text || mh_json_parse(&c->arena, text, strlen(text), &plan, NULL) != MH_OK) {
            (void)mh_cli_fail("no operator has answered. HINT: is its webhook there?");
            return NULL;
        }
        if (!yyjson_obj_get(plan, "error"))
            return plan;
    }
    (void)mh_cli_fail("%s", mh_json_str(plan, "error", NULL));
    return NULL;
}

static void
print_plan(const char *ns, const char *name, yyjson_val *plan)
{
    yyjson_val *steps = yyjson_obj_get(plan, "steps"), *s;
    yyjson_arr_iter i = yyjson_arr_iter_with(steps);
    const char *phase = mh_json_str(plan, "rest", "phase", NULL);
    const char *reason = mh_json_str(plan, "rest", "reason", NULL), *why = NULL;
    int n = 0;
    printf("%s/%s: %zu step%s\n", ns, name, yyjson_arr_size(steps),
           yyjson_arr_size(steps) == 1 ? "" : "s");
    while ((s = yyjson_arr_iter_next(&i))) {
        const char *from = mh_json_str(s, "from", NULL), *to = mh_json_str(s, "to", NULL);
        const char *because = mh_json_str(s, "why", NULL);
        printf("%4d  %-11s %s %s", ++n, mh_json_str(s, "verb", NULL), mh_json_str(s, "kind", NULL),
               mh_json_str(s, "name", NULL));
        if (from && to)
            printf(" (%s -> %s)", from, to);
        if (because && !mh_str_eq(because, why))
            printf("\n      because: %s", because);
        why = because;
        (void)puts("");
    }
    printf("then: %s%s%s\n", phase ? phase : "?", reason ? ", " : "", reason ? reason : "");
}

static bool
is_cluster(const struct mh_cli *c, yyjson_val *object)
{
    const char *version = mh_json_str(object, "apiVersion", NULL);
    return mh_str_eq(mh_json_str(object, "kind", NULL), "Cluster") && version &&
           mh_str_starts(version, c->group);
}

int
mh_cli_plan(struct mh_cli *c)
{
    struct mh_err err;
    yyjson_val **docs;
    size_t len, n, found = 0;
    if (c->help || c->nwords || !c->file) {
        (void)fputs(usage, c->help ? stdout : stderr);
        return c->help ? 0 : 2;
    }
    if (!mh_cli_open(c))
        return 1;
    char *text = mh_cli_file(c, c->file, &len);
    if (!text)
        return 1;
    if (mh_kube_yaml(&c->arena, text, len, &docs, &n, &err) != MH_OK)
        return mh_cli_fail("%s: %s", c->file, err.msg);
    yyjson_mut_doc *doc = mh_json_doc(&c->arena);
    yyjson_mut_val *all = doc ? yyjson_mut_arr(doc) : NULL;
    for (size_t i = 0; all && i < n; i++) {
        const char *name = mh_json_str(docs[i], "metadata", "name", NULL);
        const char *ns = mh_json_str(docs[i], "metadata", "namespace", NULL);
        if (!is_cluster(c, docs[i]) || !name)
            continue;
        ns = ns ? ns : mh_cli_namespace(c);
        yyjson_val *plan = ask(c, docs[i], ns, name);
        if (!plan)
            return 1;
        found++;
        if (!c->json)
            print_plan(ns, name, plan);
        yyjson_mut_val *one = yyjson_val_mut_copy(doc, plan);
        (void)yyjson_mut_obj_add_str(doc, one, "namespace", ns);
        (void)yyjson_mut_obj_add_str(doc, one, "cluster", name);
        (void)yyjson_mut_arr_append(all, one);
    }
    if (!found)
        return mh_cli_fail("%s: there is no Cluster of %s in it", c->file, c->group);
    return c->json ? mh_cli_print(c, all) : 0;
}
