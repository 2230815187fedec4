#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/test.h"
#include "io/file.h"

static char dir[64];
static char path[128];

static const char *
in_dir(const char *name)
{
    if (!dir[0]) {
        strcpy(dir, "/tmp/mh-file-XXXXXX");
        CHECK(mkdtemp(dir) != NULL);
    }
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

TEST(what_is_written_is_read_back_with_its_mode)
{
    struct mh_fs fs = mh_fs_real();
    struct mh_arena a;
    mh_arena_init(&a, 1 << 20);
    struct mh_err err = { 0 };
    bool changed = false;
    char *text = NULL;
    size_t len = 0;
    umask(077);
    CHECK(fs.write(fs.self, in_dir("a"), "h\0i", 3, 0644, true, &changed, &err) == MH_OK &&
          changed);
    CHECK(fs.read(fs.self, &a, path, 3, &text, &len, &err) == MH_OK);
    CHECK(len == 3 && memcmp(text, "h\0i\0", 4) == 0);
    struct stat st;
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0644);
    ino_t ino = st.st_ino;
    CHECK(fs.write(fs.self, path, "h\0i", 3, 0644, true, &changed, &err) == MH_OK && !changed);
    CHECK(stat(path, &st) == 0 && st.st_ino == ino); /* equal content is not written */
    CHECK(fs.write(fs.self, path, "ho!", 3, 0644, false, &changed, &err) == MH_OK && changed);
    CHECK(stat(path, &st) == 0 && st.st_ino != ino); /* a new file took its place */
    CHECK(fs.read(fs.self, &a, path, 2, &text, &len, &err) == MH_E_LIMIT);
    CHECK(fs.exists(fs.self, path));
    CHECK(fs.remove(fs.self, path, &err) == MH_OK && fs.remove(fs.self, path, &err) == MH_OK);
    CHECK(!fs.exists(fs.self, path));
    CHECK(fs.read(fs.self, &a, path, 2, &text, &len, &err) == MH_E_NOTFOUND);
    CHECK(strstr(err.msg, path) != NULL);
    mh_arena_release(&a);
}

TEST(files_of_proc_are_read_though_they_say_size_0)
{
    struct mh_fs fs = mh_fs_real();
    struct mh_arena a;
    mh_arena_init(&a, 1 << 20);
    char *text = NULL;
    size_t len = 0;
    CHECK(fs.read(fs.self, &a, "/proc/self/smaps", 1 << 19, &text, &len, NULL) == MH_OK);
    CHECK(len > 4096 && strlen(text) == len);
    CHECK(fs.read(fs.self, &a, "/proc/self/smaps", 100, &text, &len, NULL) == MH_E_LIMIT);
    CHECK(fs.read(fs.self, &a, "/proc", 100, &text, &len, NULL) == MH_E_IO);
    mh_arena_release(&a);
}

TEST(folders_are_made_with_their_parents_and_may_be_there)
{
    struct mh_fs fs = mh_fs_real();
    struct mh_err err = { 0 };
    struct stat st;
    CHECK(fs.mkdir(fs.self, in_dir("x/y/z"), 0700, &err) == MH_OK);
    CHECK(fs.mkdir(fs.self, path, 0700, &err) == MH_OK);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0700);
    CHECK(fs.write(fs.self, in_dir("x/f"), "", 0, 0600, false, NULL, &err) == MH_OK);
    CHECK(fs.mkdir(fs.self, path, 0700, &err) == MH_E_IO);
    CHECK(fs.rename(fs.self, path, "/tmp/no/such/folder", &err) == MH_E_NOTFOUND);
    CHECK(fs.write(fs.self, "/tmp/no/such/folder", "", 0, 0600, false, NULL, &err) ==
          MH_E_NOTFOUND);
    char from[128];
    strcpy(from, path);
    CHECK(fs.rename(fs.self, from, in_dir("x/g"), &err) == MH_OK);
    CHECK(fs.exists(fs.self, path) && !fs.exists(fs.self, from));
    CHECK(fs.remove(fs.self, path, &err) == MH_OK);
    CHECK(fs.remove(fs.self, in_dir("x/y/z"), &err) == MH_OK);
    CHECK(fs.remove(fs.self, in_dir("x/y"), &err) == MH_OK);
    CHECK(fs.remove(fs.self, in_dir("x"), &err) == MH_OK);
}

TEST(random_bytes_differ)
{
    struct mh_rand r = mh_rand_real();
    unsigned char a[32] = { 0 };
    unsigned char b[32] = { 0 };
    CHECK(r.fill(r.self, a, sizeof(a)) && r.fill(r.self, b, sizeof(b)));
    CHECK(memcmp(a, b, sizeof(a)) != 0);
    rmdir(dir);
}
