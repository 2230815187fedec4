/* Settings: the command line, the environment, and what is refused. */
#include <stdlib.h>

#include "harness/test.h"
#include "operator/config.h"

static struct mh_config config;
static struct mh_err err;

static enum mh_code
read_config(const char *flag)
{
    char text[128];
    char *argv[] = { text, NULL };
    (void)snprintf(text, sizeof(text), "%s", flag ? flag : "");
    err = (struct mh_err){ .code = MH_OK };
    return mh_config_read(&config, flag ? 1 : 0, argv, &err);
}

TEST(without_anything_the_settings_are_those_of_the_contract)
{
    CHECK_INT(read_config(NULL), MH_OK);
    CHECK_STR(config.groups[0], "postgresql.cnpg.io");
    CHECK(config.groups[1] == NULL && config.namespaces[0] == NULL);
    CHECK_INT(config.webhook_port, 9443);
    CHECK_INT(config.metrics_port, 8080);
    CHECK_INT(config.certificate_s, 90 * 86400);
    const char *text = mh_config_settings(&config, "f");
    CHECK(text && strstr(text, "\"pull_secret\":\"cnpg-pull-secret\""));
    CHECK(text && strstr(text, "\"create_any_service\":false"));
    mh_config_release(&config);
}

TEST(help_is_no_error_and_names_every_flag)
{
    static const char *const ways[] = { "--help", "-h", "help" };
    static const char *const flags[] = { "--kubeconfig",
                                         "--metrics-bind-address",
                                         "--webhook-port",
                                         "--leader-elect",
                                         "--log-level",
                                         "--list-crash-points",
                                         "--max-concurrent-reconciles",
                                         "--leader-lease-duration",
                                         "--leader-renew-deadline" };
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        CHECK_INT(read_config(ways[i]), MH_OK);
        CHECK(config.help);
        mh_config_release(&config);
    }
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        CHECK(strstr(mh_config_usage, flags[i]));
}

TEST(what_is_unknown_or_has_no_effect_is_refused_with_a_sentence)
{
    static const char *const flags[][2] = { { "--webhook-prot=1", "unknown argument" },
                                            { "--webhook-port=x", "takes a number" },
                                            { "--config-map-name=x", "HINT" },
                                            { "--pprof-server", "metrics" },
                                            { "stray", "unknown argument" },
                                            { "--log-level=loud", "unknown level" } };
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        CHECK_INT(read_config(flags[i][0]), MH_E_INVALID);
        CHECK(strstr(err.msg, flags[i][1]));
        mh_config_release(&config);
    }
    (void)setenv("INCLUDE_PLUGINS", "x", 1);
    CHECK_INT(read_config(NULL), MH_E_INVALID);
    CHECK(strstr(err.msg, "INCLUDE_PLUGINS=x"));
    mh_config_release(&config);
    (void)unsetenv("INCLUDE_PLUGINS");
    (void)setenv("CLUSTERS_ROLLOUT_DELAY", "0", 1);
    CHECK_INT(read_config(NULL), MH_OK);
    mh_config_release(&config);
    (void)unsetenv("CLUSTERS_ROLLOUT_DELAY");
}

TEST(the_environment_reaches_the_scripts)
{
    (void)setenv("CREATE_ANY_SERVICE", "true", 1);
    (void)setenv("API_GROUPS", "a.example, b.example", 1);
    CHECK_INT(read_config(NULL), MH_OK);
    const char *text = mh_config_settings(&config, "f");
    CHECK(text && strstr(text, "\"create_any_service\":true"));
    CHECK(text && strstr(text, "\"api_groups\":[\"a.example\",\"b.example\"]"));
    mh_config_release(&config);
    (void)unsetenv("CREATE_ANY_SERVICE");
    (void)unsetenv("API_GROUPS");
}
