/* sync.c - changes of the synchronous set of a running primary (rule 3, reliability.md 3.3).
 *
 * The union of old and new is in the Lease before PostgreSQL uses the new one, so that at every
 * moment each set that may have acknowledged a commit is known to whoever fences. The old one leaves
 * the Lease after a marker was acknowledged under the new one. */
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "instance/agent.h"

/* How long a change may take before what is wanted is asked again. */
#define PATIENCE_NS (500 * MH_NS_PER_MS)

enum { IDLE, UNION, LOADED, MARKED, CLOSING };

/* Copies names into the arena that lives as long as the configuration is in force. */
static bool
adopt(struct mh_agent *g, const struct mh_ha_config *c, const char *text)
{
    struct mh_primary *p = &g->primary;
    struct mh_arena next;
    struct mh_ha_config copy = *c;
    mh_arena_init(&next, 65536);
    for (int i = 0; i < c->nnames; i++) {
        copy.names[i] = mh_arena_strdup(&next, c->names[i]);
        if (!copy.names[i]) {
            mh_arena_release(&next);
            return false;
        }
    }
    mh_str_copy(p->sync_text, sizeof(p->sync_text), text);
    mh_arena_release(&p->sync_arena);
    p->sync_arena = next;
    p->sync = copy;
    return true;
}

/* Only one set is possible from here on. */
static void
forget_possible(struct mh_primary *p)
{
    p->npossible = 0;
    mh_arena_release(&p->possible_arena);
}

/* Keeps the set in force among the former ones. */
static bool
remember(struct mh_primary *p)
{
    struct mh_ha_config copy = p->sync;
    for (int i = 0; i < p->npossible; i++) {
        if (mh_ha_config_equal(&p->possible[i], &copy))
            return true;
    }
    if (p->npossible == MH_HA_CONFIGS_MAX)
        return false;
    if (p->npossible == 0)
        mh_arena_init(&p->possible_arena, 65536);
    for (int i = 0; i < copy.nnames; i++) {
        copy.names[i] = mh_arena_strdup(&p->possible_arena, copy.names[i]);
        if (!copy.names[i])
            return false;
    }
    p->possible[p->npossible++] = copy;
    return true;
}

/* Appends what is not there yet. */
static int
append(struct mh_ha_config *out, int n, const struct mh_ha_config *c)
{
    for (int i = 0; i < n; i++) {
        if (mh_ha_config_equal(&out[i], c))
            return n;
    }
    out[n] = *c;
    return n + 1;
}

int
mh_sync_possible(struct mh_agent *g, struct mh_ha_config out[MH_HA_CONFIGS_MAX + 1])
{
    const struct mh_primary *p = &g->primary;
    int n = 0;
    for (int i = 0; i < p->npossible; i++)
        n = append(out, n, &p->possible[i]);
    if (n == 0 && p->sync.number == 0 && p->sync.nnames == 0)
        return 0;
    return append(out, n, &p->sync);
}

void
mh_sync_adopt(struct mh_agent *g)
{
    struct mh_arena a;
    struct mh_ha_config wanted;
    const char *text = "";
    mh_arena_init(&a, 1 << 20);
    g->primary.sync_step = IDLE;
    forget_possible(&g->primary);
    if (!mh_conf_sync_wanted(g, &a, &wanted, &text) || !adopt(g, &wanted, text))
        mh_error("sync", "the synchronous set cannot be computed: the former one stays");
    mh_arena_release(&a);
}

/* --- the Lease names it ---------------------------------------------------------------------- */

static void
load(struct mh_agent *g)
{
    struct mh_primary *p = &g->primary;
    struct mh_err err;
    bool changed = false;
    p->sync_step = LOADED;
    p->sync_since_ns = mh_agent_now(g);
    p->sync_seen_ns = 0;
    p->sync_proved_ns = 0;
    p->sync_marker = 0;
    p->replication_ns = 0;
    if (mh_conf_write(g, &changed, &err)) {
        mh_agent_fail(g, err.msg);
        g->conf_dirty = true;
    }
    mh_postmaster_reload(g);
    mh_info("sync", "synchronous standbys changed", "names", p->sync_text);
}

static void
on_union(struct mh_agent *g, bool ok)
{
    struct mh_primary *p = &g->primary;
    if (p->sync_step != UNION)
        return;
    p->sync_step = p->sync_back;
    const struct mh_ha_config *next = &p->sync_next;
    bool same_rule = p->sync.number == next->number && p->sync.first == next->first;
    bool settled = p->sync_back == IDLE || p->barrier;
    /* Exactly what was published, whatever is wanted by now. */
    if (!ok || !remember(p) || !adopt(g, next, p->next_text))
        return;
    /* Who waits for nobody, and who waits as before, needs no barrier. */
    p->barrier = next->number == 0 || (same_rule && settled);
    load(g);
}

static void
on_closed(struct mh_agent *g, bool ok)
{
    if (g->primary.sync_step != CLOSING)
        return;
    g->primary.sync_step = ok ? IDLE : MARKED;
    if (ok)
        forget_possible(&g->primary);
}

