#include "direct/greet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Everything that goes into a greeting; a test changes one thing of it. */
struct end {
    uint8_t secret[GREET_SECRET_SIZE], nonce[GREET_NONCE_SIZE];
    const char *dialer, *acceptor;
};

struct talk {
    struct greeting dialer, acceptor;
    uint8_t hello[GREET_HELLO_SIZE], reply[GREET_REPLY_SIZE], proof[GREET_PROOF_SIZE];
};

static void fill(uint8_t *bytes, size_t size, uint8_t first)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(first + i);
}

static struct end end_with(uint8_t first_of_nonce)
{
    struct end end = {.dialer = "node-a", .acceptor = "node-b"};

    fill(end.secret, sizeof end.secret, 0);
    fill(end.nonce, sizeof end.nonce, first_of_nonce);
    return end;
}

static void begin(const struct end *end, struct talk *talk)
{
    struct greet_ticket ticket;

    greet_make_ticket(end->secret, &ticket);
    greet_begin(&ticket, end->dialer, end->acceptor, end->nonce, &talk->dialer, talk->hello);
}

static void answer(const struct end *end, struct talk *talk)
{
    struct greet_ticket ticket;

    greet_make_ticket(end->secret, &ticket);
    greet_answer(
        &ticket, end->dialer, end->acceptor, talk->hello, end->nonce, &talk->acceptor, talk->reply);
}

static void assert_hex(const uint8_t *bytes, size_t size, const char *hex)
{
    char text[2 * GREET_REPLY_SIZE + 1] = "";

    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    assert_string_equal(text, hex);
}

/* From Python's hmac. */
static void test_greet_known_vector_is_the_same_everywhere(void **state)
{
    struct end dialer = end_with(0x40), acceptor = end_with(0x80);
    struct talk talk;

    (void)state;
    begin(&dialer, &talk);
    assert_hex(talk.hello, sizeof talk.hello,
        "5349474e50535431"
        "266d91addcc07bbf78c7edf259d02161"
        "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f");
    answer(&acceptor, &talk);
    assert_hex(talk.reply, sizeof talk.reply,
        "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
        "bf81e75c9b6e5dd18aecde2f467c899a0ae52791cd91a50541ffd9637a128587");
    assert_true(greet_take_reply(&talk.dialer, talk.reply, talk.proof));
    assert_hex(talk.proof, sizeof talk.proof,
        "6419306a6ca2e2a133f9d6fb149266bdd6873d3376a78a512a340b4b9a84df73");
    assert_true(greet_take_proof(&talk.acceptor, talk.proof));
}

static void test_greet_hello_names_the_ticket(void **state)
{
    struct end dialer = end_with(0x40);
    uint8_t name[GREET_NAME_SIZE], other_secret[GREET_SECRET_SIZE] = {1};
    struct greet_ticket ticket, other;
    struct talk talk;

    (void)state;
    greet_make_ticket(dialer.secret, &ticket);
    greet_make_ticket(other_secret, &other);
    begin(&dialer, &talk);
    assert_true(greet_read_hello(talk.hello, name));
    assert_true(greet_is_ticket(&ticket, name));
    assert_false(greet_is_ticket(&other, name));
    for (size_t i = 0; i < sizeof name; i++) {
        name[i] ^= 1;
        assert_false(greet_is_ticket(&ticket, name));
        name[i] ^= 1;
    }
}

static void test_greet_other_magic_is_no_hello(void **state)
{
    struct end dialer = end_with(0x40);
    uint8_t name[GREET_NAME_SIZE] = "as it was";
    struct talk talk;

    (void)state;
    begin(&dialer, &talk);
    for (size_t i = 0; i < 8; i++) {
        talk.hello[i] ^= 0x20;
        assert_false(greet_read_hello(talk.hello, name));
        assert_string_equal(name, "as it was");
        talk.hello[i] ^= 0x20;
    }
}

