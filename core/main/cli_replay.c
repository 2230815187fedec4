#include "main/cli_replay.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "io/file.h"
#include "lua/policy_diff.h"
#include "lua/policy_store.h"

static const char *
base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* A job for the text of a file, its parameters beside it; false with a message. */
static bool
job_of_file(struct mh_cli *c, const char *file, struct mh_policy_job *job)
{
    struct mh_fs fs = mh_fs_real();
    size_t stem = strlen(file) - (mh_str_ends(file, ".lua") ? 4 : 0), len = 0;
    const char *params = mh_arena_printf(&c->arena, "%.*s.params.yaml", (int)stem, file);
    const char *text = mh_cli_file(c, file, &len);
    if (!text || !params)
        return false;
    *job = (struct mh_policy_job){ .name = base_name(file), .script = text, .script_len = len };
    if (fs.exists(fs.self, params) && !(job->params = mh_cli_file(c, params, &job->params_len)))
        return false;
    return true;
}

/* The decision point that a text declares; NULL with a message when it is refused. */
static const char *
point_of(struct mh_cli *c, struct mh_policy_job *job)
{
    struct mh_policy_result r;
    job->op = MH_POLICY_CHECK;
    mh_policy_run(&c->arena, job, &r);
    job->op = MH_POLICY_DECIDE;
    if (r.ok)
        return r.point;
    const char *text = mh_policy_error_text(&c->arena, &r.error);
    (void)mh_cli_fail("%s is refused: %s", job->name, text ? text : r.error.message);
    return NULL;
}

const char *
mh_cli_job(struct mh_cli *c, const char *file, struct mh_policy_job *job)
{
    return job_of_file(c, file, job) ? point_of(c, job) : NULL;
}

/* One recorded decision with an input. */
struct recorded {
    const char *at;
    const char *point;
    const char *by;
    const char *id;
    const char *input; /* canonical */
    size_t input_len;
    yyjson_val *answer;
    const char *error;
};

static bool
read_recorded(struct mh_cli *c, yyjson_val *d, struct recorded *out)
{
    yyjson_val *input = yyjson_obj_get(d, "input");
    *out = (struct recorded){ .at = mh_json_str(d, "at", NULL),
                              .point = mh_json_str(d, "point", NULL),
                              .by = mh_json_str(d, "by", NULL),
                              .id = mh_json_str(d, "inputHash", NULL),
                              .error = mh_json_str(d, "error", NULL),
                              .answer = yyjson_obj_get(d, "answer") };
    out->input = input ? mh_json_canonical(&c->arena, input, &out->input_len) : NULL;
    return out->input && out->point && out->at && out->id && out->by;
}

/* What comes out of all of it. */
struct tally {
    unsigned inputs;
    unsigned differ;
    unsigned failed;
    unsigned skipped;
    yyjson_mut_doc *doc;
    yyjson_mut_val *lines;
};

static bool
begin_tally(struct mh_cli *c, struct tally *t)
{
    *t = (struct tally){ .doc = mh_json_doc(&c->arena) };
    t->lines = t->doc ? yyjson_mut_arr(t->doc) : NULL;
    return t->lines != NULL;
}

static void
note(struct mh_cli *c, struct tally *t, const struct recorded *r, const char *text)
{
    const char *line = mh_arena_printf(&c->arena, "%.19s %s (input %s): %s", r->at, r->point, r->id,
                                       text ? text : "?");
    if (line)
        (void)yyjson_mut_arr_add_str(t->doc, t->lines, line);
}

static void
run_one(struct mh_cli *c, struct tally *t, struct mh_policy_job *job, const struct recorded *r)
{
    struct mh_policy_result result;
    struct mh_buf b;
    yyjson_val *is = NULL;
    job->op = MH_POLICY_DECIDE;
    job->point = r->point;
    job->input = r->input;
    job->input_len = r->input_len;
    mh_policy_run(&c->arena, job, &result);
    t->inputs++;
    if (!result.ok) {
        t->failed++;
        note(c, t, r, mh_policy_error_text(&c->arena, &result.error));
        return;
    }
    const char *was = r->answer ? mh_json_canonical(&c->arena, r->answer, NULL) : NULL;
    if (mh_str_eq(was, result.answer))
        return;
    t->differ++;
    mh_buf_init(&b, (size_t)16 << 10);
    if (mh_json_parse(&c->arena, result.answer, result.answer_len, &is, NULL) == MH_OK)
        (void)mh_policy_diff(&b, r->answer, is);
    note(c, t, r, mh_arena_strdup(&c->arena, mh_buf_text(&b)));
    mh_buf_release(&b);
}

