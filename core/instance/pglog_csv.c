#include <string.h>

#include "base/json.h"
#include "instance/pglog.h"

#define FIELD_MAX ((size_t)12 << 10) /* of one text in the output */
#define OBJECT_MAX ((size_t)56 << 10)
#define RUNAWAY_MAX ((size_t)16 << 20)

/* --- CSV -------------------------------------------------------------------------------------- */

void
mh_csv_init(struct mh_csv *c,
            void (*on_record)(void *arg, const char *const *fields, int nfields, bool cut),
            void *arg)
{
    *c = (struct mh_csv){ .on_record = on_record, .arg = arg };
    mh_buf_init(&c->record, MH_CSV_RECORD_MAX);
}

void
mh_csv_release(struct mh_csv *c)
{
    mh_buf_release(&c->record);
}

void
mh_csv_reset(struct mh_csv *c)
{
    mh_buf_reset(&c->record);
    c->nfields = 0;
    c->quoted = c->quote = c->begun = c->cut = false;
    c->eaten = 0;
}

static void
keep(struct mh_csv *c, char ch)
{
    c->begun = true;
    /* One byte for each field's end is left over. */
    if (c->record.len + MH_CSV_FIELDS_MAX + 2 >= c->record.cap || c->record.failed)
        c->cut = true;
    else
        (void)mh_buf_char(&c->record, ch ? ch : '?');
}

static void
end_field(struct mh_csv *c)
{
    if (c->nfields < MH_CSV_FIELDS_MAX) {
        (void)mh_buf_char(&c->record, '\0');
        c->nfields++;
        if (c->nfields < MH_CSV_FIELDS_MAX)
            c->starts[c->nfields] = c->record.len;
    } else {
        c->cut = true;
    }
    c->begun = c->quoted = c->quote = false;
}

static void
end_record(struct mh_csv *c)
{
    const char *fields[MH_CSV_FIELDS_MAX];
    end_field(c);
    bool whole = !c->record.failed;
    for (int i = 0; i < c->nfields; i++)
        fields[i] = c->record.data + c->starts[i];
    bool empty = c->nfields == 1 && whole && !fields[0][0];
    if (whole && !empty && c->on_record)
        c->on_record(c->arg, fields, c->nfields, c->cut);
    mh_csv_reset(c);
    c->starts[0] = 0;
}

static void
plain(struct mh_csv *c, char ch)
{
    if (ch == ',')
        end_field(c);
    else if (ch == '\n')
        end_record(c);
    else if (ch == '"' && !c->begun)
        c->quoted = c->begun = true;
    else if (ch != '\r')
        keep(c, ch);
}

void
mh_csv_feed(struct mh_csv *c, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char ch = p[i];
        if (++c->eaten > RUNAWAY_MAX)
            mh_csv_reset(c);
        if (c->quoted && c->quote) {
            c->quote = false;
            if (ch == '"') {
                keep(c, ch);
                continue;
            }
            c->quoted = false;
            plain(c, ch);
        } else if (c->quoted && ch == '"') {
            c->quote = true;
        } else if (c->quoted) {
            keep(c, ch);
        } else {
            plain(c, ch);
        }
    }
}

/* --- records ---------------------------------------------------------------------------------- */

static const char *const record_keys[] = {
    "log_time",
    "user_name",
    "database_name",
    "process_id",
    "connection_from",
    "session_id",
    "session_line_num",
    "command_tag",
    "session_start_time",
    "virtual_transaction_id",
    "transaction_id",
    "error_severity",
    "sql_state_code",
    "message",
    "detail",
    "hint",
    "internal_query",
    "internal_query_pos",
    "context",
    "query",
    "query_pos",
    "location",
    "application_name",
    "backend_type",
    "leader_pid",
    "query_id",
};
#define KEYS ((int)(sizeof(record_keys) / sizeof(record_keys[0])))
#define KEYS_13 24
#define MESSAGE 13

static const char *const audit_keys[] = { "audit_type",  "statement_id", "substatement_id",
                                          "class",       "command",      "object_type",
                                          "object_name", "statement",    "parameter",
                                          "rows" };
#define AUDIT_KEYS ((int)(sizeof(audit_keys) / sizeof(audit_keys[0])))

/* "key":"value", at most FIELD_MAX bytes of it (not in the middle of a character). */
static void
member(struct mh_buf *out, const char *key, const char *value)
{
    size_t n = strlen(value);
    if (!n)
        return;
    if (out->data[out->len - 1] != '{')
        mh_buf_char(out, ',');
    mh_json_quote(out, key, strlen(key));
    mh_buf_char(out, ':');
    if (n <= FIELD_MAX) {
        mh_json_quote(out, value, n);
        return;
    }
    n = FIELD_MAX;
    while (n > 0 && ((unsigned char)value[n] & 0xc0) == 0x80)
        n--;
    mh_json_quote(out, value, n);
    out->len--; /* the closing quote */
    mh_buf_str(out, "...\"");
}

static void
on_audit(void *arg, const char *const *fields, int nfields, bool cut)
{
    struct mh_buf *out = arg;
    (void)cut;
    if (nfields < AUDIT_KEYS - 1 || nfields > AUDIT_KEYS || out->len)
        return;
    mh_buf_char(out, '{');
    for (int i = 0; i < nfields; i++)
        member(out, audit_keys[i], fields[i]);
    mh_buf_char(out, '}');
}

/* The object of an audit message; false if it is none after all. */
static bool
audit_object(struct mh_buf *out, const char *message)
{
    static const char head[] = "AUDIT: ";
    struct mh_csv c;
    if (strncmp(message, head, sizeof(head) - 1) != 0)
        return false;
    mh_csv_init(&c, on_audit, out);
    mh_csv_feed(&c, message + sizeof(head) - 1, strlen(message) - sizeof(head) + 1);
    mh_csv_feed(&c, "\n", 1);
    mh_csv_release(&c);
    return out->len > 0 && !out->failed;
}

static bool
object(struct mh_buf *out, const char *const *fields, int nfields, const struct mh_buf *audit)
{
    size_t from = out->len;
    mh_buf_char(out, '{');
    for (int i = 0; i < nfields; i++) {
        if (i != MESSAGE || !audit->len)
            member(out, record_keys[i], fields[i]);
    }
    if (audit->len) {
        mh_buf_str(out, out->data && out->data[out->len - 1] == '{' ? "\"audit\":" : ",\"audit\":");
        mh_buf_add(out, audit->data, audit->len);
    }
    return mh_buf_char(out, '}') && out->len - from <= OBJECT_MAX;
}

const char *
mh_pglog_record(struct mh_buf *out, const char *const *fields, int nfields)
{
    struct mh_buf audit;
    const char *logger = NULL;
    if (nfields < KEYS_13 - 1 || nfields > KEYS)
        return NULL;
    mh_buf_init(&audit, OBJECT_MAX);
    if (!audit_object(&audit, fields[MESSAGE]))
        mh_buf_reset(&audit);
    size_t before = out->len;
    if (object(out, fields, nfields, &audit)) {
        logger = audit.len ? "pgaudit" : "postgres";
    } else { /* too much in all: the texts around the message go first */
        const char *less[sizeof(record_keys) / sizeof(record_keys[0])];
        for (int i = 0; i < nfields; i++)
            less[i] = i < 14 || i > 20 ? fields[i] : "";
        out->failed = false;
        out->len = before;
        if (object(out, less, nfields, &audit))
            logger = audit.len ? "pgaudit" : "postgres";
    }
    mh_buf_release(&audit);
    return logger;
}
