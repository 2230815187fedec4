/* deploy.c - Deployments: one ReplicaSet for each template, and the way from one to the next. */
#include <stdlib.h>
#include <string.h>

#include "sandbox/deploy_in.h"

#define COMPONENT "deployment-controller"

struct rollout {
    struct mh_sb_task *t;
    yyjson_val *d;
    struct mh_sb_item **sets; /* all of its own, oldest revision first */
    size_t n;
    yyjson_val *now; /* the set of today's template; NULL: not there yet */
    int64_t want;
    int64_t surge, unavailable;
    char hash[16];
};

/* --- reading --------------------------------------------------------------------------------- */

static int64_t
revision(yyjson_val *o)
{
    int64_t n = 0;
    const char *s = mh_json_str(o, "metadata", "annotations", MH_SB_REVISION, NULL);
    return s && mh_str_int(s, 0, INT64_MAX, &n) ? n : 0;
}

static int
by_revision(const void *x, const void *y)
{
    yyjson_val *a = (*(struct mh_sb_item *const *)x)->object;
    yyjson_val *b = (*(struct mh_sb_item *const *)y)->object;
    int64_t ra = revision(a), rb = revision(b);
    return ra != rb ? (ra < rb ? -1 : 1) : strcmp(mh_sb_name(a), mh_sb_name(b));
}

static int64_t
replicas(yyjson_val *set)
{
    return mh_json_int(set, 1, "spec", "replicas", NULL);
}

/* "25%" or 3 of `of`. */
static int64_t
share(yyjson_val *v, int64_t of, bool up, int64_t absent)
{
    const char *s = yyjson_get_str(v);
    int64_t percent;
    char number[16];
    if (yyjson_is_int(v))
        return yyjson_get_int(v);
    if (!s || !mh_str_ends(s, "%") || strlen(s) >= sizeof(number))
        return absent;
    mh_str_copy(number, strlen(s), s);
    if (!mh_str_int(number, 0, 1000, &percent))
        return absent;
    return (percent * of + (up ? 99 : 0)) / 100;
}

/* The template without the label that we add, as comparable text. */
static const char *
template_text(struct mh_sb_task *t, yyjson_val *o)
{
    yyjson_mut_doc *d = mh_json_doc(&t->arena);
    yyjson_mut_val *v = d ? yyjson_val_mut_copy(d, mh_json_get(o, "spec", "template", NULL)) : NULL;
    yyjson_mut_val *meta = yyjson_mut_obj_get(v, "metadata");
    (void)yyjson_mut_obj_remove_key(yyjson_mut_obj_get(meta, "labels"), MH_SB_HASH);
    (void)yyjson_mut_obj_remove_key(meta, "creationTimestamp");
    yyjson_val *parsed = NULL;
    size_t len;
    char *text = v ? mh_json_mut_text(&t->arena, v, &len) : NULL;
    if (!text || mh_json_parse(&t->arena, text, len, &parsed, NULL) != MH_OK)
        return NULL;
    return mh_json_canonical(&t->arena, parsed, NULL);
}

static void
hash_of(char out[16], const char *text, int64_t collisions)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    uint64_t h = 14695981039346656037ULL ^ (uint64_t)collisions;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211ULL;
    for (int i = 0; i < 10; i++) {
        out[i] = letters[h % (sizeof(letters) - 1)];
        h /= sizeof(letters) - 1;
    }
    out[10] = '\0';
}