/* Another secret or other ids at one end: neither end believes the other. */
static void test_greet_ends_that_differ_do_not_agree(void **state)
{
    struct end others[] = {end_with(0x80), end_with(0x80), end_with(0x80), end_with(0x80)};
    struct end dialer = end_with(0x40), same = end_with(0x80);

    (void)state;
    others[0].secret[31] ^= 1;
    others[1].dialer = "node-c";
    others[2].acceptor = "node-c";
    others[3].dialer = "node-b"; /* the two changed places */
    others[3].acceptor = "node-a";
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct talk talk, wrong;
        uint8_t proof[GREET_PROOF_SIZE] = {0};
        begin(&dialer, &talk);
        wrong = talk;
        answer(&others[i], &wrong);
        assert_false(greet_take_reply(&wrong.dialer, wrong.reply, proof));
        assert_int_equal(proof[0], 0);
        answer(&same, &talk);
        assert_true(greet_take_reply(&talk.dialer, talk.reply, talk.proof));
        assert_false(greet_take_proof(&wrong.acceptor, talk.proof));
    }
}

static void test_greet_any_bit_of_a_reply_or_proof_counts(void **state)
{
    struct end dialer = end_with(0x40), acceptor = end_with(0x80);
    struct talk talk;

    (void)state;
    begin(&dialer, &talk);
    answer(&acceptor, &talk);
    assert_true(greet_take_reply(&talk.dialer, talk.reply, talk.proof));
    for (size_t i = 0; i < 8 * sizeof talk.reply; i++) {
        uint8_t proof[GREET_PROOF_SIZE];
        talk.reply[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_false(greet_take_reply(&talk.dialer, talk.reply, proof));
        talk.reply[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t i = 0; i < 8 * sizeof talk.proof; i++) {
        talk.proof[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_false(greet_take_proof(&talk.acceptor, talk.proof));
        talk.proof[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    assert_true(greet_take_proof(&talk.acceptor, talk.proof));
}

/* What was overheard once is of no use where either end has chosen another nonce. */
static void test_greet_replay_with_another_nonce_fails(void **state)
{
    struct end dialer = end_with(0x40), acceptor = end_with(0x80);
    struct end later_dialer = end_with(0x41), later_acceptor = end_with(0x81);
    struct talk talk, replay;
    uint8_t proof[GREET_PROOF_SIZE];

    (void)state;
    begin(&dialer, &talk);
    answer(&acceptor, &talk);
    assert_true(greet_take_reply(&talk.dialer, talk.reply, talk.proof));

    begin(&later_dialer, &replay);
    assert_false(greet_take_reply(&replay.dialer, talk.reply, proof));
    replay = talk;
    answer(&later_acceptor, &replay);
    assert_false(greet_take_proof(&replay.acceptor, talk.proof));
}

/* An end that only sends back what it gets proves nothing: the two proofs have different roles. */
static void test_greet_own_proof_sent_back_fails(void **state)
{
    struct end dialer = end_with(0x40), acceptor = end_with(0x40);
    struct talk talk;
    uint8_t reply[GREET_REPLY_SIZE], proof[GREET_PROOF_SIZE];

    (void)state;
    dialer.dialer = dialer.acceptor = acceptor.dialer = acceptor.acceptor = "node-a";
    begin(&dialer, &talk);
    answer(&acceptor, &talk);
    assert_true(greet_take_reply(&talk.dialer, talk.reply, talk.proof));

    assert_false(greet_take_proof(&talk.acceptor, talk.reply + GREET_NONCE_SIZE));
    memcpy(reply, talk.reply, GREET_NONCE_SIZE);
    memcpy(reply + GREET_NONCE_SIZE, talk.proof, GREET_PROOF_SIZE);
    assert_false(greet_take_reply(&talk.dialer, reply, proof));
}

/* The id of one end ends where that of the other begins. */
static void test_greet_ids_do_not_run_into_each_other(void **state)
{
    struct end dialer = end_with(0x40), acceptor = end_with(0x80);
    struct talk talk;
    uint8_t proof[GREET_PROOF_SIZE];

    (void)state;
    acceptor.dialer = "node-an";
    acceptor.acceptor = "ode-b";
    begin(&dialer, &talk);
    answer(&acceptor, &talk);
    assert_false(greet_take_reply(&talk.dialer, talk.reply, proof));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greet_known_vector_is_the_same_everywhere),
        cmocka_unit_test(test_greet_hello_names_the_ticket),
        cmocka_unit_test(test_greet_other_magic_is_no_hello),
        cmocka_unit_test(test_greet_ends_that_differ_do_not_agree),
        cmocka_unit_test(test_greet_any_bit_of_a_reply_or_proof_counts),
        cmocka_unit_test(test_greet_replay_with_another_nonce_fails),
        cmocka_unit_test(test_greet_own_proof_sent_back_fails),
        cmocka_unit_test(test_greet_ids_do_not_run_into_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
