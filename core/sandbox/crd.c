/* Resources that CustomResourceDefinitions add. */
#include "base/str.h"
#include "sandbox/rest_in.h"

void
mh_sb_crd_changed(struct mh_sb_api *api, yyjson_val *crd, bool removed)
{
    (void)api, (void)crd, (void)removed;
}

bool
mh_sb_crd_holds(struct mh_sb_api *api, const struct mh_sb_resource *r, yyjson_val *object)
{
    (void)api, (void)r, (void)object;
    return false;
}

static yyjson_val *
component(void *arg, const char *name)
{
    struct mh_sb_api *api = arg;
    return yyjson_obj_get(api->kinds.schemas, name);
}

/* The name of a built-in version's component. */
static const char *
component_name(struct mh_sb_api *api, const struct mh_sb_version *v)
{
    size_t i;
    size_t max;
    yyjson_val *name;
    yyjson_val *schema;
    yyjson_obj_foreach(api->kinds.schemas, i, max, name, schema)
    {
        if (schema == v->schema)
            return yyjson_get_str(name);
    }
    return NULL;
}

const struct mh_sb_schema *
mh_sb_version_schema(struct mh_sb_api *api, struct mh_sb_version *v)
{
    struct mh_err err;
    const struct mh_sb_schema *s = v->compiled;
    if (s || !v->schema)
        return s;
    if (!api->components)
        api->components = mh_sb_schema_set_new(&api->schemas, component, api);
    const char *name = component_name(api, v);
    if (!api->components || !name ||
        mh_sb_schema_component(api->components, name, &s, &err) != MH_OK)
        return NULL;
    v->compiled = s;
    return s;
}
