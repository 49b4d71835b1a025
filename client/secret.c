#include "secret.h"

#include <arpa/inet.h>
#include <errno.h>
#include <nettle/base64.h>
#include <nettle/hmac.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define TOKEN_PREFIX "signpost-token:"
#define ID_TEXT "signpost-id"
#define UUID_BYTES 16
#define HOST_CHARS_MAX 255 /* of a host name, RFC 1035 */
#define ORIGIN_SIZE (sizeof "https://[]:65535" + HOST_CHARS_MAX)

/* --- randomness ------------------------------------------------------------------------------ */

int secret_random(void *ret_bytes, size_t size)
{
    uint8_t *at = ret_bytes;

    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return SIGNPOST_ERROR_NO_MEMORY;
        at += got;
        size -= (size_t)got;
    }
    return 0;
}

/* Layout and version bits are those of RFC 9562. */
static void format_uuid(uint8_t bytes[UUID_BYTES], uint8_t version, char ret_uuid[SECRET_UUID_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    char *at = ret_uuid;

    bytes[6] = (uint8_t)((bytes[6] & 0x0F) | version << 4);
    bytes[8] = (uint8_t)((bytes[8] & 0x3F) | 0x80);
    for (size_t i = 0; i < UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = hex[bytes[i] >> 4];
        *at++ = hex[bytes[i] & 15];
    }
    *at = '\0';
}

/* For a kernel that gives no randomness: a UUID names things and keeps no secret, so what differs
 * from call to call and from process to process will do. */
static void make_unique(uint8_t ret_bytes[UUID_BYTES])
{
    static uint64_t calls;
    struct timespec wall, up;
    struct sha256_ctx context;
    pid_t process = getpid();

    calls++;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_MONOTONIC, &up);
    sha256_init(&context);
    sha256_update(&context, sizeof calls, (const uint8_t *)&calls);
    sha256_update(&context, sizeof wall, (const uint8_t *)&wall);
    sha256_update(&context, sizeof up, (const uint8_t *)&up);
    sha256_update(&context, sizeof process, (const uint8_t *)&process);
    sha256_digest(&context, UUID_BYTES, ret_bytes);
}

void secret_uuid(char ret_uuid[SECRET_UUID_SIZE])
{
    uint8_t bytes[UUID_BYTES];

    if (secret_random(bytes, sizeof bytes))
        make_unique(bytes);
    format_uuid(bytes, 4, ret_uuid);
}

/* --- the origin of a URL --------------------------------------------------------------------- */

static bool is_digit(char character)
{
    return character >= '0' && character <= '9';
}

static char lower(char character)
{
    return character >= 'A' && character <= 'Z' ? (char)(character - 'A' + 'a') : character;
}

/* What a URL parser could read in more than one way, such as an escape or a backslash, is refused:
 * the token must be that of the host which the request goes to. */
static bool is_host_character(char character)
{
    return (unsigned char)character > ' ' && character != 0x7F &&
           !strchr("\"#%/:<>?@[\\]^`{|}", character);
}

/* The address in one spelling, with its zone where it has one ("%25" or "%", RFC 6874). */
static int write_ipv6(const char *text, size_t length, char *ret_host, size_t size)
{
    char literal[HOST_CHARS_MAX + 1], address[INET6_ADDRSTRLEN];
    struct in6_addr bytes;

    if (length >= sizeof literal)
        return SIGNPOST_ERROR_INVALID;
    memcpy(literal, text, length);
    literal[length] = '\0';
    char *zone = strchr(literal, '%');
    if (zone) {
        *zone++ = '\0';
        if (strncmp(zone, "25", 2) == 0 && zone[2])
            zone += 2;
        for (const char *at = zone; *at; at++)
            if (!is_host_character(*at))
                return SIGNPOST_ERROR_INVALID;
    }
    if (inet_pton(AF_INET6, literal, &bytes) != 1 || (zone && !*zone) ||
        !inet_ntop(AF_INET6, &bytes, address, sizeof address))
        return SIGNPOST_ERROR_INVALID;
    int written = snprintf(ret_host, size, "[%s%s%s]", address, zone ? "%" : "", zone ? zone : "");
    return written < 0 || (size_t)written >= size ? SIGNPOST_ERROR_INVALID : 0;
}

static int write_name(const char *text, size_t length, char *ret_host, size_t size)
{
    if (length == 0 || length > HOST_CHARS_MAX || length >= size)
        return SIGNPOST_ERROR_INVALID;
    for (size_t i = 0; i < length; i++) {
        if (!is_host_character(text[i]))
            return SIGNPOST_ERROR_INVALID;
        ret_host[i] = lower(text[i]);
    }
    ret_host[length] = '\0';
    return 0;
}

