/* What a controller of the image declares, and what it is refused beyond that. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "harness/test.h"
#include "operator/scripts.h"

#define SETTINGS                                                                                   \
    "{\"namespace\":\"moonherd-system\",\"api_groups\":[\"postgresql.cnpg.io\","                   \
    "\"postgresql.k8s.enterprisedb.io\"]}"
#define NEEDS(api, core)                                                                           \
    "return controller 'Cluster' { api = 'postgresql.cnpg.io/v1', needs = { api = { " api          \
    " }, core = { " core " } }, plan = function() return {} end }"

static struct mh_kinds kinds;
static struct mh_arena arena;
static struct mh_err err;

static enum mh_effect_result
effect(struct mh_effect_call *e)
{
    (void)e;
    return MH_EFFECT_DONE;
}

static const struct mh_effect effects[] = { { "get", effect },    { "list", effect },
                                            { "ha", effect },     { "check", effect },
                                            { "policy", effect }, { "fleet", effect },
                                            { NULL, NULL } };

static void
begin(void)
{
    static const char *const groups[] = { "postgresql.cnpg.io", "postgresql.k8s.enterprisedb.io" };
    mh_log_set_fd(-1);
    CHECK(mh_kinds_init(&kinds));
    for (int i = 0; i < 2; i++) {
        CHECK(mh_kinds_add(&kinds, groups[i], "v1", "Cluster", "clusters", true));
        CHECK(mh_kinds_add(&kinds, groups[i], "v1", "ImageCatalog", "imagecatalogs", true));
        CHECK(mh_kinds_add(&kinds, groups[i], "v1", "ClusterImageCatalog", "clusterimagecatalogs",
                           false));
    }
    mh_arena_init(&arena, (size_t)64 << 20);
    err = (struct mh_err){ .code = MH_OK };
}

static void
end(void)
{
    mh_arena_release(&arena);
    mh_kinds_release(&kinds);
}

/* What the declaration of a script gives; false: err says why it is not taken. */
static bool
declare(struct mh_scripts_needs *n, const char *script)
{
    struct mh_controller *c = NULL;
    if (mh_controller_new_text("c", script, strlen(script), &c, &err) != MH_OK)
        return false;
    bool ok = mh_scripts_needs_init(n, c, &kinds, SETTINGS, effects, &err) == MH_OK;
    mh_controller_free(c);
    return ok;
}

/* NULL: the plan is taken. */
static const char *
judge(const struct mh_scripts_needs *n, const char *actions)
{
    yyjson_val *plan = NULL;
    const char *text = mh_arena_printf(&arena, "{\"actions\":[%s]}", actions);
    if (mh_json_parse(&arena, text, strlen(text), &plan, &err) != MH_OK)
        return "no JSON";
    return mh_scripts_may_plan(n, plan, "shop", &err) == MH_OK ? NULL : err.msg;
}

static void
load_cluster(struct mh_scripts_env *env)
{
    *env = (struct mh_scripts_env){ .kinds = &kinds, .settings = SETTINGS };
    CHECK_INT(mh_scripts_load(env, "cluster", &err), MH_OK);
    CHECK_INT(env->ncontrollers, 1);
}

TEST(the_cluster_controller_declares_itself_as_a_plugin_does)
{
    struct mh_scripts_env env;
    begin();
    load_cluster(&env);
    CHECK_STR(env.needs[0]->kind, "Cluster");
    CHECK_STR(env.needs[0]->group, "postgresql.cnpg.io");
    CHECK(env.needs[0]->set.napi > 10);
    CHECK(mh_scripts_has(env.needs[0], "failover"));
    CHECK(!mh_scripts_has(env.needs[0], "sql"));
    mh_scripts_release(&env);
    end();
}

TEST(all_that_it_planned_in_recorded_runs_is_within_its_needs)
{
    struct mh_scripts_env env;
    char *line = NULL;
    size_t cap = 0, n = 0, actions = 0;
    ssize_t len;
    begin();
    load_cluster(&env);
    FILE *f = popen("zstd -qdc tests/lua/recorded/passes.jsonl.zst", "r");
    for (const char *ns = NULL; f && (len = getline(&line, &cap, f)) > 0; n++) {
        yyjson_val *v = NULL;
        mh_arena_release(&arena);
        CHECK_INT(mh_json_parse(&arena, line, (size_t)len - 1, &v, NULL), MH_OK);
        if (n % 2 == 0) {
            static char name[80];
            (void)snprintf(name, sizeof(name), "%s", mh_json_str(v, "namespace", NULL));
            ns = name;
            continue;
        }
        err.code = MH_OK;
        (void)mh_scripts_may_plan(env.needs[0], v, ns, &err);
        if (err.code != MH_OK)
            printf("# %s\n", err.msg);
        CHECK_INT(err.code, MH_OK);
        actions += yyjson_arr_size(yyjson_obj_get(v, "actions"));
    }
    CHECK(f && pclose(f) == 0);
    CHECK(n >= 200 && actions >= 100);
    free(line);
    mh_scripts_release(&env);
    end();
}

