/* cel_base.c - conversions, sizes, optionals, and the operators of arithmetic. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "sandbox/cel_in.h"
#include "sandbox/regex.h"

typedef struct mh_sb_cel_value value;
typedef struct mh_sb_cel_eval eval;
typedef struct mh_sb_cel_call call;

/* --- arithmetic ------------------------------------------------------------------------------ */

static bool
overflow(eval *e)
{
    return mh_sb_cel_fail(e, "integer overflow");
}

static bool
on_ints(eval *e, char op, int64_t a, int64_t b, value *out)
{
    bool bad = false;
    out->type = MH_SB_CEL_INT;
    switch (op) {
    case '+':
        bad = __builtin_add_overflow(a, b, &out->i);
        break;
    case '-':
        bad = __builtin_sub_overflow(a, b, &out->i);
        break;
    case '*':
        bad = __builtin_mul_overflow(a, b, &out->i);
        break;
    default:
        if (b == 0)
            return mh_sb_cel_fail(e, op == '/' ? "division by zero" : "modulus by zero");
        bad = a == INT64_MIN && b == -1;
        if (!bad)
            out->i = op == '/' ? a / b : a % b;
    }
    return !bad || overflow(e);
}

static bool
on_uints(eval *e, char op, uint64_t a, uint64_t b, value *out)
{
    bool bad = false;
    out->type = MH_SB_CEL_UINT;
    switch (op) {
    case '+':
        bad = __builtin_add_overflow(a, b, &out->u);
        break;
    case '-':
        bad = __builtin_sub_overflow(a, b, &out->u);
        break;
    case '*':
        bad = __builtin_mul_overflow(a, b, &out->u);
        break;
    default:
        if (b == 0)
            return mh_sb_cel_fail(e, op == '/' ? "division by zero" : "modulus by zero");
        out->u = op == '/' ? a / b : a % b;
    }
    return !bad || mh_sb_cel_fail(e, "unsigned integer overflow");
}

static bool
on_doubles(eval *e, char op, double a, double b, value *out)
{
    out->type = MH_SB_CEL_DOUBLE;
    if (op == '%')
        return mh_sb_cel_no_overload(e);
    out->d = op == '+' ? a + b : op == '-' ? a - b : op == '*' ? a * b : a / b;
    return true;
}

static bool
join_texts(eval *e, value a, value b, value *out)
{
    if (a.n + b.n > MH_SB_CEL_TEXT_MAX || !mh_sb_cel_charge(e, (a.n + b.n) / 10))
        return e->code ? false : mh_sb_cel_fail(e, "text is too long");
    char *s = mh_arena_alloc(e->arena, a.n + b.n + 1);
    if (!s)
        return mh_sb_cel_no_memory(e);
    memcpy(s, a.s, a.n);
    memcpy(s + a.n, b.s, b.n);
    enum mh_sb_cel_type type = a.type;
    *out = mh_sb_cel_of_text(s, a.n + b.n);
    out->type = type;
    return true;
}

static bool
same_keys(eval *e, const struct mh_sb_schema *s, value a, value b)
{
    for (size_t i = 0; i < s->list_keys.count; i++) {
        value x = { .type = MH_SB_CEL_NULL };
        value y = { .type = MH_SB_CEL_NULL };
        bool found = false;
        if (a.type != MH_SB_CEL_MAP || b.type != MH_SB_CEL_MAP ||
            !mh_sb_cel_field(e, a, s->list_keys.items[i], &x, &found) ||
            !mh_sb_cel_field(e, b, s->list_keys.items[i], &y, &found) || !mh_sb_cel_equal(e, x, y))
            return false;
    }
    return true;
}

/* Lists that are sets or maps stay without duplicates. */
static bool
join_lists(eval *e, value a, value b, value *out)
{
    const struct mh_sb_schema *s = mh_sb_shape(a.list->schema);
    enum mh_sb_list_type type = s ? s->list_type : MH_SB_LIST_NONE;
    bool unique = type == MH_SB_LIST_SET || type == MH_SB_LIST_MAP;
    if (!mh_sb_cel_fill(e, a) || !mh_sb_cel_fill(e, b) ||
        !mh_sb_cel_new_list(e, a.list->n + b.list->n, out))
        return false;
    memcpy(out->list->items, a.list->items, a.list->n * sizeof(value));
    out->list->n = a.list->n;
    out->list->schema = a.list->schema;
    for (size_t i = 0; i < b.list->n; i++) {
        value v = b.list->items[i];
        size_t k = 0;
        while (unique && k < a.list->n &&
               !(type == MH_SB_LIST_MAP ? same_keys(e, s, out->list->items[k], v)
                                        : mh_sb_cel_equal(e, out->list->items[k], v)))
            k++;
        if (unique && k < a.list->n)
            out->list->items[k] = v;
        else
            out->list->items[out->list->n++] = v;
    }
    return !e->code;
}

