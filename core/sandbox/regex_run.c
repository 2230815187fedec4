/* regex_run.c - the machine: all threads of a regular expression step through the text at once. */
#include <string.h>

#include "sandbox/regex_in.h"

uint32_t
mh_sb_rune_at(const char *s, const char *end, size_t *width)
{
    const unsigned char *u = (const unsigned char *)s;
    size_t left = (size_t)(end - s);
    *width = 1;
    if (u[0] < 0x80)
        return u[0];
    size_t n = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : u[0] >= 0xc2 ? 2 : 0;
    if (!n || n > left || u[0] > 0xf4)
        return 0xfffd;
    uint32_t r = u[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((u[i] & 0xc0) != 0x80)
            return 0xfffd;
        r = r << 6 | (u[i] & 0x3fu);
    }
    *width = n;
    return r;
}

static bool
in_ranges(const struct mh_sb_regex *re, const struct inst *i, uint32_t r)
{
    const struct range *x = re->ranges + i->x;
    for (int32_t k = 0; k < i->y; k++) {
        if (r >= x[k].from && r <= x[k].to)
            return true;
    }
    return false;
}

/* The other case of a letter: ASCII, Latin-1, Greek and Cyrillic. */
static uint32_t
other_case(uint32_t r)
{
    if ((r >= 'a' && r <= 'z') || (r >= 0xe0 && r <= 0xfe && r != 0xf7) ||
        (r >= 0x3b1 && r <= 0x3c9 && r != 0x3c2) || (r >= 0x430 && r <= 0x44f))
        return r - 32;
    if ((r >= 'A' && r <= 'Z') || (r >= 0xc0 && r <= 0xde && r != 0xd7) ||
        (r >= 0x391 && r <= 0x3a9) || (r >= 0x410 && r <= 0x42f))
        return r + 32;
    return r;
}

static bool
class_has(const struct mh_sb_regex *re, const struct inst *i, uint32_t r)
{
    bool in = in_ranges(re, i, r) || (i->fold && in_ranges(re, i, other_case(r)));
    return in != i->negated;
}

static bool
word_at(const char *text, size_t len, size_t at)
{
    unsigned char c = at < len ? (unsigned char)text[at] : 0;
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool
holds(enum mh_sb_re_op op, const char *text, size_t len, size_t at)
{
    bool edge = (at > 0 && word_at(text, len, at - 1)) != word_at(text, len, at);
    switch (op) {
    case RE_BOL:
        return at == 0 || text[at - 1] == '\n';
    case RE_EOL:
        return at == len || text[at] == '\n';
    case RE_BOT:
        return at == 0;
    case RE_EOT:
        return at == len;
    case RE_WORD:
        return edge;
    default:
        return !edge;
    }
}

/* Adds pc and what it reaches without a rune, in order of preference. */
static void
add_thread(struct mh_sb_regex *re, struct threads *t, struct thread th, const char *text,
           size_t len, size_t at)
{
    uint32_t top = 0;
    re->stack[top++] = th.pc;
    while (top) {
        uint32_t pc = re->stack[--top];
        const struct inst *i = &re->code[pc];
        if (t->mark[pc] == re->step)
            continue;
        t->mark[pc] = re->step;
        if (i->op == RE_JUMP) {
            re->stack[top++] = (uint32_t)((int32_t)pc + i->x);
        } else if (i->op == RE_SPLIT) {
            re->stack[top++] = (uint32_t)((int32_t)pc + i->y);
            re->stack[top++] = (uint32_t)((int32_t)pc + i->x);
        } else if (i->op == RE_CLASS || i->op == RE_MATCH) {
            t->items[t->n++] = (struct thread){ pc, th.start };
        } else if (holds((enum mh_sb_re_op)i->op, text, len, at)) {
            re->stack[top++] = pc + 1;
        }
    }
}

bool
mh_sb_regex_find(struct mh_sb_regex *re, const char *text, size_t len, size_t at, size_t *from,
                 size_t *to)
{
    bool found = false;
    re->now.n = 0;
    memset(re->now.mark, 0, re->n * sizeof(*re->now.mark));
    memset(re->next.mark, 0, re->n * sizeof(*re->next.mark));
    re->step = 1;
    for (size_t pos = at;;) {
        size_t w = 1;
        uint32_t r = pos < len ? mh_sb_rune_at(text + pos, text + len, &w) : 0;
        if (!found)
            add_thread(re, &re->now, (struct thread){ 0, pos }, text, len, pos);
        re->step++;
        re->next.n = 0;
        for (uint32_t k = 0; k < re->now.n; k++) {
            const struct thread *th = &re->now.items[k];
            const struct inst *i = &re->code[th->pc];
            if (i->op == RE_MATCH) {
                found = true;
                if (from)
                    *from = th->start;
                if (to)
                    *to = pos;
                break;
            }
            if (pos < len && class_has(re, i, r))
                add_thread(re, &re->next, (struct thread){ th->pc + 1, th->start }, text, len,
                           pos + w);
        }
        struct threads t = re->now;
        re->now = re->next;
        re->next = t;
        if (pos >= len || (found && (re->now.n == 0 || (!from && !to))))
            return found;
        pos += w;
    }
}
