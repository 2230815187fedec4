#include "operator/crash.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

/* Copies up to the next ':' and moves on; false if it is empty or too long. */
static bool
part(const char **text, char *out, size_t size)
{
    size_t n = strcspn(*text, ":");
    if (n == 0 || n >= size)
        return false;
    memcpy(out, *text, n);
    out[n] = '\0';
    *text += n + ((*text)[n] == ':');
    return true;
}

bool
mh_crash_init(struct mh_crash *c, const char *text)
{
    *c = (struct mh_crash){ 0 };
    if (!text || !*text)
        return true;
    char number[12], when[8] = "after";
    if (!part(&text, c->op, sizeof(c->op)) || !part(&text, c->kind, sizeof(c->kind)) ||
        !part(&text, number, sizeof(number)) || (*text && !part(&text, when, sizeof(when))) ||
        *text || !mh_str_int(number, 1, 1000000, &c->at) ||
        (strcmp(when, "before") != 0 && strcmp(when, "after") != 0)) {
        c->at = 0;
        return false;
    }
    c->before = strcmp(when, "before") == 0;
    return true;
}

void
mh_crash_point(struct mh_crash *c, const char *op, const char *kind, bool before)
{
    if (!c->at || c->before != before || strcmp(op, c->op) != 0 ||
        (strcmp(c->kind, "*") != 0 && strcmp(kind, c->kind) != 0) || ++c->seen != c->at)
        return;
    mh_warn("crash", "planted crash point reached", "op", op, "kind", kind);
    if (c->die)
        c->die();
    else
        _exit(128 + SIGKILL); /* number 1 of a container cannot kill itself by a signal */
}