static bool
observe(struct rollout *r)
{
    struct mh_sb_task *t = r->t;
    const char *own = template_text(t, r->d);
    r->sets = mh_sb_owned(t, MH_SB_REPLICASETS, r->d, &r->n);
    if (!own || !r->sets) {
        mh_sb_failed(t);
        return false;
    }
    qsort(r->sets, r->n, sizeof(*r->sets), by_revision);
    for (size_t i = 0; i < r->n; i++) {
        if (mh_str_eq(template_text(t, r->sets[i]->object), own) && !r->now)
            r->now = r->sets[i]->object;
    }
    r->want = replicas(r->d);
    hash_of(r->hash, own, mh_json_int(r->d, 0, "status", "collisionCount", NULL));
    yyjson_val *rolling = mh_json_get(r->d, "spec", "strategy", "rollingUpdate", NULL);
    r->surge = share(yyjson_obj_get(rolling, "maxSurge"), r->want, true, (r->want + 3) / 4);
    r->unavailable = share(yyjson_obj_get(rolling, "maxUnavailable"), r->want, false, r->want / 4);
    if (r->surge == 0 && r->unavailable == 0)
        r->unavailable = 1;
    return true;
}

/* --- sets ------------------------------------------------------------------------------------ */

/* The template with our label, for a new set. */
static const char *
labelled_template(struct rollout *r)
{
    struct mh_sb_task *t = r->t;
    yyjson_mut_doc *d = mh_json_doc(&t->arena);
    yyjson_mut_val *v =
        d ? yyjson_val_mut_copy(d, mh_json_get(r->d, "spec", "template", NULL)) : NULL;
    yyjson_mut_val *meta = yyjson_mut_obj_get(v, "metadata");
    yyjson_mut_val *labels = yyjson_mut_obj_get(meta, "labels");
    if (!labels ||
        !yyjson_mut_obj_put(labels, yyjson_mut_str(d, MH_SB_HASH), yyjson_mut_strcpy(d, r->hash)))
        return NULL;
    return mh_json_mut_text(&t->arena, v, NULL);
}

static const char *
labelled(struct mh_sb_task *t, yyjson_val *labels, const char *hash)
{
    yyjson_mut_doc *d = mh_json_doc(&t->arena);
    yyjson_mut_val *v = d && labels ? yyjson_val_mut_copy(d, labels) : d ? yyjson_mut_obj(d) : NULL;
    if (!v || !yyjson_mut_obj_put(v, yyjson_mut_str(d, MH_SB_HASH), yyjson_mut_strcpy(d, hash)))
        return NULL;
    return mh_json_mut_text(&t->arena, v, NULL);
}

static void
create_set(struct rollout *r, int64_t count, int64_t number)
{
    struct mh_sb_task *t = r->t;
    yyjson_val *selector = mh_json_get(r->d, "spec", "selector", NULL);
    const char *template = labelled_template(r);
    const char *labels =
        labelled(t, mh_json_get(r->d, "spec", "template", "metadata", "labels", NULL), r->hash);
    const char *match = labelled(t, yyjson_obj_get(selector, "matchLabels"), r->hash);
    yyjson_val *expressions = yyjson_obj_get(selector, "matchExpressions");
    if (!template || !labels || !match) {
        mh_sb_failed(t);
        return;
    }
    mh_sb_ctl_write(
        t, "POST", mh_sb_path(t->c, &t->arena, MH_SB_REPLICASETS, t->ns, NULL, NULL), NULL,
        mh_sb_text(
            t,
            "{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"metadata\":{\"name\":"
            "\"%s-%s\",\"namespace\":%s,\"labels\":%s,\"annotations\":{"
            "\"deployment.kubernetes.io/desired-replicas\":\"%lld\","
            "\"deployment.kubernetes.io/max-replicas\":\"%lld\",\"" MH_SB_REVISION
            "\":\"%lld\"},\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":"
            "\"Deployment\",\"name\":%s,\"uid\":%s,\"controller\":true,"
            "\"blockOwnerDeletion\":true}]},\"spec\":{\"replicas\":%lld,"
            "\"minReadySeconds\":%lld,\"selector\":{\"matchLabels\":%s%s%s},\"template\":%s}}",
            t->name, r->hash, mh_sb_quote(t, t->ns), labels, (long long)r->want,
            (long long)(r->want + r->surge), (long long)number, mh_sb_quote(t, t->name),
            mh_sb_quote(t, mh_sb_uid_of(r->d)), (long long)count,
            (long long)mh_json_int(r->d, 0, "spec", "minReadySeconds", NULL), match,
            expressions ? ",\"matchExpressions\":" : "",
            expressions ? mh_sb_json(t, expressions) : "", template));
    char note[400];
    (void)snprintf(note, sizeof(note), "Scaled up replica set %s-%s from 0 to %lld", t->name,
                   r->hash, (long long)count);
    if (count > 0)
        mh_sb_event(t->c, COMPONENT, r->d, "Normal", "ScalingReplicaSet", note);
}

