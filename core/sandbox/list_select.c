/* Label and field selectors. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/rest_in.h"

#define TERMS_MAX 64
#define VALUES_MAX 128

enum op { EQUALS, NOT_EQUALS, IN, NOT_IN, EXISTS, ABSENT, GREATER, LESS };

struct mh_sb_term {
    const char *key;
    enum op op;
    const char **values;
    int nvalues;
    char *needle; /* the text of an object that matches has this; NULL: may be anything */
};

/* --- tokens of a label selector -------------------------------------------------------------- */

struct lexer {
    struct mh_arena *a;
    const char *at;
    char *error; /* the first one */
};

static void
skip_space(struct lexer *l)
{
    while (*l->at == ' ' || *l->at == '\t' || *l->at == '\n' || *l->at == '\r')
        l->at++;
}

static bool
is_word_char(char c)
{
    return c && !strchr(" \t\r\n,()!=<>", c);
}

/* The next token: a word, "," "(" ")" "!" "=" "==" "!=" "<" ">", or "" at the end. */
static const char *
peek(struct lexer *l, size_t *n)
{
    skip_space(l);
    const char *s = l->at;
    if (is_word_char(*s)) {
        for (*n = 0; is_word_char(s[*n]);)
            (*n)++;
    } else if ((s[0] == '=' || s[0] == '!') && s[1] == '=') {
        *n = 2;
    } else {
        *n = *s ? 1 : 0;
    }
    return s;
}

static const char *
next(struct lexer *l)
{
    size_t n;
    const char *s = peek(l, &n);
    l->at = s + n;
    return mh_arena_strndup(l->a, s, n);
}

static bool
next_is(struct lexer *l, const char *token)
{
    size_t n;
    const char *s = peek(l, &n);
    return n == strlen(token) && strncmp(s, token, n) == 0;
}

static bool
fail(struct lexer *l, const char *found, const char *expected)
{
    if (!l->error)
        l->error = mh_arena_printf(l->a, "unable to parse requirement: found '%s', expected: %s",
                                   found ? found : "", expected);
    return false;
}

static bool
is_word(const char *s)
{
    return s && is_word_char(*s);
}

static bool
add_value(struct lexer *l, struct mh_sb_term *t, const char *value)
{
    if (!t->values)
        t->values = mh_arena_alloc(l->a, VALUES_MAX * sizeof(char *));
    if (!t->values || t->nvalues == VALUES_MAX || !value)
        return false;
    t->values[t->nvalues++] = value;
    return true;
}

/* The one message without a comma. */
static bool
fail_in(struct lexer *l, const char *found)
{
    l->error = mh_arena_printf(l->a, "unable to parse requirement: found '%s' expected: '('",
                               found ? found : "");
    return false;
}

/* "(a, b, )" */
static bool
value_set(struct lexer *l, struct mh_sb_term *t)
{
    const char *token = next(l);
    if (!mh_str_eq(token, "("))
        return fail_in(l, token);
    for (;;) {
        token = next_is(l, ",") || next_is(l, ")") ? "" : next(l);
        if (*token && !is_word(token))
            return fail(l, token, "',', ')' or identifier");
        if (!token || !add_value(l, t, token))
            return false;
        token = next(l);
        if (mh_str_eq(token, ")"))
            return true;
        if (!mh_str_eq(token, ","))
            return fail(l, token, "',' or ')'");
    }
}

