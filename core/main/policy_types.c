/* policy_types.c - moonherd policy types: stubs for editors, JSON Schemas for validators. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "lua/embed.h"
#include "lua/shape.h"
#include "main/policy.h"

#define OUT_MAX ((size_t)1 << 20)

static void put_shape(struct mh_buf *b, const struct mh_shape *s);

static void
put_record(struct mh_buf *b, const struct mh_field *fields)
{
    bool first = true;
    (void)mh_buf_str(b, "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
    for (const struct mh_field *f = fields; f->name; f++) {
        (void)mh_buf_printf(b, "%s\"%s\":", f == fields ? "" : ",", f->name);
        put_shape(b, &f->shape);
    }
    (void)mh_buf_str(b, "},\"required\":[");
    for (const struct mh_field *f = fields; f->name; f++) {
        if (f->optional)
            continue;
        (void)mh_buf_printf(b, "%s\"%s\"", first ? "" : ",", f->name);
        first = false;
    }
    (void)mh_buf_str(b, "]}");
}

static void
put_choice(struct mh_buf *b, const struct mh_shape *s)
{
    (void)mh_buf_str(b, "{\"enum\":[");
    for (const char *const *o = s->options; *o; o++)
        (void)mh_buf_printf(b, "%s\"%s\"", o == s->options ? "" : ",", *o);
    (void)mh_buf_str(b, "]}");
}

static void
put_shape(struct mh_buf *b, const struct mh_shape *s)
{
    long long min = (long long)s->min, max = (long long)s->max;
    switch (s->kind) {
    case MH_SHAPE_TEXT:
    case MH_SHAPE_LINES:
    case MH_SHAPE_LABEL:
        (void)mh_buf_printf(b, "{\"type\":\"string\",\"minLength\":%lld,\"maxLength\":%lld}", min,
                            max);
        break;
    case MH_SHAPE_REASON:
        (void)mh_buf_str(b, "{\"type\":\"string\",\"pattern\":\"^[A-Z][A-Za-z0-9]{0,63}$\"}");
        break;
    case MH_SHAPE_QUANTITY:
        (void)mh_buf_str(b, "{\"anyOf\":[{\"type\":\"integer\",\"minimum\":0},{\"type\":\"string\","
                            "\"pattern\":\"^[0-9]+(\\\\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$\"}]}");
        break;
    case MH_SHAPE_INT:
    case MH_SHAPE_NUMBER:
        (void)mh_buf_printf(b, "{\"type\":\"%s\",\"minimum\":%lld,\"maximum\":%lld}",
                            s->kind == MH_SHAPE_INT ? "integer" : "number", min, max);
        break;
    case MH_SHAPE_FLAG:
        (void)mh_buf_str(b, "{\"type\":\"boolean\"}");
        break;
    case MH_SHAPE_SCALAR:
        (void)mh_buf_str(b, "{\"type\":[\"string\",\"number\",\"boolean\"]}");
        break;
    case MH_SHAPE_CHOICE:
        put_choice(b, s);
        break;
    case MH_SHAPE_LIST:
        (void)mh_buf_printf(b, "{\"type\":\"array\",\"maxItems\":%lld,\"items\":", max);
        put_shape(b, s->of);
        (void)mh_buf_char(b, '}');
        break;
    case MH_SHAPE_MAP:
        (void)mh_buf_printf(
            b, "{\"type\":\"object\",\"maxProperties\":%lld,\"additionalProperties\":", max);
        put_shape(b, s->of);
        (void)mh_buf_char(b, '}');
        break;
    case MH_SHAPE_RECORD:
        put_record(b, s->fields);
        break;
    }
}

static void
put_point(struct mh_buf *b, const struct mh_point *p)
{
    (void)mh_buf_printf(b, "\"%s\":{\"input\":", p->name);
    put_record(b, p->input);
    (void)mh_buf_str(b, ",\"answer\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
                        "\"anyOf\":[");
    for (int i = 0; i < MH_ANSWERS_MAX && p->answers[i].fields; i++) {
        if (i > 0)
            (void)mh_buf_char(b, ',');
        put_record(b, p->answers[i].fields);
    }
    (void)mh_buf_str(b, "]}}");
}

static bool
wanted(const struct mh_policy_args *args, const char *name)
{
    for (int i = 0; i < args->n; i++) {
        if (strcmp(args->names[i], name) == 0)
            return true;
    }
    return args->n == 0;
}

static int
schemas(const struct mh_policy_args *args)
{
    struct mh_buf b;
    bool first = true;
    mh_buf_init(&b, OUT_MAX);
    (void)mh_buf_char(&b, '{');
    for (const struct mh_point *p = mh_points; p->name; p++) {
        if (!wanted(args, p->name))
            continue;
        if (!first)
            (void)mh_buf_str(&b, ",\n");
        first = false;
        put_point(&b, p);
    }
    (void)mh_buf_char(&b, '}');
    bool failed = b.failed;
    if (!failed)
        printf("%s\n", mh_buf_text(&b));
    mh_buf_release(&b);
    return failed ? 1 : 0;
}

int
mh_policy_types(const struct mh_policy_args *args)
{
    struct mh_arena a;
    int rc = 1;
    for (int i = 0; i < args->n; i++) {
        if (!mh_point_find(args->names[i])) {
            (void)fprintf(stderr, "there is no decision point '%s'\n", args->names[i]);
            return 2;
        }
    }
    if (args->json)
        return schemas(args);
    mh_arena_init(&a, OUT_MAX * 2);
    const struct mh_script *words = mh_script_find(&a, "meta/policy");
    const struct mh_script *points = mh_script_find(&a, "meta/policy_points");
    if (words && points && printf("%s\n%s", words->text, points->text) > 0)
        rc = 0;
    mh_arena_release(&a);
    return rc;
}
