#include "ha/lease.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

static const char *const phase_names[] = { "stable", "suspect", "fencing", "switching",
                                           "promoting" };

const char *
mh_ha_phase_name(enum mh_ha_phase phase)
{
    return phase_names[phase];
}

static bool
phase_of(const char *s, enum mh_ha_phase *out)
{
    for (unsigned i = 0; i < sizeof(phase_names) / sizeof(*phase_names); i++) {
        if (strcmp(s, phase_names[i]) == 0) {
            *out = (enum mh_ha_phase)i;
            return true;
        }
    }
    return false;
}

/* "3:12:15"; the position is not in it. One of an earlier election is none. */
static bool
read_lineage(const char *s, uint64_t term, struct mh_ha_point *out)
{
    unsigned timeline;
    unsigned long long made;
    unsigned long long of;
    char more;
    if (!s || sscanf(s, "%u:%llu:%llu%c", &timeline, &made, &of, &more) != 3 || timeline == 0 ||
        of != term)
        return false;
    *out = (struct mh_ha_point){ .timeline = timeline, .made = made };
    return true;
}

static bool
read_config(yyjson_val *v, struct mh_ha_config *out)
{
    yyjson_val *names = mh_json_get(v, "names", NULL);
    size_t i;
    size_t max;
    yyjson_val *item;
    int64_t number = mh_json_int(v, -1, "number", NULL);
    if (!yyjson_is_arr(names) || yyjson_arr_size(names) > MH_HA_MEMBERS_MAX || number < 0 ||
        number > MH_HA_MEMBERS_MAX)
        return false;
    *out = (struct mh_ha_config){ .number = (int)number,
                                  .first = mh_str_eq(mh_json_str(v, "method", NULL), "first") };
    yyjson_arr_foreach(names, i, max, item)
    {
        if (!yyjson_is_str(item))
            return false;
        out->names[out->nnames++] = yyjson_get_str(item);
    }
    return true;
}

static enum mh_code
read_configs(yyjson_val *list, struct mh_ha_lease *out, struct mh_err *err)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > MH_HA_CONFIGS_MAX)
        return mh_fail(err, MH_E_INVALID,
                       "lease annotation moonherd.io/configs is no list of at most %d",
                       MH_HA_CONFIGS_MAX);
    yyjson_arr_foreach(list, i, max, item)
    {
        if (!read_config(item, &out->configs[out->nconfigs++]))
            return mh_fail(err, MH_E_INVALID,
                           "lease annotation moonherd.io/configs has a bad entry");
    }
    return MH_OK;
}

enum mh_code
mh_ha_lease_read(struct mh_arena *a, yyjson_val *object, struct mh_ha_lease *out,
                 struct mh_err *err)
{
    *out = (struct mh_ha_lease){ .exists = object != NULL };
    if (!object)
        return MH_OK;
    yyjson_val *notes = mh_json_get(object, "metadata", "annotations", NULL);
    const char *holder = mh_json_str(object, "spec", "holderIdentity", NULL);
    int64_t term = mh_json_int(object, 0, "spec", "leaseTransitions", NULL);
    const char *phase = mh_json_str(notes, "moonherd.io/phase", NULL);
    out->resource_version = mh_json_str(object, "metadata", "resourceVersion", NULL);
    out->holder = holder && *holder ? holder : NULL;
    out->incarnation = mh_json_str(notes, "moonherd.io/incarnation", NULL);
    out->address = mh_json_str(notes, "moonherd.io/address", NULL);
    out->candidate = mh_json_str(notes, "moonherd.io/candidate", NULL);
    out->holder_uid = mh_json_str(notes, "moonherd.io/holder-uid", NULL);
    out->session = mh_json_str(notes, "moonherd.io/session", NULL);
    out->ranking = mh_json_str(notes, "moonherd.io/ranking", NULL);
    if (out->session && !*out->session)
        out->session = NULL;
    out->has_lineage = read_lineage(mh_json_str(notes, "moonherd.io/lineage", NULL),
                                    term < 0 ? 0 : (uint64_t)term, &out->lineage);
    int64_t served = 0;
    (void)mh_str_int(mh_json_str(notes, "moonherd.io/served", NULL), 0, INT64_MAX, &served);
    out->served = (uint64_t)served;
    if (out->incarnation && !*out->incarnation)
        out->incarnation = NULL;
    if (out->holder_uid && !*out->holder_uid)
        out->holder_uid = NULL;
    if (out->address && !*out->address)
        out->address = NULL;
    if (out->candidate && !*out->candidate)
        out->candidate = NULL;
    if (term < 0)
        return mh_fail(err, MH_E_INVALID, "lease has the negative term %lld", (long long)term);
    out->term = (uint64_t)term;
    if (phase && !phase_of(phase, &out->phase))
        return mh_fail(err, MH_E_INVALID, "lease annotation moonherd.io/phase is unknown: %s",
                       phase);
    const char *text = mh_json_str(notes, "moonherd.io/configs", NULL);
    if (!text || !*text)
        return MH_OK;
    yyjson_val *list = NULL;
    if (mh_json_parse(a, text, strlen(text), &list, err))
        return mh_wrap(err, "lease annotation moonherd.io/configs");
    out->configs_known = true;
    return read_configs(list, out, err);
}

int
mh_ha_fence_quorum(const struct mh_ha_config *c)
{
    return c->nnames - c->number + 1;
}

bool
mh_ha_config_has(const struct mh_ha_config *c, const char *name)
{
    for (int i = 0; i < c->nnames; i++) {
        if (strcmp(c->names[i], name) == 0)
            return true;
    }
    return false;
}

bool
mh_ha_config_equal(const struct mh_ha_config *a, const struct mh_ha_config *b)
{
    if (a->nnames != b->nnames || a->number != b->number || a->first != b->first)
        return false;
    for (int i = 0; i < a->nnames; i++) {
        if (!mh_ha_config_has(b, a->names[i]))
            return false;
    }
    return true;
}

char *
mh_ha_configs_text(struct mh_arena *a, const struct mh_ha_config *configs, int n)
{
    yyjson_mut_doc *d = mh_json_doc(a);
    yyjson_mut_val *list = d ? yyjson_mut_arr(d) : NULL;
    for (int i = 0; list && i < n; i++) {
        yyjson_mut_val *c = yyjson_mut_arr_add_obj(d, list);
        yyjson_mut_val *names = c ? yyjson_mut_obj_add_arr(d, c, "names") : NULL;
        if (!names || !yyjson_mut_obj_add_int(d, c, "number", configs[i].number) ||
            !yyjson_mut_obj_add_str(d, c, "method", configs[i].first ? "first" : "any"))
            return NULL;
        for (int j = 0; j < configs[i].nnames; j++) {
            if (!yyjson_mut_arr_add_strcpy(d, names, configs[i].names[j]))
                return NULL;
        }
    }
    return list ? mh_json_mut_text(a, list, NULL) : NULL;
}
