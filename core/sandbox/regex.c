/* regex.c - a parser that emits code for a list-of-threads machine, which is in regex_run.c.
 *
 * A piece of code is contiguous, its jumps are relative and it ends by falling off its end: so a
 * piece can be moved and copied as it is, which is all that alternatives and repetition need. */

#include <string.h>

#include "base/buf.h"
#include "sandbox/regex_in.h"

#define DEPTH_MAX 200
#define REPEAT_MAX 1000
#define RUNE_MAX 0x10ffff

struct parser {
    const char *s;
    const char *end;
    const char *all;
    struct mh_buf code;
    struct mh_buf ranges;
    struct mh_err *err;
    int depth;
    bool fold;
    bool multiline;
    bool dotall;
    bool ungreedy;
    bool quoted; /* between \Q and \E */
};

#define FAIL(p, ...) mh_fail((p)->err, MH_E_INVALID, "error parsing regexp: " __VA_ARGS__)

static uint32_t
code_len(const struct parser *p)
{
    return (uint32_t)(p->code.len / sizeof(struct inst));
}

static void
emit(struct parser *p, struct inst in)
{
    mh_buf_add(&p->code, &in, sizeof(in));
}

/* Makes room for one instruction before the piece that starts at `at`. */
static void
insert(struct parser *p, uint32_t at, struct inst in)
{
    size_t from = at * sizeof(in);
    size_t n = p->code.len - from;
    if (!mh_buf_add(&p->code, &in, sizeof(in)))
        return;
    memmove(p->code.data + from + sizeof(in), p->code.data + from, n);
    memcpy(p->code.data + from, &in, sizeof(in));
}

static void
add_range(struct parser *p, uint32_t from, uint32_t to)
{
    struct range r = { from, to };
    mh_buf_add(&p->ranges, &r, sizeof(r));
}

static uint32_t
ranges_len(const struct parser *p)
{
    return (uint32_t)(p->ranges.len / sizeof(struct range));
}

static void
emit_class(struct parser *p, uint32_t first, bool negated)
{
    emit(p, (struct inst){ .op = RE_CLASS,
                           .negated = negated,
                           .fold = p->fold,
                           .x = (int32_t)first,
                           .y = (int32_t)(ranges_len(p) - first) });
}

static void
emit_rune(struct parser *p, uint32_t r)
{
    uint32_t first = ranges_len(p);
    add_range(p, r, r);
    emit_class(p, first, false);
}

/* Ranges of all runes but those, which stand in order. */
static void
add_complement(struct parser *p, const struct range *r, size_t n)
{
    uint32_t from = 0;
    for (size_t i = 0; i < n; i++) {
        if (r[i].from > from)
            add_range(p, from, r[i].from - 1);
        from = r[i].to + 1;
    }
    if (from <= RUNE_MAX)
        add_range(p, from, RUNE_MAX);
}

static void
add_set(struct parser *p, const struct range *r, size_t n, bool negated)
{
    if (negated) {
        add_complement(p, r, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        add_range(p, r[i].from, r[i].to);
}

/* \d \s \w and their complements; false: c is none. */
static bool
perl_class(struct parser *p, char c)
{
    static const struct range digit[] = { { '0', '9' } };
    static const struct range space[] = { { '\t', '\n' }, { '\f', '\r' }, { ' ', ' ' } };
    static const struct range word[] = { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } };
    switch (c) {
    case 'd':
    case 'D':
        add_set(p, digit, 1, c == 'D');
        return true;
    case 's':
    case 'S':
        add_set(p, space, 3, c == 'S');
        return true;
    case 'w':
    case 'W':
        add_set(p, word, 4, c == 'W');
        return true;
    default:
        return false;
    }
}

/* [:name:] at p->s inside a class. 0: there is none, 1: taken, -1: unknown name. */
static int
posix_class(struct parser *p)
{
    static const struct {
        const char *name;
        struct range r[6];
        size_t n;
    } names[] = {
        { "alnum", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } }, 3 },
        { "alpha", { { 'A', 'Z' }, { 'a', 'z' } }, 2 },
        { "ascii", { { 0, 127 } }, 1 },
        { "blank", { { '\t', '\t' }, { ' ', ' ' } }, 2 },
        { "cntrl", { { 0, 31 }, { 127, 127 } }, 2 },
        { "digit", { { '0', '9' } }, 1 },
        { "graph", { { '!', '~' } }, 1 },
        { "lower", { { 'a', 'z' } }, 1 },
        { "print", { { ' ', '~' } }, 1 },
        { "punct", { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } }, 4 },
        { "space", { { '\t', '\r' }, { ' ', ' ' } }, 2 },
        { "upper", { { 'A', 'Z' } }, 1 },
        { "word", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4 },
        { "xdigit", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } }, 3 },
    };
    if (p->end - p->s < 4 || p->s[0] != '[' || p->s[1] != ':')
        return 0;
    const char *name = p->s + 2;
    bool negated = *name == '^';
    name += negated;
    const char *stop = name;
    while (stop + 1 < p->end && !(stop[0] == ':' && stop[1] == ']'))
        stop++;
    if (stop + 1 >= p->end)
        return 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t n = strlen(names[i].name);
        if (n == (size_t)(stop - name) && memcmp(names[i].name, name, n) == 0) {
            add_set(p, names[i].r, names[i].n, negated);
            p->s = stop + 2;
            return 1;
        }
    }
    FAIL(p, "invalid character class range: `%.*s`", (int)(stop + 2 - p->s), p->s);
    return -1;
}

