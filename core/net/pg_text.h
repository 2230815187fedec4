/* pg_text.h - quoting for SQL and conninfo texts. Results on the arena; NULL when it is full or the
 * text cannot be quoted (invalid UTF-8; an empty or over-long identifier is for the server to refuse). */
#ifndef MH_NET_PG_TEXT_H
#define MH_NET_PG_TEXT_H

#include "base/mem.h"

/* "na""me" */
char *mh_pg_ident(struct mh_arena *a, const char *s);
/* 'it''s', or E'a\\b' when there is a backslash (right with either standard_conforming_strings). */
char *mh_pg_literal(struct mh_arena *a, const char *s);
/* 'va\'lue', for key=value conninfo texts and primary_conninfo. */
char *mh_pg_conninfo_value(struct mh_arena *a, const char *s);
/* 'it''s', for postgresql.conf. Backslashes doubled; NULL for a line break. */
char *mh_pg_conf_value(struct mh_arena *a, const char *s);

#endif
