/* live_print.c - the view of a sandbox as text for people: tables whose columns are as wide as what
 * stands in them, reasons wrapped at the width of the terminal. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/live.h"

#define CELL 80
#define COLUMNS_MAX 10
#define ROWS_MAX 64

enum tone { PLAIN, DIM, BOLD, GOOD, BAD };

struct cell {
    char text[CELL];
    enum tone tone;
};

struct table {
    struct cell cells[ROWS_MAX][COLUMNS_MAX];
    int rows, columns;
};

struct page {
    struct mh_buf *b;
    struct mh_sb_look look;
};

static const char *
text(yyjson_val *o, const char *key)
{
    const char *s = mh_json_str(o, key, NULL);
    return s ? s : "-";
}

static void
ago(char out[32], int64_t s)
{
    if (s < 120)
        (void)snprintf(out, 32, "%llds", (long long)(s < 0 ? 0 : s));
    else if (s < 7200)
        (void)snprintf(out, 32, "%lldm", (long long)(s / 60));
    else
        (void)snprintf(out, 32, "%lldh", (long long)(s / 3600));
}

static void
bytes(char *out, size_t size, int64_t n)
{
    if (n < 0)
        (void)snprintf(out, size, "-");
    else if (n < 10240)
        (void)snprintf(out, size, "%lld B", (long long)n);
    else if (n < (10 << 20))
        (void)snprintf(out, size, "%lld kB", (long long)(n >> 10));
    else
        (void)snprintf(out, size, "%lld MB", (long long)(n >> 20));
}

/* --- lines -------------------------------------------------------------------------------------------- */

static void
tone(struct page *p, enum tone t)
{
    static const char *const codes[] = { "\033[0m", "\033[2m", "\033[1m", "\033[32m",
                                         "\033[1;31m" };
    if (p->look.color)
        (void)mh_buf_str(p->b, codes[t]);
}

static void
toned(struct page *p, enum tone t, const char *s)
{
    if (t != PLAIN)
        tone(p, t);
    (void)mh_buf_str(p->b, s);
    if (t != PLAIN)
        tone(p, PLAIN);
}

static void
end_line(struct page *p)
{
    (void)mh_buf_char(p->b, '\n');
}

/* Words from column `at` on; where the line is full it goes on below, from column `indent`. */
static void
wrapped(struct page *p, int at, int indent, const char *s)
{
    int width = p->look.width > indent + 20 ? p->look.width : 0;
    while (*s) {
        size_t n = strcspn(s, " ");
        if (width && at > indent && at + (int)n > width) {
            (void)mh_buf_printf(p->b, "\n%*s", indent, "");
            at = indent;
        }
        (void)mh_buf_add(p->b, s, n);
        at += (int)n;
        for (s += n; *s == ' '; s++) {
            (void)mh_buf_char(p->b, ' ');
            at++;
        }
    }
    end_line(p);
}

/* --- tables ------------------------------------------------------------------------------------------- */

static void set(struct table *t, int column, enum tone tone, const char *fmt, ...) MH_PRINTF(4, 5);

/* A cell of the last row. */
static void
set(struct table *t, int column, enum tone tone, const char *fmt, ...)
{
    struct cell *c = &t->cells[t->rows - 1][column];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(c->text, sizeof(c->text), fmt, ap);
    va_end(ap);
    c->tone = tone;
    if (column >= t->columns)
        t->columns = column + 1;
}

static bool
add_row(struct table *t)
{
    if (t->rows == ROWS_MAX)
        return false;
    memset(t->cells[t->rows++], 0, sizeof(t->cells[0]));
    return true;
}

