/* stream.c - reads a stream of status lines and says when each line arrived.
 *
 *     stream CERT KEY URL
 *
 * Opens URL with the client certificate, again and again for 20 s while the instance does not let it in;
 * prints "open" then, and for each line "microseconds LINE" (wall clock at the arrival of its end). */
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TRIES 4000
#define LINE_MAX_BYTES 65536

struct mh_lines {
    CURL *curl;
    bool open;
    size_t len;
    char text[LINE_MAX_BYTES];
};

static long long
now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static size_t
on_data(char *data, size_t size, size_t n, void *arg)
{
    struct mh_lines *l = arg;
    long long at = now_us();
    long code = 0;
    curl_easy_getinfo(l->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code != 200)
        return size * n;
    if (!l->open)
        (void)puts("open");
    l->open = true;
    for (size_t i = 0; i < n; i++) {
        if (data[i] == '\n') {
            (void)printf("%lld %.*s\n", at, (int)l->len, l->text);
            l->len = 0;
        } else if (l->len < sizeof(l->text)) {
            l->text[l->len++] = data[i];
        }
    }
    (void)fflush(stdout);
    return size * n;
}

int
main(int argc, char **argv)
{
    static struct mh_lines lines;
    if (argc != 4)
        return 2;
    CURL *c = lines.curl = curl_easy_init();
    if (!c)
        return 1;
    curl_easy_setopt(c, CURLOPT_SSLCERT, argv[1]);
    curl_easy_setopt(c, CURLOPT_SSLKEY, argv[2]);
    curl_easy_setopt(c, CURLOPT_URL, argv[3]);
    /* Whose pod it is, is not what is measured. */
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &lines);
    for (int i = 0; i < TRIES && !lines.open; i++) {
        CURLcode rc = curl_easy_perform(c);
        if (rc != CURLE_OK && !lines.open)
            (void)fprintf(stderr, "%s\n", curl_easy_strerror(rc));
        (void)usleep(5000);
    }
    curl_easy_cleanup(c);
    return lines.open ? 0 : 1;
}
