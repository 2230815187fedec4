/* Leader election, events and configuration. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/time.h"
#include "harness/test.h"
#include "harness/world.h"
#include "kube/config.h"
#include "kube/event.h"
#include "kube/leader.h"

#define LEASE "/apis/coordination.k8s.io/v1/namespaces/s/leases/l"

struct side {
    struct mh_leader *leader;
    int ups;
    int downs;
};

static void
up(void *arg)
{
    ((struct side *)arg)->ups++;
}

static void
down(void *arg)
{
    ((struct side *)arg)->downs++;
}

static void
join(struct tw *tw, struct side *s, const char *identity)
{
    struct mh_leader_spec spec = { .name_space = "s",
                                   .name = "l",
                                   .identity = identity,
                                   .on_started = up,
                                   .on_lost = down,
                                   .arg = s };
    *s = (struct side){ 0 };
    s->leader = mh_leader_new(tw->world.api, tw->world.clock, &spec);
    CHECK(s->leader != NULL);
}

static bool refuse_all;

static bool
refuse(struct tw *tw, void *arg, const struct tw_request *r, struct tw_answer *a)
{
    (void)tw;
    (void)arg;
    (void)r;
    a->code = MH_E_UNREACHABLE;
    return refuse_all;
}

TEST(the_other_takes_over_only_when_the_record_stood_still_for_its_whole_time)
{
    struct tw *tw = tw_new(1);
    struct side a;
    struct side b;
    tw_store(tw);
    join(tw, &a, "a");
    tw_advance(tw, MH_NS_PER_S);
    join(tw, &b, "b");
    tw_advance(tw, 60 * MH_NS_PER_S);
    CHECK(mh_leader_is(a.leader) && !mh_leader_is(b.leader) && a.ups == 1 && b.ups == 0);
    mh_leader_free(a.leader); /* dies without a word */
    tw_advance(tw, 12 * MH_NS_PER_S);
    CHECK(!mh_leader_is(b.leader));
    tw_advance(tw, 6 * MH_NS_PER_S);
    CHECK(mh_leader_is(b.leader));
    CHECK_INT(mh_json_int(tw_object(tw, LEASE), 0, "spec", "leaseTransitions", NULL), 1);
    mh_leader_free(b.leader);
    tw_free(tw);
}

TEST(who_cannot_renew_stops_leading_before_another_may_begin)
{
    struct tw *tw = tw_new(1);
    struct side a;
    tw_store(tw);
    refuse_all = false;
    tw_api_on(tw, refuse, NULL);
    join(tw, &a, "a");
    tw_advance(tw, 5 * MH_NS_PER_S);
    CHECK(mh_leader_is(a.leader));
    refuse_all = true;
    tw_advance(tw, 7 * MH_NS_PER_S);
    CHECK(mh_leader_is(a.leader));
    tw_advance(tw, 3 * MH_NS_PER_S);
    CHECK(!mh_leader_is(a.leader) && a.downs == 1);
    refuse_all = false;
    tw_advance(tw, 3 * MH_NS_PER_S); /* nobody came in between */
    CHECK(mh_leader_is(a.leader) && a.ups == 2);
    mh_leader_free(a.leader);
    tw_free(tw);
}

TEST(a_lease_taken_by_force_or_deleted_is_noticed)
{
    struct tw *tw = tw_new(1);
    struct side a;
    tw_store(tw);
    join(tw, &a, "a");
    tw_advance(tw, MH_NS_PER_S);
    tw_put(tw, LEASE, "{\"spec\":{\"holderIdentity\":\"x\",\"leaseDurationSeconds\":15}}");
    tw_advance(tw, 6 * MH_NS_PER_S);
    CHECK(!mh_leader_is(a.leader) && a.downs == 1);
    tw_remove(tw, LEASE);
    tw_advance(tw, 4 * MH_NS_PER_S);
    CHECK(mh_leader_is(a.leader) && a.ups == 2);
    mh_leader_free(a.leader);
    tw_free(tw);
}

TEST(a_resigned_lease_is_free_at_once)
{
    struct tw *tw = tw_new(1);
    struct side a;
    struct side b;
    tw_store(tw);
    join(tw, &a, "a");
    tw_advance(tw, MH_NS_PER_S);
    join(tw, &b, "b");
    tw_advance(tw, 5 * MH_NS_PER_S);
    mh_leader_resign(a.leader, up, &a);
    CHECK(!mh_leader_is(a.leader) && a.downs == 1);
    tw_advance(tw, 3 * MH_NS_PER_S);
    CHECK(a.ups == 2 && mh_leader_is(b.leader));
    mh_leader_free(a.leader);
    mh_leader_free(b.leader);
    tw_free(tw);
}

