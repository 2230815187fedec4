/* Get and list: resourceVersion semantics, pages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/rest_in.h"

#define SCRATCH_MAX ((size_t)16 << 20)

void
mh_sb_get_one(struct mh_sb_api *api, struct mh_sb_req *req, struct mh_sb_place *t)
{
    char *key = mh_sb_key(req->arena, t->r->namespaced ? t->at.ns : NULL, t->at.name);
    struct mh_sb_obj *o = key ? mh_sb_table_get(t->r->table, key) : NULL;
    size_t len = 0;
    char *text = o ? mh_sb_obj_text(req->arena, t->v, o, &len) : NULL;
    if (!key)
        mh_sb_no_memory(req);
    else if (!o)
        mh_sb_not_found(req, t->r, t->at.name);
    else
        mh_sb_answer_object(api, req, t->v, text, len, 200);
}

/* --- what is asked for ----------------------------------------------------------------------- */

struct page {
    uint64_t version;  /* the list's resourceVersion */
    bool exact;        /* as it was then */
    size_t limit;      /* 0: none */
    const char *start; /* key, exclusive; NULL: from the beginning */
};

static void
invalid_options(struct mh_sb_req *req, const char *reason, const char *field, const char *text)
{
    struct mh_sb_causes causes;
    mh_sb_causes_init(&causes, req->arena);
    mh_sb_cause_add(&causes, reason, field, "%s", text);
    mh_sb_invalid(req, "meta.k8s.io", "ListOptions", "", &causes);
}

static void
too_large(struct mh_sb_api *api, struct mh_sb_req *req, uint64_t asked)
{
    yyjson_mut_doc *doc = mh_json_doc(req->arena);
    yyjson_mut_val *d = doc ? yyjson_mut_obj(doc) : NULL;
    yyjson_mut_val *list = d ? yyjson_mut_obj_add_arr(doc, d, "causes") : NULL;
    yyjson_mut_val *c = list ? yyjson_mut_arr_add_obj(doc, list) : NULL;
    if (c) {
        yyjson_mut_obj_add_str(doc, c, "reason", "ResourceVersionTooLarge");
        yyjson_mut_obj_add_str(doc, c, "message", "Too large resource version");
        yyjson_mut_obj_add_int(doc, d, "retryAfterSeconds", 1);
    }
    mh_sb_status(req, 504, "Timeout",
                 mh_arena_printf(req->arena,
                                 "Timeout: Too large resource version: %llu, current: %llu",
                                 (unsigned long long)asked, (unsigned long long)api->store.version),
                 d, doc);
    req->retry_after_s = 1;
}

static bool
parse_version(struct mh_sb_req *req, const char *text, uint64_t *out)
{
    char *end = NULL;
    *out = strtoull(text, &end, 10);
    if (*text && !*end && *text != '-')
        return true;
    const char *why = mh_arena_printf(req->arena,
                                      "resourceVersion: Invalid value: \"%s\": "
                                      "strconv.ParseUint: parsing \"%s\": invalid syntax",
                                      text, text);
    mh_sb_bad_request(req, "invalid resource version: %s", why ? why : "");
    return false;
}

/* --- continue tokens: {"v":"meta.k8s.io/v1","rv":N,"start":"/KEY\0"} in base64 ---------------- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *
encode64(struct mh_arena *a, const char *s, size_t n)
{
    char *out = mh_arena_alloc(a, n * 4 / 3 + 5);
    char *o = out;
    for (size_t i = 0; out && i < n; i += 3) {
        unsigned v = (unsigned)(unsigned char)s[i] << 16;
        v |= i + 1 < n ? (unsigned)(unsigned char)s[i + 1] << 8 : 0;
        v |= i + 2 < n ? (unsigned char)s[i + 2] : 0;
        *o++ = digits[v >> 18];
        *o++ = digits[v >> 12 & 63];
        if (i + 1 < n)
            *o++ = digits[v >> 6 & 63];
        if (i + 2 < n)
            *o++ = digits[v & 63];
    }
    return out;
}

static char *
decode64(struct mh_arena *a, const char *s)
{
    char *out = mh_arena_alloc(a, strlen(s) + 1);
    char *o = out;
    unsigned v = 0;
    int bits = 0;
    for (; out && *s && *s != '='; s++) {
        const char *d = strchr(digits, *s);
        if (!d)
            return NULL;
        v = v << 6 | (unsigned)(d - digits);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            *o++ = (char)(v >> bits & 255);
        }
    }
    return out;
}

static char *
make_token(struct mh_arena *a, uint64_t version, const char *key)
{
    char *text =
        mh_arena_printf(a, "{\"v\":\"meta.k8s.io/v1\",\"rv\":%llu,\"start\":\"/%s\\u0000\"}",
                        (unsigned long long)version, key);
    return text ? encode64(a, text, strlen(text)) : NULL;
}

static bool
read_token(struct mh_sb_req *req, const char *token, struct page *p)
{
    char *text = decode64(req->arena, token);
    char *cut = text ? strstr(text, "\\u0000") : NULL;
    yyjson_val *v = NULL;
    struct mh_err err;
    if (cut) /* the JSON reader refuses NUL */
        memmove(cut, cut + 6, strlen(cut + 6) + 1);
    if (!text || mh_json_parse(req->arena, text, strlen(text), &v, &err) != MH_OK ||
        !mh_json_str(v, "start", NULL)) {
        mh_sb_bad_request(req, "invalid continue token: continue key is not valid: %s",
                          text ? "illegal base64 data or JSON" : "illegal base64 data");
        return false;
    }
    const char *start = mh_json_str(v, "start", NULL);
    p->start = start + (*start == '/');
    p->version = (uint64_t)mh_json_int(v, 0, "rv", NULL);
    p->exact = true;
    return true;
}

