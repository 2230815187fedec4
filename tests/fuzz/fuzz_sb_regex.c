/* The first line is a pattern, the rest a text: a match lies in the text, and a literal pattern is
 * found where it stands. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mh_arena a;
    struct mh_sb_regex *re = NULL;
    const char *text = (const char *)data;
    size_t from = 0;
    size_t to = 0;
    const char *newline = size < 4096 ? memchr(text, '\n', size) : NULL;
    if (!newline)
        return 0;
    size_t n = (size_t)(newline - text);
    size_t len = size - n - 1;
    mh_arena_init(&a, (size_t)64 << 20);
    if (mh_sb_regex_compile(&a, text, n, &re, NULL) == MH_OK) {
        bool yes = mh_sb_regex_find(re, newline + 1, len, 0, &from, &to);
        if (yes && (from > to || to > len))
            abort();
        if (yes != mh_sb_regex_find(re, newline + 1, len, 0, NULL, NULL))
            abort();
        bool plain = n > 0;
        for (size_t i = 0; i < n; i++)
            plain = plain && ((text[i] >= 'a' && text[i] <= 'z') || text[i] == ' ');
        if (plain) {
            const char *at = memmem(newline + 1, len, text, n);
            if ((at != NULL) != yes || (at && (size_t)(at - newline - 1) != from))
                abort();
        }
    }
    mh_arena_release(&a);
    return 0;
}
