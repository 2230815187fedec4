/* cli_explain.c - kubectl moonherd explain: what happens with a cluster, why, and what is waited for. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/str.h"
#include "base/time.h"
#include "main/cli.h"

#define SHOWN 10 /* of each list */
#define LINES 6  /* of the actions of a step */

static const char usage[] =
    "usage: kubectl moonherd explain CLUSTER [-n NAMESPACE] [-o json]\n"
    "       kubectl moonherd explain KIND/NAME [-n NAMESPACE] [-o json]    an object of a plugin\n"
    "\n"
    "Says what a cluster is doing and why: the last steps of the operator with their reasons, the\n"
    "last decisions of policies with who took them, and what is waited for, until when.\n"
    "Of an object of a plugin: its last passes, what they saw, and which version planned them.\n";

struct facts {
    yyjson_val *cluster;
    yyjson_val *record; /* NULL: none is there yet */
    char wait[500];     /* "waiting for X until T"; "": it is not waiting */
};

/* The last of a list that says something about `key`; NULL: none. */
static yyjson_val *
last_with(yyjson_val *list, const char *key)
{
    size_t n = yyjson_arr_size(list);
    while (n-- > 0) {
        yyjson_val *v = yyjson_arr_get(list, n);
        if (yyjson_obj_get(v, key))
            return v;
    }
    return NULL;
}

static int64_t
now_s(void)
{
    return (int64_t)time(NULL);
}

/* The last decision of its point that is a wait which is not over; NULL: none. */
static yyjson_val *
last_wait(yyjson_val *list)
{
    size_t n = yyjson_arr_size(list);
    for (size_t i = n; i-- > 0;) {
        yyjson_val *d = yyjson_arr_get(list, i);
        bool latest = mh_json_int(d, 0, "answer", "at", NULL) > now_s();
        for (size_t k = i + 1; latest && k < n; k++)
            latest = !mh_str_eq(mh_json_str(yyjson_arr_get(list, k), "point", NULL),
                                mh_json_str(d, "point", NULL));
        if (latest)
            return d;
    }
    return NULL;
}

/* A hold of a policy that is not over counts before the time when the operator looks again. */
static void
find_wait(struct facts *f)
{
    yyjson_val *pass = last_with(yyjson_obj_get(f->record, "passes"), "reason");
    yyjson_val *d = last_wait(yyjson_obj_get(f->record, "decisions"));
    int64_t at = mh_json_int(d, 0, "answer", "at", NULL), again_us = 0;
    const char *message = mh_json_str(d, "answer", "message", NULL);
    const char *again = mh_json_str(pass, "again", NULL);
    const char *reason = mh_json_str(f->cluster, "status", "phaseReason", NULL);
    char until[MH_TIME_TEXT];
    bool healthy =
        mh_str_eq(mh_json_str(f->cluster, "status", "phase", NULL), "Cluster in healthy state");
    if (healthy) {
        return;
    } else if (d) {
        mh_time_rfc3339(until, at);
        (void)snprintf(f->wait, sizeof(f->wait), "%.300s until %s",
                       message ? message : mh_json_str(d, "answer", "reason", NULL), until);
    } else if (again && mh_time_parse(again, &again_us) && again_us / 1000000 > now_s()) {
        (void)snprintf(f->wait, sizeof(f->wait), "%.300s until %s",
                       mh_json_str(pass, "reason", NULL), again);
    } else if (reason && *reason) {
        (void)snprintf(f->wait, sizeof(f->wait), "%.300s until something changes", reason);
    }
}

const char *
mh_cli_clock(const char *at, char out[32])
{
    char today[MH_TIME_TEXT];
    mh_time_rfc3339(today, now_s());
    if (!at || strlen(at) < 19)
        return "?";
    if (strncmp(at, today, 10) == 0)
        (void)snprintf(out, 32, "%.8s", at + 11);
    else
        (void)snprintf(out, 32, "%.10s %.8s", at, at + 11);
    return out;
}