/* What is checked before the selectors are looked at. False: answered. */
static bool
read_options(struct mh_sb_api *api, struct mh_sb_req *req, const struct mh_sb_place *t,
             struct page *p)
{
    const struct mh_sb_query *q = &t->q;
    int64_t limit = 0;
    const char *match = q->version_match && *q->version_match ? q->version_match : NULL;
    bool versioned = q->resource_version && *q->resource_version;
    bool exact = mh_str_eq(match, "Exact");
    *p = (struct page){ .version = api->store.version };
    if (q->limit && *q->limit && !mh_str_int(q->limit, INT64_MIN, INT64_MAX, &limit)) {
        mh_sb_bad_request(req, "strconv.ParseInt: parsing \"%s\": invalid syntax", q->limit);
        return false;
    }
    bool cached = mh_str_eq(q->resource_version, "0") && !exact && (!q->token || !*q->token);
    /* what a cache has is given whole */
    p->limit = limit > 0 && !cached ? (size_t)limit : 0;
    struct mh_sb_select labels;
    struct mh_sb_place only = *t;
    only.q.field_selector = NULL; /* the other one is looked at later */
    if (match && !mh_sb_select_parse(req, req->arena, &only, &labels))
        return false;
    if (match && versioned && !exact && strcmp(match, "NotOlderThan") != 0)
        invalid_options(req, "FieldValueNotSupported", "resourceVersionMatch",
                        mh_arena_printf(req->arena,
                                        "Unsupported value: \"%s\": supported values: "
                                        "\"Exact\", \"NotOlderThan\", \"\"",
                                        match));
    else if (exact && mh_str_eq(q->resource_version, "0"))
        invalid_options(req, "FieldValueForbidden", "resourceVersionMatch",
                        "Forbidden: resourceVersionMatch \"exact\" is forbidden for "
                        "resourceVersion \"0\"");
    return req->status == 0;
}

/* False: answered. */
static bool
read_page(struct mh_sb_api *api, struct mh_sb_req *req, const struct mh_sb_query *q, struct page *p)
{
    const char *match = q->version_match && *q->version_match ? q->version_match : NULL;
    bool versioned = q->resource_version && *q->resource_version;
    if (match && !versioned) {
        invalid_options(req, "FieldValueForbidden", "resourceVersionMatch",
                        "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is "
                        "provided");
        return false;
    }
    if (q->token && *q->token) {
        if (match) {
            invalid_options(req, "FieldValueForbidden", "resourceVersionMatch",
                            "Forbidden: resourceVersionMatch is forbidden when continue is "
                            "provided");
            return false;
        }
        if (versioned && strcmp(q->resource_version, "0") != 0) {
            mh_sb_bad_request(req, "specifying resource version is not allowed when using "
                                   "continue");
            return false;
        }
        return read_token(req, q->token, p);
    }
    uint64_t asked = 0;
    if (!versioned)
        return true;
    if (!parse_version(req, q->resource_version, &asked))
        return false;
    if (asked > api->store.version) {
        too_large(api, req, asked);
        return false;
    }
    p->exact = (mh_str_eq(match, "Exact") || (p->limit && !match)) && asked;
    if (p->exact)
        p->version = asked;
    return true;
}

/* --- the list -------------------------------------------------------------------------------- */