TEST(what_it_did_not_declare_is_refused)
{
    struct mh_scripts_env env;
    begin();
    load_cluster(&env);
    const struct mh_scripts_needs *n = env.needs[0];
#define ACT(op, kind, more) "{\"op\":\"" op "\",\"kind\":\"" kind "\",\"name\":\"a\"" more "}"
    CHECK(!judge(n, ACT("delete", "Pod", "")));
    CHECK(!judge(n, ACT("delete", "Pod", ",\"namespace\":\"shop\"")));
    CHECK(!judge(n, ACT("label", "Cluster", "")));
    CHECK(!judge(n, ACT("label", "Cluster.postgresql.k8s.enterprisedb.io", "")));
    CHECK(!judge(n, ACT("renew", "Secret", ",\"fill\":{}")));
    CHECK(strstr(judge(n, ACT("delete", "Node", "")), "delete nodes: none of the controller's"));
    CHECK(strstr(judge(n, ACT("delete", "Lease", "")), "delete leases.coordination.k8s.io"));
    CHECK(strstr(judge(n, ACT("delete", "Cluster", "")), "delete clusters.postgresql.cnpg.io"));
    CHECK(strstr(judge(n, ACT("delete", "Pod", ",\"namespace\":\"other\"")), "in namespace other"));
    CHECK(strstr(judge(n, ACT("patch", "ConfigMap", "")), "patch configmaps"));
    CHECK(strstr(judge(n, ACT("delete", "Thing", "")), "of no known kind"));
    CHECK(strstr(judge(n, ACT("sql", "Cluster", "")), "action sql: there is no such word"));
    CHECK(strstr(judge(n, "{\"op\":\"apply\",\"object\":{\"apiVersion\":\"v1\",\"kind\":"
                          "\"ConfigMap\",\"metadata\":{\"name\":\"a\"}}}"),
                 "create configmaps"));
    mh_scripts_release(&env);
    end();
}

TEST(reads_are_held_to_the_needs_and_stay_in_the_namespace)
{
    struct mh_scripts_env env;
    begin();
    load_cluster(&env);
    const struct mh_scripts_needs *n = env.needs[0];
    struct mh_need_wish w = { "get", "", "secrets", NULL, "shop", "a" };
    CHECK_INT(mh_scripts_may(n, &w, "shop", &err), MH_OK);
    w.name_space = "moonherd-system"; /* with "operator" */
    CHECK_INT(mh_scripts_may(n, &w, "shop", &err), MH_OK);
    w.verb = "list";
    CHECK_INT(mh_scripts_may(n, &w, "shop", &err), MH_E_REFUSED);
    w = (struct mh_need_wish){ "get", "", "secrets", NULL, "other", "a" };
    CHECK_INT(mh_scripts_may(n, &w, "shop", &err), MH_E_REFUSED);
    w = (struct mh_need_wish){ "get", "", "configmaps", NULL, "shop", "a" };
    CHECK_INT(mh_scripts_may(n, &w, "shop", &err), MH_E_REFUSED);
    w = (struct mh_need_wish){ "get",           "postgresql.k8s.enterprisedb.io",
                               "imagecatalogs", NULL,
                               "shop",          "a" };
    CHECK_INT(mh_scripts_may(n, &w, "shop", &err), MH_OK);
    mh_scripts_release(&env);
    end();
}

TEST(without_a_word_of_core_its_functions_are_not_there)
{
    struct mh_scripts_needs n;
    begin();
    CHECK(declare(&n, NEEDS("", "'failover', 'plans'")));
    CHECK_STR(n.effects[0].name, "get");
    CHECK_STR(n.effects[2].name, "ha");
    CHECK(!n.effects[3].name);
    CHECK(strstr(judge(&n, ACT("label", "Cluster", "")), "no \"labels\" in needs.core"));
    CHECK(strstr(judge(&n, "{\"op\":\"instance\",\"pod\":\"a\"}"), "no \"instances\""));
    CHECK(strstr(judge(&n, "{\"op\":\"create\",\"fill\":{},\"object\":{}}"), "no \"values\""));
    CHECK(strstr(judge(&n, ACT("lease", "Lease", "")), "patch leases.coordination.k8s.io: none"));
    mh_scripts_needs_release(&n);
    CHECK(!n.host);
    mh_scripts_needs_release(&n);
    CHECK(declare(&n, NEEDS("", "'labels'")));
    CHECK(n.host); /* its plans are finished as those of plugins */
    mh_scripts_needs_release(&n);
    end();
}

TEST(a_wrong_declaration_is_not_taken)
{
    struct mh_scripts_needs n;
    begin();
    CHECK(!declare(&n, NEEDS("", "'anything'")));
    CHECK_STR(err.msg, "needs.core: want words of scripts/meta/core.lua");
    CHECK(!declare(&n, NEEDS("{ resource = '*', verbs = { 'get' } }", "'plans'")));
    CHECK(strstr(err.msg, "needs.api[1].resource"));
    CHECK(!declare(&n,
                   "return controller 'Cluster' { api = 'postgresql.cnpg.io/v1', owns = { 'Pod' "
                   "}, plan = function() return {} end }"));
    CHECK_STR(err.msg, "watches: list pods: none of the controller's needs covers it");
    CHECK(!declare(&n,
                   "return controller 'Cluster' { api = 'postgresql.cnpg.io/v1', own = { 'Pod' }"
                   ", plan = function() return {} end }"));
    CHECK_STR(err.msg, "own: there is no such field of a plugin");
    CHECK(!declare(&n, "return controller 'Cluster' { plan = function() return {} end }"));
    CHECK(strstr(err.msg, "api: want a group of your own and a version"));
    CHECK(!declare(&n, "return controller 'Other' { api = 'a.example.dev/v1', plan = function() "
                       "return {} end }"));
    CHECK_STR(err.msg, "no kind Other is served");
    CHECK(!declare(&n, "return controller 'Cluster' { api = 'postgresql.cnpg.io/v1', observ = "
                       "function() end, plan = function() end }"));
    CHECK(strstr(err.msg, "there is no function 'observ' of a plugin"));
    end();
}