TEST(events_are_counted_limited_and_cut)
{
    struct tw *tw = tw_new(1);
    char note[3000];
    tw_store(tw);
    struct mh_events *ev = mh_events_new(tw->world.api, tw->world.clock, "moonherd", NULL);
    struct mh_event_ref ref = { .kind = "Pod", .name_space = "n", .name = "p", .uid = "u" };
    for (int i = 0; i < 5; i++) {
        mh_kube_event(ev, &ref, "Normal", "Same", "the same");
        tw_settle(tw);
    }
    CHECK_INT(tw_objects(tw, "/api/v1/namespaces/n/events/"), 1);
    CHECK_INT(tw_api_count(tw, "PATCH", "/events/"), 4);
    CHECK_STR(mh_json_str(tw_api_last(tw, "POST", NULL)->body, "involvedObject", "uid", NULL), "u");
    for (int i = 0; i < 200; i++) {
        (void)snprintf(note, sizeof(note), "note %d", i);
        mh_kube_event(ev, &ref, "Normal", "Many", note);
    }
    tw_settle(tw);
    CHECK_INT(tw_objects(tw, "/api/v1/namespaces/n/events/"), 46); /* a burst of 50 in all */
    tw_advance(tw, 10 * MH_NS_PER_S);
    CHECK_INT(tw_objects(tw, "/api/v1/namespaces/n/events/"), 56);
    CHECK(mh_events_dropped(ev) >= 50);
    tw_advance(tw, 200 * MH_NS_PER_S);
    memset(note, 'x', sizeof(note));
    memcpy(note + MH_EVENT_NOTE_MAX - 1, "\xc3\xa4", 2);
    note[sizeof(note) - 1] = '\0';
    mh_kube_event(ev, &ref, "Normal", "Long", note);
    tw_settle(tw);
    CHECK_INT(strlen(mh_json_str(tw_api_last(tw, "POST", NULL)->body, "message", NULL)),
              MH_EVENT_NOTE_MAX - 1);
    mh_events_free(ev);
    tw_free(tw);
}

TEST(an_event_with_half_a_character_in_its_text_is_recorded_too)
{
    struct tw *tw = tw_new(1);
    tw_store(tw);
    struct mh_events *ev = mh_events_new(tw->world.api, tw->world.clock, "moonherd", NULL);
    struct mh_event_ref ref = { .kind = "Pod", .name_space = "n", .name = "p", .uid = "u" };
    mh_kube_event(ev, &ref, "Warning", "Failed", "the end is missing: \xc3");
    tw_settle(tw);
    CHECK_INT(tw_objects(tw, "/api/v1/namespaces/n/events/"), 1);
    CHECK_INT(mh_events_dropped(ev), 0);
    char note[MH_EVENT_NOTE_MAX * 2];
    memset(note, '\xff', sizeof(note)); /* each becomes three bytes */
    note[sizeof(note) - 1] = '\0';
    mh_kube_event(ev, &ref, "Warning", "Failed", note);
    tw_settle(tw);
    CHECK_INT(tw_objects(tw, "/api/v1/namespaces/n/events/"), 2);
    const char *told = mh_json_str(tw_api_last(tw, "POST", NULL)->body, "message", NULL);
    CHECK(told && strlen(told) <= MH_EVENT_NOTE_MAX && strlen(told) > MH_EVENT_NOTE_MAX - 3);
    mh_events_free(ev);
    tw_free(tw);
}

TEST(the_same_event_again_during_a_failed_allocation_loses_at_most_itself)
{
    for (int n = 0; n < 40; n++) {
        struct tw *tw = tw_new(1);
        tw_store(tw);
        struct mh_events *ev = mh_events_new(tw->world.api, tw->world.clock, "moonherd", "h");
        struct mh_event_ref ref = { .kind = "Pod", .name_space = "n", .name = "p" };
        mh_mem_fail_after(n);
        mh_kube_event(ev, &ref, "Normal", "One", "one");
        tw_settle(tw);
        mh_mem_fail_after(-1);
        mh_kube_event(ev, &ref, "Normal", "Two", "two");
        tw_settle(tw);
        CHECK(tw_objects(tw, "/api/v1/namespaces/n/events/") >= 1);
        mh_events_free(ev);
        tw_free(tw);
    }
}

/* --- configuration --------------------------------------------------------------------------- */

static char dir[] = "/tmp/mh-kubeconfig-XXXXXX";
static char file[64];

