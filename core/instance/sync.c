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

void
mh_sync_adopt(struct mh_agent *g)
{
    struct mh_arena a;
    struct mh_ha_config wanted;
    const char *text = "";
    mh_arena_init(&a, 1 << 20);
    g->primary.sync_step = IDLE;
    if (!mh_conf_sync_wanted(g, &a, &wanted, &text) || !adopt(g, &wanted, text))
        mh_error("sync", "the synchronous set cannot be computed: the former one stays");
    mh_arena_release(&a);
}

static void
on_union(struct mh_agent *g, bool ok)
{
    struct mh_err err;
    bool changed = false;
    if (g->primary.sync_step != UNION)
        return;
    if (!ok) {
        g->primary.sync_step = IDLE;
        return;
    }
    struct mh_primary *p = &g->primary;
    bool from_none = p->sync.number == 0 && p->sync_next.number > 0;
    /* Exactly what was published, whatever is wanted by now. */
    if (!adopt(g, &p->sync_next, p->next_text)) {
        p->sync_step = IDLE;
        return;
    }
    p->barrier = !from_none;
    p->barrier_asked = false;
    p->sync_step = LOADED;
    p->sync_marker = 0;
    if (mh_conf_write(g, &changed, &err)) {
        mh_agent_fail(g, err.msg);
        g->conf_dirty = true;
    }
    mh_postmaster_reload(g);
    mh_info("sync", "synchronous standbys changed", "names", g->primary.sync_text);
}

static void
on_closed(struct mh_agent *g, bool ok)
{
    if (g->primary.sync_step == CLOSING)
        g->primary.sync_step = ok ? IDLE : MARKED;
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

/* Backends wait for standbys only after the checkpointer has read the new names; it reads them before
 * it begins a checkpoint that was asked for. */
static void
on_barrier(struct mh_agent *g, bool ok)
{
    g->primary.barrier = ok;
    g->primary.barrier_asked = ok;
    mh_agent_wake(g);
}

static void
begin(struct mh_agent *g)
{
    struct mh_primary *p = &g->primary;
    struct mh_arena a;
    struct mh_ha_config both[2];
    const char *text = "";
    mh_arena_init(&a, 1 << 20);
    both[0] = p->sync;
    bool read = mh_conf_sync_wanted(g, &a, &both[1], &text);
    bool same = read && mh_ha_config_equal(&both[0], &both[1]) && strcmp(text, p->sync_text) == 0;
    if (read && !same && keep_next(p, &both[1], text)) {
        p->sync_step = UNION;
        if (!mh_primary_swap(g, both, 2, on_union))
            p->sync_step = IDLE;
    }
    mh_arena_release(&a);
}

void
mh_sync_tick(struct mh_agent *g)
{
    struct mh_primary *p = &g->primary;
    switch (p->sync_step) {
    case IDLE:
        begin(g);
        return;
    case UNION:
    case CLOSING:
        return;
    case LOADED:
        /* The session that answers has the new text: so had every walsender's reload time. */
        if (strcmp(g->pg.sync_names, p->sync_text) != 0)
            return;
        if (!p->barrier) {
            if (!p->barrier_asked)
                mh_slow_sql(g, "checkpoint", on_barrier);
            p->barrier_asked = true;
            return;
        }
        p->sync_marker = g->pg.flush_lsn;
        p->replication_ns = 0;
        p->sync_step = MARKED;
        return;
    case MARKED:
        mh_replication_look(g, 100 * MH_NS_PER_MS);
        if (p->sync.number > 0 && mh_replication_past(g, &p->sync, p->sync_marker) < p->sync.number)
            return;
        p->sync_step = CLOSING;
        if (!mh_primary_swap(g, &p->sync, p->sync.number > 0 || p->sync.nnames > 0, on_closed))
            p->sync_step = MARKED;
        return;
    default:
        return;
    }
}
