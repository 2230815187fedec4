#include "operator/pages.h"

#include <link.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <sys/mman.h>
#include <unistd.h>

#include "base/str.h"

static int
drop_segments(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    uintptr_t page = *(uintptr_t *)arg;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        uintptr_t from = (info->dlpi_addr + ph->p_vaddr) & ~(page - 1);
        uintptr_t to = (info->dlpi_addr + ph->p_vaddr + ph->p_memsz) & ~(page - 1);
        if (ph->p_type == PT_LOAD && !(ph->p_flags & PF_W) && to > from)
            madvise((void *)from, to - from, MADV_DONTNEED);
    }
    return 1; /* the program only, not what it has loaded */
}

void
mh_pages_drop(void)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    dl_iterate_phdr(drop_segments, &page);
#ifdef __GLIBC__
    (void)malloc_trim(0); /* musl gives back by itself what it can */
#endif
}

/* The number behind "NAME:" in kB, as bytes. */
static int64_t
field(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    int64_t n = 0;
    if (!at)
        return 0;
    at += strlen(name);
    at += strspn(at, " \t");
    for (; *at >= '0' && *at <= '9'; at++)
        n = n * 10 + (*at - '0');
    return n * 1024;
}

void
mh_pages_resident(const struct mh_fs *fs, int64_t *resident, int64_t *anonymous)
{
    struct mh_arena a;
    char *text;
    size_t len;
    *resident = *anonymous = 0;
    mh_arena_init(&a, (size_t)64 << 10);
    if (fs->read(fs->self, &a, "/proc/self/status", (size_t)32 << 10, &text, &len, NULL) == MH_OK) {
        *resident = field(text, "VmRSS:");
        *anonymous = field(text, "RssAnon:");
    }
    mh_arena_release(&a);
}
