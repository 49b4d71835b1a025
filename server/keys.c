#include "keys.h"

#include "quote.h"
#include "secret_file.h"
#include "table.h"

#include <ctype.h>
#include <nettle/memops.h>
#include <stdlib.h>
#include <string.h>

#define KEY_PREFIX "spk_"
#define FIELDS 3

struct keys {
    struct table table; /* by hash */
};

/* One word of a line. */
struct field {
    const char *text;
    size_t length;
};

/* --- one line -------------------------------------------------------------------------------- */

static bool is_name(const struct field *field)
{
    if (!field->length || field->length > LIMIT_ID_CHARS)
        return false;
    for (size_t i = 0; i < field->length; i++) {
        unsigned char character = (unsigned char)field->text[i];
        if (character > 127 || (!isalnum(character) && !strchr("._-", character)) || !character)
            return false;
    }
    return true;
}

static bool is_word(const struct field *field, const char *word)
{
    return field->length == strlen(word) && !memcmp(field->text, word, field->length);
}

static int hex_digit(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    return character >= 'A' && character <= 'F' ? character - 'A' + 10 : -1;
}

/* Zeros are no key's: the index keeps them for a node that came in without one. */
static bool read_hash(const struct field *field, uint8_t ret_hash[KEY_HASH_SIZE])
{
    bool zeros = true;

    if (field->length != 2 * KEY_HASH_SIZE)
        return false;
    for (size_t i = 0; i < KEY_HASH_SIZE; i++) {
        int high = hex_digit(field->text[2 * i]), low = hex_digit(field->text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret_hash[i] = (uint8_t)(high << 4 | low);
        zeros = zeros && !ret_hash[i];
    }
    return !zeros;
}

/* The words of a line up to its comment; at most one more than there may be is counted. */
static size_t split(const char *line, size_t length, struct field ret_fields[FIELDS + 1])
{
    const char *end = line + length;
    size_t count = 0;

    while (count <= FIELDS) {
        while (line < end && (*line == ' ' || *line == '\t'))
            line++;
        if (line == end || *line == '#')
            break;
        ret_fields[count].text = line;
        while (line < end && *line != ' ' && *line != '\t')
            line++;
        ret_fields[count].length = (size_t)(line - ret_fields[count].text);
        count++;
    }
    return count;
}

static bool has_key_itself(const struct field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fields[i].length > strlen(KEY_PREFIX) &&
            !memcmp(fields[i].text, KEY_PREFIX, strlen(KEY_PREFIX)))
            return true;
    return false;
}

static int read_line(const struct field *fields, size_t count, size_t line, struct key *ret_key,
    struct fault *ret_fault)
{
    if (has_key_itself(fields, count))
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "line %zu has a join key itself: make a new one, and put the second line that "
            "`signpost key new` prints here",
            line);
    if (count != FIELDS)
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "line %zu has %s words than a network, a role and a SHA-256: `signpost key new "
            "NETWORK` prints one as it has to be",
            line, count < FIELDS ? "fewer" : "more");
    if (!is_name(&fields[0]))
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "line %zu: the network is none: use 1 to %d of A-Z a-z 0-9 . _ -", line,
            LIMIT_ID_CHARS);
    ret_key->is_operator = is_word(&fields[1], "operator");
    if (!ret_key->is_operator && !is_word(&fields[1], "member"))
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "line %zu: the role is neither member nor operator", line);
    if (!read_hash(&fields[2], ret_key->hash))
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "line %zu: the SHA-256 is not %d hexadecimal digits, or only zeros", line,
            2 * KEY_HASH_SIZE);
    memcpy(ret_key->network, fields[0].text, fields[0].length);
    ret_key->network[fields[0].length] = '\0';
    ret_key->line = line;
    return 0;
}

/* --- the table ------------------------------------------------------------------------------- */

static uint64_t hash_of(const uint8_t hash[KEY_HASH_SIZE])
{
    return table_hash(hash, KEY_HASH_SIZE);
}

static bool same_hash(const void *item, const void *key)
{
    return memeql_sec(((const struct key *)item)->hash, key, KEY_HASH_SIZE);
}

struct key *keys_find(const struct keys *keys, const uint8_t hash[KEY_HASH_SIZE])
{
    return table_find(&keys->table, hash_of(hash), same_hash, hash);
}

bool keys_admit(const struct keys *keys, const uint8_t hash[KEY_HASH_SIZE], const char *network)
{
    const struct key *key = keys_find(keys, hash);
    return key && !strcmp(key->network, network);
}

size_t keys_count(const struct keys *keys)
{
    return keys->table.count;
}

static int add(struct keys *keys, const struct key *key, struct fault *ret_fault)
{
    const struct key *same = keys_find(keys, key->hash);

    if (same)
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "line %zu has the key of line %zu once more: remove one of them", key->line,
            same->line);
    if (keys->table.count == LIMIT_KEYS)
        return fault_set(ret_fault, ERROR_BAD_REQUEST, "it has more than %d keys", LIMIT_KEYS);
    struct key *copy = malloc(sizeof *copy);
    if (copy)
        *copy = *key;
    if (!copy || table_add(&keys->table, hash_of(key->hash), copy)) {
        free(copy);
        return fault_set(ret_fault, ERROR_NO_MEMORY, "no memory for its keys");
    }
    return 0;
}

int keys_parse(const char *text, size_t size, struct keys **ret_keys, struct fault *ret_fault)
{
    struct keys *keys = calloc(1, sizeof *keys);
    const char *end = text + size, *line;
    size_t number = 0, length;
    int error = 0;

    if (!keys)
        return fault_set(ret_fault, ERROR_NO_MEMORY, "no memory for its keys");
    while (!error && secret_file_line(&text, end, &line, &length)) {
        struct field fields[FIELDS + 1];
        struct key key = {.line = 0};
        size_t count = split(line, length, fields);
        number++;
        if (!count)
            continue;
        error = read_line(fields, count, number, &key, ret_fault);
        if (!error)
            error = add(keys, &key, ret_fault);
    }
    /* A file that is just being written must not shut everyone out. */
    if (!error && !keys->table.count)
        error = fault_set(ret_fault, ERROR_BAD_REQUEST,
            "there is no key in it: add the line that `signpost key new NETWORK` prints");
    if (error) {
        keys_free(keys);
        return error;
    }
    *ret_keys = keys;
    return 0;
}

int keys_read(const char *path, struct keys **ret_keys, bool *ret_exposed, struct fault *ret_fault)
{
    char quoted[QUOTE_SIZE], *text = NULL;
    struct fault why;
    size_t size = 0;
    int error = secret_file_read(path, LIMIT_KEYS_FILE_BYTES, &text, &size, ret_exposed, &why);

    if (!error)
        error = keys_parse(text, size, ret_keys, &why);
    secret_file_free(text, size);
    if (error)
        fault_set(ret_fault, error, "--keys %s: %s", quote_text(path, quoted), why.detail);
    return error;
}

static void free_key(void *item, void *user)
{
    (void)user;
    free(item);
}

void keys_free(struct keys *keys)
{
    if (!keys)
        return;
    table_each(&keys->table, free_key, NULL);
    table_free(&keys->table);
    free(keys);
}