/* Says it; 1 where something differs or fails. */
static int
finish_tally(struct mh_cli *c, struct tally *t)
{
    bool other = t->differ || t->failed;
    if (c->json) {
        yyjson_mut_val *root = yyjson_mut_obj(t->doc);
        (void)yyjson_mut_obj_add_uint(t->doc, root, "inputs", t->inputs);
        (void)yyjson_mut_obj_add_uint(t->doc, root, "differ", t->differ);
        (void)yyjson_mut_obj_add_uint(t->doc, root, "failed", t->failed);
        (void)yyjson_mut_obj_add_uint(t->doc, root, "skipped", t->skipped);
        (void)yyjson_mut_obj_add_val(t->doc, root, "lines", t->lines);
        return mh_cli_print(c, root) ? 2 : other;
    }
    yyjson_mut_arr_iter i = yyjson_mut_arr_iter_with(t->lines);
    yyjson_mut_val *line;
    while ((line = yyjson_mut_arr_iter_next(&i)))
        (void)puts(yyjson_mut_get_str(line));
    printf("%u of %u recorded decisions differ", t->differ, t->inputs);
    if (t->failed)
        printf(", %u fail", t->failed);
    if (t->skipped)
        printf("; %u are left out: the text that decided is gone", t->skipped);
    (void)puts("");
    return other;
}

static yyjson_val *
decisions_of(struct mh_cli *c, const char *cluster)
{
    yyjson_val *list =
        mh_json_get(mh_cli_record(c, mh_cli_namespace(c), cluster), "decisions", NULL);
    if (!list)
        (void)mh_cli_fail("no decisions are recorded for cluster %s", cluster);
    return list;
}

int
mh_cli_diff(struct mh_cli *c, const char *file, const char *cluster)
{
    struct mh_policy_job job;
    struct tally t;
    struct recorded r;
    yyjson_val *d;
    const char *point = mh_cli_job(c, file, &job);
    yyjson_val *list = point ? decisions_of(c, cluster) : NULL;
    if (!list || !begin_tally(c, &t))
        return 2;
    yyjson_arr_iter i = yyjson_arr_iter_with(list);
    while ((d = yyjson_arr_iter_next(&i)))
        if (read_recorded(c, d, &r) && mh_str_eq(r.point, point))
            run_one(c, &t, &job, &r);
    return finish_tally(c, &t);
}

/* --- replay ------------------------------------------------------------------------------------- */

/* The text with this hash: on the ConfigMap as it is, or in the operator's record of it. */
static bool
text_of(struct mh_cli *c, const char *by, struct mh_policy_job *job)
{
    char ns[260], name[260], key[260], hash[MH_POLICY_HASH], record[300];
    struct mh_err err;
    if (sscanf(by, "%259[^/]/%259[^/]/%259[^@]@%12s", ns, name, key, hash) != 4)
        return false;
    (void)snprintf(record, sizeof(record), "policy.%s", name);
    const struct mh_kind *kind = mh_kind_find(&c->kinds, "ConfigMap");
    yyjson_val *map = mh_cli_get(c, mh_kube_path(&c->arena, kind, ns, name, NULL), &err);
    yyjson_val *kept = mh_json_get(mh_cli_record(c, ns, record), "policies", key, NULL);
    const char *params_key =
        mh_arena_printf(&c->arena, "%.*s.params.yaml", (int)strlen(key) - 4, key);
    const struct {
        const char *script, *params;
    } texts[] = {
        { mh_json_str(map, "data", key, NULL), mh_json_str(map, "data", params_key, NULL) },
        { mh_json_str(kept, "script", NULL), mh_json_str(kept, "params", NULL) },
        { mh_json_str(kept, "before", "script", NULL),
          mh_json_str(kept, "before", "params", NULL) },
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char is[MH_POLICY_HASH];
        if (!texts[i].script)
            continue;
        mh_policy_hash(is, texts[i].script, strlen(texts[i].script));
        if (strcmp(is, hash) != 0)
            continue;
        *job =
            (struct mh_policy_job){ .name = mh_arena_strdup(&c->arena, key),
                                    .script = texts[i].script,
                                    .script_len = strlen(texts[i].script),
                                    .params = texts[i].params,
                                    .params_len = texts[i].params ? strlen(texts[i].params) : 0 };
        return true;
    }
    return false;
}

int
mh_cli_replay(struct mh_cli *c, const char *cluster)
{
    struct tally t;
    struct recorded r;
    yyjson_val *d, *list = decisions_of(c, cluster);
    if (!list || !begin_tally(c, &t))
        return 2;
    yyjson_arr_iter i = yyjson_arr_iter_with(list);
    while ((d = yyjson_arr_iter_next(&i))) {
        struct mh_policy_job job = { .op = MH_POLICY_DECIDE };
        if (!read_recorded(c, d, &r))
            continue;
        if (strcmp(r.by, "built-in") == 0 || text_of(c, r.by, &job))
            run_one(c, &t, &job, &r);
        else
            t.skipped++;
    }
    return finish_tally(c, &t);
}
