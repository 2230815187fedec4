/* fields_type.h - how typed values are taken apart; for fields_type.c and fields_merge.c. */
#ifndef MH_SANDBOX_FIELDS_TYPE_H
#define MH_SANDBOX_FIELDS_TYPE_H

#include "sandbox/fields_in.h"

enum mh_sb_atom { MH_SB_ATOM_MAP, MH_SB_ATOM_SCALAR, MH_SB_ATOM_LIST, MH_SB_ATOM_BAD };

/* As what a value of this typing is treated. NULL value: as what it would be first. */
enum mh_sb_atom mh_sb_atom_of(struct mh_sb_typing t, yyjson_val *v);
bool mh_sb_typing_has(struct mh_sb_typing t, enum mh_sb_atom atom);
/* True if lists (maps) of this typing are one value that is owned as a whole. */
bool mh_sb_list_atomic(struct mh_sb_typing t);
bool mh_sb_map_atomic(struct mh_sb_typing t);
struct mh_sb_typing mh_sb_typing_field(struct mh_sb_typing t, const char *name, bool *declared);
struct mh_sb_typing mh_sb_typing_item(struct mh_sb_typing t);
/* The path element of an item of a set or map; NULL, or why there is none. */
const char *mh_sb_item_pe(struct mh_sb_fields *f, struct mh_sb_typing list, yyjson_val *item,
                          struct mh_sb_pe *pe);

/* A list taken apart: the items with their path elements (bad ones left out). */
struct mh_sb_items {
    struct mh_sb_pe *pes;
    yyjson_val **values;
    size_t n;
};
struct mh_sb_items mh_sb_items_of(struct mh_sb_fields *f, struct mh_sb_typing list, yyjson_val *v);
/* How many items have this path element; *first gets the first of them. */
size_t mh_sb_items_find(const struct mh_sb_items *items, const struct mh_sb_pe *pe,
                        yyjson_val **first);

#endif
