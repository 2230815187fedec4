/* conf.c - writes the files that PostgreSQL reads: configuration, access rules, certificates. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "instance/agent.h"
#include "instance/hba.h"
#include "instance/job.h"
#include "instance/params.h"
#include "instance/paths.h"
#include "instance/standby.h"
#include "instance/syncnames.h"

#define CONF_ARENA ((size_t)8 << 20)
#define SYNC_POLICY "moonherd.io/sync-policy"
#define STEADY_NS (10 * MH_NS_PER_S)

static enum mh_code
put(struct mh_agent *g, const char *dir, const char *name, const char *text, bool *changed,
    struct mh_err *err)
{
    char path[MH_PATH];
    bool differs = false;
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    enum mh_code code =
        text ? g->w.fs.write(g->w.fs.self, path, text, strlen(text), 0600, false, &differs, err)
             : mh_fail(err, MH_E_NOMEM, "no memory for %s", name);
    if (code == MH_OK && differs)
        *changed = true;
    return code;
}

/* While PostgreSQL runs it can still make room; a start would need more than this file. */
static void
note_full(struct mh_agent *g, enum mh_code code)
{
    if (code == MH_E_DISKFULL && g->pm.state == MH_PG_DOWN)
        mh_space_none(g, "a file of the configuration");
}

static bool
gate_admits(const struct mh_agent *g)
{
    return g->primary.gate == MH_GATE_NONE || g->primary.gate == MH_GATE_OPEN;
}

/* I5: a standby may be on another history than the primary that it was, or than who asks. In a term that
 * is being decided, the one with the newest log lets in the candidate, who fetches the rest. */
static void
admit_replication(const struct mh_agent *g, struct mh_hba_in *hba)
{
    const struct mh_ha_lease *l = &g->know.lease;
    if (g->order.order != MH_HA_FENCE) {
        hba->no_replication = g->order.order == MH_HA_FOLLOW;
        return;
    }
    bool source = l->phase == MH_HA_FENCING && l->candidate && mh_str_eq(l->address, g->id.address);
    hba->no_replication = !source;
    if (source)
        hba->replication_from = mh_json_str(g->know.cluster, "status", "instancesReportedState",
                                            l->candidate, "ip", NULL);
}

/* What this instance has beyond the Cluster: its only address, and the limits of the log it replays.
 * -1: no memory. */
static int
own_params(struct mh_agent *g, struct mh_arena *a, const struct mh_params_in *in,
           struct mh_param extra[MH_LIMITS + 1])
{
    bool replays = g->pm.state == MH_PG_DOWN ? !g->data_primary : !mh_agent_is_primary(g);
    int n = replays && g->limits.known ? mh_params_lift(a, in, g->limits.value, extra) : 0;
    g->limits.lifted = n > 0;
    if (n >= 0 && g->id.bind)
        extra[n++] = (struct mh_param){ "listen_addresses", g->id.bind };
    return n;
}

