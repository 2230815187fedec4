/* fields_set.c - sets of fields. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/fields_in.h"

static int
order(size_t a, size_t b)
{
    return a < b ? -1 : a > b;
}

static int
rank(yyjson_val *v)
{
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_NUM:
        return 0;
    case YYJSON_TYPE_STR:
        return 1;
    case YYJSON_TYPE_BOOL:
        return 2;
    case YYJSON_TYPE_ARR:
        return 3;
    case YYJSON_TYPE_OBJ:
        return 4;
    default:
        return 5;
    }
}

/* Any order of values will do where it is the same everywhere; numbers and texts are as expected. */
static int
value_cmp(yyjson_val *a, yyjson_val *b)
{
    int ra = rank(a);
    int rb = rank(b);
    if (ra != rb)
        return ra - rb;
    if (ra == 0) {
        double x = yyjson_get_num(a);
        double y = yyjson_get_num(b);
        if (x < y || x > y)
            return x < y ? -1 : 1;
        return mh_sb_equal(a, b) ? 0 : order(yyjson_get_uint(a), yyjson_get_uint(b));
    }
    if (ra == 1)
        return strcmp(yyjson_get_str(a), yyjson_get_str(b));
    if (ra == 2)
        return (int)yyjson_get_bool(a) - (int)yyjson_get_bool(b);
    if (mh_sb_equal(a, b))
        return 0;
    /* sizes first; equal sizes with other content: by place in memory, which holds for this call */
    int c = order(yyjson_get_len(a), yyjson_get_len(b));
    return c ? c : a < b ? -1 : 1;
}

static int
keys_cmp(const struct mh_sb_pe *a, const struct mh_sb_pe *b)
{
    for (size_t i = 0; i < a->nkeys && i < b->nkeys; i++) {
        int c = strcmp(a->keys[i].name, b->keys[i].name);
        if (!c)
            c = value_cmp(a->keys[i].value, b->keys[i].value);
        if (c)
            return c;
    }
    return order(a->nkeys, b->nkeys);
}

int
mh_sb_pe_cmp(const struct mh_sb_pe *a, const struct mh_sb_pe *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    switch (a->kind) {
    case MH_SB_PE_FIELD:
        return strcmp(a->name, b->name);
    case MH_SB_PE_KEY:
        return keys_cmp(a, b);
    case MH_SB_PE_VALUE:
        return value_cmp(a->value, b->value);
    default:
        return a->index < b->index ? -1 : a->index > b->index;
    }
}

static const char *
value_text(struct mh_sb_fields *f, yyjson_val *v)
{
    const char *s =
        yyjson_is_str(v) ? mh_sb_go_quote(f->arena, yyjson_get_str(v)) : mh_sb_go_json(f->arena, v);
    if (!s)
        f->failed = true;
    return s ? s : "";
}

void
mh_sb_pe_text(struct mh_sb_fields *f, const struct mh_sb_pe *pe, struct mh_buf *out)
{
    switch (pe->kind) {
    case MH_SB_PE_FIELD:
        mh_buf_char(out, '.');
        mh_buf_str(out, pe->name);
        return;
    case MH_SB_PE_KEY:
        for (size_t i = 0; i < pe->nkeys; i++)
            mh_buf_printf(out, "%s%s=%s", i ? "," : "[", pe->keys[i].name,
                          value_text(f, pe->keys[i].value));
        mh_buf_str(out, pe->nkeys ? "]" : "[]");
        return;
    case MH_SB_PE_VALUE:
        mh_buf_printf(out, "[=%s]", value_text(f, pe->value));
        return;
    default:
        mh_buf_printf(out, "[%lld]", (long long)pe->index);
    }
}

struct mh_sb_set *
mh_sb_set_new(struct mh_sb_fields *f)
{
    static struct mh_sb_set none; /* stays empty: whoever inserts sees f->failed first */
    struct mh_sb_set *s = mh_arena_alloc(f->arena, sizeof(*s));
    if (!s)
        f->failed = true;
    return s ? s : &none;
}

