/* cel_quantity.c - Kubernetes' quantities and named formats, and format() of texts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/cel_in.h"

typedef struct mh_sb_cel_value value;
typedef struct mh_sb_cel_eval eval;
typedef struct mh_sb_cel_call call;

/* --- quantities ------------------------------------------------------------------------------ */

static bool
new_quantity(eval *e, struct mh_sb_quantity q, value *out)
{
    struct mh_sb_quantity *copy = mh_arena_alloc(e->arena, sizeof(*copy));
    if (!copy)
        return mh_sb_cel_no_memory(e);
    *copy = q;
    *out = (value){ .type = MH_SB_CEL_QUANTITY, .quantity = copy };
    return true;
}

static bool
quantity_function(call *c, bool *ok)
{
    struct mh_sb_quantity q;
    bool test = strcmp(c->name, "isQuantity") == 0;
    if (c->method || c->nargs != 1 || (!test && strcmp(c->name, "quantity") != 0))
        return false;
    if (c->args[0].type != MH_SB_CEL_STRING) {
        *ok = mh_sb_cel_no_overload(c->e);
        return true;
    }
    char *s = mh_arena_strndup(c->e->arena, c->args[0].s, c->args[0].n);
    bool good = s && mh_sb_quantity_parse(s, &q);
    if (!s)
        *ok = mh_sb_cel_no_memory(c->e);
    else if (test)
        *c->out = mh_sb_cel_of_bool(good);
    else if (good)
        *ok = new_quantity(c->e, q, c->out);
    else
        *ok = mh_sb_cel_fail(c->e, "quantities must match the regular expression "
                                   "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
    return true;
}

/* add and sub, of a quantity or a whole number. */
static bool
quantity_sum(call *c, int sign)
{
    struct mh_sb_quantity q = *c->args[0].quantity;
    __int128 other = 0;
    if (c->args[1].type == MH_SB_CEL_QUANTITY)
        other = c->args[1].quantity->nano;
    else if (c->args[1].type == MH_SB_CEL_INT)
        other = (__int128)c->args[1].i * 1000000000;
    else
        return mh_sb_cel_no_overload(c->e);
    q.nano += sign * other;
    return new_quantity(c->e, q, c->out);
}

static bool
quantity_compare(call *c, bool *ok)
{
    static const char *const names[] = { "isLessThan", "compareTo", "isGreaterThan" };
    for (int i = 0; i < 3; i++) {
        if (strcmp(names[i], c->name) != 0 || c->nargs != 2)
            continue;
        if (c->args[1].type != MH_SB_CEL_QUANTITY) {
            *ok = mh_sb_cel_no_overload(c->e);
            return true;
        }
        int order = mh_sb_quantity_cmp(c->args[0].quantity, c->args[1].quantity);
        *c->out = i == 1 ? mh_sb_cel_of_int(order) : mh_sb_cel_of_bool(order == i - 1);
        return true;
    }
    return false;
}

static bool
quantity_method(call *c, bool *ok)
{
    const struct mh_sb_quantity *q = c->args[0].quantity;
    bool whole = q->nano % 1000000000 == 0;
    *ok = true;
    if (quantity_compare(c, ok))
        return true;
    if (c->nargs == 2 && (strcmp(c->name, "add") == 0 || strcmp(c->name, "sub") == 0)) {
        *ok = quantity_sum(c, c->name[0] == 'a' ? 1 : -1);
        return true;
    }
    if (c->nargs != 1)
        return false;
    if (strcmp(c->name, "sign") == 0)
        *c->out = mh_sb_cel_of_int(q->nano < 0 ? -1 : q->nano > 0);
    else if (strcmp(c->name, "isInteger") == 0)
        *c->out = mh_sb_cel_of_bool(whole);
    else if (strcmp(c->name, "asInteger") == 0 && whole)
        *c->out = mh_sb_cel_of_int(mh_sb_quantity_value(q));
    else if (strcmp(c->name, "asInteger") == 0)
        *ok = mh_sb_cel_fail(c->e, "cannot convert value to integer");
    else if (strcmp(c->name, "asApproximateFloat") == 0)
        *c->out = (value){ .type = MH_SB_CEL_DOUBLE, .d = (double)q->nano / 1e9 };
    else
        return false;
    return true;
}

/* --- named formats --------------------------------------------------------------------------- */

static bool
label_ok(const char *s, size_t max, bool letter_first)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++) {
        bool letter = s[i] >= 'a' && s[i] <= 'z';
        bool digit = s[i] >= '0' && s[i] <= '9';
        bool edge = i == 0 || i + 1 == n;
        if (!letter && !(digit && (i || !letter_first)) && (edge || s[i] != '-'))
            return false;
    }
    return n && n <= max;
}

static bool
subdomain_ok(const char *s)
{
    char part[64];
    if (!*s || strlen(s) > 253)
        return false;
    for (;;) {
        size_t n = strcspn(s, ".");
        if (n >= sizeof(part))
            return false;
        mh_str_copy(part, n + 1, s);
        if (!label_ok(part, 63, false))
            return false;
        if (!s[n])
            return true;
        s += n + 1;
    }
}

