/* plugin_tell.c - what authors of plugins are told: annotations and events of their ConfigMaps. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "operator/plugin_in.h"

#define TEXT_MAX ((size_t)64 << 10)

const char *const mh_plugin_states[MH_PLUGIN_STATES] = { "Received", "Checked",   "Tested",
                                                         "Granted",  "Replayed",  "Active",
                                                         "Rejected", "RolledBack" };

/* --- annotations ---------------------------------------------------------------------------------- */

static void
add_state(struct mh_buf *b, const struct mh_plugin *q)
{
    (void)mh_buf_printf(b, "{\"state\":\"%s\",\"hash\":\"%s\",", mh_plugin_states[q->state],
                        q->latest->hash);
    if (q->active)
        (void)mh_buf_printf(b, "\"kind\":\"%s.%s\",\"active\":\"%s\",", q->active->kind,
                            q->active->group, q->active->hash);
    (void)mh_buf_str(b, "\"message\":");
    (void)mh_json_quote(b, q->message, strlen(q->message));
    (void)mh_buf_char(b, '}');
}

/* An object of all keys of p's ConfigMap; false: there are none, or no room. */
static bool
of_all_keys(const struct mh_plugin *p, bool reports, struct mh_buf *b)
{
    bool any = false;
    mh_buf_init(b, TEXT_MAX);
    (void)mh_buf_char(b, '{');
    for (const struct mh_plugin *q = p->all->first; q; q = q->next) {
        if (!q->latest || !mh_str_eq(q->ns, p->ns) || !mh_str_eq(q->name, p->name) ||
            (reports && !q->report))
            continue;
        (void)mh_buf_str(b, any ? "," : "");
        any = true;
        (void)mh_json_quote(b, q->key, strlen(q->key));
        (void)mh_buf_char(b, ':');
        if (reports)
            (void)mh_buf_str(b, q->report);
        else
            add_state(b, q);
    }
    (void)mh_buf_char(b, '}');
    return any && !b->failed;
}

static void
annotate(struct mh_plugin *p, const char *reason, const char *note)
{
    struct mh_buf states, reports;
    bool bad = p->state == MH_PLUGIN_REJECTED || p->state == MH_PLUGIN_ROLLED_BACK;
    bool ok = of_all_keys(p, false, &states);
    struct mh_policy_news news = { .namespace = p->ns,
                                   .name = p->name,
                                   .uid = *p->uid ? p->uid : NULL,
                                   .annotation = mh_buf_text(&states),
                                   .event_type = !reason ? NULL
                                                 : bad   ? "Warning"
                                                         : "Normal",
                                   .reason = reason,
                                   .note = note };
    if (of_all_keys(p, true, &reports))
        news.report = mh_buf_text(&reports);
    if (ok && p->all->writer)
        mh_policy_writer_news(p->all->writer, &news);
    mh_buf_release(&states);
    mh_buf_release(&reports);
}

void
mh_plugin_say(struct mh_plugin *p, enum mh_plugin_state state, const char *reason, const char *fmt,
              ...)
{
    char told[sizeof(p->told)], note[sizeof(p->message) + 120], event[sizeof(p->event)];
    va_list ap;
    p->state = state;
    mh_plugins_count(p->all);
    va_start(ap, fmt);
    (void)vsnprintf(p->message, sizeof(p->message), fmt, ap);
    va_end(ap);
    (void)snprintf(told, sizeof(told), "%d %s %.580s", (int)state, p->latest->hash, p->message);
    (void)snprintf(event, sizeof(event), "%.40s %s", reason ? reason : "", p->latest->hash);
    bool news = reason && strcmp(told, p->told) != 0;
    bool again = state == MH_PLUGIN_REPLAYED && strcmp(event, p->event) == 0; /* only a count */
    enum mh_log_level level = state >= MH_PLUGIN_REJECTED ? MH_LOG_WARNING : MH_LOG_INFO;
    mh_log(news && !again ? level : MH_LOG_DEBUG, "plugin", "state of a plugin", "namespace", p->ns,
           "name", p->name, "key", p->key, "state", mh_plugin_states[state], "hash",
           p->latest->hash, "note", p->message);
    if (!news) /* said before, or on its way and not worth a write */
        return;
    if (state == MH_PLUGIN_REJECTED)
        mh_plugins_add(p->all, "rejections", 1);
    mh_str_copy(p->told, sizeof(p->told), told);
    mh_str_copy(p->event, sizeof(p->event), event);
    (void)snprintf(note, sizeof(note), "%.100s: %s", p->key, p->message);
    annotate(p, again ? NULL : reason, note);
}