static const char *
put_file(const char *name, const char *text)
{
    if (strstr(dir, "XXXXXX"))
        CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(file, sizeof(file), "%s/%s", dir, name);
    FILE *f = fopen(file, "w");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
    return file;
}

#define CONTEXT                                                                                    \
    "current-context: b\ncontexts: [{name: a, context: {}}, {name: b, context: {cluster: c, "      \
    "user: u, namespace: n}}]\n"

TEST(a_kubeconfig_gives_server_trust_and_user)
{
    struct mh_kube_config c;
    struct mh_err err = { 0 };
    put_file("k", CONTEXT "clusters: [{name: c, cluster: {server: 'https://h:1//', "
                          "certificate-authority-data: Q0E=, tls-server-name: kube}}]\n"
                          "users: [{name: u, user: {token: secret, client-certificate: x/cert, "
                          "client-key-data: S0VZ}}]\n");
    CHECK(mh_kube_config_file(&c, file, &err) == MH_OK);
    CHECK_STR(c.server, "https://h:1");
    CHECK_STR(c.name_space, "n");
    CHECK_STR(c.tls.ca_pem, "CA");
    CHECK_STR(c.tls.key_pem, "KEY");
    CHECK_STR(c.tls.server_name, "kube");
    CHECK(strncmp(c.tls.cert_file, dir, strlen(dir)) == 0 && strstr(c.tls.cert_file, "/x/cert"));
    CHECK_STR(mh_kube_config_token(&c, 0, false), "secret");
    mh_kube_config_release(&c);
}

TEST(a_bad_kubeconfig_is_refused_with_its_name)
{
    static const char *const bad[] = {
        "",
        "a: [",
        CONTEXT,
        "current-context: z\n",
        "[]",
        "\"text\"",
        CONTEXT
        "clusters: [{name: c, cluster: {server: 'ftp://h'}}]\nusers: [{name: u, user: {}}]\n",
        CONTEXT "clusters: [{name: c, cluster: {server: 'https://h', certificate-authority-data: "
                "'!!'}}]\nusers: []\n",
        CONTEXT "clusters: [{name: c, cluster: {server: 'https://h'}}]\nusers: [{name: u, user: "
                "{exec: {command: x}}}]\n",
        CONTEXT "clusters: [{name: c, cluster: {server: 'https://h'}}]\nusers: [{name: u, user: "
                "{token: \"a\\nb\"}}]\n",
    };
    struct mh_kube_config c;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct mh_err err = { 0 };
        put_file("k", bad[i]);
        CHECK(mh_kube_config_file(&c, file, &err) == MH_E_INVALID);
        CHECK(strstr(err.msg, file) != NULL);
    }
    unlink(file);
    CHECK(mh_kube_config_file(&c, file, NULL) == MH_E_NOTFOUND);
}

TEST(inside_a_cluster_the_token_file_is_read_again_each_minute)
{
    struct mh_kube_config c;
    struct mh_err err = { 0 };
    CHECK(unsetenv("KUBERNETES_SERVICE_HOST") == 0);
    CHECK(mh_kube_config_in_cluster(&c, dir, &err) == MH_E_NOTFOUND);
    setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
    setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    put_file("namespace", "ns\n");
    CHECK(mh_kube_config_in_cluster(&c, dir, &err) == MH_E_NOTFOUND); /* no token */
    put_file("token", "one\n");
    CHECK(mh_kube_config_in_cluster(&c, dir, &err) == MH_OK);
    CHECK_STR(c.server, "https://[fd00::1]:443");
    CHECK_STR(c.name_space, "ns");
    int64_t now = 5 * MH_KUBE_TOKEN_MAX_AGE_NS;
    CHECK_STR(mh_kube_config_token(&c, now, false), "one");
    put_file("token", "two\n");
    CHECK_STR(mh_kube_config_token(&c, now + MH_KUBE_TOKEN_MAX_AGE_NS - 1, false), "one");
    CHECK_STR(mh_kube_config_token(&c, now + MH_KUBE_TOKEN_MAX_AGE_NS, false), "two");
    put_file("token", "three\n");
    CHECK_STR(mh_kube_config_token(&c, now + MH_KUBE_TOKEN_MAX_AGE_NS, true), "three");
    put_file("token", "\n");
    CHECK_STR(mh_kube_config_token(&c, now, true), "three");
    mh_kube_config_release(&c);
    unlink(file);
    (void)snprintf(file, sizeof(file), "%s/namespace", dir);
    unlink(file);
    rmdir(dir);
}
