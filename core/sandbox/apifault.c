#include "sandbox/apifault.h"

#include <fnmatch.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/auth.h"

static const char *const names[] = { "none",     "down",  "slow", "conflict",
                                     "throttle", "error", "lose", "stale" };

void
mh_sb_faults_init(struct mh_sb_faults *f, struct mh_clock clock, struct mh_rand rand)
{
    *f = (struct mh_sb_faults){ .clock = clock, .rand = rand };
}

enum mh_sb_fault_kind
mh_sb_fault_kind_of(const char *name)
{
    for (size_t i = 1; i < sizeof(names) / sizeof(names[0]); i++)
        if (mh_str_eq(names[i], name))
            return (enum mh_sb_fault_kind)i;
    return MH_SB_FAULT_NONE;
}

const char *
mh_sb_fault_name(enum mh_sb_fault_kind kind)
{
    return names[kind];
}

static void
changed(struct mh_sb_faults *f)
{
    if (f->on_change)
        f->on_change(f->arg);
}

int
mh_sb_faults_add(struct mh_sb_faults *f, const struct mh_sb_fault *fault)
{
    if (f->len == MH_SB_FAULTS_MAX)
        return 0;
    struct mh_sb_fault *item = &f->items[f->len++];
    *item = *fault;
    item->id = ++f->last_id;
    if (item->percent < 1 || item->percent > 100)
        item->percent = 100;
    int id = item->id;
    changed(f);
    return id;
}

int
mh_sb_faults_remove(struct mh_sb_faults *f, int id)
{
    int kept = 0, removed = 0;
    for (int i = 0; i < f->len; i++) {
        if (id == 0 || f->items[i].id == id)
            removed++;
        else
            f->items[kept++] = f->items[i];
    }
    f->len = kept;
    if (removed)
        changed(f);
    return removed;
}

/* Does this kind of fault concern such requests at all? */
static bool
concerns(enum mh_sb_fault_kind kind, bool write, bool watch)
{
    switch (kind) {
    case MH_SB_FAULT_CONFLICT:
        return write;
    case MH_SB_FAULT_LOSE:
        return watch;
    case MH_SB_FAULT_STALE:
        return !write && !watch;
    default:
        return true;
    }
}

static bool
dice(struct mh_sb_faults *f, int percent)
{
    unsigned short n;
    if (percent >= 100 || !f->rand.fill(f->rand.self, &n, sizeof(n)))
        return true;
    return n % 100 < percent;
}

const struct mh_sb_fault *
mh_sb_faults_meet(struct mh_sb_faults *f, const char *user, const char *resource, bool write,
                  bool watch)
{
    int64_t now = f->len ? f->clock.mono_ns(f->clock.self) : 0;
    for (int i = 0; i < f->len; i++) {
        struct mh_sb_fault *item = &f->items[i];
        if (item->until_ns && item->until_ns <= now)
            continue;
        if (item->user[0] ? fnmatch(item->user, user, 0) != 0 : mh_str_eq(user, MH_SB_ADMIN))
            continue;
        if (item->resource[0] && strcmp(item->resource, resource) != 0)
            continue;
        if (!concerns(item->kind, write, watch) || !dice(f, item->percent))
            continue;
        item->hits++;
        return item;
    }
    return NULL;
}