/* Times and durations; types as they stand. */
static bool
on_times(eval *e, char op, value a, value b, value *out)
{
    bool bad = false;
    bool at = a.type == MH_SB_CEL_TIMESTAMP;
    bool bt = b.type == MH_SB_CEL_TIMESTAMP;
    if ((op != '+' && op != '-') || (at && bt && op == '+') || (!at && bt && op == '-'))
        return mh_sb_cel_no_overload(e);
    out->type = at != bt ? MH_SB_CEL_TIMESTAMP : MH_SB_CEL_DURATION;
    int64_t x = at || !bt ? a.i : a.i / 1000;
    int64_t y = at && !bt ? b.i / 1000 : b.i;
    bad = op == '+' ? __builtin_add_overflow(x, y, &out->i) : __builtin_sub_overflow(x, y, &out->i);
    if (!bad && at && bt)
        bad = __builtin_mul_overflow(out->i, 1000, &out->i);
    return !bad || overflow(e);
}

static bool
is_time(value v)
{
    return v.type == MH_SB_CEL_DURATION || v.type == MH_SB_CEL_TIMESTAMP;
}

bool
mh_sb_cel_arithmetic(eval *e, char op, value a, value b, value *out)
{
    if (is_time(a) && is_time(b))
        return on_times(e, op, a, b, out);
    if (a.type != b.type)
        return mh_sb_cel_no_overload(e);
    switch (a.type) {
    case MH_SB_CEL_INT:
        return on_ints(e, op, a.i, b.i, out);
    case MH_SB_CEL_UINT:
        return on_uints(e, op, a.u, b.u, out);
    case MH_SB_CEL_DOUBLE:
        return on_doubles(e, op, a.d, b.d, out);
    case MH_SB_CEL_STRING:
    case MH_SB_CEL_BYTES:
        return op == '+' ? join_texts(e, a, b, out) : mh_sb_cel_no_overload(e);
    case MH_SB_CEL_LIST:
        return op == '+' ? join_lists(e, a, b, out) : mh_sb_cel_no_overload(e);
    default:
        return mh_sb_cel_no_overload(e);
    }
}

/* --- conversions ----------------------------------------------------------------------------- */

static char *
zero_ended(eval *e, value v)
{
    char *s = mh_arena_strndup(e->arena, v.s, v.n);
    if (!s)
        mh_sb_cel_no_memory(e);
    return s;
}

static bool
to_int(call *c)
{
    value v = c->args[0];
    c->out->type = MH_SB_CEL_INT;
    if (v.type == MH_SB_CEL_INT)
        c->out->i = v.i;
    else if (v.type == MH_SB_CEL_TIMESTAMP)
        c->out->i = v.i / 1000000;
    else if (v.type == MH_SB_CEL_UINT && v.u <= INT64_MAX)
        c->out->i = (int64_t)v.u;
    else if (v.type == MH_SB_CEL_DOUBLE && v.d > -9.2233720368547758e18 &&
             v.d < 9.2233720368547758e18)
        c->out->i = (int64_t)v.d;
    else if (v.type == MH_SB_CEL_UINT || v.type == MH_SB_CEL_DOUBLE)
        return overflow(c->e);
    else if (v.type == MH_SB_CEL_STRING) {
        char *s = zero_ended(c->e, v);
        if (s && !mh_str_int(*s == '+' ? s + 1 : s, INT64_MIN, INT64_MAX, &c->out->i))
            return mh_sb_cel_fail(c->e, "strconv.ParseInt: parsing %s: invalid syntax",
                                  mh_sb_go_quote(c->e->arena, s));
        return s != NULL;
    } else
        return mh_sb_cel_no_overload(c->e);
    return true;
}

static bool
to_uint(call *c)
{
    value v = c->args[0];
    c->out->type = MH_SB_CEL_UINT;
    if (v.type == MH_SB_CEL_UINT)
        c->out->u = v.u;
    else if (v.type == MH_SB_CEL_INT && v.i >= 0)
        c->out->u = (uint64_t)v.i;
    else if (v.type == MH_SB_CEL_DOUBLE && v.d >= 0 && v.d < 1.8446744073709552e19)
        c->out->u = (uint64_t)v.d;
    else if (v.type == MH_SB_CEL_INT || v.type == MH_SB_CEL_DOUBLE)
        return mh_sb_cel_fail(c->e, "unsigned integer overflow");
    else if (v.type == MH_SB_CEL_STRING) {
        char *s = zero_ended(c->e, v);
        char *end = NULL;
        errno = 0;
        c->out->u = s ? strtoull(s, &end, 10) : 0;
        if (s && (!v.n || *end || errno || *s < '0' || *s > '9'))
            return mh_sb_cel_fail(c->e, "strconv.ParseUint: parsing %s: invalid syntax",
                                  mh_sb_go_quote(c->e->arena, s));
        return s != NULL;
    } else
        return mh_sb_cel_no_overload(c->e);
    return true;
}