static void
print_table(struct page *p, const struct table *t, int indent)
{
    int width[COLUMNS_MAX] = { 0 };
    for (int r = 0; r < t->rows; r++) {
        for (int c = 0; c < t->columns; c++) {
            int n = (int)strlen(t->cells[r][c].text);
            width[c] = n > width[c] ? n : width[c];
        }
    }
    for (int r = 0; r < t->rows; r++) {
        int last = t->columns - 1;
        (void)mh_buf_printf(p->b, "%*s", indent, "");
        while (last > 0 && !t->cells[r][last].text[0])
            last--;
        for (int c = 0; c <= last; c++) {
            const struct cell *cell = &t->cells[r][c];
            toned(p, cell->tone, cell->text);
            if (c < last)
                (void)mh_buf_printf(p->b, "%*s", width[c] - (int)strlen(cell->text) + 2, "");
        }
        end_line(p);
    }
}

/* --- a cluster ------------------------------------------------------------------------------------------ */

static void
head(struct table *t)
{
    static const char *const names[] = { "INSTANCE", "ROLE", "STATE", "READY", "NODE",
                                         "TLI",      "LSN",  "LAG",   "SYNC" };
    (void)add_row(t);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        set(t, (int)i, DIM, "%s", names[i]);
}

static void
instance(struct table *t, yyjson_val *o)
{
    char lag[32];
    bool answers = mh_json_bool(o, false, "answers", NULL);
    bool ready = mh_json_bool(o, false, "ready", NULL);
    const char *failure = mh_json_str(o, "failure", NULL), *role = text(o, "role");
    const char *lsn = text(o, "lsn");
    long long timeline = (long long)mh_json_int(o, 0, "timeline", NULL);
    if (!add_row(t))
        return;
    set(t, 0, PLAIN, "%s", text(o, "name"));
    if (answers)
        set(t, 1, mh_str_eq(role, "primary") ? BOLD : PLAIN, "%s", role);
    else
        set(t, 1, DIM, "(%s)", role); /* what the label says */
    if (answers && failure)
        set(t, 2, BAD, "%s: %s", text(o, "phase"), failure);
    else if (answers)
        set(t, 2, PLAIN, "%s", text(o, "phase"));
    else
        set(t, 2, BAD, "silent, pod %s", text(o, "pod"));
    set(t, 3, ready ? GOOD : BAD, "%s", ready ? "yes" : "no");
    set(t, 4, PLAIN, "%s", text(o, "node"));
    set(t, 5, PLAIN, timeline ? "%lld" : "-", timeline);
    set(t, 6, PLAIN, "%s", mh_str_eq(lsn, "0/0") ? "-" : lsn);
    bytes(lag, sizeof(lag), mh_json_int(o, -1, "lagBytes", NULL));
    set(t, 7, PLAIN, "%s", lag);
    set(t, 8, PLAIN, "%s", text(o, "sync"));
}

static void
decision(struct page *p, yyjson_val *o, int wide)
{
    char when[32], line[2048], times[32] = "";
    int64_t count = mh_json_int(o, 1, "count", NULL);
    bool warning = mh_str_eq(mh_json_str(o, "type", NULL), "Warning");
    ago(when, mh_json_int(o, 0, "secondsAgo", NULL));
    if (count > 1)
        (void)snprintf(times, sizeof(times), " (%lld times)", (long long)count);
    (void)mh_buf_printf(p->b, "  %6s ago  ", when);
    toned(p, warning ? BAD : BOLD, text(o, "what"));
    (void)mh_buf_printf(p->b, "%*s", wide - (int)strlen(text(o, "what")) + 2, "");
    (void)snprintf(line, sizeof(line), "%s%s", text(o, "why"), times);
    wrapped(p, wide + 16, wide + 16, line);
}

static void
decisions(struct page *p, yyjson_val *list)
{
    size_t i, n;
    yyjson_val *o;
    int wide = 0;
    yyjson_arr_foreach(list, i, n, o)
    {
        int len = (int)strlen(text(o, "what"));
        wide = len > wide ? len : wide;
    }
    if (yyjson_arr_size(list) > 0) {
        (void)mh_buf_str(p->b, "  ");
        toned(p, DIM, "last decisions");
        end_line(p);
    }
    yyjson_arr_foreach(list, i, n, o)
    {
        decision(p, o, wide);
    }
}

