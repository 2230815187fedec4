/* What follows from the Cluster beyond the tables. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/str.h"
#include "instance/params_in.h"

#define LIST_MAX ((size_t)64 << 10)

/* --- durations -------------------------------------------------------------------------------- */

int64_t
mh_params_duration_ms(const char *text)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = { { "ns", 1e-6 }, { "us", 1e-3 }, { "\xc2\xb5s", 1e-3 }, { "ms", 1 },
                  { "s", 1e3 },   { "m", 6e4 },   { "h", 3.6e6 } };
    double total = 0;
    if (!text || !*text || strlen(text) > 64)
        return -1;
    if (strcmp(text, "0") == 0)
        return 0;
    while (*text) {
        char *end;
        if (!strchr("0123456789.", *text))
            return -1;
        double v = strtod(text, &end);
        size_t n = strcspn(end, "0123456789.");
        size_t i = 0;
        while (i < sizeof(units) / sizeof(units[0]) &&
               (strlen(units[i].unit) != n || strncmp(units[i].unit, end, n) != 0))
            i++;
        if (end == text || i == sizeof(units) / sizeof(units[0]))
            return -1;
        total += v * units[i].ms;
        text = end + n;
    }
    return total < 1e15 ? (int64_t)(total + 1e-6) : -1;
}

static bool
is_replica(yyjson_val *cluster)
{
    yyjson_val *r = mh_json_get(cluster, "spec", "replica", NULL);
    yyjson_val *enabled = mh_json_get(r, "enabled", NULL);
    const char *primary = mh_json_str(r, "primary", NULL);
    const char *self = mh_json_str(r, "self", NULL);
    if (yyjson_is_bool(enabled))
        return yyjson_get_bool(enabled);
    if (!primary || !*primary)
        return false;
    const char *own = self && *self ? self : mh_json_str(cluster, "metadata", "name", NULL);
    return !mh_str_eq(own, primary);
}

/* --- lists ------------------------------------------------------------------------------------ */

static void
add_word(struct mh_buf *b, const char *separator, const char *word)
{
    if (b->len)
        mh_buf_str(b, separator);
    mh_buf_str(b, word);
}

static const char *
take_text(struct mh_params_build *b, struct mh_buf *buf)
{
    const char *text = buf->failed ? NULL : mh_arena_strndup(b->a, mh_buf_text(buf), buf->len);
    mh_buf_release(buf);
    return text;
}

bool
mh_params_uses(yyjson_val *cluster, const struct mh_param_extension *e)
{
    yyjson_val *given = mh_json_get(cluster, "spec", "postgresql", "parameters", NULL);
    yyjson_obj_iter it;
    yyjson_val *k;
    if (!yyjson_is_obj(given) || !yyjson_obj_iter_init(given, &it))
        return false;
    while ((k = yyjson_obj_iter_next(&it))) {
        if (strncasecmp(yyjson_get_str(k), e->prefix, strlen(e->prefix)) == 0)
            return true;
    }
    return false;
}

static void
libraries(struct mh_params_build *b)
{
    yyjson_val *cluster = b->in->cluster;
    yyjson_val *given =
        mh_json_get(cluster, "spec", "postgresql", "shared_preload_libraries", NULL);
    struct mh_buf buf;
    mh_buf_init(&buf, LIST_MAX);
    for (const struct mh_param_extension *e = mh_param_extensions; e->name; e++) {
        if (mh_params_uses(cluster, e))
            add_word(&buf, ",", e->name);
    }
    for (size_t i = 0; i < yyjson_arr_size(given); i++) {
        const char *name = yyjson_get_str(yyjson_arr_get(given, i));
        bool again = !name || !*name;
        for (size_t j = 0; !again && j < i; j++)
            again = mh_str_eq(name, yyjson_get_str(yyjson_arr_get(given, j)));
        for (const struct mh_param_extension *e = mh_param_extensions; !again && e->name; e++)
            again = strcmp(e->name, name) == 0 && mh_params_uses(cluster, e);
        if (!again)
            add_word(&buf, ",", name);
    }
    mh_params_set(b, "shared_preload_libraries", take_text(b, &buf));
}

