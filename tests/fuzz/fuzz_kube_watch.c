/* Any bytes as the stream of a watch: in pieces and as a whole they give the same events, and the
 * version that is resumed from is one that was seen. The decoder is taken from its own file. */
#include <stdlib.h>

#include "../../core/kube/watch.c"
#include "io/file.h"
#include "io/loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t hash;
    int events;
    bool need_list;
    char version[VERSION_SIZE];
};

static void
on_event(void *arg, enum mh_watch_kind kind, yyjson_val *object)
{
    struct seen *s = arg;
    const char *name = mh_json_str(object, "metadata", "name", NULL);
    if (kind != MH_WATCH_LOST && !object)
        abort();
    s->events++;
    s->hash = (s->hash ^ (uint64_t)kind) * 1099511628211u;
    for (; name && *name; name++)
        s->hash = (s->hash ^ (unsigned char)*name) * 1099511628211u;
}

static struct mh_kube *
fake_kube(void)
{
    static struct mh_kube kube;
    if (!kube.base) {
        mh_log_set_fd(-1);
        kube.base = mh_loop_new();
        kube.http = kube.base ? mh_http_new(kube.base) : NULL;
        kube.clock = mh_clock_real(kube.base);
        kube.rand = mh_rand_real();
        if (!kube.http || !kube.clock.self)
            abort();
    }
    return &kube;
}

static struct seen
feed(const char *text, size_t size, size_t piece)
{
    struct seen s = { .hash = 1469598103934665603u };
    struct mh_watch *w = mh_calloc(1, sizeof(*w));
    if (!w)
        abort();
    w->kube = fake_kube();
    w->spec = (struct mh_watch_spec){ .path = "/api/v1/pods", .on_event = on_event, .arg = &s };
    w->path = mh_strdup(w->spec.path);
    w->backoff_ms = BACKOFF_MIN;
    w->http.arg = w;
    mh_arena_init(&w->arena, PAGE_ARENA);
    mh_buf_init(&w->line, LINE_MAX_);
    w->timer = event_new(w->kube->base, -1, 0, on_timer, w);
    for (size_t at = 0; at < size && !w->broken; at += piece)
        on_data(&w->http, text + at, size - at < piece ? size - at : piece);
    s.need_list = w->need_list;
    mh_str_copy(s.version, sizeof(s.version), w->version);
    free_watch(w);
    return s;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536)
        return 0;
    struct seen whole = feed((const char *)data, size, size);
    struct seen pieces = feed((const char *)data, size, 1 + data[0] % 31);
    if (whole.hash != pieces.hash || whole.events != pieces.events ||
        whole.need_list != pieces.need_list || strcmp(whole.version, pieces.version) != 0)
        abort();
    return 0;
}