static int
hex_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* After "\x": two digits or {...}. */
static enum mh_code
hex_escape(struct parser *p, const char *from, uint32_t *r)
{
    bool braces = p->s < p->end && *p->s == '{';
    int n = 0;
    *r = 0;
    p->s += braces;
    for (; p->s < p->end && hex_of(*p->s) >= 0 && (braces || n < 2) && n < 8; n++)
        *r = *r * 16 + (uint32_t)hex_of(*p->s++);
    bool closed = !braces || (p->s < p->end && *p->s++ == '}');
    if (!closed || n == 0 || (!braces && n != 2) || *r > RUNE_MAX)
        return FAIL(p, "invalid escape sequence: `%.*s`", (int)(p->s - from), from);
    return MH_OK;
}

/* One rune after a backslash (p->s is behind it). */
static enum mh_code
escaped(struct parser *p, uint32_t *r)
{
    static const char plain[] = "abfnrtv\a\b\f\n\r\t\v";
    const char *from = p->s - 1;
    size_t w = 0;
    if (p->s >= p->end)
        return FAIL(p, "trailing backslash at end of expression: ``");
    char c = *p->s;
    const char *known = c && c >= 'a' ? memchr(plain, c, 7) : NULL;
    if (known && c != 'b') {
        p->s++;
        *r = (unsigned char)known[7];
        return MH_OK;
    }
    if (c == 'x') {
        p->s++;
        return hex_escape(p, from, r);
    }
    if (c >= '0' && c <= '7') {
        if (c != '0' && (p->s + 1 >= p->end || p->s[1] < '0' || p->s[1] > '7'))
            return FAIL(p, "invalid escape sequence: `%.*s`", 2, from);
        *r = 0;
        for (int n = 0; n < 3 && p->s < p->end && *p->s >= '0' && *p->s <= '7'; n++)
            *r = *r * 8 + (uint32_t)(*p->s++ - '0');
        return MH_OK;
    }
    *r = mh_sb_rune_at(p->s, p->end, &w);
    bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (c == 'p' || c == 'P')
        return FAIL(p, "Unicode classes are not supported here: `%.*s`", 2, from);
    if (word || (unsigned char)c >= 0x80)
        return FAIL(p, "invalid escape sequence: `%.*s`", (int)w + 1, from);
    p->s += w;
    return MH_OK;
}

/* One end of a range inside [...]. */
static enum mh_code
class_rune(struct parser *p, uint32_t *r)
{
    size_t w = 0;
    if (*p->s == '\\') {
        p->s++;
        return escaped(p, r);
    }
    *r = mh_sb_rune_at(p->s, p->end, &w);
    p->s += w;
    return MH_OK;
}

static enum mh_code
class_item(struct parser *p)
{
    uint32_t from = 0;
    uint32_t to = 0;
    const char *start = p->s;
    int posix = posix_class(p);
    if (posix)
        return posix < 0 ? MH_E_INVALID : MH_OK;
    if (p->s[0] == '\\' && p->s + 1 < p->end && perl_class(p, p->s[1])) {
        p->s += 2;
        return MH_OK;
    }
    enum mh_code c = class_rune(p, &from);
    to = from;
    if (!c && p->s + 1 < p->end && p->s[0] == '-' && p->s[1] != ']') {
        p->s++;
        c = class_rune(p, &to);
    }
    if (c)
        return c;
    if (to < from)
        return FAIL(p, "invalid character class range: `%.*s`", (int)(p->s - start), start);
    add_range(p, from, to);
    return MH_OK;
}