static bool
to_double(call *c)
{
    value v = c->args[0];
    c->out->type = MH_SB_CEL_DOUBLE;
    if (v.type == MH_SB_CEL_DOUBLE)
        c->out->d = v.d;
    else if (v.type == MH_SB_CEL_INT)
        c->out->d = (double)v.i;
    else if (v.type == MH_SB_CEL_UINT)
        c->out->d = (double)v.u;
    else if (v.type == MH_SB_CEL_STRING) {
        char *s = zero_ended(c->e, v);
        char *end = NULL;
        c->out->d = s ? strtod(s, &end) : 0;
        if (s && (!v.n || *end || strchr(" \t\n", *s)))
            return mh_sb_cel_fail(c->e, "strconv.ParseFloat: parsing %s: invalid syntax",
                                  mh_sb_go_quote(c->e->arena, s));
        return s != NULL;
    } else
        return mh_sb_cel_no_overload(c->e);
    return true;
}

static bool
to_bool(call *c)
{
    static const char *const yes[] = { "1", "t", "true", "TRUE", "True", "T" };
    static const char *const no[] = { "0", "f", "false", "FALSE", "False", "F" };
    value v = c->args[0];
    if (v.type == MH_SB_CEL_BOOL) {
        *c->out = v;
        return true;
    }
    if (v.type != MH_SB_CEL_STRING)
        return mh_sb_cel_no_overload(c->e);
    for (size_t i = 0; i < 6; i++) {
        bool is = strlen(yes[i]) == v.n && memcmp(yes[i], v.s, v.n) == 0;
        if (is || (strlen(no[i]) == v.n && memcmp(no[i], v.s, v.n) == 0)) {
            *c->out = mh_sb_cel_of_bool(is);
            return true;
        }
    }
    return mh_sb_cel_fail(c->e, "type conversion error from 'string' to 'bool'");
}

static bool
to_bytes(call *c)
{
    *c->out = c->args[0];
    if (c->args[0].type != MH_SB_CEL_STRING && c->args[0].type != MH_SB_CEL_BYTES)
        return mh_sb_cel_no_overload(c->e);
    c->out->type = MH_SB_CEL_BYTES;
    return true;
}

static bool
to_duration(call *c)
{
    value v = c->args[0];
    c->out->type = MH_SB_CEL_DURATION;
    if (v.type == MH_SB_CEL_DURATION || v.type == MH_SB_CEL_INT) {
        c->out->i = v.i;
        return true;
    }
    char *s = v.type == MH_SB_CEL_STRING ? zero_ended(c->e, v) : NULL;
    if (!s)
        return c->e->code ? false : mh_sb_cel_no_overload(c->e);
    if (!mh_sb_duration_parse(s, &c->out->i))
        return mh_sb_cel_fail(c->e, "time: invalid duration %s", mh_sb_go_quote(c->e->arena, s));
    return true;
}

static bool
to_timestamp(call *c)
{
    value v = c->args[0];
    c->out->type = MH_SB_CEL_TIMESTAMP;
    if (v.type == MH_SB_CEL_TIMESTAMP) {
        c->out->i = v.i;
        return true;
    }
    if (v.type == MH_SB_CEL_INT && v.i > -62135596801 && v.i < 253402300800) {
        c->out->i = v.i * 1000000;
        return true;
    }
    char *s = v.type == MH_SB_CEL_STRING ? zero_ended(c->e, v) : NULL;
    if (!s)
        return c->e->code ? false : mh_sb_cel_no_overload(c->e);
    if (!mh_time_parse(s, &c->out->i))
        return mh_sb_cel_fail(c->e,
                              "parsing time %s as \"2006-01-02T15:04:05Z07:00\": cannot "
                              "parse",
                              mh_sb_go_quote(c->e->arena, s));
    return true;
}

static bool
to_string(call *c)
{
    return mh_sb_cel_to_text(c->e, c->args[0], c->out);
}

static bool
type_of(call *c)
{
    const char *name = mh_sb_cel_type_name(c->args[0]);
    *c->out = mh_sb_cel_of_text(name, strlen(name));
    c->out->type = MH_SB_CEL_TYPE;
    return true;
}

