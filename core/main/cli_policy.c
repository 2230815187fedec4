/* cli_policy.c - kubectl moonherd policy: which policies there are, in which state; and approval. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "lua/policy_store.h"
#include "main/cli.h"
#include "main/cli_replay.h"
#include "main/main.h"

#define PLUGIN_LABEL "moonherd.io/plugin"

static const char usage[] =
    "usage: kubectl moonherd policy [list] [-n NAMESPACE | -A] [-o json]\n"
    "       kubectl moonherd policy approve CONFIGMAP [KEY] [-n NAMESPACE]\n"
    "       kubectl moonherd policy diff FILE.lua CLUSTER [-n NAMESPACE] [-o json]\n"
    "       kubectl moonherd policy replay CLUSTER [-n NAMESPACE] [-o json]\n"
    "       kubectl moonherd policy bench FILE.lua [CLUSTER] [-N ROUNDS] [-o json]\n"
    "       kubectl moonherd policy check|test|types ...\n"
    "\n"
    "list     every policy and plugin with its state: Received, Replayed (it waits), Active,\n"
    "         Rejected, RolledBack; those of the namespace and of the operator's\n"
    "approve  lets a text with rollout: manual decide, as it is now; a plugin in the shadow, too\n"
    "diff     what FILE.lua would have decided, against what was decided; exit code 1: it differs\n"
    "replay   decides again what was decided; exit code 1: not the same bytes come out\n"
    "bench    how long a decision of FILE.lua takes in the worker, beside the built-in one\n";

/* --- list --------------------------------------------------------------------------------------- */

static const char *
text_or(const char *s)
{
    return s && *s ? s : "-";
}

static void
add_rows(struct mh_cli *c, yyjson_mut_doc *doc, yyjson_mut_val *rows, yyjson_val *map)
{
    yyjson_val *notes = mh_json_get(map, "metadata", "annotations", NULL), *k, *v;
    const char *text = mh_json_str(notes, MH_POLICY_STATUS, NULL);
    const char *more = mh_json_str(notes, MH_POLICY_REPORT, NULL);
    yyjson_val *status = NULL, *report = NULL;
    size_t i, max;
    if (text)
        (void)mh_json_parse(&c->arena, text, strlen(text), &status, NULL);
    if (more)
        (void)mh_json_parse(&c->arena, more, strlen(more), &report, NULL);
    yyjson_obj_foreach(yyjson_obj_get(map, "data"), i, max, k, v)
    {
        const char *key = yyjson_get_str(k);
        if (!mh_str_ends(key, ".lua"))
            continue;
        yyjson_val *s = yyjson_obj_get(status, key), *r = yyjson_obj_get(report, key);
        yyjson_mut_val *row = yyjson_mut_arr_add_obj(doc, rows);
        const struct {
            const char *name, *value;
        } cells[] = {
            { "namespace", mh_json_str(map, "metadata", "namespace", NULL) },
            { "configmap", mh_json_str(map, "metadata", "name", NULL) },
            { "key", key },
            { "point", mh_json_str(s, mh_json_get(s, "kind", NULL) ? "kind" : "point", NULL) },
            { "state", s ? mh_json_str(s, "state", NULL) : "Received" },
            { "hash", mh_json_str(s, "hash", NULL) },
            { "message", mh_json_str(s, "message", NULL) },
            { "rollout", mh_json_str(notes, MH_POLICY_ROLLOUT, NULL) },
            { "replay", mh_json_str(r, "replay", NULL) },
        };
        for (size_t n = 0; n < sizeof(cells) / sizeof(cells[0]); n++)
            if (cells[n].value)
                (void)yyjson_mut_obj_add_str(doc, row, cells[n].name, cells[n].value);
        if (r)
            (void)yyjson_mut_obj_add_val(doc, row, "report", yyjson_val_mut_copy(doc, r));
    }
}

/* Of one namespace, or (NULL) of all: policies, then plugins. */
static bool
list_in(struct mh_cli *c, const char *ns, yyjson_mut_doc *doc, yyjson_mut_val *rows,
        struct mh_err *err)
{
    static const char *const labels[] = { MH_POLICY_LABEL, (PLUGIN_LABEL ",!" MH_POLICY_LABEL) };
    const struct mh_kind *kind = mh_kind_find(&c->kinds, "ConfigMap");
    yyjson_val *list = NULL, *map;
    for (size_t n = 0; n < sizeof(labels) / sizeof(labels[0]); n++) {
        const char *path = mh_kube_path(&c->arena, kind, ns, NULL, NULL);
        path = path ? mh_kube_query(&c->arena, path, "labelSelector", labels[n]) : NULL;
        list = mh_cli_get(c, path, err);
        yyjson_arr_iter i = yyjson_arr_iter_with(yyjson_obj_get(list, "items"));
        while ((map = yyjson_arr_iter_next(&i)))
            add_rows(c, doc, rows, map);
        if (!list)
            return false;
    }
    return true;
}

static const char *
cell(yyjson_mut_val *row, const char *name)
{
    return text_or(yyjson_mut_get_str(yyjson_mut_obj_get(row, name)));
}