static enum mh_code
parse_class(struct parser *p)
{
    const char *open = p->s++;
    uint32_t first = ranges_len(p);
    bool negated = p->s < p->end && *p->s == '^';
    p->s += negated;
    for (bool start = true; p->s < p->end && (*p->s != ']' || start); start = false) {
        if (!start && *p->s == '-' && p->s + 1 < p->end && p->s[1] != ']') {
            size_t w = 0;
            mh_sb_rune_at(p->s + 1, p->end, &w);
            return FAIL(p, "invalid character class range: `%.*s`", (int)w + 1, p->s);
        }
        enum mh_code c = class_item(p);
        if (c)
            return c;
    }
    if (p->s >= p->end)
        return FAIL(p, "missing closing ]: `%.*s`", (int)(p->end - open), open);
    p->s++;
    emit_class(p, first, negated);
    return MH_OK;
}

static enum mh_code parse_alternatives(struct parser *p);

/* (?flags) or (?flags:...); *group: a group is open. */
static enum mh_code
parse_flags(struct parser *p, const char *open, bool *group)
{
    bool on = true;
    bool any = false;
    for (; p->s < p->end; p->s++) {
        switch (*p->s) {
        case 'i':
            p->fold = on;
            break;
        case 'm':
            p->multiline = on;
            break;
        case 's':
            p->dotall = on;
            break;
        case 'U':
            p->ungreedy = on;
            break;
        case '-':
            if (!on)
                return FAIL(p, "invalid or unsupported Perl syntax: `%.*s`", (int)(p->s + 1 - open),
                            open);
            on = false;
            any = false;
            continue;
        case ':':
        case ')':
            if (!on && !any)
                return FAIL(p, "missing argument to repetition operator: `?`");
            *group = *p->s++ == ':';
            return MH_OK;
        default:
            return FAIL(p, "invalid or unsupported Perl syntax: `%.*s`", (int)(p->s + 1 - open),
                        open);
        }
        any = true;
    }
    return FAIL(p, "missing closing ): `%.*s`", (int)(p->end - p->all), p->all);
}

static enum mh_code
parse_group(struct parser *p)
{
    const char *open = p->s++;
    struct parser saved = *p;
    bool group = true;
    enum mh_code c = MH_OK;
    if (++p->depth > DEPTH_MAX)
        return FAIL(p, "expression nests too deeply: `%.40s`", p->all);
    if (p->end - p->s >= 2 && p->s[0] == '?') {
        const char *name = p->s[1] == 'P' ? p->s + 2 : p->s + 1;
        if (name + 1 < p->end && *name == '<' && name[1] != '=' && name[1] != '!') {
            const char *close = memchr(name, '>', (size_t)(p->end - name));
            if (!close || close == name + 1)
                return FAIL(p, "invalid named capture: `%.*s`", (int)(p->end - open), open);
            p->s = close + 1;
        } else {
            p->s++;
            c = parse_flags(p, open, &group);
        }
    }
    if (c || !group) {
        p->depth--;
        return c;
    }
    c = parse_alternatives(p);
    if (c)
        return c;
    if (p->s >= p->end)
        return FAIL(p, "missing closing ): `%.*s`", (int)(p->end - p->all), p->all);
    p->s++;
    p->depth--;
    p->fold = saved.fold;
    p->multiline = saved.multiline;
    p->dotall = saved.dotall;
    p->ungreedy = saved.ungreedy;
    return MH_OK;
}

static enum mh_code
parse_escape(struct parser *p)
{
    uint32_t r = 0;
    uint32_t first = ranges_len(p);
    p->s++;
    if (p->s < p->end) {
        static const char names[] = "AzbB";
        static const unsigned char ops[] = { RE_BOT, RE_EOT, RE_WORD, RE_NOWORD };
        const char *known = *p->s ? strchr(names, *p->s) : NULL;
        if (known) {
            p->s++;
            emit(p, (struct inst){ .op = ops[known - names] });
            return MH_OK;
        }
        if (perl_class(p, *p->s)) {
            p->s++;
            emit_class(p, first, false);
            return MH_OK;
        }
        if (*p->s == 'Q') {
            p->s++;
            p->quoted = true;
            return MH_OK;
        }
    }
    enum mh_code c = escaped(p, &r);
    if (!c)
        emit_rune(p, r);
    return c;
}

