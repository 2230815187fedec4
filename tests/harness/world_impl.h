/* world_impl.h - what the files of the test world share. Own memory comes from the C library, so
 * that injected allocation failures hit only what is tested. */
#ifndef MH_TEST_WORLD_IMPL_H
#define MH_TEST_WORLD_IMPL_H

#include "harness/world.h"

/* Something that is to happen; also what a struct mh_timer is. */
struct tw_event {
    struct tw_event *next;
    int64_t due;
    void (*fn)(void *);
    void *arg;
    void (*drop)(void *); /* frees arg when it never happens */
};

struct tw_list {
    void **items;
    int len;
    int size;
};

struct tw_state {
    struct tw_event *events; /* in the order of their times */
    struct tw_list docs;     /* yyjson documents to free at the end */
    struct tw_list texts;    /* texts to free at the end */
    uint64_t random;
    bool no_random;
    bool abandoned;
    int open_calls;
    /* API */
    struct {
        tw_api_fn fn;
        void *arg;
    } api[8];
    int napi;
    struct tw_list requests;
    struct tw_list objects;
    struct tw_list watches;
    bool mute; /* they are told nothing */
    bool store;
    uint64_t version;
    uint64_t serial;
    /* PostgreSQL, processes, files */
    tw_pg_fn pg;
    void *pg_arg;
    struct tw_list statements;
    tw_proc_fn proc;
    void *proc_arg;
    struct tw_list processes;
    int next_pid;
    struct tw_list files;
    struct tw_list faults;
};

void *tw_alloc(size_t n);
char *tw_text(struct tw *tw, const char *s); /* a copy that lives as long as tw */
char *tw_dup(const char *s);
void tw_add(struct tw_list *l, void *item);
void tw_drop(struct tw_list *l, int i); /* keeps the order */
yyjson_val *tw_parse(struct tw *tw, const char *text, size_t len);
struct tw_event *tw_later(struct tw *tw, int64_t ns, void (*fn)(void *), void *arg,
                          void (*drop)(void *));
/* Takes away all events with this arg; arg itself is not dropped. */
void tw_forget(struct tw *tw, const void *arg);

void tw_api_init(struct tw *tw);
void tw_api_free(struct tw *tw);
void tw_pg_init(struct tw *tw);
void tw_pg_free(struct tw *tw);
void tw_proc_init(struct tw *tw);
void tw_proc_free(struct tw *tw);
void tw_fs_init(struct tw *tw);
void tw_fs_free(struct tw *tw);
/* Of the store (world_store.c). */
bool tw_store_answer(struct tw *tw, const struct tw_request *request, struct tw_answer *answer);
void tw_store_free(struct tw *tw);
/* Schedules an event for the watches that see this object (world_api.c). */
void tw_watch_object(struct tw *tw, const char *object_path, enum mh_watch_kind kind,
                     yyjson_val *object);

/* The parts of a path of the API. */
struct tw_path {
    char prefix[128]; /* "/api/v1", "/apis/apps/v1" */
    char plural[128];
    char ns[128];   /* "" without */
    char name[260]; /* "" for a collection */
    char sub[64];
};
bool tw_path_parse(const char *path, struct tw_path *out);
bool tw_labels_match(const char *query, yyjson_val *object);

#endif
