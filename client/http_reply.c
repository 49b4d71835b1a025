#include "http_internal.h"
#include "signpost.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define RETRY_AFTER_MOST_S 3600
#define PLACE_SIZE 128 /* of "host:port", in sentences */

/* --- a reply --------------------------------------------------------------------------------- */

static bool is_json(const char *content_type)
{
    size_t size;

    if (!content_type)
        return false;
    size = strcspn(content_type, "; \t");
    return (size == 16 && strncasecmp(content_type, "application/json", 16) == 0) ||
           (size > 17 && strncasecmp(content_type, "application/", 12) == 0 &&
               strncasecmp(content_type + size - 5, "+json", 5) == 0);
}

static void copy_address(const char *address, char ret_address[HTTP_ADDRESS_SIZE])
{
    if (address && strlen(address) < HTTP_ADDRESS_SIZE)
        strcpy(ret_address, address);
}

/* Which way it went, and how long the other end took. */
static void read_path(const struct http_call *call, struct http_reply *reply)
{
    const char *local = NULL, *remote = NULL;
    curl_off_t sent_us = 0, answered_us = 0;
    long port = 0;

    curl_easy_getinfo(call->easy, CURLINFO_LOCAL_IP, &local);
    curl_easy_getinfo(call->easy, CURLINFO_LOCAL_PORT, &port);
    curl_easy_getinfo(call->easy, CURLINFO_PRIMARY_IP, &remote);
    curl_easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &sent_us);
    curl_easy_getinfo(call->easy, CURLINFO_STARTTRANSFER_TIME_T, &answered_us);
    copy_address(local, reply->local);
    copy_address(remote, reply->remote);
    reply->local_port = (uint16_t)port;
    if (answered_us > sent_us)
        reply->wait_us = (unsigned)(answered_us - sent_us);
}

void http_read(const struct http_call *call, struct http_reply *reply)
{
    const char *content_type = NULL;
    curl_off_t retry_after_s = 0;

    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &reply->status);
    curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &content_type);
    curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    if (retry_after_s > RETRY_AFTER_MOST_S)
        retry_after_s = RETRY_AFTER_MOST_S;
    if (retry_after_s > 0) /* a date may have passed */
        reply->retry_after_ms = (int64_t)retry_after_s * 1000;
    reply->json = is_json(content_type);
    if (call->body) {
        reply->body = call->body;
        reply->body_size = call->body_size;
    }
    read_path(call, reply);
}

/* --- what went wrong, in words --------------------------------------------------------------- */

/* The sentence is `before`, host and port, `after`, and where that ends in ": " the reason. */
struct trouble {
    CURLcode code;
    int error;
    const char *before, *after;
};

static const struct trouble troubles[] = {
    {CURLE_COULDNT_CONNECT, SIGNPOST_ERROR_UNREACHABLE, "cannot reach ", ": "},
    {CURLE_COULDNT_RESOLVE_HOST, SIGNPOST_ERROR_UNREACHABLE, "cannot reach ",
        ": the name does not resolve"},
    {CURLE_COULDNT_RESOLVE_PROXY, SIGNPOST_ERROR_UNREACHABLE, "cannot reach ", ": "},
    {CURLE_PROXY, SIGNPOST_ERROR_UNREACHABLE, "cannot reach ", ": "},
    {CURLE_SEND_ERROR, SIGNPOST_ERROR_UNREACHABLE, "lost the connection to ", ": "},
    {CURLE_RECV_ERROR, SIGNPOST_ERROR_UNREACHABLE, "lost the connection to ", ": "},
    {CURLE_GOT_NOTHING, SIGNPOST_ERROR_UNREACHABLE, "", " closed the connection without an answer"},
    {CURLE_PARTIAL_FILE, SIGNPOST_ERROR_UNREACHABLE, "", " broke off its answer"},
    {CURLE_PEER_FAILED_VERIFICATION, SIGNPOST_ERROR_TLS, "cannot trust ", ": "},
    {CURLE_SSL_CACERT_BADFILE, SIGNPOST_ERROR_TLS, "cannot trust ", ": "},
    {CURLE_SSL_ISSUER_ERROR, SIGNPOST_ERROR_TLS, "cannot trust ", ": "},
    {CURLE_SSL_CONNECT_ERROR, SIGNPOST_ERROR_TLS, "cannot speak TLS with ",
        "; if it speaks plain HTTP, use http://: "},
    {CURLE_SSL_CERTPROBLEM, SIGNPOST_ERROR_TLS, "cannot speak TLS with ", ": "},
    {CURLE_SSL_CIPHER, SIGNPOST_ERROR_TLS, "cannot speak TLS with ", ": "},
    {CURLE_SSL_ENGINE_INITFAILED, SIGNPOST_ERROR_TLS, "cannot speak TLS with ", ": "},
    {CURLE_WEIRD_SERVER_REPLY, SIGNPOST_ERROR_PROTOCOL, "", " does not speak HTTP: "},
    {CURLE_UNSUPPORTED_PROTOCOL, SIGNPOST_ERROR_PROTOCOL, "", " does not speak HTTP: "},
    {CURLE_BAD_CONTENT_ENCODING, SIGNPOST_ERROR_PROTOCOL, "", " sent what cannot be read: "},
    {CURLE_URL_MALFORMAT, SIGNPOST_ERROR_INVALID, "not the URL of an index: ", ""},
    {CURLE_OUT_OF_MEMORY, SIGNPOST_ERROR_NO_MEMORY, "out of memory while asking ", ""},
};