/* One rune between \Q and \E, and the \E behind it: what comes then repeats that rune. */
static void
quoted_atom(struct parser *p)
{
    size_t w = 0;
    bool end = p->end - p->s >= 2 && p->s[0] == '\\' && p->s[1] == 'E';
    if (!end) {
        emit_rune(p, mh_sb_rune_at(p->s, p->end, &w));
        p->s += w;
        end = p->end - p->s >= 2 && p->s[0] == '\\' && p->s[1] == 'E';
    }
    if (end) {
        p->s += 2;
        p->quoted = false;
    }
}

static enum mh_code
parse_atom(struct parser *p)
{
    size_t w = 0;
    uint32_t first = ranges_len(p);
    if (p->quoted) {
        quoted_atom(p);
        return MH_OK;
    }
    switch (*p->s) {
    case '(':
        return parse_group(p);
    case '[':
        return parse_class(p);
    case '\\':
        return parse_escape(p);
    case '.':
        p->s++;
        if (!p->dotall)
            add_range(p, '\n', '\n');
        emit_class(p, first, true);
        return MH_OK;
    case '^':
        p->s++;
        emit(p, (struct inst){ .op = p->multiline ? RE_BOL : RE_BOT });
        return MH_OK;
    case '$':
        p->s++;
        emit(p, (struct inst){ .op = p->multiline ? RE_EOL : RE_EOT });
        return MH_OK;
    case '*':
    case '+':
    case '?':
        return FAIL(p, "missing argument to repetition operator: `%c`", *p->s);
    default:
        emit_rune(p, mh_sb_rune_at(p->s, p->end, &w));
        p->s += w;
        return MH_OK;
    }
}

/* {n}, {n,} or {n,m} at p->s; false: it is plain text. max -1: no bound. */
static bool
counts(struct parser *p, int *min, int *max)
{
    const char *s = p->s + 1;
    int v[2] = { -1, -1 };
    for (int i = 0; i < 2; i++) {
        for (; s < p->end && *s >= '0' && *s <= '9'; s++) {
            v[i] = v[i] < 0 ? 0 : v[i];
            v[i] = v[i] > REPEAT_MAX ? v[i] : v[i] * 10 + (*s - '0');
        }
        if (i == 0 && v[0] < 0)
            return false;
        if (i == 0 && s < p->end && *s == '}')
            v[1] = v[0];
        if (s < p->end && *s == '}') {
            *min = v[0];
            *max = v[1];
            p->s = s + 1;
            return true;
        }
        if (i == 1 || s >= p->end || *s++ != ',')
            return false;
    }
    return false;
}

static void
split(struct parser *p, uint32_t at, int32_t in, int32_t out, bool greedy)
{
    struct inst i = { .op = RE_SPLIT, .x = greedy ? in : out, .y = greedy ? out : in };
    if (at == code_len(p))
        emit(p, i);
    else
        insert(p, at, i);
}

static void
copy_piece(struct parser *p, const struct inst *piece, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        emit(p, piece[i]);
}

/* Repeats the piece from `at` to the end of the code. */
static enum mh_code
repeat(struct parser *p, uint32_t at, int min, int max, bool greedy)
{
    uint32_t n = code_len(p) - at;
    size_t bytes = n * sizeof(struct inst);
    size_t most = (size_t)(max < 0 ? min + 1 : max) * (n + 2);
    if (p->code.failed)
        return MH_OK;
    if (most + at > MH_SB_REGEX_MAX)
        return FAIL(p, "expression too large");
    struct inst *piece = mh_malloc(bytes);
    if (!piece)
        return mh_fail(p->err, MH_E_NOMEM, "no memory for a regular expression");
    if (bytes)
        memcpy(piece, p->code.data + at * sizeof(struct inst), bytes);
    p->code.len -= bytes;
    for (int i = 0; i < min; i++)
        copy_piece(p, piece, n);
    if (max < 0 && min > 0) {
        split(p, code_len(p), -(int32_t)n, 1, greedy);
    } else if (max < 0) {
        split(p, code_len(p), 1, (int32_t)n + 2, greedy);
        copy_piece(p, piece, n);
        emit(p, (struct inst){ .op = RE_JUMP, .x = -(int32_t)n - 1 });
    }
    for (int i = min; i < max; i++) { /* nested: (e(e(e)?)?)? */
        split(p, code_len(p), 1, (int32_t)((uint32_t)(max - i) * (n + 1)), greedy);
        copy_piece(p, piece, n);
    }
    mh_free(piece);
    return MH_OK;
}