static void
temp_tablespaces(struct mh_params_build *b)
{
    yyjson_val *list = mh_json_get(b->in->cluster, "spec", "tablespaces", NULL);
    struct mh_buf buf;
    mh_buf_init(&buf, LIST_MAX);
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        yyjson_val *t = yyjson_arr_get(list, i);
        const char *name = mh_json_str(t, "name", NULL);
        if (name && mh_json_bool(t, false, "temporary", NULL))
            add_word(&buf, ",", name);
    }
    if (buf.len)
        mh_params_set(b, "temp_tablespaces", take_text(b, &buf));
    else
        mh_buf_release(&buf);
}

/* "$system:/extensions/NAME/share:..." from the images mounted there. */
static void
extension_path(struct mh_params_build *b, const char *param, const char *key, const char *head,
               const char *usual)
{
    yyjson_val *list = mh_json_get(b->in->cluster, "spec", "postgresql", "extensions", NULL);
    struct mh_buf buf;
    if (yyjson_arr_size(list) == 0)
        return;
    mh_buf_init(&buf, LIST_MAX);
    mh_buf_str(&buf, head);
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        yyjson_val *e = yyjson_arr_get(list, i);
        yyjson_val *paths = mh_json_get(e, key, NULL);
        const char *name = mh_json_str(e, "name", NULL);
        size_t n = yyjson_arr_size(paths);
        for (size_t j = 0; name && j < (n ? n : 1); j++) {
            const char *path = n ? yyjson_get_str(yyjson_arr_get(paths, j)) : usual;
            if (path)
                mh_buf_printf(&buf, ":/extensions/%s/%s", name, path[0] == '/' ? path + 1 : path);
        }
    }
    mh_params_set(b, param, take_text(b, &buf));
}

/* Slots of all instances but the primary, for logical decoding that waits for them. */
static void
standby_slots(struct mh_params_build *b)
{
    yyjson_val *cluster = b->in->cluster;
    yyjson_val *names = mh_json_get(cluster, "status", "instanceNames", NULL);
    const char *primary = mh_json_str(cluster, "status", "currentPrimary", NULL);
    struct mh_buf buf;
    if (!mh_json_bool(cluster, false, "spec", "replicationSlots", "highAvailability",
                      "synchronizeLogicalDecoding", NULL))
        return;
    mh_buf_init(&buf, LIST_MAX);
    for (size_t i = 0; i < yyjson_arr_size(names); i++) {
        const char *name = yyjson_get_str(yyjson_arr_get(names, i));
        const char *slot =
            name && !mh_str_eq(name, primary) ? mh_params_slot(b->a, cluster, name) : "";
        b->failed = b->failed || !slot;
        if (slot && *slot)
            add_word(&buf, ",", slot);
    }
    const char *text = take_text(b, &buf);
    bool preloaded = false;
    for (int i = 0; i < b->out.len; i++) {
        if (strcmp(b->out.items[i].name, "shared_preload_libraries") == 0)
            preloaded = strstr(b->out.items[i].value, "pg_failover_slots") != NULL;
    }
    if (b->in->major >= 17)
        mh_params_set(b, "synchronized_standby_slots", text);
    else if (preloaded)
        mh_params_set(b, "pg_failover_slots.standby_slot_names", text);
}

void
mh_params_of_cluster(struct mh_params_build *b)
{
    yyjson_val *cluster = b->in->cluster;
    const char *skip =
        mh_json_str(cluster, "metadata", "annotations", "cnpg.io/skipWalArchiving", NULL);
    const char *name = mh_json_str(cluster, "metadata", "name", NULL);
    bool replica = is_replica(cluster);
    const char *archive = mh_str_eq(skip, "enabled") ? "off" : replica ? "always" : "on";
    mh_params_set(b, "archive_mode", archive);
    mh_params_set(b, "cluster_name", name ? name : "");
    if (b->in->major >= 17)
        mh_params_set(b, "allow_alter_system",
                      mh_json_bool(cluster, false, "spec", "postgresql", "enableAlterSystem", NULL)
                          ? "on"
                          : "off");
    libraries(b);
    temp_tablespaces(b);
    if (b->in->major >= 18)
        extension_path(b, "extension_control_path", "extension_control_path", "$system", "share");
    extension_path(b, "dynamic_library_path", "dynamic_library_path", "$libdir", "lib");
    standby_slots(b);
    int64_t delay =
        mh_params_duration_ms(mh_json_str(cluster, "spec", "replica", "minApplyDelay", NULL));
    if (replica && delay > 0)
        mh_params_set(b, "recovery_min_apply_delay",
                      mh_arena_printf(b->a, "%lldms", (long long)delay));
}
