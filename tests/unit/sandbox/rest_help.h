/* rest_help.h - for the tests of store and REST: an API server on the test world's clock, and
 * requests to it in one line. */
#ifndef MH_TEST_SANDBOX_REST_HELP_H
#define MH_TEST_SANDBOX_REST_HELP_H

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "harness/test.h"
#include "harness/world.h"
#include "sandbox/rest.h"

struct rig {
    struct tw *tw;
    struct mh_sb_api *api;
    struct mh_arena arena;
    int status; /* of the last request */
    yyjson_val *reply;
    const char *text;
    struct mh_sb_req req;
    const char *user;
    const char *content_type;
    const char *accept;
};

static inline void
rig_done(struct mh_sb_req *req)
{
    struct rig *rig = req->arg;
    rig->status = req->status;
}

static inline void
rig_open(struct rig *rig, const char *dir)
{
    struct mh_err err = { 0 };
    *rig = (struct rig){ .tw = tw_new(1), .user = "tester" };
    mh_arena_init(&rig->arena, (size_t)1 << 30);
    rig->api = mh_sb_api_new(&(struct mh_sb_config){ .clock = rig->tw->world.clock,
                                                     .rand = rig->tw->world.rand,
                                                     .data_dir = dir,
                                                     .address = "127.1.0.1:6443" },
                             &err);
    if (!rig->api)
        printf("# %s\n", err.msg);
}

static inline void
rig_close(struct rig *rig)
{
    mh_sb_api_free(rig->api);
    mh_arena_release(&rig->arena);
    tw_free(rig->tw);
}

/* One request; the answer is parsed (NULL if it is no JSON). */
static inline yyjson_val *
ask(struct rig *rig, const char *method, const char *path, const char *body)
{
    struct mh_err err;
    rig->status = 0;
    rig->req = (struct mh_sb_req){ .user = rig->user,
                                   .method = method,
                                   .path = path,
                                   .content_type = rig->content_type,
                                   .accept = rig->accept,
                                   .user_agent = "test/1.0",
                                   .body = body,
                                   .body_len = body ? strlen(body) : 0,
                                   .arena = &rig->arena,
                                   .done = rig_done,
                                   .arg = rig };
    mh_sb_serve(rig->api, &rig->req);
    for (int i = 0; i < 100 && !rig->status; i++)
        tw_advance(rig->tw, 1000000);
    rig->reply = NULL;
    rig->text = rig->req.reply;
    if (rig->req.reply_len)
        (void)mh_json_parse(&rig->arena, rig->req.reply, rig->req.reply_len, &rig->reply, &err);
    return rig->reply;
}

static inline yyjson_val *
patch(struct rig *rig, const char *type, const char *path, const char *body)
{
    rig->content_type = type;
    yyjson_val *reply = ask(rig, "PATCH", path, body);
    rig->content_type = NULL;
    return reply;
}

/* The text at "a.b.c" of the last reply; NULL: none. */
static inline const char *
got(struct rig *rig, const char *path)
{
    yyjson_val *v = rig->reply;
    while (v && *path) {
        size_t n = strcspn(path, ".");
        v = yyjson_is_arr(v) ? yyjson_arr_get(v, (size_t)atoi(path)) : yyjson_obj_getn(v, path, n);
        path += n + (path[n] == '.');
    }
    return yyjson_is_str(v) ? yyjson_get_str(v) : v ? mh_json_text(&rig->arena, v, NULL) : NULL;
}

/* A watch that remembers its lines as "TYPE name". */
struct lines {
    struct rig *rig;
    struct mh_sb_watch *watch;
    char seen[4096]; /* "ADDED a,MODIFIED a," */
    char last[8192];
    int n;
    bool ended;
};

static inline void
lines_on_line(void *arg, const char *text, size_t len)
{
    struct lines *l = arg;
    struct mh_err err;
    struct mh_arena a;
    yyjson_val *v = NULL;
    mh_arena_init(&a, (size_t)64 << 20);
    (void)mh_json_parse(&a, text, len, &v, &err);
    const char *name = mh_json_str(v, "object", "metadata", "name", NULL);
    const char *type = mh_json_str(v, "type", NULL);
    size_t at = strlen(l->seen);
    snprintf(l->seen + at, sizeof(l->seen) - at, "%s%s%s,", type ? type : "?", name ? " " : "",
             name ? name : "");
    snprintf(l->last, sizeof(l->last), "%.*s", (int)len, text);
    l->n++;
    mh_arena_release(&a);
}

static inline void
lines_on_end(void *arg)
{
    struct lines *l = arg;
    l->ended = true;
}

static inline void
watch_open(struct rig *rig, struct lines *l, const char *path)
{
    *l = (struct lines){ .rig = rig };
    struct mh_sb_req req = { .user = rig->user,
                             .method = "GET",
                             .path = path,
                             .accept = rig->accept,
                             .arena = &rig->arena };
    l->watch = mh_sb_watch_open(rig->api, &req,
                                &(struct mh_sb_watch_to){ lines_on_line, lines_on_end, l });
    rig->status = req.status;
    rig->text = req.reply;
}

/* What was seen since the last time. */
static inline const char *
seen(struct lines *l)
{
    static char text[sizeof(l->seen)];
    tw_settle(l->rig->tw);
    memcpy(text, l->seen, sizeof(text));
    l->seen[0] = '\0';
    return text;
}

#endif
