/* The options of a curl handle, from a call. */
#include <string.h>

#include "net/http_client_impl.h"
#include "net/sock.h"

#define CONNECT_MS 5000

static size_t
give_body(char *out, size_t size, size_t n, void *arg)
{
    struct mh_xfer *x = arg;
    if (!x->call)
        return CURL_READFUNC_ABORT;
    n *= size;
    size_t left = x->call->body_len - x->sent;
    n = left < n ? left : n;
    if (n)
        memcpy(out, x->call->body + x->sent, n);
    x->sent += n;
    return n;
}

static int
seek_body(void *arg, curl_off_t to, int origin)
{
    struct mh_xfer *x = arg;
    if (!x->call || origin != SEEK_SET || to < 0 || (size_t)to > x->call->body_len)
        return CURL_SEEKFUNC_CANTSEEK;
    x->sent = (size_t)to;
    return CURL_SEEKFUNC_OK;
}

static int
on_connect(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    (void)purpose;
    mh_sock_watch((int)fd);
    ((struct mh_http *)arg)->connections++;
    return CURL_SOCKOPT_OK;
}

static bool
add_header(struct mh_xfer *x, const char *text)
{
    struct curl_slist *l = curl_slist_append(x->headers, text);
    if (l)
        x->headers = l;
    return l != NULL;
}

static bool
set_headers(struct mh_xfer *x)
{
    struct mh_http_call *c = x->call;
    struct mh_arena a;
    mh_arena_init(&a, 4096);
    bool ok = add_header(x, "Expect:");
    if (c->content_type) {
        char *line = mh_arena_printf(&a, "Content-Type: %s", c->content_type);
        ok = ok && line && add_header(x, line);
    }
    for (const char *const *h = c->headers; ok && h && *h; h++)
        ok = add_header(x, *h);
    mh_arena_release(&a);
    return ok && curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->headers) == CURLE_OK;
}

/* The url with the name that the certificate has, connected to where the url says. */
static bool
set_url_as(struct mh_xfer *x, const char *name)
{
    char *host = NULL;
    char *port = NULL;
    char *url = NULL;
    CURLU *u = curl_url();
    struct mh_arena a;
    mh_arena_init(&a, 4096);
    CURLUcode parsed = u ? curl_url_set(u, CURLUPART_URL, x->call->url, 0) : CURLUE_OUT_OF_MEMORY;
    if (parsed != CURLUE_OK && parsed != CURLUE_OUT_OF_MEMORY)
        x->result = CURLE_URL_MALFORMAT;
    bool ok = parsed == CURLUE_OK && curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
              curl_url_set(u, CURLUPART_HOST, name, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_URL, &url, 0) == CURLUE_OK;
    char *to = ok ? mh_arena_printf(&a, "%s:%s:%s:%s", name, port, host, port) : NULL;
    x->connect_to = to ? curl_slist_append(NULL, to) : NULL;
    ok = x->connect_to && curl_easy_setopt(x->easy, CURLOPT_URL, url) == CURLE_OK &&
         curl_easy_setopt(x->easy, CURLOPT_CONNECT_TO, x->connect_to) == CURLE_OK;
    mh_arena_release(&a);
    curl_free(host);
    curl_free(port);
    curl_free(url);
    curl_url_cleanup(u);
    return ok;
}

static bool
set_blob(CURL *e, CURLoption option, const char *pem)
{
    struct curl_blob blob = { (void *)(uintptr_t)pem, strlen(pem), CURL_BLOB_COPY };
    return curl_easy_setopt(e, option, &blob) == CURLE_OK;
}

static bool
set_tls(CURL *e, const struct mh_http_tls *t)
{
    bool ok = true;
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (!t)
        return true;
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, t->insecure ? 0L : 1L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, t->insecure || t->any_name ? 0L : 2L);
    if (t->ca_pem)
        ok = ok && set_blob(e, CURLOPT_CAINFO_BLOB, t->ca_pem);
    else if (t->ca_file)
        ok = ok && curl_easy_setopt(e, CURLOPT_CAINFO, t->ca_file) == CURLE_OK;
    if (t->ca_pem || t->ca_file) /* these and nobody else */
        curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    if (t->cert_pem)
        ok = ok && set_blob(e, CURLOPT_SSLCERT_BLOB, t->cert_pem);
    else if (t->cert_file)
        ok = ok && curl_easy_setopt(e, CURLOPT_SSLCERT, t->cert_file) == CURLE_OK;
    if (t->key_pem)
        ok = ok && set_blob(e, CURLOPT_SSLKEY_BLOB, t->key_pem);
    else if (t->key_file)
        ok = ok && curl_easy_setopt(e, CURLOPT_SSLKEY, t->key_file) == CURLE_OK;
    return ok;
}

static bool
set_method(struct mh_xfer *x)
{
    struct mh_http_call *c = x->call;
    CURL *e = x->easy;
    if (c->body || (strcmp(c->method, "GET") != 0 && strcmp(c->method, "HEAD") != 0 &&
                    strcmp(c->method, "DELETE") != 0)) {
        curl_easy_setopt(e, CURLOPT_POST, 1L);
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body_len);
        curl_easy_setopt(e, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(e, CURLOPT_READDATA, x);
        curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, seek_body);
        curl_easy_setopt(e, CURLOPT_SEEKDATA, x);
    }
    if (strcmp(c->method, "HEAD") == 0)
        curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    return curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, c->method) == CURLE_OK;
}

bool
mh_xfer_set_up(struct mh_xfer *x)
{
    struct mh_http_call *c = x->call;
    CURL *e = x->easy;
    const char *name = c->tls ? c->tls->server_name : NULL;
    bool ok = name ? set_url_as(x, name) : curl_easy_setopt(e, CURLOPT_URL, c->url) == CURLE_OK;
    curl_easy_setopt(e, CURLOPT_PRIVATE, x);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->curl_error);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(e, CURLOPT_PIPEWAIT, 1L);
    /* Nobody comes back to a peer but after a loss: a session would be kept in vain. */
    curl_easy_setopt(e, CURLOPT_SSL_SESSIONID_CACHE, c->lane == MH_HTTP_PEERS ? 0L : 1L);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, c->on_data ? 4096L : 16384L);
    /* Requests are small; some versions keep this buffer as long as an answer lasts. */
    curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, 16384L);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, mh_xfer_on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, on_connect);
    curl_easy_setopt(e, CURLOPT_SOCKOPTDATA, x->http);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(c->connect_timeout_ms > 0 ? c->connect_timeout_ms : CONNECT_MS));
    ok = ok && curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
    return ok && set_method(x) && set_tls(e, c->tls) && set_headers(x);
}