static bool
same(call *c)
{
    *c->out = c->args[0];
    return true;
}

static bool
size_of(call *c)
{
    enum mh_sb_cel_type t = c->args[0].type;
    if (t != MH_SB_CEL_STRING && t != MH_SB_CEL_BYTES && t != MH_SB_CEL_LIST && t != MH_SB_CEL_MAP)
        return mh_sb_cel_no_overload(c->e);
    *c->out = mh_sb_cel_of_int((int64_t)mh_sb_cel_size(c->args[0]));
    return true;
}

/* --- optionals ------------------------------------------------------------------------------- */

static bool
optional_of(call *c)
{
    return mh_sb_cel_optional(c->e, &c->args[0], c->out);
}

static bool
optional_none(call *c)
{
    return mh_sb_cel_optional(c->e, NULL, c->out);
}

static bool
optional_non_zero(call *c)
{
    value v = c->args[0];
    bool zero = v.type == MH_SB_CEL_NULL || (v.type == MH_SB_CEL_BOOL && !v.b) ||
                (v.type == MH_SB_CEL_INT && !v.i) || (v.type == MH_SB_CEL_UINT && !v.u) ||
                (v.type == MH_SB_CEL_DOUBLE && v.d <= 0 && v.d >= 0) ||
                ((v.type == MH_SB_CEL_STRING || v.type == MH_SB_CEL_BYTES ||
                  v.type == MH_SB_CEL_LIST || v.type == MH_SB_CEL_MAP) &&
                 mh_sb_cel_size(v) == 0);
    return mh_sb_cel_optional(c->e, zero ? NULL : &v, c->out);
}

static bool
has_value(call *c)
{
    if (c->args[0].type != MH_SB_CEL_OPTIONAL)
        return mh_sb_cel_no_overload(c->e);
    *c->out = mh_sb_cel_of_bool(c->args[0].some != NULL);
    return true;
}

static bool
value_of(call *c)
{
    if (c->args[0].type != MH_SB_CEL_OPTIONAL)
        return mh_sb_cel_no_overload(c->e);
    if (!c->args[0].some)
        return mh_sb_cel_fail(c->e, "optional.none() dereference");
    *c->out = *c->args[0].some;
    return true;
}

/* --- math ------------------------------------------------------------------------------------ */

static bool
extreme(call *c, int sign)
{
    bool list = c->nargs == 1 && c->args[0].type == MH_SB_CEL_LIST;
    if (list && !mh_sb_cel_fill(c->e, c->args[0]))
        return false;
    const value *v = list ? c->args[0].list->items : c->args;
    size_t n = list ? c->args[0].list->n : c->nargs;
    int order = 0;
    if (!n)
        return mh_sb_cel_no_overload(c->e);
    *c->out = v[0];
    for (size_t i = 0; i < n; i++) {
        if (v[i].type > MH_SB_CEL_DOUBLE || v[i].type < MH_SB_CEL_INT ||
            !mh_sb_cel_compare(v[i], *c->out, &order))
            return mh_sb_cel_no_overload(c->e);
        if (order * sign > 0)
            *c->out = v[i];
    }
    return true;
}

static bool
greatest(call *c)
{
    return extreme(c, 1);
}

static bool
least(call *c)
{
    return extreme(c, -1);
}

bool
mh_sb_cel_lib_base(call *c, bool *ok)
{
    static const struct {
        const char *name;
        bool (*run)(call *);
        int nargs;  /* with the receiver; -1: any number */
        int method; /* 0: function, 1: method, 2: both */
    } all[] = { { "int", to_int, 1, 0 },
                { "uint", to_uint, 1, 0 },
                { "double", to_double, 1, 0 },
                { "bool", to_bool, 1, 0 },
                { "bytes", to_bytes, 1, 0 },
                { "string", to_string, 1, 0 },
                { "duration", to_duration, 1, 0 },
                { "timestamp", to_timestamp, 1, 0 },
                { "type", type_of, 1, 0 },
                { "dyn", same, 1, 0 },
                { "size", size_of, 1, 2 },
                { "optional.of", optional_of, 1, 0 },
                { "optional.none", optional_none, 0, 0 },
                { "optional.ofNonZeroValue", optional_non_zero, 1, 0 },
                { "hasValue", has_value, 1, 1 },
                { "value", value_of, 1, 1 },
                { "math.greatest", greatest, -1, 0 },
                { "math.least", least, -1, 0 } };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(all[i].name, c->name) != 0 ||
            (all[i].method != 2 && all[i].method != c->method) ||
            (all[i].nargs >= 0 && (size_t)all[i].nargs != c->nargs))
            continue;
        *ok = all[i].run(c);
        return true;
    }
    return false;
}
