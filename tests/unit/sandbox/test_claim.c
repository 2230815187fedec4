#include <sys/stat.h>
#include <unistd.h>

#include "control_world.h"
#include "sandbox/claim_dir.h"

#define CLAIM "/api/v1/namespaces/ns/persistentvolumeclaims/d"
#define VOLUMES "/api/v1/persistentvolumes/"

static char folder[64];

static struct tw *
start(int nodes)
{
    (void)snprintf(folder, sizeof(folder), "/tmp/mh-claim-%d", (int)getpid());
    (void)mkdir(folder, 0700);
    cw_data = folder;
    return cw_new(nodes);
}

static void
stop(struct tw *tw)
{
    bool left = true;
    struct mh_err err;
    cw_free(tw);
    while (left)
        CHECK(mh_sb_claim_dir_remove(folder, 100, &left, &err) == MH_OK);
}

static void
claim(struct tw *tw, const char *extra)
{
    char json[600];
    (void)snprintf(json, sizeof(json),
                   "{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolumeClaim\",\"metadata\":{"
                   "\"finalizers\":[\"kubernetes.io/pvc-protection\"]},\"spec\":{\"accessModes\":"
                   "[\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}%s},"
                   "\"status\":{\"phase\":\"Pending\"}}",
                   extra);
    tw_put(tw, CLAIM, json);
    cw_settle(tw);
}

static void
user(struct tw *tw, const char *name, const char *extra)
{
    char spec[500];
    (void)snprintf(spec, sizeof(spec),
                   "\"containers\":[{\"name\":\"c\"}],\"volumes\":[{\"name\":\"v\","
                   "\"persistentVolumeClaim\":{\"claimName\":\"d\"}}]%s",
                   extra);
    cw_pod(tw, name, "", spec);
    cw_settle(tw);
}

static const char *
node_of(struct tw *tw, const char *pod)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/ns/pods/%s", pod);
    return cw_text(tw, path, "spec", "nodeName");
}

static char *
volume_path(struct tw *tw)
{
    return mh_arena_printf(&tw->arena, VOLUMES "%s", cw_text(tw, CLAIM, "spec", "volumeName"));
}

TEST(a_claim_waits_for_its_pod_and_is_bound_where_that_runs)
{
    struct tw *tw = start(3);
    struct stat st;
    claim(tw, "");
    CHECK_STR(cw_text(tw, CLAIM, "spec", "storageClassName"), "standard");
    CHECK(cw_text(tw, CLAIM, "spec", "volumeName") == NULL);
    user(tw, "a", ",\"nodeSelector\":{\"kubernetes.io/hostname\":\"node2\"}");
    CHECK_STR(node_of(tw, "a"), "node2");
    CHECK_STR(cw_text(tw, CLAIM, "status", "phase"), "Bound");
    CHECK_STR(mh_json_str(tw_object(tw, CLAIM), "status", "capacity", "storage", NULL), "1Gi");
    yyjson_val *v = tw_object(tw, volume_path(tw));
    CHECK_STR(mh_json_str(v, "status", "phase", NULL), "Bound");
    const char *path = mh_json_str(v, "spec", "local", "path", NULL);
    CHECK(path && mh_str_starts(path, folder) && stat(path, &st) == 0 && S_ISDIR(st.st_mode));
    /* Whoever uses it later runs there too. */
    tw_remove(tw, "/api/v1/namespaces/ns/pods/a");
    cw_settle(tw);
    user(tw, "b", "");
    CHECK_STR(node_of(tw, "b"), "node2");
    user(tw, "c", ",\"nodeSelector\":{\"kubernetes.io/hostname\":\"node1\"}");
    CHECK(node_of(tw, "c") == NULL);
    stop(tw);
}

TEST(a_used_claim_stays_until_its_pod_is_gone_and_its_files_go_with_it)
{
    struct tw *tw = start(1);
    struct stat st;
    claim(tw, "");
    user(tw, "a", "");
    yyjson_val *v = tw_object(tw, volume_path(tw));
    char *path = mh_arena_strdup(&tw->arena, mh_json_str(v, "spec", "local", "path", NULL));
    char *sub = mh_arena_printf(&tw->arena, "%s/pgdata", path);
    CHECK(mkdir(sub, 0700) == 0);
    for (int i = 0; i < 1200; i++) {
        FILE *f = fopen(mh_arena_printf(&tw->arena, "%s/%d", sub, i), "w");
        CHECK(f != NULL);
        if (f)
            (void)fclose(f);
    }
    cw_merge(tw, CLAIM, "{\"metadata\":{\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"}}");
    cw_settle(tw);
    CHECK(tw_object(tw, CLAIM) != NULL);
    tw_remove(tw, "/api/v1/namespaces/ns/pods/a");
    cw_settle(tw);
    CHECK(tw_object(tw, CLAIM) == NULL);
    tw_advance(tw, MH_NS_PER_S);
    CHECK_INT(tw_objects(tw, VOLUMES), 0);
    CHECK(stat(path, &st) != 0);
    stop(tw);
}

