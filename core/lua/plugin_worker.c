#include "lua/plugin_worker.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "lua/frame.h"
#include "lua/task.h"
#include "lua/worker.h"

#define TEXT_MAX ((size_t)8192)
#define ARENA_MAX ((size_t)24 << 20)

const char *const mh_plugin_effects[] = { "get", "list", "sql", NULL };

/* --- frames ----------------------------------------------------------------------------------- */

static void
send_frame(const struct mh_buf *b)
{
    size_t n = b->len;
    char head[4] = { (char)(n & 0xff), (char)(n >> 8 & 0xff), (char)(n >> 16 & 0xff),
                     (char)(n >> 24 & 0xff) };
    if (b->failed || n > MH_PLUGIN_FRAME_MAX)
        _exit(1);
    if (!mh_worker_write(head, sizeof(head)) || !mh_worker_write(mh_buf_text(b), n))
        _exit(0); /* without its parent there is nothing to do */
}

static yyjson_val *
read_frame(struct mh_arena *a)
{
    char head[4];
    yyjson_val *v = NULL;
    if (!mh_worker_read(head, sizeof(head)))
        _exit(0);
    size_t n = mh_frame_length(head);
    char *text = n <= MH_PLUGIN_FRAME_MAX ? mh_malloc(n + 1) : NULL;
    if (!text || !mh_worker_read(text, n) || mh_json_parse(a, text, n, &v, NULL) != MH_OK)
        _exit(1);
    mh_free(text);
    return v;
}

/* --- answers ---------------------------------------------------------------------------------- */

static void
add_text(struct mh_buf *b, const char *key, const char *text)
{
    size_t n = strlen(text);
    (void)mh_buf_printf(b, ",\"%s\":", key);
    (void)mh_json_quote(b, text, n < TEXT_MAX ? n : TEXT_MAX);
}

static void
answer_value(const char *text, size_t len)
{
    struct mh_buf b;
    mh_buf_init(&b, MH_PLUGIN_FRAME_MAX);
    (void)mh_buf_str(&b, "{\"ok\":true,\"value\":");
    (void)mh_buf_add(&b, text, len);
    (void)mh_buf_char(&b, '}');
    send_frame(&b);
    mh_buf_release(&b);
}

static void
answer_error(const struct mh_err *err, const struct mh_script_error *se)
{
    struct mh_buf b;
    mh_buf_init(&b, MH_PLUGIN_FRAME_MAX);
    (void)mh_buf_str(&b, "{\"ok\":false");
    add_text(&b, "kind", se && se->kind ? se->kind : "runtime");
    add_text(&b, "message", err->msg);
    if (se && se->traceback)
        add_text(&b, "traceback", se->traceback);
    (void)mh_buf_char(&b, '}');
    send_frame(&b);
    mh_buf_release(&b);
}

/* --- observe ---------------------------------------------------------------------------------- */

struct observing {
    struct mh_observe o;
    struct mh_effect_call *open; /* asked, not answered */
    bool over;
};

static enum mh_effect_result
ask(struct mh_effect_call *call)
{
    struct observing *w = call->observe->self;
    w->open = call;
    return MH_EFFECT_WAIT;
}

/* Sends the question that waits and takes its answer. */
static void
converse(struct observing *w)
{
    struct mh_effect_call *call = w->open;
    struct mh_buf b;
    size_t len;
    const char *args = mh_json_text(call->arena, call->args, &len);
    mh_buf_init(&b, MH_PLUGIN_FRAME_MAX);
    (void)mh_buf_printf(&b, "{\"effect\":\"%s\",\"args\":", call->name);
    (void)mh_buf_str(&b, args ? args : "[]");
    (void)mh_buf_char(&b, '}');
    send_frame(&b);
    mh_buf_release(&b);
    yyjson_val *reply = read_frame(call->arena);
    const char *error = mh_json_str(reply, "error", NULL);
    call->value = yyjson_obj_get(reply, "value");
    if (error)
        mh_fail(&call->err, MH_E_REFUSED, "%s", error);
    w->open = NULL;
    mh_effect_finish(call);
}

static void
on_observed(struct mh_observe *o)
{
    struct observing *w = o->self;
    w->over = true;
}

