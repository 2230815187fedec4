/* Tables: lists as kubectl get prints them. */
#include "sandbox/table.h"

#include <string.h>

#include "base/str.h"
#include "sandbox/jsonpath.h"

bool
mh_sb_wants_table(const char *accept)
{
    const char *table = accept ? strstr(accept, "as=Table") : NULL;
    return table && strstr(accept, "g=meta.k8s.io") && !mh_sb_wants_partial(accept);
}

bool
mh_sb_include_ok(struct mh_sb_req *req, const char *include)
{
    if (!include || !*include || !mh_sb_wants_table(req->accept) || mh_str_eq(include, "None") ||
        mh_str_eq(include, "Object") || mh_str_eq(include, "Metadata"))
        return true;
    mh_sb_bad_request(
        req,
        "Unable to convert to Table as requested: includeObject: Invalid value: \"%s\": "
        "must be 'Metadata', 'Object', 'None', or empty",
        include);
    return false;
}

bool
mh_sb_wants_partial(const char *accept)
{
    const char *partial = accept ? strstr(accept, "as=PartialObjectMetadata") : NULL;
    const char *table = partial ? strstr(accept, "as=Table") : NULL;
    return partial && strstr(accept, "g=meta.k8s.io") && (!table || table > partial);
}

char *
mh_sb_partial_text(struct mh_arena *a, const char *text, size_t *len)
{
    struct mh_err err;
    yyjson_val *obj = NULL;
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *o = doc ? yyjson_mut_obj(doc) : NULL;
    if (!o || mh_json_parse(a, text, *len, &obj, &err) != MH_OK)
        return NULL;
    yyjson_mut_obj_add_str(doc, o, "kind", "PartialObjectMetadata");
    yyjson_mut_obj_add_str(doc, o, "apiVersion", "meta.k8s.io/v1");
    yyjson_mut_obj_add_val(doc, o, "metadata",
                           yyjson_val_mut_copy(doc, yyjson_obj_get(obj, "metadata")));
    return mh_json_mut_text(a, o, len);
}

static const struct mh_sb_column name_column = { .name = "Name",
                                                 .type = "string",
                                                 .format = "name" };
static const struct mh_sb_column age_column = { .name = "Age",
                                                .type = "date",
                                                .path = ".metadata.creationTimestamp" };

static bool
put_column(yyjson_mut_doc *doc, yyjson_mut_val *list, const struct mh_sb_column *c)
{
    yyjson_mut_val *v = yyjson_mut_arr_add_obj(doc, list);
    return v && yyjson_mut_obj_add_str(doc, v, "name", c->name ? c->name : "") &&
           yyjson_mut_obj_add_str(doc, v, "type", c->type ? c->type : "string") &&
           yyjson_mut_obj_add_str(doc, v, "format", c->format ? c->format : "") &&
           yyjson_mut_obj_add_str(doc, v, "description", c->description ? c->description : "") &&
           yyjson_mut_obj_add_int(doc, v, "priority", c->priority);
}

static bool
put_cell_column(yyjson_mut_doc *doc, yyjson_mut_val *list, const struct mh_sb_cell *c)
{
    bool name = strcmp(c->type, "name") == 0;
    struct mh_sb_column column = { .name = c->name,
                                   .type = name ? "string" : c->type,
                                   .format = name ? "name" : "",
                                   .priority = c->priority };
    return put_column(doc, list, &column);
}

static bool
put_columns(yyjson_mut_doc *doc, yyjson_mut_val *list, const struct mh_sb_version *v)
{
    bool ok = true;
    if (v->resource->custom) {
        ok = put_column(doc, list, &name_column);
        for (int i = 0; ok && i < v->ncolumns; i++)
            ok = put_column(doc, list, &v->columns[i]);
        return ok && (v->ncolumns || put_column(doc, list, &age_column));
    }
    int n = 0;
    const struct mh_sb_cell *cells = mh_sb_cells(v->resource, &n);
    for (int i = 0; ok && i < n; i++)
        ok = put_cell_column(doc, list, &cells[i]);
    return ok;
}

/* --- rows ------------------------------------------------------------------------------------ */

static yyjson_mut_val *
custom_cell(const struct mh_sb_row *row, const struct mh_sb_column *c)
{
    struct mh_sb_jsonpath *path = NULL;
    struct mh_err err;
    if (!c->path || mh_sb_jsonpath_compile(row->a, c->path, &path, &err) != MH_OK)
        return yyjson_mut_null(row->doc);
    return mh_sb_jsonpath_cell(path, c->type ? c->type : "string", row->a, row->doc, row->obj,
                               row->now);
}

static bool
put_cells(const struct mh_sb_row *row, const struct mh_sb_version *v, yyjson_mut_val *list)
{
    bool ok = true;
    if (v->resource->custom) {
        ok = yyjson_mut_arr_append(list, mh_sb_cell_text(row, "metadata.name"));
        for (int i = 0; ok && i < v->ncolumns; i++)
            ok = yyjson_mut_arr_append(list, custom_cell(row, &v->columns[i]));
        return ok && (v->ncolumns || yyjson_mut_arr_append(list, custom_cell(row, &age_column)));
    }
    int n = 0;
    const struct mh_sb_cell *cells = mh_sb_cells(v->resource, &n);
    for (int i = 0; ok && i < n; i++)
        ok = yyjson_mut_arr_append(list, cells[i].fn(row, cells[i].arg));
    return ok;
}

