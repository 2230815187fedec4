#include <string.h>

#include "base/str.h"
#include "kube/cache.h"

#define TERM_MAX 512

/* "key", "!key", "key=value", "key==value", "key!=value" */
static bool
term_matches(char *term, yyjson_val *labels)
{
    bool negate = false;
    if (*term == '!') {
        negate = true;
        term++;
    }
    char *eq = strchr(term, '=');
    if (!eq)
        return (yyjson_obj_get(labels, term) != NULL) != negate;
    char *value = eq + 1;
    if (*value == '=')
        value++;
    if (eq > term && eq[-1] == '!') {
        negate = true;
        eq[-1] = '\0';
    }
    *eq = '\0';
    return mh_str_eq(yyjson_get_str(yyjson_obj_get(labels, term)), value) != negate;
}

bool
mh_selector_match(const char *selector, yyjson_val *labels)
{
    char term[TERM_MAX];
    while (selector && *selector) {
        size_t n = strcspn(selector, ",");
        if (n == 0 || n >= sizeof(term))
            return false;
        memcpy(term, selector, n);
        term[n] = '\0';
        if (strchr(term, '(') || strchr(term, ' ') || !term_matches(term, labels))
            return false;
        selector += n + (selector[n] == ',');
    }
    return true;
}