/* `text` is what follows the host: nothing, or a colon and perhaps a number. */
static int read_port(const char *text, size_t length, unsigned *ret_port)
{
    unsigned port = 0;

    if (length > 0 && text[0] != ':')
        return SIGNPOST_ERROR_INVALID;
    if (length <= 1)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if (!is_digit(text[i]))
            return SIGNPOST_ERROR_INVALID;
        port = port * 10 + (unsigned)(text[i] - '0');
        if (port > 65535)
            return SIGNPOST_ERROR_INVALID;
    }
    if (port == 0)
        return SIGNPOST_ERROR_INVALID;
    *ret_port = port;
    return 0;
}

static int write_origin(const char *url, char ret_origin[ORIGIN_SIZE])
{
    char host[HOST_CHARS_MAX + 3]; /* brackets and NUL */
    bool https = strncasecmp(url, "https://", 8) == 0;
    unsigned port = https ? 443 : 80;
    int error;

    if (!https && strncasecmp(url, "http://", 7) != 0)
        return SIGNPOST_ERROR_INVALID;
    const char *at = url + (https ? 8 : 7);
    size_t length = strcspn(at, "/?#");
    const char *userinfo_end = memchr(at, '@', length);
    if (userinfo_end) {
        if (memchr(at, '\\', (size_t)(userinfo_end - at)))
            return SIGNPOST_ERROR_INVALID;
        length -= (size_t)(userinfo_end + 1 - at);
        at = userinfo_end + 1;
    }
    size_t host_length;
    if (length > 0 && at[0] == '[') {
        const char *bracket = memchr(at, ']', length);
        if (!bracket)
            return SIGNPOST_ERROR_INVALID;
        host_length = (size_t)(bracket + 1 - at);
        error = write_ipv6(at + 1, host_length - 2, host, sizeof host);
    } else {
        const char *colon = memchr(at, ':', length);
        host_length = colon ? (size_t)(colon - at) : length;
        error = write_name(at, host_length, host, sizeof host);
    }
    if (!error)
        error = read_port(at + host_length, length - host_length, &port);
    if (error)
        return error;
    snprintf(ret_origin, ORIGIN_SIZE, "%s://%s:%u", https ? "https" : "http", host, port);
    return 0;
}

/* --- what is derived ------------------------------------------------------------------------- */

static void derive(const uint8_t secret[SIGNPOST_SECRET_SIZE], const char *prefix, const char *text,
    size_t size, uint8_t *ret_digest)
{
    struct hmac_sha256_ctx context;

    hmac_sha256_set_key(&context, SIGNPOST_SECRET_SIZE, secret);
    hmac_sha256_update(&context, strlen(prefix), (const uint8_t *)prefix);
    hmac_sha256_update(&context, strlen(text), (const uint8_t *)text);
    hmac_sha256_digest(&context, size, ret_digest);
}

void secret_encode(const uint8_t bytes[SIGNPOST_SECRET_SIZE], char ret_text[SECRET_TOKEN_SIZE])
{
    char encoded[BASE64_ENCODE_LENGTH(SIGNPOST_SECRET_SIZE) + BASE64_ENCODE_FINAL_LENGTH];
    struct base64_encode_ctx context;

    base64url_encode_init(&context);
    size_t length = base64_encode_update(&context, encoded, SIGNPOST_SECRET_SIZE, bytes);
    base64_encode_final(&context, encoded + length);
    /* What stands behind the 43 characters is padding. */
    memcpy(ret_text, encoded, SECRET_TOKEN_SIZE - 1);
    ret_text[SECRET_TOKEN_SIZE - 1] = '\0';
}

bool secret_decode(const char *text, size_t length, uint8_t ret_bytes[SIGNPOST_SECRET_SIZE])
{
    uint8_t decoded[BASE64_DECODE_LENGTH(SECRET_TOKEN_SIZE)];
    char padded[SECRET_TOKEN_SIZE];
    size_t size = sizeof decoded;
    struct base64_decode_ctx context;

    if (length != SECRET_TOKEN_SIZE - 1)
        return false;
    memcpy(padded, text, length);
    padded[length] = '=';
    base64url_decode_init(&context);
    if (!base64_decode_update(&context, &size, decoded, sizeof padded, padded) ||
        !base64_decode_final(&context) || size != SIGNPOST_SECRET_SIZE)
        return false;
    memcpy(ret_bytes, decoded, SIGNPOST_SECRET_SIZE);
    return true;
}

int secret_token(
    const uint8_t secret[SIGNPOST_SECRET_SIZE], const char *url, char ret_token[SECRET_TOKEN_SIZE])
{
    char origin[ORIGIN_SIZE];
    uint8_t digest[SHA256_DIGEST_SIZE];
    int error = write_origin(url, origin);

    if (error)
        return error;
    derive(secret, TOKEN_PREFIX, origin, sizeof digest, digest);
    secret_encode(digest, ret_token);
    return 0;
}

void secret_id(const uint8_t secret[SIGNPOST_SECRET_SIZE], char ret_id[SECRET_UUID_SIZE])
{
    uint8_t digest[UUID_BYTES];

    derive(secret, ID_TEXT, "", sizeof digest, digest);
    format_uuid(digest, 8, ret_id);
}
