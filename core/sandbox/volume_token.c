/* volume_token.c - tokens of service accounts for pods: asked for, renewed at 80% of their time. */
#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "sandbox/node_in.h"

#define AGAIN_NS (500 * MH_NS_PER_MS)

static void ask(struct mh_sb_token *t);

static void
on_renew(void *arg)
{
    struct mh_sb_token *t = arg;
    t->renew = NULL;
    ask(t);
}

static void
later(struct mh_sb_token *t, int64_t ns)
{
    const struct mh_clock *c = &t->pod->nodes->spec.clock;
    if (t->renew)
        c->cancel(c->self, t->renew);
    t->renew = c->after(c->self, ns, on_renew, t);
}

static void
on_token(struct mh_api_call *call)
{
    struct mh_sb_token *t = call->arg;
    const char *token = mh_json_str(call->reply, "status", "token", NULL);
    t->calling = false;
    if (call->err.code || !token) {
        later(t, AGAIN_NS);
    } else {
        char *copy = mh_strdup(token);
        if (copy) {
            mh_free(t->text);
            t->text = copy;
        }
        later(t, t->seconds * MH_NS_PER_S / 5 * 4);
        mh_sb_pod_later(t->pod, 0);
    }
    mh_arena_release(&t->call_arena);
}

static void
ask(struct mh_sb_token *t)
{
    struct mh_sb_pod *p = t->pod;
    if (t->calling)
        return;
    const char *account = mh_json_str(p->object, "spec", "serviceAccountName", NULL);
    const char *path =
        mh_arena_printf(&t->call_arena, "/api/v1/namespaces/%s/serviceaccounts/%s/token", p->ns,
                        account && *account ? account : "default");
    const char *body = mh_arena_printf(
        &t->call_arena,
        "{\"kind\":\"TokenRequest\",\"apiVersion\":\"authentication.k8s.io/v1\",\"spec\":{"
        "\"audiences\":[%s%s%s],\"expirationSeconds\":%lld,\"boundObjectRef\":{\"kind\":\"Pod\","
        "\"apiVersion\":\"v1\",\"name\":\"%s\",\"uid\":\"%s\"}}}",
        *t->audience ? "\"" : "", t->audience, *t->audience ? "\"" : "", (long long)t->seconds,
        p->name, p->uid);
    if (!path || !body) {
        mh_arena_release(&t->call_arena);
        later(t, AGAIN_NS);
        return;
    }
    t->call = (struct mh_api_call){ .method = "POST",
                                    .path = path,
                                    .body = body,
                                    .body_len = strlen(body),
                                    .arena = &t->call_arena,
                                    .done = on_token,
                                    .arg = t };
    t->calling = true;
    p->nodes->spec.api.start(p->nodes->spec.api.self, &t->call);
}

const char *
mh_sb_token_get(struct mh_sb_pod *p, const char *audience, int64_t seconds)
{
    for (struct mh_sb_token *t = p->tokens; t; t = t->next) {
        if (strcmp(t->audience, audience) == 0 && t->seconds == seconds)
            return t->text;
    }
    struct mh_sb_token *t = mh_calloc(1, sizeof(*t));
    if (!t || !(t->audience = mh_strdup(audience))) {
        mh_free(t);
        return NULL;
    }
    t->pod = p;
    t->seconds = seconds;
    mh_arena_init(&t->call_arena, (size_t)256 << 10);
    t->next = p->tokens;
    p->tokens = t;
    ask(t);
    return NULL;
}

void
mh_sb_tokens_release(struct mh_sb_pod *p)
{
    const struct mh_clock *c = &p->nodes->spec.clock;
    while (p->tokens) {
        struct mh_sb_token *t = p->tokens;
        p->tokens = t->next;
        if (t->calling)
            p->nodes->spec.api.cancel(p->nodes->spec.api.self, &t->call);
        if (t->renew)
            c->cancel(c->self, t->renew);
        mh_arena_release(&t->call_arena);
        mh_free(t->audience);
        mh_free(t->text);
        mh_free(t);
    }
}