/* Place of pe among members, or where it would be. */
static size_t
member_at(const struct mh_sb_set *s, const struct mh_sb_pe *pe, bool *found)
{
    size_t low = 0;
    size_t high = s->nmembers;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (mh_sb_pe_cmp(&s->members[mid], pe) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = low < s->nmembers && mh_sb_pe_cmp(&s->members[low], pe) == 0;
    return low;
}

static size_t
child_at(const struct mh_sb_set *s, const struct mh_sb_pe *pe, bool *found)
{
    size_t low = 0;
    size_t high = s->nchildren;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (mh_sb_pe_cmp(&s->children[mid].pe, pe) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = low < s->nchildren && mh_sb_pe_cmp(&s->children[low].pe, pe) == 0;
    return low;
}

/* Room for one more item at place `at` of an array of n; returns the array or NULL. */
static void *
open_place(struct mh_sb_fields *f, void *array, size_t at, size_t n, size_t *size, size_t item)
{
    char *out = array;
    if (n == *size) {
        size_t more = *size ? *size * 2 : 4;
        out = mh_arena_alloc(f->arena, more * item);
        if (!out) {
            f->failed = true;
            return NULL;
        }
        if (n)
            memcpy(out, array, n * item);
        *size = more;
    }
    memmove(out + (at + 1) * item, out + at * item, (n - at) * item);
    return out;
}

static void
add_member(struct mh_sb_fields *f, struct mh_sb_set *s, const struct mh_sb_pe *pe)
{
    bool found = false;
    size_t at = member_at(s, pe, &found);
    if (found || f->failed)
        return;
    struct mh_sb_pe *members =
        open_place(f, s->members, at, s->nmembers, &s->members_size, sizeof(*members));
    if (!members)
        return;
    s->members = members;
    s->members[at] = *pe;
    s->nmembers++;
}

static struct mh_sb_set *
descend(struct mh_sb_fields *f, struct mh_sb_set *s, const struct mh_sb_pe *pe)
{
    bool found = false;
    size_t at = child_at(s, pe, &found);
    if (found)
        return s->children[at].set;
    struct mh_sb_set *sub = mh_sb_set_new(f);
    if (f->failed)
        return sub;
    struct mh_sb_set_node *children =
        open_place(f, s->children, at, s->nchildren, &s->children_size, sizeof(*children));
    if (!children)
        return sub;
    s->children = children;
    s->children[at] = (struct mh_sb_set_node){ *pe, sub };
    s->nchildren++;
    return sub;
}

void
mh_sb_set_insert(struct mh_sb_fields *f, struct mh_sb_set *s, const struct mh_sb_pe *path, size_t n)
{
    if (!n)
        return; /* nobody owns the whole object */
    for (size_t i = 0; i + 1 < n && !f->failed; i++)
        s = descend(f, s, &path[i]);
    if (!f->failed)
        add_member(f, s, &path[n - 1]);
}

bool
mh_sb_set_empty(const struct mh_sb_set *s)
{
    if (s->nmembers)
        return false;
    for (size_t i = 0; i < s->nchildren; i++) {
        if (!mh_sb_set_empty(s->children[i].set))
            return false;
    }
    return true;
}

bool
mh_sb_set_has(const struct mh_sb_set *s, const struct mh_sb_pe *pe)
{
    bool found = false;
    member_at(s, pe, &found);
    return found;
}

const struct mh_sb_set *
mh_sb_set_below(const struct mh_sb_set *s, const struct mh_sb_pe *pe)
{
    static const struct mh_sb_set none;
    bool found = false;
    size_t at = child_at(s, pe, &found);
    return found ? s->children[at].set : &none;
}

bool
mh_sb_set_equal(const struct mh_sb_set *a, const struct mh_sb_set *b)
{
    if (a->nmembers != b->nmembers || a->nchildren != b->nchildren)
        return false;
    for (size_t i = 0; i < a->nmembers; i++) {
        if (mh_sb_pe_cmp(&a->members[i], &b->members[i]))
            return false;
    }
    for (size_t i = 0; i < a->nchildren; i++) {
        if (mh_sb_pe_cmp(&a->children[i].pe, &b->children[i].pe) ||
            !mh_sb_set_equal(a->children[i].set, b->children[i].set))
            return false;
    }
    return true;
}

/* Room for so many members and children, which are then added in order. */
static struct mh_sb_set *
sized(struct mh_sb_fields *f, size_t members, size_t children)
{
    struct mh_sb_set *s = mh_sb_set_new(f);
    if (f->failed)
        return s;
    s->members = mh_arena_alloc(f->arena, (members + 1) * sizeof(*s->members));
    s->children = mh_arena_alloc(f->arena, (children + 1) * sizeof(*s->children));
    s->members_size = members + 1;
    s->children_size = children + 1;
    if (!s->members || !s->children) {
        f->failed = true;
        s->members_size = s->children_size = 0;
    }
    return s;
}

static void
push_child(struct mh_sb_set *s, const struct mh_sb_pe *pe, struct mh_sb_set *sub)
{
    s->children[s->nchildren++] = (struct mh_sb_set_node){ *pe, sub };
}

struct mh_sb_set *
mh_sb_set_union(struct mh_sb_fields *f, const struct mh_sb_set *a, const struct mh_sb_set *b)
{
    struct mh_sb_set *s = sized(f, a->nmembers + b->nmembers, a->nchildren + b->nchildren);
    size_t i = 0;
    size_t j = 0;
    while (!f->failed && (i < a->nmembers || j < b->nmembers)) {
        int c = i == a->nmembers   ? 1
                : j == b->nmembers ? -1
                                   : mh_sb_pe_cmp(&a->members[i], &b->members[j]);
        s->members[s->nmembers++] = c <= 0 ? a->members[i] : b->members[j];
        i += c <= 0;
        j += c >= 0;
    }
    i = j = 0;
    while (!f->failed && (i < a->nchildren || j < b->nchildren)) {
        int c = i == a->nchildren   ? 1
                : j == b->nchildren ? -1
                                    : mh_sb_pe_cmp(&a->children[i].pe, &b->children[j].pe);
        if (c == 0)
            push_child(s, &a->children[i].pe,
                       mh_sb_set_union(f, a->children[i].set, b->children[j].set));
        else
            s->children[s->nchildren++] = c < 0 ? a->children[i] : b->children[j];
        i += c <= 0;
        j += c >= 0;
    }
    return s;
}

struct mh_sb_set *
mh_sb_set_common(struct mh_sb_fields *f, const struct mh_sb_set *a, const struct mh_sb_set *b)
{
    struct mh_sb_set *s = sized(f, a->nmembers, a->nchildren);
    for (size_t i = 0; !f->failed && i < a->nmembers; i++) {
        if (mh_sb_set_has(b, &a->members[i]))
            s->members[s->nmembers++] = a->members[i];
    }
    for (size_t i = 0; !f->failed && i < a->nchildren; i++) {
        struct mh_sb_set *sub =
            mh_sb_set_common(f, a->children[i].set, mh_sb_set_below(b, &a->children[i].pe));
        if (!mh_sb_set_empty(sub))
            push_child(s, &a->children[i].pe, sub);
    }
    return s;
}

static struct mh_sb_set *
minus(struct mh_sb_fields *f, const struct mh_sb_set *a, const struct mh_sb_set *b, bool below)
{
    struct mh_sb_set *s = sized(f, a->nmembers, a->nchildren);
    for (size_t i = 0; !f->failed && i < a->nmembers; i++) {
        if (!mh_sb_set_has(b, &a->members[i]))
            s->members[s->nmembers++] = a->members[i];
    }
    for (size_t i = 0; !f->failed && i < a->nchildren; i++) {
        const struct mh_sb_pe *pe = &a->children[i].pe;
        if (below && mh_sb_set_has(b, pe))
            continue;
        struct mh_sb_set *sub = minus(f, a->children[i].set, mh_sb_set_below(b, pe), below);
        if (!mh_sb_set_empty(sub))
            push_child(s, pe, sub);
    }
    return s;
}

struct mh_sb_set *
mh_sb_set_minus(struct mh_sb_fields *f, const struct mh_sb_set *a, const struct mh_sb_set *b)
{
    return minus(f, a, b, false);
}

struct mh_sb_set *
mh_sb_set_without(struct mh_sb_fields *f, const struct mh_sb_set *a, const struct mh_sb_set *b)
{
    return minus(f, a, b, true);
}

/* "f:name", "k:{...}", "v:1", "i:0" */
static char *
pe_key(struct mh_sb_fields *f, const struct mh_sb_pe *pe)
{
    struct mh_buf b;
    switch (pe->kind) {
    case MH_SB_PE_FIELD:
        return mh_sb_join(f->arena, "f", ':', pe->name);
    case MH_SB_PE_VALUE:
        return mh_arena_printf(f->arena, "v:%s", mh_sb_go_json(f->arena, pe->value));
    case MH_SB_PE_INDEX:
        return mh_arena_printf(f->arena, "i:%lld", (long long)pe->index);
    default:
        mh_buf_init(&b, (size_t)1 << 20);
        mh_buf_str(&b, "k:{");
        for (size_t i = 0; i < pe->nkeys; i++) {
            const char *v = mh_sb_go_json(f->arena, pe->keys[i].value);
            mh_buf_printf(&b, "%s\"%s\":%s", i ? "," : "", pe->keys[i].name, v ? v : "");
        }
        mh_buf_char(&b, '}');
        char *out = b.failed ? NULL : mh_arena_strdup(f->arena, mh_buf_text(&b));
        mh_buf_release(&b);
        return out;
    }
}

static void
put(struct mh_sb_fields *f, yyjson_mut_val *obj, const char *key, yyjson_mut_val *v)
{
    yyjson_mut_val *k = key ? yyjson_mut_strcpy(f->doc, key) : NULL;
    if (!k || !v || !yyjson_mut_obj_add(obj, k, v))
        f->failed = true;
}

static yyjson_mut_val *
set_json(struct mh_sb_fields *f, const struct mh_sb_set *s, bool self)
{
    yyjson_mut_val *obj = yyjson_mut_obj(f->doc);
    size_t i = 0;
    size_t j = 0;
    if (!obj) {
        f->failed = true;
        return NULL;
    }
    if (self && (s->nmembers || s->nchildren))
        put(f, obj, ".", yyjson_mut_obj(f->doc));
    while (!f->failed && (i < s->nmembers || j < s->nchildren)) {
        int c = i == s->nmembers    ? 1
                : j == s->nchildren ? -1
                                    : mh_sb_pe_cmp(&s->members[i], &s->children[j].pe);
        if (c < 0)
            put(f, obj, pe_key(f, &s->members[i]), yyjson_mut_obj(f->doc));
        else
            put(f, obj, pe_key(f, &s->children[j].pe), set_json(f, s->children[j].set, c == 0));
        i += c <= 0;
        j += c >= 0;
    }
    return obj;
}

yyjson_mut_val *
mh_sb_set_json(struct mh_sb_fields *f, const struct mh_sb_set *s)
{
    return set_json(f, s, false);
}

static int
by_key_name(const void *x, const void *y)
{
    const struct mh_sb_pe_key *a = x;
    const struct mh_sb_pe_key *b = y;
    return strcmp(a->name, b->name);
}

static bool
read_keys(struct mh_sb_fields *f, yyjson_val *v, struct mh_sb_pe *pe)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    if (!yyjson_is_obj(v))
        return false;
    pe->nkeys = yyjson_obj_size(v);
    pe->keys = mh_arena_alloc(f->arena, (pe->nkeys + 1) * sizeof(*pe->keys));
    if (!pe->keys) {
        f->failed = true;
        return false;
    }
    yyjson_obj_foreach(mh_sb_obj_or_none(v), i, max, key, item)
    {
        pe->keys[i] = (struct mh_sb_pe_key){ yyjson_get_str(key), item };
    }
    qsort(pe->keys, pe->nkeys, sizeof(*pe->keys), by_key_name);
    return true;
}

/* False: malformed. *known false: a kind of step that is skipped. */
static bool
read_pe(struct mh_sb_fields *f, const char *text, struct mh_sb_pe *pe, bool *known)
{
    yyjson_val *v = NULL;
    *known = true;
    *pe = (struct mh_sb_pe){ 0 };
    if (!text[0] || text[1] != ':')
        return false;
    switch (text[0]) {
    case 'f':
        pe->kind = MH_SB_PE_FIELD;
        pe->name = mh_arena_strdup(f->arena, text + 2);
        f->failed = f->failed || !pe->name;
        return pe->name != NULL;
    case 'i':
        pe->kind = MH_SB_PE_INDEX;
        return mh_str_int(text + 2, INT32_MIN, INT32_MAX, &pe->index);
    case 'k':
    case 'v':
        if (mh_json_parse(f->arena, text + 2, strlen(text + 2), &v, NULL))
            return false;
        pe->kind = text[0] == 'k' ? MH_SB_PE_KEY : MH_SB_PE_VALUE;
        pe->value = v;
        return text[0] == 'v' || read_keys(f, v, pe);
    default:
        *known = false;
        return true;
    }
}

static struct mh_sb_set *
read_set(struct mh_sb_fields *f, yyjson_val *v, bool *self, int depth)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    struct mh_sb_set *s = mh_sb_set_new(f);
    *self = false;
    if (!yyjson_is_obj(v) || depth > MH_SB_FIELDS_DEPTH_MAX)
        return NULL;
    yyjson_obj_foreach(mh_sb_obj_or_none(v), i, max, key, item)
    {
        struct mh_sb_pe pe;
        bool known = false;
        bool member = false;
        if (strcmp(yyjson_get_str(key), ".") == 0) {
            *self = true;
            continue;
        }
        if (f->failed || !read_pe(f, yyjson_get_str(key), &pe, &known))
            return NULL;
        if (!known)
            continue;
        struct mh_sb_set *sub = read_set(f, item, &member, depth + 1);
        if (!sub)
            return NULL;
        if (member)
            add_member(f, s, &pe);
        struct mh_sb_set *place = mh_sb_set_empty(sub) ? NULL : descend(f, s, &pe);
        if (f->failed)
            return NULL;
        if (place)
            *place = *sub;
    }
    if (!s->nmembers && !s->nchildren)
        *self = true;
    return s;
}

struct mh_sb_set *
mh_sb_set_read(struct mh_sb_fields *f, yyjson_val *v)
{
    bool self = false;
    return v ? read_set(f, v, &self, 0) : mh_sb_set_new(f);
}

static void
each(struct mh_sb_fields *f, const struct mh_sb_set *s, struct mh_buf *path,
     void (*fn)(void *arg, const char *path), void *arg)
{
    size_t len = path->len;
    for (size_t i = 0; i < s->nmembers; i++) {
        mh_sb_pe_text(f, &s->members[i], path);
        fn(arg, mh_buf_text(path));
        mh_sb_path_cut(path, len);
    }
    for (size_t i = 0; i < s->nchildren; i++) {
        mh_sb_pe_text(f, &s->children[i].pe, path);
        each(f, s->children[i].set, path, fn, arg);
        mh_sb_path_cut(path, len);
    }
}

void
mh_sb_set_each(struct mh_sb_fields *f, const struct mh_sb_set *s,
               void (*fn)(void *arg, const char *path), void *arg)
{
    struct mh_buf path;
    mh_buf_init(&path, (size_t)1 << 20);
    each(f, s, &path, fn, arg);
    mh_buf_release(&path);
}