static const struct trouble other_trouble = {
    CURLE_OK, SIGNPOST_ERROR_UNREACHABLE, "cannot talk to ", ": "};

static const struct trouble *trouble_of(CURLcode code)
{
    for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++)
        if (troubles[i].code == code)
            return &troubles[i];
    return &other_trouble;
}

/* Host and port, without a user and password that may stand before them. */
static void place_of(CURL *easy, char ret_place[PLACE_SIZE])
{
    const char *url = NULL;
    const char *start;
    size_t size;

    curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
    if (!url)
        url = "";
    start = strstr(url, "://");
    start = start ? start + 3 : url;
    size = strcspn(start, "/?#");
    for (size_t i = size; i-- > 0;)
        if (start[i] == '@') {
            start += i + 1;
            size -= i + 1;
            break;
        }
    snprintf(ret_place, PLACE_SIZE, "%.*s", (int)(size < PLACE_SIZE ? size : PLACE_SIZE), start);
}

static const char *reason_of(const struct http_call *call, CURLcode code)
{
    long number = 0;

    curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &number);
    if (code == CURLE_COULDNT_CONNECT && number)
        return strerror((int)number);
    return call->curl_text[0] ? call->curl_text : curl_easy_strerror(code);
}

static void describe_timeout(
    const struct http_call *call, const char *place, struct http_reply *reply)
{
    curl_off_t ready_us = 0, first_us = 0, total_us = 0;
    const char *before = "", *after = " did not finish its answer";

    curl_easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &ready_us);
    curl_easy_getinfo(call->easy, CURLINFO_STARTTRANSFER_TIME_T, &first_us);
    curl_easy_getinfo(call->easy, CURLINFO_TOTAL_TIME_T, &total_us);
    if (!ready_us) {
        before = "cannot reach ";
        after = ": no connection";
    } else if (!first_us) {
        after = " did not answer";
    }
    reply->error = SIGNPOST_ERROR_TIMEOUT;
    snprintf(reply->detail, sizeof reply->detail, "%s%s%s within %.1f s", before, place, after,
        (double)total_us / 1e6);
}

/* For libcurl before 8.6 a header line that is longer than it takes is the end of its memory. */
static bool is_long_line(const struct http_call *call, CURLcode code)
{
    curl_off_t first_us = 0;

    curl_easy_getinfo(call->easy, CURLINFO_STARTTRANSFER_TIME_T, &first_us);
    return code == CURLE_OUT_OF_MEMORY && !call->error && first_us && !call->head_complete;
}

void http_describe(const struct http_call *call, CURLcode code, struct http_reply *reply)
{
    const struct trouble *trouble = trouble_of(code);
    char place[PLACE_SIZE];
    size_t end = strlen(trouble->after);

    place_of(call->easy, place);
    if (call->error == SIGNPOST_ERROR_PROTOCOL || is_long_line(call, code)) {
        reply->error = SIGNPOST_ERROR_PROTOCOL;
        if (call->head_complete)
            snprintf(reply->detail, sizeof reply->detail, "%s sent more than %zu bytes", place,
                call->max_bytes);
        else
            snprintf(reply->detail, sizeof reply->detail, "%s sent a head that is too long", place);
    } else if (code == CURLE_OPERATION_TIMEDOUT) {
        describe_timeout(call, place, reply);
    } else {
        reply->error = trouble->error;
        int length =
            snprintf(reply->detail, sizeof reply->detail, "%s%s%s%s", trouble->before, place,
                trouble->after, end && trouble->after[end - 1] == ' ' ? reason_of(call, code) : "");
        if (length >= (int)sizeof reply->detail)
            memcpy(reply->detail + sizeof reply->detail - 4, "...", 4);
    }
    /* The reason may quote a certificate, which is not ours. */
    for (char *at = reply->detail; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = ' ';
}
