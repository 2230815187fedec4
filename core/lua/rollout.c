#include "lua/rollout.h"

#include <stdbool.h>
#include <string.h>

enum mh_rollout
mh_rollout_of(const char *text, const char *key)
{
    static const char *const words[] = { "auto", "manual", "shadow" };
    size_t len = strlen(key);
    const char *at = text, *word = text;
    bool single = text && !strchr(text, '=');
    while (!single && at && *at) {
        at += strspn(at, ", ");
        if (strncmp(at, key, len) == 0 && at[len] == '=') {
            word = at + len + 1;
            break;
        }
        at += strcspn(at, ",");
        word = at;
    }
    if (!word || !*word)
        return MH_ROLLOUT_AUTO;
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if (strncmp(word, words[i], n) == 0 && (word[n] == '\0' || word[n] == ','))
            return (enum mh_rollout)i;
    }
    return MH_ROLLOUT_BAD;
}