enum mh_code
mh_conf_write(struct mh_agent *g, bool *changed, struct mh_err *err)
{
    struct mh_arena a;
    const char *text = NULL;
    int major = mh_paths_major(g);
    bool serves = g->primary.gate != MH_GATE_NONE;
    struct mh_ha_config as_primary;
    const char *names = "";
    struct mh_arena wanted;
    mh_arena_init(&wanted, 1 << 20);
    /* A standby has the names that it would need: backends learn only from the checkpointer that
     * there is anybody to wait for, which may be late after a promotion. */
    if (!serves)
        (void)mh_conf_sync_wanted(g, &wanted, &as_primary, &names);
    struct mh_params_in in = { .cluster = g->know.cluster,
                               .instance = g->id.name,
                               .major = major,
                               .sync_names = serves ? g->primary.sync_text : names,
                               .sync_metadata =
                                   g->primary.sync_meta[0] ? g->primary.sync_meta : NULL };
    struct mh_hba_in hba = { .cluster = g->know.cluster,
                             .major = major,
                             .gate_open = gate_admits(g),
                             .ldap_bind_password = g->ldap_password };
    struct mh_param extra[MH_LIMITS + 1];
    admit_replication(g, &hba);
    *changed = false;
    mh_arena_init(&a, CONF_ARENA);
    in.nextra = own_params(g, &a, &in, extra);
    in.extra = extra;
    enum mh_code code = in.nextra < 0 ? mh_fail(err, MH_E_NOMEM, "no memory for custom.conf")
                                      : mh_params_custom(&a, &in, &text, g->conf_hash, err);
    if (code == MH_OK)
        code = put(g, g->id.pgdata, "custom.conf", text, changed, err);
    if (code == MH_OK)
        code = put(g, g->id.pgdata, "pg_hba.conf", mh_hba_text(&a, &hba), changed, err);
    if (code == MH_OK)
        code = put(g, g->id.pgdata, "pg_ident.conf",
                   mh_ident_text(&a, g->know.cluster, mh_ident_user(&a)), changed, err);
    char path[MH_PATH];
    (void)snprintf(path, sizeof(path), "%s/override.conf", g->id.pgdata);
    if (code == MH_OK && !g->w.fs.exists(g->w.fs.self, path)) {
        struct mh_override none = { .restore_command = MH_RESTORE_COMMAND };
        code = put(g, g->id.pgdata, "override.conf", mh_params_override(&a, &none), changed, err);
    }
    if (code == MH_OK)
        code = mh_job_includes(&g->w, g->id.pgdata, err);
    if (code == MH_OK)
        mh_params_config_of(g->know.cluster, g->conf_of);
    mh_arena_release(&wanted);
    mh_arena_release(&a);
    note_full(g, code);
    return code;
}

char *
mh_conf_conninfo(const struct mh_agent *g, struct mh_arena *a, const char *address,
                 const char *application)
{
    const char *s = mh_params_conninfo(a, address, application, g->id.cert_dir, NULL);
    return s ? mh_arena_strdup(a, s) : NULL;
}

enum mh_code
mh_conf_standby(struct mh_agent *g, const char *address, bool *changed, struct mh_err *err)
{
    struct mh_arena a;
    struct mh_override o = { 0 };
    enum mh_code code = MH_OK;
    bool signal = false;
    *changed = false;
    mh_arena_init(&a, CONF_ARENA);
    if (address) {
        o.restore_command = MH_RESTORE_COMMAND;
        o.primary_conninfo = mh_conf_conninfo(g, &a, address, g->id.name);
        /* Only the lease's holder is known to keep our slot. */
        if (g->order.order == MH_HA_FOLLOW) {
            o.primary_slot_name = mh_params_slot(&a, g->know.cluster, g->id.name);
            if (o.primary_slot_name && !*o.primary_slot_name)
                o.primary_slot_name = NULL;
        }
        if (!o.primary_conninfo)
            code = mh_fail(err, MH_E_NOMEM, "no memory for primary_conninfo");
    }
    if (code == MH_OK)
        code = put(g, g->id.pgdata, "override.conf", mh_params_override(&a, &o), changed, err);
    if (code == MH_OK)
        code = put(g, g->id.pgdata, "standby.signal", "", &signal, err);
    mh_arena_release(&a);
    note_full(g, code);
    return code;
}

enum mh_code
mh_conf_certificates(struct mh_agent *g, struct mh_err *err)
{
    const struct {
        const char *name;
        const char *text;
    } files[] = { { "server.crt", g->know.server_cert },
                  { "server.key", g->know.server_key },
                  { "streaming_replica.crt", g->know.repl_cert },
                  { "streaming_replica.key", g->know.repl_key },
                  { "client-ca.crt", g->know.client_ca },
                  { "server-ca.crt", g->know.server_ca } };
    bool changed = false;
    enum mh_code code = g->w.fs.mkdir(g->w.fs.self, g->id.cert_dir, 0700, err);
    for (size_t i = 0; code == MH_OK && i < sizeof(files) / sizeof(*files); i++)
        code = put(g, g->id.cert_dir, files[i].name, files[i].text, &changed, err);
    return code;
}

/* --- synchronous set ------------------------------------------------------------------------- */

