#include "ha/self.h"

#include <string.h>

#include "base/str.h"

static const char *const order_names[] = { "wait",  "claim",    "serve", "follow",
                                           "fence", "stepdown", "quit",  "halt" };

const char *
mh_ha_order_name(enum mh_ha_order order)
{
    return order_names[order];
}

static void
give(struct mh_ha_self_out *out, enum mh_ha_order order, uint64_t term, const char *reason)
{
    *out = (struct mh_ha_self_out){ .order = order, .term = term, .reason = reason };
}

static void
follow(const struct mh_ha_self_in *in, struct mh_ha_self_out *out, uint64_t term)
{
    give(out, MH_HA_FOLLOW, term, "another instance holds the lease");
    out->address = in->lease->address;
    out->follow = in->lease->holder;
}

static bool
is_primary_now(const struct mh_ha_self_in *in)
{
    return in->running && in->role == MH_HA_PRIMARY;
}

static bool
is_set(const char *s)
{
    return s && *s;
}

/* The Lease names this volume, and the term that it served last; or its own claim of the first term,
 * whose outcome stayed unknown. */
static bool
is_own_log(const struct mh_ha_self_in *in)
{
    const struct mh_ha_lease *l = in->lease;
    bool claimed = l->term == 1 && in->own.term == 0 && in->own.promise <= 1;
    return is_set(in->own.incarnation) && mh_str_eq(l->incarnation, in->own.incarnation) &&
           (in->own.term == l->term || claimed);
}

/* Nobody holds the Lease. */
static void
without_holder(const struct mh_ha_self_in *in, struct mh_ha_self_out *out)
{
    /* A promise of term 1 without data of it is a claim that was not answered (A5). */
    if (in->own.term > 0 || in->own.promise > 1 || in->lease->term > 0) {
        /* H4: the Lease was removed. A running primary goes on (rule: no restart for a lost Lease),
         * a stopped one does not start. */
        give(out, MH_HA_WAIT, in->own.promise,
             "the lease has no holder, but this volume has seen a term: waiting for the operator");
        return;
    }
    if (in->has_data && in->data_primary)
        give(out, MH_HA_CLAIM, 1, "first primary of a new cluster");
    else
        give(out, MH_HA_WAIT, in->own.promise, "no primary yet");
}

static void
as_holder(const struct mh_ha_self_in *in, struct mh_ha_self_out *out)
{
    const struct mh_ha_lease *l = in->lease;
    if (!in->has_data) {
        give(out, MH_HA_HALT, l->term, "the lease names this instance, but its volume is empty");
        return;
    }
    switch (l->phase) {
    case MH_HA_PROMOTING:
        /* Elected. The log that was elected is this volume's: it promised the term before. */
        if (l->incarnation && *l->incarnation && !mh_str_eq(l->incarnation, in->own.incarnation)) {
            give(out, is_primary_now(in) ? MH_HA_QUIT : MH_HA_HALT, l->term,
                 "this instance was elected, but with another volume");
            return;
        }
        give(out, MH_HA_SERVE, l->term, "elected");
        out->adopt = is_primary_now(in);
        return;
    case MH_HA_STABLE:
    case MH_HA_SUSPECT:
        /* The claim of term 1 is stored as a promise; the data is of term 1 from its first start. */
        if (is_primary_now(in) && is_set(in->pod_uid) && is_set(l->holder_uid) &&
            strcmp(in->pod_uid, l->holder_uid) != 0) {
            /* A newer pod of this name has taken over (D14). */
            give(out, MH_HA_QUIT, l->term, "the lease names another pod of this name");
        } else if (is_own_log(in)) {
            give(out, MH_HA_SERVE, l->term, "holds the lease");
        } else {
            /* Another volume under the same name (E10, E12, D14): whoever served this term, it was
             * not this data. */
            give(out, is_primary_now(in) ? MH_HA_QUIT : MH_HA_HALT, l->term,
                 "the lease names this instance, but with another volume or term");
        }
        return;
    case MH_HA_SWITCHING:
        give(out, MH_HA_STEPDOWN, l->term, "hands over");
        return;
    case MH_HA_FENCING:
        give(out, MH_HA_QUIT, l->term, "a new term is being decided");
        return;
    }
}

