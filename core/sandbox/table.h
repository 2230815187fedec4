/* table.h - inside of server-side printing: columns of built-in kinds. */
#ifndef MH_SANDBOX_TABLE_H
#define MH_SANDBOX_TABLE_H

#include "sandbox/rest_in.h"

/* One row being made. */
struct mh_sb_row {
    struct mh_sb_api *api;
    struct mh_arena *a;
    yyjson_val *obj;
    yyjson_mut_doc *doc;
    int64_t now; /* unix seconds */
};

/* A cell: what `fn` makes of the object, `arg` says more (a path with its default after '|'). */
struct mh_sb_cell {
    const char *name;
    const char *type; /* "string", "integer", ...; "name" is a string with format name */
    int priority;
    yyjson_mut_val *(*fn)(const struct mh_sb_row *row, const char *arg);
    const char *arg;
};

/* The columns of a built-in kind, those of every kind (name, age) where it has none of its own. */
const struct mh_sb_cell *mh_sb_cells(const struct mh_sb_resource *r, int *n);

/* --- table_cell.c --- */
typedef yyjson_mut_val *mh_sb_cell_fn(const struct mh_sb_row *row, const char *arg);
mh_sb_cell_fn mh_sb_cell_text, mh_sb_cell_number, mh_sb_cell_count, mh_sb_cell_age, mh_sb_cell_flag,
    mh_sb_cell_said, mh_sb_cell_quota, mh_sb_cell_capacity, mh_sb_cell_bound_modes,
    mh_sb_cell_param, mh_sb_cell_labels, mh_sb_cell_selector, mh_sb_cell_modes,
    mh_sb_cell_containers, mh_sb_cell_images, mh_sb_cell_role, mh_sb_cell_subjects,
    mh_sb_cell_claim, mh_sb_cell_default;
/* --- table_pod.c --- */
mh_sb_cell_fn mh_sb_cell_ready, mh_sb_cell_pod_status, mh_sb_cell_restarts, mh_sb_cell_gates,
    mh_sb_cell_node_status, mh_sb_cell_node_roles, mh_sb_cell_node_address, mh_sb_cell_ports,
    mh_sb_cell_external, mh_sb_cell_endpoints, mh_sb_cell_slice, mh_sb_cell_slice_ports,
    mh_sb_cell_deployed, mh_sb_cell_completions, mh_sb_cell_duration, mh_sb_cell_job_status,
    mh_sb_cell_involved, mh_sb_cell_source, mh_sb_cell_seen;
yyjson_mut_val *mh_sb_cell_string(const struct mh_sb_row *row, const char *text);
/* Text of a number or string at path; NULL: absent. */
const char *mh_sb_row_text(const struct mh_sb_row *row, const char *path);
yyjson_val *mh_sb_row_at(yyjson_val *v, const char *path);

#endif