static void
observe(struct mh_controller *c, struct mh_arena *a, yyjson_val *req)
{
    struct mh_effect effects[8] = { { NULL, NULL } };
    struct observing w = { .open = NULL };
    for (size_t i = 0; mh_plugin_effects[i]; i++)
        effects[i] = (struct mh_effect){ mh_plugin_effects[i], ask };
    w.o = (struct mh_observe){ .arena = a,
                               .object = yyjson_obj_get(req, "object"),
                               .ctx = yyjson_obj_get(req, "ctx"),
                               .effects = effects,
                               .self = &w,
                               .done = on_observed };
    w.over = mh_observe_start(c, &w.o) != MH_STEP_WAIT;
    while (!w.over)
        converse(&w);
    if (w.o.err.code == MH_OK)
        answer_value(w.o.seen, w.o.seen_len);
    else
        answer_error(&w.o.err, &w.o.se);
}

static void
plan(struct mh_controller *c, struct mh_arena *a, yyjson_val *req)
{
    struct mh_err err = { .code = MH_OK };
    bool last = mh_str_eq(mh_json_str(req, "fn", NULL), "finalize");
    struct mh_script_call call = { .field = last ? "finalize" : "plan", .nargs = 1 };
    call.args[0].value = yyjson_obj_get(req, "seen");
    if (mh_controller_run(c, a, &call, &err) == MH_OK)
        answer_value(call.out, call.out_len);
    else
        answer_error(&err, &call.se);
}

/* --- the loop --------------------------------------------------------------------------------- */

/* "pgrole.lua" is shown as itself; the loader adds the ending. */
static const char *
shown_name(struct mh_arena *a, yyjson_val *req)
{
    const char *name = mh_json_str(req, "name", NULL);
    size_t n = name ? strlen(name) : 0;
    return mh_str_ends(name, ".lua") ? mh_arena_strndup(a, name, n - 4) : name;
}

static void
answer(struct mh_arena *a, yyjson_val *req)
{
    struct mh_err err = { .code = MH_OK };
    struct mh_controller *c = NULL;
    yyjson_val *script = yyjson_obj_get(req, "script");
    const char *op = mh_json_str(req, "op", NULL), *name = shown_name(a, req);
    if (!yyjson_is_str(script) || !name || !op)
        _exit(1);
    if (mh_controller_new_plugin(name, yyjson_get_str(script), yyjson_get_len(script), &c, &err) !=
        MH_OK) {
        answer_error(&err, NULL);
        return;
    }
    if (strcmp(op, "observe") == 0)
        observe(c, a, req);
    else if (strcmp(op, "plan") == 0)
        plan(c, a, req);
    else
        answer_value(mh_controller_declaration(c), strlen(mh_controller_declaration(c)));
    mh_controller_free(c);
}

/* Whatever initialises itself on first use does so before the lock. */
static void
warm_up(void)
{
    static const char text[] = "return controller \"Warm\" { plan = function(s) return s end }";
    struct mh_controller *c = NULL;
    struct mh_arena a;
    const char *out;
    size_t len;
    mh_arena_init(&a, ARENA_MAX);
    if (mh_controller_new_plugin("warm", text, sizeof(text) - 1, &c, NULL) == MH_OK) {
        (void)mh_controller_plan(c, &a, "{\"now\":1.5}", 11, &out, &len, NULL, NULL);
        mh_controller_free(c);
    }
    mh_arena_release(&a);
}

int
mh_plugin_worker_main(void)
{
    static const char ready[] = { sizeof(MH_FRAME_READY) - 1, 0, 0, 0, 'r', 'e', 'a', 'd', 'y' };
    struct mh_err err;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    (void)unsetenv("MOONHERD_SCRIPTS"); /* no files later */
    warm_up();
    if (mh_worker_lock(&err) != MH_OK || !mh_worker_write(ready, sizeof(ready)))
        _exit(1);
    mh_log_set_fd(-1);
    for (;;) {
        struct mh_arena a;
        mh_arena_init(&a, ARENA_MAX);
        answer(&a, read_frame(&a));
        mh_arena_release(&a);
    }
}