static void
as_other(const struct mh_ha_self_in *in, struct mh_ha_self_out *out)
{
    const struct mh_ha_lease *l = in->lease;
    switch (l->phase) {
    case MH_HA_FENCING:
        if (is_primary_now(in)) {
            give(out, MH_HA_QUIT, l->term, "a new term is being decided");
            return;
        }
        give(out, MH_HA_FENCE, l->term, "a new term is being decided");
        if (mh_str_eq(l->candidate, in->name))
            out->address = l->address; /* preferred: fetch the rest of the log */
        return;
    case MH_HA_SWITCHING:
        /* The log's end must still reach this standby: it stays with the old term until then. */
        if (is_primary_now(in)) {
            give(out, MH_HA_QUIT, l->term, "another instance holds the lease");
            return;
        }
        follow(in, out, l->term - 1 > in->own.promise ? l->term - 1 : in->own.promise);
        return;
    case MH_HA_STABLE:
    case MH_HA_SUSPECT:
    case MH_HA_PROMOTING:
        if (is_primary_now(in))
            give(out, MH_HA_QUIT, l->term, "another instance holds the lease");
        else
            follow(in, out, l->term);
        return;
    }
}

void
mh_ha_self(const struct mh_ha_self_in *in, struct mh_ha_self_out *out)
{
    const struct mh_ha_lease *l = in->lease;
    if (!l) {
        give(out, MH_HA_WAIT, in->own.promise, "the lease was not read yet");
        return;
    }
    if (in->own.cluster_uid[0] && strcmp(in->own.cluster_uid, in->cluster_uid) != 0) {
        give(out, MH_HA_HALT, 0, "the volume belongs to another cluster");
        return;
    }
    if (!l->exists || !l->holder) {
        without_holder(in, out);
        return;
    }
    if (l->term < in->own.promise) {
        /* A17: the API server went back in time. A running primary of the promised term goes on; no
         * one is started or promoted. */
        give(out, MH_HA_WAIT, in->own.promise, "the lease is older than this volume's promise");
        return;
    }
    if (mh_str_eq(l->holder, in->name))
        as_holder(in, out);
    else
        as_other(in, out);
}

char *
mh_ha_term_text(struct mh_arena *a, const struct mh_ha_term *t)
{
    yyjson_mut_doc *d = mh_json_doc(a);
    yyjson_mut_val *root = d ? yyjson_mut_obj(d) : NULL;
    yyjson_mut_val *made = root ? mh_ha_makers_json(d, &t->makers) : NULL;
    if (!made || !yyjson_mut_obj_add_uint(d, root, "promise", t->promise) ||
        !yyjson_mut_obj_add_uint(d, root, "term", t->term) ||
        !yyjson_mut_obj_add_str(d, root, "incarnation", t->incarnation) ||
        !yyjson_mut_obj_add_str(d, root, "cluster", t->cluster_uid) ||
        !yyjson_mut_obj_add_val(d, root, "timelines", made))
        return NULL;
    const char *text = mh_json_mut_text(a, root, NULL);
    return text ? mh_arena_printf(a, "%s\n", text) : NULL;
}

bool
mh_ha_term_read(struct mh_arena *a, const char *text, size_t len, struct mh_ha_term *out)
{
    yyjson_val *v = NULL;
    *out = (struct mh_ha_term){ 0 };
    if (mh_json_parse(a, text, len, &v, NULL))
        return false;
    int64_t promise = mh_json_int(v, -1, "promise", NULL);
    int64_t term = mh_json_int(v, -1, "term", NULL);
    const char *incarnation = mh_json_str(v, "incarnation", NULL);
    const char *cluster = mh_json_str(v, "cluster", NULL);
    if (promise < 0 || term < 0 || !incarnation || !cluster)
        return false;
    out->promise = (uint64_t)promise;
    out->term = (uint64_t)term;
    mh_str_copy(out->incarnation, sizeof(out->incarnation), incarnation);
    mh_str_copy(out->cluster_uid, sizeof(out->cluster_uid), cluster);
    mh_ha_makers_read(mh_json_get(v, "timelines", NULL), &out->makers);
    return true;
}