static enum mh_code
parse_repeat(struct parser *p, uint32_t at)
{
    const char *last = NULL;
    while (p->s < p->end) {
        const char *start = p->s;
        int min = *p->s == '+';
        int max = *p->s == '?' ? 1 : -1;
        if (*p->s == '*' || *p->s == '+' || *p->s == '?')
            p->s++;
        else if (*p->s != '{' || !counts(p, &min, &max))
            return MH_OK;
        if (min > REPEAT_MAX || max > REPEAT_MAX || (max >= 0 && max < min))
            return FAIL(p, "invalid repeat count: `%.*s`", (int)(p->s - start), start);
        bool lazy = p->s < p->end && *p->s == '?';
        p->s += lazy;
        if (last)
            return FAIL(p, "invalid nested repetition operator: `%.*s`", (int)(p->s - last), last);
        last = start;
        enum mh_code c = repeat(p, at, min, max, lazy == p->ungreedy);
        if (c)
            return c;
    }
    return MH_OK;
}

static enum mh_code
parse_alternatives(struct parser *p)
{
    uint32_t start = code_len(p);
    uint32_t branch = start;
    for (;;) {
        while (p->s < p->end && (p->quoted || (*p->s != '|' && *p->s != ')'))) {
            uint32_t at = code_len(p);
            enum mh_code c = parse_atom(p);
            if (!c && !p->quoted)
                c = parse_repeat(p, at);
            if (c)
                return c;
            if (code_len(p) > MH_SB_REGEX_MAX)
                return FAIL(p, "expression too large");
        }
        if (p->s >= p->end || *p->s == ')')
            return MH_OK;
        /* what comes after this branch is the other one; a jump over it is set when it ends */
        p->s++;
        uint32_t n = code_len(p) - branch;
        split(p, branch, 1, (int32_t)n + 2, true);
        uint32_t jump = code_len(p);
        emit(p, (struct inst){ .op = RE_JUMP });
        if (++p->depth > DEPTH_MAX)
            return FAIL(p, "expression nests too deeply: `%.40s`", p->all);
        enum mh_code c = parse_alternatives(p);
        p->depth--;
        if (!c && !p->code.failed) {
            int32_t over = (int32_t)(code_len(p) - jump);
            memcpy(p->code.data + jump * sizeof(struct inst) + offsetof(struct inst, x), &over,
                   sizeof(over));
        }
        return c;
    }
}

static enum mh_code
finish(struct mh_arena *a, struct parser *p, struct mh_sb_regex **out)
{
    uint32_t n = code_len(p);
    struct mh_sb_regex *re = mh_arena_alloc(a, sizeof(*re));
    struct inst *code = mh_arena_alloc(a, p->code.len + 1);
    struct range *ranges = mh_arena_alloc(a, p->ranges.len + 1);
    struct thread *threads = mh_arena_alloc(a, 2 * n * sizeof(*threads));
    uint32_t *marks = mh_arena_alloc(a, 5 * n * sizeof(*marks));
    if (!re || !code || !ranges || !threads || !marks || p->code.failed || p->ranges.failed)
        return mh_fail(p->err, MH_E_NOMEM, "no memory for a regular expression");
    memcpy(code, p->code.data, p->code.len);
    if (p->ranges.len)
        memcpy(ranges, p->ranges.data, p->ranges.len);
    *re = (struct mh_sb_regex){ .code = code,
                                .ranges = ranges,
                                .n = n,
                                .now = { threads, marks, 0 },
                                .next = { threads + n, marks + n, 0 },
                                .stack = marks + 2 * n };
    *out = re;
    return MH_OK;
}

enum mh_code
mh_sb_regex_compile(struct mh_arena *a, const char *pattern, size_t len, struct mh_sb_regex **out,
                    struct mh_err *err)
{
    struct parser p = { .s = pattern, .end = pattern + len, .all = pattern, .err = err };
    mh_buf_init(&p.code, (size_t)4 * MH_SB_REGEX_MAX * sizeof(struct inst));
    mh_buf_init(&p.ranges, (size_t)4 * MH_SB_REGEX_MAX * sizeof(struct range));
    enum mh_code c = parse_alternatives(&p);
    if (!c && p.s < p.end)
        c = FAIL(&p, "unexpected ): `%.*s`", (int)len, pattern);
    emit(&p, (struct inst){ .op = RE_MATCH });
    if (!c)
        c = finish(a, &p, out);
    mh_buf_release(&p.code);
    mh_buf_release(&p.ranges);
    return c;
}
