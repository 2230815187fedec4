/* plugin_guard.h - between plugin_guard.c, plugin_wish.c, plugin_plan.c, plugin_sql.c, plugin_secret.c. */
#ifndef MH_OPERATOR_PLUGIN_GUARD_H
#define MH_OPERATOR_PLUGIN_GUARD_H

#include "net/http_client.h"
#include "operator/plugin_in.h"

/* A call that the guard answers itself: refused, SQL, or a Secret with values that are looked up. */
struct mh_guarded {
    struct mh_plugin_work *work;
    struct mh_guarded *next;
    struct mh_api_call *call; /* the caller's */
    struct mh_timer *timer;   /* the answer comes from the loop */
    struct mh_arena arena;
    struct mh_api_call read; /* the Secret of a password, or of a handle */
    bool reading;
    struct mh_plugin_fill *fill; /* plugin_secret.c */
    struct mh_api_call write;
    bool writing;
    struct mh_http_call http; /* to the instance manager */
    struct mh_http_tls tls;
    bool posting;
    yyjson_val *how; /* the body that came */
};

/* SQL as what `how` asks for. */
enum mh_code mh_plugin_may_sql(const struct mh_plugin *p, const struct mh_plugin_text *t,
                               yyjson_val *how, const char *own_ns, struct mh_err *err);
/* Carries out g->call; mh_plugin_guarded_done follows, maybe from inside. */
void mh_plugin_sql_start(struct mh_guarded *g);
void mh_plugin_sql_cancel(struct mh_guarded *g);
/* The answer is in g->call: its done comes from the loop. */
void mh_plugin_guarded_done(struct mh_guarded *g);

#endif
