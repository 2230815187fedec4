/* PostgreSQL and child processes of the test world. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "harness/world_impl.h"

#define REPLY_NS MH_NS_PER_MS

/* --- PostgreSQL ------------------------------------------------------------------------------ */

struct query {
    struct tw *tw;
    struct mh_pg_call *call; /* NULL: cancelled */
    enum mh_code code;
    char *conninfo;
    char *message;
    char sqlstate[6];
    int rows;
    int cols;
    char **values; /* then cols names */
};

static void
free_query(void *arg)
{
    struct query *q = arg;
    for (int i = 0; i < (q->rows + 1) * q->cols; i++)
        free(q->values[i]);
    free(q->values);
    free(q->conninfo);
    free(q->message);
    free(q);
}

static bool
copy_rows(struct query *q, struct mh_pg_call *c)
{
    size_t n = (size_t)(q->rows + 1) * (size_t)q->cols;
    const char **out = mh_arena_alloc(c->arena, (n + 1) * sizeof(*out));
    for (size_t i = 0; out && i < n; i++) {
        out[i] = mh_arena_strdup(c->arena, q->values[i]);
        if (q->values[i] && !out[i])
            return false;
    }
    if (!out)
        return false;
    c->rows = q->rows;
    c->cols = q->cols;
    c->values = out;
    c->names = out + q->rows * q->cols;
    return true;
}

static void
end_query(struct query *q, enum mh_code code, const char *message)
{
    struct mh_pg_call *c = q->call;
    if (c) {
        c->err = (struct mh_err){ 0 };
        mh_str_copy(c->sqlstate, sizeof(c->sqlstate), q->sqlstate);
        if (code != MH_OK)
            (void)mh_fail(&c->err, code, "%s", message);
        else if (!copy_rows(q, c))
            (void)mh_fail(&c->err, MH_E_NOMEM, "no memory for the result");
        c->impl = NULL;
        q->tw->state->open_calls--;
    }
    free_query(q);
    if (c)
        c->done(c);
}

static void
reply(void *arg)
{
    struct query *q = arg;
    end_query(q, q->code, q->message);
}

static void
keep_rows(struct query *q, const struct tw_rows *r)
{
    int n = r->rows * r->cols;
    q->code = r->code;
    q->message = tw_dup(r->message ? r->message : "refused");
    mh_str_copy(q->sqlstate, sizeof(q->sqlstate), r->sqlstate ? r->sqlstate : "");
    q->rows = r->rows;
    q->cols = r->cols;
    q->values = tw_alloc(((size_t)n + (size_t)r->cols + 1) * sizeof(char *));
    for (int i = 0; i < n; i++)
        q->values[i] = r->values[i] ? tw_dup(r->values[i]) : NULL;
    for (int i = 0; i < r->cols; i++)
        q->values[n + i] = tw_dup(r->names ? r->names[i] : "?column?");
}

static void
pg_start(void *self, struct mh_pg_call *c)
{
    struct tw *tw = self;
    struct tw_rows r = { .delay_ns = REPLY_NS };
    int ms = c->timeout_ms > 0 ? c->timeout_ms : 5000;
    c->rows = c->cols = 0;
    c->values = c->names = NULL;
    tw_add(&tw->state->statements, tw_dup(c->sql));
    if (!tw->state->pg || !tw->state->pg(tw, tw->state->pg_arg, c, &r))
        r = (struct tw_rows){ .code = MH_E_UNREACHABLE,
                              .message = "nobody answers",
                              .delay_ns = REPLY_NS };
    if (r.silent || r.delay_ns > ms * MH_NS_PER_MS)
        r = (struct tw_rows){ .code = MH_E_TIMEOUT,
                              .message = "no answer in time",
                              .delay_ns = ms * MH_NS_PER_MS };
    struct query *q = tw_alloc(sizeof(*q));
    *q = (struct query){ .tw = tw, .call = c, .conninfo = tw_dup(c->conninfo) };
    keep_rows(q, &r);
    c->impl = q;
    tw->state->open_calls++;
    (void)tw_later(tw, r.delay_ns, reply, q, free_query);
}

static void
pg_cancel(void *self, struct mh_pg_call *c)
{
    struct query *q = c->impl;
    (void)self;
    if (!q)
        return;
    q->call = NULL;
    q->tw->state->open_calls--;
    c->impl = NULL;
}

static void
pg_disconnect(void *self, const char *conninfo)
{
    struct tw *tw = self;
    for (struct tw_event *e = tw->state->events; e; e = e->next) {
        struct query *q = e->arg;
        if (e->fn == reply && (!conninfo || strcmp(q->conninfo, conninfo) == 0)) {
            q->code = MH_E_UNREACHABLE;
            free(q->message);
            q->message = tw_dup("disconnected");
        }
    }
}

void
tw_pg_on(struct tw *tw, tw_pg_fn fn, void *arg)
{
    tw->state->pg = fn;
    tw->state->pg_arg = arg;
}

int
tw_pg_count(const struct tw *tw, const char *part)
{
    int n = 0;
    for (int i = 0; i < tw->state->statements.len; i++)
        n += strstr(tw->state->statements.items[i], part) != NULL;
    return n;
}

void
tw_pg_init(struct tw *tw)
{
    tw->world.pg = (struct mh_pg){ pg_start, pg_cancel, pg_disconnect, tw };
}

