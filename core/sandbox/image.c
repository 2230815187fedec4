#include "sandbox/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "sandbox/node.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define OWN "localhost/moonherd"

static bool
is_installed(int major)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/usr/lib/postgresql/%d/bin/postgres", major);
    return access(path, X_OK) == 0;
}

const char *
mh_sb_node_majors(struct mh_arena *a)
{
    const char *out = "";
    for (int major = 10; major < 40 && out; major++) {
        if (is_installed(major))
            out = mh_arena_printf(a, "%s%s%d", out, *out ? ", " : "", major);
    }
    return out;
}

int
mh_sb_image_major(const char *reference)
{
    char text[512];
    mh_str_copy(text, sizeof(text), reference);
    text[strcspn(text, "@")] = '\0';
    char *slash = strrchr(text, '/');
    char *tag = strchr(slash ? slash : text, ':');
    for (const char *at = tag ? tag + 1 : ""; *at; at++) {
        if (*at >= '1' && *at <= '9' && (at[-1] == ':' || at[-1] == '-' || at[-1] == 'g'))
            return (int)strtol(at, NULL, 10);
    }
    return 0;
}

static bool
is_own(const char *reference, const char *operator_image)
{
    size_t n = strlen(OWN);
    return mh_str_eq(reference, operator_image) ||
           (strncmp(reference, OWN, n) == 0 &&
            (reference[n] == ':' || reference[n] == '\0' || reference[n] == '@'));
}

bool
mh_sb_image_resolve(struct mh_arena *a, const char *reference, const char *operator_image,
                    struct mh_sb_image *out, const char **why)
{
    *why = NULL;
    if (is_own(reference, operator_image)) {
        *out = (struct mh_sb_image){ .manager = true,
                                     .path = DEFAULT_PATH,
                                     .uid = 65532,
                                     .home = "/",
                                     .user = "nonroot",
                                     .id = "sandbox://moonherd" };
        return true;
    }
    int major = mh_sb_image_major(reference);
    if (major == 0) {
        *why =
            mh_arena_printf(a,
                            "failed to pull image \"%s\": the sandbox has no images; it runs "
                            "moonherd itself and PostgreSQL images whose tag begins with a major "
                            "version (\"postgresql:15\")",
                            reference);
        return false;
    }
    if (!is_installed(major)) {
        const char *here = mh_sb_node_majors(a);
        *why =
            mh_arena_printf(a,
                            "failed to pull image \"%s\": PostgreSQL %d is not installed on this "
                            "machine (/usr/lib/postgresql/%d/bin); installed: %s",
                            reference, major, major, here && *here ? here : "none");
        return false;
    }
    *out = (struct mh_sb_image){
        .major = major,
        .path = mh_arena_printf(a, "/usr/lib/postgresql/%d/bin:%s", major, DEFAULT_PATH),
        .uid = 26,
        .home = "/var/lib/postgresql",
        .user = "postgres",
        .id = mh_arena_printf(a, "sandbox://postgresql:%d", major),
    };
    return out->path && out->id;
}
