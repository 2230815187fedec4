#include "operator/notebook.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "operator/notebook_in.h"

#define NOTES_MAX 1000
#define TEXTS_MAX 16 /* decisions and passes of one cluster that wait */
#define WRITTEN_MAX 4000
#define GATHER_NS (5 * MH_NS_PER_S)
#define GATHER_PASSES_NS (15 * MH_NS_PER_S)
#define RETRY_NS (30 * MH_NS_PER_S)
#define READ_AGAIN_NS (1 * MH_NS_PER_S)
#define TRIES 5
#define PAGE "20" /* records of a list: each may have 64 KiB */
#define ARENA ((size_t)8 << 20)
#define POLICY_PREFIX "policy."
#define READ MH_RECORD_LABEL "," MH_RECORD_LABEL "!=passes" /* there may be very many of those */
#define NAME_MAX_LEN 253

/* One record that is to be written. */
struct mh_note {
    struct mh_notebook *nb;
    struct mh_note *next;
    struct mh_arena arena; /* of the calls */
    struct mh_api_call call;
    char *ns;
    char *name;
    char *owner[4]; /* apiVersion, kind, name, uid */
    char *policies; /* JSON; NULL: decisions */
    char *texts[TEXTS_MAX];
    size_t ntexts;
    size_t sent; /* of texts, in the call under way */
    int64_t due_ns;
    int tries;
    bool busy;
    bool again; /* policies changed while they were written */
};

/* The list at the start. */
struct mh_reading {
    struct mh_notebook *nb;
    struct mh_arena arena;
    struct mh_api_call call;
    struct mh_timer *timer;
    size_t at;  /* which namespace */
    char *more; /* continue token */
};

static void arm(struct mh_notebook *nb);
static void ask(struct mh_reading *r);

void
mh_notebook_init(struct mh_notebook *nb)
{
    nb->notes = NULL;
    nb->reading = NULL;
    nb->timer = NULL;
    mh_map_init(&nb->written, WRITTEN_MAX);
}

static void
free_note(struct mh_note *n)
{
    mh_free(n->ns);
    mh_free(n->name);
    for (size_t i = 0; i < sizeof(n->owner) / sizeof(n->owner[0]); i++)
        mh_free(n->owner[i]);
    mh_free(n->policies);
    for (size_t i = 0; i < n->ntexts; i++)
        mh_free(n->texts[i]);
    mh_arena_release(&n->arena);
    mh_free(n);
}

static void
drop(struct mh_note *n)
{
    struct mh_note **at = &n->nb->notes;
    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
    free_note(n);
}

static void
end_reading(struct mh_notebook *nb)
{
    struct mh_reading *r = nb->reading;
    nb->reading = NULL;
    if (!r)
        return;
    nb->clock.cancel(nb->clock.self, r->timer);
    mh_free(r->more);
    mh_arena_release(&r->arena);
    mh_free(r);
    arm(nb); /* for what waited */
}

void
mh_notebook_release(struct mh_notebook *nb)
{
    for (struct mh_note *n = nb->notes; n; n = n->next)
        if (n->busy)
            nb->api.cancel(nb->api.self, &n->call);
    while (nb->notes)
        drop(nb->notes);
    if (nb->reading && !nb->reading->timer)
        nb->api.cancel(nb->api.self, &nb->reading->call);
    end_reading(nb);
    if (nb->clock.cancel)
        nb->clock.cancel(nb->clock.self, nb->timer);
    for (size_t i = 0; i < nb->written.len; i++)
        mh_free(nb->written.entries[i].value);
    mh_map_release(&nb->written);
    nb->timer = NULL;
}

/* --- what was written ------------------------------------------------------------------------- */

static bool
page_key(char out[600], const char *ns, const char *name)
{
    int n = snprintf(out, 600, "%s/%s", ns, name);
    return n > 0 && n < 600;
}

/* A hash that does not depend on the order of keys: an API server keeps none. */
static char *
hash_of(yyjson_val *policies)
{
    struct mh_arena a;
    char hash[MH_POLICY_HASH];
    size_t len;
    mh_arena_init(&a, ARENA);
    const char *text = mh_json_canonical(&a, policies, &len);
    if (text)
        mh_policy_hash(hash, text, len);
    mh_arena_release(&a);
    return text ? mh_strdup(hash) : NULL;
}

static void
remember(struct mh_notebook *nb, const char *ns, const char *name, yyjson_val *policies)
{
    char key[600];
    void *old = NULL;
    char *hash = hash_of(policies);
    if (hash && (!page_key(key, ns, name) || !mh_map_put(&nb->written, key, hash, &old)))
        old = hash;
    mh_free(old);
}

