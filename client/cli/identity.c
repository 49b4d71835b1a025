#include "identity.h"

#include "out.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <nettle/base64.h>
#include <nettle/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#define FILE_BYTES 256 /* a key or secret file is no larger */
#define KEY_PREFIX "spk_"
#define SECRET_DIGITS (2 * SIGNPOST_SECRET_SIZE)
#define BASE64URL "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

int identity_random(void *ret_bytes, size_t size)
{
    int error = uv_random(NULL, NULL, ret_bytes, size, 0, NULL);

    if (!error)
        return CLI_OK;
    out_error("no random numbers: %s", uv_strerror(error));
    return CLI_SYSTEM;
}

/* --- small files ----------------------------------------------------------------------------- */

/* The text of a file without the white space around it. Returns 0 or -errno. */
static int read_text(const char *path, char ret_text[FILE_BYTES + 1], struct stat *ret_status)
{
    char text[FILE_BYTES + 1];
    size_t size = 0;
    ssize_t got;
    int result = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, ret_status))
        result = -errno;
    while (!result && (got = read(fd, text + size, sizeof text - size)) != 0) {
        if (got < 0 && errno != EINTR)
            result = -errno;
        else if (got > 0)
            size += (size_t)got;
        if (size == sizeof text)
            result = -EFBIG;
    }
    if (fd >= 0)
        close(fd);
    if (result)
        return result;
    text[size] = '\0';
    char *start = text + strspn(text, " \t\r\n");
    size_t length = strlen(start);
    while (length && strchr(" \t\r\n", start[length - 1]))
        length--;
    start[length] = '\0';
    memcpy(ret_text, start, length + 1);
    return 0;
}

/* --- the join key ---------------------------------------------------------------------------- */

void identity_write_key(const uint8_t bytes[IDENTITY_KEY_BYTES], char ret_key[IDENTITY_KEY_SIZE])
{
    char text[BASE64_ENCODE_LENGTH(IDENTITY_KEY_BYTES) + BASE64_ENCODE_FINAL_LENGTH];
    struct base64_encode_ctx context;

    base64url_encode_init(&context);
    size_t length = base64_encode_update(&context, text, IDENTITY_KEY_BYTES, bytes);
    base64_encode_final(&context, text + length);
    /* 32 bytes are 43 characters and one of padding, which keys go without. */
    snprintf(ret_key, IDENTITY_KEY_SIZE, KEY_PREFIX "%.43s", text);
}

static bool is_key(const char *text)
{
    return strlen(text) == IDENTITY_KEY_SIZE - 1 && !strncmp(text, KEY_PREFIX, 4) &&
           strspn(text + 4, BASE64URL) == IDENTITY_KEY_SIZE - 5;
}

int identity_read_key(const struct settings *settings, char ret_key[IDENTITY_KEY_SIZE])
{
    char text[FILE_BYTES + 1];
    struct stat status;
    const char *key = settings->key;

    if (settings->key_file) {
        int error = read_text(settings->key_file, text, &status);
        if (error) {
            out_error("%s: %s", settings->key_file, strerror(-error));
            return CLI_CONFIG;
        }
        key = text;
    }
    if (key && !is_key(key)) {
        out_error("%s is not a join key: \"spk_\" and 43 characters, as \"signpost key new\" makes",
            settings->key_file ? settings->key_file : "SIGNPOST_KEY");
        return CLI_CONFIG;
    }
    *ret_key = '\0';
    if (key)
        memcpy(ret_key, key, IDENTITY_KEY_SIZE); /* its length was checked */
    return CLI_OK;
}

/* --- the secret ------------------------------------------------------------------------------ */

static int digit_value(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = digit ? strchr(digits, digit) : NULL;

    return at ? (int)(at - digits) : -1;
}

static bool parse_secret(const char *text, uint8_t ret_secret[SIGNPOST_SECRET_SIZE])
{
    if (strlen(text) != SECRET_DIGITS)
        return false;
    for (size_t i = 0; i < SECRET_DIGITS; i++)
        if (digit_value(text[i]) < 0)
            return false;
    for (size_t i = 0; i < SIGNPOST_SECRET_SIZE; i++)
        ret_secret[i] = (uint8_t)(digit_value(text[2 * i]) << 4 | digit_value(text[2 * i + 1]));
    return true;
}