static void
print_rows(yyjson_mut_val *rows)
{
    static const char *const names[] = { "namespace", "configmap", "key", "point", "state" };
    static const char *const heads[] = { "NAMESPACE", "CONFIGMAP", "KEY", "POINT", "STATE" };
    size_t width[5], n = sizeof(names) / sizeof(names[0]);
    yyjson_mut_val *row;
    yyjson_mut_arr_iter i = yyjson_mut_arr_iter_with(rows);
    for (size_t k = 0; k < n; k++)
        width[k] = strlen(heads[k]);
    while ((row = yyjson_mut_arr_iter_next(&i)))
        for (size_t k = 0; k < n; k++)
            if (strlen(cell(row, names[k])) > width[k])
                width[k] = strlen(cell(row, names[k]));
    for (size_t k = 0; k < n; k++)
        printf("%-*s  ", (int)width[k], heads[k]);
    printf("%-12s  MESSAGE\n", "HASH");
    i = yyjson_mut_arr_iter_with(rows);
    while ((row = yyjson_mut_arr_iter_next(&i))) {
        for (size_t k = 0; k < n; k++)
            printf("%-*s  ", (int)width[k], cell(row, names[k]));
        printf("%-12s  %s\n", cell(row, "hash"), cell(row, "message"));
    }
}

static int
list(struct mh_cli *c)
{
    struct mh_err err;
    yyjson_mut_doc *doc = mh_json_doc(&c->arena);
    yyjson_mut_val *rows = doc ? yyjson_mut_arr(doc) : NULL;
    const char *ns = mh_cli_namespace(c);
    if (!rows)
        return mh_cli_fail("no memory");
    if (!list_in(c, c->all ? NULL : ns, doc, rows, &err))
        return mh_cli_fail("%s", err.msg);
    /* Those for all clusters; whoever may not read them sees his own. */
    if (!c->all && !mh_str_eq(ns, c->operator_ns))
        (void)list_in(c, c->operator_ns, doc, rows, &err);
    if (c->json)
        return mh_cli_print(c, rows);
    if (yyjson_mut_arr_size(rows))
        print_rows(rows);
    else
        (void)puts("No policies here: the built-in ones decide.");
    return 0;
}

/* --- approve ------------------------------------------------------------------------------------ */

static int
approve(struct mh_cli *c, const char *name, const char *key)
{
    struct mh_err err;
    struct mh_buf b;
    yyjson_val *status = NULL, *k, *v;
    size_t i, max, n = 0;
    const struct mh_kind *kind = mh_kind_find(&c->kinds, "ConfigMap");
    const char *path = mh_kube_path(&c->arena, kind, mh_cli_namespace(c), name, NULL);
    yyjson_val *map = mh_cli_get(c, path, &err);
    if (!map)
        return mh_cli_fail("%s", err.msg);
    const char *text = mh_json_str(map, "metadata", "annotations", MH_POLICY_STATUS, NULL);
    if (text)
        (void)mh_json_parse(&c->arena, text, strlen(text), &status, NULL);
    mh_buf_init(&b, (size_t)64 << 10);
    /* With the version of the object: what is approved is what was read. */
    (void)mh_buf_printf(&b, "{\"metadata\":{\"resourceVersion\":\"%s\",\"annotations\":{\"%s\":\"",
                        mh_json_str(map, "metadata", "resourceVersion", NULL), MH_POLICY_APPROVE);
    yyjson_obj_foreach(status, i, max, k, v)
    {
        const char *hash = mh_json_str(v, "hash", NULL);
        if (!hash || (key && !mh_str_eq(yyjson_get_str(k), key)))
            continue;
        (void)mh_buf_printf(&b, "%s%s", n++ ? "," : "", hash);
    }
    (void)mh_buf_str(&b, "\"}}}");
    struct mh_api_call call = { .method = "PATCH",
                                .path = path,
                                .content_type = "application/merge-patch+json",
                                .body = mh_arena_strdup(&c->arena, mh_buf_text(&b)) };
    mh_buf_release(&b);
    if (!n)
        return mh_cli_fail("%s has no state yet, or no such key", name);
    if (!mh_cli_call(c, &call, &err))
        return mh_cli_fail("%s", err.msg);
    printf("%zu text%s of configmap/%s approved\n", n, n == 1 ? "" : "s", name);
    return 0;
}

/* --- which -------------------------------------------------------------------------------------- */

int
mh_cli_policy(struct mh_cli *c, int argc, char **argv)
{
    static const char *const local[] = { "check", "test", "types", "run" };
    for (size_t i = 0; argc > 0 && i < sizeof(local) / sizeof(local[0]); i++)
        if (strcmp(argv[0], local[i]) == 0)
            return mh_policy_main(argc, argv);
    if (!mh_cli_read(c, argc, argv))
        return 2;
    const char *what = c->nwords ? c->words[0] : "list";
    bool listed = strcmp(what, "list") == 0 && c->nwords <= 1;
    bool approved = strcmp(what, "approve") == 0 && (c->nwords == 2 || c->nwords == 3);
    bool replayed = strcmp(what, "replay") == 0 && c->nwords == 2;
    bool compared = strcmp(what, "diff") == 0 && c->nwords == 3;
    bool measured = strcmp(what, "bench") == 0 && (c->nwords == 2 || c->nwords == 3);
    if (c->help || !(listed || approved || replayed || compared || measured)) {
        (void)fputs(usage, c->help ? stdout : stderr);
        return c->help ? 0 : 2;
    }
    if (measured && c->nwords == 2)
        return mh_cli_bench(c, c->words[1], NULL);
    if (!mh_cli_open(c))
        return 1;
    if (listed)
        return list(c);
    if (approved)
        return approve(c, c->words[1], c->nwords == 3 ? c->words[2] : NULL);
    if (replayed)
        return mh_cli_replay(c, c->words[1]);
    return compared ? mh_cli_diff(c, c->words[1], c->words[2])
                    : mh_cli_bench(c, c->words[1], c->words[2]);
}