static bool
requirement(struct lexer *l, struct mh_sb_term *t)
{
    bool negated = next_is(l, "!");
    if (negated)
        (void)next(l);
    t->key = next(l);
    if (!is_word(t->key))
        return fail(l, t->key, "!, identifier, or 'end of string'");
    if (negated || next_is(l, ",") || next_is(l, "")) {
        t->op = negated ? ABSENT : EXISTS;
        return true;
    }
    const char *op = next(l);
    if (mh_str_eq(op, "in") || mh_str_eq(op, "notin")) {
        t->op = *op == 'i' ? IN : NOT_IN;
        return value_set(l, t);
    }
    if (mh_str_eq(op, "=") || mh_str_eq(op, "=="))
        t->op = EQUALS;
    else if (mh_str_eq(op, "!="))
        t->op = NOT_EQUALS;
    else if (mh_str_eq(op, ">") || mh_str_eq(op, "<"))
        t->op = *op == '>' ? GREATER : LESS;
    else
        return fail(l, op, "in, notin, =, ==, !=, gt, lt");
    const char *value = next_is(l, ",") || next_is(l, "") ? "" : next(l);
    if (value && *value && !is_word(value))
        return fail(l, value, "identifier");
    if (value && (t->op == GREATER || t->op == LESS) &&
        (!*value || value[strspn(value, "0123456789")])) {
        l->error = mh_arena_printf(l->a,
                                   "unable to parse requirement: values[0]: Invalid value: \"%s\": "
                                   "for 'Gt', 'Lt' operators, the value must be an integer",
                                   value);
        return false;
    }
    return add_value(l, t, value);
}

/* What the text of every object that matches contains: labels need no escapes. */
static void
make_needle(struct mh_arena *a, struct mh_sb_term *t)
{
    if ((t->op == EQUALS || t->op == IN) && t->nvalues == 1)
        t->needle = mh_arena_printf(a, "\"%s\":\"%s\"", t->key, t->values[0]);
    else if (t->op == EXISTS)
        t->needle = mh_arena_printf(a, "\"%s\":", t->key);
}

static bool
parse_labels(struct lexer *l, struct mh_sb_select *s)
{
    s->labels = mh_arena_alloc(l->a, TERMS_MAX * sizeof(struct mh_sb_term));
    if (!s->labels)
        return false;
    while (!next_is(l, "")) {
        struct mh_sb_term *t = &s->labels[s->nlabels];
        if (s->nlabels == TERMS_MAX || !requirement(l, t))
            return false;
        make_needle(l->a, t);
        s->nlabels++;
        if (next_is(l, ""))
            return true;
        const char *comma = next(l);
        if (!mh_str_eq(comma, ","))
            return fail(l, comma, "',' or 'end of string'");
        const char *at = l->at;
        const char *after = next(l);
        if (!is_word(after) && !mh_str_eq(after, "!")) {
            l->error = mh_arena_printf(l->a, "found '%s', expected: identifier after ','",
                                       after ? after : "");
            return false;
        }
        l->at = at;
    }
    return true;
}

/* --- fields ---------------------------------------------------------------------------------- */

static const char *const pod_fields[] = { "spec.nodeName",
                                          "spec.restartPolicy",
                                          "spec.schedulerName",
                                          "spec.serviceAccountName",
                                          "spec.hostNetwork",
                                          "status.phase",
                                          "status.podIP",
                                          "status.podIPs",
                                          "status.nominatedNodeName",
                                          NULL };
static const char *const event_fields[] = { "involvedObject.kind",
                                            "involvedObject.namespace",
                                            "involvedObject.name",
                                            "involvedObject.uid",
                                            "involvedObject.apiVersion",
                                            "involvedObject.resourceVersion",
                                            "involvedObject.fieldPath",
                                            "regarding.kind",
                                            "regarding.namespace",
                                            "regarding.name",
                                            "regarding.uid",
                                            "reason",
                                            "reportingComponent",
                                            "source",
                                            "type",
                                            NULL };
static const char *const node_fields[] = { "spec.unschedulable", NULL };
static const char *const secret_fields[] = { "type", NULL };
static const char *const namespace_fields[] = { "status.phase", NULL };
static const char *const service_fields[] = { "spec.clusterIP", "spec.type", NULL };
static const char *const job_fields[] = { "status.successful", NULL };

static const struct {
    const char *kind;
    const char *const *fields;
} known_fields[] = {
    { "Pod", pod_fields },       { "Event", event_fields },         { "Node", node_fields },
    { "Secret", secret_fields }, { "Namespace", namespace_fields }, { "Service", service_fields },
    { "Job", job_fields }
};

