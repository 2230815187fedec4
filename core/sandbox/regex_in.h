/* regex_in.h - what the parser and the machine of regular expressions share. */
#ifndef MH_SANDBOX_REGEX_IN_H
#define MH_SANDBOX_REGEX_IN_H

#include <stdint.h>

#include "sandbox/regex.h"

enum mh_sb_re_op {
    RE_CLASS,
    RE_SPLIT,
    RE_JUMP,
    RE_BOL,
    RE_EOL,
    RE_BOT,
    RE_EOT,
    RE_WORD,
    RE_NOWORD,
    RE_MATCH
};

struct inst {
    unsigned char op;
    bool negated; /* class */
    bool fold;    /* class: without regard to case */
    int32_t x;    /* class: first range; jump, split: preferred target, relative */
    int32_t y;    /* class: number of ranges; split: other target, relative */
};

struct range {
    uint32_t from;
    uint32_t to;
};

struct thread {
    uint32_t pc;
    size_t start;
};

struct threads {
    struct thread *items;
    uint32_t *mark; /* of each pc: the step in which it was added */
    uint32_t n;
};

struct mh_sb_regex {
    const struct inst *code;
    const struct range *ranges;
    uint32_t n;
    uint32_t step;
    struct threads now;
    struct threads next;
    uint32_t *stack;
};

/* The rune at s (s < end) and its width; U+FFFD, 1 where there is no UTF-8. */
uint32_t mh_sb_rune_at(const char *s, const char *end, size_t *width);

#endif
