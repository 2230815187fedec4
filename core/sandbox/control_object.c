/* control_object.c - small questions about objects, texts of bodies, events. */
#include <string.h>

#include "sandbox/control_in.h"

const char *
mh_sb_ns(yyjson_val *o)
{
    const char *s = mh_json_str(o, "metadata", "namespace", NULL);
    return s ? s : "";
}

const char *
mh_sb_name(yyjson_val *o)
{
    const char *s = mh_json_str(o, "metadata", "name", NULL);
    return s ? s : "";
}

const char *
mh_sb_uid_of(yyjson_val *o)
{
    const char *s = mh_json_str(o, "metadata", "uid", NULL);
    return s ? s : "";
}

bool
mh_sb_is_going(yyjson_val *o)
{
    return mh_json_str(o, "metadata", "deletionTimestamp", NULL) != NULL;
}

yyjson_val *
mh_sb_controller(yyjson_val *o)
{
    yyjson_val *list = mh_json_get(o, "metadata", "ownerReferences", NULL), *one;
    size_t i, max;
    yyjson_arr_foreach(list, i, max, one)
    {
        if (mh_json_bool(one, false, "controller", NULL))
            return one;
    }
    return NULL;
}

yyjson_val *
mh_sb_condition_of(yyjson_val *o, const char *type)
{
    yyjson_val *list = mh_json_get(o, "status", "conditions", NULL), *one;
    size_t i, max;
    yyjson_arr_foreach(list, i, max, one)
    {
        if (mh_str_eq(mh_json_str(one, "type", NULL), type))
            return one;
    }
    return NULL;
}

bool
mh_sb_pod_ready(yyjson_val *pod)
{
    return mh_str_eq(mh_json_str(mh_sb_condition_of(pod, "Ready"), "status", NULL), "True");
}

bool
mh_sb_pod_finished(yyjson_val *pod)
{
    const char *phase = mh_json_str(pod, "status", "phase", NULL);
    return mh_str_eq(phase, "Succeeded") || mh_str_eq(phase, "Failed");
}

bool
mh_sb_same(yyjson_val *a, yyjson_val *b)
{
    if (!a || yyjson_is_null(a) || !b || yyjson_is_null(b))
        return (!a || yyjson_is_null(a)) && (!b || yyjson_is_null(b));
    return yyjson_equals(a, b);
}

int64_t
mh_sb_ctl_now(const struct mh_sb_control *c)
{
    return c->clock.mono_ns(c->clock.self);
}

int64_t
mh_sb_wall_s(const struct mh_sb_control *c)
{
    return c->clock.wall_us(c->clock.self) / 1000000;
}

void
mh_sb_now_text(const struct mh_sb_control *c, char out[MH_TIME_TEXT])
{
    mh_time_rfc3339(out, mh_sb_wall_s(c));
}

int64_t
mh_sb_when(yyjson_val *text, int64_t absent)
{
    int64_t us;
    const char *s = yyjson_get_str(text);
    return s && mh_time_parse(s, &us) ? us / 1000000 : absent;
}

char *
mh_sb_text(struct mh_sb_task *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *out = mh_arena_vprintf(&t->arena, fmt, ap);
    va_end(ap);
    return out;
}

const char *
mh_sb_quote(struct mh_sb_task *t, const char *s)
{
    struct mh_buf b;
    if (!s)
        return "null";
    mh_buf_init(&b, (size_t)16 << 20);
    (void)mh_json_quote(&b, s, strlen(s));
    const char *out = b.failed ? NULL : mh_arena_strdup(&t->arena, mh_buf_text(&b));
    mh_buf_release(&b);
    if (out)
        return out;
    t->refused = true;
    return "null";
}

const char *
mh_sb_json(struct mh_sb_task *t, yyjson_val *v)
{
    if (!v)
        return "null";
    const char *out = mh_json_text(&t->arena, v, NULL);
    if (out)
        return out;
    t->refused = true;
    return "null";
}

void
mh_sb_event(struct mh_sb_control *c, const char *component, yyjson_val *regarding, const char *type,
            const char *reason, const char *note)
{
    struct mh_events *ev = mh_map_get(&c->events, component);
    if (!ev) {
        ev = mh_events_new(c->api, c->clock, component, "");
        if (!ev || !mh_map_put(&c->events, component, ev, NULL)) {
            mh_events_free(ev);
            return;
        }
    }
    struct mh_event_ref ref = mh_event_ref_of(regarding);
    mh_kube_event(ev, &ref, type, reason, note);
}
