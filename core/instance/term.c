/* term.c - the durable promise: state_dir/term, replaced atomically and fsynced. */
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "instance/agent.h"

static void
path_of(const struct mh_agent *g, char out[MH_PATH])
{
    (void)snprintf(out, MH_PATH, "%s/term", g->id.state_dir);
}

/* A version 4 UUID. */
static bool
make_uuid(struct mh_agent *g, char out[37])
{
    unsigned char b[16];
    if (!g->w.rand.fill(g->w.rand.self, b, sizeof(b)))
        return false;
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    (void)snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                   b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
                   b[13], b[14], b[15]);
    return true;
}

static enum mh_code
store(struct mh_agent *g, const struct mh_ha_term *next, struct mh_err *err)
{
    struct mh_arena a;
    char path[MH_PATH];
    mh_arena_init(&a, 16384);
    char *text = mh_ha_term_text(&a, next);
    path_of(g, path);
    enum mh_code code =
        text ? g->w.fs.write(g->w.fs.self, path, text, strlen(text), 0600, true, NULL, err)
             : mh_fail(err, MH_E_NOMEM, "no memory for the term file");
    mh_arena_release(&a);
    if (code == MH_OK) {
        g->own = *next;
        mh_status_changed(g);
    }
    return code;
}

enum mh_code
mh_term_store(struct mh_agent *g, uint64_t promise, uint64_t term, struct mh_err *err)
{
    struct mh_ha_term next = g->own;
    const char *uid = mh_json_str(g->know.cluster, "metadata", "uid", NULL);
    /* I4: what was promised is never taken back. */
    next.promise = promise > next.promise ? promise : next.promise;
    next.term = term > next.term ? term : next.term;
    if (!next.incarnation[0] && !make_uuid(g, next.incarnation))
        return mh_fail(err, MH_E_UNAVAILABLE, "no randomness for the volume's identity");
    if (!next.cluster_uid[0] && uid)
        mh_str_copy(next.cluster_uid, sizeof(next.cluster_uid), uid);
    if (next.promise == g->own.promise && next.term == g->own.term &&
        strcmp(next.incarnation, g->own.incarnation) == 0 &&
        strcmp(next.cluster_uid, g->own.cluster_uid) == 0)
        return MH_OK;
    return store(g, &next, err);
}

enum mh_code
mh_term_made(struct mh_agent *g, uint32_t above, uint64_t term, struct mh_err *err)
{
    struct mh_ha_term next = g->own;
    const struct mh_ha_makers *m = &g->own.makers;
    if (m->n > 0 && m->list[m->n - 1].above == above && m->list[m->n - 1].term == term)
        return MH_OK;
    mh_ha_makers_add(&next.makers, above, term);
    return store(g, &next, err);
}

enum mh_code
mh_term_adopt(struct mh_agent *g, const struct mh_ha_makers *makers, struct mh_err *err)
{
    struct mh_ha_term next = g->own;
    if (makers->n == 0)
        return MH_OK;
    next.makers = *makers;
    return store(g, &next, err);
}

enum mh_code
mh_term_load(struct mh_agent *g, struct mh_err *err)
{
    struct mh_arena a;
    char path[MH_PATH];
    char *text = NULL;
    size_t len = 0;
    path_of(g, path);
    mh_arena_init(&a, 16384);
    enum mh_code code = g->w.fs.read(g->w.fs.self, &a, path, 4096, &text, &len, err);
    if (code == MH_E_NOTFOUND)
        code = MH_OK; /* a new volume */
    else if (code == MH_OK && !mh_ha_term_read(&a, text, len, &g->own))
        code = mh_fail(
            err, MH_E_INVALID,
            "%s cannot be read. HINT: this volume must not be used before somebody looked", path);
    mh_arena_release(&a);
    return code;
}
