/* Any bytes as PostgreSQL's CSV log: in pieces and as a whole they give the same records, and each
 * record becomes one line of JSON. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "instance/pglog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
    uint64_t hash;
    int records;
};

static void
add(struct sum *s, const char *text)
{
    for (; *text; text++)
        s->hash = (s->hash ^ (unsigned char)*text) * 1099511628211u;
    s->hash = (s->hash ^ 0xff) * 1099511628211u;
}

static void
on_record(void *arg, const char *const *fields, int nfields, bool cut)
{
    struct sum *s = arg;
    struct mh_buf b;
    if (nfields < 0 || nfields > MH_CSV_FIELDS_MAX)
        abort();
    s->records++;
    s->hash += cut;
    for (int i = 0; i < nfields; i++)
        add(s, fields[i]);
    mh_buf_init(&b, 8 * MH_CSV_RECORD_MAX);
    if (mh_pglog_record(&b, fields, nfields)) {
        struct mh_arena a;
        yyjson_val *v = NULL;
        mh_arena_init(&a, (size_t)64 << 20);
        if (!b.failed && (mh_json_parse(&a, b.data, b.len, &v, NULL) != MH_OK || !yyjson_is_obj(v)))
            abort();
        mh_arena_release(&a);
    }
    mh_buf_release(&b);
}

static struct sum
feed(const char *text, size_t size, size_t piece)
{
    struct mh_csv c;
    struct sum s = { 1469598103934665603u, 0 };
    mh_csv_init(&c, on_record, &s);
    for (size_t at = 0; at < size; at += piece)
        mh_csv_feed(&c, text + at, size - at < piece ? size - at : piece);
    mh_csv_release(&c);
    return s;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536)
        return 0;
    struct sum whole = feed((const char *)data, size, size);
    struct sum pieces = feed((const char *)data, size, 1 + data[0] % 7);
    if (whole.hash != pieces.hash || whole.records != pieces.records)
        abort();
    return 0;
}