static bool
streams(const struct mh_agent *g, const char *name)
{
    for (int i = 0; i < g->primary.nreplicas; i++) {
        if (strcmp(g->primary.replicas[i].name, name) == 0)
            return g->primary.replicas[i].streaming;
    }
    return false;
}

/* Whom sync/v1 chose for us, as the operator wrote it down. Only while clients are in: a gate opens by
 * the rule of the core alone. */
static int
chosen_by_policy(const struct mh_agent *g, struct mh_arena *a, const char *out[MH_HA_MEMBERS_MAX])
{
    yyjson_val *all = NULL;
    yyjson_val *item;
    size_t i;
    size_t max;
    int n = 0;
    const char *text = mh_json_str(g->know.cluster, "metadata", "annotations", SYNC_POLICY, NULL);
    if (!text || !mh_gate_is_open(g) || !mh_agent_is_primary(g) ||
        mh_json_parse(a, text, strlen(text), &all, NULL) != MH_OK ||
        !mh_str_eq(mh_json_str(all, "primary", NULL), g->id.name))
        return 0;
    yyjson_arr_foreach(yyjson_obj_get(all, "names"), i, max, item)
    {
        if (yyjson_is_str(item) && n < MH_HA_MEMBERS_MAX)
            out[n++] = yyjson_get_str(item);
    }
    return n;
}

/* Once too few of them streamed, enough of them have to do so for a while before the set is narrow
 * again: a link that comes and goes must not write the Lease each time. */
static bool
are_steady(struct mh_agent *g, const char *const *chosen, int n)
{
    int64_t now = mh_agent_now(g);
    int64_t number =
        mh_json_int(g->know.cluster, 1, "spec", "postgresql", "synchronous", "number", NULL);
    int64_t there = 0;
    for (int i = 0; i < n; i++)
        there += streams(g, chosen[i]);
    if (there < number)
        g->primary.unsteady_ns = now;
    return !g->primary.unsteady_ns || now - g->primary.unsteady_ns >= STEADY_NS;
}

bool
mh_conf_sync_wanted(struct mh_agent *g, struct mh_arena *a, struct mh_ha_config *out,
                    const char **text)
{
    struct mh_err err;
    struct mh_sync_instance list[MH_HA_MEMBERS_MAX];
    struct mh_sync_in in = { .cluster = g->know.cluster, .primary = g->id.name, .instances = list };
    struct mh_sync_names names;
    size_t i;
    size_t max;
    yyjson_val *item;
    /* Where commits may go on without a standby (dataDurability: preferred), only those that stream
     * count, but a new primary first waits a while for them to come. */
    bool strict = g->primary.strict_health;
    yyjson_arr_foreach(mh_json_get(g->know.cluster, "status", "instanceNames", NULL), i, max, item)
    {
        const char *name = yyjson_get_str(item);
        if (name && in.ninstances < MH_HA_MEMBERS_MAX)
            list[in.ninstances++] = (struct mh_sync_instance){
                .name = name, .healthy = !strict || streams(g, name), .streams = streams(g, name)
            };
    }
    const char *chosen[MH_HA_MEMBERS_MAX];
    int nchosen = chosen_by_policy(g, a, chosen);
    if (nchosen > 0 && are_steady(g, chosen, nchosen)) {
        in.chosen = chosen;
        in.nchosen = nchosen;
    }
    if (mh_sync_names(a, &in, &names, &err) || names.nnames > MH_HA_MEMBERS_MAX ||
        strlen(names.text) >= sizeof(g->primary.sync_text)) {
        mh_log_err(MH_LOG_ERROR, "sync", "synchronous standbys cannot be computed", &err);
        return false;
    }
    *out = (struct mh_ha_config){ .number = names.number,
                                  .nnames = names.nnames,
                                  .first = mh_str_eq(names.method, "FIRST") };
    for (int n = 0; n < names.nnames; n++)
        out->names[n] = names.names[n];
    g->primary.preferred = names.preferred;
    mh_str_copy(g->primary.sync_meta, sizeof(g->primary.sync_meta),
                names.metadata ? names.metadata : "");
    *text = names.text;
    return true;
}