/* By the XDG Base Directory Specification, which has a relative XDG_STATE_HOME ignored. */
static int default_path(char ret_path[PATH_MAX])
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int length;

    if (state && state[0] == '/') {
        length = snprintf(ret_path, PATH_MAX, "%s/signpost/secret", state);
    } else if (home && home[0] == '/') {
        length = snprintf(ret_path, PATH_MAX, "%s/.local/state/signpost/secret", home);
    } else {
        out_error("there is no place for the secret: set HOME, or give --secret-file");
        return CLI_CONFIG;
    }
    if (length < PATH_MAX)
        return CLI_OK;
    out_error("the path of the secret is too long: give --secret-file");
    return CLI_CONFIG;
}

/* The directories above `path`, closed to others where they are made. Returns 0 or -errno. */
static int make_directories(const char *path)
{
    char directory[PATH_MAX];

    snprintf(directory, sizeof directory, "%s", path);
    for (char *slash = strchr(directory + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(directory, 0700) && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return 0;
}

static bool write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, text, size);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            text += written;
            size -= (size_t)written;
        }
    }
    return true;
}

/* A whole file or none, and never in the place of one: two commands that start at the same moment
 * must agree on the secret, so each makes a file of its own, and link() lets one of them win.
 * Returns 0, also where another one won, or -errno. */
static int make_secret(const char *path, const uint8_t secret[SIGNPOST_SECRET_SIZE])
{
    char part[PATH_MAX];
    char text[SECRET_DIGITS + 2];
    int result = 0;

    if (snprintf(part, sizeof part, "%s.XXXXXX", path) >= PATH_MAX)
        return -ENAMETOOLONG;
    for (size_t i = 0; i < SIGNPOST_SECRET_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", secret[i]);
    text[SECRET_DIGITS] = '\n';
    result = make_directories(path);
    if (result)
        return result;
    int fd = mkostemp(part, O_CLOEXEC); /* with 0600 */
    if (fd < 0)
        return -errno;
    if (!write_all(fd, text, SECRET_DIGITS + 1) || fsync(fd) ||
        (link(part, path) && errno != EEXIST))
        result = -errno;
    close(fd);
    unlink(part);
    return result;
}

static int read_or_make(const char *path, uint8_t ret_secret[SIGNPOST_SECRET_SIZE])
{
    char text[FILE_BYTES + 1];
    uint8_t fresh[SIGNPOST_SECRET_SIZE];
    struct stat status = {0};
    int error = read_text(path, text, &status);

    if (error == -ENOENT) {
        int code = identity_random(fresh, sizeof fresh);
        if (code)
            return code;
        error = make_secret(path, fresh);
        if (!error)
            error = read_text(path, text, &status);
    }
    if (error) {
        out_error("%s: %s", path, strerror(-error));
        return CLI_CONFIG;
    }
    if (!parse_secret(text, ret_secret)) {
        out_error("%s is no secret: it must hold %d digits of 0-9 a-f", path, SECRET_DIGITS);
        return CLI_CONFIG;
    }
    if (S_ISREG(status.st_mode) && (status.st_mode & (S_IRWXG | S_IRWXO)))
        out_note("%s can be read by others, who can then pose as this node: chmod 600 it", path);
    return CLI_OK;
}

/* An index takes one token for one node only, and the token comes from the secret. */
static void derive(const char *id, uint8_t secret[SIGNPOST_SECRET_SIZE])
{
    static const char purpose[] = "signpost-cli-id:";
    struct hmac_sha256_ctx context;

    hmac_sha256_set_key(&context, SIGNPOST_SECRET_SIZE, secret);
    hmac_sha256_update(&context, sizeof purpose - 1, (const uint8_t *)purpose);
    hmac_sha256_update(&context, strlen(id), (const uint8_t *)id);
    hmac_sha256_digest(&context, SIGNPOST_SECRET_SIZE, secret);
}

int identity_read_secret(const struct settings *settings, uint8_t ret_secret[SIGNPOST_SECRET_SIZE])
{
    char path[PATH_MAX];
    uint8_t secret[SIGNPOST_SECRET_SIZE];
    int code = CLI_OK;

    if (!settings->secret_file)
        code = default_path(path);
    if (!code)
        code = read_or_make(settings->secret_file ? settings->secret_file : path, secret);
    if (code)
        return code;
    if (settings->id)
        derive(settings->id, secret);
    memcpy(ret_secret, secret, sizeof secret);
    return CLI_OK;
}
