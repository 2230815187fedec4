#include "operator/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const double bounds[] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                 0.5,   1,      2.5,   5,    10,    30,   60 };
#define NBOUNDS (sizeof(bounds) / sizeof(bounds[0]))

enum type { COUNTER, GAUGE, HISTOGRAM };

struct series {
    enum type type;
    size_t name_len; /* of the key, up to '{' */
    double value;    /* or the sum */
    uint64_t count;
    uint64_t buckets[NBOUNDS];
};

void
mh_metrics_init(struct mh_metrics *m)
{
    *m = (struct mh_metrics){ 0 };
    mh_map_init(&m->series, MH_METRICS_MAX);
}

void
mh_metrics_release(struct mh_metrics *m)
{
    for (size_t i = 0; i < m->series.len; i++)
        mh_free(m->series.entries[i].value);
    mh_map_release(&m->series);
}

static struct series *
series_of(struct mh_metrics *m, const char *name, const char *labels, enum type type)
{
    char key[400];
    int n = snprintf(key, sizeof(key), "%s{%s}", name, labels);
    if (n < 0 || (size_t)n >= sizeof(key))
        return NULL;
    struct series *s = mh_map_get(&m->series, key);
    if (s)
        return s;
    s = mh_calloc(1, sizeof(*s));
    if (s) {
        s->type = type;
        s->name_len = strlen(name);
    }
    if (s && mh_map_put(&m->series, key, s, NULL))
        return s;
    m->dropped++;
    mh_free(s);
    return NULL;
}

void
mh_metrics_add(struct mh_metrics *m, const char *name, const char *labels, double n)
{
    struct series *s = series_of(m, name, labels, COUNTER);
    if (s)
        s->value += n;
}

void
mh_metrics_set(struct mh_metrics *m, const char *name, const char *labels, double value)
{
    struct series *s = series_of(m, name, labels, GAUGE);
    if (s)
        s->value = value;
}

void
mh_metrics_observe(struct mh_metrics *m, const char *name, const char *labels, double seconds)
{
    struct series *s = series_of(m, name, labels, HISTOGRAM);
    if (!s)
        return;
    s->value += seconds;
    s->count++;
    for (size_t i = 0; i < NBOUNDS; i++)
        s->buckets[i] += seconds <= bounds[i];
}

static int
by_key(const void *a, const void *b)
{
    const struct mh_map_entry *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

/* The labels of a key with one more; "{}" is left out. */
static void
add_labels(struct mh_buf *out, const struct mh_map_entry *e, const char *more)
{
    const struct series *s = e->value;
    const char *labels = e->key + s->name_len + 1;
    size_t n = strlen(labels) - 1;
    if (!n && !more)
        return;
    mh_buf_printf(out, "{%.*s%s%s}", (int)n, labels, n && more ? "," : "", more ? more : "");
}

static void
add_histogram(struct mh_buf *out, const struct mh_map_entry *e)
{
    const struct series *s = e->value;
    int n = (int)s->name_len;
    for (size_t i = 0; i <= NBOUNDS; i++) {
        char le[32];
        if (i < NBOUNDS)
            (void)snprintf(le, sizeof(le), "le=\"%g\"", bounds[i]);
        else
            (void)snprintf(le, sizeof(le), "le=\"+Inf\"");
        mh_buf_printf(out, "%.*s_bucket", n, e->key);
        add_labels(out, e, le);
        mh_buf_printf(out, " %llu\n", (unsigned long long)(i < NBOUNDS ? s->buckets[i] : s->count));
    }
    mh_buf_printf(out, "%.*s_sum", n, e->key);
    add_labels(out, e, NULL);
    mh_buf_printf(out, " %.9g\n%.*s_count", s->value, n, e->key);
    add_labels(out, e, NULL);
    mh_buf_printf(out, " %llu\n", (unsigned long long)s->count);
}

bool
mh_metrics_text(const struct mh_metrics *m, struct mh_buf *out)
{
    static const char *const types[] = { "counter", "gauge", "histogram" };
    const struct mh_map_entry **list = mh_malloc((m->series.len + 1) * sizeof(void *));
    if (!list)
        return false;
    for (size_t i = 0; i < m->series.len; i++)
        list[i] = &m->series.entries[i];
    qsort(list, m->series.len, sizeof(void *), by_key);
    for (size_t i = 0; i < m->series.len; i++) {
        const struct series *s = list[i]->value;
        if (i == 0 || strncmp(list[i]->key, list[i - 1]->key, s->name_len + 1) != 0)
            mh_buf_printf(out, "# TYPE %.*s %s\n", (int)s->name_len, list[i]->key, types[s->type]);
        if (s->type == HISTOGRAM) {
            add_histogram(out, list[i]);
            continue;
        }
        mh_buf_printf(out, "%.*s", (int)s->name_len, list[i]->key);
        add_labels(out, list[i], NULL);
        mh_buf_printf(out, " %.15g\n", s->value);
    }
    mh_free(list);
    return !out->failed;
}