static bool
is_written(const struct mh_notebook *nb, const char *ns, const char *name, yyjson_val *policies)
{
    char key[600];
    char *hash = page_key(key, ns, name) ? hash_of(policies) : NULL;
    bool same = hash && mh_str_eq(hash, mh_map_get(&nb->written, key));
    mh_free(hash);
    return same;
}

/* --- writing ----------------------------------------------------------------------------------- */

/* The note is through with what it has sent. */
static void
settle(struct mh_note *n)
{
    struct mh_notebook *nb = n->nb;
    n->busy = false;
    n->tries = 0;
    for (size_t i = 0; i < n->sent; i++)
        mh_free(n->texts[i]);
    n->ntexts -= n->sent;
    memmove(n->texts, n->texts + n->sent, n->ntexts * sizeof(n->texts[0]));
    n->sent = 0;
    if (!n->ntexts && !n->again)
        drop(n);
    else
        n->due_ns = nb->clock.mono_ns(nb->clock.self) + GATHER_NS;
    arm(nb);
}

static void
fail(struct mh_note *n, const char *why)
{
    struct mh_notebook *nb = n->nb;
    n->busy = false;
    n->sent = 0;
    if (++n->tries < TRIES) {
        n->due_ns = nb->clock.mono_ns(nb->clock.self) + RETRY_NS;
        mh_debug("notebook", "record not written yet", "namespace", n->ns, "name", n->name, "error",
                 why);
    } else {
        mh_warn("notebook", "record not written, the note is lost", "namespace", n->ns, "name",
                n->name, "error", why);
        drop(n);
    }
    arm(nb);
}

static void
on_written(struct mh_api_call *call)
{
    struct mh_note *n = call->arg;
    if (call->err.code != MH_OK) {
        fail(n, call->err.msg);
        return;
    }
    if (n->policies)
        remember(n->nb, n->ns, n->name, mh_json_get(call->reply, "record", "policies", NULL));
    settle(n);
}

static void
send_call(struct mh_note *n, const char *method, const char *path, const char *body,
          void (*done)(struct mh_api_call *))
{
    n->call = (struct mh_api_call){ .method = method,
                                    .path = path,
                                    .content_type = body ? MH_PATCH_APPLY : NULL,
                                    .body = body,
                                    .body_len = body ? strlen(body) : 0,
                                    .arena = &n->arena,
                                    .done = done,
                                    .arg = n };
    n->nb->api.start(n->nb->api.self, &n->call);
}

static const char *
path_of(struct mh_note *n)
{
    return mh_kube_path(&n->arena, n->nb->kind, n->ns, n->name, NULL);
}

static void
write_record(struct mh_note *n, yyjson_mut_doc *doc, yyjson_mut_val *record)
{
    struct mh_event_ref owner = { n->owner[0], n->owner[1], n->ns, n->owner[2], n->owner[3], NULL };
    bool object = mh_str_starts(n->name, MH_OBJECT_PREFIX);
    struct mh_notebook_page page = { n->policies ? "policies"
                                     : object    ? "passes"
                                                 : "decisions",
                                     n->ns, n->name, &owner };
    const char *body = mh_notebook_body(&n->arena, doc, &page, record);
    const char *path = path_of(n);
    path = path ? mh_kube_query(&n->arena, path, "fieldManager", "moonherd") : NULL;
    path = path ? mh_kube_query(&n->arena, path, "force", "true") : NULL;
    if (body && path)
        send_call(n, "PATCH", path, body, on_written);
    else
        fail(n, "no memory, or the record is too large");
}

static void
on_decisions_read(struct mh_api_call *call)
{
    struct mh_note *n = call->arg;
    if (call->err.code != MH_OK && call->err.code != MH_E_NOTFOUND) {
        fail(n, call->err.msg);
        return;
    }
    yyjson_mut_doc *doc = mh_json_doc(&n->arena);
    yyjson_val *old = call->err.code == MH_OK ? call->reply : NULL;
    yyjson_mut_val *record =
        doc ? mh_notebook_decisions(&n->arena, doc, old, n->texts, n->sent) : NULL;
    if (record)
        write_record(n, doc, record);
    else
        settle(n); /* nothing new */
}

static void
write_policies(struct mh_note *n)
{
    yyjson_val *v = NULL;
    yyjson_mut_doc *doc = mh_json_doc(&n->arena);
    n->again = false;
    if (!doc || mh_json_parse(&n->arena, n->policies, strlen(n->policies), &v, NULL) != MH_OK) {
        fail(n, "no memory");
        return;
    }
    if (is_written(n->nb, n->ns, n->name, v)) {
        settle(n);
        return;
    }
    yyjson_mut_val *record = yyjson_mut_obj(doc);
    if (record)
        yyjson_mut_obj_add_val(doc, record, "policies", yyjson_val_mut_copy(doc, v));
    write_record(n, doc, record);
}