void
tw_pg_free(struct tw *tw)
{
    for (int i = 0; i < tw->state->statements.len; i++)
        free(tw->state->statements.items[i]);
    free(tw->state->statements.items);
}

/* --- processes ------------------------------------------------------------------------------- */

struct life {
    struct tw *tw;
    struct tw_process *process;
    int ignores;
};

struct words {
    struct tw_process *process;
    int fd;
    char *text;
};

static void
free_words(void *arg)
{
    struct words *w = arg;
    free(w->text);
    free(w);
}

static void
say(void *arg)
{
    struct words *w = arg;
    struct tw_process *p = w->process;
    for (char *line = w->text, *next; p->running && line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (p->child->on_line)
            p->child->on_line(p->child, w->fd, line, strlen(line));
    }
    free_words(w);
}

static void
say_later(struct tw *tw, struct tw_process *p, int fd, const char *text)
{
    if (!text || !*text)
        return;
    struct words *w = tw_alloc(sizeof(*w));
    *w = (struct words){ p, fd, tw_dup(text) };
    (void)tw_later(tw, REPLY_NS, say, w, free_words);
}

/* The process's own end, at its time; exit_code was set when that was decided. */
static void
end_process(void *arg)
{
    struct tw_process *p = arg;
    if (!p->running)
        return;
    struct mh_child *c = p->child;
    struct life *l = p->impl;
    p->running = false;
    p->child = NULL;
    c->exit_code = p->exit_code;
    c->impl = NULL;
    l->tw->state->open_calls--;
    if (c->on_exit)
        c->on_exit(c);
}

static void
exit_later(struct tw *tw, struct tw_process *p, int64_t ns, int exit_code)
{
    tw_forget(tw, p);
    p->exit_code = exit_code;
    (void)tw_later(tw, ns, end_process, p, NULL);
}

static char *
command_of(const struct mh_child *c)
{
    size_t n = 1;
    for (int i = 0; c->argv[i]; i++)
        n += strlen(c->argv[i]) + 1;
    char *s = tw_alloc(n);
    for (int i = 0; c->argv[i]; i++) {
        strcat(s, i ? " " : "");
        strcat(s, c->argv[i]);
    }
    return s;
}

static enum mh_code
proc_start(void *self, struct mh_child *c, struct mh_err *err)
{
    struct tw *tw = self;
    struct tw_fate fate = { 0 };
    if (tw->state->proc)
        (void)tw->state->proc(tw, tw->state->proc_arg, c, &fate);
    if (fate.fails != MH_OK)
        return mh_fail(err, fate.fails, "cannot start %s", c->argv[0]);
    struct tw_process *p = tw_alloc(sizeof(*p));
    struct life *l = tw_alloc(sizeof(*l));
    *l = (struct life){ tw, p, fate.ignores };
    *p = (struct tw_process){ .name = c->name ? tw_text(tw, c->name) : "",
                              .command = command_of(c),
                              .input = tw_dup(c->input ? c->input : ""),
                              .at_ns = tw->now_ns,
                              .running = true,
                              .child = c,
                              .impl = l };
    tw_add(&tw->state->processes, p);
    c->pid = 1000 + tw->state->next_pid++;
    c->impl = p;
    tw->state->open_calls++;
    say_later(tw, p, 1, fate.out);
    say_later(tw, p, 2, fate.err_out);
    if (fate.ends)
        exit_later(tw, p, fate.run_ns > REPLY_NS ? fate.run_ns : REPLY_NS, fate.exit_code);
    return MH_OK;
}

static void
proc_kill(void *self, struct mh_child *c, int sig)
{
    struct tw_process *p = c->impl;
    if (!p || !p->running)
        return;
    struct life *l = p->impl;
    if (p->nsignals < 16)
        p->signals[p->nsignals++] = sig;
    if (sig > 0 && sig != SIGHUP && sig != SIGSTOP && sig != SIGCONT &&
        (sig == SIGKILL || !(l->ignores & 1 << sig)))
        exit_later(self, p, REPLY_NS, 128 + sig);
}

void
tw_proc_on(struct tw *tw, tw_proc_fn fn, void *arg)
{
    tw->state->proc = fn;
    tw->state->proc_arg = arg;
}

struct tw_process *
tw_process(const struct tw *tw, const char *part)
{
    for (int i = tw->state->processes.len - 1; i >= 0; i--) {
        struct tw_process *p = tw->state->processes.items[i];
        if (strstr(p->command, part))
            return p;
    }
    return NULL;
}

int
tw_proc_count(const struct tw *tw, const char *part)
{
    int n = 0;
    for (int i = 0; i < tw->state->processes.len; i++)
        n += strstr(((struct tw_process *)tw->state->processes.items[i])->command, part) != NULL;
    return n;
}

void
tw_process_line(struct tw *tw, struct tw_process *p, int fd, const char *line)
{
    say_later(tw, p, fd, line);
}

void
tw_process_exit(struct tw *tw, struct tw_process *p, int exit_code)
{
    if (p->running)
        exit_later(tw, p, REPLY_NS, exit_code);
}

void
tw_proc_init(struct tw *tw)
{
    tw->world.proc = (struct mh_proc){ proc_start, proc_kill, tw };
}

void
tw_proc_free(struct tw *tw)
{
    for (int i = 0; i < tw->state->processes.len; i++) {
        struct tw_process *p = tw->state->processes.items[i];
        free(p->command);
        free(p->input);
        free(p->impl);
        free(p);
    }
    free(tw->state->processes.items);
}
