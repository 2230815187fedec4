/* params_own.c - parameters of one instance: what the operator wrote into the Cluster's annotation
 * after it had asked the policy instance/v1. What nobody may set for all instances is not taken for
 * one either, but for the delay of a standby. */
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/str.h"
#include "instance/params_in.h"

#define ANNOTATION "moonherd.io/instance-policy"

static bool
may_set(const char *name)
{
    return strcasecmp(name, "recovery_min_apply_delay") == 0 || mh_params_is_free(name);
}

/* As a text that PostgreSQL reads; NULL: it is none. */
static const char *
text_of(struct mh_params_build *b, yyjson_val *v)
{
    if (yyjson_is_str(v))
        return yyjson_get_str(v);
    if (yyjson_is_bool(v))
        return yyjson_get_bool(v) ? "on" : "off";
    return yyjson_is_num(v) ? mh_json_text(b->a, v, NULL) : NULL;
}

void
mh_params_of_instance(struct mh_params_build *b)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *v;
    yyjson_val *all = NULL;
    const char *text = mh_json_str(b->in->cluster, "metadata", "annotations", ANNOTATION, NULL);
    if (!b->in->instance || !text)
        return;
    if (mh_json_parse(b->a, text, strlen(text), &all, NULL) != MH_OK) {
        mh_warn("configuration", "the annotation " ANNOTATION " is no JSON and is not heeded");
        return;
    }
    yyjson_obj_foreach(mh_json_get(all, b->in->instance, "parameters", NULL), i, max, key, v)
    {
        const char *name = yyjson_get_str(key);
        const char *value = text_of(b, v);
        if (!value || !may_set(name) || strpbrk(value, "\r\n"))
            mh_warn("configuration", "a parameter of this instance alone is not taken", "parameter",
                    name);
        else
            mh_params_set(b, name, value);
    }
}