static void
begin(struct mh_note *n)
{
    mh_arena_release(&n->arena);
    mh_arena_init(&n->arena, ARENA);
    n->busy = true;
    n->sent = n->ntexts;
    const char *path = n->policies ? NULL : path_of(n);
    if (n->policies)
        write_policies(n);
    else if (path)
        send_call(n, "GET", path, NULL, on_decisions_read);
    else
        fail(n, "no memory, or no name of an object");
}

/* Versions in charge are not written over a record that was not read yet. */
static bool
waits(const struct mh_note *n)
{
    return n->busy || (n->policies && n->nb->reading);
}

static void
on_timer(void *arg)
{
    struct mh_notebook *nb = arg;
    bool leads = !nb->may_write || nb->may_write(nb->arg);
    int64_t now = nb->clock.mono_ns(nb->clock.self);
    nb->timer = NULL;
    for (struct mh_note *n = nb->notes, *next; n; n = next) {
        next = n->next; /* begin may drop n only */
        if (waits(n) || n->due_ns > now)
            continue;
        if (leads)
            begin(n);
        else
            drop(n);
    }
    arm(nb);
}

static void
arm(struct mh_notebook *nb)
{
    int64_t first = INT64_MAX, now = nb->clock.mono_ns(nb->clock.self);
    for (const struct mh_note *n = nb->notes; n; n = n->next)
        if (!waits(n) && n->due_ns < first)
            first = n->due_ns;
    nb->clock.cancel(nb->clock.self, nb->timer);
    nb->timer = NULL;
    if (first < INT64_MAX)
        nb->timer = nb->clock.after(nb->clock.self, first > now ? first - now : 0, on_timer, nb);
}

/* The note for this record, made if there is none; NULL: no memory or too many. */
static struct mh_note *
note_of(struct mh_notebook *nb, const char *ns, const char *name, const struct mh_event_ref *owner)
{
    const char *const parts[] = { owner->api_version, owner->kind, owner->name, owner->uid };
    size_t open = 0;
    for (struct mh_note *n = nb->notes; n; n = n->next, open++)
        if (strcmp(n->name, name) == 0 && strcmp(n->ns, ns) == 0)
            return n;
    struct mh_note *n = open < NOTES_MAX ? mh_calloc(1, sizeof(*n)) : NULL;
    if (!n)
        return NULL;
    n->nb = nb;
    mh_arena_init(&n->arena, ARENA);
    n->ns = mh_strdup(ns);
    n->name = mh_strdup(name);
    bool ok = n->ns && n->name;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (parts[i])
            ok = (n->owner[i] = mh_strdup(parts[i])) && ok;
    if (!ok) {
        free_note(n);
        return NULL;
    }
    n->next = nb->notes;
    nb->notes = n;
    return n;
}

void
mh_notebook_policies(struct mh_notebook *nb, const struct mh_policy_news *news)
{
    char name[NAME_MAX_LEN + 1];
    struct mh_event_ref owner = {
        .api_version = "v1", .kind = "ConfigMap", .name = news->name, .uid = news->uid
    };
    int len = snprintf(name, sizeof(name), POLICY_PREFIX "%s", news->name);
    char *text = len > 0 && (size_t)len < sizeof(name) ? mh_strdup(news->record) : NULL;
    struct mh_note *n = text ? note_of(nb, news->namespace, name, &owner) : NULL;
    if (!n) {
        mh_free(text);
        mh_warn("notebook", "policies of an object are not kept", "namespace", news->namespace,
                "name", news->name);
        return;
    }
    mh_free(n->policies);
    n->policies = text;
    n->again = n->busy;
    if (!n->busy)
        n->due_ns = nb->clock.mono_ns(nb->clock.self);
    arm(nb);
}

/* One more text for the record of an object. */
static void
note_text(struct mh_notebook *nb, const struct mh_event_ref *about, const char *name,
          const char *text, int64_t gather_ns)
{
    int64_t due = nb->clock.mono_ns(nb->clock.self) + gather_ns;
    char *copy = text ? mh_strdup(text) : NULL;
    struct mh_note *n = copy ? note_of(nb, about->name_space, name, about) : NULL;
    if (!n || (n->ntexts == TEXTS_MAX && n->busy)) {
        mh_free(copy);
        return;
    }
    if (n->ntexts == TEXTS_MAX) {
        mh_free(n->texts[0]);
        memmove(n->texts, n->texts + 1, --n->ntexts * sizeof(n->texts[0]));
    }
    if (!n->busy && !n->tries && (!n->ntexts || due < n->due_ns))
        n->due_ns = due;
    n->texts[n->ntexts++] = copy;
    arm(nb);
}