static void
scale_set(struct rollout *r, yyjson_val *set, int64_t count)
{
    struct mh_sb_task *t = r->t;
    int64_t had = replicas(set);
    char note[400];
    if (had == count)
        return;
    (void)snprintf(note, sizeof(note), "Scaled %s replica set %s from %lld to %lld",
                   count > had ? "up" : "down", mh_sb_name(set), (long long)had, (long long)count);
    mh_sb_event(t->c, COMPONENT, r->d, "Normal", "ScalingReplicaSet", note);
    mh_sb_ctl_write(
        t, "PATCH", mh_sb_path(t->c, &t->arena, MH_SB_REPLICASETS, t->ns, mh_sb_name(set), NULL),
        MH_PATCH_MERGE,
        mh_sb_text(t,
                   "{\"metadata\":{\"annotations\":{\"deployment.kubernetes.io/desired-replicas\":"
                   "\"%lld\",\"deployment.kubernetes.io/max-replicas\":\"%lld\"}},\"spec\":{"
                   "\"replicas\":%lld}}",
                   (long long)r->want, (long long)(r->want + r->surge), (long long)count));
}

static int64_t
sum(const struct rollout *r, const char *what)
{
    int64_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        n += mh_json_int(r->sets[i]->object, 0, "status", what, NULL);
    return n;
}

static int64_t
asked(const struct rollout *r)
{
    int64_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        n += replicas(r->sets[i]->object);
    return n;
}

/* Has every set seen what was asked of it? Before that its status counts nothing. */
static bool
seen(const struct rollout *r)
{
    for (size_t i = 0; i < r->n; i++) {
        yyjson_val *s = r->sets[i]->object;
        if (mh_json_int(s, 0, "status", "observedGeneration", NULL) <
            mh_json_int(s, 0, "metadata", "generation", NULL))
            return false;
    }
    return true;
}

/* --- strategies ------------------------------------------------------------------------------ */

static int64_t
most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t
least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Old pods go as far as enough stay available; unhealthy ones first. */
static void
shrink_old(struct rollout *r)
{
    int64_t new_bad =
        replicas(r->now) - mh_json_int(r->now, 0, "status", "availableReplicas", NULL);
    int64_t may = asked(r) - (r->want - r->unavailable) - most(new_bad, 0);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < r->n && may > 0; i++) {
            yyjson_val *s = r->sets[i]->object;
            int64_t has = replicas(s);
            int64_t good = mh_json_int(s, 0, "status", "availableReplicas", NULL);
            int64_t take = pass == 0 ? most(has - good, 0) : least(has, good);
            if (pass == 1 && r->t->open > 0)
                return; /* the healthy ones after the others */
            if (s == r->now || has == 0 || take == 0)
                continue;
            take = least(take, may);
            scale_set(r, s, has - take);
            may -= take;
        }
    }
}

static void
roll(struct rollout *r)
{
    int64_t has = replicas(r->now), total = asked(r);
    if (has > r->want) {
        scale_set(r, r->now, r->want);
    } else if (has < r->want && total < r->want + r->surge) {
        scale_set(r, r->now, has + least(r->want + r->surge - total, r->want - has));
    } else if (total > has && seen(r)) {
        shrink_old(r);
    }
}

