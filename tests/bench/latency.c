/* latency.c - times one request against another over one kept-open connection.
 *
 *     latency CA N URL-A URL-B < BODY          (the bearer token is in TOKEN)
 *
 * POSTs BODY N times to each URL, alternating and with the order turned every time, so that both see
 * the same server at the same time. Prints N lines "microseconds-A microseconds-B", from the first byte
 * sent to the last byte of the answer. Any answer but 201 ends it, as does a second connection. */
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WARM_UP 20
#define BODY_MAX 65536

struct mh_answer {
    char text[1024];
    size_t len;
};

static size_t
on_data(char *data, size_t size, size_t n, void *arg)
{
    struct mh_answer *a = arg;
    size_t room = sizeof(a->text) - 1 - a->len, take = n < room ? n : room;
    memcpy(a->text + a->len, data, take);
    a->len += take;
    a->text[a->len] = '\0';
    return size * n;
}

static bool
post(CURL *c, const char *url, bool first, curl_off_t *us)
{
    struct mh_answer answer = { .len = 0 };
    long code = 0, opened = 0;
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &answer);
    CURLcode rc = curl_easy_perform(c);
    if (rc != CURLE_OK) {
        (void)fprintf(stderr, "%s: %s\n", url, curl_easy_strerror(rc));
        return false;
    }
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_getinfo(c, CURLINFO_NUM_CONNECTS, &opened);
    curl_easy_getinfo(c, CURLINFO_TOTAL_TIME_T, us);
    if (code != 201 || (opened && !first)) {
        (void)fprintf(stderr, "%s: HTTP %ld, %ld new connections: %s\n", url, code, opened,
                      answer.text);
        return false;
    }
    return true;
}

static bool
measure(CURL *c, long n, const char *a, const char *b)
{
    for (long i = -WARM_UP; i < n; i++) {
        curl_off_t us_a = 0, us_b = 0;
        bool turned = i & 1, first = i == -WARM_UP;
        if (!post(c, turned ? b : a, first, turned ? &us_b : &us_a) ||
            !post(c, turned ? a : b, false, turned ? &us_a : &us_b))
            return false;
        if (i >= 0)
            (void)printf("%lld %lld\n", (long long)us_a, (long long)us_b);
    }
    return true;
}

int
main(int argc, char **argv)
{
    static char body[BODY_MAX], bearer[4096];
    const char *token = getenv("TOKEN");
    size_t len = fread(body, 1, sizeof(body), stdin);
    if (argc != 5 || !token || len == 0 || len == sizeof(body)) {
        (void)fprintf(stderr, "usage: TOKEN=... latency CA N URL-A URL-B < BODY\n");
        return 2;
    }
    (void)snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s", token);
    CURL *c = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, bearer);
    if (!c || !headers)
        return 1;
    curl_easy_setopt(c, CURLOPT_CAINFO, argv[1]);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)len);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, 20L);
    bool ok = measure(c, strtol(argv[2], NULL, 10), argv[3], argv[4]);
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
    return ok ? 0 : 1;
}