void
mh_notebook_decision(struct mh_notebook *nb, const struct mh_event_ref *about,
                     const struct mh_decision *d)
{
    struct mh_arena a;
    if (nb->may_write && !nb->may_write(nb->arg))
        return;
    mh_arena_init(&a, ARENA);
    note_text(nb, about, about->name,
              mh_notebook_decision_text(&a, d, nb->clock.wall_us(nb->clock.self)), GATHER_NS);
    mh_arena_release(&a);
}

void
mh_notebook_pass(struct mh_notebook *nb, const struct mh_event_ref *about,
                 const struct mh_pass_said *said)
{
    struct mh_arena a;
    if (nb->may_write && !nb->may_write(nb->arg))
        return;
    mh_arena_init(&a, ARENA);
    const char *name = said->by ? mh_notebook_object(&a, about) : about->name;
    if (name)
        note_text(nb, about, name,
                  mh_notebook_pass_text(&a, said, nb->clock.wall_us(nb->clock.self)),
                  GATHER_PASSES_NS);
    mh_arena_release(&a);
}

/* --- reading ----------------------------------------------------------------------------------- */

static void
on_again(void *arg)
{
    struct mh_reading *r = arg;
    r->timer = NULL;
    ask(r);
}

static void
give(struct mh_notebook *nb, yyjson_val *item)
{
    const char *name = mh_json_str(item, "metadata", "name", NULL);
    yyjson_val *policies = mh_json_get(item, "record", "policies", NULL);
    yyjson_val *owner =
        yyjson_arr_get_first(mh_json_get(item, "metadata", "ownerReferences", NULL));
    yyjson_val *decisions = mh_json_get(item, "record", "decisions", NULL);
    struct mh_record_of of = { .namespace = mh_json_str(item, "metadata", "namespace", NULL),
                               .uid = mh_json_str(owner, "uid", NULL) };
    if (!of.namespace || !name)
        return;
    if (yyjson_is_arr(decisions) && nb->on_decisions)
        nb->on_decisions(nb->arg, of.namespace, name, decisions);
    if (!mh_str_starts(name, POLICY_PREFIX) || !yyjson_is_obj(policies))
        return;
    of.name = name + strlen(POLICY_PREFIX);
    remember(nb, of.namespace, name, policies);
    nb->on_policies(nb->arg, &of, policies);
}

static void
on_list(struct mh_api_call *call)
{
    struct mh_reading *r = call->arg;
    struct mh_notebook *nb = r->nb;
    enum mh_code code = call->err.code;
    if (code != MH_OK && code != MH_E_NOTFOUND) { /* without the kind there are no records */
        mh_warn("notebook", "records not read yet", "error", call->err.msg);
        mh_free(r->more); /* a token that has run out must not be tried for ever */
        r->more = NULL;
        r->timer = nb->clock.after(nb->clock.self, READ_AGAIN_NS, on_again, r);
        return;
    }
    yyjson_arr_iter i = yyjson_arr_iter_with(yyjson_obj_get(call->reply, "items"));
    yyjson_val *item;
    while (code == MH_OK && (item = yyjson_arr_iter_next(&i)))
        give(nb, item);
    const char *more =
        code == MH_OK ? mh_json_str(call->reply, "metadata", "continue", NULL) : NULL;
    mh_free(r->more);
    r->more = more && *more ? mh_strdup(more) : NULL;
    if (!r->more)
        r->at++;
    if (!r->more && (!nb->namespaces || !nb->namespaces[0] || !nb->namespaces[r->at])) {
        end_reading(nb);
        nb->on_read(nb->arg);
        return;
    }
    ask(r);
}

/* Asks for the next page. */
static void
ask(struct mh_reading *r)
{
    struct mh_notebook *nb = r->nb;
    const char *ns = nb->namespaces ? nb->namespaces[r->at] : NULL;
    mh_arena_release(&r->arena);
    mh_arena_init(&r->arena, ARENA);
    const char *path = mh_kube_path(&r->arena, nb->kind, ns, NULL, NULL);
    path = path ? mh_kube_query(&r->arena, path, "labelSelector", READ) : NULL;
    path = path ? mh_kube_query(&r->arena, path, "limit", PAGE) : NULL;
    if (path && r->more)
        path = mh_kube_query(&r->arena, path, "continue", r->more);
    if (!path) {
        r->timer = nb->clock.after(nb->clock.self, READ_AGAIN_NS, on_again, r);
        return;
    }
    r->call = (struct mh_api_call){
        .method = "GET", .path = path, .arena = &r->arena, .done = on_list, .arg = r
    };
    nb->api.start(nb->api.self, &r->call);
}

void
mh_notebook_read(struct mh_notebook *nb)
{
    struct mh_reading *r = nb->reading ? NULL : mh_calloc(1, sizeof(*r));
    if (!r) {
        if (!nb->reading)
            mh_error("notebook", "no memory to read the records");
        return;
    }
    r->nb = nb;
    mh_arena_init(&r->arena, ARENA);
    nb->reading = r;
    ask(r);
}