static void
cluster(struct page *p, yyjson_val *c, struct table *t)
{
    char title[700], line[2400];
    size_t i, n;
    yyjson_val *o, *lease = yyjson_obj_get(c, "lease");
    long long ready = (long long)mh_json_int(c, 0, "ready", NULL);
    long long wanted = (long long)mh_json_int(c, 0, "wanted", NULL);
    const char *why = mh_json_str(c, "reason", NULL);
    const char *candidate = mh_json_str(lease, "candidate", NULL);
    end_line(p);
    (void)snprintf(title, sizeof(title), "%s/%s", text(c, "namespace"), text(c, "name"));
    toned(p, BOLD, title);
    (void)snprintf(line, sizeof(line), "  %lld of %lld ready", ready, wanted);
    toned(p, ready == wanted ? GOOD : BAD, line);
    (void)snprintf(line, sizeof(line), "  %s%s%s", text(c, "phase"), why ? ": " : "",
                   why ? why : "");
    wrapped(p, (int)strlen(title) + 20, 2, line);
    if (lease) {
        (void)snprintf(line, sizeof(line), "lease: %s is primary, term %lld, %s%s%s",
                       text(lease, "holder"), (long long)mh_json_int(lease, 0, "term", NULL),
                       text(lease, "phase"), candidate ? ", candidate " : "",
                       candidate ? candidate : "");
        (void)mh_buf_str(p->b, "  ");
        wrapped(p, 2, 2, line);
    }
    *t = (struct table){ .rows = 0 };
    head(t);
    yyjson_arr_foreach(yyjson_obj_get(c, "instances"), i, n, o)
    {
        instance(t, o);
    }
    print_table(p, t, 2);
    decisions(p, yyjson_obj_get(c, "decisions"));
}

/* --- all of it -------------------------------------------------------------------------------------------- */

static void
top(struct page *p, yyjson_val *view)
{
    yyjson_val *s = yyjson_obj_get(view, "sandbox"), *o;
    bool ready = mh_json_bool(s, false, "operatorReady", NULL);
    bool kept = mh_json_bool(s, false, "kept", NULL);
    char up[32];
    size_t i, n;
    ago(up, mh_json_int(s, 0, "uptimeMs", NULL) / 1000);
    (void)mh_buf_printf(p->b, "sandbox  %s, up %s, operator ", text(s, "server"), up);
    toned(p, ready ? PLAIN : BAD, ready ? "ready" : "not ready");
    (void)mh_buf_printf(p->b, ", %s%s\n", kept ? "data in " : "nothing is kept",
                        kept ? text(s, "directory") : "");
    (void)mh_buf_str(p->b, "nodes   ");
    yyjson_arr_foreach(yyjson_obj_get(view, "nodes"), i, n, o)
    {
        const char *trouble = mh_json_str(o, "trouble", NULL);
        (void)mh_buf_printf(p->b, "%s%s (%s", i ? ", " : " ", text(o, "name"), text(o, "zone"));
        if (trouble) {
            (void)mh_buf_str(p->b, ", ");
            toned(p, BAD, trouble);
        }
        (void)mh_buf_char(p->b, ')');
    }
    end_line(p);
    yyjson_arr_foreach(yyjson_obj_get(s, "faults"), i, n, o)
    {
        (void)mh_buf_str(p->b, i ? "         " : "faults   ");
        toned(p, BAD, yyjson_get_str(o));
        end_line(p);
    }
}

void
mh_sb_live_print(yyjson_val *view, const struct mh_sb_look *look, struct mh_buf *b)
{
    struct page p = { b, *look };
    struct table *t = mh_malloc(sizeof(*t));
    yyjson_val *clusters = yyjson_obj_get(view, "clusters"), *o;
    size_t i, n;
    if (!t)
        return;
    top(&p, view);
    if (yyjson_arr_size(clusters) == 0)
        (void)mh_buf_str(b, "\nno cluster yet: kubectl apply -f deploy/samples/cluster.yaml\n");
    yyjson_arr_foreach(clusters, i, n, o)
    {
        cluster(&p, o, t);
    }
    mh_free(t);
}
