/* cel_parse.h - the state of the parser, for cel_lex.c and cel_parse.c. */
#ifndef MH_SANDBOX_CEL_PARSE_H
#define MH_SANDBOX_CEL_PARSE_H

#include "sandbox/cel_in.h"

enum mh_sb_cel_token { T_END, T_IDENT, T_INT, T_UINT, T_FLOAT, T_STRING, T_BYTES, T_OP, T_BAD };

struct mh_sb_cel_parser {
    struct mh_arena *arena;
    struct mh_err *err;
    const char *text;
    const char *s; /* behind the token */
    enum mh_sb_cel_token token;
    size_t pos;       /* of the token */
    const char *word; /* identifier, operator, contents of a string */
    size_t len;
    bool quoted; /* an identifier in backticks */
    int64_t i;
    uint64_t u;
    double d;
    int depth;
    bool failed;
};

/* Reads the next token. */
void mh_sb_cel_next(struct mh_sb_cel_parser *p);
/* Complains once; NULL. */
struct mh_sb_cel_node *mh_sb_cel_bad_at(struct mh_sb_cel_parser *p, size_t pos, const char *why);

#endif