static bool
keep_next(struct mh_primary *p, const struct mh_ha_config *c, const char *text)
{
    struct mh_ha_config copy = *c;
    mh_arena_release(&p->next_arena);
    mh_arena_init(&p->next_arena, 65536);
    for (int i = 0; i < c->nnames; i++) {
        copy.names[i] = mh_arena_strdup(&p->next_arena, c->names[i]);
        if (!copy.names[i])
            return false;
    }
    mh_str_copy(p->next_text, sizeof(p->next_text), text);
    p->sync_next = copy;
    return true;
}

/* Publishes what is wanted beside all that is possible. A change that cannot end, because the standby
 * it needs has gone, is followed by the next one; each stays in the Lease until one has ended.
 * True: that is under way. */
static bool
begin(struct mh_agent *g)
{
    struct mh_primary *p = &g->primary;
    struct mh_arena a;
    struct mh_ha_config all[MH_HA_CONFIGS_MAX + 2];
    struct mh_ha_config wanted;
    const char *text = "";
    mh_arena_init(&a, 1 << 20);
    bool differs = mh_conf_sync_wanted(g, &a, &wanted, &text) &&
                   (!mh_ha_config_equal(&p->sync, &wanted) || strcmp(text, p->sync_text) != 0);
    int n = mh_sync_possible(g, all);
    if (n == 0) /* asynchronous, which is a possible set too */
        n = append(all, n, &p->sync);
    n = append(all, n, &wanted);
    if (differs && n <= MH_HA_CONFIGS_MAX && keep_next(p, &wanted, text)) {
        p->sync_back = p->sync_step;
        p->sync_step = UNION;
        if (!mh_primary_swap(g, all, n, on_union))
            p->sync_step = p->sync_back;
    }
    mh_arena_release(&a);
    return p->sync_step == UNION;
}

/* --- it is in use ---------------------------------------------------------------------------- */

/* Backends wait for standbys only after the checkpointer has read the new names; it reads them before
 * it begins a checkpoint that was asked for, and it is told of them after all walsenders. */
static void
on_barrier(struct mh_agent *g, bool ok)
{
    struct mh_primary *p = &g->primary;
    p->barrier_asked = false;
    p->barrier = p->barrier || (ok && p->barrier_of_ns == p->sync_since_ns);
    mh_agent_wake(g);
}

/* F9: a walsender that has not read the new names still has its old priority in the shared memory
 * that all of them go by. */
static bool
walsenders_use_it(const struct mh_agent *g)
{
    const struct mh_primary *p = &g->primary;
    if (p->replication_from_ns < p->sync_seen_ns)
        return false;
    if (mh_ha_config_has(&p->sync, "*"))
        return true;
    for (int i = 0; i < p->nreplicas; i++) {
        const struct mh_replica *r = &p->replicas[i];
        if (r->sync_priority > 0 && (p->sync.number == 0 || !mh_ha_config_has(&p->sync, r->name)))
            return false;
    }
    return true;
}

/* All use it: what is on disk from then on was acknowledged by no other set. */
static void
look_loaded(struct mh_agent *g)
{
    struct mh_primary *p = &g->primary;
    /* The session that answers has the new text. */
    if (strcmp(g->pg.sync_names, p->sync_text) != 0)
        return;
    if (!p->barrier) {
        if (!p->barrier_asked) {
            p->barrier_asked = true;
            p->barrier_of_ns = p->sync_since_ns;
            mh_slow_sql(g, "checkpoint", on_barrier);
        }
        return;
    }
    if (!p->sync_seen_ns)
        p->sync_seen_ns = mh_agent_now(g);
    if (!p->sync_proved_ns) {
        mh_replication_look(g, 100 * MH_NS_PER_MS);
        if (walsenders_use_it(g))
            p->sync_proved_ns = mh_agent_now(g);
        return;
    }
    /* The position must have been read after that. */
    if (g->pg.at_ns <= p->sync_proved_ns)
        return;
    p->sync_marker = g->pg.flush_lsn;
    p->replication_ns = 0;
    p->sync_step = MARKED;
}

static void
look_marked(struct mh_agent *g)
{
    struct mh_primary *p = &g->primary;
    mh_replication_look(g, 100 * MH_NS_PER_MS);
    if (p->sync.number > 0 &&
        mh_replication_sync_past(g, &p->sync, p->sync_marker) < p->sync.number)
        return;
    p->sync_step = CLOSING;
    if (!mh_primary_swap(g, &p->sync, p->sync.number > 0 || p->sync.nnames > 0, on_closed))
        p->sync_step = MARKED;
}

void
mh_sync_tick(struct mh_agent *g)
{
    struct mh_primary *p = &g->primary;
    bool stuck = (p->sync_step == LOADED || p->sync_step == MARKED) &&
                 mh_agent_now(g) - p->sync_since_ns >= PATIENCE_NS;
    if (stuck && begin(g))
        return;
    switch (p->sync_step) {
    case IDLE:
        /* More in the Lease than is in use: a write of it had an unknown outcome. */
        if (!begin(g) && g->know.lease.nconfigs > 1) {
            p->sync_step = MARKED;
            p->sync_since_ns = mh_agent_now(g);
            p->sync_marker = 0;
        }
        return;
    case LOADED:
        look_loaded(g);
        return;
    case MARKED:
        look_marked(g);
        return;
    default:
        return;
    }
}