static bool
label_value_ok(const char *s)
{
    size_t n = strlen(s);
    size_t word = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
    return n <= 63 && word == n && (!n || (!strchr("-_.", *s) && !strchr("-_.", s[n - 1])));
}

static bool
qualified_name_ok(const char *s)
{
    char prefix[256];
    const char *slash = strchr(s, '/');
    if (slash) {
        if ((size_t)(slash - s) >= sizeof(prefix))
            return false;
        mh_str_copy(prefix, (size_t)(slash - s) + 1, s);
        if (!subdomain_ok(prefix))
            return false;
        s = slash + 1;
    }
    return *s && label_value_ok(s);
}

/* What is wrong with a text of this format; NULL: nothing. *known: there is such a format. */
static const char *
format_problem(const char *format, const char *s, bool *known)
{
    *known = true;
    if (strcmp(format, "dns1123Label") == 0)
        return label_ok(s, 63, false) ? NULL
                                      : "a lowercase RFC 1123 label must consist of lower case "
                                        "alphanumeric characters or '-', and must start and "
                                        "end with an alphanumeric character";
    if (strcmp(format, "dns1123Subdomain") == 0)
        return subdomain_ok(s) ? NULL
                               : "a lowercase RFC 1123 subdomain must consist of lower case "
                                 "alphanumeric characters, '-' or '.', and must start and "
                                 "end with an alphanumeric character";
    if (strcmp(format, "dns1035Label") == 0)
        return label_ok(s, 63, true) ? NULL
                                     : "a DNS-1035 label must consist of lower case "
                                       "alphanumeric characters or '-', start with an "
                                       "alphabetic character, and end with an alphanumeric "
                                       "character";
    if (strcmp(format, "qualifiedName") == 0)
        return qualified_name_ok(s) ? NULL
                                    : "name part must consist of alphanumeric characters, "
                                      "'-', '_' or '.', and must start and end with an "
                                      "alphanumeric character";
    if (strcmp(format, "labelValue") == 0)
        return label_value_ok(s) ? NULL
                                 : "a valid label must be an empty string or consist of "
                                   "alphanumeric characters, '-', '_' or '.', and must start "
                                   "and end with an alphanumeric character";
    static const char *const others[][2] = { { "uri", "uri" },
                                             { "uuid", "uuid" },
                                             { "byte", "byte" },
                                             { "date", "date" },
                                             { "datetime", "date-time" } };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcmp(others[i][0], format) == 0)
            return mh_sb_format_ok(others[i][1], s) ? NULL : "invalid";
    }
    *known = false;
    return NULL;
}

static bool
named_format(call *c, bool *ok)
{
    bool known = false;
    const char *name = NULL;
    if (!c->method && mh_str_starts(c->name, "format.")) {
        name = c->name + strlen("format.");
        if (strcmp(name, "named") == 0 && c->nargs == 1 && c->args[0].type == MH_SB_CEL_STRING) {
            name = mh_arena_strndup(c->e->arena, c->args[0].s, c->args[0].n);
            value v = mh_sb_cel_of_text(name, name ? strlen(name) : 0);
            v.type = MH_SB_CEL_FORMAT;
            if (name)
                format_problem(name, "", &known);
            *ok = name ? mh_sb_cel_optional(c->e, known ? &v : NULL, c->out)
                       : mh_sb_cel_no_memory(c->e);
            return true;
        }
        format_problem(name, "", &known);
        *c->out = mh_sb_cel_of_text(name, strlen(name));
        c->out->type = MH_SB_CEL_FORMAT;
        return known && !c->nargs;
    }
    if (!c->method || c->args[0].type != MH_SB_CEL_FORMAT || strcmp(c->name, "validate") != 0 ||
        c->nargs != 2 || c->args[1].type != MH_SB_CEL_STRING)
        return false;
    char *s = mh_arena_strndup(c->e->arena, c->args[1].s, c->args[1].n);
    value list;
    *ok = s ? mh_sb_cel_new_list(c->e, 1, &list) : mh_sb_cel_no_memory(c->e);
    if (!*ok)
        return true;
    const char *why = format_problem(c->args[0].s, s, &known);
    if (why)
        list.list->items[0] = mh_sb_cel_of_text(why, strlen(why));
    *ok = mh_sb_cel_optional(c->e, why ? &list : NULL, c->out);
    return true;
}

bool
mh_sb_cel_lib_quantity(call *c, bool *ok)
{
    if (c->method && c->args[0].type == MH_SB_CEL_QUANTITY)
        return quantity_method(c, ok);
    return quantity_function(c, ok) || named_format(c, ok);
}

/* --- "%d of %s".format([...]) ---------------------------------------------------------------- */