/* "saw a: b, c: d", of a pass of a plugin. */
static void
print_saw(yyjson_val *pass)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(yyjson_obj_get(pass, "saw"));
    yyjson_val *v;
    const char *by = mh_json_str(pass, "by", NULL);
    for (const char *sep = "            saw "; (v = yyjson_arr_iter_next(&i)); sep = ", ")
        printf("%s%s", sep, yyjson_get_str(v));
    if (yyjson_arr_size(yyjson_obj_get(pass, "saw")))
        (void)puts("");
    if (by)
        printf("            by %s\n", by);
}

void
mh_cli_print_passes(yyjson_val *list)
{
    char at[32];
    size_t n = yyjson_arr_size(list);
    (void)puts("\nlast steps");
    if (!n)
        (void)puts("  none is recorded yet");
    for (size_t i = n > SHOWN ? n - SHOWN : 0; i < n; i++) {
        yyjson_val *p = yyjson_arr_get(list, i), *line;
        const char *result = mh_json_str(p, "result", NULL);
        printf("  %s  %s%s%s%s\n", mh_cli_clock(mh_json_str(p, "at", NULL), at),
               mh_json_str(p, "reason", NULL), mh_str_eq(result, "done") ? "" : " [",
               mh_str_eq(result, "done") ? "" : result, mh_str_eq(result, "done") ? "" : "]");
        yyjson_arr_iter k = yyjson_arr_iter_with(yyjson_obj_get(p, "actions"));
        size_t shown = 0, more = 0;
        while ((line = yyjson_arr_iter_next(&k))) {
            if (mh_str_starts(yyjson_get_str(line), "event "))
                continue;
            if (shown++ < LINES)
                printf("            %s\n", yyjson_get_str(line));
            else
                more++;
        }
        if (more)
            printf("            and %zu more\n", more);
        print_saw(p);
    }
}

/* What an answer says, in a line. */
static void
print_answer(struct mh_cli *c, yyjson_val *answer)
{
    const char *action = mh_json_str(answer, "action", NULL);
    const char *reason = mh_json_str(answer, "reason", NULL);
    yyjson_val *order = yyjson_obj_get(answer, "order"), *v;
    if (action)
        printf("%s", action);
    yyjson_arr_iter k = yyjson_arr_iter_with(order);
    for (const char *sep = " "; (v = yyjson_arr_iter_next(&k)); sep = ", ")
        printf("%s%s", sep, yyjson_get_str(v));
    if (reason)
        printf(" %s", reason);
    if (!action && !order && !reason) {
        const char *text = answer ? mh_json_text(&c->arena, answer, NULL) : "no answer";
        printf("%.160s", text ? text : "?");
    }
}

static void
print_decisions(struct mh_cli *c, yyjson_val *list)
{
    char at[32];
    size_t n = yyjson_arr_size(list);
    (void)puts("\nlast decisions of policies");
    if (!n)
        (void)puts("  none is recorded yet");
    for (size_t i = n > SHOWN ? n - SHOWN : 0; i < n; i++) {
        yyjson_val *d = yyjson_arr_get(list, i);
        const char *error = mh_json_str(d, "error", NULL), *by = mh_json_str(d, "by", NULL);
        const char *why = mh_json_str(d, "input", "reason", NULL);
        const char *point = mh_json_str(d, "point", NULL);
        const char *input = mh_json_str(d, "inputHash", NULL);
        printf("  %s  %s: ", mh_cli_clock(mh_json_str(d, "at", NULL), at), point ? point : "?");
        print_answer(c, yyjson_obj_get(d, "answer"));
        printf("\n            by %s, input %s\n", by ? by : "?", input ? input : "?");
        if (why)
            printf("            asked because %s\n", why);
        if (error)
            printf("            error: %s\n", error);
    }
}

