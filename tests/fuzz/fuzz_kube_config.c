/* Any bytes as a kubeconfig, and as YAML: a configuration or an error, values within the arena. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "kube/kubeconfig.h"
#include "kube/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
as_kubeconfig(int fd, const uint8_t *data, size_t size)
{
    char path[64];
    struct mh_kube_config config = { 0 };
    struct mh_err err = { .code = MH_OK };
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    mh_arena_init(&config.arena, (size_t)16 << 20);
    enum mh_code code = mh_kubeconfig_read(&config, path, &err);
    if (code != MH_OK && err.msg[0] == '\0')
        abort();
    mh_kube_config_release(&config);
}

static void
as_yaml(const char *text, size_t size)
{
    struct mh_arena a;
    struct mh_err err;
    yyjson_val **docs = NULL;
    size_t n = 0;
    mh_arena_init(&a, (size_t)64 << 20);
    if (mh_kube_yaml(&a, text, size, &docs, &n, &err) == MH_OK) {
        for (size_t i = 0; i < n; i++) {
            size_t len;
            yyjson_val *again = NULL;
            const char *json = mh_json_text(&a, docs[i], &len);
            if (json && len < MH_JSON_SIZE_MAX &&
                mh_json_parse(&a, json, len, &again, NULL) == MH_OK &&
                !yyjson_equals(docs[i], again))
                abort();
        }
    }
    mh_arena_release(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    if (fd < 0) {
        mh_log_set_fd(-1);
        fd = memfd_create("kubeconfig", MFD_CLOEXEC);
    }
    if (size > 65536 || fd < 0)
        return 0;
    as_kubeconfig(fd, data, size);
    as_yaml((const char *)data, size);
    return 0;
}