TEST(a_claim_grows)
{
    struct tw *tw = start(1);
    claim(tw, "");
    user(tw, "a", "");
    cw_merge(tw, CLAIM, "{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"2Gi\"}}}}");
    cw_settle(tw);
    CHECK_STR(mh_json_str(tw_object(tw, CLAIM), "status", "capacity", "storage", NULL), "2Gi");
    CHECK_STR(mh_json_str(tw_object(tw, volume_path(tw)), "spec", "capacity", "storage", NULL),
              "2Gi");
    stop(tw);
}

TEST(a_claim_of_an_unknown_class_waits_for_the_class)
{
    struct tw *tw = start(1);
    claim(tw, ",\"storageClassName\":\"fast\"");
    user(tw, "a", "");
    CHECK(node_of(tw, "a") == NULL);
    tw_put(tw, "/apis/storage.k8s.io/v1/storageclasses/fast",
           "{\"apiVersion\":\"storage.k8s.io/v1\",\"kind\":\"StorageClass\",\"provisioner\":"
           "\"moonherd.io/sandbox\",\"reclaimPolicy\":\"Retain\",\"volumeBindingMode\":"
           "\"Immediate\"}");
    cw_settle(tw);
    CHECK_STR(node_of(tw, "a"), "node1");
    CHECK_STR(
        mh_json_str(tw_object(tw, volume_path(tw)), "spec", "persistentVolumeReclaimPolicy", NULL),
        "Retain");
    stop(tw);
}

TEST(a_retained_volume_is_released_and_stays)
{
    struct tw *tw = start(1);
    claim(tw, "");
    user(tw, "a", "");
    char *volume = volume_path(tw);
    cw_merge(tw, volume, "{\"spec\":{\"persistentVolumeReclaimPolicy\":\"Retain\"}}");
    tw_remove(tw, "/api/v1/namespaces/ns/pods/a");
    tw_remove(tw, CLAIM);
    tw_advance(tw, MH_NS_PER_S);
    CHECK_STR(cw_text(tw, volume, "status", "phase"), "Released");
    stop(tw);
}

TEST(a_volume_that_somebody_made_is_found)
{
    struct tw *tw = start(1);
    tw_put(tw, VOLUMES "mine",
           "{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolume\",\"spec\":{\"capacity\":{"
           "\"storage\":\"5Gi\"},\"accessModes\":[\"ReadWriteOnce\"],\"hostPath\":{\"path\":"
           "\"/tmp/x\"},\"persistentVolumeReclaimPolicy\":\"Retain\"}}");
    cw_settle(tw);
    CHECK_STR(cw_text(tw, VOLUMES "mine", "status", "phase"), "Available");
    claim(tw, ",\"storageClassName\":\"\"");
    CHECK_STR(cw_text(tw, CLAIM, "spec", "volumeName"), "mine");
    CHECK_STR(cw_text(tw, CLAIM, "status", "phase"), "Bound");
    CHECK_STR(cw_text(tw, VOLUMES "mine", "status", "phase"), "Bound");
    tw_remove(tw, VOLUMES "mine");
    cw_settle(tw);
    CHECK_STR(cw_text(tw, CLAIM, "status", "phase"), "Lost");
    stop(tw);
}

TEST(only_directories_of_claims_are_removed)
{
    struct tw *tw = start(1);
    struct stat st;
    char *other = mh_arena_printf(&tw->arena, "%s/other", folder);
    CHECK(mkdir(other, 0700) == 0);
    tw_put(tw, VOLUMES "evil",
           mh_arena_printf(&tw->arena,
                           "{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolume\",\"metadata\":{"
                           "\"annotations\":{\"pv.kubernetes.io/provisioned-by\":"
                           "\"moonherd.io/sandbox\"}},\"spec\":{\"capacity\":{\"storage\":\"1Gi\"},"
                           "\"local\":{\"path\":\"%s/volumes/../other\"},"
                           "\"persistentVolumeReclaimPolicy\":\"Delete\",\"claimRef\":{"
                           "\"namespace\":\"ns\",\"name\":\"gone\",\"uid\":\"1-2\"}}}",
                           folder));
    cw_settle(tw);
    tw_advance(tw, MH_NS_PER_S);
    CHECK(stat(other, &st) == 0);
    stop(tw);
}