/* --- while it waits -------------------------------------------------------------------------------- */

void
mh_plugin_say_waiting(struct mh_plugin *p)
{
    char sentence[360], rest[60] = "";
    const char *hash = p->latest->hash;
    if (p->active)
        (void)snprintf(rest, sizeof(rest), "; version %s stays in charge", p->active->hash);
    switch (p->rollout) {
    case MH_ROLLOUT_SHADOW:
        mh_plugin_shade_sentence(p, sentence, sizeof(sentence));
        mh_plugin_say(p, MH_PLUGIN_REPLAYED, "PluginInShadow",
                      "runs in the shadow and does nothing%s%s", sentence, rest);
        return;
    case MH_ROLLOUT_BAD:
        mh_plugin_say(p, MH_PLUGIN_REJECTED, "PluginRejected",
                      "annotation " MH_POLICY_ROLLOUT ": want auto, manual or shadow%s", rest);
        return;
    case MH_ROLLOUT_AUTO:
    case MH_ROLLOUT_MANUAL:
        break;
    }
    mh_plugin_replay_sentence(&p->trial->replay, sentence, sizeof(sentence));
    mh_plugin_say(p, MH_PLUGIN_REPLAYED, "PluginWaits",
                  "waits until annotation " MH_POLICY_APPROVE " names %s%s%s", hash, sentence,
                  rest);
}

/* --- the report ------------------------------------------------------------------------------------ */

/* {"hash","life":{"Received":"TIME","Checked":MS,...},"cases","replay","inputs","differ","failed"} */
void
mh_plugin_report(struct mh_plugin_trial *t, enum mh_plugin_state end)
{
    struct mh_plugin *p = t->plugin;
    struct mh_clock *clock = &p->all->clock;
    int64_t now = clock->mono_ns(clock->self) / 1000, began = t->at_us[MH_PLUGIN_RECEIVED];
    char at[MH_TIME_TEXT], sentence[360];
    struct mh_buf b;
    mh_buf_init(&b, TEXT_MAX / 4);
    mh_time_rfc3339_micro(at, clock->wall_us(clock->self) - (now - began));
    (void)mh_buf_printf(&b, "{\"hash\":\"%s\",\"life\":{\"Received\":\"%s\"", t->text->hash, at);
    t->at_us[end] = now;
    for (int i = MH_PLUGIN_CHECKED; i < MH_PLUGIN_STATES; i++)
        if (t->at_us[i])
            (void)mh_buf_printf(&b, ",\"%s\":%.1f", mh_plugin_states[i],
                                (double)(t->at_us[i] - began) / 1000);
    (void)mh_buf_printf(&b, "},\"cases\":%zu", t->cases.at);
    if (t->at_us[MH_PLUGIN_REPLAYED]) {
        mh_plugin_replay_sentence(&t->replay, sentence, sizeof(sentence));
        (void)mh_buf_str(&b, ",\"replay\":");
        const char *text = *sentence ? sentence + 2 : "there are no recorded passes";
        (void)mh_json_quote(&b, text, strlen(text));
        (void)mh_buf_printf(&b, ",\"inputs\":%u,\"differ\":%u,\"failed\":%u", t->replay.replayed,
                            t->replay.differ, t->replay.failed);
    }
    (void)mh_buf_char(&b, '}');
    mh_free(p->report);
    p->report = b.failed ? NULL : mh_strdup(mh_buf_text(&b));
    mh_buf_release(&b);
}
