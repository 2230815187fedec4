/* stale.c - reads that are answered from the past, as a lagging API server would. */
#include <string.h>

#include "base/str.h"
#include "sandbox/serve_in.h"

struct stale {
    int status;
    size_t len;
    char type[64];
    char text[];
};

static char *
key_of(struct door_req *r)
{
    return mh_arena_printf(&r->arena, "%s %s %s", r->who.user, r->req.accept ? r->req.accept : "",
                           r->req.path);
}

/* The first answer goes out and stays. */
static void
keep_done(struct mh_sb_req *req)
{
    struct door_req *r = req->arg;
    char *key = key_of(r);
    struct stale *s =
        req->status == 200 && req->reply ? mh_malloc(sizeof(*s) + req->reply_len) : NULL;
    void *old = NULL;
    if (s && key) {
        s->status = req->status;
        s->len = req->reply_len;
        mh_str_copy(s->type, sizeof(s->type), req->reply_type ? req->reply_type : "");
        memcpy(s->text, req->reply, req->reply_len);
        if (!mh_map_put(&r->door->stale, key, s, &old))
            mh_free(s);
        mh_free(old);
    } else {
        mh_free(s);
    }
    req->done = mh_sb_door_done;
    mh_sb_door_done(req);
}

bool
mh_sb_stale_answer(struct door_req *r)
{
    char *key = key_of(r);
    const struct stale *s = key ? mh_map_get(&r->door->stale, key) : NULL;
    if (!s) {
        r->req.done = keep_done;
        return false;
    }
    char *copy = mh_arena_alloc(&r->arena, s->len + 1);
    if (!copy)
        return false;
    memcpy(copy, s->text, s->len);
    r->req.status = s->status;
    r->req.reply = copy;
    r->req.reply_len = s->len;
    r->req.reply_type = mh_arena_strdup(&r->arena, s->type);
    mh_sb_door_done(&r->req);
    return true;
}

void
mh_sb_stale_forget(struct mh_sb_door *d)
{
    for (size_t i = 0; i < d->stale.len; i++)
        mh_free(d->stale.entries[i].value);
    mh_map_release(&d->stale);
    mh_map_init(&d->stale, 4096);
}