static bool
put_value(eval *e, struct mh_buf *b, value v, bool inner)
{
    value text;
    if (v.type == MH_SB_CEL_NULL) {
        mh_buf_str(b, "null");
        return true;
    }
    if (v.type != MH_SB_CEL_LIST && v.type != MH_SB_CEL_MAP) {
        if (!mh_sb_cel_to_text(e, v, &text))
            return false;
        if (inner && v.type == MH_SB_CEL_STRING)
            mh_json_quote(b, text.s, text.n);
        else
            mh_buf_add(b, text.s, text.n);
        return true;
    }
    bool map = v.type == MH_SB_CEL_MAP;
    if (!mh_sb_cel_fill(e, v))
        return false;
    mh_buf_char(b, map ? '{' : '[');
    for (size_t i = 0; i < mh_sb_cel_size(v); i++) {
        if (i)
            mh_buf_str(b, ", ");
        if (map && !put_value(e, b, v.map->keys[i], true))
            return false;
        if (map)
            mh_buf_str(b, ": ");
        if (!put_value(e, b, map ? v.map->values[i] : v.list->items[i], true))
            return false;
    }
    mh_buf_char(b, map ? '}' : ']');
    return true;
}

static bool
put_number(eval *e, struct mh_buf *b, char verb, int precision, value v)
{
    bool whole = v.type == MH_SB_CEL_INT || v.type == MH_SB_CEL_UINT;
    bool negative = v.type == MH_SB_CEL_INT && v.i < 0;
    uint64_t u = negative ? 0 - (uint64_t)v.i : v.u;
    char bits[72];
    size_t n = sizeof(bits);
    if (verb == 'd' && whole)
        return put_value(e, b, v, false);
    if ((verb == 'f' || verb == 'e') && (whole || v.type == MH_SB_CEL_DOUBLE)) {
        double d = v.type == MH_SB_CEL_DOUBLE ? v.d
                   : v.type == MH_SB_CEL_INT  ? (double)v.i
                                              : (double)v.u;
        mh_buf_printf(b, verb == 'f' ? "%.*f" : "%.*e", precision, d);
        return true;
    }
    if (!whole && !(verb == 'b' && v.type == MH_SB_CEL_BOOL))
        return mh_sb_cel_fail(e,
                              "error during formatting: %s clause can only be used on "
                              "numbers, was given %s",
                              verb == 'd' ? "decimal" : "number", mh_sb_cel_type_name(v));
    if (v.type == MH_SB_CEL_BOOL)
        u = v.b;
    unsigned base = verb == 'b' ? 2 : verb == 'o' ? 8 : 16;
    const char *digits = verb == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    bits[--n] = 0;
    do {
        bits[--n] = digits[u % base];
        u /= base;
    } while (u);
    mh_buf_printf(b, "%s%s", negative ? "-" : "", bits + n);
    return true;
}

static bool
put_hex(eval *e, struct mh_buf *b, char verb, value v)
{
    if (v.type != MH_SB_CEL_STRING && v.type != MH_SB_CEL_BYTES)
        return put_number(e, b, verb, 6, v);
    for (size_t i = 0; i < v.n; i++)
        mh_buf_printf(b, verb == 'x' ? "%02x" : "%02X", (unsigned)(unsigned char)v.s[i]);
    return true;
}

static bool
format_into(eval *e, struct mh_buf *b, value text, const struct mh_sb_cel_list *args)
{
    size_t used = 0;
    for (size_t i = 0; i < text.n; i++) {
        int precision = 6;
        if (text.s[i] != '%') {
            mh_buf_char(b, text.s[i]);
            continue;
        }
        if (++i < text.n && text.s[i] == '%') {
            mh_buf_char(b, '%');
            continue;
        }
        if (i < text.n && text.s[i] == '.') {
            for (precision = 0, i++; i < text.n && text.s[i] >= '0' && text.s[i] <= '9'; i++)
                precision = precision > 100 ? precision : precision * 10 + (text.s[i] - '0');
        }
        if (i >= text.n)
            return mh_sb_cel_fail(e, "unexpected end of string");
        if (used >= args->n)
            return mh_sb_cel_fail(e, "index %zu out of range", used);
        char verb = text.s[i];
        value v = args->items[used++];
        bool ok = false;
        if (verb == 's')
            ok = put_value(e, b, v, false);
        else if (verb == 'x' || verb == 'X')
            ok = put_hex(e, b, verb, v);
        else if (strchr("dfebo", verb))
            ok = put_number(e, b, verb, precision, v);
        else
            return mh_sb_cel_fail(e,
                                  "could not parse formatting clause: unrecognized formatting "
                                  "clause \"%c\"",
                                  verb);
        if (!ok)
            return false;
    }
    return true;
}

bool
mh_sb_cel_format(eval *e, value text, value args, value *out)
{
    struct mh_buf b;
    if (args.type != MH_SB_CEL_LIST)
        return mh_sb_cel_no_overload(e);
    mh_buf_init(&b, MH_SB_CEL_TEXT_MAX);
    bool ok = mh_sb_cel_fill(e, args) && format_into(e, &b, text, args.list);
    char *s = ok && !b.failed ? mh_arena_strndup(e->arena, mh_buf_text(&b), b.len) : NULL;
    *out = mh_sb_cel_of_text(s, b.len);
    mh_buf_release(&b);
    if (ok && !s)
        return mh_sb_cel_no_memory(e);
    return ok && mh_sb_cel_charge(e, out->n / 10);
}
