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
    "create, restart, switch over, resize, delete; and what a plugin would do for each object of "
    "its\n"
    "kind. Nothing is changed. It needs the right to edit the object.\n";

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

/* metadata.KEY["moonherd.io/plan"] = "requested" */
static void
add_request(yyjson_mut_doc *doc, yyjson_mut_val *meta, const char *key)
{
    yyjson_mut_val *notes = yyjson_mut_obj_get(meta, key);
    if (!yyjson_mut_is_obj(notes)) {
        (void)yyjson_mut_obj_remove_key(meta, key);
        notes = yyjson_mut_obj_add_obj(doc, meta, key);
    }
    (void)yyjson_mut_obj_remove_key(notes, NOTE);
    (void)yyjson_mut_obj_add_str(doc, notes, NOTE, "requested");
}

/* The body of the request: a merge patch for one that exists, or the object itself. By the label the
 * operator is asked about kinds that its webhooks do not name. */
static const char *
body_of(struct mh_cli *c, yyjson_val *object, yyjson_val *now, bool labelled)
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
    add_request(doc, meta, "annotations");
    if (labelled)
        add_request(doc, meta, "labels");
    if (now) /* fields that a patch must not touch */
        for (const char *const *k = (const char *const[]){ "resourceVersion", "uid", NULL }; *k;
             k++)
            (void)yyjson_mut_obj_remove_key(meta, *k);
    return mh_json_mut_text(&c->arena, root, NULL);
}

/* {"steps","rest"} or {"error"}; NULL with a message. */
static yyjson_val *
ask(struct mh_cli *c, const struct mh_kind *kind, yyjson_val *object, const char *ns)
{
    struct mh_err err;
    yyjson_val *plan = NULL;
    const char *name = mh_json_str(object, "metadata", "name", NULL);
    bool labelled = strcmp(kind->group, c->group) != 0;
    const char *path = mh_kube_path(&c->arena, kind, ns, name, NULL);
    const char *list = mh_kube_path(&c->arena, kind, ns, NULL, NULL);
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
                                    .body = body_of(c, object, now, labelled) };
        yyjson_val *reply = mh_cli_call(c, &call, &err);
        const char *text = mh_json_str(reply, "metadata", "annotations", NOTE, NULL);
        if (!reply) {
            (void)mh_cli_fail("%s", err.msg);
            return NULL;
        }
        if (!text || mh_str_eq(text, "requested") ||
            mh_json_parse(&c->arena, text, strlen(text), &plan, NULL) != MH_OK) {
            (void)mh_cli_fail("no operator has answered. HINT: is its webhook there?");
            return NULL;
        }
        if (!yyjson_obj_get(plan, "error"))
            return plan;
    }
    (void)mh_cli_fail("%s", mh_json_str(plan, "error", NULL));
    return NULL;
}

/* What is behind the name in a step of a plugin. */
static void
print_details(yyjson_val *step)
{
    static const char *const words[][2] = { { "namespace", "in namespace" },
                                            { "database", "in database" },
                                            { "reason", "" } };
    const char *sql = mh_json_str(step, "sql", NULL);
    yyjson_arr_iter i = yyjson_arr_iter_with(yyjson_obj_get(step, "fields"));
    yyjson_val *v;
    for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
        const char *text = mh_json_str(step, words[k][0], NULL);
        if (text)
            printf("%s%s", words[k][1], text);
    }
    for (const char *sep = ": "; (v = yyjson_arr_iter_next(&i)); sep = ", ")
        printf("%s%s", sep, yyjson_get_str(v));
    if (sql)
        printf(": %s", sql);
}

static void
print_plan(const char *ns, const char *name, yyjson_val *plan)
{
    yyjson_val *steps = yyjson_obj_get(plan, "steps"), *s;
    yyjson_arr_iter i = yyjson_arr_iter_with(steps);
    const char *phase = mh_json_str(plan, "rest", "phase", NULL);
    const char *reason = mh_json_str(plan, "rest", "reason", NULL), *why = NULL;
    const char *by = mh_json_str(plan, "by", NULL);
    yyjson_val *again = mh_json_get(plan, "rest", "again_s", NULL);
    int n = 0;
    printf("%s/%s: %zu step%s%s%s\n", ns, name, yyjson_arr_size(steps),
           yyjson_arr_size(steps) == 1 ? "" : "s", by ? " by " : "", by ? by : "");
    while ((s = yyjson_arr_iter_next(&i))) {
        const char *from = mh_json_str(s, "from", NULL), *to = mh_json_str(s, "to", NULL);
        const char *because = mh_json_str(s, "why", NULL);
        const char *kind = mh_json_str(s, "kind", NULL), *of = mh_json_str(s, "name", NULL);
        printf("%4d  %-11s %s%s%s", ++n, mh_json_str(s, "verb", NULL), kind ? kind : "",
               kind && of ? " " : "", of ? of : "");
        if (from && to)
            printf(" (%s -> %s)", from, to);
        if (because && !mh_str_eq(because, why))
            printf("\n      because: %s", because);
        why = because;
        print_details(s);
        (void)puts("");
    }
    printf("then: %s%s%s", phase ? phase : "?", reason ? ", " : "", reason ? reason : "");
    if (again)
        printf(", looked at again after %g s", yyjson_get_num(again));
    (void)puts("");
}

/* Of the group of Clusters, where nobody but the operator itself serves a kind. */
static bool
is_ours(const struct mh_cli *c, yyjson_val *object)
{
    const char *version = mh_json_str(object, "apiVersion", NULL);
    return version && mh_str_starts(version, c->group) && version[strlen(c->group)] == '/';
}

/* 1: told; 0: nobody plans for this one; -1: it failed, and was told. */
static int
plan_one(struct mh_cli *c, yyjson_mut_doc *doc, yyjson_mut_val *all, yyjson_val *object)
{
    const char *name = mh_json_str(object, "metadata", "name", NULL);
    const char *ns = mh_json_str(object, "metadata", "namespace", NULL);
    bool ours = is_ours(c, object);
    bool cluster = ours && mh_str_eq(mh_json_str(object, "kind", NULL), "Cluster");
    const struct mh_kind *kind = cluster ? mh_cli_cluster_kind(c)
                                 : ours  ? NULL
                                         : mh_cli_kind_of(c, object);
    if (!kind || !name)
        return 0;
    ns = ns ? ns : mh_cli_namespace(c);
    yyjson_val *plan = ask(c, kind, object, ns);
    if (!plan || mh_json_bool(plan, false, "none", NULL))
        return plan ? 0 : -1;
    if (!c->json)
        print_plan(ns, name, plan);
    yyjson_mut_val *one = yyjson_val_mut_copy(doc, plan);
    (void)yyjson_mut_obj_add_str(doc, one, "namespace", ns);
    (void)yyjson_mut_obj_add_str(doc, one, cluster ? "cluster" : "name", name);
    if (!cluster)
        (void)yyjson_mut_obj_add_str(doc, one, "kind", kind->kind);
    (void)yyjson_mut_arr_append(all, one);
    return 1;
}

int
mh_cli_plan(struct mh_cli *c)
{
    struct mh_err err;
    yyjson_val **docs;
    size_t len, n;
    int found = 0;
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
        int one = plan_one(c, doc, all, docs[i]);
        if (one < 0)
            return 1;
        found += one;
    }
    if (!found)
        return mh_cli_fail("%s: there is neither a Cluster of %s in it nor an object of a plugin",
                           c->file, c->group);
    return c->json ? mh_cli_print(c, all) : 0;
}
