/* cli_explain_object.c - kubectl moonherd explain KIND/NAME: what a plugin does for an object, and why. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "base/time.h"
#include "main/cli.h"

struct told {
    const struct mh_kind *kind;
    yyjson_val *object;
    yyjson_val *passes; /* of its record, oldest first */
    yyjson_val *last;   /* of them; NULL: none */
    yyjson_val *ready;  /* conditions of the object; may be NULL */
    yyjson_val *failed;
    char wait[500]; /* "X until T"; "": it waits for nothing */
};

static yyjson_val *
condition_of(yyjson_val *object, const char *type)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(mh_json_get(object, "status", "conditions", NULL));
    yyjson_val *c;
    while ((c = yyjson_arr_iter_next(&i)))
        if (mh_str_eq(mh_json_str(c, "type", NULL), type))
            return c;
    return NULL;
}

/* A wait is written once and goes on: past its first end only the latest time of the next look is known. */
static void
find_wait(struct told *t)
{
    int64_t every = mh_json_int(t->last, 0, "again_s", NULL), at_us = 0, now = (int64_t)time(NULL);
    const char *again = mh_json_str(t->last, "again", NULL);
    const char *why = mh_json_str(t->last, "reason", NULL);
    char until[MH_TIME_TEXT];
    if (!every || !again || !why || !mh_time_parse(again, &at_us))
        return;
    bool first = at_us / 1000000 > now;
    mh_time_rfc3339(until, first ? at_us / 1000000 : now + every);
    (void)snprintf(t->wait, sizeof(t->wait), "%.300s until %s%s", why, until,
                   first ? "" : " at the latest");
}

static void
print_text(const struct told *t)
{
    const char *reason = mh_json_str(t->ready, "reason", NULL);
    const char *message = mh_json_str(t->ready, "message", NULL);
    const char *failed = mh_json_str(t->failed, "status", NULL);
    const char *by = mh_json_str(t->last, "by", NULL);
    printf("%s/%s: %s of %s, %s\n", mh_json_str(t->object, "metadata", "namespace", NULL),
           mh_json_str(t->object, "metadata", "name", NULL), t->kind->kind, t->kind->group,
           !t->ready                                                  ? "not looked at yet"
           : mh_str_eq(mh_json_str(t->ready, "status", NULL), "True") ? "ready"
                                                                      : "not ready");
    if (mh_json_get(t->object, "metadata", "deletionTimestamp", NULL))
        (void)puts("  it is being deleted");
    if (reason)
        printf("  because %s%s%s\n", reason, message && *message ? ": " : "",
               message ? message : "");
    if (mh_str_eq(failed, "False"))
        printf("  the last pass failed: %s\n", mh_json_str(t->failed, "message", NULL));
    if (t->wait[0])
        printf("  waiting for %s\n", t->wait);
    if (by)
        printf("  planned by %s\n", by);
    mh_cli_print_passes(t->passes);
}

/* {"namespace","kind","name","ready","reason","message","waiting","by","passes"} */
static int
print_json(struct mh_cli *c, const struct told *t)
{
    yyjson_mut_doc *doc = mh_json_doc(&c->arena);
    yyjson_mut_val *root = doc ? yyjson_mut_obj(doc) : NULL;
    const char *ready = mh_json_str(t->ready, "status", NULL);
    const struct {
        const char *name, *text;
    } texts[] = {
        { "namespace", mh_json_str(t->object, "metadata", "namespace", NULL) },
        { "kind", t->kind->kind },
        { "group", t->kind->group },
        { "name", mh_json_str(t->object, "metadata", "name", NULL) },
        { "reason", mh_json_str(t->ready, "reason", NULL) },
        { "message", mh_json_str(t->ready, "message", NULL) },
        { "waiting", t->wait[0] ? t->wait : NULL },
        { "by", mh_json_str(t->last, "by", NULL) },
    };
    if (!root)
        return mh_cli_fail("no memory");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].text)
            (void)yyjson_mut_obj_add_str(doc, root, texts[i].name, texts[i].text);
    if (ready)
        (void)yyjson_mut_obj_add_bool(doc, root, "ready", strcmp(ready, "True") == 0);
    if (mh_str_eq(mh_json_str(t->failed, "status", NULL), "False"))
        (void)yyjson_mut_obj_add_str(doc, root, "failed", mh_json_str(t->failed, "message", NULL));
    (void)yyjson_mut_obj_add_val(
        doc, root, "passes", t->passes ? yyjson_val_mut_copy(doc, t->passes) : yyjson_mut_arr(doc));
    return mh_cli_print(c, root);
}

int
mh_cli_explain_object(struct mh_cli *c, const char *word, const char *name)
{
    struct mh_err err;
    struct told t = { .kind = mh_cli_kind_named(c, word) };
    const char *ns = mh_cli_namespace(c);
    if (!t.kind)
        return mh_cli_fail("the API server knows no kind \"%s\" of a plugin", word);
    t.object = mh_cli_get(c, mh_kube_path(&c->arena, t.kind, ns, name, NULL), &err);
    if (!t.object)
        return mh_cli_fail("%s", err.msg);
    /* the name as in core/operator/notebook_saw.c */
    char *record = mh_arena_printf(&c->arena, "object.%s.%s.%s", t.kind->kind, t.kind->group, name);
    for (char *p = record; p && *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    if (!record)
        return mh_cli_fail("no memory");
    t.passes = mh_json_get(mh_cli_record(c, ns, record), "passes", NULL);
    t.last = yyjson_arr_get_last(t.passes);
    t.ready = condition_of(t.object, "Ready");
    t.failed = condition_of(t.object, "Reconciled");
    find_wait(&t);
    if (c->json)
        return print_json(c, &t);
    print_text(&t);
    return 0;
}
