#include "operator/policy_news.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"

#define DECIDED_MAX 20000
#define INPUT_LOG_MAX ((size_t)16 << 10) /* as long as a value of the log may be */

/* One patch under way. */
struct mh_annotation {
    struct mh_policy_writer *writer;
    struct mh_annotation *next;
    struct mh_arena arena;
    struct mh_api_call call;
    const char *ns; /* on the arena */
    const char *name;
};

void
mh_policy_writer_init(struct mh_policy_writer *w)
{
    w->open = NULL;
    mh_map_init(&w->decided, DECIDED_MAX);
}

static void
drop(struct mh_annotation *n)
{
    struct mh_annotation **at = &n->writer->open;
    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
    mh_arena_release(&n->arena);
    mh_free(n);
}

void
mh_policy_writer_release(struct mh_policy_writer *w)
{
    while (w->open) {
        w->api.cancel(w->api.self, &w->open->call);
        drop(w->open);
    }
    for (size_t i = 0; i < w->decided.len; i++)
        mh_free(w->decided.entries[i].value);
    mh_map_release(&w->decided);
}

static void
on_written(struct mh_api_call *call)
{
    struct mh_annotation *n = call->arg;
    if (call->err.code != MH_OK && call->err.code != MH_E_NOTFOUND) {
        mh_warn("policy", "state of a policy not written to its object", "error", call->err.msg);
        if (n->writer->policies && mh_class_of(call->err.code) == MH_RETRY)
            mh_policies_untold(n->writer->policies, n->ns, n->name);
    }
    drop(n);
}

static bool
annotate(struct mh_policy_writer *w, const struct mh_policy_news *news)
{
    struct mh_annotation *n = mh_calloc(1, sizeof(*n));
    if (!n)
        return false;
    n->writer = w;
    n->next = w->open;
    w->open = n;
    mh_arena_init(&n->arena, (size_t)1 << 20);
    struct mh_buf b;
    mh_buf_init(&b, (size_t)256 << 10);
    mh_buf_str(&b, "{\"metadata\":{");
    if (news->uid) {
        mh_buf_str(&b, "\"uid\":");
        mh_json_quote(&b, news->uid, strlen(news->uid));
        mh_buf_char(&b, ',');
    }
    mh_buf_str(&b, "\"annotations\":{\"" MH_POLICY_STATUS "\":");
    mh_json_quote(&b, news->annotation, strlen(news->annotation));
    if (news->report) {
        mh_buf_str(&b, ",\"" MH_POLICY_REPORT "\":");
        mh_json_quote(&b, news->report, strlen(news->report));
    }
    mh_buf_str(&b, "}}}");
    const char *path = mh_kube_path(&n->arena, w->kind, news->namespace, news->name, NULL);
    path = path ? mh_kube_query(&n->arena, path, "fieldManager", "moonherd") : NULL;
    n->call = (struct mh_api_call){ .method = "PATCH",
                                    .path = path,
                                    .content_type = MH_PATCH_MERGE,
                                    .body = mh_arena_strdup(&n->arena, mh_buf_text(&b)),
                                    .body_len = b.len,
                                    .arena = &n->arena,
                                    .done = on_written,
                                    .arg = n };
    n->ns = mh_arena_strdup(&n->arena, news->namespace);
    n->name = mh_arena_strdup(&n->arena, news->name);
    bool ok = !b.failed && path && n->call.body && n->ns && n->name;
    mh_buf_release(&b);
    if (ok)
        w->api.start(w->api.self, &n->call);
    else
        drop(n);
    return ok;
}

void
mh_policy_writer_news(void *arg, const struct mh_policy_news *news)
{
    struct mh_policy_writer *w = arg;
    if (news->record) {
        if (w->notebook && (!w->may_write || w->may_write(w->arg)))
            mh_notebook_policies(w->notebook, news);
        return;
    }
    mh_log(news->reason ? MH_LOG_INFO : MH_LOG_DEBUG, "policy", "state of policies", "namespace",
           news->namespace, "name", news->name, "reason", news->reason, "note", news->note);
    if (w->may_write && !w->may_write(w->arg))
        return;
    if (news->annotation && !annotate(w, news))
        mh_warn("policy", "state of a policy not written, no memory", "namespace", news->namespace,
                "name", news->name);
    struct mh_event_ref ref = { .api_version = "v1",
                                .kind = w->kind->kind,
                                .name_space = news->namespace,
                                .name = news->name,
                                .uid = news->uid };
    if (news->event_type && w->events)
        mh_kube_event(w->events, &ref, news->event_type, news->reason ? news->reason : "Policy",
                      news->note ? news->note : "");
}

/* Whether the answer differs from the last one for this object and decision point. */
static bool
is_new(struct mh_policy_writer *w, const struct mh_decision *d, const char *name)
{
    char key[700];
    void *old = NULL;
    struct mh_arena a;
    int n = snprintf(key, sizeof(key), "%s %s %s", d->point, d->namespace, name);
    if (n < 0 || (size_t)n >= sizeof(key))
        return true;
    mh_arena_init(&a, (size_t)1 << 20);
    const char *text = mh_arena_printf(&a, "%s %s %s", d->by ? d->by : "",
                                       d->answer ? d->answer : "", d->error ? d->error : "");
    bool same = text && mh_str_eq(text, mh_map_get(&w->decided, key));
    char *copy = same || !text ? NULL : mh_strdup(text);
    if (copy && !mh_map_put(&w->decided, key, copy, &old))
        old = copy;
    mh_free(old);
    mh_arena_release(&a);
    return !same;
}

bool
mh_policy_writer_decision(struct mh_policy_writer *w, const struct mh_decision *d, const char *name)
{
    char us[24], waited[24];
    bool fresh = is_new(w, d, name);
    (void)snprintf(us, sizeof(us), "%lld", (long long)d->took_us);
    (void)snprintf(waited, sizeof(waited), "%lld", (long long)d->waited_us);
    mh_log(fresh ? MH_LOG_INFO : MH_LOG_DEBUG, "policy", "policy decided", "point", d->point,
           "namespace", d->namespace, "name", name, "by", d->by, "=answer", d->answer, "=input",
           d->input_len < INPUT_LOG_MAX ? d->input : NULL, "error", d->error_text, "=us", us,
           "=waitedUs", waited, "=again", d->again ? "true" : NULL);
    return fresh;
}