/* All old pods go, then the new ones come. */
static void
recreate(struct rollout *r)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->sets[i]->object != r->now)
            scale_set(r, r->sets[i]->object, 0);
    }
    if (r->t->open > 0 || !seen(r))
        return;
    for (size_t i = 0; i < mh_sb_count(r->t->c, MH_SB_PODS); i++) {
        yyjson_val *pod = mh_sb_at(r->t->c, MH_SB_PODS, i)->object;
        const char *by = mh_json_str(mh_sb_controller(pod), "uid", NULL);
        for (size_t k = 0; k < r->n; k++) {
            yyjson_val *set = r->sets[k]->object;
            if (set != r->now && mh_str_eq(by, mh_sb_uid_of(set)) && !mh_sb_pod_finished(pod)) {
                mh_sb_again(r->t, 50 * MH_NS_PER_MS);
                return;
            }
        }
    }
    if (r->now)
        scale_set(r, r->now, r->want);
}

/* Sets of old templates that nobody needs to go back to. */
static void
clean(struct rollout *r)
{
    int64_t limit = mh_json_int(r->d, 10, "spec", "revisionHistoryLimit", NULL), old = 0;
    for (size_t i = 0; i < r->n; i++)
        old += r->sets[i]->object != r->now && !r->sets[i]->doomed;
    for (size_t i = 0; i < r->n && old > limit; i++) {
        yyjson_val *s = r->sets[i]->object;
        if (s == r->now || replicas(s) > 0 || mh_json_int(s, 0, "status", "replicas", NULL) > 0 ||
            r->sets[i]->doomed || mh_sb_is_going(s))
            continue;
        mh_sb_ctl_delete(r->t, MH_SB_REPLICASETS, s, -1);
        old--;
    }
}

static int64_t
last_revision(const struct rollout *r)
{
    int64_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        n = most(n, revision(r->sets[i]->object));
    return n;
}

/* Today's set has the highest revision, and the Deployment says which that is. */
static void
number(struct rollout *r)
{
    struct mh_sb_task *t = r->t;
    int64_t last = last_revision(r), own = revision(r->now);
    if (own < last) {
        own = last + 1;
        mh_sb_ctl_write(
            t, "PATCH",
            mh_sb_path(t->c, &t->arena, MH_SB_REPLICASETS, t->ns, mh_sb_name(r->now), NULL),
            MH_PATCH_MERGE,
            mh_sb_text(t, "{\"metadata\":{\"annotations\":{\"" MH_SB_REVISION "\":\"%lld\"}}}",
                       (long long)own));
    }
    if (revision(r->d) != own)
        mh_sb_ctl_write(
            t, "PATCH", mh_sb_path(t->c, &t->arena, MH_SB_DEPLOYMENTS, t->ns, t->name, NULL),
            MH_PATCH_MERGE,
            mh_sb_text(t, "{\"metadata\":{\"annotations\":{\"" MH_SB_REVISION "\":\"%lld\"}}}",
                       (long long)own));
}

/* --- status ---------------------------------------------------------------------------------- */

