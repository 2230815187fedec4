/* module.h - what a native module may use. docs/modules.md is the guide.
 *
 * A module is a folder of C files that is linked in when moonherd is built
 * (cmake -DMOONHERD_MODULES=DIR...), never loaded at run time. Folder NAME defines
 *
 *     const struct mh_module mh_module_NAME = { .version = MH_MODULE_VERSION, .name = "NAME", ... };
 *
 * It may add functions to Lua (the global NAME of every script) and checks of objects. Everything in
 * here is pure: no clock, file, socket or process; the same argument gives the same result. Nothing
 * in here raises: a module runs from its beginning to its end. This file, err.h and attr.h are all
 * that it may include of moonherd. */
#ifndef MOONHERD_MODULE_H
#define MOONHERD_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "moonherd/attr.h"
#include "moonherd/err.h"

/* Grows when something here changes its meaning; a module of another version is refused at the
 * start. What is only added does not change it. */
#define MH_MODULE_VERSION 1

/* --- functions for Lua ------------------------------------------------------------------------- */

/* One call of a function. Arguments count from 1. */
struct mh_call;

enum mh_value {
    MH_VALUE_NONE,
    MH_VALUE_FLAG,
    MH_VALUE_INT,
    MH_VALUE_NUMBER,
    MH_VALUE_TEXT,
    MH_VALUE_TABLE
};

int mh_call_count(const struct mh_call *c);
/* NONE for nil and for what is not there; 1.0 is a NUMBER, as in Lua. */
enum mh_value mh_call_kind(const struct mh_call *c, int arg);
/* False, and *out as it was, when the argument is something else. Any text may hold zeros. */
bool mh_call_flag(const struct mh_call *c, int arg, bool *out);
bool mh_call_int(const struct mh_call *c, int arg, int64_t *out);
bool mh_call_number(const struct mh_call *c, int arg, double *out);
const char *mh_call_text(const struct mh_call *c, int arg, size_t *len);
/* Any argument as JSON, with sorted keys. NULL: it cannot be written as JSON, or no memory. */
const char *mh_call_json(struct mh_call *c, int arg, size_t *len);
/* Zeroed memory that lives until the call is over; 1 MiB in all. NULL: no memory. */
void *mh_call_memory(struct mh_call *c, size_t size);
/* For long work: n steps of a loop. False: the script's budget is used up; return at once. */
MH_MUST_USE bool mh_call_spend(struct mh_call *c, size_t n);

/* The result; the last one counts, none is nil. False: no memory, or no JSON. */
void mh_give_flag(struct mh_call *c, bool value);
void mh_give_int(struct mh_call *c, int64_t value);
void mh_give_number(struct mh_call *c, double value);
bool mh_give_text(struct mh_call *c, const char *text, size_t len);
bool mh_give_json(struct mh_call *c, const char *text, size_t len);

struct mh_module_function {
    const char *name;
    /* Another code than MH_OK is an error of the script, with the message of *err. */
    enum mh_code (*run)(struct mh_call *c, struct mh_err *err);
    const char *summary; /* one line, for people: "has(net, address): whether ..." */
};

/* --- checks of objects ------------------------------------------------------------------------- */

/* An object of Kubernetes. Paths are JSON pointers: "/spec/instances",
 * "/metadata/annotations/example.org~1owner", "/spec/tablespaces/0/name". */
struct mh_object;

bool mh_object_has(const struct mh_object *o, const char *path);
/* NULL: it is not there, or no text. Valid until the check is over. */
const char *mh_object_text(const struct mh_object *o, const char *path);
bool mh_object_int(const struct mh_object *o, const char *path, int64_t *out);
bool mh_object_flag(const struct mh_object *o, const char *path, bool *out);
/* Elements of a list or fields of a map; 0 for anything else. */
size_t mh_object_count(const struct mh_object *o, const char *path);
/* The n-th field's name of a map, from 0; NULL past the end. */
const char *mh_object_key(const struct mh_object *o, const char *path, size_t n);

struct mh_faults;

/* Something is wrong: path as people write it ("metadata.labels.team"), message as in err.h. Any
 * fault refuses the object in the webhook, and stops routine work in the operator, never a failover. */
void mh_fault(struct mh_faults *f, const char *path, const char *fmt, ...) MH_PRINTF(3, 4);

struct mh_module_check {
    const char *kind; /* "Cluster" */
    /* `old` is NULL where the object is new, and whenever the operator looks at what is stored. */
    void (*run)(const struct mh_object *now, const struct mh_object *old, struct mh_faults *f);
    const char *summary;
};

/* --- the module -------------------------------------------------------------------------------- */

struct mh_module {
    unsigned version; /* MH_MODULE_VERSION */
    const char *name; /* [a-z][a-z0-9_]*, at most 32 bytes, and no name that scripts have already */
    const char *summary;
    const struct mh_module_function *functions; /* NULL: none; ends with a NULL name */
    const struct mh_module_check *checks;       /* NULL: none; ends with a NULL kind */
};

#endif