static bool
listed(const char *const *list, const char *key)
{
    for (; list && *list; list++) {
        if (strcmp(*list, key) == 0)
            return true;
    }
    return false;
}

/* *special: the kind has fields of its own, which changes the words of a refusal. */
static bool
field_known(const struct mh_sb_place *t, const char *key, bool *special)
{
    *special = t->r->custom;
    if (strcmp(key, "metadata.name") == 0)
        return true;
    if (strcmp(key, "metadata.namespace") == 0)
        return t->r->namespaced || !t->r->custom;
    if (t->r->custom) {
        yyjson_val *list = yyjson_obj_get(t->v->spec, "selectableFields");
        for (size_t i = 0; i < yyjson_arr_size(list); i++) {
            const char *path = mh_json_str(yyjson_arr_get(list, i), "jsonPath", NULL);
            if (path && strcmp(path + (*path == '.'), key) == 0)
                return true;
        }
        return false;
    }
    for (size_t i = 0; i < sizeof(known_fields) / sizeof(known_fields[0]); i++) {
        if (strcmp(known_fields[i].kind, t->r->kind) == 0) {
            *special = true;
            return listed(known_fields[i].fields, key);
        }
    }
    return false;
}

/* key=value, key==value, key!=value, commas between; '\' escapes in values. */
static bool
parse_fields(struct mh_sb_req *req, struct mh_arena *a, const struct mh_sb_place *t,
             struct mh_sb_select *s)
{
    s->fields = mh_arena_alloc(a, TERMS_MAX * sizeof(struct mh_sb_term));
    const char *at = t->q.field_selector;
    while (s->fields && *at && s->nfields < TERMS_MAX) {
        size_t n = strcspn(at, ",");
        char *part = mh_arena_strndup(a, at, n);
        char *eq = part ? strchr(part, '=') : NULL;
        struct mh_sb_term *term = &s->fields[s->nfields];
        bool special;
        at += n + (at[n] == ',');
        if (part && !*part)
            continue;
        if (!eq || eq == part) {
            mh_sb_bad_request(req, "invalid selector: '%s'; can't understand '%s'",
                              t->q.field_selector, part ? part : "");
            return false;
        }
        term->op = eq[-1] == '!' ? NOT_EQUALS : EQUALS;
        eq[-(term->op == NOT_EQUALS)] = '\0';
        term->values = mh_arena_alloc(a, sizeof(char *));
        if (!term->values)
            return false;
        term->values[term->nvalues++] = eq + 1 + (eq[1] == '=');
        term->key = part;
        if (!field_known(t, term->key, &special)) {
            if (special)
                mh_sb_bad_request(req,
                                  strcmp(t->r->group, "batch") == 0
                                      ? "field label \"%s\" not supported for Job"
                                      : "field label not supported: %s",
                                  term->key);
            else
                mh_sb_bad_request(req,
                                  "\"%s\" is not a known field selector: only \"metadata.name\", "
                                  "\"metadata.namespace\"",
                                  term->key);
            return false;
        }
        if (term->op == EQUALS && strcmp(term->key, "metadata.name") == 0)
            s->name = term->values[0];
        s->nfields++;
    }
    return s->fields != NULL;
}

bool
mh_sb_select_parse(struct mh_sb_req *req, struct mh_arena *a, const struct mh_sb_place *t,
                   struct mh_sb_select *s)
{
    struct lexer l = { .a = a, .at = t->q.label_selector ? t->q.label_selector : "" };
    *s = (struct mh_sb_select){ .ns = t->r->namespaced && *t->at.ns ? t->at.ns : NULL,
                                .name = *t->at.name ? t->at.name : NULL };
    if (*l.at && !parse_labels(&l, s)) {
        if (l.error)
            mh_sb_bad_request(req, "%s", l.error);
        else
            mh_sb_no_memory(req);
        return false;
    }
    if (!t->q.field_selector || parse_fields(req, a, t, s))
        return true;
    if (!req->status)
        mh_sb_no_memory(req);
    return false;
}