static bool
put_object(const struct mh_sb_row *row, yyjson_mut_val *to, const char *include)
{
    yyjson_mut_doc *doc = row->doc;
    if (mh_str_eq(include, "None"))
        return yyjson_mut_obj_add_null(doc, to, "object");
    if (mh_str_eq(include, "Object"))
        return yyjson_mut_obj_add_val(doc, to, "object", yyjson_val_mut_copy(doc, row->obj));
    yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, to, "object");
    return o && yyjson_mut_obj_add_str(doc, o, "kind", "PartialObjectMetadata") &&
           yyjson_mut_obj_add_str(doc, o, "apiVersion", "meta.k8s.io/v1") &&
           yyjson_mut_obj_add_val(doc, o, "metadata",
                                  yyjson_val_mut_copy(doc, yyjson_obj_get(row->obj, "metadata")));
}

/* Rows of pods that ended have a condition, which kubectl dims; the others have none. */
static bool
put_ended(const struct mh_sb_row *row, const struct mh_sb_version *v, yyjson_mut_val *r)
{
    const char *phase = mh_json_str(row->obj, "status", "phase", NULL);
    bool succeeded = mh_str_eq(phase, "Succeeded");
    if (v->resource->custom || strcmp(v->resource->kind, "Pod") != 0 ||
        (!succeeded && !mh_str_eq(phase, "Failed")))
        return true;
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(row->doc, r, "conditions");
    yyjson_mut_val *c = list ? yyjson_mut_arr_add_obj(row->doc, list) : NULL;
    return c && yyjson_mut_obj_add_str(row->doc, c, "type", "Completed") &&
           yyjson_mut_obj_add_str(row->doc, c, "status", "True") &&
           yyjson_mut_obj_add_str(row->doc, c, "reason", succeeded ? "Succeeded" : "Failed") &&
           yyjson_mut_obj_add_str(row->doc, c, "message",
                                  succeeded ? "The pod has completed successfully."
                                            : "The pod failed.");
}

static bool
put_row(struct mh_sb_row *row, const struct mh_sb_version *v, yyjson_mut_val *rows,
        const char *include)
{
    yyjson_mut_val *r = yyjson_mut_arr_add_obj(row->doc, rows);
    yyjson_mut_val *cells = r ? yyjson_mut_obj_add_arr(row->doc, r, "cells") : NULL;
    return cells && put_cells(row, v, cells) && put_ended(row, v, r) && put_object(row, r, include);
}

char *
mh_sb_table_text(struct mh_sb_api *api, struct mh_arena *a, const struct mh_sb_version *v,
                 const struct mh_sb_table_of *of, size_t *len)
{
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *t = doc ? yyjson_mut_obj(doc) : NULL;
    struct mh_sb_row row = {
        .api = api, .a = a, .doc = doc, .now = api->clock.wall_us(api->clock.self) / 1000000
    };
    struct mh_err err;
    yyjson_val *meta = NULL;
    if (!t)
        return NULL;
    yyjson_mut_obj_add_str(doc, t, "kind", "Table");
    yyjson_mut_obj_add_str(doc, t, "apiVersion", "meta.k8s.io/v1");
    if (of->list_meta && strcmp(of->list_meta, MH_SB_NO_COLUMNS) != 0)
        (void)mh_json_parse(a, of->list_meta, strlen(of->list_meta), &meta, &err);
    yyjson_mut_val *m = meta ? yyjson_val_mut_copy(doc, meta) : yyjson_mut_obj(doc);
    yyjson_mut_obj_add_val(doc, t, "metadata", m);
    if (mh_str_eq(of->list_meta, MH_SB_NO_COLUMNS))
        yyjson_mut_obj_add_null(doc, t, "columnDefinitions");
    else if (!put_columns(doc, yyjson_mut_obj_add_arr(doc, t, "columnDefinitions"), v))
        return NULL;
    int ncells = 0;
    const struct mh_sb_cell *cells = v->resource->custom ? NULL : mh_sb_cells(v->resource, &ncells);
    bool null_rows = !of->n && cells && mh_str_eq(cells[ncells - 1].name, "Created At");
    yyjson_mut_val *rows = null_rows ? NULL : yyjson_mut_obj_add_arr(doc, t, "rows");
    if (null_rows) /* as the real server: kinds without columns of their own */
        yyjson_mut_obj_add_null(doc, t, "rows");
    for (size_t i = 0; i < of->n; i++) {
        if (mh_json_parse(a, of->texts[i], of->lens[i], &row.obj, &err) != MH_OK ||
            !put_row(&row, v, rows, of->include))
            return NULL;
        if (!of->list_meta || mh_str_eq(of->list_meta, MH_SB_NO_COLUMNS)) {
            const char *version = mh_json_str(row.obj, "metadata", "resourceVersion", NULL);
            if (version)
                yyjson_mut_obj_add_str(doc, m, "resourceVersion", version);
        }
    }
    return mh_json_mut_text(a, t, len);
}
