#include "operator/record.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"

#define FILES_MAX 100000
#define FILE_MAX ((size_t)8 << 20)

void
mh_records_init(struct mh_records *r, const char *dir, struct mh_fs fs)
{
    *r = (struct mh_records){ .dir = dir && *dir ? dir : NULL, .fs = fs };
    struct mh_err err;
    if (r->dir && fs.mkdir(fs.self, r->dir, 0755, &err) != MH_OK)
        mh_warn("record", "folder for observations cannot be made", "error", err.msg);
}

static void
drop(struct mh_records *r, struct mh_record *rec)
{
    r->bytes -= rec->bytes;
    mh_free(rec->key);
    mh_free(rec->reason);
    mh_free(rec->result);
    mh_free(rec->actions);
    mh_free(rec->seen);
    mh_free(rec->plan);
    *rec = (struct mh_record){ 0 };
}

static void
drop_first(struct mh_records *r)
{
    drop(r, &r->ring[r->first]);
    r->first = (r->first + 1) % MH_RECORDS_MAX;
    r->len--;
}

void
mh_records_release(struct mh_records *r)
{
    while (r->len)
        drop_first(r);
}

static struct mh_record *
last_of(struct mh_records *r, const char *key)
{
    for (unsigned i = r->len; i > 0; i--) {
        struct mh_record *rec = &r->ring[(r->first + i - 1) % MH_RECORDS_MAX];
        if (mh_str_eq(rec->key, key))
            return rec;
    }
    return NULL;
}

static bool
repeats(const struct mh_record *old, const struct mh_record *rec)
{
    return old && mh_str_eq(old->reason, rec->reason) && mh_str_eq(old->result, rec->result) &&
           mh_str_eq(rec->actions, "[]") && mh_str_eq(old->actions, "[]");
}

static size_t
size_of(const char *s)
{
    return s ? strlen(s) + 1 : 0;
}

void
mh_records_add(struct mh_records *r, const struct mh_record *rec)
{
    struct mh_record *old = last_of(r, rec->key);
    if (repeats(old, rec)) {
        old->count++;
        old->at_us = rec->at_us;
        return;
    }
    struct mh_record n = *rec;
    n.count = 1;
    n.key = mh_strdup(rec->key);
    n.reason = rec->reason ? mh_strdup(rec->reason) : NULL;
    n.result = rec->result ? mh_strdup(rec->result) : NULL;
    n.actions = rec->actions ? mh_strdup(rec->actions) : NULL;
    n.seen = rec->seen ? mh_strdup(rec->seen) : NULL;
    n.plan = rec->plan ? mh_strdup(rec->plan) : NULL;
    n.bytes = size_of(n.key) + size_of(n.reason) + size_of(n.result) + size_of(n.actions) +
              size_of(n.seen) + size_of(n.plan);
    r->bytes += n.bytes;
    if (!n.key || n.bytes > MH_RECORDS_BYTES) {
        drop(r, &n);
        return;
    }
    while (r->len && (r->len == MH_RECORDS_MAX || r->bytes > MH_RECORDS_BYTES))
        drop_first(r);
    r->ring[(r->first + r->len++) % MH_RECORDS_MAX] = n;
}

/* Appends the parts of a key as JSON members. */
static void
add_key(struct mh_buf *out, const char *key)
{
    static const char *const names[] = { "\"kind\":", ",\"namespace\":", ",\"name\":" };
    for (size_t i = 0; i < 3; i++) {
        size_t n = strcspn(key, "\n");
        mh_buf_str(out, names[i]);
        mh_json_quote(out, key, n);
        key += n + (key[n] == '\n');
    }
}

void
mh_records_file(struct mh_records *r, const char *key, const char *seen, const char *plan)
{
    if (!r->dir || !seen || r->files >= FILES_MAX)
        return;
    char name[320], path[1024];
    mh_str_copy(name, sizeof(name), key);
    for (char *p = name; *p; p++)
        if (*p == '\n' || *p == '/')
            *p = '_';
    int n;
    do /* never over a file of an earlier run */
        n = snprintf(path, sizeof(path), "%s/%06llu-%s.json", r->dir,
                     (unsigned long long)++r->files, name);
    while (n > 0 && (size_t)n < sizeof(path) && r->files < FILES_MAX &&
           r->fs.exists(r->fs.self, path));
    if (n < 0 || (size_t)n >= sizeof(path) || r->files >= FILES_MAX)
        return;
    struct mh_buf b;
    struct mh_err err;
    mh_buf_init(&b, FILE_MAX);
    mh_buf_char(&b, '{');
    add_key(&b, key);
    mh_buf_printf(&b, ",\"seen\":%s,\"plan\":%s}\n", seen, plan ? plan : "null");
    if (!b.failed && r->fs.write(r->fs.self, path, b.data, b.len, 0644, false, NULL, &err) != MH_OK)
        mh_warn("record", "observation not written", "error", err.msg);
    mh_buf_release(&b);
}

static void
add_text(struct mh_buf *out, const char *name, const char *text)
{
    mh_buf_printf(out, ",\"%s\":", name);
    mh_json_quote(out, text ? text : "", text ? strlen(text) : 0);
}

static void
add_record(struct mh_buf *out, const struct mh_record *rec, bool whole)
{
    char at[MH_TIME_TEXT];
    mh_time_rfc3339_micro(at, rec->at_us);
    mh_buf_char(out, '{');
    add_key(out, rec->key);
    add_text(out, "at", at);
    add_text(out, "reason", rec->reason);
    add_text(out, "result", rec->result);
    mh_buf_printf(out, ",\"urgent\":%s,\"count\":%u,\"actions\":%s", rec->urgent ? "true" : "false",
                  rec->count, rec->actions ? rec->actions : "[]");
    mh_buf_printf(out, ",\"observe_us\":%lld,\"plan_us\":%lld,\"act_us\":%lld",
                  (long long)rec->observe_us, (long long)rec->plan_us, (long long)rec->act_us);
    if (whole)
        mh_buf_printf(out, ",\"seen\":%s,\"plan\":%s", rec->seen ? rec->seen : "null",
                      rec->plan ? rec->plan : "null");
    mh_buf_char(out, '}');
}

bool
mh_records_json(const struct mh_records *r, const char *key, bool whole, struct mh_buf *out)
{
    bool first = true;
    mh_buf_char(out, '[');
    for (unsigned i = r->len; i > 0; i--) {
        const struct mh_record *rec = &r->ring[(r->first + i - 1) % MH_RECORDS_MAX];
        if (key && !mh_str_eq(rec->key, key))
            continue;
        if (!first)
            mh_buf_char(out, ',');
        first = false;
        add_record(out, rec, whole);
    }
    return mh_buf_char(out, ']') && !out->failed;
}