/* --- matching -------------------------------------------------------------------------------- */

static bool
among(const struct mh_sb_term *t, const char *value)
{
    for (int i = 0; value && i < t->nvalues; i++) {
        if (strcmp(t->values[i], value) == 0)
            return true;
    }
    return false;
}

static bool
term_matches(const struct mh_sb_term *t, const char *value)
{
    switch (t->op) {
    case EQUALS:
    case IN:
        return among(t, value);
    case NOT_EQUALS:
    case NOT_IN:
        return !among(t, value);
    case EXISTS:
        return value != NULL;
    case ABSENT:
        return value == NULL;
    case GREATER:
        return value && strtoll(value, NULL, 10) > strtoll(t->values[0], NULL, 10);
    case LESS:
        return value && strtoll(value, NULL, 10) < strtoll(t->values[0], NULL, 10);
    }
    return false;
}

/* The text of a field as the server's selectors see it; "" where it is absent. */
static const char *
field_text(struct mh_arena *a, yyjson_val *v, const char *path)
{
    if (strncmp(path, "regarding.", 10) == 0)
        v = mh_json_get(v, yyjson_obj_get(v, "regarding") ? "regarding" : "involvedObject", NULL);
    if (strncmp(path, "regarding.", 10) == 0)
        path += 10;
    bool flag = strcmp(path, "spec.unschedulable") == 0 || strcmp(path, "spec.hostNetwork") == 0;
    bool number = strcmp(path, "status.successful") == 0 || strcmp(path, "status.replicas") == 0;
    if (strcmp(path, "status.successful") == 0)
        path = "status.succeeded";
    if (strcmp(path, "source") == 0)
        path = "source.component";
    while (v && *path) {
        size_t n = strcspn(path, ".");
        v = yyjson_obj_getn(v, path, n);
        path += n + (path[n] == '.');
    }
    if (yyjson_is_str(v))
        return yyjson_get_str(v);
    if (yyjson_is_bool(v))
        return yyjson_get_bool(v) ? "true" : "false";
    if (yyjson_is_int(v))
        return mh_arena_printf(a, "%lld", (long long)yyjson_get_sint(v));
    return flag ? "false" : number ? "0" : "";
}

static bool
in_place(const struct mh_sb_select *s, const struct mh_sb_obj *o)
{
    const char *slash = strchr(o->key, '/');
    const char *name = slash ? slash + 1 : o->key;
    if (s->name && strcmp(s->name, name) != 0)
        return false;
    if (!s->ns)
        return true;
    size_t n = strlen(s->ns);
    return slash && (size_t)(slash - o->key) == n && memcmp(o->key, s->ns, n) == 0;
}

bool
mh_sb_select_match(const struct mh_sb_select *s, struct mh_arena *scratch,
                   const struct mh_sb_obj *o, yyjson_val **value)
{
    struct mh_err err;
    if (!in_place(s, o))
        return false;
    for (int i = 0; i < s->nlabels; i++) {
        const char *needle = s->labels[i].needle;
        if (needle && !memmem(o->text, o->len, needle, strlen(needle)))
            return false;
    }
    if (!s->nlabels && (!s->nfields || (s->nfields == 1 && s->name)))
        return true;
    if (!*value && mh_json_parse(scratch, o->text, o->len, value, &err) != MH_OK)
        return false;
    yyjson_val *labels = mh_json_get(*value, "metadata", "labels", NULL);
    for (int i = 0; i < s->nlabels; i++) {
        const struct mh_sb_term *t = &s->labels[i];
        if (!term_matches(t, yyjson_get_str(yyjson_obj_get(labels, t->key))))
            return false;
    }
    for (int i = 0; i < s->nfields; i++) {
        const struct mh_sb_term *t = &s->fields[i];
        if (!term_matches(t, field_text(scratch, *value, t->key)))
            return false;
    }
    return true;
}
