/* plugin_cases.c - a version against its own cases, before it may do anything. */
#include <string.h>

#include "base/str.h"
#include "lua/plugin_case.h"
#include "operator/plugin_in.h"

#define REQUEST_MAX ((size_t)2 << 20)
#define ONE_ARENA ((size_t)16 << 20)

static void
failed(struct mh_plugin_cases *c, const struct mh_err *err)
{
    yyjson_val *one = mh_plugin_case(c->declaration, c->at);
    c->err = *err;
    if (c->err.code == MH_E_SCRIPT || c->err.code == MH_E_LIMIT)
        mh_plugin_case_failed(&c->err, c->plugin->key, c->text->script, c->declaration,
                              mh_plugin_case_name(&c->one, one, c->at));
    mh_arena_release(&c->one);
    c->done(c);
}

static void
on_planned(struct mh_plugin_job *job)
{
    struct mh_plugin_cases *c = job->arg;
    struct mh_err err = job->err;
    yyjson_val *one = mh_plugin_case(c->declaration, c->at), *out = NULL;
    c->working = false;
    if (err.code == MH_OK) {
        yyjson_val *arg = mh_plugin_case_arg(&c->one, c->declaration, one, job->value);
        if (!arg)
            mh_fail(&err, MH_E_NOMEM, "no memory for a case");
        else
            (void)mh_plugin_host(c->plugin->all, &c->one, "case", arg, &out, &err);
    }
    if (err.code != MH_OK) {
        failed(c, &err);
        return;
    }
    mh_arena_release(&c->one);
    c->at++;
    mh_plugin_cases_next(c);
}

static enum mh_code
ask(struct mh_plugin_cases *c, yyjson_val *one, struct mh_err *err)
{
    struct mh_buf b;
    size_t len = 0;
    yyjson_val *out = NULL;
    yyjson_val *arg = mh_plugin_case_arg(&c->one, c->declaration, one, NULL);
    if (!arg)
        return mh_fail(err, MH_E_NOMEM, "no memory for a case");
    if (mh_plugin_host(c->plugin->all, &c->one, "case", arg, &out, err) != MH_OK)
        return err->code;
    yyjson_val *seen = yyjson_obj_get(out, "seen");
    const char *text = seen ? mh_json_text(&c->one, seen, &len) : NULL;
    bool last = mh_str_eq(mh_json_str(out, "fn", NULL), "finalize");
    mh_buf_init(&b, REQUEST_MAX);
    mh_plugin_request(&b, "plan", c->plugin, c->text);
    (void)mh_buf_printf(&b, ",\"fn\":\"%s\",\"seen\":", last ? "finalize" : "plan");
    (void)mh_buf_add(&b, text ? text : "", len);
    (void)mh_buf_char(&b, '}');
    if (b.failed || !text) {
        mh_buf_release(&b);
        return mh_fail(err, MH_E_LIMIT, "what it is given is too large");
    }
    c->job = (struct mh_plugin_job){ .request = mh_buf_text(&b),
                                     .request_len = b.len,
                                     .arena = &c->one,
                                     .done = on_planned,
                                     .arg = c };
    c->working = true;
    mh_plugin_child_start(c->plugin->child, &c->job);
    mh_buf_release(&b);
    return MH_OK;
}

void
mh_plugin_cases_next(struct mh_plugin_cases *c)
{
    struct mh_err err = { .code = MH_OK };
    yyjson_val *one = mh_plugin_case(c->declaration, c->at);
    if (!one) {
        c->done(c);
        return;
    }
    mh_arena_init(&c->one, ONE_ARENA);
    if (ask(c, one, &err) != MH_OK)
        failed(c, &err);
}

void
mh_plugin_cases_cancel(struct mh_plugin_cases *c)
{
    if (!c->working)
        return;
    mh_plugin_child_cancel(&c->job);
    c->working = false;
    mh_arena_release(&c->one);
}