struct found {
    struct mh_sb_obj **items;
    size_t n;
    size_t bytes;
    bool more;
    size_t rest; /* how many follow, when nothing is selected */
};

/* Index of the first key that is not before ns + end. */
static size_t
seek(struct mh_sb_obj *const *items, size_t len, const char *ns, char end)
{
    size_t n = strlen(ns);
    size_t lo = 0;
    size_t hi = len;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strncmp(items[mid]->key, ns, n);
        if (c < 0 || (c == 0 && (unsigned char)items[mid]->key[n] < (unsigned char)end))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Nothing but a namespace and a page is selected: no object is looked at. */
static bool
collect_all(struct mh_sb_obj *const *items, size_t from, size_t to, size_t limit, struct found *f)
{
    size_t n = limit && limit < to - from ? limit : to - from;
    f->items = mh_malloc((n + 1) * sizeof(struct mh_sb_obj *));
    for (; f->items && f->n < n; f->n++) {
        f->items[f->n] = items[from + f->n];
        f->bytes += items[from + f->n]->len;
    }
    f->rest = to - from - n;
    f->more = f->rest > 0;
    return f->items != NULL;
}

static bool
collect(struct mh_sb_obj *const *items, size_t len, const struct mh_sb_select *s,
        const struct page *p, struct found *f)
{
    struct mh_arena scratch;
    mh_arena_init(&scratch, SCRATCH_MAX);
    bool selective = s->nlabels || s->nfields;
    size_t from = s->ns ? seek(items, len, s->ns, '/') : 0;
    size_t to = s->ns ? seek(items, len, s->ns, '/' + 1) : len;
    for (; p->start && from < to && strcmp(items[from]->key, p->start) <= 0; from++)
        ;
    if (!selective && !s->name)
        return collect_all(items, from, to, p->limit, f);
    f->items = mh_malloc((to - from + 1) * sizeof(struct mh_sb_obj *));
    for (size_t i = from; f->items && i < to; i++) {
        yyjson_val *value = NULL;
        if (p->limit && f->n == p->limit && selective) { /* whether or not it matches */
            f->more = !s->name;
            break;
        }
        bool match = mh_sb_select_match(s, &scratch, items[i], &value);
        if (value)
            mh_arena_release(&scratch);
        if (!match)
            continue;
        if (p->limit && f->n == p->limit) {
            f->more = true;
            f->rest++;
            continue;
        }
        f->items[f->n++] = items[i];
        f->bytes += items[i]->len;
    }
    mh_arena_release(&scratch);
    return f->items != NULL;
}

static char *
list_meta(struct mh_arena *a, const struct mh_sb_select *s, const struct page *p,
          const struct found *f, bool custom)
{
    if (!f->more)
        return custom ? mh_arena_printf(a, "{\"continue\":\"\",\"resourceVersion\":\"%llu\"}",
                                        (unsigned long long)p->version)
                      : mh_arena_printf(a, "{\"resourceVersion\":\"%llu\"}",
                                        (unsigned long long)p->version);
    char *token = make_token(a, p->version, f->items[f->n - 1]->key);
    char rest[48] = "";
    if (!s->nlabels && !s->nfields)
        (void)snprintf(rest, sizeof(rest), ",\"remainingItemCount\":%zu", f->rest);
    return token ? mh_arena_printf(a, "{\"resourceVersion\":\"%llu\",\"continue\":\"%s\"%s}",
                                   (unsigned long long)p->version, token, rest)
                 : NULL;
}

/* Items of built-in lists have no kind and apiVersion, those of custom ones have. */
static void
answer_list(struct mh_sb_req *req, const struct mh_sb_place *t, const char *meta,
            const struct found *f)
{
    const struct mh_sb_version *v = t->v;
    size_t head = t->r->custom ? strlen(v->head) : 1;
    char *begin = mh_arena_printf(
        req->arena, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":%s,\"items\":[",
        t->r->list_kind, v->api_version, meta);
    size_t size = begin ? strlen(begin) + f->bytes + f->n * head + 8 : 0;
    char *text = begin ? mh_arena_alloc(req->arena, size) : NULL;
    if (!text) {
        mh_sb_no_memory(req);
        return;
    }
    char *o = text;
    memcpy(o, begin, strlen(begin));
    o += strlen(begin);
    for (size_t i = 0; i < f->n; i++) {
        if (i)
            *o++ = ',';
        memcpy(o, t->r->custom ? v->head : "{", head);
        o += head;
        memcpy(o, f->items[i]->text + 1, f->items[i]->len - 1);
        o += f->items[i]->len - 1;
    }
    memcpy(o, "]}\n", 4);
    mh_sb_answer(req, 200, text, (size_t)(o - text) + 3);
}

static void
answer_table(struct mh_sb_api *api, struct mh_sb_req *req, const struct mh_sb_place *t,
             const char *meta, const struct found *f)
{
    struct mh_arena *a = req->arena;
    const char **texts = mh_arena_alloc(a, (f->n + 1) * sizeof(char *));
    size_t *lens = mh_arena_alloc(a, (f->n + 1) * sizeof(size_t));
    size_t len = 0;
    char *text = NULL;
    bool ok = texts && lens;
    for (size_t i = 0; ok && i < f->n; i++) {
        texts[i] = mh_sb_obj_text(a, t->v, f->items[i], &lens[i]);
        ok = texts[i] != NULL;
    }
    if (ok)
        text = mh_sb_table_text(
            api, a, t->v, &(struct mh_sb_table_of){ texts, lens, f->n, meta, t->q.include_object },
            &len);
    if (text)
        mh_sb_answer(req, 200, text, len);
    else
        mh_sb_no_memory(req);
}

/* Metadata only. */
static void
answer_partial(struct mh_sb_req *req, const struct mh_sb_place *t, const char *meta,
               const struct found *f)
{
    struct mh_buf b;
    mh_buf_init(&b, (size_t)256 << 20);
    mh_buf_printf(&b,
                  "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/v1\","
                  "\"metadata\":%s,\"items\":[",
                  meta);
    if (!f->n) { /* as the real server */
        b.len--;
        mh_buf_str(&b, "null");
    }
    for (size_t i = 0; i < f->n; i++) {
        size_t len = 0;
        char *whole = mh_sb_obj_text(req->arena, t->v, f->items[i], &len);
        char *text = whole ? mh_sb_partial_text(req->arena, whole, &len) : NULL;
        if (i)
            mh_buf_char(&b, ',');
        if (text)
            mh_buf_add(&b, text, len);
        else
            b.failed = true;
    }
    mh_buf_str(&b, f->n ? "]}\n" : "}\n");
    char *text = b.failed ? NULL : mh_arena_strndup(req->arena, b.data, b.len);
    if (text)
        mh_sb_answer(req, 200, text, b.len);
    else
        mh_sb_no_memory(req);
    mh_buf_release(&b);
}

struct items {
    struct mh_sb_obj **list;
    size_t len;
};

static void
list_of(struct mh_sb_api *api, struct mh_sb_req *req, struct mh_sb_place *t,
        const struct mh_sb_select *s, struct page *p, const struct items *of)
{
    struct found f = { 0 };
    bool partial = mh_sb_wants_partial(req->accept);
    bool plain = !partial && !mh_sb_wants_table(req->accept);
    char *meta = collect(of->list, of->len, s, p, &f)
                     ? list_meta(req->arena, s, p, &f, plain && t->r->custom)
                     : NULL;
    if (!meta)
        mh_sb_no_memory(req);
    else if (mh_sb_wants_table(req->accept))
        answer_table(api, req, t, meta, &f);
    else if (partial)
        answer_partial(req, t, meta, &f);
    else
        answer_list(req, t, meta, &f);
    mh_free(f.items);
}

static void
expired(struct mh_sb_req *req, const struct page *p)
{
    if (p->start)
        mh_sb_refuse(req, 410, "Expired",
                     "The provided continue parameter is too old to display a consistent list "
                     "result. You can start a new list without the continue parameter.");
    else
        mh_sb_refuse(req, 410, "Expired", "The resourceVersion for the provided list is too old.");
}

void
mh_sb_list(struct mh_sb_api *api, struct mh_sb_req *req, struct mh_sb_place *t)
{
    struct mh_sb_select s;
    struct page p;
    struct mh_sb_table *table = t->r->table;
    struct items then = { 0 };
    bool gone = false;
    if (!read_options(api, req, t, &p) || !mh_sb_select_parse(req, req->arena, t, &s) ||
        !read_page(api, req, &t->q, &p) || !mh_sb_include_ok(req, t->q.include_object))
        return;
    if (!p.exact || p.version >= table->changed) {
        list_of(api, req, t, &s, &p, &(struct items){ table->items, table->len });
        return;
    }
    if (!mh_sb_table_at(table, p.version, &then.list, &then.len, &gone)) {
        if (gone)
            expired(req, &p);
        else
            mh_sb_no_memory(req);
        return;
    }
    list_of(api, req, t, &s, &p, &then);
    for (size_t i = 0; i < then.len; i++)
        mh_sb_obj_unref(then.list[i]);
    mh_free(then.list);
}