static struct mh_sb_cond
progress(struct rollout *r, int64_t updated, int64_t total, int64_t available)
{
    struct mh_sb_task *t = r->t;
    struct mh_sb_cond out = { .type = "Progressing", .status = "True", .update_time = true };
    yyjson_val *old = mh_sb_condition_of(r->d, "Progressing");
    const char *set = r->now ? mh_sb_name(r->now) : t->name;
    int64_t limit = mh_json_int(r->d, 600, "spec", "progressDeadlineSeconds", NULL);
    bool complete = updated == r->want && total == r->want && available == r->want;
    bool moved = updated != mh_json_int(r->d, 0, "status", "updatedReplicas", NULL) ||
                 available > mh_json_int(r->d, 0, "status", "availableReplicas", NULL) ||
                 total - updated < mh_json_int(r->d, 0, "status", "replicas", NULL) -
                                       mh_json_int(r->d, 0, "status", "updatedReplicas", NULL);
    const char *reason = mh_json_str(old, "reason", NULL);
    int64_t since = mh_sb_when(yyjson_obj_get(old, "lastUpdateTime"), mh_sb_wall_s(t->c));
    out.reason = reason ? reason : "NewReplicaSetCreated";
    out.message = mh_json_str(old, "message", NULL);
    if (complete && r->now) {
        out.reason = "NewReplicaSetAvailable";
        out.message = mh_sb_text(t, "ReplicaSet \"%s\" has successfully progressed.", set);
    } else if (moved || !old || mh_str_eq(reason, "NewReplicaSetAvailable")) {
        out.reason = r->now && old ? "ReplicaSetUpdated" : "NewReplicaSetCreated";
        out.message = r->now && old ? mh_sb_text(t, "ReplicaSet \"%s\" is progressing.", set)
                                    : mh_sb_text(t, "Created new replica set \"%s\"", set);
    } else if (mh_sb_wall_s(t->c) - since >= limit) {
        out.status = "False";
        out.reason = "ProgressDeadlineExceeded";
        out.message = mh_sb_text(t, "ReplicaSet \"%s\" has timed out progressing.", set);
    } else {
        mh_sb_again(t, (since + limit - mh_sb_wall_s(t->c)) * MH_NS_PER_S);
    }
    return out;
}

static void
tell_status(struct rollout *r)
{
    struct mh_sb_task *t = r->t;
    int64_t total = sum(r, "replicas"), ready = sum(r, "readyReplicas");
    int64_t available = sum(r, "availableReplicas");
    int64_t updated = mh_json_int(r->now, 0, "status", "replicas", NULL);
    bool enough = available >= r->want - r->unavailable;
    struct mh_sb_cond changes[2] = {
        [1] = { .type = "Available",
                .status = enough ? "True" : "False",
                .reason = enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
                .message = enough ? "Deployment has minimum availability."
                                  : "Deployment does not have minimum "
                                    "availability.",
                .update_time = true }
    };
    changes[0] = progress(r, updated, total, available);
    mh_sb_put_status(
        t, MH_SB_DEPLOYMENTS, r->d,
        mh_sb_text(t,
                   "{\"observedGeneration\":%lld,\"replicas\":%lld,\"updatedReplicas\":%lld,"
                   "\"readyReplicas\":%lld,\"availableReplicas\":%lld,\"unavailableReplicas\":%lld,"
                   "\"conditions\":%s}",
                   (long long)mh_json_int(r->d, 0, "metadata", "generation", NULL),
                   (long long)total, (long long)updated, (long long)ready, (long long)available,
                   (long long)most(r->want - available, 0), mh_sb_conditions(t, r->d, changes, 2)));
}

/* --- the worker ------------------------------------------------------------------------------ */

static void
advance(struct rollout *r)
{
    bool again = mh_str_eq(mh_json_str(r->d, "spec", "strategy", "type", NULL), "Recreate");
    bool paused = mh_json_bool(r->d, false, "spec", "paused", NULL);
    if (!r->now) {
        int64_t room = most(r->want + r->surge - asked(r), 0);
        if (!paused)
            create_set(r, again && r->n > 0 ? 0 : least(r->want, room), last_revision(r) + 1);
        return;
    }
    if (paused) {
        if (asked(r) != r->want && r->n == 1)
            scale_set(r, r->now, r->want);
        return;
    }
    number(r);
    if (again)
        recreate(r);
    else
        roll(r);
    clean(r);
}

void
mh_sb_deployment_sync(struct mh_sb_task *t)
{
    struct rollout r = { .t = t, .d = mh_sb_object(t->c, MH_SB_DEPLOYMENTS, t->ns, t->name) };
    if (!r.d || mh_sb_is_going(r.d) || !observe(&r))
        return;
    advance(&r);
    if (t->open == 0)
        tell_status(&r);
}

MH_SB_HOOK(mh_sb_deployment_hook)
{
    (void)old;
    if (now)
        mh_sb_touch_object(c, MH_SB_W_DEPLOYMENT, now);
}
