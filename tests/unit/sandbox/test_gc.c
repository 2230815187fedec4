/* Owners, finalizers of propagation, namespaces. */
#include "base/time.h"
#include "rest_help.h"

#define CMS "/api/v1/namespaces/default/configmaps"

/* A ConfigMap owned by those that are named; its uid, on the arena. */
static const char *
make(struct rig *rig, const char *name, const char *owner, const char *owner_uid)
{
    char body[512];
    char owners[256] = "";
    if (owner)
        snprintf(owners, sizeof(owners),
                 ",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":"
                 "\"%s\",\"uid\":\"%s\",\"blockOwnerDeletion\":true}]",
                 owner, owner_uid);
    snprintf(body, sizeof(body), "{\"metadata\":{\"name\":\"%s\"%s}}", name, owners);
    ask(rig, "POST", CMS, body);
    CHECK_INT(rig->status, 201);
    return got(rig, "metadata.uid");
}

static int
there(struct rig *rig, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), CMS "/%s", name);
    ask(rig, "GET", path, NULL);
    return rig->status == 200;
}

TEST(dependents_follow_their_owner)
{
    struct rig rig;
    rig_open(&rig, NULL);
    const char *a = make(&rig, "a", NULL, NULL);
    const char *b = make(&rig, "b", "a", a);
    make(&rig, "c", "b", b);
    make(&rig, "d", NULL, NULL);
    tw_advance(rig.tw, MH_NS_PER_S);
    CHECK(there(&rig, "c"));
    ask(&rig, "DELETE", CMS "/a", NULL);
    tw_advance(rig.tw, MH_NS_PER_S);
    CHECK(!there(&rig, "a") && !there(&rig, "b") && !there(&rig, "c") && there(&rig, "d"));
    rig_close(&rig);
}

TEST(an_object_whose_owner_never_was_goes)
{
    struct rig rig;
    rig_open(&rig, NULL);
    make(&rig, "a", "nobody", "11111111-2222-3333-4444-555555555555");
    tw_advance(rig.tw, MH_NS_PER_S);
    CHECK(!there(&rig, "a"));
    rig_close(&rig);
}

TEST(a_foreground_deletion_waits_for_dependents)
{
    struct rig rig;
    rig_open(&rig, NULL);
    const char *a = make(&rig, "a", NULL, NULL);
    make(&rig, "b", "a", a);
    patch(&rig, "application/merge-patch+json", CMS "/b",
          "{\"metadata\":{\"finalizers\":[\"x.io/hold\"]}}");
    ask(&rig, "DELETE", CMS "/a", "{\"propagationPolicy\":\"Foreground\"}");
    CHECK_INT(rig.status, 200);
    CHECK_STR(got(&rig, "metadata.finalizers.0"), "foregroundDeletion");
    tw_advance(rig.tw, MH_NS_PER_S);
    CHECK(there(&rig, "a") && there(&rig, "b"));
    ask(&rig, "GET", CMS "/b", NULL);
    CHECK(got(&rig, "metadata.deletionTimestamp") != NULL);
    patch(&rig, "application/merge-patch+json", CMS "/b", "{\"metadata\":{\"finalizers\":null}}");
    tw_advance(rig.tw, MH_NS_PER_S);
    CHECK(!there(&rig, "a") && !there(&rig, "b"));
    rig_close(&rig);
}

TEST(an_orphaning_deletion_leaves_dependents)
{
    struct rig rig;
    rig_open(&rig, NULL);
    const char *a = make(&rig, "a", NULL, NULL);
    make(&rig, "b", "a", a);
    ask(&rig, "DELETE", CMS "/a", "{\"propagationPolicy\":\"Orphan\"}");
    tw_advance(rig.tw, MH_NS_PER_S);
    CHECK(!there(&rig, "a") && there(&rig, "b"));
    ask(&rig, "GET", CMS "/b", NULL);
    CHECK(got(&rig, "metadata.ownerReferences") == NULL);
    rig_close(&rig);
}

TEST(a_namespace_ends_when_it_is_empty)
{
    struct rig rig;
    rig_open(&rig, NULL);
    ask(&rig, "POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"n\"}}");
    CHECK_STR(got(&rig, "metadata.labels"), "{\"kubernetes.io/metadata.name\":\"n\"}");
    CHECK_STR(got(&rig, "status.phase"), "Active");
    ask(&rig, "POST", "/api/v1/namespaces/n/configmaps",
        "{\"metadata\":{\"name\":\"a\",\"finalizers\":[\"x.io/hold\"]}}");
    ask(&rig, "POST", "/api/v1/namespaces/n/secrets", "{\"metadata\":{\"name\":\"s\"}}");
    ask(&rig, "DELETE", "/api/v1/namespaces/n", NULL);
    CHECK_STR(got(&rig, "status.phase"), "Terminating");
    ask(&rig, "POST", "/api/v1/namespaces/n/secrets", "{\"metadata\":{\"name\":\"t\"}}");
    CHECK_INT(rig.status, 403);
    tw_advance(rig.tw, 2 * MH_NS_PER_S);
    ask(&rig, "GET", "/api/v1/namespaces/n/secrets/s", NULL);
    CHECK_INT(rig.status, 404);
    ask(&rig, "GET", "/api/v1/namespaces/n", NULL);
    CHECK_INT(rig.status, 200);
    patch(&rig, "application/merge-patch+json", "/api/v1/namespaces/n/configmaps/a",
          "{\"metadata\":{\"finalizers\":null}}");
    tw_advance(rig.tw, 2 * MH_NS_PER_S);
    ask(&rig, "GET", "/api/v1/namespaces/n", NULL);
    CHECK_INT(rig.status, 404);
    rig_close(&rig);
}
