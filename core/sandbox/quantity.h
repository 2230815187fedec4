/* quantity.h - resource quantities ("100m", "1Gi", "1e3") and the formats of OpenAPI strings. */
#ifndef MH_SANDBOX_QUANTITY_H
#define MH_SANDBOX_QUANTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

enum mh_sb_quantity_form { MH_SB_DECIMAL_SI, MH_SB_BINARY_SI, MH_SB_DECIMAL_EXPONENT };

/* value * 10^-9 exactly (nano), saturated; form is kept for printing. */
struct mh_sb_quantity {
    __int128 nano;
    enum mh_sb_quantity_form form;
};

/* False: text is no quantity. */
bool mh_sb_quantity_parse(const char *text, struct mh_sb_quantity *out);
/* -1, 0, 1 */
int mh_sb_quantity_cmp(const struct mh_sb_quantity *a, const struct mh_sb_quantity *b);
/* Rounded up to a whole number, saturated: bytes of a claim, replicas. */
int64_t mh_sb_quantity_value(const struct mh_sb_quantity *q);
/* Rounded up to thousandths: CPU. */
int64_t mh_sb_quantity_milli(const struct mh_sb_quantity *q);
/* The canonical form: 1000m becomes 1, 1024Mi becomes 1Gi. NULL: no memory. */
char *mh_sb_quantity_text(struct mh_arena *a, const struct mh_sb_quantity *q);

/* True if the API server checks this format at all (dashes do not matter). */
bool mh_sb_format_known(const char *format);
/* True if text has this OpenAPI format as the API server checks it (date-time, date, duration,
 * byte, uuid, uri, hostname, ipv4, ipv6, cidr, mac, email, ...); unknown formats are not checked. */
bool mh_sb_format_ok(const char *format, const char *text);

/* A duration as Go writes it ("1h2m3.5s"), in nanoseconds; false: it is none. */
bool mh_sb_duration_parse(const char *text, int64_t *ns);

#endif
