/* Any text as a position in the WAL: what is taken comes back as the same number. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[64], back[MH_LSN_TEXT];
    uint64_t lsn = 0, again = 1;
    if (size >= sizeof(text))
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (!mh_lsn_parse(text, &lsn))
        return 0;
    mh_lsn_text(back, lsn);
    if (!mh_lsn_parse(back, &again) || again != lsn)
        abort();
    for (const char *p = text; *p; p++)
        if (!strchr("0123456789abcdefABCDEF/", *p))
            abort();
    return 0;
}
