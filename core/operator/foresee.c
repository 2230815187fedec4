#include "operator/foresee.h"

#include <string.h>

#define ROUND_ARENA ((size_t)32 << 20)

static void
release(struct mh_foresee *f)
{
    f->clock.cancel(f->clock.self, f->timer);
    f->timer = NULL;
    mh_controller_free(f->scripts);
    f->scripts = NULL;
    mh_arena_release(&f->rounds[0]);
    mh_arena_release(&f->rounds[1]);
}

static void
finish(struct mh_foresee *f)
{
    release(f);
    f->done(f);
}

/* {"steps","rest"} of the last state. */
static void
take_result(struct mh_foresee *f, yyjson_val *state)
{
    yyjson_mut_doc *doc = mh_json_doc(f->arena);
    yyjson_mut_val *out = doc ? yyjson_mut_obj(doc) : NULL;
    static const char *const keys[] = { "steps", "rest" };
    for (size_t i = 0; out && i < 2; i++)
        (void)yyjson_mut_obj_add_val(doc, out, keys[i],
                                     yyjson_val_mut_copy(doc, yyjson_obj_get(state, keys[i])));
    f->result = out ? mh_json_mut_text(f->arena, out, NULL) : NULL;
    if (!f->result)
        mh_fail(&f->err, MH_E_NOMEM, "no memory for the plan");
}

static void
on_round(void *arg)
{
    struct mh_foresee *f = arg;
    f->timer = NULL;
    /* the state is on the other arena */
    struct mh_arena *a = &f->rounds[f->n % 2];
    mh_arena_release(a);
    mh_arena_init(a, ROUND_ARENA);
    struct mh_script_call call = { .field = "step", .nargs = 1, .args = { { .value = f->state } } };
    yyjson_val *next = NULL;
    if (mh_controller_run(f->scripts, a, &call, &f->err) == MH_OK &&
        mh_json_parse(a, call.out, call.out_len, &next, &f->err) == MH_OK) {
        f->state = next;
        f->n++;
        if (yyjson_obj_get(next, "rest"))
            take_result(f, next);
        else if (f->n < MH_FORESEE_ROUNDS)
            f->timer = f->clock.after(f->clock.self, 0, on_round, f);
        else
            mh_fail(&f->err, MH_E_LIMIT, "no end is in sight after %d rounds", f->n);
    }
    if (!f->timer && !f->result && f->err.code == MH_OK)
        mh_fail(&f->err, MH_E_NOMEM, "no memory for the plan");
    if (!f->timer)
        finish(f);
}

static void
on_seen(struct mh_planner_call *call)
{
    struct mh_foresee *f = call->arg;
    char name[80];
    f->err = call->err.code != MH_OK ? call->err : call->left_out; /* not all of it would be done */
    if (f->err.code == MH_OK) {
        size_t n = strcspn(f->kind, ".");
        const char *old = f->old ? mh_json_text(f->arena, f->old, NULL) : "null";
        const char *text =
            old ? mh_arena_printf(f->arena, "{\"seen\":%s,\"old\":%s}", call->seen, old) : NULL;
        /* "Cluster" -> controllers/cluster/foresee */
        const char *path = mh_arena_printf(f->arena, "controllers/%.*s/foresee",
                                           (int)(n < sizeof(name) ? n : sizeof(name) - 1), f->kind);
        for (char *p = path ? strchr(path, '/') : NULL; p && *p; p++)
            if (*p >= 'A' && *p <= 'Z')
                *p = (char)(*p - 'A' + 'a');
        if (!text || !path)
            mh_fail(&f->err, MH_E_NOMEM, "no memory for the plan");
        else if (mh_json_parse(f->arena, text, strlen(text), &f->state, &f->err) == MH_OK)
            (void)mh_controller_new_image(path, &f->scripts, &f->err);
    }
    if (f->err.code == MH_OK)
        f->timer = f->clock.after(f->clock.self, 0, on_round, f);
    if (!f->timer) {
        if (f->err.code == MH_OK)
            mh_fail(&f->err, MH_E_NOMEM, "no memory for the plan");
        finish(f);
    }
}

void
mh_foresee_start(struct mh_foresee *f)
{
    f->err.code = MH_OK;
    f->result = NULL;
    f->timer = NULL;
    f->scripts = NULL;
    f->n = 0;
    mh_arena_init(&f->rounds[0], ROUND_ARENA);
    mh_arena_init(&f->rounds[1], ROUND_ARENA);
    f->call = (struct mh_planner_call){ .kind = f->kind,
                                        .ns = mh_json_str(f->object, "metadata", "namespace", NULL),
                                        .name = mh_json_str(f->object, "metadata", "name", NULL),
                                        .object = f->object,
                                        .arena = f->arena,
                                        .dry = true,
                                        .done = on_seen,
                                        .arg = f };
    f->planner.start(f->planner.self, &f->call);
}

void
mh_foresee_cancel(struct mh_foresee *f)
{
    if (f->call.impl)
        f->planner.cancel(f->planner.self, &f->call);
    release(f);
}