static void
print_head(const struct facts *f)
{
    yyjson_val *s = yyjson_obj_get(f->cluster, "status");
    const char *phase = mh_json_str(s, "phase", NULL);
    const char *reason = mh_json_str(s, "phaseReason", NULL);
    const char *primary = mh_json_str(s, "currentPrimary", NULL);
    printf("%s/%s: %s\n", mh_json_str(f->cluster, "metadata", "namespace", NULL),
           mh_json_str(f->cluster, "metadata", "name", NULL), phase ? phase : "not seen yet");
    printf("  primary %s, %lld of %lld instances ready\n", primary && *primary ? primary : "none",
           (long long)mh_json_int(s, 0, "readyInstances", NULL),
           (long long)mh_json_int(f->cluster, 0, "spec", "instances", NULL));
    if (reason && *reason)
        printf("  because %s\n", reason);
    if (f->wait[0])
        printf("  waiting for %s\n", f->wait);
}

/* {"cluster","namespace","phase","reason","waiting","passes","decisions"} */
static int
print_json(struct mh_cli *c, const struct facts *f)
{
    yyjson_mut_doc *doc = mh_json_doc(&c->arena);
    yyjson_mut_val *root = doc ? yyjson_mut_obj(doc) : NULL;
    const struct {
        const char *name, *text;
    } texts[] = {
        { "namespace", mh_json_str(f->cluster, "metadata", "namespace", NULL) },
        { "cluster", mh_json_str(f->cluster, "metadata", "name", NULL) },
        { "phase", mh_json_str(f->cluster, "status", "phase", NULL) },
        { "reason", mh_json_str(f->cluster, "status", "phaseReason", NULL) },
        { "primary", mh_json_str(f->cluster, "status", "currentPrimary", NULL) },
        { "waiting", f->wait[0] ? f->wait : NULL },
    };
    if (!root)
        return mh_cli_fail("no memory");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].text)
            (void)yyjson_mut_obj_add_str(doc, root, texts[i].name, texts[i].text);
    static const char *const lists[] = { "passes", "decisions" };
    for (size_t i = 0; i < 2; i++) {
        yyjson_val *list = yyjson_obj_get(f->record, lists[i]);
        (void)yyjson_mut_obj_add_val(doc, root, lists[i],
                                     list ? yyjson_val_mut_copy(doc, list) : yyjson_mut_arr(doc));
    }
    return mh_cli_print(c, root);
}

/* "cluster", "clusters", "clusters.postgresql.cnpg.io" */
static bool
is_cluster_word(const struct mh_cli *c, const char *word)
{
    size_t n = strcspn(word, ".");
    return ((n == 7 && strncasecmp(word, "cluster", n) == 0) ||
            (n == 8 && strncasecmp(word, "clusters", n) == 0)) &&
           (!word[n] || strcmp(word + n + 1, c->group) == 0);
}

int
mh_cli_explain(struct mh_cli *c)
{
    struct mh_err err;
    struct facts f = { .cluster = NULL };
    if (c->help || c->nwords != 1) {
        (void)fputs(usage, c->help ? stdout : stderr);
        return c->help ? 0 : 2;
    }
    if (!mh_cli_open(c))
        return 1;
    const char *name = strchr(c->words[0], '/'), *of = c->kind;
    if (name && !of)
        of = mh_arena_strndup(&c->arena, c->words[0], (size_t)(name - c->words[0]));
    name = name ? name + 1 : c->words[0];
    if (of && !is_cluster_word(c, of))
        return mh_cli_explain_object(c, of, name);
    const struct mh_kind *kind = mh_cli_cluster_kind(c);
    const char *ns = mh_cli_namespace(c);
    f.cluster = mh_cli_get(c, kind ? mh_kube_path(&c->arena, kind, ns, name, NULL) : NULL, &err);
    if (!f.cluster)
        return mh_cli_fail("%s", err.msg);
    f.record = mh_cli_record(c, ns, name);
    find_wait(&f);
    if (c->json)
        return print_json(c, &f);
    print_head(&f);
    mh_cli_print_passes(yyjson_obj_get(f.record, "passes"));
    print_decisions(c, yyjson_obj_get(f.record, "decisions"));
    return 0;
}
